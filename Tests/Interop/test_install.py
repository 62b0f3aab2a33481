"""What `make install` places and `make uninstall` takes away, and the Debian package made of it."""

import filecmp
import gzip
import hashlib
import os
import re
import shutil
import stat
import subprocess

import pytest
from harness import BIN, ROOT

PROGRAMS = {"bin/imd", "bin/imctl"}
COMPLETIONS = {
    "share/bash-completion/completions/imd", "share/bash-completion/completions/imctl",
    "share/zsh/site-functions/_imd", "share/zsh/site-functions/_imctl",
    "share/fish/vendor_completions.d/imd.fish", "share/fish/vendor_completions.d/imctl.fish"}
UNITS = {"lib/systemd/user/imd.service", "lib/systemd/user/imd.socket"}


def below(folder):
    """Every file below it by its path, with its mode."""
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode)
        for path in folder.rglob("*") if not path.is_dir()}


def copies(source, target):
    """Where the files of a folder of the repository go."""
    return {
        f"{target}/{path.relative_to(ROOT / source)}"
        for path in (ROOT / source).rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def expected():
    files = PROGRAMS | COMPLETIONS | UNITS
    files |= {f"share/man/man{path.suffix[1:]}/{path.name}" for path in (ROOT / "man").iterdir()}
    files |= {f"share/doc/imd/{name}" for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE")}
    files |= {f"share/doc/imd/docs/{path.name}" for path in (ROOT / "docs").iterdir() if path.is_file()}
    # Those that need a configuration of their own are examples.
    sockets = {path.name for path in (ROOT / "systemd").glob("*.socket")} - {"imd.socket"}
    files |= {f"share/doc/imd/examples/systemd/{name}" for name in sockets}
    return files | copies("hooks", "share/imd/hooks") | copies("examples", "share/doc/imd/examples")


def make(*arguments):
    # Whatever mask the person has who installs, others must be able to use it.
    return subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory", f"IMD_BIN_DIR={BIN}", *arguments], check=True, timeout=300,
        capture_output=True, text=True, umask=0o022)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("install")
    make("install", f"DESTDIR={folder}", "PREFIX=/opt/imd")
    return folder


def test_everything_is_placed_and_nothing_else(installed):
    assert set(below(installed)) == {f"opt/imd/{name}" for name in expected()}


def test_programs_can_be_run_by_everybody_and_the_rest_be_read(installed):
    for name, mode in below(installed).items():
        is_script = re.search("/(hooks|examples)/", name) and mode == 0o755
        assert mode == (0o755 if "/bin/" in name or is_script else 0o644), name
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o755 for path in installed.rglob("*") if path.is_dir())


