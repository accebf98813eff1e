"""The health pane: a socket's round trip, window, losses and queues, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from nettop.model.types import CA_STATES, Dist, Flag, Group, Point, Proto, Stage, Verdict
from nettop.text import units
from nettop.text.explain import explain, shares
from nettop.tui.glyphs import Glyphs
from nettop.tui.panes.common import B, D, number_of, row_of
from nettop.tui.panes.data import PaneData, name_of
from nettop.tui.panes.rx import LATE_NS
from nettop.tui.panes.spark import buckets, spark
from nettop.tui.style import LEVEL_ROLES, Role
from nettop.tui.widgets.lines import (
    BLANK,
    Line,
    Part,
    beside,
    clip,
    cut,
    line,
    rows_of,
    whole,
    wrapped,
)


class _Spark(Struct, frozen=True):
    """A line of the pane: a sparkline, its value, and one number beside it in words, the longer
    form first."""

    label: str
    pick: Callable[[Point], float | None]
    now: str
    notes: tuple[str, ...] = ("",)
    role: Role = Role.NORMAL


_LABEL, _VALUE = 8, 8
_LEAST_CELLS, _MOST_CELLS = 6, 26


def _spark_lines(
    sparks: Sequence[_Spark], history: Sequence[Point], width: int, g: Glyphs
) -> list[Line]:
    """The sparklines take what the numbers leave: those are whole."""
    room = width - _LABEL - _VALUE - 1
    notes = [
        next((n for n in spark.notes if len(n) <= room - _LEAST_CELLS), spark.notes[-1])
        for spark in sparks
    ]
    cells = room - max((len(n) for n in notes), default=0)
    cells = max(0, min(_MOST_CELLS, cells))
    return [
        line(
            (f"{each.label:<{_LABEL}}", D),
            (spark(buckets(history, each.pick, cells), g), D),
            (f"{each.now:>{_VALUE}}", each.role),
            (f" {note}", D),
        )
        for each, note in zip(sparks, notes, strict=True)
    ]


def _was(history: Sequence[Point], pick: Callable[[Point], float | None]) -> float | None:
    return next((v for p in history if (v := pick(p)) is not None), None)


def _delivered(data: PaneData) -> tuple[str, ...]:
    """The kernel's rate is of the last exchange, which may be long ago."""
    ago_ns = number_of(data, "last_ack_recv")
    if ago_ns is None or ago_ns < 1e9 * max(1.0, data.model.interval_s or 0.0):
        return ("bit/s",)
    ago = f"{units.time(ago_ns)} ago"
    return f"bit/s, {ago}", ago


def _flow(p: Point) -> float | None:
    known = [v for v in (p.tx_bytes_per_s, p.rx_bytes_per_s) if v is not None]
    return max(known) if known else None


def health_lines(data: PaneData, width: int, height: int, g: Glyphs) -> list[Line]:
    """TCP health of a socket, of the marked ones, or of all that match."""
    if len(data.compared) > 1:
        return cut(_compared_lines([group for group, _, _ in data.compared]), height, _A_AND_B)
    if data.marked is not None:
        lines, note = _marked_lines(data, width)
        worst = _worst_lines(data, width, height - len(lines), g)
        if len(lines) + len(note) + len(worst) <= height:
            lines += note
        return [*lines, *worst][:height]
    if data.row is None:
        return cut(_total_lines(data, width, g), height, _PARTIES)
    said, beside_it, left = _fitting(data, width, height, _LEAST_NUMBERS)
    if left:
        height -= 1
    below = [*said, *(text for lines in beside_it for text in lines)]
    room = max(0, height - len(below))
    if _is_plain(data):
        lines = _plain_lines(data, width)[:room]
    elif width >= _TWO_COLUMNS:
        half = width - _FACTS
        lines = beside(
            spark_lines(data, half, min(room, 4), g), fact_lines(data)[:room], half, "  "
        )
    else:
        lines = spark_lines(data, width, room, g)
    gap = [BLANK] if len(lines) < room else []
    shown = whole((*lines, *gap, *below), width, height, g.ellipsis)
    return [*shown, _elsewhere("Enter", left, width)] if left else shown


def _elsewhere(key: str, left: Sequence[str], width: int) -> Line:
    """What has no room here, and the key that shows it."""
    said = f"{key}: {', '.join(left)}"
    longer = f"{said} step" if left[-1] == "next" else said
    return line((longer if len(longer) <= width else said, D))


