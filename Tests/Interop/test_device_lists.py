"""Which devices an account publishes, and what follows for those who write to it, in both versions of OMEMO."""

import contextlib

import pytest
from faults import is_online, reading
from harness import LISTS, NAMESPACE, Ejabberd, Imd, Peer, Prosody, encrypted_stanzas, until


@contextlib.contextmanager
def two_of_one_account(place, *options):
    """Two imd of one account who know of each other, and a contact's client with these options."""
    one, two, _ = place.circle()
    with Imd(place, one) as first, Imd(place, one) as second, Peer(place, two, options=options) as contact:
        for imd in (first, second):
            imd.online()
        until(lambda: all(len(imd.devices(one.jid)) == 2 for imd in (first, second)), 20, "they know each other")
        yield first, second, contact


def assert_lists(reader, version, *owners):
    """The list that others read, a moment later."""
    jid, wanted = owners[0].user.jid, sorted(imd.device() for imd in owners)
    until(lambda: sorted(reader.published_list(version, jid)) == wanted, 20, f"{version}: the list holds {wanted}")


def read_by(place, peer, version, text, *readers):
    """Has the peer write, and all of these read; returns the devices that the stanza has keys for."""
    peer.send(readers[0].user.jid, text, version=version)
    id = peer.next("sent")["id"]
    for imd in readers:
        assert [m["body"] for m in imd.messages(1)] == [text]

    def sent():
        stanzas = encrypted_stanzas(place.capture(), peer.own["device"])
        return [keys for _, name, keys in stanzas if name == id]

    until(sent, 20, "the server has it")
    [keys] = sent()
    return keys


# Published


@pytest.mark.parametrize("when", ["away", "there"])
def test_an_own_list_that_cannot_be_read_any_more_is_repaired(place, version, when):
    with two_of_one_account(place, "--only", version) as (imd, second, contact), \
            Peer(place, imd.user, options=["--no-omemo"]) as vandal:
        assert_lists(contact, version, imd, second)
        wanted = [imd.device(), second.device()]
        second.stop()  # it would repair what the other one has to
        if when == "away":
            imd.stop()
        vandal.do("publish", node=LISTS[version], item="current", xml="<garbage xmlns='urn:example:garbage'/>")
        if when == "away":
            assert contact.published_list(version, imd.user.jid) == []
            imd.start(wait_online=True)
        until(lambda: contact.published_list(version, imd.user.jid), 20, "the list can be read again")
        assert sorted(contact.published_list(version, imd.user.jid)) == sorted(wanted)
        until(lambda: imd.told("security", kind="list-damaged", chat=imd.user.jid), 20, "it is told")
        until(lambda: is_online(imd), 20, "it is online")
        assert imd.told("error") == []
        second.start(wait_online=True)
        assert read_by(place, contact, version, "to both", imd, second) == set(wanted)
        imd.ok("send", contact.user.jid, "from the first", "--wait", "server")
        assert contact.next("message")["body"] == "from the first"
        assert len(imd.told("account", state="online")) == (2 if when == "away" else 1), "the stream stays up"


@pytest.mark.parametrize("refused", ["legacy", "omemo2"])
@pytest.mark.parametrize("kind", [Prosody, Ejabberd])
def test_a_server_that_refuses_one_version_gets_the_other(kind, refused):
    [taken] = set(LISTS) - {refused}
    with kind(["user0", "user1"], ["--mutual", "--refuse", NAMESPACE[refused]]) as server, \
            Imd(server) as imd, Peer(server, server.user(), options=["--only", taken]) as peer:
        imd.online()
        assert_lists(peer, taken, imd)
        until(lambda: imd.told("error", code="not-supported"), 20, "it is told")
        peer.begin("fetch", jid=imd.user.jid, node=LISTS[refused])
        assert not peer.next(("items", "error")).get("items"), "the other one is not there"
        peer.send(imd.user.jid, "hello", version=taken)
        [message] = imd.messages(1)
        assert (message["body"], message["encryption"]["protocol"]) == ("hello", NAMESPACE[taken])
        imd.ok("send", peer.user.jid, "hello", "--wait", "server")
        assert (message := peer.next("message"))["body"] == "hello" and message["version"] == taken


# Removed


@pytest.mark.parametrize("how", ["account remove", "device remove"])
def test_nobody_encrypts_any_more_for_a_removed_imd(place, version, how):
    with two_of_one_account(place, "--only", version) as (imd, gone, contact):
        assert_lists(contact, version, imd, gone)
        both = {imd.device(), gone.device()}
        assert read_by(place, contact, version, "to both", imd, gone) == both
        if how == "account remove":
            gone.ok("account", "remove", "--yes", gone.user.jid)
        else:
            lost = gone.device()
            gone.stop()
            imd.ok("device", "remove", str(lost), "--yes")
        assert_lists(contact, version, imd)
        contact.quiet(1)  # the push of it
        assert read_by(place, contact, version, "to one", imd) == {imd.device()}
        assert imd.told("undecryptable") == []


# Of others


def stored_devices(imd, jid):
    """What it knows to be listed by itself: asked for it, imd would ask the server."""
    with reading(imd) as connection:
        listed = "SELECT device FROM device WHERE jid = ? AND (active OR activeOmemo2)"
        return {row[0] for row in connection.execute(listed, (jid,))}


@pytest.mark.parametrize("first, later", [("legacy", "omemo2"), ("omemo2", "legacy")])
def test_a_new_device_is_told_of_in_whichever_list_it_appears(place, first, later):
    """The contact writes with a device that is on one list alone; the other list comes later, with another device."""
    one, two, _ = place.circle()
    with Imd(place, one) as imd, Peer(place, two, options=["--only", first]) as contact:
        imd.online()
        contact.send(one.jid, "hello", version=first)
        assert [m["body"] for m in imd.messages(1)] == ["hello"]
        # Once more: ejabberd tells nobody whose features it has not asked for yet.
        contact.publish_list(first, [contact.own["device"]])
        until(lambda: contact.own["device"] in stored_devices(imd, two.jid), 20, "the first list is known")
        assert imd.told("device", jid=two.jid, change="added") == [], "how things are is no news"
        contact.publish_list(later, [4002])
        until(lambda: imd.told("device", jid=two.jid, device=4002, change="added"), 20, "it is told")
        contact.publish_list(later, [4002, contact.own["device"], 4003])
        until(lambda: imd.told("device", jid=two.jid, device=4003, change="added"), 20, "it is told")
        assert [event["device"] for event in imd.told("device", jid=two.jid, change="added")] == [4002, 4003]
