"""Every key of the JSON nettop.diff/1; `[]` marks elements of a list."""

from __future__ import annotations

SCHEMA = "nettop.diff/1"


def _side(name: str, about: str) -> dict[str, str]:
    return {
        name: about,
        f"{name}.file": "as it was written, with its stretch; with -H the host",
        f"{name}.host": "name of the host",
        f"{name}.from": "UTC time of the first tick, RFC 3339 with nanoseconds",
        f"{name}.to": "of the last",
        f"{name}.ticks": "how many; of a snapshot 1",
        f"{name}.seconds": "in which was counted",
        f"{name}.sockets": "that were seen in them",
        f"{name}.absent": "what was not measured; left out where everything was",
        f"{name}.absent.*": "rxwait, stages or all: why",
    }


def _band(name: str, about: str) -> dict[str, str]:
    return {
        f"groups[].numbers[].{name}": about,
        f"groups[].numbers[].{name}.value": "the number; of percentiles the upper edge of a bucket",
        f"groups[].numbers[].{name}.low": "lower bound of its error band",
        f"groups[].numbers[].{name}.high": "upper bound; left out where there is none",
        f"groups[].numbers[].{name}.n": "what it is made of: deliveries, sends, segments, packets "
        "or bytes; of srtt sockets",
    }


KEYS: dict[str, str] = {
    "schema": f'"{SCHEMA}"',
    **_side("a", "what is compared with"),
    **_side("b", "what is compared"),
    "by": "what groups sockets: process, remote, local, cgroup, netns or all",
    "filter": "which sockets were compared; left out for all",
    "comparisons": "numbers that were judged",
    "family_error": "chance that any of them is said to be worse though nothing changed; each "
    "bound has this divided by comparisons",
    "verdicts": "how many numbers have each",
    "verdicts.worse": "worse beyond floor, ratio and error band",
    "verdicts.better": "better, likewise",
    "verdicts.same": "neither, and close enough to be called the same",
    "verdicts.cannot_tell": "the error band has room for both",
    "groups": "that both sides have",
    "groups[].name": "as of the text",
    "groups[].numbers": "worst first",
    "groups[].numbers[].name": "name of the field",
    "groups[].numbers[].unit": "ns, pct, per_s or bytes_per_s",
    "groups[].numbers[].verdict": "worse, better, same or cannot tell; left out where more is "
    "neither",
    **_band("a", "of A"),
    **_band("b", "of B"),
    "groups[].numbers[].ratio": "B / A; left out where A is 0 and B is not",
    "groups[].numbers[].ratio_low": "lower bound of it",
    "groups[].numbers[].ratio_high": "upper bound; left out where there is none",
    "groups[].numbers[].difference": "B - A",
    "groups[].numbers[].difference_low": "lower bound; left out where there is none",
    "groups[].numbers[].difference_high": "upper bound; left out where there is none",
    "only_in_a": "groups that B does not have",
    "only_in_b": "groups that A does not have",
    "fails": "each --fail, in their order",
    "fails[].expression": "as it was written",
    "fails[].result": "fail, pass or cannot tell",
    "fails[].groups": "in which it holds, or looks as if",
    "fails[].reason": "why that is not known",
    "exit": "the exit code",
}
