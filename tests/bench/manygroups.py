"""The groups of many hosts on the screen: CPU of one tick of their table.

    python -m tests.bench.manygroups

Neither root nor a network: HOSTS engines of PEERS sockets, each of a remote address of its own.
"""

from __future__ import annotations

import time
from statistics import median

from nettop.feed import Grouping
from nettop.groups import Groups
from nettop.hosts import merge
from nettop.hosts.groups import HostGroups, Part
from nettop.model.types import Proto
from nettop.tui.glyphs import UTF8
from nettop.tui.group_lines import median_line, notes, ordered
from tests.fakes import FakeFeed
from tests.feeding import FedEngine
from tests.netlink import connection, done

HOSTS, PEERS, TICKS, WIDTH = 2, 9250, 15, 160
NETNS = 4026531833
BY = Grouping.REMOTE


def engine(number: int) -> FedEngine:
    made = FedEngine()
    sockets = [
        connection(i + 1, dst=f"10.{number}.{i // 250}.{i % 250}", rtt=1000 + i * 7 % 9000)
        for i in range(PEERS)
    ]
    for at_s in (10, 11):
        made.feed_begin(at_s * 10**9)
        made.feed(NETNS, Proto.TCP, b"".join(sockets) + done())
        made.feed_end(at_s * 10**9)
    made.order(None, True, 100, False)
    return made


def tick(engines: list[FedEngine]) -> dict[str, float]:
    """Milliseconds of CPU by what they are spent on, as GroupTable does it."""
    names, took_ms = FakeFeed().names, {}
    began = time.process_time()

    def took(what: str) -> None:
        nonlocal began
        before, began = began, time.process_time()
        took_ms[what] = (began - before) * 1e3

    parts = [
        Part(f"web-{place}", place, Groups(one.groups(int(BY)), BY, names))
        for place, one in enumerate(engines)
    ]
    took("summed by the engines")
    groups = HostGroups(parts, merge.host_group)
    took("one list")
    shown, by = ordered(groups, BY)
    took("ordered and compared")
    shown.at_key(shown.key_of(len(shown) // 2))  # type: ignore[attr-defined]
    took("the cursor's group found")
    median_line(shown, BY, WIDTH, UTF8)
    took("medians")
    notes(shown, by, BY, WIDTH, {})
    took("notes")
    return took_ms


def main() -> None:
    engines = [engine(number) for number in range(HOSTS)]
    ticks = [tick(engines) for _ in range(TICKS)]
    print(f"{HOSTS * PEERS} groups of {HOSTS} hosts, {WIDTH} cells wide; median of {TICKS} ticks")
    for what in ticks[0]:
        print(f"  {what:28} {median(one[what] for one in ticks):7.1f} ms")
    print(f"  {'all':28} {median(sum(one.values()) for one in ticks):7.1f} ms")


if __name__ == "__main__":
    main()
