"""Every example of docs/API.md is carried out by a real imd, and the answer has the shape of the example."""

from pathlib import Path

from faults import acquaint
from harness import Imd, until

DISK = "disk-2026-11-28"

# What depends on the server.
MAY_BE_MISSING = {"channelBinding"}


class Scene:
    """Alice, Bob and Carol of the examples, as they are on the server of the test."""

    def __init__(self, server, alice, bob, laptop, folder):
        self.server, self.alice, self.bob, self.laptop, self.folder = server, alice, bob, laptop, folder
        self.carol = server.user()
        self.alice.user  # one of the server's, before anybody asks
        self.bob.online()

    def names(self):
        """What stands in the examples, and what it is here; nothing that is not known yet."""
        names = {
            "alice@example.org": self.alice.user.jid, "bob@example.org": self.bob.user.jid,
            "carol@example.org": self.carol.jid, "/home/alice/imd-backup": str(self.folder / "imd-backup"),
            "pass show xmpp/alice": f"echo '{self.alice.user.password}'", 836224870: self.bob.device(),
            "a7c1f09e24d86b35e1907f4cd2583ab60e9b714fc3d5a82661f70b9d48ec2a53": self.bob.fingerprint()}
        if self.laptop.process:
            names[290117385] = self.laptop.device()
        return names

    # Before an example

    def connection(self):
        return {"server": self.server.address, "caFile": str(self.server.ca)}

    def lunch(self):
        self.alice.call("contact.add", jid=self.bob.user.jid, name="Bob", groups=["Friends"])
        self.bob.call("presence.set", show="away", status="lunch")
        until(lambda: "lunch" in str(self.alice.call("contact.list")), 20, "Bob is away")

    def part(self):
        self.alice.call("contact.remove", jid=self.carol.jid)

    def meet(self):
        acquaint(self.alice, self.bob)

    def be_thanked(self):
        self.bob.ok("send", self.alice.user.jid, "thanks", "--wait", "server")
        self.alice.messages(1)

    def lose_a_laptop(self):
        self.laptop._user = self.alice.user
        self.laptop.start()
        self.laptop.online()
        device = self.laptop.device()
        until(lambda: device in self.alice.devices(self.alice.user.jid), 20, "the other device is known")
        names = self.names()
        self.laptop.kill()
        self.names = lambda: names

    def numbers(self):
        last = self.alice.call("daemon.status")["lastEvent"]
        return {"number": last - 1}

    def failed(self):
        return {"number": self.alice.call("failure.list")["failures"][0]["number"]}

    def install_a_hook(self):
        folder = self.alice.config / "imd/hooks.d"
        folder.mkdir(mode=0o700, parents=True)
        (folder / "notify-desktop").write_text("#!/bin/sh\ncat >/dev/null\n")
        (folder / "notify-desktop").chmod(0o755)
        until(lambda: self.alice.call("hook.list")["hooks"], 20, "the hook is found")

    def wait_for_nobody(self):
        until(lambda: not any(c["connected"] for c in self.alice.call("consumer.list")["consumers"]), 20, "gone")
        return self.numbers()

    def remember(self):
        """The events of an account go with it."""
        types = [event["name"] for event in self.alice.call("rpc.discover")["x-events"]]
        self.events = self.alice.told(*types)

    def send_offline(self):
        self.alice.call("message.send", to=self.bob.user.jid, body="disk is full", id=DISK)


