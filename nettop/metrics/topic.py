"""What `nettop help metrics` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from nettop.metrics import names
from nettop.metrics.names import Metric

WIDTH = 100
_HEAD = """\
`nettop serve` answers GET /metrics: OpenMetrics 1.0 or protobuf to who asks for it, else the text
format 0.0.4; with gzip where it is taken. What is answered is the last tick (-d, 1 s), however
often it is read.

Groups. Every socket is of one group, named by labels that --by chooses:
  process     process     name of the program, never a pid; (kernel), (orphan) … where there is none
  service     role, port  server or client, and the port of the service; both empty where neither
                          end is known to listen and both ports are such as clients are given
  peer        peer        the narrowest network of [peers] in config.toml, else its /24 or /56
  container   container   name of the container or service, else the cgroup
  netns       netns       network namespace (with -N)
At most --top groups have series of their own. While there are more, those that moved most bytes in
the last minutes stay, a group with unwell sockets before all others; another takes a place when it
moved twice as much, and not in the first 60 s of who had it. The others are counted together: each
label is then `other`. Their series begin with 0 where they get some, and end --expire after their
last socket. No scrape has more than --series-max series: beyond it groups are folded, which
nettop_groups_folded counts, and get series again when there has been room for a minute.

Counters of groups count what happened since nettop serve began, and never fall while a group has
its series: what a connection did after the last tick is added from the record of its end, and so
are connections that no tick saw (root; without the events that is lost). A restart is a reset, as
Prometheus expects. With a FILTER sockets count while they match.

Times are in buckets by octaves of nanoseconds, with exact bounds: a bucket counts what is shorter
than its `le`. Protobuf, which Prometheus asks for where its native histograms are enabled, has the
round-trip times as a native histogram beside (8 buckets to an octave, from each socket's own
number). The RX queue wait has none: octaves of nanoseconds lie across the buckets of seconds. The
dashboard and the rules read the classic buckets, which such a Prometheus keeps with
scrape_classic_histograms (always_scrape_classic_histograms from 3.0).

Where a source is off its metrics are missing, and nettop_source_up is 0.
"""


def topic() -> str:
    parts = [_HEAD]
    for title, some in (
        ("Of groups of sockets", names.OF_GROUPS),
        ("Of the host", names.OF_HOST),
        ("Of nettop itself", names.OF_NETTOP),
    ):
        parts.append(f"{title}\n" + "".join(_lines(some)))
    return "\n".join(parts)


def _lines(some: Iterable[Metric]) -> Iterable[str]:
    for metric in some:
        labels = f"{{{', '.join(metric.labels)}}}" if metric.labels else ""
        yield f"  {metric.full_name}{labels}\n"
        text = f"{metric.kind}. {metric.help}."
        indent = " " * 6
        yield textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent) + "\n"
