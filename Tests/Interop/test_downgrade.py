"""A server, or somebody with the account, tries to have imd send in clear, to fewer, or to nobody (rows C29, C30)."""

import contextlib
import json
import time

import pytest
from faults import TORTURE, is_online
from harness import LISTS, NAMESPACE, NOPERM, OMEMO2, Api, Imd, Peer, assert_explained, bundle_item, until


@contextlib.contextmanager
def conversation(place, *options):
    """imd and a contact who have written to each other; and somebody else with the contact's password."""
    one, two, _ = place.circle()
    with Imd(place, one) as imd, Peer(place, two, options=options) as peer, \
            Peer(place, two, options=["--no-omemo"]) as intruder:
        imd.online()
        version = "omemo2" if "omemo2" in options else "legacy"
        imd.ok("send", two.jid, "hello", "--wait", "server")
        assert peer.next("message")["body"] == "hello"
        peer.send(one.jid, "hello", version=version)
        assert imd.messages(1)[0]["encryption"]
        yield imd, peer, intruder


def refused(imd, peer, text, *options):
    """The person is told why; nothing left."""
    done = imd.imctl("send", peer.user.jid, text, *options)
    assert done.returncode == NOPERM, done
    assert_explained(done.stderr)
    return done.stderr


def assert_never_in_clear(place, *texts):
    time.sleep(0.5)
    assert not [text for text in texts if text in place.capture()]


@pytest.mark.parametrize("how", ["emptied", "deleted"])
def test_an_empty_device_list_is_an_alarm_and_nothing_goes_out(place, version, how):
    with conversation(place, "--only", version) as (imd, peer, intruder):
        peer.kill()  # it would put itself back
        if how == "emptied":
            intruder.publish_list(version, [])
            until(lambda: imd.told("security", kind="devices-gone", chat=peer.user.jid), 20, "it is told")
        else:  # ejabberd tells nobody, so the list that is known serves until imd has to ask again
            intruder.do("delete", node=LISTS[version])
            imd.ok("account", "disconnect", imd.user.jid)
            imd.ok("account", "connect", imd.user.jid)
            until(lambda: is_online(imd), 20, "online again")
        refused(imd, peer, "secret-empty-list")
        assert imd.told("security", kind="devices-gone", chat=peer.user.jid)
        refused(imd, peer, "secret-in-clear", "--plaintext")
        assert imd.imctl("send", peer.user.jid, "secret-once-more").returncode == NOPERM
        peer.start()  # and puts itself back
        until(lambda: any(d["active"] for d in imd.devices(peer.user.jid).values()), 20, "the list is pushed")
        imd.ok("send", peer.user.jid, "there you are", "--wait", "server")
        assert peer.next("message")["body"] == "there you are"
        assert len(imd.told("security")) == 1, "once"
        assert_never_in_clear(place, "secret-empty-list", "secret-in-clear", "secret-once-more")


def test_a_device_without_a_bundle_is_left_out_and_named(place):
    """Listed, and its keys are not there: it was never written to, so there is no session either."""
    one, two, _ = place.circle()
    with Imd(place, one) as imd, Peer(place, two, options=["--no-omemo"]) as intruder:
        imd.online()
        for version in LISTS:
            intruder.publish_list(version, [4242])
        until(lambda: 4242 in imd.devices(two.jid), 20, "the list is pushed")
        answer = imd.imctl("send", two.jid, "secret-no-bundle", "--json")
        assert answer.returncode == NOPERM, answer
        assert "4242" in answer.stdout + answer.stderr and "no-bundle" in answer.stdout + answer.stderr, answer
        assert_never_in_clear(place, "secret-no-bundle")


def test_a_second_device_without_a_bundle_does_not_keep_the_first_from_reading(place):
    with conversation(place, "--only", "legacy") as (imd, peer, intruder):
        intruder.publish_list("legacy", [peer.own["device"], 4242])
        until(lambda: 4242 in imd.devices(peer.user.jid), 20, "the list is pushed")
        done = imd.imctl("send", peer.user.jid, "to those who can", "--wait", "server", "--json")
        assert done.returncode == 0, done
        assert [(e["device"], e["reason"]) for e in json.loads(done.stdout)["excluded"]] == [(4242, "no-bundle")]
        assert peer.next("message")["body"] == "to those who can"


def test_a_deleted_bundle_of_a_known_device_changes_nothing(place):
    """There is a session: its keys are not needed any more."""
    with conversation(place, "--only", "legacy") as (imd, peer, intruder):
        intruder.do("delete", node=bundle_item("legacy", peer.own["device"])[0])
        imd.ok("send", peer.user.jid, "as before", "--wait", "server")
        assert peer.next("message")["body"] == "as before"


def test_a_stripped_message_is_not_shown_as_text(place, version):
    with conversation(place) as (imd, peer, intruder):
        intruder.do("raw", xml=(
            f"<message to='{imd.user.jid}' type='chat' id='stripped-{version}'><body>trust me</body>"
            f"<encryption xmlns='urn:xmpp:eme:0' namespace='{NAMESPACE[version]}' name='OMEMO'/>"
            f"<store xmlns='urn:xmpp:hints'/></message>"))
        until(lambda: imd.told("undecryptable", reason="stripped", chat=peer.user.jid), 20, "it is told")
        peer.send(imd.user.jid, "after it")
        assert [m["body"] for m in imd.messages(1)] == ["after it"]
        assert "trust me" not in [m["body"] for m in imd.call("message.list", chat=peer.user.jid)["messages"]]
        assert len(imd.told("undecryptable")) == 1


