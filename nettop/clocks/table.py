"""The clocks as cells and sentences, for the text and for the screen."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from nettop.clocks.interfaces import Interface, Remark
from nettop.clocks.observer import PhcReport, Report, Scale, State
from nettop.clocks.offset import Method, Stepped
from nettop.clocks.phc import METHOD_NAMES
from nettop.text import units
from nettop.text.units import ABSENT


class Level(IntEnum):
    """How unusual a row is."""

    PLAIN = 0  # nothing to measure
    FINE = 1
    WATCH = 2
    UNWELL = 3


_LEVELS = {
    State.LOCKED: Level.FINE,
    State.STEADY: Level.FINE,
    State.WAITING: Level.FINE,
    State.DRIFTS: Level.WATCH,
    State.ABSENT: Level.WATCH,
    State.STEPPED: Level.UNWELL,
    State.STOPPED: Level.UNWELL,
    State.RUNS_WRONG: Level.UNWELL,
}
SOFTWARE_ONLY = "software only"


class Row(Struct, frozen=True):
    """An interface, or a PHC that no interface names."""

    nic: Interface | None
    phc: PhcReport | None
    level: Level
    name: str
    driver: str
    clock: str
    tx: str
    rx: str
    setting: str
    offset: str
    bar: str
    drift: str
    state: str


Subject = tuple[Interface | None, PhcReport | None]


def subjects(report: Report) -> list[Subject]:
    """Interfaces in the kernel's order with their PHCs, then the PHCs of none of them."""
    phcs = {phc.device.index: phc for phc in report.phcs if phc.device.index is not None}
    shown = {nic.phc for nic in report.interfaces} - {None}
    out: list[Subject] = [
        (nic, phcs.get(nic.phc) if nic.phc is not None else None) for nic in report.interfaces
    ]
    return out + [(None, phc) for phc in report.phcs if phc.device.index not in shown]


def rows(report: Report) -> list[Row]:
    return [row_of(nic, phc) for nic, phc in subjects(report)]


def row_of(nic: Interface | None, phc: PhcReport | None) -> Row:
    """The cells of one line."""
    driver = nic.driver if nic else phc.device.name if phc else None
    level = _LEVELS[phc.state] if phc else Level.PLAIN
    if nic is not None and any(r.odd for r in nic.remarks):
        level = max(level, Level.WATCH)
    return Row(
        nic=nic,
        phc=phc,
        level=level,
        name=nic.name if nic else ABSENT,
        driver=driver or ABSENT,
        clock=_clock(nic, phc),
        tx=_stamps(nic, "transmit"),
        rx=_stamps(nic, "receive"),
        setting=setting_text(nic),
        offset=offset_text(phc),
        bar=units.time(phc.last.bar_ns) if phc and phc.last else ABSENT,
        drift=drift_text(phc),
        state=phc.state.value if phc else _without(nic),
    )


def _clock(nic: Interface | None, phc: PhcReport | None) -> str:
    if nic is not None and nic.phc is not None:
        return f"ptp{nic.phc}"
    if phc is None:
        return ABSENT
    return f"ptp{phc.device.index}" if phc.device.index is not None else phc.device.path


def _without(nic: Interface | None) -> str:
    if nic is None or nic.phc is not None:
        return ABSENT
    return "no clock named" if nic.stamps_tx or nic.stamps_rx else SOFTWARE_ONLY


def _stamps(nic: Interface | None, way: str) -> str:
    if nic is None:
        return ABSENT
    kinds = [s for s, kind in (("hw", "hardware"), ("sw", "software"))
             if f"{kind}-{way}" in nic.capabilities]  # fmt: skip
    return " ".join(kinds) or ABSENT


def setting_text(nic: Interface | None) -> str:
    """tx/rx as set now."""
    if nic is None or nic.setting is None:
        return ABSENT
    if nic.setting.is_off:
        return "off"
    return f"{nic.setting.tx_type}/{nic.setting.rx_filter}"


