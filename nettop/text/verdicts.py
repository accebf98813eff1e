"""The one table of verdicts: what each is called, whom it blames, where it begins, how it reads.

JSON, the filter's `verdict = …`, help, `--help-json` and the WHY column are made from it;
README, the round trip, the schema and the compiled helper are compared with it.

To add a verdict:
1. native/include/nt_wire.cdef.h: a number in enum nt_verdict, its thresholds in struct nt_config.
2. native/engine/nt_verdict.c: their defaults, its WHO in who_of, hold() where its condition is met.
3. Here: a number in types.Verdict and a line below; its evidence in explain.py; a row in README.
tests/unit/test_verdict_table.py names whatever is still missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nettop.model.types import Because, Verdict, Who
from nettop.text import units

Cell = Callable[[float, Because, bool], str]


@dataclass(frozen=True, slots=True)
class VerdictSpec:
    """One verdict.

    words: what its WHY begins with; cell writes the WHY from the number, the cause and whether
        the number is a lower bound.
    who: whom it blames (nt_who_of) where no finding says otherwise; also: whom a finding may.
    limits: members of struct nt_config by their defaults; of two the second is unwell.
    watch, unwell: conditions with the limits filled in, as {member[0]}.
    of: the statistic that the number is.
    """

    number: Verdict
    name: str  # of JSON's "verdicts" and the filter's `verdict = …`
    unit: str  # of its number, as JSON names it
    who: Who
    words: tuple[str, ...]
    cell: Cell
    sentence: str
    limits: Mapping[str, tuple[float, ...]]
    watch: str
    unwell: str
    also: tuple[Who, ...] = ()
    causes: tuple[Because, ...] = ()
    of: str | None = None
    conditions: tuple[str, str] = field(init=False, default=("", ""))

    def __post_init__(self) -> None:
        said = {m: [limit_text(m, v) for v in values] for m, values in self.limits.items()}
        both = self.watch.format(**said), self.unwell.format(**said)
        object.__setattr__(self, "conditions", both)

    @property
    def whos(self) -> tuple[Who, ...]:
        return (self.who, *self.also)


def limit_text(member: str, value: float) -> str:
    """A threshold with the unit that its member's name ends in: 200 ms, 5 s, 80 %, 2 ×."""
    if member.endswith("_per_s"):
        return f"{value:g} a second"
    for ending, seconds in (("_us", 1e-6), ("_ms", 1e-3), ("_s", 1.0)):
        if member.endswith(ending):
            spent = value * seconds
            return f"{spent:g} s" if spent >= 1 else f"{spent * 1e3:g} ms"
    if member.endswith("_pct"):
        return f"{value:g} %"
    return f"{value:g} ×" if member.endswith("_ratio") else f"{value:g}"


# The names in JSON's "cause".
CAUSES = {
    Because.RTO: "resent",
    Because.SILENT_PEER: "resent_since_handshake",
    Because.SYN: "syn",
    Because.PROBE: "window_probe",
    Because.KEEPALIVE: "keepalive",
    Because.FULL: "full",
    Because.CHECKSUM: "checksum",
    Because.MEMORY: "memory",
    Because.OTHER: "other",
    Because.UNKNOWN: "unknown",
    Because.HERE: "this_host",
}

_UNANSWERED = {Because.SYN: "SYN", Because.PROBE: "probe", Because.KEEPALIVE: "keepal"}


def _share(word: str) -> Cell:
    return lambda value, because, bounded: f"{word} {units.percent(value)}"


def _wait(word: str) -> Cell:
    return lambda value, because, bounded: f"{word} {units.time(value * 1e6)}"


def _window(value: float, because: Because, bounded: bool) -> str:
    # Over 100 stands for a window that is shut.
    return "window 0" if value > 100 else f"window {units.percent(value)}"


def _accept(value: float, because: Because, bounded: bool) -> str:
    return "accept full" if value >= 100 else f"accept {units.percent(value)}"


def _rtt(value: float, because: Because, bounded: bool) -> str:
    return f"RTT {value:.1f}x min" if value < 100 else f"RTT {value:.0f}x"


