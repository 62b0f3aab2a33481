"""Records what independent implementations compute, for the Swift tests to compare with. See README.md."""

import asyncio
import hashlib
import json
import pathlib
import random
import secrets

import doubleratchet
import oldmemo.oldmemo as legacy
import twomemo.twomemo as omemo2
import x3dh
import x3dh.identity_key_pair
import xeddsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from doubleratchet.recommended import diffie_hellman_ratchet_curve25519

OUT = pathlib.Path(__file__).resolve().parent.parent / "Vectors"


def drawn(*label):
    """32 bytes that are the same in every run."""
    return hashlib.sha256(repr(label).encode()).digest()


def write(name, value):
    OUT.mkdir(exist_ok=True)
    (OUT / name).write_text(json.dumps(value, indent=1) + "\n")


def record_signatures():
    rows = []
    for index in range(40):
        seed = drawn("xeddsa", index)
        message = drawn("message", index)[: index % 33]
        ed25519 = xeddsa.seed_to_ed25519_pub(seed)
        curve25519 = xeddsa.ed25519_pub_to_curve25519_pub(ed25519)
        # The other signer: XEdDSA proper, from the X25519 private key, forced to either sign.
        private = xeddsa.seed_to_priv(seed)
        forced = []
        for sign in (False, True):
            key = xeddsa.priv_force_sign(private, sign)  # perhaps negated, hence not clamped any more
            public = xeddsa.curve25519_pub_to_ed25519_pub(curve25519, sign)
            signature = bytearray(xeddsa.ed25519_priv_sign(key, message, drawn("nonce", index) * 2))
            assert xeddsa.ed25519_verify(bytes(signature), public, message)
            signature[63] |= 0x80 if sign else 0
            forced.append({"ed25519": public.hex(), "signature": bytes(signature).hex()})
        rows.append(
            {
                "seed": seed.hex(),
                "private": private.hex(),
                "message": message.hex(),
                "ed25519": ed25519.hex(),
                "curve25519": curve25519.hex(),
                "positive": xeddsa.curve25519_pub_to_ed25519_pub(curve25519, False).hex(),
                "negative": xeddsa.curve25519_pub_to_ed25519_pub(curve25519, True).hex(),
                "ed25519Signature": xeddsa.ed25519_seed_sign(seed, message).hex(),
                "xeddsa": forced,
            }
        )
    assert {row["ed25519"] == row["positive"] for row in rows} == {True, False}
    write("xeddsa.json", rows)


def public(private):
    return xeddsa.priv_to_curve25519_pub(private)


async def record_agreements():
    rows = []
    for version, module in (("legacy", legacy), ("omemo2", omemo2)):
        for index in range(8):
            rows.append(await agreement(version, module, index))
    write("x3dh.json", rows)


async def agreement(version, module, index):
    def state(name, *fresh):
        supply = iter(fresh)
        secrets.token_bytes = lambda count: next(supply) if count == 32 else drawn("nonce") * 2
        seed = drawn("x3dh", version, index, name)
        pair = x3dh.identity_key_pair.IdentityKeyPairSeed(seed)
        made = module.StateImpl.create(
            x3dh.IdentityKeyFormat.ED_25519, x3dh.HashFunction.SHA_256, module.StateImpl.INFO, pair
        )
        return seed, made

    signed, one_time, ephemeral = (drawn(version, index, name) for name in ("spk", "opk", "ek"))
    real = secrets.token_bytes
    try:
        alice_seed, alice = state("alice", drawn("unused"))
        bob_seed, bob = state("bob", signed, one_time)
        bob.generate_pre_keys(1)
        secrets.token_bytes = lambda count: ephemeral
        bundle = bob.bundle
        secret, _, header = await alice.get_shared_secret_active(bundle)
    finally:
        secrets.token_bytes = real
    other, _, _ = await bob.get_shared_secret_passive(header)
    assert secret == other
    assert header.ephemeral_key == public(ephemeral)
    assert header.signed_pre_key == public(signed) and header.pre_key == public(one_time)
    return {
        "version": version,
        "initiatorSeed": alice_seed.hex(),
        "responderSeed": bob_seed.hex(),
        "signedPreKey": signed.hex(),
        "preKey": one_time.hex(),
        "ephemeral": ephemeral.hex(),
        "bundleSignature": bundle.signed_pre_key_sig.hex(),
        "secret": secret.hex(),
    }


