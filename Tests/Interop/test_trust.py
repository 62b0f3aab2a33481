"""Trust: what a person decides, what policies hold back, and what devices tell each other (threat rows 21 and 30)."""

import base64
import contextlib
import json
import re
import shutil
import subprocess
import time
from xml.etree import ElementTree

import pytest
import xeddsa
from harness import (
    BIN, CANTCREAT, DATAERR, NOINPUT, NOPERM, OMEMO2, USAGE, Api, Imd, Peer, Prosody, assert_explained,
    until)
from terminal import Terminal

VERIFIED_ONLY = '[trust]\npolicy = "verified-only"\n'


@pytest.fixture(scope="module")
def archive():
    """A server of this file's own: its tests take many users."""
    with Prosody([f"user{number}" for number in range(96)], ["--mam", "--mutual", "--nodelay"]) as server:
        yield server


@contextlib.contextmanager
def daemon(server, user=None, config=""):
    """imd with this configuration file, online."""
    imd = Imd(server, user)
    (imd.config / "imd").mkdir(mode=0o700)
    (imd.config / "imd/config.toml").write_text(config)
    with imd:
        yield imd.online()


@pytest.fixture
def strict(archive):
    """A daemon that sends to verified devices alone."""
    with daemon(archive, config=VERIFIED_ONLY) as imd:
        yield imd


@pytest.fixture
def contact(archive):
    with Peer(archive, archive.user()) as peer:
        yield peer


def link(jid, *devices):
    return f"xmpp:{jid}?" + ";".join(f"omemo-sid-{device}={fingerprint}" for device, fingerprint in devices)


def held(imd, jid, text):
    """Sends what must wait; returns its id."""
    done = imd.imctl("send", jid, text)
    assert done.returncode == NOPERM, done
    assert_explained(done.stderr)
    assert "held" in done.stderr and "imctl device verify" in done.stderr
    [waiting] = [m for m in imd.call("outbox.list")["messages"] if m["body"] == text]
    assert waiting["state"] == "held", waiting
    return waiting["id"]


def assert_reads(peer, text):
    assert peer.next("message")["body"] == text


def assert_reads_nothing(peer):
    assert not [e for e in peer.quiet(2) if e["ev"] in ("message", "foreign", "failed")], peer.seen


def trust(imd, jid):
    return {device: known["trust"] for device, known in imd.devices(jid).items()}


def state(imd, message):
    found = imd.call("message.get", id=message)
    return found["state"], found.get("reason")


# Held messages


def test_C30_what_is_held_goes_out_when_the_typed_fingerprint_is_right(strict, contact):
    jid, fingerprint = contact.user.jid, contact.own["fingerprint"]
    message = held(strict, jid, "for your eyes only")
    assert_reads_nothing(contact)
    for typed in (strict.fingerprint(), "f" * 64):
        wrong = strict.imctl("device", "verify", jid, "--fingerprint", typed)
        assert wrong.returncode == NOPERM, wrong
        assert_explained(wrong.stderr)
    assert state(strict, message) == ("held", None)
    spoken = " ".join(re.findall("." * 8, fingerprint.upper()))
    done = strict.imctl("device", "verify", jid, "--fingerprint", spoken)
    assert done.returncode == 0, done.stderr
    assert "1 held messages go out now" in done.stderr
    assert_reads(contact, "for your eyes only")
    strict.ok("send", jid, "and this one at once", "--wait", "server")
    assert_reads(contact, "and this one at once")
    [changed] = strict.told("device", change="trust-changed")
    assert (changed["device"], changed["trust"], changed["source"]) == (contact.own["device"], "verified", "person")


@pytest.mark.parametrize("how", ["argument", "standard input"])
def test_C30_what_is_held_goes_out_when_the_link_is_right(strict, contact, how):
    jid = contact.user.jid
    message = held(strict, jid, "for your eyes only")
    stranger = link(jid, (contact.own["device"], strict.fingerprint()))
    assert strict.imctl("device", "verify", stranger).returncode == NOPERM
    assert state(strict, message) == ("held", None)
    right = link(jid, (contact.own["device"], contact.own["fingerprint"]))
    if how == "argument":
        strict.ok("device", "verify", right)
    else:
        strict.ok("device", "verify", "-", stdin=f"QR-Code:\n{right}\n")
    assert_reads(contact, "for your eyes only")


