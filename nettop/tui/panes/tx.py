"""The TX stages pane: per stage a box on one log axis, and the mean as a stacked bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from nettop.model.types import Dist, Histogram, NicStage, Stage
from nettop.text import units
from nettop.tui.glyphs import Glyphs
from nettop.tui.panes.bar import stacked
from nettop.tui.panes.rx import axis, place
from nettop.tui.style import Role
from nettop.tui.widgets.lines import BLANK, Line, Part, flow, line, rows_of, whole, wrapped

D, B = Role.DIM, Role.BOLD
SHOWN = (Stage.COPY, Stage.SNDBUF, Stage.TCP, Stage.QDISC, Stage.NIC, Stage.ACK)
NO_NIC = NicStage()
# From here on a stage is unusual; acknowledgements depend on the distance.
LATE_NS = {Stage.SNDBUF: 20_000_000, Stage.QDISC: 5_000_000, Stage.NIC: 5_000_000}


class Sends(Struct, frozen=True):
    """What the pane shows, by Stage: of the last interval, and since the selection."""

    now: tuple[Histogram, ...]
    run: tuple[Histogram, ...] | None
    every: int = 1
    open: int = 0
    resent: int = 0
    merged: int = 0
    apart: int = 0  # sends of several sockets whose times are kept of each alone
    by_tracepoints: bool = False  # of datagrams, or where the kernel has no BPF timestamping
    datagrams: bool = False
    absent: Mapping[Stage, str] = field(default_factory=dict)  # stages not measured here: why
    nic: NicStage = NO_NIC
    nic_bar_ns: int = 0  # of these sockets, in the interval

    @property
    def counted(self) -> Stage:
        """The stage that all have: tracepoints know no beginning and so no whole."""
        known = (self.now, *([self.run] if self.run else []))
        has_total = any(stages[Stage.TOTAL].dist.count for stages in known)
        return Stage.TOTAL if has_total or not self.by_tracepoints else Stage.QDISC

    def seen(self, acks: Dist | None) -> bool:
        """Whether anything is known of any send; acks: of several sockets together."""
        known = (self.now, *([self.run] if self.run else []))
        return any(h.dist.count for part in known for h in part) or bool(
            self.apart and acks is not None and acks.count
        )

    def why(self, stage: Stage) -> str:
        """Why a stage has no number."""
        stages = (self.now, *([self.run] if self.run else []))
        by_tracepoints = Stage.QDISC, *(() if self.datagrams else (Stage.ACK,))
        if stage in self.absent:
            return self.absent[stage]
        if self.by_tracepoints and stage not in by_tracepoints:
            return "tracepoints do not see it"
        if self.apart:
            return ""
        if not any(known[self.counted].dist.count for known in stages):
            return f"no {'packet' if self.counted is Stage.QDISC else 'send'} yet"
        reasons = {
            Stage.COPY: "no call was seen to begin",
            Stage.SNDBUF: "no wait for space",
            Stage.NIC: self.nic.reason or "no NIC stamped these",
        }
        return reasons.get(stage, "no stamp of it came")


def box_of(dist: Dist, cells: int, g: Glyphs) -> str:
    """From p50 over p90 to p99, a dot at max."""
    left, middle, right = (
        min(cells - 1, int(place(ns, cells))) for ns in (dist.p50_ns, dist.p90_ns, dist.p99_ns)
    )
    far = min(cells - 1, int(place(dist.max_ns, cells)))
    text = [" "] * cells
    first, dash, cross, last, dot = "|-+|." if g.ascii else "├─┼┤·"
    for i in range(left, right + 1):
        text[i] = dash
    text[left], text[right] = first, last
    if left < middle < right:
        text[middle] = cross
    if left == right:
        text[left] = "|" if g.ascii else "│"
    if far > right:
        text[far] = dot
    return "".join(text)


def _stage_lines(
    stage: Stage, dist: Dist, cells: int, sends: Sends, g: Glyphs, *, rough: bool
) -> list[Line]:
    name = stage.name.lower()
    bold = B if stage is Stage.TOTAL else Role.NORMAL
    if not dist.count:
        why = rows_of(sends.why(stage), cells + 7)
        if not why:
            return []
        first = line((f"{name:<6}", D), (f"{units.ABSENT:>8}", D), (f"  {why[0]}", D))
        return [first, *(line((" " * 16 + text, D)) for text in why[1:])]
    late = LATE_NS.get(stage)
    role = Role.WATCH if late is not None and dist.p99_ns >= late else bold
    few = D if dist.count < 100 and role is Role.NORMAL else role
    said = line(
        (f"{name:<6}", bold if stage is Stage.TOTAL else D),
        (f"{units.time(dist.p50_ns, rough=rough and dist.p50_ns < dist.max_ns):>8}", role),
        (f"{units.time(dist.p99_ns, rough=rough and dist.p99_ns < dist.max_ns):>8}", few),
        " ",
        (box_of(dist, cells, g), D if role is Role.NORMAL else role),
    )
    return [said]


def _mean(dists: Sequence[Dist], width: int, g: Glyphs) -> list[Line]:
    total = dists[Stage.TOTAL]
    if not total.count:
        return []
    # A stage that was not measured every time counts over all sends.
    parts = [s for s in SHOWN if dists[s].count and s is not Stage.NIC]  # that is a part of ack
    shares = [(s.name.lower(), dists[s].sum_ns / total.count) for s in parts]
    in_all = sum(mean for _, mean in shares)
    if in_all <= 0:
        return []
    bar, legend = stacked(shares, max(8, width - 14), g)
    head: tuple[Part, ...] = (("mean ", B), (f"{units.time(in_all):>6} ", B))
    return [(*head, *bar), *flow(legend, width)]


def stage_lines(
    sends: Sends, width: int, height: int, g: Glyphs, acks: Dist | None = None
) -> list[Line]:
    """Of the interval, or where it saw no send, of the run. acks: of several sockets together, to
    a factor of 2, where the times of each are kept alone."""
    shown, label = sends.now, "now"
    if not shown[sends.counted].dist.count and sends.run is not None:
        shown, label = sends.run, "run"
    dists = [h.dist for h in shown]
    rough = bool(sends.apart and acks is not None and acks.count)
    if rough and acks is not None:
        dists[Stage.ACK], label = acks, "now"
    cells = max(6, width - 24)
    lines: list[Line] = []
    if any(d.count for d in dists):
        lines.append(line((f"{label:<6}{'p50':>8}{'p99':>8} {axis(cells)}", D)))
        for stage in (*SHOWN, Stage.TOTAL):
            lines += _stage_lines(stage, dists[stage], cells, sends, g, rough=rough)
    n = dists[sends.counted].count
    what = "send" if sends.counted is Stage.TOTAL else "packet"
    done = "acknowledged" if sends.counted is Stage.TOTAL else "left"
    n = n or sends.apart
    words = [f"{units.count(n)} {what}{'' if n == 1 else 's'} {done}"]
    if not n:
        words = [f"no {what} {done} yet" if sends.open else f"no {what} yet"]
    if dists[Stage.NIC].count:
        bar_ns = sends.nic_bar_ns if label == "now" else sends.nic.run_bar_ns
        words.append(f"nic ± {units.time(bar_ns)}")
    if sends.nic.before_software:
        words.append(f"{units.count(sends.nic.before_software)} nic stamps contradict")
    if sends.open:
        words.append(f"{units.count(sends.open)} open")
    if sends.resent:
        words.append(f"{units.count(sends.resent)} resent")
    if sends.merged:
        words.append(f"{units.count(sends.merged)} joined a later one")
    mean = _mean(dists, width, g)
    if sends.apart:
        words.append("of several sockets: choose one to see its times")
    more = wrapped(line((", ".join(words), D)), width)
    lines += mean + more if len(lines) + len(mean) + len(more) > height else more + mean
    return [*whole(lines, width, height, g.ellipsis), *[BLANK] * (height - len(lines))]
