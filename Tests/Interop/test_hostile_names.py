"""Links, names and ids of others lead nowhere: no connection, no file, no statement of SQL (D35, D36, D38)."""

import contextlib
import hashlib
import json
import os
import re
import socket
import sqlite3
import subprocess
import threading
import time

from harness import BIN, CANTCREAT, Api, Imd, Peer, User, until

# Threat row D36, and what it grew from.
NAMES = [
    "..%2f.bashrc", "/etc/passwd", "-rf", "../../../../../../../../tmp/imd-was-here", "~/.bashrc", "x" * 5000,
    "\u202egnp.exe", "a/../../b", "$(touch imd-was-here)", "`touch imd-was-here`", ";touch imd-was-here", "C:\\x",
    "file:///etc/passwd", "line\nfeed", ".", "..", "imd.sqlite", "key"]
# Calls of the system that make, change or take away a file, whatever they are told to open it for.
CHANGING = re.compile(
    r"^\d+ (open|openat|openat2|creat|mkdir\w*|rename\w*|link\w*|symlink\w*|unlink\w*|rmdir|mknod\w*|truncate"
    r"|chmod|fchmodat\w*|chown|lchown|fchownat|execve)\((.*)")


def escaped(text):
    """As the content of an element, or of an attribute in single quotes."""
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), ("'", "&apos;"), ("\n", "&#10;")):
        text = text.replace(char, entity)
    return text


@contextlib.contextmanager
def traced(server):
    """A daemon whose calls about files and connections are written down, with the contact that will send."""
    imd = Imd(server)
    try:
        trace = imd.root / "trace"
        imd.start(tracer=["strace", "-f", "-D", "-qq", "-s", "8192", "-o", trace, "-e", "trace=%file,connect"])
        yield imd.online(), trace
    finally:
        imd.__exit__()


def calls(trace):
    return trace.read_text(errors="replace").splitlines()


