"""-H with commands that look for a while: each gets every tick of every host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

from nettop import debug
from nettop.ending import ending
from nettop.errors import UsageError, unanswered
from nettop.headless import say
from nettop.hosts.commandline import HostOptions
from nettop.hosts.feed import HostsFeed
from nettop.hosts.opening import check, open_hosts
from nettop.hosts.rows import NoNames
from nettop.options import Options

Environ = Mapping[str, str]


def run(hosts: HostOptions, options: Options, argv: Sequence[str], environ: Environ) -> int:
    """
    Args:
        options: of record; of the others the name of the command.
        argv: without -H and what belongs to it.

    Raises:
        NettopError: in one line.
    """
    ending.raises()
    return COMMANDS[options.command](hosts, options, argv, environ)


def _feed(hosts: HostOptions, poll: Options) -> closing[HostsFeed]:
    return closing(open_hosts(hosts, poll, delay_s=poll.delay_s, screen=False, say=say))


def _record(hosts: HostOptions, options: Options, argv: Sequence[str], environ: Environ) -> int:
    from nettop.commands import record_hosts

    check(hosts, options)
    files = record_hosts.files_of(hosts.names, options)
    with _feed(hosts, options) as feed:
        return record_hosts.run(feed, files, options)


def _why(hosts: HostOptions, options: Options, argv: Sequence[str], environ: Environ) -> int:
    from nettop.commands import why_hosts
    from nettop.commands.why_options import parse_why

    asked = parse_why(argv[1:], environ)
    debug.begin_run(asked.poll.debug, argv)
    check(hosts, asked.poll)
    with unanswered():
        why_hosts.check(asked, len(hosts.names))
        with _feed(hosts, asked.poll) as feed:
            return why_hosts.run(feed, asked)


def _diff(hosts: HostOptions, options: Options, argv: Sequence[str], environ: Environ) -> int:
    from nettop.commands.diff import run_hosts
    from nettop.compare.options import parse_diff_hosts

    if len(hosts.names) != 2:
        raise UsageError(
            f"diff -H compares two hosts, and here are {len(hosts.names)}: nettop diff -H A -H B"
        )
    asked = parse_diff_hosts(argv[1:], environ)
    check(hosts, asked.poll)
    with _feed(hosts, asked.poll) as feed:
        return run_hosts(feed, asked)


def _watch(hosts: HostOptions, options: Options, argv: Sequence[str], environ: Environ) -> int:
    from nettop.query import compile_filter
    from nettop.watch import command
    from nettop.watch import hosts as watch_hosts
    from nettop.watch.options import parse_watch

    asked = parse_watch(argv[1:], environ)
    debug.begin_run(asked.poll.debug, argv)
    check(hosts, asked.poll)
    compiled = compile_filter(asked.poll.whole_filter or "", NoNames(), level_now=True)
    with unanswered():
        watch_hosts.check(asked)
        command.check(asked, compiled)
        with _feed(hosts, asked.poll) as feed:
            return watch_hosts.HostsWatch(feed, asked, compiled).run()


COMMANDS: dict[str, Callable[[HostOptions, Options, Sequence[str], Environ], int]] = {
    "record": _record, "why": _why, "diff": _diff, "watch": _watch,
}  # fmt: skip
