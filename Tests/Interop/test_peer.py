"""The tools of these tests work by themselves: two peers talk through the server without imd."""

from harness import Peer


def test_two_independent_peers_talk_encrypted_through_the_server(server, peer):
    with Peer(server, server.user()) as second:
        peer.send(second.user.jid, "one")
        message = second.next("message")
        assert (message["body"], message["encrypted"]) == ("one", True)
        assert message["fingerprint"] == peer.own["fingerprint"]
        second.send(peer.user.jid, "two")
        assert peer.next("message")["body"] == "two"
        second.kill()
        second.start()
        peer.send(second.user.jid, "three")
        assert second.next("message")["body"] == "three"
        second.send(peer.user.jid, "in clear", plain=True)
        message = peer.next("message")
        assert (message["body"], message["encrypted"]) == ("in clear", False)
    assert "in clear" in server.capture() and ">three<" not in server.capture()
