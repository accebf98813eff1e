"""What nettop itself costs, and what each plane does and by which method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from nettop.feed import Feed
from nettop.model.cost import Cost
from nettop.model.hosts import HostState
from nettop.model.types import Model, SourceStatus
from nettop.text import units
from nettop.text.clean import clean
from nettop.text.hosts import clock_text, state_text
from nettop.tui.header import lost_texts
from nettop.tui.panes.common import reason_here
from nettop.tui.screens.overlay import Overlay
from nettop.tui.style import Role
from nettop.tui.widgets.lines import BLANK, Line, line, rows_of

if TYPE_CHECKING:
    from nettop.lookback import LookBack

D, B = Role.DIM, Role.BOLD
_LABEL, _NAME, _STATE, _METHOD = 14, 8, 9, 18
_OLD_S = 3  # from here on measured times are not of now: they are taken once a second
_STATE_ROLES = {"ok": Role.NORMAL, "partial": Role.WATCH, "off": Role.DIM}


class CostScreen(Overlay[None]):
    """Refreshed once a second; the kernel times the BPF programs while it is open."""

    TITLE = "cost and planes"
    TALL = True

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.feed = feed
        self._model: Model | None = None

    def on_mount(self) -> None:
        super().on_mount()
        self.feed.measure_cost(True)
        self.set_interval(1.0, self.redraw)

    def on_unmount(self) -> None:
        self.feed.measure_cost(False)

    def body(self, width: int) -> list[Line]:
        model = self.nettop.main.model
        if model is None:
            return [line(("no poll yet", D))]
        kept = kept_text(self.feed)
        lines = process_lines(model.cost, kept, polls=not model.hosts)
        if model.hosts:
            lines = [*hosts_lines(model.hosts, width), *there_lines(model.hosts), *lines]
        else:
            lines += program_lines(model.cost, width)
        lines += [BLANK, line(("PLANES", Role.FOCUS))]
        for status in model.sources:
            lines += plane_lines(status, width, live=self.feed.live)
        return lines


def hosts_lines(hosts: Sequence[HostState], width: int) -> list[Line]:
    """A line for each host: its clock, what it sends and how late; below it why it does not."""
    name_cells = _name_cells(hosts)
    titles = f"{'host':<{name_cells}}{'state':<8}{'nettop':<9}{'clock':<19}{'bytes/s':>8}{'lag':>8}"
    lines = [line(("HOSTS", Role.FOCUS)), line((titles + f"{'skipped':>9}", D))]
    for host in hosts:
        role = Role.NORMAL if host.live else Role.WATCH
        lag = units.time(host.lag_s * 1e9 if host.lag_s is not None else None)
        lines.append(
            line(
                (f"{clean(host.name):<{name_cells}}", B),
                (f"{host.state:<8}", role),
                f"{(host.nettop or units.ABSENT)[:8]:<9}{clock_text(host)[6:]:<19}"
                f"{units.size(host.bytes_per_s):>8}{lag:>8}{host.skipped_ticks:>9}",
            )
        )
        if host.reason:
            lines += _wrapped(state_text(host), width, D)
    return [*lines, BLANK]


def there_lines(hosts: Sequence[HostState]) -> list[Line]:
    """What nettop takes on each host, as it says itself in its tick."""
    name_cells = _name_cells(hosts)
    titles = f"{'host':<{name_cells}}{'CPU':>7}{'poll':>9}{'every':>9}{'memory':>9}"
    lines = [
        line(("NETTOP THERE", Role.FOCUS)),
        line((titles + f"{'BPF runs/s':>12}{'lost':>7}", D)),
    ]
    for host in hosts:
        model = host.model
        if model is None:
            continue
        cost = model.cost
        lines.append(
            line(
                (f"{clean(host.name):<{name_cells}}", B),
                f"{units.percent(cost.cpu_pct):>7}{_ms(cost.poll_ms):>9}",
                (f"{f'{cost.interval_s:.3g} s':>9}", Role.WATCH if cost.stretched else Role.NORMAL),
                f"{units.size(cost.rss_bytes):>9}{units.count(cost.bpf_runs_per_s):>12}"
                f"{cost.lost_events:>7}",
            )
        )
    if len(lines) == 2:
        lines[1] = line(("no host answers", D))
    return [*lines, BLANK]


def _name_cells(hosts: Sequence[HostState]) -> int:
    return max(8, *(cell_len(clean(h.name)) for h in hosts)) + 2


def kept_text(feed: Feed) -> str:
    """What is kept to look back on, and its memory."""
    past: LookBack | None = getattr(feed, "past", None)
    if past is None:
        return "nothing is kept"
    span = units.time(past.span_s * 1e9)
    return f"{span} kept in {units.size(past.bytes)}, at most {units.size(past.most_bytes)}"


def process_lines(cost: Cost, kept: str, *, polls: bool = True) -> list[Line]:
    """
    Args:
        kept: what the look-back is.
        polls: this process does, and no others for it.
    """
    # What it was stretched for says both.
    poll = cost.stretched or f"{_ms(cost.poll_ms)} of CPU, every {cost.interval_s:.3g} s"
    if not polls:
        poll = "none: each host polls for itself"
    rows = [
        ("CPU", f"{units.percent(cost.cpu_pct)} of one core, the whole process"),
        ("poll", poll),
        ("memory", f"{units.size(cost.rss_bytes)} resident"),
        ("look-back", kept),
        ("lost", f"{', '.join(lost_texts(cost)) or 'nothing'} since the start"),
    ]
    lines = [line(("THIS PROCESS", Role.FOCUS))]
    return lines + [line((f"{name:<{_LABEL}}", D), text) for name, text in rows]


def program_lines(cost: Cost, width: int) -> list[Line]:
    """The BPF programs, dearest first."""
    lines = [BLANK, line(("BPF PROGRAMS", Role.FOCUS))]
    if not cost.plane_runs_per_s:
        return [*lines, line(("none is loaded", D))]
    for plane, runs in cost.plane_runs_per_s.items():
        lines.append(line((f"{plane:<{_LABEL}}", D), f"{units.count(runs)} runs/s"))
    if cost.programs_reason:
        return [*lines, *_wrapped(cost.programs_reason, width, D)]
    if not cost.programs:
        return [*lines, line(("ns per run: being measured", D))]
    age_s = cost.programs_age_s or 0
    age = f"   {units.time(age_s * 1e9)} ago" if age_s >= _OLD_S else ""
    lines.append(BLANK)
    lines.append(line((f"{'program':<26}{'runs/s':>9}{'ns/run':>9}{'of a core':>11}{age}", D)))
    for p in [p for p in cost.programs if p.runs_per_s]:
        share = p.runs_per_s * (p.ns_per_run or 0) / 1e7
        ns = f"{p.ns_per_run:.0f}" if p.ns_per_run is not None else units.ABSENT
        text = f"{p.plane + ' ' + p.name:<26}{units.count(p.runs_per_s):>9}{ns:>9}"
        lines.append(line(f"{text}{units.percent(share):>11}"))
    idle = sum(not p.runs_per_s for p in cost.programs)
    if idle:
        lines.append(line((f"{units.counted(idle, 'other')} did not run", D)))
    return lines


def _ms(milliseconds: float | None) -> str:
    return units.time(milliseconds * 1e6 if milliseconds is not None else None)


def plane_lines(status: SourceStatus, width: int, *, live: bool = False) -> list[Line]:
    """Name, state and method; below it why, and what would help: live, by keys too."""
    role = _STATE_ROLES[status.state]
    head = line(
        (f"{status.name:<{_NAME}}", B), (f"{status.state:<{_STATE}}", role),
        (f"{status.method or '':<{_METHOD}}", D),
    )  # fmt: skip
    out = [head]
    why = status.reason
    if live and why and status.state == "off":
        why = reason_here(status.name, why)
    for text in filter(None, (why, status.fix and f"→ {status.fix}")):
        out += _wrapped(text, width, D)
    return out


def _wrapped(text: str, width: int, role: Role) -> list[Line]:
    return [line((" " * _NAME + part, role)) for part in rows_of(text, max(20, width - _NAME))]
