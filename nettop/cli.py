"""The entry point: reads the command line, opens a feed, chooses a screen or plain output."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec.structs import replace

from nettop import __version__, debug
from nettop.ending import Stopped, ending
from nettop.errors import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    NettopError,
    os_text,
    unanswered,
)

if TYPE_CHECKING:
    from nettop.collect import PollOptions
    from nettop.export.snapshot import RowFeed
    from nettop.hosts.commandline import HostOptions
    from nettop.options import Help, Options
    from nettop.poller import LiveFeed
    from nettop.query.compile import Filter
    from nettop.sources import PlaneOptions
    from nettop.sources.loaded import Planes
    from nettop.tui.app import ScreenOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Runs nettop; returns the exit code."""
    ending.begin()
    try:
        try:
            code = _main(sys.argv[1:] if argv is None else argv)
        finally:
            ending.settle()
        if sys.stdout is not None:
            sys.stdout.flush()
    except Stopped as stopped:
        _drop_output()
        ending.die(stopped.number)
        return EXIT_FAILURE
    except BrokenPipeError:
        return _quiet_pipe()
    except KeyboardInterrupt:
        _drop_output()
        return EXIT_INTERRUPTED
    except NettopError as error:
        debug.failure()
        _complain(str(error), *error.below)
        return error.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "nettop").split(".")[0] == "nettop":
            raise
        _complain(f"the Python package {error.name} is missing: install nettop with pip")
        return EXIT_FAILURE
    except OSError as error:
        debug.failure()
        _drop_output()
        _complain(os_text(error))
        return EXIT_FAILURE
    return code


def _main(argv: Sequence[str]) -> int:
    from nettop import config
    from nettop.hosts.commandline import take_hosts
    from nettop.options import Help, has_terminal, parse_args, user_environ

    environ = user_environ()
    broken: NettopError | None = None
    chosen, argv = config.config_file(argv)
    try:
        config.use(config.load(chosen, environ))
    except NettopError as error:  # help is given nevertheless
        broken = error
    hosts, argv = take_hosts(argv)
    options = parse_args(argv, environ)
    gc.enable()
    if isinstance(options, Help):
        return _help(options)
    if options.command == "completion":
        return _completion(argv[1:])
    if broken is not None:
        raise broken
    debug.begin_run(options.debug, argv)
    if not sys.platform.startswith("linux"):
        raise NettopError(f"runs on Linux only, not on {sys.platform}: it asks Linux's sock_diag")
    if hosts is not None:
        return _hosts(hosts, options, argv, environ)
    if options.command == "doctor":
        return _doctor(options)
    if options.command == "clocks":
        return _clocks(options)
    if options.command == "record":
        return _record(options)
    if _is_replay(options):
        return _replay(options, environ)
    if options.command == "diff":
        return _diff(argv[1:], environ)
    if options.command == "stream":
        return _stream(argv, environ)
    if options.command == "watch":
        return _watch(argv, environ)
    if options.command == "why":
        return _why(argv, environ)
    if options.command == "serve":
        return _serve(argv, environ)
    if options.command == "probe":
        return _probe(argv[1:], environ)
    if options.command == "reflect":
        return _reflect(argv[1:], environ)
    screen = _wants_screen(options) and has_terminal(environ)
    if screen:
        options = on_screen(options)
    # Imports make no garbage, but looking for it costs a tenth of the start.
    gc.disable()
    if not screen:
        ending.raises()
    feed = _open_feed(options, screen=screen)
    if not screen:
        gc.freeze()
        gc.enable()
    try:
        return _run_screen(feed, options) if screen else _run_headless(feed, options)
    finally:
        feed.close()


def _help(asked: Help) -> int:
    from nettop.commands import topics
    from nettop.text.usage import usage

    texts = {
        "version": lambda: f"nettop {__version__}\n",
        "usage": usage,
        "contents": topics.contents,
        "sort": topics.sort_keys,
        "columns": topics.columns,
        "themes": topics.themes,
    }
    _print(texts[asked.topic]() if asked.topic in texts else topics.topic(asked.topic))
    return EXIT_OK


def _completion(words: Sequence[str]) -> int:
    from nettop.commands.completion import parse_completion, text

    _print(text(parse_completion(words)))
    return EXIT_OK


