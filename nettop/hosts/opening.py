"""From the command line to the feed of many hosts."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from nettop.errors import UsageError
from nettop.feed import Sort
from nettop.hosts.commandline import HostOptions, stream_words
from nettop.hosts.feed import HostsFeed
from nettop.hosts.rows import NoNames
from nettop.options import Options
from nettop.query import FilterError, compile_filter

COMMANDS = ("live", "snapshot", "record", "watch", "why", "diff")
SCREEN_TOP = 500  # rows of a host that are sent to a screen, unless --top says more


def check(hosts: HostOptions, options: Options) -> None:
    """
    Raises:
        UsageError: the command takes no -H, or its filter is broken.
    """
    if options.command not in COMMANDS:
        raise UsageError(f"nettop {options.command} takes no -H: it looks at this host alone")
    stream_words(options)
    try:
        compile_filter(options.filter_text or "", NoNames())
    except FilterError as error:
        raise error.with_caret() from error


def open_hosts(
    hosts: HostOptions,
    options: Options,
    *,
    delay_s: float,
    screen: bool,
    say: Callable[[str], None] | None = None,
) -> HostsFeed:
    """
    Args:
        delay_s: the interval there.
        screen: fewer rows are sent, and lost hosts are tried again.
        say: lines about hosts that do not answer.
    """
    words = stream_words(replace(options, delay_s=delay_s))
    top = hosts.top if hosts.top is not None or not screen else SCREEN_TOP
    return HostsFeed(
        {name: hosts.argv(name, words) for name in hosts.names},
        delay_s=delay_s,
        filter_text=options.whole_filter,
        sort=Sort(options.sort.field, options.sort.descending),
        top=top,
        level_now=options.command == "watch",
        retries=screen or not options.once,
        lookback_s=options.lookback_s if screen else 0.0,
        say=say,
    )