def _is_plain(data: PaneData) -> bool:
    row = data.row
    assert row is not None
    return bool(row.is_listen or row.proto == Proto.UDP or not row.flags & Flag.INFO)


def _fitting(
    data: PaneData, width: int, height: int, numbers: int
) -> tuple[list[Line], list[list[Line]], list[str]]:
    """The verdict; of what stands beside it, sentences that fit whole below so many numbers, or two
    less for what was ruled out; what the others are called, for which a line is to be kept."""
    said, sentences = verdict_lines(data, width)
    shown: list[list[Line]] = []
    left: list[str] = []
    for least in range(numbers, max(-1, numbers - 3), -1):
        room = height - len(said) - least
        if sum(map(len, sentences.values())) <= room:
            return said, [*sentences.values()], []
        shown, left = [], []
        room -= 1
        for name, lines in sentences.items():
            if len(lines) <= room:
                shown.append(lines)
                room -= len(lines)
            else:
                left.append(name)
        if not left or next(iter(sentences)) not in left:
            break
    if len(said) > height - bool(left):
        left = ["all of it"]
    return said, shown, left


def number_lines(data: PaneData, width: int, g: Glyphs) -> list[Line]:
    """A socket's numbers and their history, without the verdict; data.row is known."""
    if _is_plain(data):
        return _plain_lines(data, width)
    return spark_lines(data, width, _ALL_NUMBERS, g)


_ALL_NUMBERS, _LEAST_NUMBERS = 8, 4
_LEAST_SAID = 3  # lines of a verdict
_TWO_COLUMNS, _FACTS = 72, 36


def fact_lines(data: PaneData) -> list[Line]:
    """What the other panes say of the socket, in a line each."""
    wait = data.waits.now.dist if data.waits is not None and data.waits.now is not None else None
    ack = None
    if data.sends is not None:
        shown = data.sends.now[Stage.ACK].dist
        if not shown.count and data.sends.run is not None:
            shown = data.sends.run[Stage.ACK].dist
        ack = shown
    return [_both("rx wait", wait), _both("tx ack", ack), _limit_line(data), _state_line(data)]


def _both(label: str, dist: Dist | None) -> Line:
    known = dist is not None and dist.count
    p50, p99 = (dist.p50_ns, dist.p99_ns) if dist is not None and known else (None, None)
    late = Role.WATCH if label == "rx wait" and (p99 or 0) >= LATE_NS else Role.NORMAL
    return line((f"{label:<{_LABEL}}", D), ("p50 ", D), f"{units.time(p50):<7}", ("p99 ", D),
                (units.time(p99), late))  # fmt: skip


def _state_line(data: PaneData) -> Line:
    assert data.row is not None
    rec = data.row.rec
    ca = CA_STATES.get(rec.ca_state, str(rec.ca_state))
    return line(
        (f"{'state':<{_LABEL}}", D),
        (ca, Role.WATCH if rec.ca_state >= 3 else Role.NORMAL),
        (f" {data.row.cong or units.ABSENT}", D),
        (" rto ", D),
        units.time(number_of(data, "rto")),
    )


def _limit_line(data: PaneData) -> Line:
    assert data.row is not None
    held = shares(data.row)
    if not data.row.flags & Flag.LIMITED:
        return line((f"{'limit':<{_LABEL}}", D), ("– not before two intervals", D))
    words: list[Part] = [(f"{'limit':<{_LABEL}}", D)]
    for i, (name, pct) in enumerate(held[:2]):
        quiet = D if name in ("idle", "in flight") else Role.NORMAL
        words += [(", " if i else "", D), (f"{name} ", quiet), (f"{pct}%", B)]
    return tuple(words)