def test_C30_what_is_held_fails_when_the_device_is_refused(strict, contact):
    jid = contact.user.jid
    message = held(strict, jid, "for your eyes only")
    done = strict.imctl("device", "distrust", jid)
    assert done.returncode == 0, done.stderr
    assert "1 held messages have failed" in done.stderr
    assert state(strict, message) == ("failed", "no-trusted-device")
    assert strict.told("state", id=message, state="failed", reason="no-trusted-device")
    assert strict.imctl("send", jid, "again").returncode == NOPERM
    assert not [m for m in strict.call("outbox.list")["messages"] if m["state"] == "held"]
    assert_reads_nothing(contact)


def test_what_is_held_can_be_taken_back_and_stays_held_over_a_restart(strict, contact):
    jid = contact.user.jid
    first, second = held(strict, jid, "first"), held(strict, jid, "second")
    strict.stop()
    strict.start(wait_online=True)
    assert (state(strict, first), state(strict, second)) == (("held", None), ("held", None))
    strict.ok("outbox", "cancel", first)
    strict.ok("device", "trust", jid, "--all")
    assert_reads(contact, "second")
    assert state(strict, first) == ("failed", "cancelled")
    assert_reads_nothing(contact)


def test_a_decision_made_offline_counts_once_online(archive, strict, contact):
    jid = contact.user.jid
    held(strict, jid, "for your eyes only")
    strict.ok("account", "disconnect", strict.user.jid)
    strict.ok("device", "verify", jid, "--fingerprint", contact.own["fingerprint"])
    strict.ok("account", "connect", strict.user.jid)
    assert_reads(contact, "for your eyes only")


def test_another_policy_lets_go_what_was_held(archive, contact):
    jid = contact.user.jid
    with daemon(archive) as imd:
        imd.ok("encryption", jid, "--policy", "verified-only")
        held(imd, jid, "for your eyes only")
        imd.ok("encryption", jid, "--policy", "always")
        assert_reads(contact, "for your eyes only")


def test_what_the_configuration_fixes_is_not_set_by_a_call(archive):
    user, contact = archive.user(), archive.user()
    fixed = f'[account."{user.jid}".trust]\npolicy = "verified-only"\n'
    with daemon(archive, user, fixed) as imd:
        done = imd.imctl("encryption", "--policy", "always")
        assert done.returncode == CANTCREAT, done
        assert_explained(done.stderr)
        assert json.loads(imd.ok("encryption", "--json"))["policySource"] == "configuration"
        imd.ok("encryption", contact.jid, "--policy", "always")
        assert json.loads(imd.ok("encryption", contact.jid, "--json"))["policySource"] == "contact"


# Pins in version control


def test_pins_are_exported_and_imported_before_the_device_was_ever_seen(archive, strict, contact):
    jid = contact.user.jid
    strict.ok("device", "verify", jid, "--fingerprint", contact.own["fingerprint"])
    strict.ok("encryption", jid, "--policy", "verified-only")
    pins = strict.ok("device", "trust", "--export")
    assert f"{jid} {contact.own['fingerprint']} verified" in pins
    with daemon(archive, config=VERIFIED_ONLY) as bot:
        assert bot.ok("device", "trust", "--import", "-", stdin=pins) == "2 changed\n"
        assert bot.ok("device", "trust", "--import", "-", stdin=pins) == "0 changed\n"
        assert bot.ok("device", "trust", "--export") == pins
        bot.ok("send", jid, "no questions asked", "--wait", "server")
        assert_reads(contact, "no questions asked")


def test_an_import_lets_go_what_was_held_and_a_wrong_line_changes_nothing(strict, contact):
    jid, fingerprint = contact.user.jid, contact.own["fingerprint"]
    held(strict, jid, "for your eyes only")
    done = strict.imctl("device", "trust", "--import", "-", stdin=f"{jid} {fingerprint} verified\n{jid} c0ffee verified\n")
    assert done.returncode != 0 and ":2:" in done.stderr, done
    assert trust(strict, jid) == {contact.own["device"]: "undecided"}
    strict.ok("device", "trust", "--import", "-", stdin=f"# from git\n{jid} {fingerprint} verified  # laptop\n")
    assert_reads(contact, "for your eyes only")


