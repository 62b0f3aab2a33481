"""An independent XMPP client with OMEMO (slixmpp-omemo), driven by JSON lines; run as its own process.

usage: peer.py JID PASSWORD HOST:PORT CA-FILE STATE-FILE [--carbons] [--only VERSION] [--no-omemo]

stdin    {"do": "send", "to": JID, "body": TEXT, "plain": false, "version": VERSION, "request": false,
          "markable": false, "content": XML}                       content: instead of a body, omemo2 only
         {"do": "burst", "to": JID, "count": N, "size": BYTES, "version": VERSION}
                                                                   "burst" on stdout once all are with the server
         {"do": "answer", "kind": "received" | "displayed", "to": JID, "id": ID, "version": VERSION}
         {"do": "forget", "jid": JID, "device": ID}                the sessions with that device are lost
         {"do": "publish", "node": NODE, "item": ID, "xml": XML}   whatever it is, to its own account
         {"do": "delete", "node": NODE}
         {"do": "fetch", "jid": JID, "node": NODE}                 "items" on stdout
         {"do": "raw", "xml": XML}                                 any stanza
         {"do": "crowd", …}                                        see crowd.py
         {"do": "quit"}                                            end of input does the same
stdout   {"ev": "ready" | "message" | "empty" | "foreign" | "failed" | "sent" | "burst" | "received" | "displayed" |
          "pushed" | "done" | "items" | "error", …}

VERSION is "legacy" (the default), "omemo2", or "both": a stanza of each for the devices of each, with one id. Events
of what was encrypted have a member "version"; "foreign" is a message that has no key for this device. With --only it
publishes and speaks one version; with --no-omemo none, and tells every device list that is pushed.

With --carbons it also takes the copies of what other clients of its account send and receive; their events have a
member "carbon": "sent" | "received".

The state file is written through on every change, so the process may be killed and started again; "-" keeps the
state in memory, as is fair when its speed is measured.
"""

import asyncio
import json
import sys
import time
import traceback
from pathlib import Path
from xml.etree import ElementTree

import crowd
import envelope
import oldmemo.etree
import twomemo.etree
import xeddsa
from omemo.session_manager import MessageNotForUs, SessionManager
from omemo.storage import Just, Nothing, Storage
from slixmpp import JID, ClientXMPP
from slixmpp.plugins import register_plugin
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath
from slixmpp_omemo import XEP_0384, TrustLevel

NAMESPACES = {"legacy": "eu.siacs.conversations.axolotl", "omemo2": "urn:xmpp:omemo:2"}
SERIALIZE = {"legacy": oldmemo.etree.serialize_message, "omemo2": twomemo.etree.serialize_message}
LISTS = {"legacy": "eu.siacs.conversations.axolotl.devicelist", "omemo2": "urn:xmpp:omemo:2:devices"}
CARBONS, EVENT = "urn:xmpp:carbons:2", "http://jabber.org/protocol/pubsub#event"


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


def speak_only(version):
    """Has the library, which always loads both, load one: it then takes itself off the other's list."""
    create = SessionManager.create.__func__

    async def limited(manager, backends, *arguments, **options):
        chosen = [backend for backend in backends if backend.namespace == NAMESPACES[version]]
        return await create(manager, chosen, *arguments, **options)

    SessionManager.create = classmethod(limited)