def spark_lines(data: PaneData, width: int, most: int, g: Glyphs) -> list[Line]:
    """The numbers of a TCP socket over the last minute; with few lines those that say most."""
    row, h = data.row, data.history
    assert row is not None
    rec = row.rec
    loud = LEVEL_ROLES[row.level]
    was_cwnd, was_flow = _was(h, lambda p: p.snd_cwnd), _was(h, _flow)
    up = rec.tx_bytes_per_s >= rec.rx_bytes_per_s
    flows = bool(rec.tx_bytes_per_s or rec.rx_bytes_per_s)
    arrow = ("↑" if up else "↓") if flows else ""
    info = data.detail.tcp_info if data.detail else {}
    resent, total = number_of(data, "retr%"), units.count(info.get("total_retrans"))
    share = f"{units.percent(resent)}, " if resent else ""
    waits = rec.rqueue > rec.wqueue or (not rec.wqueue and not up)
    unsent = f"unsent {units.size(info.get('notsent_bytes'))}"
    queue = _Spark("sndq", lambda p: p.wqueue_bytes, units.size(rec.wqueue), (unsent,))
    if waits:
        queue = _Spark("rcvq", lambda p: p.rqueue_bytes, units.size(rec.rqueue), ("not read",))
    sparks = [
        _Spark("srtt", lambda p: p.rtt_ns, units.time(number_of(data, "srtt")),
               (f"min {units.time(number_of(data, 'minrtt'))}",),
               loud if row.holds(Verdict.RTT) else Role.NORMAL),
        _Spark("cwnd", lambda p: p.snd_cwnd, units.count(rec.snd_cwnd),
               (f"was {units.count(was_cwnd)}",)),
        _Spark("retr/s", lambda p: p.retrans_per_s, units.rate(number_of(data, "retr/s")),
               (f"({share}{total} in all)", f"({share}{total})"),
               loud if row.holds(Verdict.LOSS, Verdict.RTO) else Role.NORMAL),
        _Spark(f"flow {arrow}".rstrip(), _flow,
               units.bits_per_s(number_of(data, "tx" if up else "rx")),
               (f"was {units.bits_per_s(was_flow)}",)),
        queue,
        _Spark("deliver", lambda p: p.delivery_bytes_per_s,
               units.bits_per_s(number_of(data, "delivery_rate")), _delivered(data)),
    ]  # fmt: skip
    lines = [_limit_line(data), _state_line(data)]
    kept = sparks[: max(4, most - len(lines))]
    return (_spark_lines(kept, h, width, g) + [clip(text, width) for text in lines])[:most]


def verdict_lines(data: PaneData, width: int) -> tuple[list[Line], dict[str, list[Line]]]:
    """The sentence with its evidence; and what was ruled out, is not known, comes next, by that
    name."""
    assert data.row is not None
    said = explain(data.row, data.detail, data.model, data.since_s)
    role = LEVEL_ROLES[data.row.level] if data.row.rec.verdicts else D
    who: tuple[Part, ...] = ((said.who, role), (": ", D)) if said.who else ()
    head = wrapped(line(*who, (said.what, B), (said.held, D)), width)
    head += wrapped(line(said.evidence), width)
    beside_it = {each.partition(":")[0]: wrapped(line((each, D)), width) for each in said.beside}
    return head, beside_it


def _plain_lines(data: PaneData, width: int) -> list[Line]:
    """Listeners, UDP and sockets without tcp_info: queues and drops."""
    row = data.row
    assert row is not None
    if row.is_listen:
        lines = [
            row_of("waiting", units.count(row.rec.rqueue), "not accepted yet"),
            row_of("limit", units.count(row.rec.wqueue), "backlog"),
        ]
    else:
        lines = [
            row_of("rcvq", units.size(row.rec.rqueue), "receive memory"),
            row_of("sndq", units.size(row.rec.wqueue), "send memory"),
        ]
    lines.append(row_of("drops", units.count(number_of(data, "drops")), "in all"))
    lines.append(row_of("drops/s", units.rate(number_of(data, "drops/s")), "now"))
    return lines


_PARTIES = line((f"{'who':<8}", D), (f"{'unwell':>7}{'watch':>7}", D))
_A_AND_B = line((f"{'':<8}{'A':>8}{'B':>9}", B))


