"""An independent XMPP client with legacy OMEMO (slixmpp-omemo), driven by JSON lines; run as its own process.

usage: peer.py JID PASSWORD HOST:PORT CA-FILE STATE-FILE [--carbons]

stdin    {"do": "send", "to": JID, "body": TEXT, "plain": false, "request": false, "markable": false}
         {"do": "burst", "to": JID, "count": N, "size": BYTES}     "burst" on stdout once all are with the server
         {"do": "answer", "kind": "received" | "displayed", "to": JID, "id": ID}
         {"do": "quit"}                                            end of input does the same
stdout   {"ev": "ready" | "message" | "empty" | "failed" | "sent" | "burst" | "received" | "displayed" | "error", …}

With --carbons it also takes the copies of what other clients of its account send and receive; their events have a
member "carbon": "sent" | "received".

The state file is written through on every change, so the process may be killed and started again; "-" keeps the
state in memory, as is fair when its speed is measured.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import xeddsa
from omemo.storage import Just, Nothing, Storage
from slixmpp import JID, ClientXMPP
from slixmpp.plugins import register_plugin
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath
from slixmpp_omemo import XEP_0384, TrustLevel

LEGACY = "eu.siacs.conversations.axolotl"
RECEIPTS, MARKERS, CARBONS = "urn:xmpp:receipts", "urn:xmpp:chat-markers:0", "urn:xmpp:carbons:2"


def emit(event, **fields):
    sys.stdout.write(json.dumps({"ev": event, **fields}) + "\n")
    sys.stdout.flush()


def fingerprint(identity_key):
    return xeddsa.ed25519_pub_to_curve25519_pub(identity_key).hex()


class FileStorage(Storage):
    def __init__(self, path):
        super().__init__()
        self.path = None if path == "-" else Path(path)
        self.values = json.loads(self.path.read_text()) if self.path and self.path.exists() else {}

    def write(self):
        if self.path is None:
            return
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(self.values))
        temporary.replace(self.path)

    async def _load(self, key):
        return Just(self.values[key]) if key in self.values else Nothing()

    async def _store(self, key, value):
        self.values[key] = value
        self.write()

    async def _delete(self, key):
        if self.values.pop(key, None) is not None:
            self.write()


class Omemo(XEP_0384):
    """Trusts every device at first sight."""

    default_config = {"fallback_message": "encrypted", "storage_impl": None}

    @property
    def storage(self):
        return self.storage_impl

    @property
    def _btbv_enabled(self):
        return True

    async def _devices_blindly_trusted(self, blindly_trusted, identifier):
        pass

    async def _prompt_manual_trust(self, manually_trusted, identifier):
        manager = await self.get_session_manager()
        for device in manually_trusted:
            await manager.set_trust(device.bare_jid, device.identity_key, TrustLevel.TRUSTED.value)


register_plugin(Omemo)


class Peer(ClientXMPP):
    def __init__(self, jid, password, ca_file, state_file, carbons):
        super().__init__(jid, password)
        self.ca_certs = Path(ca_file)
        self.ready = asyncio.get_running_loop().create_future()
        self.incoming = asyncio.Queue()
        self.known, self.carbons = set(), carbons
        for plugin in ("xep_0030", "xep_0060", "xep_0163", "xep_0199", "xep_0280", "xep_0334", "xep_0380"):
            self.register_plugin(plugin)
        self.register_plugin("xep_0384", {"storage_impl": FileStorage(state_file)}, module=sys.modules[__name__])
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("omemo_initialized", lambda _: self.ready.done() or self.ready.set_result(None))
        # Not slixmpp's "message" event: that one leaves out messages without a body, as OMEMO's empty ones are.
        every = MatchXPath("{jabber:client}message")
        self.register_handler(Callback("every message", every, self.incoming.put_nowait))
        self.add_event_handler("message_error", lambda m: emit("error", what=m["error"]["condition"]))
        self.add_event_handler("failed_auth", lambda _: emit("error", what="authentication"))

    async def started(self, _):
        if self.carbons:
            await self["xep_0280"].enable()
        self.send_presence()
        await self.get_roster()

    @staticmethod
    def unwrap(stanza):
        """The message itself, and "sent" or "received" if it is the copy of one."""
        for direction in ("sent", "received"):
            if stanza.xml.find(f"{{{CARBONS}}}{direction}") is not None:
                return stanza[f"carbon_{direction}"], direction
        return stanza, None

    async def receive(self):
        while True:
            stanza, carbon = self.unwrap(await self.incoming.get())
            if stanza["type"] == "error":
                continue
            origin = {"from": str(stanza["from"]), "id": stanza["id"]}
            if carbon:
                origin.update(carbon=carbon, to=str(stanza["to"]))
            for namespace, kind in ((RECEIPTS, "received"), (MARKERS, "displayed")):
                answer = stanza.xml.find(f"{{{namespace}}}{kind}")
                if answer is not None:
                    emit(kind, **origin, of=answer.get("id"))
            if stanza.xml.find(f"{{{RECEIPTS}}}request") is not None:
                origin["request"] = True
            if stanza.xml.find(f"{{{MARKERS}}}markable") is not None:
                origin["markable"] = True
            await self.read(stanza, origin)

    async def read(self, stanza, origin):
        encrypted = stanza.xml.find(f"{{{LEGACY}}}encrypted")
        if encrypted is None:
            if stanza["body"]:
                emit("message", **origin, body=stanza["body"], encrypted=False)
            return
        try:
            plain, device = await self["xep_0384"].decrypt_message(stanza)
        except Exception as error:  # each is a finding; the test decides
            emit("failed", **origin, what=f"{type(error).__name__}: {error}"[:300], cause=type(error.__cause__).__name__)
            return
        if encrypted.find(f"{{{LEGACY}}}payload") is None:
            emit("empty", **origin)
            return
        emit(
            "message", **origin, body=plain["body"], encrypted=True, fallback=stanza["body"],
            device=device.device_id, fingerprint=fingerprint(device.identity_key))

    async def send_text(self, to, body, plain=False, request=False, markable=False):
        to = JID(to)
        stanza = self.make_message(mto=to, mbody=body, mtype="chat")
        stanza["id"] = self.new_id()
        if not plain:
            omemo = self["xep_0384"]
            if to.bare not in self.known:  # the push of a list that changed while we were away is still to come
                await omemo.refresh_device_lists({JID(to.bare)}, force_download=True)
                self.known.add(to.bare)
            stanza, errors = await omemo.encrypt_message(stanza, JID(to.bare))
            for error in errors:
                emit("error", what=str(error)[:300])
        if request:
            ElementTree.SubElement(stanza.xml, f"{{{RECEIPTS}}}request")
        if markable:
            ElementTree.SubElement(stanza.xml, f"{{{MARKERS}}}markable")
        stanza.send()
        return stanza["id"]

    def answer(self, kind, to, id):
        namespace = {"received": RECEIPTS, "displayed": MARKERS}[kind]
        stanza = self.make_message(mto=JID(to), mtype="chat")
        stanza["id"] = self.new_id()
        ElementTree.SubElement(stanza.xml, f"{{{namespace}}}{kind}", {"id": id})
        stanza.send()

    async def burst(self, to, count, size):
        began = time.monotonic()
        for number in range(count):
            await self.send_text(to, f"#{number} ".ljust(size, "x"))
            if number % 8 == 7:
                await asyncio.sleep(0)
        await self["xep_0199"].send_ping(JID(self.boundjid.domain), timeout=60)
        emit("burst", seconds=time.monotonic() - began)


async def main(jid, password, server, ca_file, state_file, *options):
    began = time.monotonic()
    peer = Peer(jid, password, ca_file, state_file, "--carbons" in options)
    peer.enable_direct_tls, peer.enable_starttls = False, True
    host, port = server.rsplit(":", 1)
    peer.connect(host, int(port))
    await asyncio.wait_for(peer.ready, 60)
    receiving = asyncio.create_task(peer.receive())
    receiving.add_done_callback(lambda t: t.cancelled() or emit("error", what=f"receiving ended: {t.exception()!r}"))
    own, _ = await (await peer["xep_0384"].get_session_manager()).get_own_device_information()
    emit(
        "ready", jid=str(peer.boundjid), device=own.device_id, fingerprint=fingerprint(own.identity_key),
        seconds=time.monotonic() - began)

    commands = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        command = json.loads(line)
        what = command.pop("do")
        if what == "quit":
            break
        try:
            if what == "burst":
                await peer.burst(**command)
            elif what == "answer":
                peer.answer(**command)
            else:
                emit("sent", body=command["body"], id=await peer.send_text(**command))
        except Exception as error:
            emit("error", what=f"{type(error).__name__}: {error}"[:300])
    receiving.cancel()
    try:
        await asyncio.wait_for(peer.disconnect(wait=1.0), 3)
    except asyncio.TimeoutError:
        pass


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
