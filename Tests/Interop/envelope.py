"""The XEP-0420 envelope of an omemo:2 message, as the peer writes and reads it (slixmpp-omemo has none)."""

import secrets
import string
from xml.etree import ElementTree

SCE, CLIENT = "urn:xmpp:sce:1", "jabber:client"
RECEIPTS, MARKERS = "urn:xmpp:receipts", "urn:xmpp:chat-markers:0"
REACTIONS = "urn:xmpp:reactions:0"


def sealed(content, sender):
    """The bytes to encrypt; `content` is a list of elements."""
    envelope = ElementTree.Element(f"{{{SCE}}}envelope")
    ElementTree.SubElement(envelope, f"{{{SCE}}}content").extend(content)
    padding = "".join(secrets.choice(string.ascii_letters) for _ in range(secrets.randbelow(201)))
    ElementTree.SubElement(envelope, f"{{{SCE}}}rpad").text = padding
    ElementTree.SubElement(envelope, f"{{{SCE}}}from", {"jid": sender})
    return ElementTree.tostring(envelope, encoding="utf-8", xml_declaration=False)


def opened(data, sender):
    """Its content as one element; ValueError when the envelope is not what the OMEMO profile asks for."""
    envelope = ElementTree.fromstring(data)
    if envelope.tag != f"{{{SCE}}}envelope":
        raise ValueError(f"not an envelope: {envelope.tag}")
    claimed, content = envelope.find(f"{{{SCE}}}from"), envelope.findall(f"{{{SCE}}}content")
    if claimed is None or claimed.get("jid", "").split("/")[0] != sender:
        raise ValueError("no <from/>, or that of somebody else")
    if envelope.find(f"{{{SCE}}}rpad") is None or len(content) != 1:
        raise ValueError("no <rpad/>, or not exactly one <content/>")
    return content[0]


def body(text):
    element = ElementTree.Element(f"{{{CLIENT}}}body")
    element.text = text
    return element


def wishes(request, markable):
    """What asks for a receipt and a marker."""
    asked = [f"{{{RECEIPTS}}}request"] if request else []
    return [ElementTree.Element(tag) for tag in asked + ([f"{{{MARKERS}}}markable"] if markable else [])]


def answer(kind, of):
    """That the message `of` was received or displayed."""
    namespace = {"received": RECEIPTS, "displayed": MARKERS}[kind]
    return ElementTree.Element(f"{{{namespace}}}{kind}", {"id": of})


def wished(parent):
    """`request` and `markable` as far as they are among its children."""
    found = {"request": f"{{{RECEIPTS}}}request", "markable": f"{{{MARKERS}}}markable"}
    return {name: True for name, tag in found.items() if parent.find(tag) is not None}


def answers(parent):
    """Every receipt and marker among its children: kind and the id it is about."""
    for namespace, kind in ((RECEIPTS, "received"), (MARKERS, "displayed")):
        for element in parent.findall(f"{{{namespace}}}{kind}"):
            yield kind, element.get("id")


def reactions(parent):
    """Every set of reactions among its children (XEP-0444): the id it is about, and the emojis."""
    for element in parent.findall(f"{{{REACTIONS}}}reactions"):
        yield element.get("id"), [each.text for each in element.findall(f"{{{REACTIONS}}}reaction")]
