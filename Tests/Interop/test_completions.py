"""TAB in real shells: what is offered, what stands on the line then, and that nobody's name can run a command."""

import re
import shlex
import subprocess
import time

import pytest
from harness import BIN, Imd
from terminal import Terminal

# Signs that some shell gives a meaning to; XMPP allows all of them in a name (RFC 7622, section 3.3.1).
HOSTILE = [
    "$({touch,pwned})", "`{touch,pwned}`", "a;b", "a|b", "*", "?", "~root", r"a\20b", "!x", "#x", "a$b", "[x]", "(a)",
    "{a,b}", "a^b", "a=b", "a%b", "a+b", "é", "<(", ">x", "$x"]

RC = {
    "bash": """
PS1='> '
bind 'set enable-bracketed-paste off'
bind '"\\C-t": insert-completions'
source {scripts}/imctl; source {scripts}/imd
""",
    "zsh": """
PS1='> '; PS2='> '; unset zle_bracketed_paste
fpath=({scripts} $fpath)
autoload -U compinit; compinit -u -D
bindkey -e
zle -C all-matches complete-word _generic
bindkey '^T' all-matches
zstyle ':completion:all-matches:*' insert yes
zstyle ':completion:all-matches:*' completer _all_matches _complete
""",
    "fish": """
function fish_prompt; echo '> '; end
set fish_greeting
source {scripts}/imctl.fish; source {scripts}/imd.fish
""",
}
SCRIPT = {"bash": "{}", "zsh": "_{}", "fish": "{}.fish"}
END, START, ALL = "\x05", "\x01", "\x14"


class Shell:
    """An interactive shell with the completions of both commands."""

    def __init__(self, name, imd, folder):
        self.name, self.folder, self.home = name, folder / "work", folder / f"home-{name}"
        scripts = folder / f"scripts-{name}"
        for path in (self.folder, self.home, scripts, self.home / ".config/fish"):
            path.mkdir(parents=True, exist_ok=True)
        for command in ("imctl", "imd"):
            script = scripts / SCRIPT[name].format(command)
            script.write_bytes(subprocess.run(
                [BIN / command, "--generate-completion-script", name], check=True, capture_output=True).stdout)
        rc = {"bash": "bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}[name]
        (self.home / rc).write_text(RC[name].format(scripts=scripts))
        self.environment = {
            **imd.environment, "PATH": f"{BIN}:/usr/bin:/bin", "ZDOTDIR": str(self.home), "TERM": "dumb",
            "LC_ALL": "C.UTF-8", "EDITOR": "", "VISUAL": ""}
        if name == "fish":
            self.environment.update(HOME=str(self.home), XDG_CONFIG_HOME=str(self.home / ".config"))
        self.start = {"bash": f"exec bash --noprofile --rcfile {self.home}/bashrc -i", "zsh": "exec zsh -i",
                      "fish": "exec fish -i"}[name]

    def words(self, keys):
        """The words that stand on the line after these keys, as the shell itself takes them."""
        with Terminal(["/bin/sh", "-c", f"cd {self.folder} && {self.start}"], self.environment) as terminal:
            terminal.expect("> ")
            time.sleep(0.3)
            terminal.type(f"{keys}{END} END{START}printf '[%s]\\n' \r")
            shown = terminal.expect("[END]")
        lines = re.split(r"\r?\n|\r", re.sub(r"\x1b\[[0-9;?>=]*[a-zA-Z]|\x1b[=>]|\x1b\]\d+;.*?\x07", "", shown))
        return [line[1:-1] for line in lines if line.startswith("[") and line.endswith("]")]

    def completed(self, line):
        """The line's last word after TAB."""
        return self.words(line + "\t")[-1]

    def offered(self, line):
        """All that is offered for the last word of the line."""
        if self.name == "fish":
            done = subprocess.run(
                ["fish", "-i", "-c", f"complete -C{shlex.quote(line)}"], env=self.environment, cwd=self.folder,
                capture_output=True, text=True, timeout=60)
            assert done.stderr == ""
            return {entry.split("\t")[0] for entry in done.stdout.splitlines()}
        before = len(line.split(" ")) - 1
        return set(self.words(line + ALL)[before:])


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request, contacts, tmp_path):
    return Shell(request.param, contacts, tmp_path)


