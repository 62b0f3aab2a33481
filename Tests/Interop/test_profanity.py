"""Legacy OMEMO with Profanity: an implementation of its own in C, on libsignal.

It answers no first message with an empty one, and what it had not acknowledged when it quit comes to it again.
"""

import pytest
from harness import LEGACY, Imd, Peer, encrypted_stanzas, until
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


def device_of(profanity, imd):
    """Its id, as imd knows it."""
    return next(
        id for id, device in imd.devices(profanity.user.jid).items()
        if device.get("fingerprint") == profanity.fingerprint)


def keys_for(server, sender, known):
    """Whom the newest message of a device has keys for, once there are more than `known`."""
    until(lambda: len(encrypted_stanzas(server.capture(), sender)) > known, 20, "it has passed")
    return encrypted_stanzas(server.capture(), sender)[-1][2]


def test_second_devices_of_profanity_and_imd_and_their_removal(place, party):
    profanity, alice, _ = party
    contact = profanity.user.jid
    profanity.open(alice.user.jid)
    say(profanity, alice, "to the only device")
    with Imd(place, alice.user) as second:
        second.online()
        until(lambda: len(active_devices(alice, alice.user.jid)) == 2, 20, "imd knows its second device")
        profanity.quit()  # the news of a list does not always reach it while it runs
        profanity.start()
        profanity.open(alice.user.jid)
        profanity.begin_sessions(alice.user.jid, 2)
        profanity.enter("to both devices")
        for imd in (alice, second):
            assert [m["body"] for m in imd.messages(1, 20)] == ["to both devices"]
        with Profanity(place, profanity.user, first=False) as other:
            for imd in (alice, second):
                until(lambda: len(active_devices(imd, contact)) == 2, 20, "imd knows the contact's second device")
            other.open(alice.user.jid)
            for imd in (alice, second):
                text = f"from device {imd.device()}"
                hear(profanity, imd, text)
                until(lambda: text in other.received(imd.user.jid), 20, f"shown here too:\n{other.lines()}")
            other.enter("from the other profanity")
            for imd in (alice, second):
                assert [m["body"] for m in imd.messages(1, 20)] == ["from the other profanity"]
            gone = device_of(other, alice)
            other.quit()
        left = device_of(profanity, alice)
        with Peer(place, profanity.user, options=["--no-omemo"]) as hand:
            hand.publish_list("legacy", [left], as_it_is=True)
            until(lambda: alice.told("device", change="removed", device=gone), 20, "it is told")
        hear(profanity, alice, "to the one that is left")
        assert encrypted_stanzas(place.capture(), alice.device())[-1][2] == {left, second.device()}
        lost = second.device()
    alice.ok("device", "remove", str(lost), "--yes")
    profanity.begin_sessions(alice.user.jid, 1)
    known = len(encrypted_stanzas(place.capture(), left))
    say(profanity, alice, "to the imd that is left")
    assert keys_for(place, left, known) == {alice.device()}
    assert not alice.told("undecryptable", "gap")


def test_sessions_lost_by_imd_and_by_profanity(party):
    profanity, alice, _ = party
    profanity.open(alice.user.jid)
    say(profanity, alice, "hello")
    hear(profanity, alice, "hello, too")
    # By imd: the first message that it cannot read has it begin a new one.
    alice.lose_sessions()
    for number in range(3):
        profanity.enter(f"lost {number}")
    until(lambda: len(alice.told("undecryptable")) == 3, 20, "each is told of once")
    until(lambda: alice.told("device", change="session-renewed"), 20, "a new session")
    assert len(alice.told("device", change="session-renewed")) == 1
    hear(profanity, alice, "found")
    say(profanity, alice, "indeed")
    # By Profanity: its next message begins a new one.
    profanity.quit()
    profanity.forget_session(alice.user.jid)
    profanity.start()
    profanity.open(alice.user.jid)
    profanity.begin_sessions(alice.user.jid, 1)
    say(profanity, alice, "who are you?")
    hear(profanity, alice, "still imd")
    say(profanity, alice, "good")
    assert len(alice.told("undecryptable")) == 3 and not alice.told("gap")