def _print(text: str) -> None:
    from nettop.headless import standard_output

    out = standard_output()
    out.write(text.encode())
    out.flush()


def _doctor(options: Options) -> int:
    from nettop.doctor import run
    from nettop.headless import standard_output

    standard_output()
    return run(
        as_json=options.as_json,
        clear_tx_flags=options.clear_tx_flags,
        verbose=options.verbose,
        require=options.require,
    )


def _diff(words: Sequence[str], environ: Mapping[str, str]) -> int:
    from nettop.commands.diff import run
    from nettop.compare.options import parse_diff

    ending.raises()
    return run(parse_diff(words, environ))


def _probe(words: Sequence[str], environ: Mapping[str, str]) -> int:
    from nettop.options import has_terminal
    from nettop.probe.options import parse_probe

    options = parse_probe(words, environ)
    if not options.as_json and options.count is None and has_terminal(environ):
        from nettop.tui.probe.app import run_probe_app

        return run_probe_app(options)
    from nettop.probe.run import run_probe

    ending.raises()
    return run_probe(options)


def _record(options: Options) -> int:
    from nettop.commands import record

    ending.raises()
    writer = record.writer_of(options)
    feed = None
    try:
        feed = open_live(options, screen=False)
        return record.run(feed, writer, options)
    finally:
        writer.close()
        if feed is not None:
            feed.close()


def _is_replay(options: Options) -> bool:
    if options.command != "open":
        return options.command == "replay"
    from nettop.store.recording import is_recording  # SQLite and more: only where it is needed

    return is_recording(options.file or "")


def _replay(options: Options, environ: Mapping[str, str]) -> int:
    from nettop.options import has_terminal

    if not (_wants_screen(options) and has_terminal(environ)):
        from nettop.commands.replay import run

        ending.raises()
        return run(options)
    from nettop.tui.replay import run_replay

    options = on_screen(options)
    return run_replay(options, screen_options(options), at_end=options.command == "open")