@pytest.mark.parametrize("text", ["", "# nothing to see here\n"])
def test_a_file_that_pins_nothing_is_not_mistaken_for_protection(strict, contact, text):
    held(strict, contact.user.jid, "for your eyes only")
    done = strict.imctl("device", "trust", "--import", "-", stdin=text)
    assert done.returncode == DATAERR and done.stdout == "", done
    assert_explained(done.stderr)


# All devices of somebody


def test_all_devices_are_shown_with_their_fingerprints_before_they_are_trusted(strict, contact):
    jid, fingerprint = contact.user.jid, contact.own["fingerprint"]
    held(strict, jid, "for your eyes only")
    silent = strict.imctl("device", "trust", jid, stdin="y\n")
    assert silent.returncode == USAGE and "--all" in silent.stderr, silent
    assert_explained(silent.stderr)
    for answer, level in (("n", "undecided"), ("y", "verified")):
        with Terminal([BIN / "imctl", "device", "trust", jid], strict.environment) as terminal:
            shown = terminal.expect("[y/N]")
            assert str(contact.own["device"]) in shown
            assert " ".join(re.findall("." * 8, fingerprint)) in shown
            terminal.type(answer + "\n")
            assert terminal.wait() == (0 if level == "verified" else USAGE), terminal.shown
        assert trust(strict, jid) == {contact.own["device"]: level}
    assert_reads(contact, "for your eyes only")


def test_a_device_that_comes_between_question_and_answer_is_not_trusted(archive, strict, contact):
    jid = contact.user.jid
    strict.devices(jid)
    with Terminal([BIN / "imctl", "device", "trust", jid], strict.environment) as terminal:
        terminal.expect("[y/N]")
        with Peer(archive, contact.user) as sneak:
            until(lambda: sneak.own["device"] in strict.devices(jid), 20, "the push arrives")
            terminal.type("y\n")
            assert terminal.wait() == 0, terminal.shown
            assert trust(strict, jid) == {contact.own["device"]: "verified", sneak.own["device"]: "undecided"}


@pytest.mark.parametrize("level", ["verified", "blind"])
def test_the_api_trusts_no_device_that_nobody_named(strict, contact, level):
    jid = contact.user.jid
    strict.devices(jid)
    with Api(strict) as api:
        assert api.fails("device.trust", jid=jid, trust=level)["data"]["code"] == "invalid-params"
        both = dict(fingerprints=[contact.own["fingerprint"], strict.fingerprint()])
        assert api.fails("device.trust", jid=jid, trust=level, **both)["data"]["code"] == "no-such-device"
        assert trust(strict, jid) == {contact.own["device"]: "undecided"}
        [changed] = api.call("device.trust", jid=jid, trust=level, fingerprints=[contact.own["fingerprint"]])["devices"]
    assert (changed["device"], changed["trust"]) == (contact.own["device"], level)


def test_a_verification_tells_of_devices_that_were_trusted_blindly_before_and_read_on(archive, contact):
    jid = contact.user.jid
    with daemon(archive) as imd, Peer(archive, contact.user) as second:
        until(lambda: len(imd.devices(jid)) == 2, 20, "both devices are known")
        device, fingerprint = second.own["device"], second.own["fingerprint"]
        verify = ["device", "verify", jid, "--fingerprint", contact.own["fingerprint"]]
        told = imd.imctl(*verify)
        assert told.returncode == 0 and str(device) not in told.stdout, told
        assert " ".join(re.findall("." * 8, fingerprint)) in told.stderr
        assert f"imctl device distrust {jid} {device}" in told.stderr
        imd.ok("send", jid, "as was said", "--wait", "server")
        assert_reads(second, "as was said")
        [open_device] = json.loads(imd.ok(*verify, "--json"))["unverified"]
        assert (open_device["device"], open_device["trust"], open_device["receives"]) == (device, "blind", True)
        imd.ok("device", "distrust", jid, device)
        quiet = imd.imctl(*verify, "--json")
        assert "unverified" not in json.loads(quiet.stdout) and quiet.stderr == "", quiet


# Devices that a server sneaks in


