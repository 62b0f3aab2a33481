"""docs/doap.xml, where directories of XMPP software read what imd implements (XEP-0453)."""

import re
from xml.etree import ElementTree

import pytest
from harness import ROOT

RDF, DOAP, XMPP = (
    "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}", "{http://usefulinc.com/ns/doap#}",
    "{https://linkmauve.fr/ns/xmpp-doap#}")
# Named in the sources without being implemented: hashes that a specification demands.
ONLY_NAMED = {"0084"}


@pytest.fixture(scope="module")
def listed():
    """What is told of each extension, by its number."""
    root = ElementTree.parse(ROOT / "docs/doap.xml").getroot()
    assert root.tag == f"{RDF}RDF"
    [project] = root.findall(f"{DOAP}Project")
    entries = {}
    for entry in project.iter(f"{XMPP}SupportedXep"):
        place = entry.find(f"{XMPP}xep").get(f"{RDF}resource")
        number = re.fullmatch(r"https://xmpp\.org/extensions/xep-(\d{4})\.html", place)[1]
        assert number not in entries, f"{number} is there twice"
        entries[number] = {child.tag.removeprefix(XMPP): child.text for child in entry}
    return entries


def named(*folders):
    """The extensions that the sources name, by the file."""
    for folder in folders:
        for path in sorted((ROOT / "Sources" / folder).rglob("*.swift")):
            yield path.name, set(re.findall(r"XEP-(\d{4})", path.read_text()))


def test_every_extension_of_the_sources_is_listed(listed):
    for name, numbers in named("XMPP", "OMEMO", "imd"):
        assert numbers - ONLY_NAMED <= set(listed), name


def test_nothing_is_listed_that_the_sources_do_not_name(listed):
    assert set(listed) <= set().union(*(numbers for _, numbers in named("XMPP", "OMEMO", "imd")))


def test_each_says_in_which_version_and_how_far(listed):
    for number, entry in listed.items():
        assert entry["status"] in ("complete", "partial"), number
        assert re.fullmatch(r"\d+(\.\d+){1,2}", entry["version"]), number
        assert entry["status"] == "complete" or entry["note"].endswith("."), f"{number}: what is partial?"


def test_they_are_in_order(listed):
    assert list(listed) == sorted(listed)
