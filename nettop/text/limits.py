"""Thresholds of verdicts: the defaults, and those that the user wants otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec.structs import replace

from nettop.text.verdicts import VERDICTS

DEFAULTS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {member: values for spec in VERDICTS.values() for member, values in spec.limits.items()}
)
MEANINGS: Mapping[str, str] = MappingProxyType(
    {m: f"{spec.words[0]}: {spec.sentence}" for spec in VERDICTS.values() for m in spec.limits}
)
# Members of struct nt_config that are no whole numbers.
FRACTIONS = frozenset(m for m in DEFAULTS if m.endswith(("_ratio", "_per_s")) or m == "loss_pct")
OWN: dict[str, tuple[float, ...]] = {}  # of these members; an engine takes them when it is made


def own_text() -> str | None:
    """The thresholds that are not the defaults, as a file has them; None: all are."""
    texts = (f"{name}={_numbers(values)}" for name, values in sorted(OWN.items()))
    return " ".join(texts) or None


def _numbers(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:.9g}" for value in values)


def use_limits(own: Mapping[str, tuple[float, ...]]) -> None:
    """Puts them in force in this process: in engines made from now on and in what help says."""
    OWN.clear()
    OWN.update((name, values) for name, values in own.items() if values != DEFAULTS[name])
    for verdict, spec in VERDICTS.items():
        limits = {member: own.get(member, DEFAULTS[member]) for member in spec.limits}
        if limits != spec.limits:
            VERDICTS[verdict] = replace(spec, limits=limits)