class Peer(ClientXMPP):
    def __init__(self, jid, password, ca_file, state_file, options):
        super().__init__(jid, password)
        self.ca_certs = Path(ca_file)
        self.ready = asyncio.get_running_loop().create_future()
        self.incoming = asyncio.Queue()
        self.known, self.carbons = set(), "--carbons" in options
        self.storage, self.encrypts = FileStorage(state_file), "--no-omemo" not in options
        self.versions = [options[options.index("--only") + 1]] if "--only" in options else list(NAMESPACES)
        for plugin in ("xep_0030", "xep_0060", "xep_0163", "xep_0199", "xep_0280", "xep_0334", "xep_0380"):
            self.register_plugin(plugin)
        if self.encrypts:
            if "--only" in options:
                speak_only(self.versions[0])
            self.register_plugin("xep_0384", {"storage_impl": self.storage}, module=sys.modules[__name__])
            self.add_event_handler("omemo_initialized", lambda _: self.is_ready())
        self.add_event_handler("session_start", self.started)
        # Not slixmpp's "message" event: that one leaves out messages without a body, as OMEMO's empty ones are.
        every = MatchXPath("{jabber:client}message")
        self.register_handler(Callback("every message", every, self.incoming.put_nowait))
        self.add_event_handler("message_error", lambda m: emit("error", what=m["error"]["condition"]))
        self.add_event_handler("failed_auth", lambda _: emit("error", what="authentication"))

    def is_ready(self):
        if not self.ready.done():
            self.ready.set_result(None)

    async def started(self, _):
        if self.carbons:
            await self["xep_0280"].enable()
        # The server pushes device lists to whom says so in the first presence; the library has asked too early.
        for version in self.versions:
            self["xep_0163"].add_interest(LISTS[version])
        await self["xep_0115"].update_caps(broadcast=False)
        self.send_presence()
        await self.get_roster()
        if not self.encrypts:
            self.is_ready()

    async def sessions(self):
        return await self["xep_0384"].get_session_manager()

    # What comes

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
            if not self.encrypts:
                self.tell_push(stanza.xml, origin)
            for kind, of in envelope.answers(stanza.xml):
                emit(kind, **origin, of=of)
            origin.update(envelope.wished(stanza.xml))
            await self.read(stanza, origin)

    @staticmethod
    def tell_push(stanza, origin):
        for items in stanza.findall(f"{{{EVENT}}}event/{{{EVENT}}}items"):
            ids = [int(element.get("id")) for element in items.iter() if element.tag.endswith("}device")]
            emit("pushed", **origin, node=items.get("node"), ids=ids)

    async def read(self, stanza, origin):
        found = {version: stanza.xml.find(f"{{{namespace}}}encrypted") for version, namespace in NAMESPACES.items()}
        version = next((version for version, element in found.items() if element is not None), None)
        for of, emojis in envelope.reactions(stanza.xml):
            emit("reactions", **origin, of=of, emojis=emojis, encrypted=False)
        if version is None or not self.encrypts:
            if stanza["body"]:
                emit("message", **origin, body=stanza["body"], encrypted=False)
            return
        origin["version"] = version
        if version not in self.versions:
            emit("foreign", **origin)
            return
        try:
            plain, device = await self.decrypt(found[version], version, stanza["from"].bare)
            content = envelope.opened(plain, stanza["from"].bare) if plain and version == "omemo2" else None
        except MessageNotForUs:
            emit("foreign", **origin)
        except Exception as error:  # each is a finding; the test decides
            what, cause = f"{type(error).__name__}: {error}"[:300], type(error.__cause__).__name__
            emit("failed", **origin, what=what, cause=cause)
        else:
            if plain is None:
                emit("empty", **origin)
                return
            origin.update(device=device.device_id, fingerprint=fingerprint(device.identity_key))
            if version == "legacy":
                emit("message", **origin, body=plain.decode(), encrypted=True, fallback=stanza["body"])
            else:
                self.tell(content, stanza, origin)

    async def decrypt(self, element, version, sender):
        manager = await self.sessions()
        if version == "omemo2":
            message = twomemo.etree.parse_message(element, sender)
        else:
            message = await oldmemo.etree.parse_message(element, sender, self.boundjid.bare, manager)
        plain, device, _ = await manager.decrypt(message)
        return plain, device

    @staticmethod
    def tell(content, stanza, origin):
        """What an envelope held; `outer` is what the server saw."""
        for kind, of in envelope.answers(content):
            emit(kind, **origin, of=of)
        origin.update(envelope.wished(content), outer=[child.tag for child in stanza.xml])
        for of, emojis in envelope.reactions(content):
            emit("reactions", **origin, of=of, emojis=emojis)
        text = content.find(f"{{{envelope.CLIENT}}}body")
        if text is not None:
            emit("message", **origin, body=text.text or "", encrypted=True, fallback=stanza["body"] or None)

    # What goes out

    async def encrypt(self, to, plaintexts):
        """A message of each version that a device of `to`, or another one of our own, needs."""
        manager = await self.sessions()
        if to.bare not in self.known:  # the push of a list that changed while we were away is still to come
            if len(self.versions) > 1:  # to a stranger's list it subscribes, too
                await self["xep_0384"].refresh_device_lists({JID(to.bare)}, force_download=True)
            for version in self.versions:
                for jid in (to.bare, self.boundjid.bare):
                    await manager.refresh_device_list(NAMESPACES[version], jid)
            self.known.add(to.bare)
        order = [NAMESPACES[version] for version in ("omemo2", "legacy") if version in plaintexts]
        texts = {NAMESPACES[version]: text for version, text in plaintexts.items()}
        messages, errors = await manager.encrypt(frozenset({to.bare}), texts, backend_priority_order=order)
        for error in errors:
            emit("error", what=str(error)[:300])
        return {version: m for m in messages for version in plaintexts if m.namespace == NAMESPACES[version]}

    def plaintexts(self, body, *more):
        """What is encrypted in each version; `more` goes into the envelope beside the body."""
        return {"legacy": body.encode(), "omemo2": self.sealed(envelope.body(body), *more)}

    def sealed(self, *content):
        return envelope.sealed(content, self.boundjid.bare)

    def draft(self, to, id, version=None, encrypted=None, children=()):
        message = self.make_message(mto=to, mtype="chat")
        message["id"] = id
        if version:
            if version == "legacy":
                message["body"] = "encrypted"
            message.append(encrypted)
            message["eme"]["namespace"], message["eme"]["name"] = NAMESPACES[version], "OMEMO"
            message.enable("store")
        for child in children:
            message.append(child)
        return message

    async def send_text(
        self, to, body="", plain=False, version="legacy", request=False, markable=False, content=None
    ):
        to, id, wishes = JID(to), self.new_id(), envelope.wishes(request, markable)
        if plain:
            self.draft(to, id, children=[envelope.body(body), *wishes]).send()
            return id
        texts = self.plaintexts(body, *wishes)
        if content is not None:
            texts = {"omemo2": self.sealed(*ElementTree.fromstring(f"<x xmlns='{envelope.CLIENT}'>{content}</x>"))}
        wanted = ["omemo2", "legacy"] if version == "both" else [version]
        encrypted = await self.encrypt(to, {name: texts[name] for name in wanted})
        for name, message in encrypted.items():
            self.draft(to, id, name, SERIALIZE[name](message), wishes if name == "legacy" else ()).send()
        return id

    async def answer(self, kind, to, id, version="legacy"):
        element = envelope.answer(kind, id)
        if version == "legacy":  # it encrypts bodies only
            self.draft(JID(to), self.new_id(), children=[element]).send()
        else:
            await self.send_text(to, version=version, content=ElementTree.tostring(element, encoding="unicode"))

    async def burst(self, to, count, size, version="legacy"):
        began = time.monotonic()
        for number in range(count):
            await self.send_text(to, f"#{number} ".ljust(size, "x"), version=version)
            if number % 8 == 7:
                await asyncio.sleep(0)
        await self.settled()
        emit("burst", seconds=time.monotonic() - began)

    async def settled(self):
        """The server has everything sent before."""
        await self["xep_0199"].send_ping(JID(self.boundjid.domain), timeout=60)

    async def keep_all_bundles(self):
        """Where the server does not know the publish option for it, the library lets the devices of an account put
        each other's bundles out of the node that they share."""
        form = self["xep_0004"].make_form(ftype="submit")
        form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#node_config")
        form.add_field(var="pubsub#max_items", value="max")
        await self["xep_0060"].set_node_config(self.boundjid.bare, f"{NAMESPACES['omemo2']}:bundles", form)

    # What a test does behind the library's back

    async def forget(self, jid, device):
        for namespace in NAMESPACES.values():
            for key in ("initiation", "double_ratchet"):
                await self.storage.delete(f"/{namespace}/{jid}/{device}/{key}")

    async def publish(self, node, item, xml, as_it_is=False):
        """`as_it_is`: into the node as another client has made it."""
        form = self["xep_0004"].make_form(ftype="submit")
        form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
        form.add_field(var="pubsub#access_model", value="open")
        payload = ElementTree.fromstring(xml)
        options = None if as_it_is else form
        await self["xep_0060"].publish(self.boundjid.bare, node, id=item, payload=payload, options=options)

    async def fetch(self, jid, node):
        items = (await self["xep_0060"].get_items(JID(jid), node))["pubsub"]["items"]
        return [ElementTree.tostring(item.xml, "unicode") for item in items["substanzas"]]

    async def do(self, what, command):
        if what == "burst":
            await self.burst(**command)
        elif what == "answer":
            await self.answer(**command)
        elif what == "send":
            emit("sent", body=command.get("body"), id=await self.send_text(**command))
        elif what == "fetch":
            emit("items", items=await self.fetch(**command))
        else:
            if what == "forget":
                await self.forget(**command)
            elif what == "publish":
                await self.publish(**command)
            elif what == "delete":
                await self["xep_0060"].delete_node(self.boundjid.bare, command["node"])
            elif what == "raw":
                self.send_raw(command["xml"])
            elif what == "crowd":
                await crowd.send(self, **command)
            else:
                raise ValueError(f"unknown: {what}")
            emit("done", what=what)


async def main(jid, password, server, ca_file, state_file, *options):
    began = time.monotonic()
    peer = Peer(jid, password, ca_file, state_file, options)
    peer.enable_direct_tls, peer.enable_starttls = False, True
    host, port = server.rsplit(":", 1)
    peer.connect(host, int(port))
    await asyncio.wait_for(peer.ready, 60)
    receiving = asyncio.create_task(peer.receive())
    receiving.add_done_callback(lambda t: t.cancelled() or emit("error", what=f"receiving ended: {t.exception()!r}"))
    device = {}
    if peer.encrypts:
        if "omemo2" in peer.versions:
            await peer.keep_all_bundles()
        own, _ = await (await peer.sessions()).get_own_device_information()
        device = {"device": own.device_id, "fingerprint": fingerprint(own.identity_key)}
    emit("ready", jid=str(peer.boundjid), **device, seconds=time.monotonic() - began)

    commands = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        command = json.loads(line)
        what = command.pop("do")
        if what == "quit":
            break
        try:
            await peer.do(what, command)
        except Exception as error:
            traceback.print_exc()
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
