"""nettop record: what the kernel says, tick by tick, into one file."""

from __future__ import annotations

import os
import re
import sys
import time

from nettop import __version__, headless
from nettop.errors import EXIT_OK
from nettop.export.formats import Format
from nettop.export.snapshot import write_tick
from nettop.options import Options
from nettop.poller import LiveFeed
from nettop.store.recording import RecordingWriter
from nettop.store.retention import Limits
from nettop.store.tables import TickTables
from nettop.text import units
from nettop.text.clean import clean

SUFFIX = ".nettop"


def writer_of(options: Options) -> RecordingWriter:
    """The file, opened before the planes are loaded: what is wrong with it is said at once."""
    uname = os.uname()
    target = options.output or default_name(uname.nodename)
    about = {"host": uname.nodename, "kernel": uname.release, "nettop": __version__}
    about["filter"] = options.whole_filter or ""
    return RecordingWriter(target, about, Limits(options.keep_s, options.max_bytes))


def default_name(host: str) -> str:
    """nettop-HOST-YYYYMMDD-HHMMSS.nettop"""
    return f"nettop-{safe_name(host)}-{time.strftime('%Y%m%d-%H%M%S')}{SUFFIX}"


def safe_name(host: str) -> str:
    """As a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", host)[:64] or "host"


def run(feed: LiveFeed, writer: RecordingWriter, options: Options) -> int:
    """Polls and records until the time is over or a signal comes.

    Raises:
        NettopError: in one line, when the file cannot be written any further; it is valid then.
    """
    say(f"recording to {writer.path}")
    out = headless.standard_output() if options.format is Format.NDJSON else None
    ticks = 0
    began = time.monotonic()
    pace = headless.Pace(options.delay_s)
    tables = TickTables()
    feed.record(True)
    try:
        while True:
            model = pace.tick(feed)
            sample = feed.sample(model, whole=writer.wants_whole(model.mono_ns))
            writer.add(sample, tables.take(model, feed))
            ticks += 1
            if out is not None:
                write_tick(out.write, feed, model, Format.NDJSON, filter_text=options.whole_filter)
                out.flush()
            if ticks == options.iterations:
                return EXIT_OK
            if options.for_s is not None and pace.next_s - began > options.for_s:
                return EXIT_OK
            pace.wait(feed)
    finally:
        writer.close()  # before it is said to be done
        size = units.size(writer.path.stat().st_size)
        say(f"{units.counted(ticks, 'tick')}, {size}: nettop replay {writer.path}")


def say(text: str) -> None:
    """To the user, beside what is written."""
    if sys.stderr is not None:
        sys.stderr.write(f"nettop: {clean(text)}\n")
        sys.stderr.flush()
