"""What held, in one line for a person and in variables for a command."""

from __future__ import annotations

from nettop.export.jsonout import LEVELS, neat
from nettop.export.times import utc_text
from nettop.model.types import Model, Row, Verdict
from nettop.text import units
from nettop.text.clean import clean
from nettop.text.columns import endpoint
from nettop.text.variables import VARIABLES
from nettop.text.verdicts import VERDICTS
from nettop.text.words import owner_text, proto_text, who_text, why_text
from nettop.times import local_text
from nettop.watch.condition import Standing


def seconds(value_s: float) -> str:
    """As it would be written: 10s, 2.5s, 15m, 2h."""
    for size, unit in ((3600, "h"), (60, "m")):
        if value_s >= size and value_s % size == 0:
            return f"{value_s / size:g}{unit}"
    return f"{value_s:g}s"


def who_is_it(row: Row | None) -> str:
    """`nginx/812 tcp 10.0.0.5:443 > 10.0.3.7:51812`."""
    if row is None:
        return "a socket that is gone"
    ends = f"{endpoint(row, local=True)} > {endpoint(row, local=False)}"
    return clean(f"{owner_text(row) or units.ABSENT} {proto_text(row)} {ends}")


def sentence(row: Row | None, held: Standing) -> str:
    """One line: the socket, WHO, WHY, for how long and since when."""
    words = [who_is_it(row)]
    if row is not None and row.rec.verdicts:
        words.append(f"{who_text(row)}: {why_text(row)}")
    since = local_text(held.since_wall_ns)
    if held.ticks == 1:
        words.append(f"at {since}")
    else:
        words.append(f"held {units.time(held.held_ns)} in {held.ticks} ticks, since {since}")
    more = len(held.cookies) - 1
    if more > 0:
        words.append(f"and {units.counted(more, 'more socket')}")
    return "; ".join(words)


def variables(
    row: Row | None, held: Standing, model: Model, expression: str, file: str | None
) -> dict[str, str]:
    """VARIABLES with their values; names of others come as clean() leaves them."""
    known: dict[str, object] = {
        "EXPR": expression, "HOST": model.host, "SINCE": utc_text(held.since_wall_ns),
        "HELD_S": f"{held.held_ns / 1e9:.3f}", "SOCKETS": len(held.cookies),
    }  # fmt: skip
    if row is not None:
        known |= {
            "PROC": owner_text(row), "PROTO": proto_text(row),
            "LOCAL": endpoint(row, local=True), "REMOTE": endpoint(row, local=False),
            "NETNS": row.netns_name or row.rec.netns, "CGROUP": row.cgroup,
            "CONTAINER": row.container, "COOKIE": row.cookie, "LEVEL": LEVELS[row.level],
        }  # fmt: skip
        if row.proc.pid:
            known |= {"COMM": row.proc.comm, "PID": row.proc.pid}
        if row.rec.verdicts:
            spec = VERDICTS[Verdict(row.rec.verdict)]
            known |= {
                "WHO": who_text(row), "WHY": why_text(row), "VERDICT": spec.name,
                "VALUE": f"{neat(row.rec.verdict_value):g}", "UNIT": spec.unit,
            }  # fmt: skip
    found = {f"NETTOP_{name}": clean(str(v)) for name, v in known.items() if v is not None}
    # A file is named as it is: the command opens it.
    return {name: found.get(name, "") for name in VARIABLES} | {"NETTOP_FILE": file or ""}
