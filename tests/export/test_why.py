"""A report as HTML and JSON: nothing is loaded or run, foreign text stays text, keys are known."""

from __future__ import annotations

import json
import re
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from nettop.findings.keys import KEYS, SCHEMA
from nettop.findings.look import Look
from nettop.findings.objects import json_text, report_object
from nettop.findings.page import page
from nettop.findings.values import Report
from nettop.model.types import Level
from nettop.replay import ReplayFeed
from nettop.store.recording import Recording
from tests.export.make import HOSTILE

RECORDINGS = Path(__file__).parents[1] / "data" / "recordings"
SCRIPT = "<script>alert(1)</script>"
# Elements that stand alone in HTML.
VOID = {"meta", "br", "hr", "link", "img", "input"}
# Those that load, run or send something.
ACTIVE = {"script", "link", "img", "iframe", "object", "embed", "form", "base", "audio", "video",
          "image", "use", "foreignobject", "animate", "set"}  # fmt: skip


def replayed(name: str, comm: str | None = None) -> Report:
    """A look at a recording; comm: what the programs and the filter are called instead."""
    with closing(Recording(RECORDINGS / f"{name}.nettop")) as recording:
        feed = ReplayFeed(recording.samples())
        if comm is not None:
            find = feed.find

            def found(cookie: int) -> Any:
                row = find(cookie)
                if row is not None:
                    row.proc = row.proc._replace(comm=comm)
                return row

            feed.find = found  # type: ignore[method-assign]
        look = Look(file=f"{name}.nettop", filter_text=comm)
        while True:
            try:
                look.take(feed.tick(), feed)
            except EOFError:
                return look.report()


@pytest.fixture(scope="module")
def late_reader() -> Report:
    return replayed("late-reader")


class Checked(HTMLParser):
    """Every element ends where it must; its texts and attributes are kept."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], "elements that do not end"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("name", ["late-reader", "own-queue", "slow-nic"])
def test_a_page_is_whole_and_loads_nothing(name: str) -> None:
    text = page(replayed(name))
    seen = Checked(text)
    assert seen.tags[0] == "html"
    assert not ACTIVE & set(seen.tags)
    for attribute, value in seen.attributes:
        assert not attribute.startswith("on"), attribute
        assert attribute not in ("src", "srcset", "data", "action", "style"), attribute
        if attribute in ("href", "xlink:href"):
            assert value.startswith("#finding-")
    assert "url(" not in text
    assert "@import" not in text
    links = re.findall(r"\w+://[^\s\"'<]+", text)
    assert set(links) <= {"http://www.w3.org/2000/svg"}
    policy = next(v for a, v in seen.attributes if a == "content" and "default-src" in v)
    assert "default-src 'none'" in policy
    assert "script" not in policy


@pytest.mark.parametrize("comm", [SCRIPT, HOSTILE, "';--\"><svg onload=x>", "</style></title>"])
def test_names_of_processes_stay_text(comm: str) -> None:
    report = replayed("late-reader", comm=comm)
    text = page(report)
    seen = Checked(text)
    assert not ACTIVE & set(seen.tags)
    assert not [a for a, _ in seen.attributes if a.startswith("on")]
    assert text.replace("\n", "").isprintable()
    assert comm.split("\x1b")[0] in "".join(seen.words)


def test_pictures_show_time_waits_and_stages(late_reader: Report) -> None:
    seen = Checked(page(late_reader))
    assert seen.tags.count("svg") == 2
    classes = {value for name, value in seen.attributes if name == "class"}
    assert classes & {"watch", "unwell"}
    assert classes & {f"heat{i}" for i in range(1, 7)}
    sends = Checked(page(replayed("own-queue")))
    assert ("class", "stage") in sends.attributes
    assert any(word == "qdisc" for word in sends.words)


def test_a_reader_of_the_page_needs_no_nettop(late_reader: Report) -> None:
    words = "".join(Checked(page(late_reader)).words)
    for said in ("reads late", "ruled out", "RX queue wait", "a program on this host", "/proc/"):
        assert said in words


def _check(value: Any, path: str) -> None:
    assert value is not None, f"{path} is null"
    known = path in KEYS or re.sub(r"^(tx|events|drop_reasons)\.[^.]+", r"\1.*", path) in KEYS
    assert known or not path, f"{path} is not documented"
    if isinstance(value, dict):
        for key, inner in value.items():
            _check(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            assert isinstance(inner, dict)
            for key, item in inner.items():
                _check(item, f"{path}[].{key}")
    elif isinstance(value, str):
        assert value.isprintable(), path


@pytest.mark.parametrize("name", ["late-reader", "own-queue", "slow-nic"])
def test_every_key_is_documented(name: str) -> None:
    text = json_text(replayed(name, comm=HOSTILE))
    assert text.count("\n") == 1
    _check(json.loads(text), "")


def test_what_json_says_is_what_was_found(late_reader: Report) -> None:
    out = report_object(late_reader)
    assert out["schema"] == SCHEMA
    (finding,) = out["findings"]
    assert (finding["who"], finding["verdict"]) == ("app", "reads_late")
    (number,) = finding["evidence"]
    assert 55 <= number["value"] <= 75
    assert (number["unit"], number["source"]) == ("ms", "wait")
    assert finding["next"].startswith("cat /proc/")
    assert finding["sockets"][0]["why"].startswith("reads ")
    assert out["spells"][0]["verdict"] == "reads_late"
    assert out["rx_wait"]["count"] == late_reader.rx_wait.dist.count  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "who"), [("late-reader", "app"), ("own-queue", "kern"), ("slow-nic", "nic")]
)
def test_the_right_party_is_named_in_one_finding(name: str, who: str) -> None:
    (finding,) = replayed(name).findings
    assert finding.who == who
    assert finding.level is Level.WATCH
    assert finding.sockets == 1
