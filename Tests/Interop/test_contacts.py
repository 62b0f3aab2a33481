"""Contacts, presence and delivery between two imd."""

from harness import TEMPFAIL, Api


def online_presence(api, jid):
    """The next presence event; it must show `jid` online."""
    presence = api.event("presence")
    assert (presence["from"], presence["show"]) == (jid, "online")


def become_contacts(one, two):
    with Api(one) as first, Api(two) as second:
        first.call("event.subscribe", types=["subscription", "presence", "contact"])
        second.call("event.subscribe", types=["subscription", "presence", "contact"])
        one.ok("contact", "add", two.user.jid)
        request = second.event("subscription")
        assert (request["from"], request["kind"]) == (one.user.jid, "request")
        two.ok("contact", "approve", one.user.jid)
        approved = first.event("subscription")
        assert (approved["from"], approved["kind"]) == (two.user.jid, "approved")
        online_presence(first, two.user.jid)
        two.ok("contact", "add", one.user.jid)
        assert first.event("subscription")["kind"] == "request"
        one.ok("contact", "approve", two.user.jid)
        online_presence(second, one.user.jid)


def test_a_contact_is_asked_approves_and_is_seen_online(imd, other):
    become_contacts(imd, other)
    [contact] = imd.call("contact.list")["contacts"]
    assert (contact["jid"], contact["subscription"]) == (other.user.jid, "both")
    with Api(imd) as api:
        api.call("event.subscribe", types=["presence"])
        other.call("presence.set", show="away", status="lunch")
        presence = api.event("presence")
        assert (presence["show"], presence["status"]) == ("away", "lunch")
        other.stop()
        assert api.event("presence")["show"] == "offline"


def test_a_contacts_imd_confirms_delivery(imd, other):
    become_contacts(imd, other)
    imd.ok("send", other.user.jid, "arrived?", "--wait", "delivered", "--timeout", "30")
    assert other.messages(1)[0]["body"] == "arrived?"


def test_a_stranger_gets_no_receipt(imd, other):
    done = imd.imctl("send", other.user.jid, "are you there?", "--wait", "delivered", "--timeout", "3")
    assert done.returncode == TEMPFAIL, done
    assert other.messages(1)[0]["body"] == "are you there?"


def test_a_removed_contact_sees_nothing_any_more(imd, other):
    become_contacts(imd, other)
    with Api(other) as api:
        api.call("event.subscribe", types=["presence"])
        imd.ok("contact", "remove", "--yes", other.user.jid)
        assert api.event("presence")["show"] == "offline"
    assert imd.call("contact.list")["contacts"] == []
