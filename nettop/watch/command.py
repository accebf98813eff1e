"""nettop watch: ticks until the condition has held, then a file, a command and an exit code."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from nettop import headless
from nettop.commands.record import say
from nettop.errors import EXIT_OK, NettopError, UsageError
from nettop.export.atomic import check_writable
from nettop.export.snapshot import write_snapshot
from nettop.hosts.remote import RemoteFeed
from nettop.model.types import Model, Row
from nettop.poller import LiveFeed
from nettop.query.compile import Filter
from nettop.text import units
from nettop.text.columns import to_ascii
from nettop.watch import report
from nettop.watch.around import Around
from nettop.watch.condition import Hold, Standing
from nettop.watch.options import WatchOptions
from nettop.watch.then import Command

EXIT_NOT_HELD = 1
BEFORE_S, AFTER_S = 60.0, 10.0  # of a recording, around the moment
# Stamping of sends begins with the first walk over all sockets.
STAGES_BEGIN_S = 15.0


def check(options: WatchOptions, compiled: Filter | None) -> None:
    """What can be known to go wrong is said before anything is waited for.

    Raises:
        UsageError: the condition can never hold.
        NettopError: the file cannot be written.
    """
    needed = compiled.planes if compiled is not None else frozenset()
    if options.poll.no_bpf and needed:
        raise UsageError(
            f"the condition needs the plane {', '.join(sorted(needed))}: leave out --no-bpf"
        )
    if "stages" in needed and not options.poll.tx_sample:
        raise UsageError(
            "the condition asks for TX stages, and no sends are stamped: add --tx-sample N"
        )
    if options.poll.output is not None:
        check_writable(options.poll.output)
        if options.records and Path(options.poll.output).exists():
            say_aside(f"{options.poll.output} is there already: the ticks are added to its own")


def say_aside(text: str) -> None:
    """Beside what is done."""
    with suppress(OSError):  # whether there is a reader or not
        say(text)


def print_line(line: str, options: WatchOptions) -> None:
    """What held, on standard output."""
    text = to_ascii(line) if options.poll.ascii else line
    with suppress(NettopError, OSError):  # an alarm is not lost with the reader of its line
        out = headless.standard_output()
        out.write(f"{text}\n".encode("utf-8", "backslashreplace"))
        out.flush()


class Watch:
    """One run of one host."""

    def __init__(
        self, feed: LiveFeed | RemoteFeed, options: WatchOptions, compiled: Filter | None
    ) -> None:
        """compiled: the condition as it is in force."""
        self._feed, self._options = feed, options
        needed = compiled.planes if compiled is not None else frozenset[str]()
        owners = ("procs",) if compiled is not None and compiled.reads_owners else ()
        self._planes = ("diag", *owners, *sorted(needed))
        self._hold = Hold(options.for_s, any_socket=options.any_socket)
        self._warned: set[str] = set()
        self._blind = 0  # ticks with no namespace to look at
        self._unseen: str | None = None  # why the condition could not be seen in the last tick
        self._around = (
            Around(feed, BEFORE_S) if options.records and isinstance(feed, LiveFeed) else None
        )

    def run(self) -> int:
        """
        Raises:
            NettopError: in one line; it cannot be said whether the condition holds.
        """
        pace = headless.Pace(self._options.poll.delay_s)
        within_s = self._options.within_s
        begun: float | None = None
        while True:
            model = pace.tick(self._feed)
            if self._around is not None:
                self._around.take(model)
            if begun is None:
                begun = pace.next_s - self._options.poll.delay_s
            self._look(model, pace.next_s - begun)
            # Rates and verdicts are of an interval: before the first has ended there is none.
            if model.interval_s is not None:
                held = self._hold.take(model, self._feed.matching())
                if held is not None:
                    self._held(model, held, pace)
                    return EXIT_OK
            if within_s is not None and pace.next_s - begun > within_s + 1e-3:
                return self._not_held(model)
            pace.wait(self._feed)

    def _look(self, model: Model, age_s: float) -> None:
        """Whether the condition can be seen at all."""
        headless.check_readable(model, self._feed)
        self._unseen = None
        for name in self._planes:
            status = model.source(name)
            if status is None:
                continue
            if status.state == "off":
                fix = f": {status.fix}" if status.fix else ""
                self._unseen = f"the condition needs {name}, which is off: {status.reason}{fix}"
                if name != "stages" or age_s > STAGES_BEGIN_S:
                    raise NettopError(self._unseen)
            elif name == "diag" and not model.totals.netns:
                # It may come back; if it does not, nothing is seen at the end.
                self._blind += 1
                self._unseen = f"no namespace is left to look at: {status.reason}"
            elif status.state == "partial" and name not in self._warned:
                self._warned.add(name)
                say_aside(f"{name} is partial: {status.reason}")

    def _held(self, model: Model, held: Standing, pace: headless.Pace) -> None:
        row = self._loudest(held)
        print_line(report.sentence(row, held), self._options)
        command: Command | None = None
        try:
            file = self._file(model)
            if self._options.then is not None:
                expression = self._options.poll.filter_text or ""
                values = report.variables(row, held, model, expression, file)
                command = Command(self._options.then, values)
                self._start(command)
            if self._around is not None and file is not None:
                self._go_on(self._around, pace)
                ticks = units.counted(self._around.ticks, "tick")
                say_aside(f"recording: {file} ({ticks}): nettop replay {file}")
            if command is not None and command.started:
                say_aside(f"--then: {command.wait()}")
        finally:
            if command is not None:
                command.end()
            if self._around is not None:
                self._around.close()

    def _go_on(self, around: Around, pace: headless.Pace) -> None:
        end = pace.next_s + AFTER_S
        try:
            around.write_past()
            while pace.next_s <= end:
                pace.wait(self._feed)
                around.take(pace.tick(self._feed))
        except NettopError as error:  # a full disk: what was written is valid
            say_aside(str(error))

    def _start(self, command: Command) -> None:
        try:
            command.start()
        except NettopError as error:
            say_aside(str(error))

    def _loudest(self, held: Standing) -> Row | None:
        """The first of these sockets in the order; the condition is the filter, so it has all."""
        wanted, offset = set(held.cookies), 0
        while rows := self._feed.window(offset, 256):
            for row in rows:
                if row.cookie in wanted:
                    return row
            offset += len(rows)
        return None

    def _file(self, model: Model) -> str | None:
        """The recording, or all sockets of this tick; what cannot be written keeps no command from
        its call."""
        output = self._options.poll.output
        try:
            if self._around is not None:
                assert output is not None
                return str(self._around.begin(output))
            path = write_snapshot(output, self._feed, model, shown=False)
        except NettopError as error:
            say_aside(f"nothing is written: {error}")
            return None
        say_aside(f"snapshot: {path}")
        return str(path)

    # --- the end of --within ---

    def _not_held(self, model: Model) -> int:
        if self._unseen is not None:
            raise NettopError(self._unseen)
        text = self._not_held_text()
        if model.cost.missed_ticks:
            text += f" ({units.counted(model.cost.missed_ticks, 'tick was', 'ticks were')} missed)"
        say_aside(text)
        return EXIT_NOT_HELD

    def _not_held_text(self) -> str:
        hold, longest = self._hold, self._hold.longest
        assert self._options.within_s is not None
        text = "did not hold"
        if self._options.for_s:
            text += f" for {report.seconds(self._options.for_s)}"
        text += f" within {report.seconds(self._options.within_s)}"
        ticks = units.counted(hold.ticks, "tick")
        if longest is None:
            text += f": no socket matched in {ticks}"
        else:
            row = next((r for c in longest.cookies if (r := self._feed.find(c))), None)
            text += (
                f": a socket matched in {hold.matched} of {ticks}, longest for "
                f"{units.time(longest.held_ns)}: {report.who_is_it(row)}"
            )
        if self._blind:
            text += f"; in {units.counted(self._blind, 'tick')} there was no namespace to look at"
        return text
