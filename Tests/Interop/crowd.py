"""Devices that the peer invents, each with keys of its own, and what they all write to one device of somebody.

{"do": "crowd", "to": JID, "device": ID, "kind": KIND, "count": N, "first": ID, "version": "legacy" | "omemo2"}

KIND     "strangers"  N devices from FIRST on, each with one key exchange that can be read
         "exchanges"  N key exchanges that can be read, all of device FIRST, one identity
         "garbage"    N devices from FIRST on, each with what only looks like a key exchange
         "noise"      N messages of device FIRST in a session that never was
"""

import secrets
from base64 import b64encode
from xml.etree import ElementTree

import oldmemo
import oldmemo.etree
import twomemo
import twomemo.etree
from harness import bundle_item
from omemo.identity_key_pair import IdentityKeyPair
from omemo.message import Message
from omemo.storage import Nothing, Storage

BACKENDS = {"legacy": (oldmemo.Oldmemo, oldmemo.etree), "omemo2": (twomemo.Twomemo, twomemo.etree)}
BUNDLE_LASTS_FOR = 20  # messages; each takes one of its hundred keys


class Memory(Storage):
    """Keeps nothing but what the base class caches."""

    async def _load(self, key):
        return Nothing()

    async def _store(self, key, value):
        pass

    async def _delete(self, key):
        pass


async def send(peer, to, device, kind, count, first, version="legacy"):
    """Returns once the server has everything."""
    one, taken, bundle = Memory(), set(), None
    for number in range(count):
        sid = first if kind in ("exchanges", "noise") else first + number
        if kind in ("garbage", "noise"):
            element = imitation(to, device, sid, kind == "garbage", version)
        else:
            if number % BUNDLE_LASTS_FOR == 0:
                bundle = without(await fetch_bundle(peer, to, device, version), taken)
            text = peer.plaintexts(f"{kind} {number}")[version]
            storage = one if kind == "exchanges" else Memory()
            element, key = await key_exchange(storage, bundle, text, peer.boundjid.bare, sid, version)
            taken.add(key)
            bundle = without(bundle, taken)
        peer.draft(to, peer.new_id(), version, element).send()
        if number % 50 == 49:
            await peer.settled()
    await peer.settled()


async def fetch_bundle(peer, jid, device, version):
    _, xml = BACKENDS[version]
    node, item = bundle_item(version, device)
    answer = await peer["xep_0060"].get_items(jid, node, item_ids=[item] if version == "omemo2" else None)
    [found] = answer["pubsub"]["items"]["substanzas"]
    return xml.parse_bundle(found.xml[0], jid, device)


def without(bundle, taken):
    """The owner publishes a bundle without the keys that are taken, a moment later."""
    keys = {key: id for key, id in bundle.pre_key_ids.items() if key not in taken}
    rest = bundle.bundle._replace(pre_keys=frozenset(keys))
    return type(bundle)(bundle.bare_jid, bundle.device_id, rest, bundle.signed_pre_key_id, keys)


async def key_exchange(storage, bundle, text, sender, sid, version):
    """A message of the device whose identity is in `storage`, where one is made if there is none; and the key that
    it takes from the bundle."""
    await IdentityKeyPair.get(storage)
    kind, xml = BACKENDS[version]
    backend = kind(storage)
    content, secret = await backend.encrypt_plaintext(text)
    session, key = await backend.build_session_active(bundle.bare_jid, bundle.device_id, bundle, secret)
    message = Message(backend.namespace, sender, sid, content, frozenset({(key, session.key_exchange)}))
    return xml.serialize_message(message), session.key_exchange.header.pre_key


def imitation(to, device, sid, is_key_exchange, version):
    """Well formed down to the last field, and every key is chance."""
    random = secrets.token_bytes
    if version == "legacy":
        key = b"\x05" + random(32)
        data = b"\x33" + fields({1: key, 2: 0, 3: 0, 4: random(48)}) + random(8)
        if is_key_exchange:
            data = b"\x33" + fields({1: 1, 2: key, 3: b"\x05" + random(32), 4: data, 5: sid, 6: 1})
        attribute, rest = "prekey", f"<iv>{text(12)}</iv>"
    else:
        message = fields({1: 0, 2: 0, 3: random(32), 4: random(64)})
        data = fields({1: random(16), 2: message})
        if is_key_exchange:
            data = fields({1: 1, 2: 1, 3: random(32), 4: random(32), 5: data})
        attribute, rest = "kex", ""
    mark = f" {attribute}='true'" if is_key_exchange else ""
    keys = f"<key rid='{device}'{mark}>{b64encode(data).decode()}</key>"
    if version == "omemo2":
        keys = f"<keys jid='{to}'>{keys}</keys>"
    namespace = BACKENDS[version][0](Memory()).namespace
    return ElementTree.fromstring(
        f"<encrypted xmlns='{namespace}'><header sid='{sid}'>{keys}{rest}</header>"
        f"<payload>{text(64)}</payload></encrypted>")


def text(count):
    return b64encode(secrets.token_bytes(count)).decode()


def fields(values):
    """Protobuf: whole numbers and byte strings, by field number."""

    def varint(value):
        encoded = bytearray()
        while value > 127:
            encoded.append(value & 127 | 128)
            value >>= 7
        return bytes(encoded) + bytes([value])

    data = b""
    for number, value in values.items():
        if isinstance(value, int):
            data += varint(number << 3) + varint(value)
        else:
            data += varint(number << 3 | 2) + varint(len(value)) + value
    return data
