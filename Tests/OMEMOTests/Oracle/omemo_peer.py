"""Devices of one of python-omemo's backends, driven by one JSON object per line.

The only argument names the version: legacy (oldmemo) or omemo2 (twomemo).

Request: {"op": ..., "peer": name, ...}. Answer: {...} or {"error": class name}.

  create   jid, sign          a new device whose Edwards identity has that sign; answers device, bundle
  bundle                      the bundle as published last
  publish  jid, device, bundle   makes a foreign device known, as PEP would
  encrypt  jid, text          answers xml
  decrypt  jid, xml           answers text (null if empty) and sent: messages it sent in return
  restart                     serializes the state and loads it again
  snapshot                    keeps a copy of the state
  restore                     goes back to that copy, as from a backup
  export                      the private keys, for recorded vectors, in hexadecimal: identitySeed, signedPreKey, preKeys;
                              with jid and device also ratchetKey, of the session with that device
"""

import asyncio
import base64
import copy
import json
import logging
import sys
import xml.etree.ElementTree as ET

import oldmemo
import oldmemo.etree
import omemo
import twomemo
import twomemo.etree

logging.disable(logging.CRITICAL)

LEGACY = sys.argv[1] == "legacy"
NS = oldmemo.oldmemo.NAMESPACE if LEGACY else twomemo.twomemo.NAMESPACE
CODEC = oldmemo.etree if LEGACY else twomemo.etree


def backend(storage):
    return oldmemo.Oldmemo(storage) if LEGACY else twomemo.Twomemo(storage)


async def parse_message(text, sender, peer):
    element = ET.fromstring(text)
    if LEGACY:
        return await oldmemo.etree.parse_message(element, sender, peer.jid, peer.manager)
    return twomemo.etree.parse_message(element, sender)


class Memory(omemo.Storage):
    def __init__(self, values):
        super().__init__(disable_cache=True)
        self.values = values

    async def _load(self, key):
        return omemo.Just(self.values[key]) if key in self.values else omemo.Nothing()

    async def _store(self, key, value):
        self.values[key] = copy.deepcopy(value)

    async def _delete(self, key):
        self.values.pop(key, None)


class Peer:
    def __init__(self, jid):
        self.jid = jid
        self.values = {}
        self.bundles = {}  # (jid, device): bundle
        self.lists = {}  # jid: {device: label}
        self.sent = []
        self.manager = None

    def manager_class(self):
        peer = self

        class Manager(omemo.SessionManager):
            @staticmethod
            async def _upload_bundle(bundle):
                peer.bundles[(bundle.bare_jid, bundle.device_id)] = bundle

            @staticmethod
            async def _download_bundle(namespace, bare_jid, device_id):
                try:
                    return peer.bundles[(bare_jid, device_id)]
                except KeyError:
                    raise omemo.BundleNotFound() from None

            @staticmethod
            async def _delete_bundle(namespace, device_id):
                peer.bundles.pop((peer.jid, device_id), None)

            @staticmethod
            async def _upload_device_list(namespace, device_list):
                peer.lists[peer.jid] = device_list

            @staticmethod
            async def _download_device_list(namespace, bare_jid):
                return peer.lists.get(bare_jid, {})

            async def _evaluate_custom_trust_level(self, device):
                return omemo.TrustLevel.TRUSTED

            async def _make_trust_decision(self, undecided, identifier):
                raise AssertionError("everything is trusted")

            @staticmethod
            async def _send_message(message, bare_jid):
                peer.sent.append(message)

        return Manager

    async def load(self):
        if self.manager is not None:
            await self.manager.shutdown()
        storage = Memory(self.values)
        self.manager = await self.manager_class().create(
            [backend(storage)], storage, self.jid, None, "undecided"
        )
        await self.manager.after_history_sync()

    async def own(self):
        device, _ = await self.manager.get_own_device_information()
        return device


def to_text(element):
    return ET.tostring(element, encoding="unicode")


async def create(peers, request):
    while True:
        peer = Peer(request["jid"])
        await peer.load()
        device = await peer.own()
        if bool(device.identity_key[31] & 0x80) == request["sign"]:
            break
        await peer.manager.shutdown()
    peers[request["peer"]] = peer
    return {
        "device": device.device_id,
        "bundle": to_text(CODEC.serialize_bundle(peer.bundles[(peer.jid, device.device_id)])),
    }


async def bundle(peer, request):
    device = await peer.own()
    return {"bundle": to_text(CODEC.serialize_bundle(peer.bundles[(peer.jid, device.device_id)]))}


async def publish(peer, request):
    jid, device = request["jid"], request["device"]
    element = ET.fromstring(request["bundle"])
    peer.bundles[(jid, device)] = CODEC.parse_bundle(element, jid, device)
    peer.lists.setdefault(jid, {})[device] = None
    await peer.manager.update_device_list(NS, jid, peer.lists[jid])
    return {}


async def encrypt(peer, request):
    messages, errors = await peer.manager.encrypt(
        frozenset({request["jid"]}), {NS: request["text"].encode()}
    )
    if errors:
        raise next(iter(errors))
    (message,) = messages
    return {"xml": to_text(CODEC.serialize_message(message))}


async def decrypt(peer, request):
    message = await parse_message(request["xml"], request["jid"], peer)
    plaintext, _, _ = await peer.manager.decrypt(message)
    sent, peer.sent = peer.sent, []
    return {
        "text": None if plaintext is None else plaintext.decode(),
        "sent": [to_text(CODEC.serialize_message(message)) for message in sent],
    }


async def restart(peer, request):
    peer.values = json.loads(json.dumps(peer.values))
    await peer.load()
    return {}


async def snapshot(peer, request):
    peer.kept = json.dumps(peer.values)
    return {}


async def restore(peer, request):
    peer.values = json.loads(peer.kept)
    await peer.load()
    return {}


def hexadecimal(text):
    """The state holds bytes as text, a character for each."""
    return text.encode("latin-1").hex()


async def export(peer, request):
    state = peer.values[f"/{NS}/x3dh"]
    answer = {
        "identitySeed": hexadecimal(state["identity_key"]["secret"]),
        "signedPreKey": hexadecimal(state["signed_pre_key"]["priv"]),
        "preKeys": [hexadecimal(key) for key in state["pre_keys"]],
    }
    if "jid" in request:
        session = peer.values[f"/{NS}/{request['jid']}/{request['device']}/double_ratchet"]
        answer["ratchetKey"] = hexadecimal(session["diffie_hellman_ratchet"]["own_ratchet_priv"])
    return answer


OPERATIONS = {
    "bundle": bundle, "publish": publish, "encrypt": encrypt, "decrypt": decrypt,
    "restart": restart, "snapshot": snapshot, "restore": restore, "export": export,
}


async def main():
    peers = {}
    for line in sys.stdin:
        try:
            request = json.loads(line)
            if request["op"] == "create":
                answer = await create(peers, request)
            else:
                answer = await OPERATIONS[request["op"]](peers[request["peer"]], request)
        except Exception as error:  # every failure is an answer
            answer = {"error": type(error).__name__, "detail": repr(error)}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
