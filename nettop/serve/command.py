"""nettop serve: polls, adds up, and lets scrapers read the last tick."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable
from typing import NoReturn

from nettop import config, headless, privilege
from nettop.commands.record import say
from nettop.errors import NettopError
from nettop.metrics.exporter import Exporter
from nettop.metrics.labels import Labeller, PeerTable
from nettop.poller import LiveFeed
from nettop.serve.answers import Answers
from nettop.serve.options import ServeOptions
from nettop.serve.server import Server

# Objects that a tick of 50,000 sockets makes and the next one lets go: none of them is garbage yet.
MADE_BY_A_TICK = 200_000
COLLECT_NS = 60 * 10**9  # so often what few cycles a tick leaves are let go all the same


def run(options: ServeOptions, open_feed: Callable[[], LiveFeed]) -> NoReturn:
    """Until a signal.

    Args:
        open_feed: with all privileges given up that are not needed any more.

    Raises:
        NettopError: in one line.
    """
    gc.set_threshold(MADE_BY_A_TICK, 20, 20)
    answers = Answers()
    server = _listen(options, answers)
    try:
        feed = open_feed()
        try:
            labeller = Labeller(options.by, feed.row_names, PeerTable(config.in_force().peers))
            exporter = Exporter(
                labeller, series_max=options.series_max, top=options.top,
                expire_s=options.expire_s, whole=options.whole,
            )  # fmt: skip
            answers.begin(exporter, server)
            server.start(privilege.drop_all)
            _say_where(server, options)
            _poll(feed, exporter, server, options)
        finally:
            feed.close()
    finally:
        server.close()


def _poll(feed: LiveFeed, exporter: Exporter, server: Server, options: ServeOptions) -> NoReturn:
    pace = headless.Pace(options.poll.delay_s)
    collected_ns = 0
    while True:
        model = pace.tick(feed)
        headless.check_readable(model, feed)
        if model.seq == 1:
            headless.warn(model, options.poll, feed)
        exporter.take(model, feed)
        if model.mono_ns - collected_ns >= COLLECT_NS:
            gc.collect(0)
            collected_ns = model.mono_ns
        if server.failure is not None:
            raise NettopError(f"the server ended: {server.failure!r}") from server.failure
        pace.wait(feed)


def _listen(options: ServeOptions, answers: Answers) -> Server:
    host, port = options.address
    try:
        return Server(options.address, answers)
    except OSError as error:
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        hint = {
            errno.EADDRINUSE: ": another program listens there; name another port: "
            "nettop serve :PORT",
            errno.EADDRNOTAVAIL: ": no address of this host",
            errno.EACCES: ": ports below 1024 need root",
        }.get(error.errno or 0, "")
        # Of a scope that is no device here the errno is one of getaddrinfo's own; to others Python
        # adds what it was about to do.
        why = (error.strerror or os.strerror(error.errno or 0)).partition(" (while")[0]
        raise NettopError(f"{shown}: {why}{hint}") from error


def _say_where(server: Server, options: ServeOptions) -> None:
    host, port = server.address
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    say(f"metrics at http://{shown}/metrics")
    if not server.loopback:
        say(
            "whoever reaches this address reads names of programs and networks: there is no "
            "password; nettop serve --help says how to put it behind a proxy"
        )
