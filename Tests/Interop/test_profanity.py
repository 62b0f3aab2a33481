"""Legacy OMEMO with Profanity: an implementation of its own in C, on libsignal.

It answers no first message with an empty one, and what it had not acknowledged when it quit comes to it again.
"""

import pytest
from harness import LEGACY, Imd, until
from profanity import Profanity


@pytest.fixture
def party(place):
    """Profanity and two users of imd, who all know each other."""
    one, two, three = place.circle()
    with Imd(place, two) as alice, Imd(place, three) as bob:
        alice.online(), bob.online()
        with Profanity(place, one) as profanity:
            for imd in (alice, bob):
                until(lambda: active_devices(imd, one.jid), 20, "its list is pushed")
            yield profanity, alice, bob


def active_devices(imd, jid):
    return [device for device in imd.devices(jid).values() if device["active"]]


def say(profanity, imd, *texts):
    for text in texts:
        profanity.enter(text)
    try:
        messages = imd.messages(len(texts), 20)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{profanity.lines()}\n{imd.told('undecryptable', 'message')}") from None
    assert [m["body"] for m in messages] == list(texts)
    assert {m["encryption"]["protocol"] for m in messages} == {LEGACY}
    assert {m["encryption"]["fingerprint"] for m in messages} == {profanity.fingerprint}


def hear(profanity, imd, *texts):
    for text in texts:
        imd.ok("send", profanity.user.jid, text, "--wait", "server")
    wanted = list(texts)
    until(
        lambda: [t for t in profanity.received(imd.user.jid) if t in wanted] == wanted, 30,
        f"shown, in order:\n{profanity.lines()}")


def test_profanity_and_imd(party):
    profanity, alice, bob = party
    # The first message is imd's; it stays a key exchange until the answer.
    for text in ("first of alice", "second of alice"):
        alice.ok("send", profanity.user.jid, text, "--wait", "server")
    profanity.open(alice.user.jid)
    until(
        lambda: profanity.received(alice.user.jid) == ["first of alice", "second of alice"], 20,
        f"both are shown:\n{profanity.lines()}")
    say(profanity, alice, "answer to alice")
    assert profanity.fingerprints(alice.user.jid) == [alice.fingerprint()]
    [device] = active_devices(alice, profanity.user.jid)
    assert device["fingerprint"] == profanity.fingerprint
    # The first message is Profanity's.
    profanity.open(bob.user.jid)
    say(profanity, bob, "first to bob", "second to bob")
    hear(profanity, bob, "answer of bob")
    # Bursts.
    say(profanity, bob, *(f"to bob {number}" for number in range(20)))
    hear(profanity, bob, *(f"of bob {number}" for number in range(20)))
    # Restarts; what is sent meanwhile waits.
    bob.kill()
    profanity.enter("while bob was away")
    bob.start(wait_online=True)
    assert [m["body"] for m in bob.messages(1)] == ["while bob was away"]
    hear(profanity, bob, "bob is back")
    say(profanity, bob, "welcome back")
    profanity.quit()
    bob.ok("send", profanity.user.jid, "while profanity was away", "--wait", "server")
    profanity.start()
    profanity.open(bob.user.jid)
    until(
        lambda: "while profanity was away" in profanity.received(bob.user.jid), 20,
        f"it is shown:\n{profanity.lines()}")
    hear(profanity, bob, "now that you are back")
    say(profanity, bob, "so I am")
    for imd in (alice, bob):
        assert not [e for e in imd.events(1, "--since", "0") if e["type"] in ("undecryptable", "gap")]
