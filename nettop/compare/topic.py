"""`nettop help comparing`: what diff compares, and from when on a change counts."""

from __future__ import annotations

from nettop.compare.numbers import NUMBERS, Number
from nettop.compare.verdict import FAMILY
from nettop.model.types import Stage
from nettop.text import units
from nettop.text.fields import Kind

_HEAD = """\
nettop diff A B compares two snapshots (.json), or recordings, in whole or a stretch of them:

  nettop diff before.json after.json
  nettop diff rec.nettop@14:00..14:10 rec.nettop@14:20..14:30
  nettop diff old.nettop new.nettop@-10m.. --by remote 'comm = nginx'
  nettop diff rec.nettop@-1h rec.nettop@-5m --fail 'rxwait.p99 > 2x and > 1ms'

FILE@FROM..TO takes the times of replay; FILE@FROM.. goes to the end, FILE@..TO begins with the
file, FILE@TIME is 30 s before and after. A file of just that name is taken as it is.

Groups are compared, because sockets of two moments share no identity: by process and port of the
service (nginx :443; psql → :5432 is a client of it), remote or local address, cgroup, netns, or
all together. A group that one side lacks is named, not judged. `all sockets` has what sockets that
closed meanwhile counted too.

VERDICTS
worse, better  the change, with all of its error, exceeds the floor and the ratio below
same           it does not, and the error leaves no room for a large one
cannot tell    the error has room for both; n is what the number is made of on the smaller side

Errors are those of percentiles by order statistics, of counters by Poisson, of means by Student.
Deliveries of one second, or of one socket, have much in common: the error grows by as much as
ticks, pairs and fours of ticks, and sockets differ more than chance would have it. A snapshot is
one interval, which shows nothing of that, and percentiles of its groups are known roughly:
recordings show more. A single interval cannot show how much the next one would differ.

"""
_FAMILY = """\
However many groups and numbers there are, the chance that any of them is called worse although
nothing changed is at most {pct:g} %: each bound has that, divided by the number of comparisons
(Bonferroni). That holds as far as the stretches show how much the load varies. What differs
between the two for another reason, such as a neighbour's load, is a change as any other.

"""
_FAIL = """
--fail EXPR
NUMBER > 2x    B is more than twice A           NUMBER > 1ms   B is more than that
NUMBER > +0.5  B is more than A by that         NUMBER < -1ms  ... less by that
joined by and, or, ( ); a comparison without a number is of the one before it. Units are those of
filters. It fails where it holds in any group with all of its error.

EXIT CODES
0  no --fail holds; without --fail: no number is worse
1  a --fail holds; without --fail: a number is worse
2  wrong command line, or a file that cannot be read
3  cannot tell: a --fail seems to hold, within the error, or no group has enough for it;
   without --fail: no number at all could be judged
"""


def comparing() -> str:
    """The text, with the table of numbers."""
    stages = ", ".join(stage.name.lower() for stage in Stage)
    rows = ["NUMBER        FLOOR   RATIO\n"]
    rows += [_row(number) for number in NUMBERS.values() if not number.id.startswith("tx.")]
    rows.append(f"tx.STAGE.*    as rxwait.*; STAGE is {stages}\n")
    family = _FAMILY.format(pct=100 * FAMILY)
    return _HEAD + family + "".join(rows) + _FAIL


def _row(number: Number) -> str:
    if not number.worse:
        return f"{number.id:<14}--fail only     {number.help}\n"
    floor = units.time(number.floor) if number.kind is Kind.TIME else f"{number.floor:g}"
    return f"{number.id:<14}{floor:<8}{number.ratio:<8g}{number.help}\n"