@pytest.mark.parametrize("side", ["theirs", "ours"])
def test_C30_after_one_verification_a_device_that_the_server_adds_reads_nothing(archive, contact, side):
    jid = contact.user.jid
    with daemon(archive) as imd, contextlib.ExitStack() as others:
        imd.ok("send", jid, "before", "--wait", "server")
        assert_reads(contact, "before")
        if side == "theirs":
            owner = contact.user
            imd.ok("device", "verify", jid, "--fingerprint", contact.own["fingerprint"])
        else:
            owner = imd.user
            phone = others.enter_context(Peer(archive, owner))
            until(lambda: phone.own["device"] in imd.devices(owner.jid), 20, "the push arrives")
            imd.ok("device", "verify", owner.jid, "--fingerprint", phone.own["fingerprint"])
        sneak = others.enter_context(Peer(archive, owner, options=["--carbons"]))
        device = sneak.own["device"]
        until(lambda: device in imd.devices(owner.jid), 20, "the push arrives")
        sneak.quiet(1)
        sneak.seen.clear()
        result = json.loads(imd.ok("send", jid, "after", "--json", "--wait", "server"))
        assert {"jid": owner.jid, "device": device, "reason": "untrusted"} in result["excluded"]
        assert device not in [known["device"] for known in result["devices"]]
        assert_reads(contact, "after")
        assert "after" not in [e.get("body") for e in sneak.quiet(2) + sneak.seen]
        assert imd.told("device", jid=owner.jid, device=device, change="added")
        assert imd.told("device", jid=owner.jid, device=device, change="trust-needed", trust="undecided")
        warned = imd.imctl("send", jid, "and again")
        assert warned.returncode == 0 and f"device {device} of {owner.jid} cannot read" in warned.stderr


# Automatic trust management (XEP-0450)


def identity_key(peer):
    """The Ed25519 key that it publishes, in base64."""
    items = peer.do("fetch", jid=peer.user.jid, node=f"{OMEMO2}:bundles")["items"]
    keys = [ik.text for item in items for ik in ElementTree.fromstring(item).iter(f"{{{OMEMO2}}}ik")]
    shown = {xeddsa.ed25519_pub_to_curve25519_pub(base64.b64decode(key)).hex(): key for key in keys}
    return shown[peer.own["fingerprint"]]


def trust_message(jid, key, word="trust", usage="urn:xmpp:atm:1"):
    return (
        f"<trust-message xmlns='urn:xmpp:tm:1' usage='{usage}' encryption='{OMEMO2}'>"
        f"<key-owner jid='{jid}'><{word}>{key}</{word}></key-owner></trust-message>")


@pytest.mark.parametrize("order", ["verified first", "told first"])
def test_the_word_of_another_client_about_its_own_devices_counts_once_it_is_verified(place, order):
    one, two, _ = place.circle()
    with Imd(place, one) as imd, Peer(place, two, options=["--only", "omemo2"]) as laptop, \
            Peer(place, two, options=["--only", "omemo2"]) as phone:
        imd.online()
        # A server that keeps one bundle has that of the phone; the laptop shows its key by writing.
        laptop.send(one.jid, version="omemo2", body="hello")
        imd.messages(1)
        until(lambda: len(imd.devices(two.jid)) == 2, 20, "both devices are known")
        told = trust_message(two.jid, identity_key(phone))
        if order == "verified first":
            imd.ok("device", "verify", two.jid, "--fingerprint", laptop.own["fingerprint"])
            laptop.send(one.jid, version="omemo2", body="", content=told)
        else:
            laptop.send(one.jid, version="omemo2", body="", content=told)
            laptop.send(one.jid, version="omemo2", body="that was me")
            imd.messages(1)
            assert trust(imd, two.jid) == {laptop.own["device"]: "blind", phone.own["device"]: "blind"}
            imd.ok("device", "verify", two.jid, "--fingerprint", laptop.own["fingerprint"])
        both = {laptop.own["device"]: "verified", phone.own["device"]: "verified"}
        until(lambda: trust(imd, two.jid) == both, 20, "the word counts")
        assert imd.told("device", device=phone.own["device"], change="trust-changed", source="trust-message")
        laptop.send(one.jid, version="omemo2", body="", content=trust_message(two.jid, identity_key(phone), "distrust"))
        until(lambda: trust(imd, two.jid)[phone.own["device"]] == "distrusted", 20, "so does a refusal")