def test_plaintext_in_an_encrypted_chat_is_flagged_and_not_answered_in_kind(place):
    with conversation(place) as (imd, peer, _):
        peer.send(imd.user.jid, "in clear", plain=True)
        [message] = imd.messages(1)
        assert (message["body"], message["encryption"]) == ("in clear", None)
        assert message["warning"] == "plaintext-in-encrypted-chat"
        [event] = imd.told("security", kind="plaintext")
        assert (event["chat"], event["id"]) == (peer.user.jid, message["id"])
        refused(imd, peer, "secret-in-kind", "--plaintext")
        # A person may decide otherwise, until the chat is encrypted again.
        imd.ok("encryption", peer.user.jid, "--optional")
        assert imd.call("encryption.get", jid=peer.user.jid)["required"] is False
        imd.ok("send", peer.user.jid, "open-on-purpose", "--plaintext", "--wait", "server")
        assert (message := peer.next("message"))["body"] == "open-on-purpose" and not message["encrypted"]
        peer.send(imd.user.jid, "still in clear", plain=True)
        [message] = imd.messages(1)
        assert message.get("warning") is None and len(imd.told("security")) == 1
        until(lambda: "open-on-purpose" in place.capture(), 5, "what is in clear can be seen on the server")
        imd.ok("send", peer.user.jid, "encrypted again", "--wait", "server")
        assert peer.next("message")["encrypted"]
        refused(imd, peer, "secret-again", "--plaintext")
        imd.stop()
        imd.start(wait_online=True)
        refused(imd, peer, "secret-after-restart", "--plaintext")
        assert_never_in_clear(place, "secret-in-kind", "secret-again", "secret-after-restart")


def test_an_opt_out_stops_everything_until_a_person_answers(place):
    with conversation(place, "--only", "omemo2") as (imd, peer, _):
        peer.send(imd.user.jid, "", version="omemo2", content=(
            f"<opt-out xmlns='{OMEMO2}'><reason>for the record</reason></opt-out>"))
        until(lambda: imd.told("security", kind="opt-out", reason="for the record"), 20, "it is told")
        assert imd.call("encryption.get", jid=peer.user.jid)["optedOut"]["reason"] == "for the record"
        for options in ([], ["--plaintext"]):
            assert "opt" in refused(imd, peer, "secret-opted-out", *options)
        with Api(imd) as api:
            assert api.fails("message.send", to=peer.user.jid, body="x")["data"]["code"] == "opted-out"
        imd.ok("encryption", peer.user.jid, "--required")
        imd.ok("send", peer.user.jid, "no, thank you", "--wait", "server")
        assert peer.next("message")["body"] == "no, thank you"
        refused(imd, peer, "secret-opted-out", "--plaintext")
        assert_never_in_clear(place, "secret-opted-out")


# The account's own list


def test_an_own_list_that_another_client_damaged_is_repaired(place, version):
    one, two, _ = place.circle()
    with Imd(place, one) as imd, Peer(place, one, options=["--no-omemo"]) as vandal, \
            Peer(place, two, options=["--no-omemo"]) as observer:
        imd.online()
        own = next(iter(imd.devices(one.jid)))
        assert observer.published_list(version, one.jid) == [own]
        vandal.publish_list(version, [77])
        until(lambda: own in observer.published_list(version, one.jid), 20, "its device is back")
        assert 77 in observer.published_list(version, one.jid), "what others wrote stays"
        assert imd.told("security", kind="list-damaged", chat=one.jid)
        # No war with a client that does the same for itself: bounded in a minute.
        observer.quiet(0.5)
        observer.seen.clear()
        for number in range(12):
            vandal.publish_list(version, [number + 1])
            time.sleep(0.2)
        observer.quiet(3)
        repairs = [e for e in observer.seen if e["ev"] == "pushed" and e["node"] == LISTS[version] and own in e["ids"]]
        assert len(repairs) <= 5, [e["ids"] for e in observer.seen if e["ev"] == "pushed"]
        if TORTURE:
            until(lambda: own in observer.published_list(version, one.jid), 90, "back once there is peace")


def test_a_device_sneaked_into_a_verified_contact_gets_nothing(place):
    """C30: the server announces a device of its own; after one verification nobody is trusted unseen."""
    with conversation(place) as (imd, peer, _):
        imd.ok("device", "verify", peer.user.jid, "--fingerprint", peer.own["fingerprint"])
        with Peer(place, peer.user) as sneaked:
            device = sneaked.own["device"]
            until(lambda: device in imd.devices(peer.user.jid), 20, "its announcement is pushed")
            answer = imd.ok("send", peer.user.jid, "to the verified one", "--wait", "server", "--json")
            assert [(e["device"], e["reason"]) for e in json.loads(answer)["excluded"]] == [(device, "untrusted")]
            assert peer.next("message")["body"] == "to the verified one"
            assert not [e for e in sneaked.quiet(1) if e["ev"] == "message"]
            assert imd.told("device", change="trust-needed", device=device)
            # Its own messages can be read, and say what it is.
            sneaked.send(imd.user.jid, "I am new here")
            [message] = imd.messages(1)
            assert message["encryption"]["trust"] == "undecided"
