# What there is to do here; `make help` lists it. Every target installs the Debian packages it needs.

SWIFT ?= swift
# Where finished programs are taken from by install and deb.
IMD_BIN_DIR ?= .build/release
PREFIX ?= /usr/local
DESTDIR ?=
# Debian's packages have theirs in share/zsh/vendor-completions.
ZSH_FOLDER ?= share/zsh/site-functions

prefix = $(DESTDIR)$(PREFIX)
bindir = $(prefix)/bin
mandir = $(prefix)/share/man
docdir = $(prefix)/share/doc/imd
unitdir = $(prefix)/lib/systemd/user
bashdir = $(prefix)/share/bash-completion/completions
zshdir = $(prefix)/$(ZSH_FOLDER)
fishdir = $(prefix)/share/fish/vendor_completions.d

# One set of flags for everything that is built for release: another one would compile all of it again.
RELEASE = -c release --static-swift-stdlib

# Some tests wait for each other's tasks, and those of the store hold files open: not a thousand at once.
WIDTH = $(shell $(SWIFT) test --help-hidden | grep -o -m 1 -e '--experimental-maximum-parallelization-width' && echo 8)

.PHONY: help build test torture demo bench docs lint install uninstall deb clean

help: ## list the targets
	@awk -F ': ## ' '/^[a-z]+: ## / { printf "  make %-9s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## imd and imctl, optimised, in .build/release
	@scripts/deps build
	$(SWIFT) build $(RELEASE)

test: export IMD_WARNINGS_AS_ERRORS = 1
test: export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH = 8
test: export IMD_ORACLE_PYTHON = $(CURDIR)/.venv/bin/python
test: ## everything: unit tests, oracles, real servers and independent clients, the demo, lint
	@scripts/deps build test
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build $(WIDTH)
	scripts/docs
	IMD_BIN_DIR=.build/debug scripts/demo
	IMD_BIN_DIR=.build/debug .venv/bin/python -m pytest -p no:cacheprovider -q -ra --durations=5 Tests/Interop
	@$(MAKE) --no-print-directory lint

torture: export IMD_TORTURE = 1
torture: export IMD_ORACLE_PYTHON = $(CURDIR)/.venv/bin/python
torture: ## the long form of the fault matrix and of the random machines, for hours (ARGS='-k kill' for a part of it)
	@scripts/deps build test
	$(SWIFT) test --filter 'EventMachineTests|ConversationTests|HostileKeysTests|JSONSuiteTests'
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

docs: ## the pages of LocalAPI, for programs in Swift, in .build/docs
	@scripts/deps build
	$(SWIFT) build --target LocalAPI
	@scripts/docs

lint: ## style of the Swift code, the scripts and the manual
	@scripts/deps test
	$(SWIFT) format lint --strict --parallel --configuration .swift-format -r Package.swift Sources Tests bench examples
	shellcheck .ci/run scripts/* hooks/* examples/*.sh
	cd man && mandoc -T lint *

install: ## programs, manual, completions, systemd units and documents below PREFIX (/usr/local) in DESTDIR
	@test -x "$(IMD_BIN_DIR)/imd" -a -x "$(IMD_BIN_DIR)/imctl" || \
	  { echo "error: nothing to install yet"; echo "hint: run: make build"; exit 66; } >&2
	install -d "$(bindir)" "$(mandir)/man1" "$(mandir)/man5" "$(docdir)/docs" "$(unitdir)"
	install -d "$(bashdir)" "$(zshdir)" "$(fishdir)"
	install -s -m 755 "$(IMD_BIN_DIR)/imd" "$(IMD_BIN_DIR)/imctl" "$(bindir)"
	install -m 644 man/*.1 "$(mandir)/man1"
	install -m 644 man/*.5 "$(mandir)/man5"
	set -e; for name in imd imctl; do \
	  program="$(IMD_BIN_DIR)/$$name"; \
	  "$$program" --generate-completion-script bash | sed '1{/^#!/d;}' | install -m 644 /dev/stdin "$(bashdir)/$$name"; \
	  "$$program" --generate-completion-script zsh | install -m 644 /dev/stdin "$(zshdir)/_$$name"; \
	  "$$program" --generate-completion-script fish | install -m 644 /dev/stdin "$(fishdir)/$$name.fish"; \
	done
	sed 's|@bindir@|$(PREFIX)/bin|' systemd/imd.service.in | install -m 644 /dev/stdin "$(unitdir)/imd.service"
	install -m 644 systemd/imd.socket "$(unitdir)"
	install -m 644 README.md CHANGELOG.md CONTRIBUTING.md LICENSE "$(docdir)"
	install -m 644 docs/*.* "$(docdir)/docs"
	@scripts/install-tree hooks "$(prefix)/share/imd/hooks"
	@scripts/install-tree examples "$(docdir)/examples"
	for unit in $(filter-out systemd/imd.socket,$(wildcard systemd/*.socket)); do \
	  install -D -m 644 "$$unit" "$(docdir)/examples/systemd/$${unit#systemd/}"; \
	done

uninstall: ## remove what install made
	rm -f $(foreach name,imd imctl,"$(bindir)/$(name)" "$(bashdir)/$(name)" "$(zshdir)/_$(name)" \
	  "$(fishdir)/$(name).fish")
	rm -f $(foreach page,$(wildcard man/*.1),"$(mandir)/man1/$(notdir $(page))") \
	  $(foreach page,$(wildcard man/*.5),"$(mandir)/man5/$(notdir $(page))")
	rm -f "$(unitdir)/imd.service" "$(unitdir)/imd.socket"
	rm -rf "$(docdir)" "$(prefix)/share/imd"

deb: ## a Debian package of what is built, imd_VERSION_ARCH.deb
	@scripts/deps deb
	@scripts/deb "$(IMD_BIN_DIR)"

clean: ## remove everything that was built
	rm -rf .build .venv