# In an order that works; beside the method, what is done before it, which may give parameters of this scene.
STEPS = [
    ("account.add", Scene.connection), ("account.list", None), ("daemon.status", None), ("daemon.check", None),
    ("contact.list", Scene.lunch), ("presence.set", None),
    ("contact.add", Scene.part), ("contact.approve", None), ("contact.remove", None),
    ("message.send", Scene.meet), ("message.list", Scene.be_thanked), ("message.get", None), ("chat.list", None),
    ("message.displayed", None),
    ("device.list", None), ("device.uri", None), ("device.verify", None), ("device.reset", None),
    ("encryption.get", None), ("encryption.set", None), ("trust.export", None), ("trust.import", None),
    ("event.subscribe", None), ("event.ack", Scene.numbers), ("consumer.list", None),
    ("failure.add", Scene.numbers), ("failure.list", None), ("failure.remove", Scene.failed),
    ("consumer.rewind", Scene.wait_for_nobody), ("consumer.remove", None),
    ("hook.list", Scene.install_a_hook), ("hook.test", None), ("hook.replay", None),
    ("device.remove", Scene.lose_a_laptop),
    ("account.disconnect", None), ("outbox.list", Scene.send_offline), ("outbox.cancel", None), ("outbox.retry", None),
    ("account.connect", None), ("device.trust", None),
    ("account.export", None), ("account.inspect", None), ("account.remove", Scene.remember), ("account.import", Scene.connection),
    ("rpc.discover", None),
]


def here(value, names):
    if isinstance(value, dict):
        return {key: here(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [here(one, names) for one in value]
    return names.get(value, value)


def kind(value):
    return "integer" if type(value) is int else type(value).__name__


def holds_objects(example):
    return bool(example) and isinstance(example[0], dict)


def assert_shape(value, schema, path, example=None):
    """The value is what the schema says, and has what the example has."""
    if "oneOf" in schema:
        schema = {} if value is None else schema["oneOf"][0]
    if "type" not in schema:
        return
    python = {"object": "dict", "array": "list", "string": "str", "boolean": "bool", "integer": "integer"}
    assert kind(value) == python[schema["type"]], (path, value)
    if "enum" in schema:
        assert value in schema["enum"], (path, value)
    if schema["type"] == "object":
        example = example or {}
        assert set(schema.get("required", [])) <= set(value), (path, value)
        assert set(value) <= set(schema["properties"]), (path, value)
        assert set(example) - MAY_BE_MISSING <= set(value), (path, example, value)
        for key, one in value.items():
            assert_shape(one, schema["properties"][key], f"{path}.{key}", example.get(key))
    if schema["type"] == "array":
        assert value or not example, f"{path}: nothing is there, the example shows something"
        # Of several, the one that is most like the example.
        like = max(value, key=lambda one: len(set(one) & set(example[0]))) if holds_objects(example) else None
        for one in value:
            assert_shape(one, schema["items"], path, example[0] if one is like else None)


def test_every_example_is_carried_out_and_answered_in_its_shape(friends, tmp_path):
    with Imd(friends) as alice, Imd(friends) as bob, Imd(friends) as laptop:
        laptop.stop()
        laptop.process = None
        document = alice.call("rpc.discover")
        methods = {method["name"]: method for method in document["methods"]}
        scene = Scene(friends, alice, bob, laptop, tmp_path)
        assert {name for name, _ in STEPS} == set(methods), "one step for each method"
        for name, prepare in STEPS:
            extra = (prepare(scene) if prepare else None) or {}
            [example] = methods[name]["examples"]
            params = {param["name"]: here(param["value"], scene.names()) for param in example["params"]}
            answer = alice.call(name, **{**params, **extra})
            assert_shape(answer, methods[name]["result"]["schema"], name, example["result"]["value"])
        schemas = {event["name"]: event["schema"] for event in document["x-events"]}
        for event in scene.events:
            assert_shape(event, schemas[event["type"]], f"event {event['type']}")
        assert {event["type"] for event in scene.events} >= {"message", "state", "device", "account"}


def test_the_reference_shows_an_example_of_each_method_and_event(fresh):
    text = (Path(__file__).parents[2] / "docs/API.md").read_text()
    document = fresh.call("rpc.discover")
    for method in document["methods"]:
        assert f'"method":"{method["name"]}","params":' in text, method["name"]
    for event in document["x-events"]:
        assert f',"type":"{event["name"]}",' in text, event["name"]