def _total_lines(data: PaneData, width: int, g: Glyphs) -> list[Line]:
    t = data.model.totals
    per_s = data.model.interval_s or 1.0

    def flow(value: int | None) -> str:
        return units.rate(value / per_s if value is not None else None) + "/s"

    resets = units.rate(t.resets_per_s) + "/s"
    # The kernel counts these of all sockets; what a filter lets through has resends of its own.
    chosen = data.model.chosen
    of_all: tuple[Part, ...] = (("all: ", D),) if chosen else ()
    resent = t.matched_retrans_per_s if chosen else t.retrans_per_s
    narrow = width < (53 if chosen else 48)  # their numbers in one line at their longest
    sparks = [
        _Spark("tx", lambda p: p.tx_bytes_per_s, units.bits_per_s(t.tx_bytes_per_s), ("bit/s",)),
        _Spark("rx", lambda p: p.rx_bytes_per_s, units.bits_per_s(t.rx_bytes_per_s), ("bit/s",)),
        _Spark("retr/s", lambda p: p.retrans_per_s, units.rate(resent),
               (units.percent(t.retr_pct) if t.retr_pct else "",)),
    ]  # fmt: skip
    lines = [
        *_spark_lines(sparks, data.history, width, g),
        line(
            *of_all,
            (f"{'opened':<8}", D),
            f"{flow(t.opened):>8}",
            ("   closed ", D),
            flow(t.closed),
            *(() if narrow else (("   resets ", D), resets)),
        ),
        line(*of_all, (f"{'resets':<8}", D), f"{resets:>8}") if narrow else BLANK,
        _PARTIES,
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


def _worst_lines(data: PaneData, width: int, height: int, g: Glyphs) -> list[Line]:
    """What is wrong with the worst socket of a group, where it has room."""
    if data.worst is None or not data.worst.row.verdicts:
        return []
    row, detail, since_s = data.worst
    named = line(("the worst: ", D), (" → ".join(filter(None, name_of(row))), B))
    head = [BLANK, *wrapped(named, width)]
    height -= len(head)
    if height < _LEAST_SAID:
        return []
    one = replace(data, row=row, detail=detail, since_s=since_s)
    said, beside_it, left = _fitting(one, width, height, 0)
    text = [*said, *(text for lines in beside_it for text in lines)]
    shown = [*head, *whole(text, width, height - bool(left), g.ellipsis)]
    return [*shown, _elsewhere("z", left, width)] if left else shown


def _compared_lines(groups: Sequence[Group]) -> list[Line]:
    """The numbers of A and B beside each other."""
    rows: list[tuple[str, Callable[[Group], str], str]] = [
        ("sockets", lambda g: str(g.sockets), ""),
        ("unwell", lambda g: str(g.unwell), ""),
        ("tx", lambda g: units.bits_per_s(g.tx_bytes_per_s), "bit/s"),
        ("rx", lambda g: units.bits_per_s(g.rx_bytes_per_s), "bit/s"),
        ("retr/s", lambda g: units.rate(g.retrans_per_s), ""),
        ("retr%", lambda g: units.percent(g.retr_pct), "of bytes"),
        ("srtt50", lambda g: units.time(g.rtt50_ns), ""),
        ("sndq", lambda g: units.size(g.wqueue_bytes), "unacked"),
        ("rcvq", lambda g: units.size(g.rqueue_bytes), "not read"),
    ]
    lines = [_A_AND_B]
    for label, text, note in rows:
        a, b = (text(group) for group in groups)
        lines.append(line((f"{label:<8}", D), f"{a:>8} {b:>8}", (f" {note}", D)))
    return lines


def _marked_lines(data: PaneData, width: int) -> tuple[list[Line], list[Line]]:
    """The sums; and what they are."""
    m = data.marked
    assert m is not None
    lines = [
        row_of("tx", units.bits_per_s(m.tx_bytes_per_s), "bit/s together"),
        row_of("rx", units.bits_per_s(m.rx_bytes_per_s), "bit/s together"),
        row_of(
            "retr/s",
            units.rate(m.retrans_per_s),
            f"{units.percent(m.retr_pct)} of bytes" if m.retr_pct else "",
        ),
        row_of("srtt50", units.time(m.rtt50_ns), f"max {units.time(m.rtt_max_ns)}"),
        row_of("sndq", units.size(m.wqueue_bytes), "not acknowledged"),
        row_of("rcvq", units.size(m.rqueue_bytes), "not read"),
        BLANK,
        line(
            (f"{m.unwell} unwell", Role.UNWELL if m.unwell else D),
            ("  ", D),
            (f"{m.watch} watch", Role.WATCH if m.watch else D),
        ),
    ]
    of = "sockets" if data.group else "marked"
    note = f"sums add up; srtt50 is the median of the {of}"
    return lines, [line((text, D)) for text in rows_of(note, width)]
