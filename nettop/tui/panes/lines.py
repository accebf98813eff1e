"""The lower panes as text: pure functions of what a tick says."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from nettop.model.types import Flag, Histogram, Proto, Row, Stage, Verdict
from nettop.text import units
from nettop.text.waits import SPLIT_PARTS, split_of
from nettop.tui.glyphs import Glyphs
from nettop.tui.panes.bar import stacked
from nettop.tui.panes.cdf import Curve, cdf_lines
from nettop.tui.panes.common import B, D, PaneLines, number_of, off_lines, row_of
from nettop.tui.panes.data import PaneData
from nettop.tui.panes.events import events_lines
from nettop.tui.panes.health import health_lines
from nettop.tui.panes.heat import heatmap_lines
from nettop.tui.panes.path import path_lines
from nettop.tui.panes.rx import Waits, histogram_lines, is_empty
from nettop.tui.panes.spark import buckets, spark
from nettop.tui.panes.tx import Sends, stage_lines
from nettop.tui.panes.views import ACK, CDF, HEATMAP, PATH, SENDS, WAITS
from nettop.tui.style import LEVEL_ROLES, Role
from nettop.tui.widgets.lines import BLANK, Line, Part, cut, flow, line, width_of, wrapped

LISTENS = "a listener sends nothing: its connections do"
CLOSED = "its sending side is closed: no send of it was stamped before"
# In these a program can send no more.
_CLOSED = ("FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK", "TIME_WAIT", "CLOSE")


def rule(number: int, title: str, about: Sequence[str], width: int, g: Glyphs, focus: bool) -> Line:
    """The rule above a pane, with its number and title, and what it is about: the first of these
    that fits."""
    parts: list[Part] = [(f"{g.rule} ", D), (f"{number} {title}", Role.FOCUS if focus else B)]
    room = width - width_of(tuple(parts)) - 4
    fitting = next((text for text in about if len(text) <= room), about[-1] if about else "")
    if room > 4 and fitting:
        text = fitting if len(fitting) <= room else fitting[: room - 1] + g.ellipsis
        parts.append((f" {text}", Role.NORMAL))
    parts.append((" ", D))
    return (*parts, (g.rule * max(0, width - width_of(tuple(parts))), D))


def rx_lines(data: PaneData, width: int, height: int, g: Glyphs) -> list[Line]:
    """RX queue wait; without its plane, what polling the queue alone can say."""
    if data.model.path is not None and data.views.of(WAITS, data.model) == PATH:
        return path_lines(data.model.path, width, height)
    status = data.model.source("wait")
    traces = status is not None and status.state != "off"
    if len(data.compared) > 1 and (traces or any(waits for _, waits, _ in data.compared)):
        some = [(of.title, _most(w.run, w.now) if w else None) for of, w, _ in data.compared]
        return _compared_lines(some, "no read seen yet", width, height, g)
    untraced = data.row is not None and bool(data.row.flags & Flag.WAIT_UNTRACED)
    if data.waits is not None and traces and not untraced:
        return _wait_lines(data, data.waits, width, height, g)
    lines = off_lines(data, "wait", width)
    row = data.row
    if row is None:
        return lines[:height]
    title = line(("without it, from polling the queue:", D))
    lines += [BLANK, title]
    cells = max(6, min(13, width - 30))
    history = data.history
    if row.proto == Proto.TCP and not row.is_listen:
        queue = spark(buckets(history, lambda p: p.rqueue_bytes, cells), g)
        taken = spark(buckets(history, lambda p: p.rx_bytes_per_s, cells), g)
        rate = number_of(data, "rx")
        lines.append(
            line((f"{'rcvq':<8}", D), (queue, D), f"{units.size(row.rec.rqueue):>8}", (" bytes", D))
        )
        lines.append(
            line((f"{'taken':<8}", D), (taken, D), f"{units.size(rate):>8}", (" bytes/s", D))
        )
        lines += _unread_lines(row, width)
    elif row.is_listen:
        lines.append(line((f"{'waiting':<8}", D), f"{row.rec.rqueue} of {row.rec.wqueue}",
                          (" for accept()", D)))  # fmt: skip
    else:
        lines.append(
            line((f"{'rcvq':<8}", D), f"{units.size(row.rec.rqueue):>8}", (" bytes of memory", D))
        )
        if row.proto == Proto.MPTCP:
            lines += _unread_lines(row, width)
        lines.append(
            line(
                (f"{'drops':<8}", D),
                f"{units.count(number_of(data, 'drops')):>8}",
                (" packets in all", D),
            )
        )
    return cut(lines, height, title)


def _unread_lines(row: Row, width: int) -> list[Line]:
    if not row.flags & Flag.OLDEST_UNREAD:
        known = row.proto != Proto.MPTCP or not row.rec.rqueue
        return [line((f"{'unread':<8}", D), "nothing unread" if known else units.ABSENT)]
    age = units.time(row.rec.oldest_unread_ms * 1e6, bounded=True)
    role = LEVEL_ROLES[row.level] if row.holds(Verdict.UNREAD) else Role.NORMAL
    said = " queued, not readable to poll()" if row.flags & Flag.UNREADABLE else " or longer"
    return wrapped(line((f"{'unread ':<8}", D), (age, role), (said, D)), width)


def _split_lines(row: Row, data: PaneData, width: int, g: Glyphs) -> list[Line]:
    """What the program did while data waited; without it why that is not known."""
    split = split_of(row)
    if split is not None:
        shares = [(part.name, float(part.of(split))) for part in SPLIT_PARTS if part.of(split)]
        bar, legend = stacked(shares, max(8, width - 18), g)
        head: tuple[Part, ...] = (("waiting ", B), (f"{units.time(split.waiting_ns):>6} ", B))
        return [(*head, *bar), *flow(legend, width)]
    status = data.model.source("split")
    if status is None or status.state != "off" or status.reason is None:
        return []
    return wrapped(line(("what it waits for ", D), f"{units.ABSENT} ", (status.reason, D)), width)


def _nothing_read(data: PaneData) -> str:
    """Why there is no RX queue wait. What was read before nettop looked, or past its sight, it did
    not see: nothing is said of that."""
    row = data.row
    if row is None:
        many = data.marked is not None or data.model.totals.matched
        return "no read seen yet" + (" of any of them" if many else "")
    if row.is_listen:
        return "no read of its connections seen yet"
    if row.proto == Proto.MPTCP:
        return "reads of MPTCP sockets are not traced"
    info = data.detail.tcp_info if data.detail is not None else {}
    ago_ms = info.get("last_data_recv")
    if row.proto == Proto.UDP or ago_ms is None:
        return "no read of it seen yet"
    if info.get("bytes_received") == 0:
        return "no data ever came in"
    return f"no read of it seen yet; the last data came in {units.time(ago_ms * 1e6)} ago"


def _wait_lines(data: PaneData, waits: Waits, width: int, height: int, g: Glyphs) -> list[Line]:
    view = data.views.of(WAITS, data.model)
    foot: list[Line] = []
    row = data.row
    if row is not None and row.flags & Flag.OLDEST_UNREAD and height >= 8:
        bounded = not row.flags & Flag.UNREAD_EXACT
        age = units.time(row.rec.oldest_unread_ms * 1e6, bounded=bounded)
        role = Role.WATCH if row.rec.oldest_unread_ms >= 200 else Role.NORMAL
        size = units.amount(row.rec.rqueue)
        if row.proto == Proto.MPTCP:
            size += " of memory"
        foot += wrapped(line(("unread now ", D), (age, role), (f" ({size})", D)), width)
    if row is not None and row.plane.wait_bounded + row.plane.wait_approx and height >= 9:
        words = []
        if row.plane.wait_bounded:
            words.append(f"{row.plane.wait_bounded} waited at least that")
        if row.plane.wait_approx:
            words.append(f"~ {row.plane.wait_approx} were merged")
        foot += wrapped(line((", ".join(words), D)), width)
    if waits.no_run and height >= 7:
        foot += wrapped(line((waits.no_run, D)), width)
    if row is not None and height >= 11:
        foot += _split_lines(row, data, width, g)
    room = height - len(foot)
    # A heatmap may have what was before the run.
    if is_empty(waits) and not (view == HEATMAP and any(p.wait_octaves for p in data.history)):
        lines = wrapped(line((_nothing_read(data), D)), width)
        lines += _events_instead(data, width, room - len(lines), g)
        return (lines + [BLANK] * room)[:room] + foot
    if view == HEATMAP:
        body = heatmap_lines(data.history, width, room, g, data.views.heat)
    elif view == CDF:
        curves = (Curve("run", waits.run, D), Curve("now", waits.now, Role.NORMAL))
        body = cdf_lines(curves, width, room, g)
    else:
        body = histogram_lines(waits, width, room, g)
    return body + foot


def _events_instead(data: PaneData, width: int, height: int, g: Glyphs) -> list[Line]:
    """Where no wait is known of chosen sockets: their events, unless those stand beside."""
    none = data.events is None and data.model.file_events is None
    if data.events_beside or not data.cookies or none or height < 4:
        return []
    shown = replace(data, views=data.views.with_all_events())
    title = (("events ", B), (g.rule * max(0, width - 7), D))
    return [BLANK, title, *events_lines(shown, width, height - 2, g)]


def _most(run: Histogram | None, now: Histogram | None) -> Histogram | None:
    """Of the run, or where that has nothing of the interval."""
    return run if run is not None and run.dist.count else now


def _ack(sends: Sends) -> Histogram | None:
    return _most(sends.run[Stage.ACK] if sends.run else None, sends.now[Stage.ACK])


def _compared_lines(
    some: Sequence[tuple[str, Histogram | None]], nothing: str, width: int, height: int, g: Glyphs
) -> list[Line]:
    """A and B as curves, and their numbers; nothing: why one has none."""
    roles = (Role.FOCUS, Role.NORMAL)
    curves = [
        Curve(letter, h, role) for letter, role, (_, h) in zip("AB", roles, some, strict=True)
    ]
    words: list[Line] = []
    for letter, role, (name, h) in zip("AB", roles, some, strict=True):
        numbers = nothing
        if h is not None and h.dist.count:
            d = h.dist
            numbers = (
                f"n {units.count(d.count)}  p50 {units.time(d.p50_ns)}  p99 {units.time(d.p99_ns)}"
            )
        words += wrapped(line((f"{letter} {name}  ", role), (numbers, D)), width)
    if not any(h is not None and h.dist.count for _, h in some):
        return words[:height]
    room = height - len(words)
    return [*cdf_lines(curves, width, room, g, named=False)[:room], *words]


def tx_lines(data: PaneData, width: int, height: int, g: Glyphs) -> list[Line]:
    """TX stages; without the plane, what tcp_info alone can say."""
    if len(data.compared) > 1 and any(sends for _, _, sends in data.compared):
        acks = [(of.title, _ack(s) if s else None) for of, _, s in data.compared]
        nothing = "no send of it is stamped" + (" yet" if data.selects else "")
        return _compared_lines(acks, nothing, width, height, g)
    if data.row is not None and data.row.is_listen:
        return wrapped(line((LISTENS, D)), width)[:height]
    if _sent_all(data):
        title = line(("meanwhile, from tcp_info:", D))
        lines = [*wrapped(line((CLOSED, D)), width), *_told(data, title)]
        return cut(lines, height, title)
    if data.sends is not None and data.views.of(SENDS, data.model) == ACK:
        run = data.sends.run
        curves = (
            Curve("run", run[Stage.ACK] if run else None, D),
            Curve("now", data.sends.now[Stage.ACK], Role.NORMAL),
        )
        return cdf_lines(curves, width, height, g)
    if data.sends is not None:
        together = data.marked.acks if data.marked is not None else None
        if not data.sends.seen(together):
            lines = stage_lines(data.sends, width, height, g, together)
            lines = [text for text in lines if text]
            title = line(("meanwhile, from tcp_info:", D))
            return cut([*lines, *_told(data, title)], height, title)
        return stage_lines(data.sends, width, height, g, together)
    title = line(("without it, from tcp_info:", D))
    return cut([*off_lines(data, "stages", width), *_told(data, title)], height, title)


def _sent_all(data: PaneData) -> bool:
    """Whether none of a socket's sends is known, and no more can come."""
    if data.row is None or data.row.proto != Proto.TCP or data.row.state_name not in _CLOSED:
        return False
    if data.sends is not None:
        return not data.sends.open and not data.sends.seen(None)
    status = data.model.source("stages")
    return status is not None and status.state != "off"


def _told(data: PaneData, title: Line) -> list[Line]:
    """What tcp_info says of a socket's sends."""
    row, detail = data.row, data.detail
    if row is None or not row.flags & Flag.INFO:
        return []
    info = detail.tcp_info if detail else {}
    unacked, mss = info.get("unacked"), info.get("snd_mss")
    flying = unacked * mss if unacked is not None and mss is not None else None
    lines = [BLANK, title]
    lines.append(row_of("unsent", units.size(info.get("notsent_bytes")), "written, not sent"))
    lines.append(row_of("in flight", units.size(flying), "unacked × mss"))
    lines.append(
        row_of("delivery", units.bits_per_s(number_of(data, "delivery_rate")), "bit/s measured")
    )
    lines.append(
        row_of("pacing", units.bits_per_s(number_of(data, "pacing_rate")), "bit/s allowed")
    )
    lines.append(row_of("srtt", units.time(number_of(data, "srtt")), "send to ACK"))
    return lines


PANES: tuple[tuple[str, PaneLines], ...] = (
    ("RX queue wait", rx_lines),
    ("TX stages", tx_lines),
    ("TCP health", health_lines),
    ("events", events_lines),
)
