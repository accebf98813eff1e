"""The lower panes as text: pure functions of what a tick says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nettop.model.events import EventMemory, EventType
from nettop.model.types import CA_STATES, Flag, Point, Proto, Verdict
from nettop.text import units
from nettop.text.clean import clean
from nettop.text.events import SHORT_NAMES, closed_numbers, event_line, event_who
from nettop.text.explain import explain, shares
from nettop.text.fields import FIELDS
from nettop.tui.glyphs import Glyphs
from nettop.tui.panes import rx
from nettop.tui.panes.data import PaneData
from nettop.tui.panes.path import path_lines
from nettop.tui.panes.rx import Waits
from nettop.tui.panes.spark import buckets, spark
from nettop.tui.panes.tx import stage_lines
from nettop.tui.style import LEVEL_ROLES, Role
from nettop.tui.widgets.lines import BLANK, Line, Part, clip, line, width_of

D, B = Role.DIM, Role.BOLD
LOUD_EVENTS = frozenset(
    {EventType.RETRANSMIT, EventType.DROP, EventType.RESET_RECEIVED, EventType.ERROR}
)
PaneLines = Callable[[PaneData, int, int, Glyphs], list[Line]]


def rule(number: int, title: str, about: str, width: int, g: Glyphs, focus: bool) -> Line:
    """The rule above a pane, with its number and title."""
    parts: list[Part] = [(f"{g.rule} ", D), (f"{number} {title}", Role.FOCUS if focus else B)]
    room = width - width_of(tuple(parts)) - 4
    if room > 4 and about:
        text = about if len(about) <= room else about[: room - 1] + "…"
        parts.append((f" {text}", Role.NORMAL))
    parts.append((" ", D))
    return (*parts, (g.rule * max(0, width - width_of(tuple(parts))), D))


def _wrap(text: str, width: int) -> list[str]:
    words, out, current = text.split(), [], ""
    for word in words:
        if current and len(current) + 1 + len(word) > width:
            out.append(current)
            current = word
        else:
            current = f"{current} {word}" if current else word
    return [*out, current] if current else out


def _off(data: PaneData, plane: str, width: int) -> list[Line]:
    """Why a plane is off, or off for these sockets, and the command that would fix it."""
    status = data.model.source(plane)
    reason = (status.reason if status else None) or "not measured"
    if plane == "wait" and status is not None and status.state != "off":
        reason = f"not this socket: {reason}"
    if plane == "stages" and status is not None and status.state != "off":
        reason = "other sockets' sends are stamped: mark or open this one, and wait up to 10 s"
    lines = [
        line(("off  " if i == 0 else "     ", Role.WATCH), text)
        for i, text in enumerate(_wrap(reason, width - 6))
    ]
    if status and status.fix:
        lines.append(line(("fix  ", D), (status.fix, B)))
    lines.append(line(("why  ", D), ("nettop doctor", B), (" says what works", D)))
    return lines


def _row_of(
    label: str, value: str, note: str, role: Role = Role.NORMAL, *, first: str = ""
) -> Line:
    return line((f"{label:<9}", D), (first, D), (f"{value:>8}", role), (f" {note}", D))


def _number(data: PaneData, field: str) -> float | None:
    if data.row is None:
        return None
    value = FIELDS[field].value(data.row, data.detail)
    return None if isinstance(value, str) else value


def rx_lines(data: PaneData, width: int, height: int, g: Glyphs) -> list[Line]:
    """RX queue wait; without its plane, what polling the queue alone can say."""
    if data.model.path is not None and data.view % (len(rx.VIEWS) + 1) == len(rx.VIEWS):
        return path_lines(data.model.path, width, height)
    status = data.model.source("wait")
    untraced = data.row is not None and bool(data.row.flags & Flag.WAIT_UNTRACED)
    if data.waits is not None and status is not None and status.state != "off" and not untraced:
        return _wait_lines(data, data.waits, width, height, g)
    lines = _off(data, "wait", width)
    row = data.row
    if row is None:
        return lines[:height]
    lines += [BLANK, line(("without it, from polling the queue:", D))]
    cells = max(6, min(13, width - 30))
    history = data.history
    if row.proto == Proto.TCP and not row.is_listen:
        queue = spark(buckets(history, lambda p: p.rqueue_bytes, cells), g)
        taken = spark(buckets(history, lambda p: p.rx_bytes_per_s, cells), g)
        rate = _number(data, "rx")
        lines.append(
            line((f"{'rcvq':<8}", D), (queue, D), f"{units.size(row.rec.rqueue):>8}", (" bytes", D))
        )
        lines.append(
            line((f"{'taken':<8}", D), (taken, D), f"{units.size(rate):>8}", (" bytes/s", D))
        )
        if row.flags & Flag.OLDEST_UNREAD:
            age = units.time(row.rec.oldest_unread_ms * 1e6, bounded=True)
            role = LEVEL_ROLES[row.level] if row.holds(Verdict.UNREAD) else Role.NORMAL
            said = " at least: the reader took nothing"
            if row.flags & Flag.UNREADABLE:
                said = " queued, not readable to poll()"
            lines.append(line((f"{'unread':<8}", D), (age, role), (said, D)))
        else:
            lines.append(line((f"{'unread':<8}", D), "nothing unread"))
    elif row.is_listen:
        lines.append(line((f"{'waiting':<8}", D), f"{row.rec.rqueue} of {row.rec.wqueue}",
                          (" for accept()", D)))  # fmt: skip
    else:
        lines.append(
            line((f"{'rcvq':<8}", D), f"{units.size(row.rec.rqueue):>8}", (" bytes of memory", D))
        )
        lines.append(
            line(
                (f"{'drops':<8}", D),
                f"{units.count(_number(data, 'drops')):>8}",
                (" packets in all", D),
            )
        )
    return lines[:height]


def _wait_lines(data: PaneData, waits: Waits, width: int, height: int, g: Glyphs) -> list[Line]:
    view = rx.VIEWS[data.view % len(rx.VIEWS)]
    foot: list[Line] = []
    row = data.row
    if row is not None and row.flags & Flag.OLDEST_UNREAD and height >= 8:
        bounded = not row.flags & Flag.UNREAD_EXACT
        age = units.time(row.rec.oldest_unread_ms * 1e6, bounded=bounded)
        role = Role.WATCH if row.rec.oldest_unread_ms >= 200 else Role.NORMAL
        size = units.size(row.rec.rqueue)
        foot.append(line(("unread now ", D), (age, role), (f" ({size})", D)))
    if row is not None and row.plane.wait_bounded + row.plane.wait_approx and height >= 9:
        words = []
        if row.plane.wait_bounded:
            words.append(f"{row.plane.wait_bounded} waited at least that")
        if row.plane.wait_approx:
            words.append(f"~ {row.plane.wait_approx} were merged")
        foot.append(line((", ".join(words), D)))
    room = height - len(foot)
    if view == "heatmap":
        body = rx.heatmap_lines(data.history, width, room, g)
    elif view == "CDF":
        body = rx.cdf_lines(waits, width, room, g)
    else:
        body = rx.histogram_lines(waits, width, room, g)
    return body + foot


def tx_lines(data: PaneData, width: int, height: int, g: Glyphs) -> list[Line]:
    """TX stages; without the plane, what tcp_info alone can say."""
    if data.sends is not None:
        return stage_lines(data.sends, width, height, g)
    lines = _off(data, "stages", width)
    row, detail = data.row, data.detail
    if row is None or not row.flags & Flag.INFO:
        return lines[:height]
    info = detail.tcp_info if detail else {}
    unacked, mss = info.get("unacked"), info.get("snd_mss")
    flying = unacked * mss if unacked is not None and mss is not None else None
    lines += [BLANK, line(("without it, from tcp_info:", D))]
    lines.append(
        _row_of("unsent", units.size(info.get("notsent_bytes")), "written, waiting to be sent")
    )
    lines.append(_row_of("in flight", units.size(flying), "unacked × mss: on the network"))
    lines.append(
        _row_of(
            "delivery", units.bits_per_s(_number(data, "delivery_rate")), "bit/s, last measured"
        )
    )
    lines.append(
        _row_of("pacing", units.bits_per_s(_number(data, "pacing_rate")), "bit/s, allowed")
    )
    lines.append(_row_of("srtt", units.time(_number(data, "srtt")), "send to ACK, smoothed"))
    return lines[:height]


def events_lines(data: PaneData, width: int, height: int, g: Glyphs) -> list[Line]:
    """What happened, newest first; with view 1 the sockets that closed."""
    if data.model.file_events is not None:
        return _file_event_lines(data.model.file_events, data.cookies)[:height]
    if data.events is None:
        return _off(data, "events", width)[:height]
    now_ns = data.model.mono_ns
    lines = _rate_lines(data) if data.cookies is None else _count_lines(data)
    if data.closed and data.view % 2:
        for last in data.closed:
            age = units.time(max(0, now_ns - last.event.at_ns))
            numbers = closed_numbers(last)
            lines.append(line((f"-{age:<6} ", D), f"{event_who(last.event)}  ", (numbers, D)))
    else:
        lines += [
            line((event_line(e, now_ns), Role.WATCH if e.type in LOUD_EVENTS else Role.NORMAL))
            for e in data.events
        ]
        if not data.events and data.memory is not None:
            lines += [line((text, D)) for text in _wrap(_nothing(data.memory, data), width)]
    return lines[:height]


def _rate_lines(data: PaneData) -> list[Line]:
    """Events per second of all sockets of the polled namespaces, under a filter too."""
    tick = data.model.events
    if tick is None or not tick.seconds:
        return []
    parts: list[Part] = []
    for kind in EventType:
        seen = tick.counts[kind].seen
        if seen:
            parts += [(f"{SHORT_NAMES[kind]} ", D), (f"{units.rate(seen / tick.seconds)}  ", B)]
    if tick.left_out:
        parts.append((f"left out {units.count(tick.left_out)}", Role.WATCH))
    all_ = "all sockets: " if data.model.chosen else ""
    lines = [line((all_, D), *parts) if parts else line((f"{all_}nothing in this interval", D))]
    worst = [r for r in tick.reasons if r.interval][:3]
    if worst:
        text = "  ".join(f"{r.name} {units.count(r.interval)}" for r in worst)
        lines.append(line((f"{all_}drops ", D), text))
    return lines


def _count_lines(data: PaneData) -> list[Line]:
    """Events of these sockets as far back as all of them are remembered."""
    memory = data.memory
    if memory is None or not any(memory.counts):
        return []
    gap = memory.gap_ns is not None and memory.gap_ns > memory.since_ns
    parts: list[Part] = [(f"in {_age(memory.since_ns, data)}: {'at least ' if gap else ''}", D)]
    for kind in EventType:
        if memory.counts[kind]:
            parts += [(f"{SHORT_NAMES[kind]} ", D), (f"{units.count(memory.counts[kind])}  ", B)]
    return [tuple(parts)]


def _age(then_ns: int, data: PaneData) -> str:
    return units.time(max(0, data.model.mono_ns - then_ns))


def _nothing(memory: EventMemory, data: PaneData) -> str:
    """Nothing is remembered: from when on that means that nothing was recorded."""
    since_ns = max(memory.since_ns, memory.gap_ns or 0)
    what = "it" if data.marked is None else "them"
    if memory.gap_ns is not None and data.model.mono_ns - memory.gap_ns < 2_000_000_000:
        return f"none of {what} recorded, but events are left out: too many at once"
    return f"no event of {what} in the last {_age(since_ns, data)}; older ones are not kept"


def _file_event_lines(
    written: Sequence[Mapping[str, Any]], cookies: Sequence[int] | None
) -> list[Line]:
    """Events as a file has them, of these sockets or (None) of all."""
    lines: list[Line] = []
    for event in written:
        if cookies is None or event.get("cookie") in cookies:
            at, kind, text = (clean(str(event.get(word, ""))) for word in ("at", "type", "text"))
            lines.append(line((at[11:23], D), f" {kind:<15}", text))
    return lines or [line((f"the file has no event{'' if cookies is None else ' of it'}", D))]


def _spark_row(
    label: str,
    history: Sequence[Point],
    pick: Callable[[Point], float | None],
    now: str,
    note: str,
    cells: int,
    g: Glyphs,
    role: Role = Role.NORMAL,
) -> Line:
    text = spark(buckets(history, pick, cells), g)
    return line((f"{label:<8}", D), (text, D), (f"{now:>8}", role), (f" {note}", D))


def _was(history: Sequence[Point], pick: Callable[[Point], float | None]) -> float | None:
    return next((v for p in history if (v := pick(p)) is not None), None)


def _flow(p: Point) -> float | None:
    known = [v for v in (p.tx_bytes_per_s, p.rx_bytes_per_s) if v is not None]
    return max(known) if known else None


def health_lines(data: PaneData, width: int, height: int, g: Glyphs) -> list[Line]:
    """TCP health of a socket, of the marked ones, or of all that match."""
    if data.marked is not None:
        return _marked_lines(data, width)[:height]
    if data.row is None:
        return _total_lines(data, width, g)[:height]
    row = data.row
    if row.is_listen or row.proto == Proto.UDP or not row.flags & Flag.INFO:
        return _plain_lines(data, width)[:height]
    h, rec = data.history, row.rec
    cells = max(6, min(26, width - 27))
    loud = LEVEL_ROLES[row.level]
    min_rtt = _number(data, "minrtt")
    was_cwnd, was_flow = _was(h, lambda p: p.snd_cwnd), _was(h, _flow)
    up = rec.tx_bytes_per_s >= rec.rx_bytes_per_s
    info = data.detail.tcp_info if data.detail else {}
    total = info.get("total_retrans")
    resent = _number(data, "retr%")
    note = f"{units.count(total)} in all"
    if resent:
        note = f"{units.percent(resent)}, {note}"
    lines = [
        _spark_row(
            "srtt",
            h,
            lambda p: p.rtt_ns,
            units.time(_number(data, "srtt")),
            f"min {units.time(min_rtt)}",
            cells,
            g,
            loud if row.holds(Verdict.RTT) else Role.NORMAL,
        ),
        _spark_row(
            "cwnd",
            h,
            lambda p: p.snd_cwnd,
            units.count(rec.snd_cwnd),
            f"was {units.count(was_cwnd)}",
            cells,
            g,
        ),
        _spark_row(
            "retr/s",
            h,
            lambda p: p.retrans_per_s,
            units.rate(_number(data, "retr/s")),
            note,
            cells,
            g,
            loud if row.holds(Verdict.LOSS, Verdict.RTO) else Role.NORMAL,
        ),
        _spark_row(
            "flow ↑" if up else "flow ↓",
            h,
            _flow,
            units.bits_per_s(_number(data, "tx" if up else "rx")),
            f"was {units.bits_per_s(was_flow)}",
            cells,
            g,
        ),
    ]
    if height >= 11:
        lines.append(
            _spark_row("deliver", h, lambda p: p.delivery_bytes_per_s,
                       units.bits_per_s(_number(data, "delivery_rate")), "bit/s", cells, g)
        )  # fmt: skip
    unsent = units.size(info.get("notsent_bytes"))
    lines.append(
        _spark_row(
            "sndq", h, lambda p: p.wqueue_bytes, units.size(rec.wqueue), f"uns {unsent}", cells, g
        )
    )
    ca = CA_STATES.get(rec.ca_state, str(rec.ca_state))
    lines.append(
        line(
            (ca, Role.WATCH if rec.ca_state >= 3 else Role.NORMAL),
            (f" {row.cong or '–'}", D),
            (" rto ", D),
            units.time(_number(data, "rto")),
            (" mss ", D),
            units.count(info.get("snd_mss")),
        )
    )
    held = shares(row)
    if held:
        words: list[Part] = [("limit ", D)]
        for i, (name, pct) in enumerate(held[:3]):
            words += [
                (", " if i else "", D),
                (f"{name} ", D if name in ("idle", "in flight") else Role.NORMAL),
                (f"{pct}%", B),
            ]
        lines.append(tuple(words))
    else:
        lines.append(line(("limit ", D), ("– not known before the second interval", D)))
    return (lines + _verdict_lines(data, width))[:height]


def _verdict_lines(data: PaneData, width: int) -> list[Line]:
    assert data.row is not None
    said = explain(data.row, data.detail, data.model, data.since_s)
    role = LEVEL_ROLES[data.row.level] if data.row.rec.verdicts else D
    who: tuple[Part, ...] = ((said.who, role), (": ", D)) if said.who else ()
    lines = [clip(line(*who, (said.what, B), (said.held, D)), width)]
    lines += [line(text) for text in _wrap(said.evidence, width)]
    lines += [line((text, D)) for each in said.beside for text in _wrap(each, width)]
    return lines


def _plain_lines(data: PaneData, width: int) -> list[Line]:
    """Listeners, UDP and sockets without tcp_info: queues and drops."""
    row = data.row
    assert row is not None
    if row.is_listen:
        lines = [
            _row_of("waiting", units.count(row.rec.rqueue), "connections not accepted yet"),
            _row_of("limit", units.count(row.rec.wqueue), "backlog"),
        ]
    else:
        lines = [
            _row_of("rcvq", units.size(row.rec.rqueue), "receive memory"),
            _row_of("sndq", units.size(row.rec.wqueue), "send memory"),
        ]
    lines.append(_row_of("drops", units.count(_number(data, "drops")), "in all"))
    lines.append(_row_of("drops/s", units.rate(_number(data, "drops/s")), "now"))
    return [*lines, BLANK, *_verdict_lines(data, width)]


def _total_lines(data: PaneData, width: int, g: Glyphs) -> list[Line]:
    t, h = data.model.totals, data.history
    cells = max(6, min(26, width - 27))
    per_s = data.model.interval_s or 1.0

    def flow(value: int | None) -> str:
        return units.rate(value / per_s if value is not None else None) + "/s"

    resets = units.rate(t.resets_per_s) + "/s"
    narrow = width < 48  # their numbers in one line at their longest
    lines = [
        _spark_row(
            "tx",
            h,
            lambda p: p.tx_bytes_per_s,
            units.bits_per_s(t.tx_bytes_per_s),
            "bit/s",
            cells,
            g,
        ),
        _spark_row(
            "rx",
            h,
            lambda p: p.rx_bytes_per_s,
            units.bits_per_s(t.rx_bytes_per_s),
            "bit/s",
            cells,
            g,
        ),
        _spark_row(
            "retr/s",
            h,
            lambda p: p.retrans_per_s,
            units.rate(t.retrans_per_s),
            units.percent(t.retr_pct),
            cells,
            g,
        ),
        line(
            (f"{'opened':<8}", D),
            f"{flow(t.opened):>8}",
            ("   closed ", D),
            flow(t.closed),
            *(() if narrow else (("   resets ", D), resets)),
        ),
        line((f"{'resets':<8}", D), f"{resets:>8}") if narrow else BLANK,
        line((f"{'who':<8}", D), (f"{'unwell':>7}{'watch':>7}", D)),
    ]
    for who, (watch, unwell) in t.who.items():
        if watch or unwell:
            lines.append(
                line((f"{who:<8}", B), (f"{unwell:>7}", Role.UNWELL if unwell else D),
                     (f"{watch:>7}", Role.WATCH if watch else D))
            )  # fmt: skip
    if not any(any(v) for v in t.who.values()):
        lines.append(line(("nothing unusual", D)))
    return lines


def _marked_lines(data: PaneData, width: int) -> list[Line]:
    m = data.marked
    assert m is not None
    lines = [
        _row_of("tx", units.bits_per_s(m.tx_bytes_per_s), "bit/s together"),
        _row_of("rx", units.bits_per_s(m.rx_bytes_per_s), "bit/s together"),
        _row_of("retr/s", units.rate(m.retrans_per_s), f"{units.percent(m.retr_pct)} of bytes"),
        _row_of("srtt50", units.time(m.rtt50_ns), f"max {units.time(m.rtt_max_ns)}"),
        _row_of("sndq", units.size(m.wqueue_bytes), "bytes not acknowledged"),
        _row_of("rcvq", units.size(m.rqueue_bytes), "bytes not read"),
        BLANK,
        line(
            (f"{m.unwell} unwell", Role.UNWELL if m.unwell else D),
            ("  ", D),
            (f"{m.watch} watch", Role.WATCH if m.watch else D),
        ),
        *[
            line((t, D))
            for t in _wrap("sums add up; srtt50 is the median over the marked sockets", width)
        ],
    ]
    return lines


PANES: tuple[tuple[str, PaneLines], ...] = (
    ("RX queue wait", rx_lines),
    ("TX stages", tx_lines),
    ("TCP health", health_lines),
    ("events", events_lines),
)