def tree(folder):
    """Every path below it with its content; of the database only that it is there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inner = path.is_file() and not path.is_symlink() and "imd.sqlite" not in path.name
        found[path.relative_to(folder)] = hashlib.sha256(path.read_bytes()).hexdigest() if inner else "-"
    return found


class Listener:
    """A loopback port, IPv4 and IPv6 alike, that counts who comes."""

    def __enter__(self):
        self.socket = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port, self.count = self.socket.getsockname()[1], 0
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client:
                self.count += 1
                client.sendall(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")


def links(port):
    key = "ab" * 44
    hosts = [f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", f"[::ffff:127.0.0.1]:{port}", f"2130706433:{port}",
             f"127.0.0.1.nip.io:{port}", "[::ffff:169.254.169.254]"]
    urls = [f"{scheme}://{host}/x.png" for host in hosts for scheme in ("http", "https")]
    return urls + [f"aesgcm://127.0.0.1:{port}/x.png#{key}", f"xmpp:a@127.0.0.1:{port}", f"ftp://127.0.0.1:{port}/x",
                   "file:///etc/passwd", "data:image/png;base64,AAAA"]


def carriers(to, url):
    """Every place where a client might find something to fetch."""
    x = escaped(url)
    head = f"<message to='{to}' type='chat'>"
    for content in (
            f"<body>{x}</body>",
            f"<body>{x}</body><x xmlns='jabber:x:oob'><url>{x}</url></x>",
            f"<body>b</body><reference xmlns='urn:xmpp:reference:0' type='data' uri='{x}'/>",
            f"<body>b</body><html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>"
            f"<img src='{x}'/><a href='{x}'>x</a></body></html>",
            f"<body>b</body><file-sharing xmlns='urn:xmpp:sfs:0'><sources>"
            f"<url-data xmlns='http://jabber.org/protocol/url-data' target='{x}'/></sources></file-sharing>",
            f"<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:avatar:metadata'>"
            f"<item id='a'><metadata xmlns='urn:xmpp:avatar:metadata'><info bytes='1' id='a' type='image/png' url='{x}'/>"
            f"</metadata></item></items></event>"):
        yield f"{head}{content}</message>"
    yield f"<iq type='set' to='{to}/nobody' id='oob'><query xmlns='jabber:iq:oob'><url>{x}</url></query></iq>"


def test_D35_nothing_that_others_link_to_is_fetched(friends):
    """Links in the clear and encrypted, out of band, in avatars and cards: no connection, so none to follow on."""
    with traced(friends) as (imd, trace), Peer(friends, friends.user()) as peer, Listener() as listener:
        avatar = f"http://127.0.0.1:{listener.port}/avatar.png"
        peer.do("publish", node="urn:xmpp:avatar:metadata", item="a", xml=(
            f"<metadata xmlns='urn:xmpp:avatar:metadata'><info bytes='1' id='a' type='image/png' url='{avatar}'/></metadata>"))
        peer.do("raw", xml=f"<iq type='set' id='v'><vCard xmlns='vcard-temp'><PHOTO><EXTVAL>{avatar}</EXTVAL></PHOTO></vCard></iq>")
        peer.do("raw", xml="<presence><x xmlns='vcard-temp:x:update'><photo>0123456789</photo></x></presence>")
        for url in links(listener.port):
            peer.send(imd.user.jid, url)
            for stanza in carriers(imd.user.jid, url):
                peer.do("raw", xml=stanza)
        peer.send(imd.user.jid, "last")
        until(lambda: any(e["body"] == "last" for e in imd.told("message")), 60, "all have come")
        time.sleep(2)
        assert listener.count == 0
        there = [line for line in calls(trace) if " connect(" in line and "AF_INET" in line]
        assert there and all(f"htons({friends.port})" in line for line in there), "it is connected to its server alone"
        with socket.create_connection(("127.0.0.1", listener.port), 5):
            until(lambda: listener.count == 1, 5, "who comes is counted")


def test_D36_no_name_of_others_leads_to_a_file(friends):
    """As resource, id, thread, nickname, subject, status, body, name of a contact, a chat or a consumer."""
    user = friends.user()
    with traced(friends) as (imd, trace):
        before = tree(imd.root)
        with Peer(friends, User(f"{user.jid}/../../../.bashrc", user.password)) as peer:
            assert "/../../../.bashrc" in peer.own["jid"]
            for name in NAMES:
                x = escaped(name)
                peer.do("raw", xml=(
                    f"<message to='{imd.user.jid}' type='chat' id='{x}'><thread>{x}</thread><subject>{x}</subject>"
                    f"<nick xmlns='http://jabber.org/protocol/nick'>{x}</nick><body>{x}</body>"
                    f"<origin-id xmlns='urn:xmpp:sid:0' id='{x}'/><x xmlns='jabber:x:oob'><url>{x}</url><desc>{x}</desc></x>"
                    "</message>"))
                peer.do("raw", xml=f"<presence><status>{x}</status><nick xmlns='http://jabber.org/protocol/nick'>{x}</nick></presence>")
            for body in NAMES:
                peer.send(imd.user.jid, body)
            until(lambda: len(imd.told("message")) >= 2 * len(NAMES), 60, "all have come")
        with Api(imd) as api:
            for name in NAMES + ["con\0nul"]:
                for method, params in (
                        ("message.send", {"to": f"{name}@imd.test", "body": name, "plaintext": True}),
                        ("message.send", {"to": peer.user.jid.split("/")[0], "body": name, "id": name, "plaintext": True}),
                        ("message.list", {"chat": name}), ("event.subscribe", {"consumer": name}),
                        ("contact.add", {"jid": peer.user.jid.split("/")[0], "name": name, "groups": [name]}),
                        ("presence.set", {"show": "away", "status": name})):
                    answer = api.answer(api.request(method, **params))
                    assert answer.get("error", {}).get("data", {}).get("code") != "internal", (method, name, answer)
        imd.ok("status")
        assert_only_inside(imd, trace, friends)
        assert changed(before, tree(imd.root)) <= {"imd.log", "trace"}
        assert not os.path.exists("/tmp/imd-was-here") and not os.path.exists("imd-was-here")


def assert_only_inside(imd, trace, server):
    """Nothing is run, and nothing opened for writing or changed, but in imd's own folders."""
    ours = tuple(f"{folder}/imd" for folder in (imd.data, imd.run))
    started = 0
    for line in calls(trace):
        if not (match := CHANGING.match(line)):
            continue
        call, arguments = match.groups()
        if call.startswith("open") and not re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC)", arguments):
            continue
        if call == "execve":
            started += 1
            continue
        for path in re.findall(r'"((?:[^"\\]|\\.)*)"', arguments):
            fine = path.startswith(ours) or path in ("/dev/null", "/dev/tty", str(imd.data), str(imd.run))
            assert fine, line
    assert started <= 1, "imd itself"