class Recording:
    """One conversation between two python ratchets, both watched."""

    def __init__(self, version, module, seed):
        self.version, self.module, self.random = version, module, random.Random(seed)
        self.secret = drawn("secret", version, seed)
        self.signed_pre_key = drawn("spk", version, seed)
        self.associated = drawn("ad", version, seed) + drawn("ad2", version, seed)
        if version == "legacy":
            self.associated += b"\x05\x05"
        self.fresh = {"alice": [], "bob": []}
        self.ratchets, self.events, self.sent, self.waiting = {}, [], [], {"alice": [], "bob": []}
        self.who = None
        self.message_key = None
        self.dh = self.watched_dh()
        self.aead = self.watched_aead()

    def watched_dh(recording):
        class DH(diffie_hellman_ratchet_curve25519.DiffieHellmanRatchet):
            @staticmethod
            def _generate_priv():
                name = recording.who
                key = drawn("ratchet", recording.version, name, len(recording.fresh[name]))
                recording.fresh[name].append(key.hex())
                return key

        return DH

    def watched_aead(recording):
        class AEAD(recording.module.AEADImpl):
            @classmethod
            async def encrypt(cls, plaintext, key, associated_data):
                recording.message_key = key
                return await super().encrypt(plaintext, key, associated_data)

        return AEAD

    def common(self):
        module = self.module
        return (module.MessageChainKDFImpl, module.DoubleRatchetImpl.MESSAGE_CHAIN_CONSTANT)

    async def send(self, name):
        self.who = name
        other = "bob" if name == "alice" else "alice"
        plaintext = drawn("text", self.version, len(self.sent)) + drawn("tag")[:16]
        if name not in self.ratchets:
            self.ratchets[name], message = await self.module.DoubleRatchetImpl.encrypt_initial_message(
                self.dh, self.module.RootChainKDFImpl, *self.common(), 1000, 1000, self.aead, self.secret,
                public(self.signed_pre_key), plaintext, self.associated,
            )
        else:
            message = await self.ratchets[name].encrypt_message(plaintext, self.associated)
        material = HKDF(SHA256(), 80, b"\x00" * 32, self.aead._get_info()).derive(self.message_key)
        self.sent.append((message, plaintext))
        self.waiting[other].append(len(self.sent) - 1)
        self.events.append(
            {
                "kind": "send",
                "by": name,
                "dh": message.header.ratchet_pub.hex(),
                "n": message.header.sending_chain_length,
                "pn": message.header.previous_sending_chain_length,
                "material": material.hex(),
                "plaintext": plaintext.hex(),
                "associated": self.associated.hex(),
                "message": message.ciphertext.hex(),
            }
        )

    async def receive(self, name, message_index):
        self.who = name
        message, plaintext = self.sent[message_index]
        self.waiting[name].remove(message_index)
        if name not in self.ratchets:
            self.ratchets[name], text = await self.module.DoubleRatchetImpl.decrypt_initial_message(
                self.dh, self.module.RootChainKDFImpl, *self.common(), 1000, 1000, self.aead, self.secret,
                self.signed_pre_key, message, self.associated,
            )
        else:
            text = await self.ratchets[name].decrypt_message(message, self.associated)
        assert text == plaintext
        self.events.append({"kind": "receive", "by": name, "message": message_index})

    async def run(self, steps):
        await self.send("alice")
        await self.send("alice")
        await self.receive("bob", 1)
        for _ in range(steps):
            name = self.random.choice(["alice", "bob"])
            if self.waiting[name] and self.random.random() < 0.5:
                await self.receive(name, self.random.choice(self.waiting[name]))
            else:
                await self.send(name)
        return {
            "version": self.version,
            "secret": self.secret.hex(),
            "signedPreKey": self.signed_pre_key.hex(),
            "fresh": self.fresh,
            "events": self.events,
        }


async def record_conversations():
    write(
        "ratchet.json",
        [
            await Recording(version, module, seed).run(120)
            for version, module in (("legacy", legacy), ("omemo2", omemo2))
            for seed in (1, 2)
        ],
    )


record_signatures()
asyncio.run(record_agreements())
asyncio.run(record_conversations())
