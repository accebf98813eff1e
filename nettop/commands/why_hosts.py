"""nettop why -H: each host is looked at with its own eyes and gets a report of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence

from nettop.commands.why import (
    EXIT_FINDINGS,
    Progress,
    StampChoice,
    check_target,
    terminal_width,
    write_text,
)
from nettop.commands.why_options import WhyOptions
from nettop.errors import EXIT_NOT_KNOWN, EXIT_OK, NettopError, UsageError
from nettop.findings.look import Look
from nettop.findings.values import HostReport
from nettop.hosts.feed import HostsFeed, HostTick
from nettop.hosts.follow import silence, wait_for_looks


class _HostLook:
    """The look at one host, by its own clock."""

    def __init__(self, options: WhyOptions) -> None:
        self.look = Look(filter_text=options.poll.whole_filter)
        self._for_ns = round((options.for_s - options.poll.delay_s / 2) * 1e9)
        self._choice = StampChoice(self.look, options)
        self._since_ns = 0
        self.whole = False

    def take(self, tick: HostTick, feed: HostsFeed) -> bool:
        """Returns whether it was all."""
        model = tick.model
        self._since_ns = self._since_ns or model.mono_ns
        self.look.take(model, tick.feed)
        self._choice.after(model, lambda cookies: feed.select_tx_of(tick.place, cookies))
        self.whole = model.mono_ns - self._since_ns >= self._for_ns
        return self.whole


def check(options: WhyOptions, hosts: int) -> None:
    """
    Raises:
        UsageError: this cannot be said of these hosts.
        NettopError: the file cannot be written.
    """
    if options.stretch is not None:
        raise UsageError(f"{options.stretch.file} is a file, and -H names hosts: leave one out")
    if options.kind == "html" and hosts > 1:
        raise UsageError(f"-o {options.output}: a page is of one host: name one with -H, or write "
                         ".txt or .json")  # fmt: skip
    check_target(options)


def run(feed: HostsFeed, options: WhyOptions) -> int:
    """
    Raises:
        NettopError: in one line; no host has answered.
    """
    reports = look_at(feed, options)
    write_text(_written(reports, options), options)
    if any(r.report and r.report.findings for r in reports):
        return EXIT_FINDINGS
    # Silence of a host is not health.
    return EXIT_NOT_KNOWN if any(r.report is None or r.reason for r in reports) else EXIT_OK


def look_at(feed: HostsFeed, options: WhyOptions) -> list[HostReport]:
    looks = [_HostLook(options) for _ in feed.hosts()]
    progress = Progress(f"looking for {options.for_s:g} s")
    began = time.monotonic()
    try:
        states = wait_for_looks(
            feed, lambda tick: looks[tick.place].take(tick, feed), for_s=options.for_s,
            meanwhile=lambda: progress.show(min(1.0, (time.monotonic() - began) / options.for_s)),
        )  # fmt: skip
    finally:
        progress.clear()
    return [
        HostReport(
            state.name,
            one.look.report() if one.look.ticks else None,
            "" if one.whole else state.reason or feed.last_loss(place) or silence(one.look.ticks),
        )
        for place, (state, one) in enumerate(zip(states, looks, strict=True))
    ]


def _written(reports: Sequence[HostReport], options: WhyOptions) -> str:
    if options.kind == "html":
        from nettop.findings.page import page

        if reports[0].report is None:
            raise NettopError(f"{reports[0].name}: {reports[0].reason}")
        return page(reports[0].report)
    if options.kind == "json":
        from nettop.findings.objects import hosts_json_text

        return hosts_json_text(reports)
    from nettop.findings.plain import text_of_hosts

    return text_of_hosts(reports, width=terminal_width(), ascii_only=options.poll.ascii)
