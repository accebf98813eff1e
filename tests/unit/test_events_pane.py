"""The events pane: repeats as one line, the story of a socket in its order, types, scrolling."""

from __future__ import annotations

import socket
from typing import Any

from msgspec.structs import replace

from nettop.model.events import Event, EventMemory, EventType
from nettop.text.events import repeated
from nettop.text.moments import taken_text
from nettop.tui.glyphs import UTF8
from nettop.tui.panes.data import PaneData
from nettop.tui.panes.events import events_lines
from nettop.tui.panes.views import EVENTS, USUAL, Views
from tests.fakes import FakeFeed

NOW = 10**15
S = 10**9
LOCAL, REMOTE = (socket.inet_aton(a).ljust(16, b"\0") for a in ("10.0.0.1", "10.0.0.2"))


def event(ago_s: float, kind: EventType, cookie: int = 7, **more: Any) -> Event:
    base: dict[str, Any] = dict.fromkeys(Event._fields, 0)
    base |= {"src": LOCAL, "dst": REMOTE, "comm": "", "reason": None, "last": None}
    base |= {
        "at_ns": NOW - int(ago_s * S),
        "cookie": cookie,
        "type": kind,
        "family": socket.AF_INET,
    }
    base |= {"proto": 6, "sport": 80, "dport": 4000 + cookie, "state": 1}
    return Event(**{**base, **more})


def drops(count: int, every_s: float, cookie: int = 7) -> list[Event]:
    some = {"reason": "SOCKET_RCVBUFF", "length": 400}
    return [event(i * every_s, EventType.DROP, cookie, **some) for i in range(count)]


def pane(
    events: list[Event], views: Views = USUAL, height: int = 12, cookie: int | None = None
) -> str:
    memory = EventMemory(NOW - 60 * S, None, 0, (0,) * len(EventType))
    model = replace(FakeFeed().tick(), file_events=None, mono_ns=NOW)
    data = PaneData(
        model, None, None, (), None, events=tuple(events), views=views,
        memory=memory if cookie else None, cookies=(cookie,) if cookie else None,
    )  # fmt: skip
    lines = events_lines(data, 100, height, UTF8)
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def view_of(name: str, scroll: int = 0) -> Views:
    return Views(("", "", "", name), scroll=scroll)


def test_repeats_are_one_line_with_how_often() -> None:
    often = drops(147, 0.0136)  # over 1.99 s
    assert [(r.times, r.text) for r in repeated(often)] == [(147, "×73.5/s")]
    assert [r.text for r in repeated(drops(3, 0.001))] == ["×3"]
    assert [r.text for r in repeated(drops(1, 1))] == [""]
    assert pane(often[:3], cookie=7).splitlines()[-1] == "-0      drop  ×3  SOCKET_RCVBUFF 400 B"


def test_events_of_one_socket_keep_their_order() -> None:
    back_and_forth = [
        event(1, EventType.RETRANSMIT, ca_state=3),
        event(2, EventType.CONG, new_ca_state=3),
        event(3, EventType.RETRANSMIT, ca_state=3),
        event(4, EventType.RETRANSMIT, ca_state=3),
    ]
    found = repeated(back_and_forth)
    assert [(r.newest.type, r.times) for r in found] == [
        (EventType.RETRANSMIT, 1), (EventType.CONG, 1), (EventType.RETRANSMIT, 2),
    ]  # fmt: skip


def test_sockets_that_take_turns_are_a_line_each() -> None:
    turns = [e for pair in zip(drops(5, 1, 7), drops(5, 1, 8), strict=True) for e in pair]
    assert [(r.newest.cookie, r.text) for r in repeated(turns)] == [(7, "×1.0/s"), (8, "×1.0/s")]
    assert pane(turns).count("10.0.0.1:80") == 2


def test_the_socket_that_the_title_names_is_not_named_again() -> None:
    some = [event(1, EventType.RESET_RECEIVED)]
    assert "10.0.0.2:4007" in pane(some)
    assert "10.0.0" not in pane(some, cookie=7)