def _watch(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from nettop.watch import command
    from nettop.watch.options import parse_watch

    options = parse_watch(argv[1:], environ)
    debug.begin_run(options.poll.debug, argv)
    ending.raises()
    compiled = compile_options_filter(options.poll)
    with unanswered():
        command.check(options, compiled)
        feed = open_live(options.poll, screen=False)
        try:
            return command.Watch(feed, options, compiled).run()
        finally:
            feed.close()


def _stream(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from nettop.commands import stream
    from nettop.hosts.options import parse_stream

    options = parse_stream(argv[1:], environ)
    stream.check_output()
    debug.begin_run(options.poll.debug, argv)
    ending.raises()
    feed = open_live(options.poll, screen=False)
    try:
        return stream.run(feed, options)
    finally:
        feed.close()


def _why(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    from nettop.commands import why
    from nettop.commands.why_options import parse_why

    options = parse_why(argv[1:], environ)
    debug.begin_run(options.poll.debug, argv)
    ending.raises()
    with unanswered():
        if options.stretch is not None:
            return why.run_file(options)
        return why.run_live(options, lambda: open_live(options.poll, screen=False))


def _serve(argv: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    from nettop.serve.command import run
    from nettop.serve.options import parse_serve

    options = parse_serve(argv[1:], environ)
    debug.begin_run(options.poll.debug, argv)
    ending.raises()
    compile_options_filter(options.poll)  # a mistake in it is said before anything is opened
    run(options, lambda: open_live(options.poll, screen=False))


def _hosts(
    hosts: HostOptions, options: Options, argv: Sequence[str], environ: Mapping[str, str]
) -> int:
    """The live screen, or ticks, of other hosts: nothing of this one is polled."""
    from nettop import manyhosts
    from nettop.headless import say
    from nettop.hosts.opening import check, open_hosts
    from nettop.options import has_terminal

    if options.command in manyhosts.COMMANDS:
        return manyhosts.run(hosts, options, argv, environ)
    check(hosts, options)
    screen = _wants_screen(options) and has_terminal(environ)
    if screen:
        options = on_screen(options)
    delay_s = options.delay_s
    if not screen:
        ending.raises()
        delay_s = headless_interval(options)
    feed = open_hosts(hosts, options, delay_s=delay_s, screen=screen, say=None if screen else say)
    try:
        if screen:
            return _run_screen(feed, options)
        code = _run_headless(feed, options)
        return code if feed.answered else EXIT_FAILURE
    finally:
        feed.close()


def headless_interval(options: Options) -> float:
    """Seconds between the polls of a run without a screen."""
    from nettop.headless import SNAPSHOT_FOR_S, once_intervals

    if options.command == "snapshot":
        seconds = options.observe_s or SNAPSHOT_FOR_S
        return seconds / max(1, round(seconds))
    if options.once and options.delay_given:
        return options.delay_s / once_intervals(options.delay_s)
    return options.delay_s


def _reflect(words: Sequence[str], environ: Mapping[str, str]) -> int:
    from nettop.probe.options import parse_reflect
    from nettop.probe.run import run_reflect

    options = parse_reflect(words, environ)
    ending.raises()
    return run_reflect(options)


def _clocks(options: Options) -> int:
    from nettop.clocks.command import run
    from nettop.headless import standard_output

    standard_output()
    ending.raises()
    return run(
        options.names,
        observe_s=options.observe_s,
        as_json=options.as_json,
        ascii_only=options.ascii,
    )


def _wants_screen(options: Options) -> bool:
    if options.command == "snapshot" or options.format is not None or options.batch:
        return False
    return not options.once


def _open_feed(options: Options, *, screen: bool) -> RowFeed:
    if options.command == "open":
        from nettop.export.load import load_snapshot
        from nettop.filefeed import FileFeed

        assert options.file is not None
        _wait_no_more_for_users(screen=screen)
        feed = FileFeed(load_snapshot(options.file))
        if options.sort.field is not None:
            from nettop.feed import Sort

            feed.set_sort(Sort(options.sort.field, options.sort.descending))
        return feed
    return open_live(options, screen=screen)


def open_live(options: Options, *, screen: bool) -> LiveFeed:
    """The live feed, with all privileges given up that it no longer needs.

    Raises:
        UsageError: a mistake in the filter; raised before anything is opened.
    """
    compile_options_filter(options)
    _wait_no_more_for_users(screen=screen)
    planes = _load_planes(plane_options(options, screen=screen), screen=screen)
    from nettop.poller import LiveFeed
    from nettop.privilege import drop

    live = LiveFeed(poll_options(options, screen=screen), planes)
    try:
        drop(keep_netns=bool(options.netns), elsewhere=ending.call)
        if screen:
            # It may set flags on sockets, so that from here on there is something to undo.
            ending.raises()
            live.look()
    except BaseException:
        live.close()
        raise
    return live


def _wait_no_more_for_users(*, screen: bool) -> None:
    """From now on names of a directory service are shown once they have arrived.

    Output that is written once waits a moment for them.
    """
    from nettop.users import USERS

    USERS.patience_s = 0.0 if screen else 0.1


def _load_planes(options: PlaneOptions, *, screen: bool) -> Planes:
    """Loads the BPF planes, beside the import of the screen, which takes as long."""
    from nettop.sources.loaded import Planes

    if not screen or not options.bpf:
        return Planes(options)
    from concurrent.futures import ThreadPoolExecutor
    from importlib import import_module

    with ThreadPoolExecutor(max_workers=1) as pool:
        loading = pool.submit(Planes, options)
        import_module("nettop.poller")
        import_module("nettop.tui.app")
    return loading.result()


def _one_tick(options: Options) -> bool:
    """Without a screen: no interval is waited for."""
    if options.command == "snapshot" or options.delay_given:
        return False
    return options.once or not (options.batch or options.format)


def poll_options(options: Options, *, screen: bool = False) -> PollOptions:
    """The poller's options; both or neither of -t and -u mean both."""
    compiled = compile_options_filter(options)
    if compiled is not None and compiled.words and not screen:
        from nettop.headless import note_words

        note_words(compiled)
    from nettop.collect import PollOptions

    delay = headless_interval(options) if options.command == "snapshot" else options.delay_s
    return PollOptions(
        delay_s=delay,
        family=options.family,
        tcp=options.tcp or not options.udp,
        udp=options.udp or not options.tcp,
        listen_only=options.listen_only,
        rows_all=options.rows_all,
        netns=options.netns,
        filter=compiled,
        sort_field=options.sort.field,
        sort_descending=options.sort.descending,
        planes=plane_options(options, screen=screen),
        lookback_s=options.lookback_s if screen else 0.0,
        all_details=options.once or options.batch or options.format is not None,
    )


def plane_options(options: Options, *, screen: bool) -> PlaneOptions:
    from nettop.sources import PlaneOptions

    return PlaneOptions(
        bpf=not options.no_bpf,
        observes=screen or not _one_tick(options),
        bpf_budget_pct=options.bpf_budget_pct,
        tx_sample=options.tx_sample,
        rx_method=options.rx_method,
        path=options.path,
    )


def compile_options_filter(options: Options) -> Filter | None:
    """FILTER and -p and -U as one filter, or None.

    Raises:
        UsageError: with the filter and a caret under the column where it went wrong.
    """
    if options.whole_filter is None:
        return None
    from nettop.query import FilterError, compile_filter

    try:
        # What the user wrote goes first and alone, so that the caret stands where it should.
        level_now = options.command == "watch"
        own = compile_filter(options.filter_text or "", level_now=level_now)
        if options.whole_filter == options.filter_text:
            return own
        rest = replace(options, filter_text=None) if own is None else options
        return compile_filter(rest.whole_filter or "", level_now=level_now)
    except FilterError as error:
        raise error.with_caret() from error


def _run_headless(feed: RowFeed, options: Options) -> int:
    from nettop import headless

    if options.command == "snapshot":
        return headless.run_snapshot(feed, options)
    return headless.run(feed, options)


def _run_screen(feed: RowFeed, options: Options) -> int:
    from nettop.tui.app import run_app

    return run_app(feed, screen_options(options))


def on_screen(options: Options) -> Options:
    """With what the configuration says of the screen, where the command line says nothing."""
    from nettop import config

    wanted = config.in_force()
    screen = {k: v for k, v in wanted.screen.items() if k not in options.given}
    live = options.command == "live"
    changes: dict[str, Any] = {k: screen[k] for k in ("sort", "theme") if k in screen}
    if screen.get("mouse") is False and options.mouse is None:
        changes["mouse"] = False
    if screen.get("readonly"):
        changes["readonly"] = True
    if live and "delay" in screen:
        changes["delay_s"] = screen["delay"]
    if live and "lookback" in screen:
        changes["lookback_s"] = screen["lookback"]
    if options.filter_text is None and wanted.screen.get("filter"):
        changes["filter_text"] = wanted.screen["filter"]
    return replace(
        options, columns_at=wanted.columns_at, group=screen.get("group", "none"),
        keys=tuple(wanted.keys.items()), **changes,
    )  # fmt: skip


def screen_options(options: Options) -> ScreenOptions:
    """What the command line says about the screen."""
    from nettop.feed import Grouping
    from nettop.tui.app import ScreenOptions

    return ScreenOptions(
        delay_s=options.delay_s,
        iterations=options.iterations,
        filter_text=options.filter_text,
        fixed_filter=options.fixed_filter,
        sort_field=options.sort.field,
        sort_descending=options.sort.descending,
        columns=options.columns,
        columns_at=options.columns_at,
        grouping=Grouping[options.group.upper()],
        ascii=options.ascii,
        color=options.color,
        mouse=options.mouse,
        theme=options.theme,
        readonly=options.readonly,
        keys=dict(options.keys),
    )


def _quiet_pipe() -> int:
    _drop_output()
    return EXIT_OK


def _drop_output() -> None:
    """Lets the interpreter's last flush of standard output go nowhere."""
    if sys.stdout is None:
        return
    try:
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError):
        pass  # the flush then fails as it did before, and the process ends all the same


def _complain(text: str, *below: str) -> None:
    from nettop.text.clean import clean

    if sys.stderr is None:
        return
    lines = [f"nettop: {clean(text)}", *map(clean, below)]
    try:
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
    except (OSError, UnicodeError):
        pass  # standard error is gone too; the exit code remains
