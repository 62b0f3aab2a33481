# What there is to do here; `make help` lists it. Every target installs the Debian packages it needs.

SWIFT ?= swift
PREFIX ?= /usr/local
DESTDIR ?=

bindir = $(DESTDIR)$(PREFIX)/bin
mandir = $(DESTDIR)$(PREFIX)/share/man
docdir = $(DESTDIR)$(PREFIX)/share/doc/imd

# One set of flags for everything that is built for release: another one would compile all of it again.
RELEASE = -c release --static-swift-stdlib

.PHONY: help build test torture demo bench lint install clean

help: ## list the targets
	@awk -F ': ## ' '/^[a-z]+: ## / { printf "  make %-8s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## imd and imctl, optimised, in .build/release
	@scripts/deps build
	$(SWIFT) build $(RELEASE)

test: export IMD_WARNINGS_AS_ERRORS = 1
test: export IMD_ORACLE_PYTHON = $(CURDIR)/.venv/bin/python
test: ## everything: unit tests, oracles, real servers and independent clients, the demo, lint
	@scripts/deps build test
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build
	IMD_BIN_DIR=.build/debug scripts/demo
	IMD_BIN_DIR=.build/debug .venv/bin/python -m pytest -p no:cacheprovider -q -ra --durations=5 Tests/Interop
	@$(MAKE) --no-print-directory lint

torture: export IMD_TORTURE = 1
torture: export IMD_ORACLE_PYTHON = $(CURDIR)/.venv/bin/python
torture: ## the long form of the fault matrix and of the random machines, for hours (ARGS='-k kill' for a part of it)
	@scripts/deps build test
	$(SWIFT) test --filter 'EventMachineTests|ConversationTests|HostileKeysTests'
	@$(MAKE) --no-print-directory build
	IMD_BIN_DIR=.build/release .venv/bin/python -m pytest -p no:cacheprovider -q -ra -s -m faults Tests/Interop $(ARGS)

demo: ## alice and bob exchange encrypted messages on this machine (ARGS=--keep to play on)
	@scripts/deps build demo
	@$(MAKE) --no-print-directory build
	@scripts/demo $(ARGS)

bench: ## speed and memory, beside libomemo-c and slixmpp-omemo in the same run
	@scripts/deps build bench
	@$(MAKE) --no-print-directory build
	@.venv/bin/python bench/run.py $(ARGS)

lint: ## style of the Swift code, the scripts and the manual
	@scripts/deps test
	$(SWIFT) format lint --strict --parallel --configuration .swift-format -r Package.swift Sources Tests bench
	shellcheck .ci/run scripts/* hooks/* examples/*.sh
	cd man && mandoc -T lint *

install: ## binaries, manual and documents below PREFIX (/usr/local) in DESTDIR
	@test -x .build/release/imd || { echo "error: nothing to install yet"; echo "hint: run: make build"; exit 66; } >&2
	install -d "$(bindir)" "$(mandir)/man1" "$(mandir)/man5" "$(docdir)/docs"
	install -s -m 755 .build/release/imd .build/release/imctl "$(bindir)"
	install -m 644 man/*.1 "$(mandir)/man1"
	install -m 644 man/*.5 "$(mandir)/man5"
	install -m 644 README.md CHANGELOG.md CONTRIBUTING.md LICENSE "$(docdir)"
	install -m 644 docs/*.md "$(docdir)/docs"

clean: ## remove everything that was built
	rm -rf .build .venv