def test_verifying_once_carries_over_to_two_devices_on_each_side(place):
    alice, bob, _ = place.circle()
    with Imd(place, alice) as a1, Imd(place, alice) as a2, Imd(place, bob) as b1, Imd(place, bob) as b2:
        daemons = [imd.online() for imd in (a1, a2, b1, b2)]
        own = {imd: imd.call("account.list")["accounts"][0]["device"] for imd in daemons}
        for imd in daemons:
            for jid in (alice.jid, bob.jid):
                until(lambda: len(imd.devices(jid)) == 2, 20, "both devices are known")
        # Each pair compares fingerprints once; (a1, b2), (a2, b1) and (a2, b2) never do.
        for one, other in ((a1, a2), (a1, b1), (b1, b2)):
            one.ok("device", "verify", other.user.jid, "--fingerprint", other.fingerprint())
            other.ok("device", "verify", one.user.jid, "--fingerprint", one.fingerprint())
        for imd in daemons:
            wanted = {own[other]: "verified" for other in daemons}
            until(lambda: {**trust(imd, alice.jid), **trust(imd, bob.jid)} == wanted, 30, f"everybody is verified: {imd.log()[-2000:]}")
        assert a2.told("device", device=own[b2], change="trust-changed", source="trust-message")
        # What one refuses its other devices refuse, though it was decided without a connection.
        a1.call("account.disconnect", account=alice.jid)
        a1.ok("device", "distrust", bob.jid, own[b2])
        a1.call("account.connect", account=alice.jid)
        until(lambda: trust(a2, bob.jid)[own[b2]] == "distrusted", 20, "the refusal arrives")
        # None of it was a message, and after a restart the archive holds no surprise.
        for imd in daemons:
            imd.stop()
            imd.start(wait_online=True)
            until(lambda: not imd.call("account.list")["accounts"][0].get("catchingUp"), 20, "the archive is read")
        time.sleep(6)  # a stanza without a key for this device is complained about after 5
        for imd in daemons:
            assert imd.told("message", "undecryptable", "error", "gap") == []
        a2.ok("send", bob.jid, "hello from the second", "--wait", "server")
        assert [m["body"] for m in b1.messages(1)] == ["hello from the second"]
        assert imd.told("error") == []


# Links and QR codes


def decoded(drawing):
    """What zbarimg reads in lines of half blocks, dark on light."""
    halves = {"█": "11", "▀": "10", "▄": "01", " ": "00"}
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in drawing]
    return decode([[halves[c][half] for c in line] for line in lines for half in (0, 1)])


def decode(rows, scale=4):
    pixels = [bit for row in rows for _ in range(scale) for bit in row for _ in range(scale)]
    image = f"P1\n{len(rows[0]) * scale} {len(rows) * scale}\n" + "\n".join(
        "".join(pixels[i:i + 64]) for i in range(0, len(pixels), 64))
    done = subprocess.run(
        ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", "-"], input=image.encode() + b"\n",
        capture_output=True, timeout=30)
    return done.stdout.decode().rstrip("\n")


@pytest.mark.skipif(not shutil.which("zbarimg"), reason="needs zbar-tools")
@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_the_drawn_qr_code_is_the_link(archive, contact, whose):
    with daemon(archive) as imd:
        jid = contact.user.jid if whose == "theirs" else imd.user.jid
        named = [jid] if whose == "theirs" else []
        if named:  # what nobody has verified is vouched for by nobody
            done = imd.imctl("device", "qr", "--uri", jid)
            assert done.returncode != 0 and done.stdout == "", done
            assert_explained(done.stderr)
            imd.ok("device", "verify", jid, "--fingerprint", contact.own["fingerprint"])
        printed = imd.ok("device", "qr", "--uri", *named).strip()
        device, fingerprint = {
            "ours": (imd.call("account.list")["accounts"][0]["device"], imd.fingerprint()),
            "theirs": (contact.own["device"], contact.own["fingerprint"])}[whose]
        assert printed == link(jid, (device, fingerprint))
        *drawing, text = imd.ok("device", "qr", *named).splitlines()
        assert text == decoded(drawing) == printed
        rows = imd.call("device.uri", jid=jid, qr=True)["qr"]
        quiet = ["0" * (len(rows) + 8)] * 4
        assert decode(quiet + [f"0000{row}0000" for row in rows] + quiet) == printed