def test_one_type_alone() -> None:
    some = [event(1, EventType.RETRANSMIT), *drops(2, 0.1)]
    shown = pane(some, view_of("drop"))
    assert "drop" in shown
    assert "retr" not in shown
    assert pane(drops(2, 0.1), view_of("retr")) == "no retr is kept"
    text = "no retr of it in the last 1m00s; older ones are not kept"
    assert pane([], view_of("retr"), cookie=7) == text
    assert view_of("drop").types(None) == (EventType.DROP,)
    assert set(USUAL.types(None)) == set(view_of("drop").with_all_events().types(None))
    assert view_of("drop").of(EVENTS, None) == "drop"


def test_lines_are_scrolled_and_the_last_page_is_whole() -> None:
    many = [event(i, EventType.RESET_RECEIVED, 100 + i) for i in range(20)]
    top = pane(many, height=5).splitlines()
    below = pane(many, view_of("", 3), height=5).splitlines()
    assert (top[3], len(below)) == (below[0], 5)
    assert pane(many, view_of("", 999), height=5).splitlines()[-1].endswith("10.0.0.2:4119")


def test_events_of_a_file_have_names_and_repeats_are_one() -> None:
    def one(cookie: int, at: str = "2026-11-29T09:36:59.086548284Z", kind: str = "drop") -> Any:
        return {"at": at, "type": kind, "cookie": cookie, "text": "SOCKET_RCVBUFF 1.0K"}

    some = (one(7), one(7), one(8), one(7), one(7, kind="state"), one(7))
    model = replace(FakeFeed().tick(), file_events=some, mono_ns=NOW)
    data = PaneData(model, None, None, (), None, names={7: "udp-slow/12 → 10.0.0.2:9"})
    lines = ["".join(text for text, _ in each) for each in events_lines(data, 100, 9, UTF8)]
    assert lines == [
        "09:36:59.086 drop  ×3  SOCKET_RCVBUFF 1.0K  udp-slow/12 → 10.0.0.2:9",
        "09:36:59.086 drop   SOCKET_RCVBUFF 1.0K",
        "09:36:59.086 state  SOCKET_RCVBUFF 1.0K  udp-slow/12 → 10.0.0.2:9",
        "09:36:59.086 drop   SOCKET_RCVBUFF 1.0K  udp-slow/12 → 10.0.0.2:9",
    ]
    alone = replace(data, cookies=(7,), views=view_of("state"))
    assert len(events_lines(alone, 100, 9, UTF8)) == 1


def test_a_file_is_of_a_time() -> None:
    at = 1_764_000_000 * S
    assert taken_text("slow.json", at, at + 1992 * S).endswith(", 33m12s ago")
    assert taken_text("slow.json", at, at - S).startswith("slow.json of ")
    assert "ago" not in taken_text("slow.json", at, at - S), "its clock is ahead of ours"


def test_what_an_event_says_is_whole_in_a_narrow_pane() -> None:
    feed = FakeFeed()
    row = feed.window(0, 1)[0]
    some = (
        event(0.02, EventType.CONG, ca_state=3, new_ca_state=0, snd_cwnd=128),
        event(0.03, EventType.RETRANSMIT, ca_state=3, segs=15, snd_cwnd=15, ahead=637120),
    )
    model = replace(feed.tick(), file_events=None, mono_ns=NOW)
    data = PaneData(model, row, None, (), None, events=some, cookies=(row.cookie,))
    for width in range(30, 90):
        lines = ["".join(t for t, _ in parts) for parts in events_lines(data, width, 20, UTF8)]
        assert max(map(len, lines)) <= width, width
        said = " ".join(" ".join(lines).split())
        assert "cong Recovery → Open cwnd 128" in said, width
        assert "retr fast +637120, 15 segs, Recovery cwnd 15" in said, width
