"""The way of received packets below the sockets, as a view of the RX pane."""

from __future__ import annotations

from nettop.model.path import HOOK_TEXTS, PathTick
from nettop.text import units
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, line

D = Role.DIM
_COLUMNS = ("n", "p50", "p90", "p99", "max")


def path_lines(tick: PathTick, width: int, height: int) -> list[Line]:
    """A line per hook: of the interval, or where nothing came in it, of the run."""
    wide = width >= 68
    label = 30 if wide else max(8, width - 7 * len(_COLUMNS))
    titles = "".join(f"{name:>7}" for name in _COLUMNS)
    lines: list[Line] = [line((f"{'all packets of this host':<{label}}"[:label], D), (titles, D))]
    left_out = 0
    for hook, seen in tick.items():
        left_out += seen.counts.impossible + seen.counts.head_of_line
        shown = seen.now if seen.now.dist.count else seen.run
        d = shown.dist
        name = HOOK_TEXTS[hook] if wide else hook.name.lower()
        numbers = (d.p50_ns, d.p90_ns, d.p99_ns, d.max_ns) if d.count else (None,) * 4
        cells = f"{units.count(d.count):>7}" + "".join(f"{units.time(ns):>7}" for ns in numbers)
        role = Role.NORMAL if seen.now.dist.count else D
        lines.append(line((f"{name:<{label}}"[:label], D), (cells, role)))
    lines.append(line(("from the kernel's stamp of reception; stamping is on, host-wide", D)))
    if left_out:
        text = f"{units.count(left_out)} left out: behind a lost segment, or impossible times"
        lines.append(line((text, D)))
    return lines[:height]
