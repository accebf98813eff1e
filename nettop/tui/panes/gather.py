"""What the RX and TX panes show, asked of the feed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nettop.feed import Feed, Grouping
from nettop.model.events import ALL_TYPES, Event, EventMemory, EventType
from nettop.model.types import Group, Histogram, Model, NicStage, PlaneHas, Proto, Stage
from nettop.tui.panes.data import PaneData, Worst, name_of
from nettop.tui.panes.rx import Waits
from nettop.tui.panes.tx import Sends
from nettop.tui.panes.views import Views

GROUP_SOCKETS = 256  # of a group: so many have fine times
MOST_EVENTS = 512  # that are looked at, so that repeats become one line


def waits_of(feed: Feed, model: Model, cookies: Sequence[int] | None) -> Waits | None:
    """RX queue wait of these sockets, None: of what passes the filter; None: plane off."""
    now = feed.rx_wait(cookies, run=False)
    if now is None:
        return None
    run, filtered = feed.rx_wait(cookies, run=True), cookies is None and model.chosen
    why = ""
    if run is None and getattr(feed, "current", None) is not None:  # a snapshot has none at all
        why = "run: not known of the past " + ("under a filter" if filtered else "after ^R")
    return Waits(now, run, filtered, why)


def sends_of(feed: Feed, model: Model, cookies: Sequence[int] | None) -> Sends | None:
    """TX stages of these sockets, None: of every stamped send; None: nothing is selected."""
    now = feed.tx(cookies, run=False)
    if now is None:
        return None
    run = feed.tx(cookies, run=True)
    rows = [row for c in cookies or () if (row := feed.find(c)) is not None]
    planes = [row.plane for row in rows]
    traced = cookies is None or any(p.has & PlaneHas.TX for p in planes)
    if not traced and (run is None or not any(h.dist.count for h in run)):
        return None  # not among the selected, or not yet
    if (
        len(planes) == 1
        and not any(h.dist.count for h in now)
        and any(dist.count for dist in planes[0].tx)
    ):
        # All sockets are sampled: this one has octaves, no fine buckets.
        now = tuple(Histogram(dist, ()) for dist in planes[0].tx)
    apart = 0
    if len(planes) > 1 and not any(h.dist.count for part in (now, run or ()) for h in part):
        apart = sum(p.tx[Stage.TOTAL].count for p in planes)
    nic = model.nic or NicStage()
    return Sends(
        now,
        run,
        open=sum(p.tx_open for p in planes),
        resent=sum(p.tx_resent for p in planes),
        merged=sum(p.tx_incomplete for p in planes),
        apart=apart,
        by_tracepoints=any(p.has & PlaneHas.TX_PATH for p in planes),
        datagrams=bool(rows) and all(row.proto == Proto.UDP for row in rows),
        absent=model.tx_absent,
        nic=nic,
        nic_bar_ns=max((p.tx_nic_bar_ns for p in planes), default=nic.bar_ns),
    )


def group_data(
    feed: Feed,
    model: Model,
    grouping: Grouping,
    group: Group,
    both: Sequence[Group],
    views: Views,
    *,
    most: int,
    selects: bool,
    beside: bool = True,
) -> PaneData:
    """Of a group: its first sockets together; both: those that are compared, A and B; beside: the
    pane of events is shown."""
    cookies = members_of(feed, grouping, group)
    compared = []
    for one in both if len(both) > 1 else ():
        some = members_of(feed, grouping, one)
        compared.append((one, waits_of(feed, model, some), sends_of(feed, model, some)))
    worst = feed.find(group.worst_cookie)
    return PaneData(
        model=model,
        row=None,
        detail=None,
        history=(),
        marked=group,
        group=group.title,
        worst=None
        if worst is None
        else Worst(worst, feed.detail(worst.cookie), feed.seconds_since(worst.rec.verdict_since_s)),
        compared=tuple(compared),
        waits=waits_of(feed, model, cookies),
        sends=sends_of(feed, model, cookies),
        events=events_of(feed, model, cookies, most, views.types(model) if beside else ALL_TYPES),
        events_beside=beside,
        memory=memory_of(feed, cookies),
        cookies=tuple(cookies),
        closed=tuple(feed.closed((), most=64)),
        selects=selects,
        views=views,
    )


def members_of(
    feed: Feed, grouping: Grouping, group: Group, most: int = GROUP_SOCKETS
) -> list[int]:
    """Cookies of a group's first sockets."""
    # Not more than there are: they are looked for until all are found.
    return feed.members(grouping, group.worst_cookie, most=min(most, group.sockets))


def names_of(feed: Feed, model: Model) -> dict[int, str]:
    """What the sockets of a file's events are called, by cookie."""
    names: dict[int, str] = {}
    for event in (model.file_events or ())[:MOST_EVENTS]:
        cookie = event.get("cookie")
        if isinstance(cookie, int) and cookie not in names:
            row = feed.find(cookie)
            names[cookie] = " → ".join(filter(None, name_of(row))) if row is not None else ""
    return names


def memory_of(feed: Feed, cookies: Sequence[int] | None) -> EventMemory | None:
    """What is remembered of these sockets' past."""
    return feed.events_memory(cookies) if cookies else None


def events_of(
    feed: Feed,
    model: Model,
    cookies: Sequence[int] | None,
    most: int = MOST_EVENTS,
    types: Collection[EventType] = ALL_TYPES,
) -> tuple[Event, ...] | None:
    """What happened to these sockets, None: to those that match, newest first; None: the plane is
    off."""
    status = model.source("events")
    if status is None or status.state == "off":
        return None
    return tuple(feed.events(cookies or (), most=most, types=types))
