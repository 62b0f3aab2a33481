"""Times python-omemo's ratchet as omemo_c.c does, in the version that the argument names (legacy or omemo2).

Each message loads the session from a storage in memory and stores it again. Prints one JSON object.
"""

import asyncio
import json
import secrets
import sys
import time

import oldmemo
import omemo
import twomemo
from omemo.identity_key_pair import IdentityKeyPair

ONE_WAY, TURNS, SET_UPS = 1000, 200, 50
LEGACY = sys.argv[1:] == ["legacy"]
BACKEND = oldmemo.Oldmemo if LEGACY else twomemo.Twomemo


class Memory(omemo.Storage):
    def __init__(self):
        super().__init__(disable_cache=True)
        self.values = {}

    async def _load(self, key):
        return omemo.Just(self.values[key]) if key in self.values else omemo.Nothing()

    async def _store(self, key, value):
        self.values[key] = value

    async def _delete(self, key):
        self.values.pop(key, None)


class Device:
    """One device that knows one other."""

    async def create(self, name):
        storage = Memory()
        await IdentityKeyPair.get(storage)  # made where there is none
        self.name, self.backend = name, BACKEND(storage)
        await self.backend.generate_pre_keys(1)
        return self

    async def start(self, other, secret):
        bundle = await other.backend.get_bundle(other.name, 1)
        session, encrypted = await self.backend.build_session_active(other.name, 1, bundle, secret)
        await self.backend.store_session(session)
        return session.key_exchange, encrypted

    async def accept(self, other, exchange, encrypted):
        session, _ = await self.backend.build_session_passive(other.name, 1, exchange, encrypted)
        await self.backend.store_session(session)

    async def encrypt(self, other, secret):
        session = await self.backend.load_session(other.name, 1)
        encrypted = await self.backend.encrypt_key_material(session, secret)
        await self.backend.store_session(session)
        return encrypted

    async def decrypt(self, other, encrypted):
        session = await self.backend.load_session(other.name, 1)
        await self.backend.decrypt_key_material(session, encrypted)
        await self.backend.store_session(session)


async def main():
    alice, bob = await Device().create("alice"), await Device().create("bob")
    _, secret = await alice.backend.encrypt_plaintext(secrets.token_bytes(64))

    began = time.perf_counter()
    for _ in range(SET_UPS):  # both sides: session from the bundle, first message, its decryption
        await bob.accept(alice, *await alice.start(bob, secret))
    set_up = (time.perf_counter() - began) / SET_UPS

    began = time.perf_counter()
    for turn in range(TURNS):  # every message starts a new chain
        one, two = (alice, bob) if turn % 2 else (bob, alice)
        await two.decrypt(one, await one.encrypt(two, secret))
    ping_pong = (time.perf_counter() - began) / TURNS

    began = time.perf_counter()
    sent = [await alice.encrypt(bob, secret) for _ in range(ONE_WAY)]
    encrypting = (time.perf_counter() - began) / ONE_WAY
    began = time.perf_counter()
    for encrypted in sent:
        await bob.decrypt(alice, encrypted)
    decrypting = (time.perf_counter() - began) / ONE_WAY
    times = {"encrypt_us": encrypting, "decrypt_us": decrypting, "ping_pong_us": ping_pong, "set_up_us": set_up}
    print(json.dumps({name: round(value * 1e6, 1) for name, value in times.items()}))


asyncio.run(main())