def signed(ns: float | None) -> str:
    """A time with its sign, in at most 7 cells."""
    if ns is None:
        return ABSENT
    return ("-" if ns < 0 else "+") + units.time(abs(ns))


def offset_text(phc: PhcReport | None) -> str:
    """PHC minus the system clock; against TAI where it counts that."""
    if phc is None or phc.residual_ns is None:
        return ABSENT
    scale = "TAI" if phc.scale is Scale.TAI else ""
    return scale + signed(phc.residual_ns)


def ppb_text(ppb: float) -> str:
    """In at most 6 cells: 12ppb 4.1ppm."""
    value = abs(ppb)
    if value < 999.5:
        return f"{value:.0f}ppb"
    value /= 1000
    return f"{value:.1f}ppm" if value < 99.95 else f"{value:.0f}ppm"


def drift_text(phc: PhcReport | None) -> str:
    if phc is None or phc.frequency is None:
        return ABSENT
    return ("-" if phc.frequency.ppb < 0 else "+") + ppb_text(phc.frequency.ppb)


def system_text(report: Report) -> str:
    """One line on the system clock."""
    system = report.system
    if system is None:
        return "system clock: adjtimex does not report its state"
    kept = "synchronized" if system.synchronized else "not synchronized"
    tai = system.tai_minus_utc_s
    tai_text = (
        f"TAI-UTC {tai} s" if tai is not None else f"TAI-UTC {ABSENT} (not set in the kernel)"
    )
    worst = f", error at most {units.time(system.max_error_ns)}" if system.synchronized else ""
    return f"CLOCK_REALTIME {kept}{worst}   {tai_text}"


def sentences(row: Row) -> list[Remark]:
    """What there is to say on a row beyond its cells."""
    out: list[Remark] = []
    phc = row.phc
    if phc is not None:
        out += _phc_sentences(phc)
    elif row.nic is not None and row.nic.phc is not None:
        out.append(Remark(f"its clock /dev/ptp{row.nic.phc} was not asked for"))
    if row.nic is not None:
        out += row.nic.remarks
    return out


def _phc_sentences(phc: PhcReport) -> list[Remark]:
    out: list[Remark] = []
    name = phc.device.path
    if phc.reason:
        out.append(Remark(phc.reason, phc.fix, odd=True))
    if phc.device.virtual_of is not None:
        out.append(Remark(f"{name} is a virtual clock on ptp{phc.device.virtual_of}"))
    if phc.device.virtual_clocks:
        text = f"{phc.device.virtual_clocks} virtual clocks are made from {name}, which runs free"
        out.append(Remark(text))
    if phc.steps and phc.state is State.STEPPED:
        step = phc.steps[-1]
        clock = name if step.clock is Stepped.PHC else "CLOCK_REALTIME"
        times = f"{phc.steps_seen} steps seen, the last: " if phc.steps_seen > 1 else ""
        text = f"{times}{clock} stepped by {signed(step.by_ns)}; what was stamped across it is lost"
        out.append(Remark(text, odd=True))
    if phc.state is State.STOPPED:
        out.append(Remark(f"{name} does not go on: the driver does not run its clock", odd=True))
    if phc.state is State.RUNS_WRONG and phc.speed is not None:
        text = f"{name} runs {phc.speed:.3g} times as fast as time: its stamps mean nothing"
        out.append(Remark(text, odd=True))
    if phc.state is State.DRIFTS and phc.frequency is not None:
        rate = f"{ppb_text(phc.frequency.ppb)} ±{ppb_text(phc.frequency.bar_ppb)}"
        way = "faster" if phc.frequency.ppb > 0 else "slower"
        text = f"it runs {rate} {way} than the system clock: only measured offsets join the two"
        out.append(Remark(text))
    if phc.method is not None:
        what = "hardware stamps of both clocks, ± how much they differ"
        if phc.method is not Method.PRECISE:
            what = "the narrowest of 25 windows, ± half of it: the truth lies inside"
        out.append(Remark(f"{METHOD_NAMES[phc.method]}: {what}"))
    return out