@pytest.fixture(scope="module")
def contacts(server):
    """A daemon with an account, contacts, a consumer and a message that waits."""
    with Imd(server) as imd:
        imd.online()
        for name in ("bob", "carol", "carl"):
            imd.ok("contact", "add", f"{name}@imd.test")
        imd.imctl("receive", "--consumer", "night-watch", "--timeout", "0")
        imd.ok("account", "disconnect", imd.user.jid)
        imd.ok("send", "bob@imd.test", "waits for the network", "--id", "waiting-1")
        yield imd


def test_commands_options_and_their_words_are_offered(shell):
    assert shell.offered("imctl outbox ") >= {"list", "cancel", "retry"}
    assert shell.offered("imctl presence set ") == {"online", "chat", "away", "xa", "dnd", "offline"}
    assert shell.offered("imctl send --wait ") == {"queued", "sent", "server", "delivered", "displayed"}
    assert shell.completed("imctl doct") == "doctor"
    assert shell.completed("imctl send --plain") == "--plaintext"
    assert shell.offered("imctl call outbox.") == {"outbox.list", "outbox.cancel", "outbox.retry"}


def test_imd_completes_its_options(shell):
    assert shell.completed("imd --change-k") == "--change-key"
    assert shell.offered("imd --change-key ") == {"file", "secret-service", "credential", "passphrase"}


def test_contacts_and_accounts_are_offered(shell, contacts):
    everybody = {f"{name}@imd.test" for name in ("bob", "carol", "carl")}
    assert shell.offered("imctl send ") == everybody
    assert shell.offered("imctl device trust ") == everybody
    assert shell.offered("imctl send --account ") == {contacts.user.jid}
    assert shell.offered(f"imctl history --account {contacts.user.jid} ca") == everybody - {"bob@imd.test"}


def test_a_contact_is_completed_also_behind_the_at_sign(shell):
    for typed in ("b", "bob@", "bob@imd.te"):
        assert shell.words(f"imctl send {typed}\thello") == ["imctl", "send", "bob@imd.test", "hello"]
    assert shell.words("imctl send --plaintext carol@i\t") == ["imctl", "send", "--plaintext", "carol@imd.test"]
    assert shell.completed("imctl send ca") == "car", "as far as it is the same"
    assert shell.completed("imctl outbox cancel ") == "waiting-1", "without a beginning"


def test_devices_consumers_and_waiting_messages_are_offered(shell, contacts):
    assert shell.offered(f"imctl device distrust {contacts.user.jid} ") == {str(contacts.device())}
    assert shell.offered("imctl consumer remove ") == {"night-watch"}
    assert shell.offered("imctl outbox cancel ") == {"waiting-1"}


def test_files_are_completed_where_a_file_is_wanted(shell):
    (shell.folder / "my backup@home.imd").write_text("")
    assert shell.completed("imctl account import my") == "my backup@home.imd"


@pytest.fixture(scope="module")
def crowd(server):
    """A daemon whose contacts chose their names."""
    with Imd(server) as imd:
        imd.online()
        names = set()
        for name in HOSTILE:
            if imd.imctl("contact", "add", "--", f"{name}@imd.test").returncode == 0:
                names.add(f"{name}@imd.test")
        imd.ok("contact", "add", "--", "--plaintext@imd.test")
        assert len(names) >= 18
        imd.names = names
        yield imd


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_no_name_runs_a_command_or_is_anything_but_a_word(name, crowd, tmp_path):
    shell = Shell(name, crowd, tmp_path)
    # One that would pass for an option is not offered.
    assert shell.offered("imctl send ") == crowd.names
    for typed, meant in (("a\\;", "a;b"), ("a\\|", "a|b"), ("\\#", "#x"), ("é", "é")):
        assert shell.completed(f"imctl send {typed}") == f"{meant}@imd.test"
    assert list(shell.folder.iterdir()) == []


def test_without_imd_nothing_is_offered_and_nothing_said(shell, contacts):
    shell.environment["XDG_RUNTIME_DIR"] = str(shell.home)
    assert shell.offered("imctl send ") == set()
    assert shell.words("imctl send \tbob") == ["imctl", "send", "bob"]
    began = time.monotonic()
    done = subprocess.run(
        [BIN / "imctl", "---completion", "send", "--", "positional@0", "2", "0", "imctl", "send", ""],
        env={**shell.environment, "SAP_SHELL": shell.name}, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "") and time.monotonic() - began < 1


def test_a_question_that_makes_no_sense_is_answered_by_silence(contacts):
    done = contacts.imctl("---completion", "no-such-command", "--", "positional@9")
    assert done.returncode != 0 and done.stdout == done.stderr == ""