def test_the_unit_starts_the_installed_program(installed):
    text = (installed / "opt/imd/lib/systemd/user/imd.service").read_text()
    assert "\nExecStart=/opt/imd/bin/imd\n" in text and "@" not in re.sub("^#.*|@system-service", "", text, flags=re.M)
    done = subprocess.run([installed / "opt/imd/bin/imctl", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("imctl ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completions_are_scripts_of_their_shell(installed, shell):
    scripts = [installed / "opt/imd" / name for name in COMPLETIONS if f"/{shell}" in name]
    assert len(scripts) == 2
    for script in scripts:
        subprocess.run([shell, "-n", script], check=True)
        assert not script.read_text().startswith("#!")


def test_uninstall_takes_away_what_install_placed_and_leaves_the_rest(tmp_path):
    make("install", f"DESTDIR={tmp_path}")
    other = tmp_path / "usr/local/share/man/man1/other.1"
    other.write_text("somebody else's")
    make("uninstall", f"DESTDIR={tmp_path}")
    assert set(below(tmp_path)) == {"usr/local/share/man/man1/other.1"}
    assert not (tmp_path / "usr/local/share/doc/imd").exists()


def test_without_programs_nothing_is_installed(tmp_path):
    done = subprocess.run(
        ["make", "-C", ROOT, "install", f"DESTDIR={tmp_path}/target", f"IMD_BIN_DIR={tmp_path}"], capture_output=True,
        text=True)
    assert done.returncode != 0 and "hint: run: make build" in done.stderr
    assert not (tmp_path / "target").exists()


# The Debian package

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="not a Debian system")


def build(folder, *options):
    done = subprocess.run(
        [ROOT / "scripts/deb", "--development", *options, BIN, folder], check=True, timeout=300, capture_output=True,
        text=True, umask=0o077, env={**os.environ, "DEBFULLNAME": "A Tester", "DEBEMAIL": "tester@imd-project.net"})
    return done.stdout.strip()


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return build(tmp_path_factory.mktemp("deb"))


@needs_dpkg
def test_the_package_holds_what_is_installed_where_debian_wants_it(package, tmp_path):
    subprocess.run(["dpkg-deb", "-R", package, tmp_path], check=True)
    files = below(tmp_path)
    wanted = {name.replace("site-functions", "vendor-completions") for name in expected()}
    wanted = {name + ".gz" if name.startswith("share/man/") else name for name in wanted}
    wanted -= {"share/doc/imd/CHANGELOG.md", "share/doc/imd/LICENSE"}
    wanted |= {f"share/doc/imd/{name}" for name in ("changelog.gz", "changelog.Debian.gz", "copyright")}
    wanted |= {"share/lintian/overrides/imd"}
    assert set(files) == {f"usr/{name}" for name in wanted} | {"DEBIAN/control", "DEBIAN/md5sums"}
    assert all(mode in (0o644, 0o755) for mode in files.values())
    assert "ExecStart=/usr/bin/imd\n" in (tmp_path / "usr/lib/systemd/user/imd.service").read_text()
    control = (tmp_path / "DEBIAN/control").read_text()
    assert re.search(r"^Depends: .*libc6 .*libsodium23 .*libsqlite3-0 ", control, re.M)
    notices = (tmp_path / "usr/share/doc/imd/copyright").read_text()
    assert all(name in notices for name in ("GRDB.swift", "TOMLKit", "swift-nio-ssl", "BoringSSL"))
    assert (ROOT / "CHANGELOG.md").read_bytes() == gzip.decompress(
        (tmp_path / "usr/share/doc/imd/changelog.gz").read_bytes())


def members(package):
    """What it is packed of (deb(5)), each by its digest: a difference says where it is."""
    def ar(*arguments):
        return subprocess.run(["ar", *arguments], check=True, capture_output=True).stdout
    names = ar("t", package).decode().split()
    return {name: hashlib.sha256(ar("p", package, name)).hexdigest() for name in names}


@needs_dpkg
@pytest.mark.parametrize("epoch", [1_000_000_000, 4_000_000_000], ids=["past", "future"])
def test_the_same_programs_make_the_same_package(tmp_path, monkeypatch, epoch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(epoch))
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    one, other = build(one), build(other)
    assert members(one) == members(other)
    assert filecmp.cmp(one, other, shallow=False)


@needs_dpkg
def test_the_installed_size_is_that_of_the_files_and_not_of_their_blocks(package, tmp_path):
    """deb-substvars(5): every file rounded up to KiB, and one for each of the rest."""
    subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True)
    size = sum(
        -(-path.stat().st_size // 1024) if path.is_file() and not path.is_symlink() else 1
        for path in [tmp_path / "usr", *(tmp_path / "usr").rglob("*")])
    field = subprocess.run(["dpkg-deb", "-f", package, "Installed-Size"], check=True, capture_output=True, text=True)
    assert int(field.stdout) == size


@needs_dpkg
def test_lintian_accepts_the_package(package):
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed")
    done = subprocess.run(
        # Programs for debugging find Swift's libraries where the toolchain has them.
        ["lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags", "custom-library-search-path", package],
        capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@needs_dpkg
@pytest.mark.skipif(os.geteuid() != 0, reason="dpkg wants root")
def test_it_installs_upgrades_and_is_removed_without_a_trace(package, tmp_path):
    root = tmp_path / "root"
    (root / "var/lib/dpkg").mkdir(parents=True)
    for name in ("status", "available"):
        (root / "var/lib/dpkg" / name).touch()
    for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"):
        (root / folder).mkdir()
    log = tmp_path / "dpkg.log"

    def dpkg(*arguments):
        # What it depends on is not there, and need not be.
        done = subprocess.run(
            ["dpkg", f"--root={root}", f"--log={log}", "--force-depends", *arguments], capture_output=True, text=True,
            timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def version():
        done = subprocess.run(
            ["dpkg-query", f"--root={root}", "-W", "-f", "${db:Status-Status} ${Version}", "imd"], capture_output=True,
            text=True)
        return done.stdout

    older = build(tmp_path, "--version", "0.0.9-1")
    dpkg("-i", older)
    assert version() == "installed 0.0.9-1"
    assert (root / "usr/bin/imctl").exists()
    dpkg("-i", package)
    assert re.fullmatch(r"installed (?!0\.0\.9).+-1", version())
    dpkg("--verify", "imd")
    config = root / "home/alice/.config/imd"
    config.mkdir(parents=True)
    (config / "config.toml").touch()
    dpkg("-P", "imd")
    assert version() == "" or "not-installed" in version()
    left = {name for name in below(root) if not name.startswith("var/lib/dpkg/")}
    assert left == {"home/alice/.config/imd/config.toml"}, "what belongs to people stays"
    assert not (root / "usr").exists()
