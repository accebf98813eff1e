"""`nettop clocks` as text and as JSON (nettop.clocks/1)."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import asdict

from nettop import __version__
from nettop.clocks import table
from nettop.clocks.interfaces import Interface, Remark
from nettop.clocks.keys import SCHEMA
from nettop.clocks.observer import PhcReport, Report
from nettop.clocks.offset import SECOND_NS, Method
from nettop.text.clean import clean
from nettop.text.units import ABSENT


def to_json(report: Report) -> dict[str, Any]:
    """One object; what is unknown has no key."""
    system = report.system
    host = os.uname()
    return {
        "schema": SCHEMA,
        "taken": _time(report.taken_ns),
        "observed_s": round(report.observed_ns / SECOND_NS, 3),
        "host": host.nodename,
        "kernel": host.release,
        "nettop": __version__,
        "system": _known(
            synchronized=system.synchronized,
            tai_minus_utc_s=system.tai_minus_utc_s,
            max_error_ns=system.max_error_ns,
            frequency_ppm=round(system.frequency_ppm, 6),
        )
        if system
        else {},
        "interfaces": [_nic(nic) for nic in report.interfaces],
        "phcs": [_phc(phc) for phc in report.phcs],
    }


def _nic(nic: Interface) -> dict[str, Any]:
    setting = nic.setting
    return _known(
        name=nic.name,
        index=nic.index,
        driver=nic.driver,
        phc=nic.phc,
        capabilities=list(nic.capabilities),
        tx_types=list(nic.tx_types),
        rx_filters=list(nic.rx_filters),
        setting={"tx_type": setting.tx_type, "rx_filter": setting.rx_filter} if setting else None,
        tx_stats=asdict(nic.tx_stats) if nic.tx_stats else None,
        remarks=[_known(text=r.text, fix=r.fix) for r in nic.remarks],
    )


def _phc(phc: PhcReport) -> dict[str, Any]:
    last, frequency = phc.last, phc.frequency
    caps = phc.caps
    return _known(
        device=phc.device.path,
        index=phc.device.index,
        name=phc.device.name,
        virtual_of=phc.device.virtual_of,
        interfaces=list(phc.interfaces),
        state=phc.state.value,
        reason=phc.reason,
        fix=phc.fix,
        method=phc.method.name.lower() if phc.method is not None else None,
        phc_minus_system_ns=-last.offset_ns if last else None,
        bar_ns=last.bar_ns if last else None,
        bar=("spread" if last.method is Method.PRECISE else "window") if last else None,
        scale=phc.scale.value if phc.scale else None,
        residual_ns=phc.residual_ns,
        frequency_ppb=round(frequency.ppb, 3) if frequency else None,
        frequency_bar_ppb=round(frequency.bar_ppb, 3) if frequency else None,
        frequency_over_s=round(frequency.over_ns / SECOND_NS, 3) if frequency else None,
        speed=round(phc.speed, 4) if phc.speed is not None else None,
        readings=phc.readings,
        steps_seen=phc.steps_seen,
        steps=[{"clock": s.clock.value, "at": _time(s.at_sys_ns), "by_ns": s.by_ns}
               for s in phc.steps],
        caps={f: getattr(caps, f) for f in caps.__struct_fields__} if caps else None,
    )  # fmt: skip


def _known(**values: Any) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None}


def _time(ns: int) -> str:
    whole = datetime.fromtimestamp(ns // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{ns % SECOND_NS:09d}Z"


TITLES = ("INTERFACE", "DRIVER", "PHC", "TX", "RX", "SET NOW", "PHC-SYSTEM", "±", "DRIFT", "STATE")
_SIGNS = {table.Level.WATCH: "▲", table.Level.UNWELL: "!"}


def to_text(report: Report, ascii_only: bool = False) -> str:
    """A table, and below it what is missing and why."""
    host = os.uname()
    lines = [f"nettop clocks on {host.nodename}, Linux {host.release}", table.system_text(report)]
    rows = table.rows(report)
    if report.phcs:
        lines.append(f"observed {report.observed_ns / SECOND_NS:.1f} s")
    elif report.interfaces:
        lines.append("no NIC here has a hardware clock")
    cells = [(r.name, r.driver, r.clock, r.tx, r.rx, r.setting, exact_offset(r.phc), r.bar, r.drift,
              r.state) for r in rows]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(TITLES, *cells, strict=True)]
    lines += ["", "  " + _joined(TITLES, widths)]
    lines += [
        f"{_SIGNS.get(row.level, ' ')} {_joined(cell, widths)}"
        for row, cell in zip(rows, cells, strict=True)
    ]
    remarks = _remarks(rows)
    if remarks:
        lines += ["", *remarks]
    text = "\n".join(clean(line.rstrip()) for line in lines) + "\n"
    return _plain(text) if ascii_only else text


def exact_offset(phc: PhcReport | None) -> str:
    """To the nanosecond: a PHC on TAI is 37 s and some ns away."""
    if phc is None or phc.last is None:
        return ABSENT
    ns = -phc.last.offset_ns
    whole, part = divmod(abs(ns), SECOND_NS)
    return f"{'-' if ns < 0 else '+'}{whole}.{part:09d}s"


def _joined(cells: tuple[str, ...], widths: list[int]) -> str:
    # Numbers right, names left.
    return "  ".join(
        cell.rjust(width) if title in ("PHC-SYSTEM", "±", "DRIFT") else cell.ljust(width)
        for title, cell, width in zip(TITLES, cells, widths, strict=True)
    )


def _remarks(rows: list[table.Row]) -> list[str]:
    """What several interfaces have in common is said once."""
    who: dict[Remark, list[str]] = {}
    for row in rows:
        name = row.name if row.nic else row.clock
        for remark in table.sentences(row):
            who.setdefault(remark, []).append(name)
    lines = []
    for remark, names in sorted(who.items(), key=lambda item: not item[0].odd):
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        lines.append(f"{', '.join(names[:4])}{more}: {remark.text}")
        if remark.fix:
            lines.append(f"  fix: {remark.fix}")
    return lines


def _plain(text: str) -> str:
    signs = {"–": "-", "µ": "u", "±": "+-", "▲": "^", "−": "-", "…": "..."}
    for sign, plain in signs.items():
        text = text.replace(sign, plain)
    return text.encode("ascii", "replace").decode()