def test_a_link_that_one_imd_prints_verifies_on_another(archive):
    with daemon(archive, config=VERIFIED_ONLY) as imd, daemon(archive) as other:
        held(imd, other.user.jid, "for your eyes only")
        imd.ok("device", "verify", "-", stdin=other.ok("device", "qr", "--uri"))
        assert [m["body"] for m in other.messages(1)] == ["for your eyes only"]


# Mistakes and old devices


def test_mistakes_are_explained(strict, contact):
    jid = contact.user.jid
    cases = [
        (("device", "verify", jid, "--fingerprint", "c0ffee"), USAGE),
        (("device", "verify", "xmpp:" + jid), USAGE),
        (("device", "trust", jid, "77"), NOINPUT),
        (("device", "trust", jid, "0" * 64), NOINPUT),
        (("device", "distrust", "nobody-we-know@imd.test"), NOINPUT),
        (("device", "verify", strict.user.jid, "--fingerprint", strict.fingerprint()), NOPERM),
        (("device", "remove", "77", "--yes"), NOINPUT),
        (("device", "reset", jid, "77"), NOINPUT),
    ]
    for command, status in cases:
        done = strict.imctl(*command)
        assert done.returncode == status, (command, done)
        assert_explained(done.stderr)
    assert trust(strict, jid) == {contact.own["device"]: "undecided"}


def test_an_old_device_of_ours_is_taken_off_the_lists(archive):
    user = archive.user()
    with daemon(archive, user) as imd, daemon(archive) as other:
        with daemon(archive, user) as old:
            device = old.call("account.list")["accounts"][0]["device"]
            until(lambda: other.devices(user.jid).get(device, {}).get("active"), 20, "it is listed")
            old.stop()
        imd.ok("device", "remove", device, "--yes")
        until(lambda: not other.devices(user.jid)[device]["active"], 20, "it is listed no more")
        assert imd.imctl("device", "remove", device, "--yes").returncode == NOINPUT
        other.ok("send", user.jid, "to the one that is left", "--wait", "server")
        assert [m["body"] for m in imd.messages(1)] == ["to the one that is left"]


@pytest.mark.parametrize("server", ["answers", "is frozen"])
def test_a_removed_account_goes_at_once_and_what_the_server_kept_is_told(server):
    with Prosody(["alice", "bob"], ["--mam", "--mutual", "--nodelay"]) as prosody:
        user = prosody.user()
        with daemon(prosody, user) as imd, daemon(prosody, user) as other:
            device = imd.call("account.list")["accounts"][0]["device"]
            until(lambda: other.devices(user.jid).get(device, {}).get("active"), 20, "it is listed")
            if server == "is frozen":
                prosody.pause()
            begin = time.monotonic()
            done = imd.imctl("account", "remove", "--yes", user.jid, "--json")
            took = time.monotonic() - begin
            prosody.resume()
            assert done.returncode == 0 and took < 8, (took, done)
            assert imd.call("account.list")["accounts"] == []
            result = json.loads(done.stdout)
            assert result["device"] == device
            if server == "answers":
                assert (result["listed"], result["keys"], done.stderr) == ([], [], "")
            else:
                both = ["legacy", "omemo2"]
                assert (result["listed"], result["keys"]) == (both, both)
                assert f"imctl device remove {device}" in done.stderr
                assert took > 4, "the server had its time"
                other.ok("status", "--wait", "online", "--timeout", "60")
                other.imctl("device", "remove", device, "--yes")
            until(lambda: not other.devices(user.jid)[device]["active"], 30, "it is listed no more")


def test_a_session_is_replaced_at_command(archive, contact):
    with daemon(archive) as imd:
        imd.ok("send", contact.user.jid, "before", "--wait", "server")
        assert_reads(contact, "before")
        contact.send(imd.user.jid, "answer")
        imd.messages(1)
        contact.do("forget", jid=imd.user.jid, device=imd.call("account.list")["accounts"][0]["device"])
        assert imd.ok("device", "reset", contact.user.jid) == f"{contact.own['device']}\n"
        assert imd.told("device", device=contact.own["device"], change="session-renewed")
        imd.ok("send", contact.user.jid, "after", "--wait", "server")
        assert_reads(contact, "after")