_TABLE = (
    VerdictSpec(
        Verdict.UNREAD, "reads_late", "ms", Who.APP, ("unread",),
        lambda value, because, bounded: f"unread {units.time(value * 1e6, bounded=bounded)}",
        "does not read", {"unread_ms": (200, 5000)},
        "oldest unread data that poll() calls readable ≥ {unread_ms[0]}", "≥ {unread_ms[1]}",
    ),
    VerdictSpec(
        Verdict.ACCEPT, "accept", "percent", Who.APP, ("accept",), _accept,
        "accepts too slowly", {"accept_pct": (80, 100)},
        "accept queue ≥ {accept_pct[0]} of its limit, or it was in the interval before and "
        "connections are dropped now",
        "≥ {accept_pct[1]}, or drops too",
    ),
    VerdictSpec(
        Verdict.LOSS, "loss", "percent", Who.NET, ("loss",), _share("loss"),
        "loss on the path", {"loss_pct": (1, 2), "loss_retrans": (3,)},
        "≥ {loss_retrans[0]} segments and ≥ {loss_pct[0]} of bytes resent in 5-10 s",
        "≥ {loss_pct[1]}", also=(Who.KERN,), causes=(Because.HERE,),
    ),
    VerdictSpec(
        Verdict.RTO, "rto", "count", Who.NET, ("RTO", "SYN", "probe", "keepal"),
        lambda value, because, bounded: f"{_UNANSWERED.get(because, 'RTO')} x{value:.0f}",
        "what was sent is not answered", {},
        "data or a SYN resent on time-outs, 2 probes unanswered, until an answer comes",
        "at once", also=(Who.PEER, Who.KERN),
        causes=(Because.RTO, Because.SILENT_PEER, Because.SYN, Because.PROBE, Because.KEEPALIVE,
                Because.HERE),
    ),
    VerdictSpec(
        Verdict.WINDOW, "peer_window", "percent", Who.PEER, ("window",), _window,
        "the peer's window holds us back", {"rwnd_pct": (20, 50)},
        "peer's window holds us back ≥ {rwnd_pct[0]} of the time", "≥ {rwnd_pct[1]}, or shut",
    ),
    VerdictSpec(
        Verdict.RTT, "rtt", "ratio", Who.NET, ("RTT",), _rtt,
        "the round trip takes much longer than it can",
        {"rtt_ratio": (2, 4), "rtt_over_us": (10000,)},
        "srtt, measured now, ≥ {rtt_ratio[0]} min_rtt and ≥ {rtt_over_us[0]} more",
        "≥ {rtt_ratio[1]}, not where it stands there for 20-40 s",
    ),
    VerdictSpec(
        Verdict.SNDBUF, "send_buffer", "percent", Who.APP, ("sndbuf",), _share("sndbuf"),
        "the send buffer is too small", {"sndbuf_pct": (20, 50)},
        "send buffer holds us back ≥ {sndbuf_pct[0]} of the time", "≥ {sndbuf_pct[1]}",
    ),
    VerdictSpec(
        Verdict.DROPS, "drops", "per_s", Who.APP, ("drops",),
        lambda value, because, bounded: f"drops {units.rate(value)}/s",
        "what comes for it is dropped", {"drops_per_s": (0, 100)},
        "packets for the socket are dropped, less what a filter refuses", "≥ {drops_per_s[1]}",
        also=(Who.NET, Who.KERN, Who.UNKNOWN),
        causes=(Because.FULL, Because.CHECKSUM, Because.MEMORY, Because.OTHER, Because.UNKNOWN,
                Because.HERE),
    ),
    VerdictSpec(
        Verdict.UNCLOSED, "unclosed", "s", Who.APP, ("unclosed",),
        # The FIN came no later than the last packet: a lower bound, and its short form fits.
        lambda value, because, bounded: f"unclosed {units.time(value * 1e9, bounded=True)}",
        "has not closed what the peer closed", {"unclosed_s": (60,)},
        "CLOSE_WAIT for ≥ {unclosed_s[0]}", "never",
    ),
    VerdictSpec(
        Verdict.CWND, "cwnd", "percent", Who.NET, ("cwnd",), _share("cwnd"),
        "the congestion window is the limit", {"cwnd_pct": (20,)},
        "congestion window full ≥ {cwnd_pct[0]} of the time", "never: a word, not an alarm",
    ),
    VerdictSpec(
        Verdict.READS, "reads_late", "ms", Who.APP, ("reads",), _wait("reads"),
        "reads late", {"wait_ms": (20, 200), "wait_count": (5,)},
        "p99 of the RX queue wait ≥ {wait_ms[0]}, from {wait_count[0]} samples on",
        "≥ {wait_ms[1]}", of="p99",
    ),
    VerdictSpec(
        Verdict.QDISC, "qdisc", "ms", Who.KERN, ("qdisc",), _wait("qdisc"),
        "packets wait in the device's queue", {"qdisc_us": (5000, 50000)},
        "p99 of the qdisc stage ≥ {qdisc_us[0]}", "≥ {qdisc_us[1]}",
    ),
    VerdictSpec(
        Verdict.NIC, "nic", "ms", Who.NIC, ("nic",), _wait("nic"),
        "packets wait for the wire", {"nic_us": (5000, 50000)},
        "p99 of the nic stage ≥ {nic_us[0]}", "≥ {nic_us[1]}",
    ),
)  # fmt: skip

VERDICTS: dict[Verdict, VerdictSpec] = {spec.number: spec for spec in _TABLE}
# Two may have one name; in JSON `of` says which of them a number is.
NAMES = tuple(dict.fromkeys(spec.name for spec in _TABLE))


def named(name: str | None, of: object = None) -> list[Verdict]:
    """The verdicts of that name, first those whose number is such a statistic."""
    found = [spec for spec in _TABLE if spec.name == name]
    return [spec.number for spec in sorted(found, key=lambda spec: spec.of != of)]


def verdict_words(
    verdict: Verdict, value: float, because: int = Because.PLAIN, *, bounded: bool = True
) -> str:
    """A few words with the number, at most 13 cells: `loss 2.1%`, `unread ≥12s`.

    bounded: the age of unread data is a lower bound.
    """
    return VERDICTS[verdict].cell(value, Because(because), bounded)