def changed(before, after):
    return {str(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def export(imd, folder, path):
    """`imctl account export` in that folder, the passphrase through a descriptor."""
    read, write = os.pipe()
    os.write(write, b"open sesame\n")
    os.close(write)
    done = subprocess.run(
        [BIN / "imctl", "account", "export", "--passphrase-fd", str(read), "--", path], env=imd.environment, cwd=folder,
        pass_fds=[read], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    os.close(read)
    return done


def test_D36_a_backup_is_written_where_it_was_typed_and_nowhere_else(imd):
    """The path is the user's own word: `..` and a leading dash mean what they always do, and no shell sees it."""
    start = imd.root / "a/b/c"
    for folder in ("a", "~", "etc", "file:/etc"):
        (start / folder).mkdir(parents=True, exist_ok=True)
    (imd.root / "tmp").mkdir()
    for name in [name.lstrip("/") for name in NAMES if len(name) < 256 and name not in (".", "..")]:
        if "tmp/" in name:
            name = "../../../tmp/imd-was-here"
        before = tree(imd.root)
        done = export(imd, start, name)
        assert done.returncode == 0, (name, done)
        there = os.path.relpath(os.path.normpath(os.path.join(start, name)), imd.root)
        assert changed(before, tree(imd.root)) - {"imd.log"} == {there}
        assert export(imd, start, name).returncode == CANTCREAT, "it is there and stays"


def test_D36_a_path_of_the_api_is_absolute_whole_and_new(imd):
    folder = imd.root / "backups"
    folder.mkdir()
    (folder / "there").write_text("kept")
    (folder / "link").symlink_to(folder / "elsewhere")
    with Api(imd, timeout=60) as api:
        for path in ("relative", "../up", "~/home", "", f"{folder}/cut\0.imd", f"{folder}/there", f"{folder}/link",
                     f"{folder}/", f"{folder}/no/such/folder", f"{folder}/" + "x" * 5000):
            error = api.fails("account.export", path=path, passphrase="open sesame")
            assert error["data"]["code"] != "internal", (path, error)
    assert sorted(path.name for path in folder.iterdir()) == ["link", "there"]
    assert (folder / "there").read_text() == "kept"


# SQL

STATEMENTS = [
    "a'--@x", '" OR NEAR(', "x'); DROP TABLE message;--", "' OR '1'='1", "%", "_", "a%' ESCAPE '", "\\", "''", '""',
    "?1", ":name", "NULL", "0x00", "NEAR/2", "body:*", "\0", "x" * 4000, "\ud7ff", "1 UNION SELECT secret FROM key"]


def strings(schema, path=()):
    """Where an object that fits the schema may hold free text."""
    if schema.get("type") == "string" and "enum" not in schema:
        yield path
    for name, of in schema.get("properties", {}).items():
        yield from strings(of, (*path, name))
    if "items" in schema:
        yield from strings(schema["items"], (*path, 0))


def plausible(schema, own):
    """A value of that form; texts are this account's own address."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: plausible(of, own) for name, of in schema.get("properties", {}).items()
                if name in schema.get("required", [])}
    if kind == "array":
        return [plausible(schema["items"], own)]
    return {"integer": 1, "boolean": False}.get(kind, own)


def put(params, path, value):
    *way, last = path
    for step in way:
        params = params[step]
    if isinstance(last, int):
        params[:] = [value]
    else:
        params[last] = value


def content(imd):
    """How many rows each table has, and how each was made."""
    with contextlib.closing(sqlite3.connect(f"file:{imd.database}?mode=ro", uri=True)) as connection:
        made = dict(connection.execute("SELECT name, sql FROM sqlite_master"))
        rows = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
                for name, sql in made.items() if sql and sql.startswith("CREATE TABLE")}
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return made, rows


# Their texts are paths, or would take the account away from the rest; D36 has the paths.
ELSEWHERE = {"account.add", "account.export", "account.import", "account.inspect"}


def test_D38_a_statement_in_any_parameter_is_a_text(imd, other):
    """Every method that the API declares, every text of its parameters; quotes, wildcards, comments, NUL."""
    other.ok("send", imd.user.jid, "kept", "--wait", "server")
    imd.messages(1)
    made, rows = content(imd)
    tried = 0
    for method in imd.call("rpc.discover")["methods"]:
        if method["name"] in ELSEWHERE:
            continue
        schema = {"type": "object", "properties": {p["name"]: p["schema"] for p in method["params"]},
                  "required": [p["name"] for p in method["params"] if p.get("required")]}
        with Api(imd, timeout=60) as api:
            for path in strings(schema):
                for text in STATEMENTS:
                    params = plausible(schema, imd.user.jid)
                    params.setdefault(path[0], plausible(schema["properties"][path[0]], imd.user.jid))
                    put(params, path, text)
                    answer = api.answer(api.request(method["name"], **params))
                    word = answer.get("error", {}).get("data", {}).get("code")
                    assert word not in ("internal", "storage"), (method["name"], path, text, answer)
                    tried += 1
    assert tried > 500
    now_made, now_rows = content(imd)
    assert now_made == made, "no table, index or trigger came or went"
    for name in ("message", "account", "deviceIdentity", "session"):
        assert now_rows.get(name, 0) >= rows.get(name, 0), f"{name} has lost rows"
    assert [m["body"] for m in imd.call("message.list", chat=other.user.jid)["messages"]] == ["kept"]


def test_D38_what_was_written_comes_back_and_matches_itself_alone(imd, other):
    """Ids, texts and consumers: no wildcard matches another, and case is not folded."""
    texts = [text for text in STATEMENTS if "\0" not in text and len(text) < 200]
    to = other.user.jid
    with Api(imd, timeout=60) as api:
        for text in texts:
            sent = api.call("message.send", to=to, body=text, id=text, plaintext=True)
            assert (sent["id"], sent["duplicate"]) == (text, False), text
        for text in texts:
            assert api.call("message.get", id=text)["body"] == text
        listed = api.call("message.list", chat=to, limit=1000)["messages"]
        assert [message["body"] for message in listed] == texts
        page = api.call("message.list", chat=to, before=texts[3], limit=1000)["messages"]
        assert [message["id"] for message in page] == texts[:3]
        for nothing in ("%%", "__", "a%", "NUL%", "' OR 1=1 --", "null"):
            assert api.fails("message.get", id=nothing)["data"]["code"] == "no-such-message"
        names = [name for name in ("a'--", "%", "_", "x'); DROP TABLE consumer;--", "a", "A")
                 if "error" not in api.answer(api.request("event.subscribe", consumer=name))]
        assert {c["name"] for c in api.call("consumer.list")["consumers"]} >= set(names)
    for name in names:
        imd.call("consumer.remove", name=name)
        left = {consumer["name"] for consumer in imd.call("consumer.list")["consumers"]}
        assert left >= set(names[names.index(name) + 1:]), "one was meant, one is gone"
    assert json.loads(imd.imctl("history", to, "-n", "1", "--json").stdout)["body"] == texts[-1]
