"""The link to one host: starts the stream there, reads it, and tries again where it ends."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from nettop import __version__, debug
from nettop.errors import NettopError
from nettop.hosts.child import Child
from nettop.hosts.clock import HostClock
from nettop.hosts.wire import Hello, StreamError, StreamReader, checked_clock
from nettop.model.hosts import ASKED, LIVE, LOST, SILENT, HostState
from nettop.sample import Sample
from nettop.store.frames import FrameReader
from nettop.text.clean import clean

ANSWER_S = 30.0  # until the hello: a login over a slow line, a start where no CPU is free
SILENT_S = 5.0  # or three intervals, if that is longer
GIVE_UP_S = 60.0  # a host that says nothing, or sends no tick, for so long is tried anew
MOST_NOTES = 100  # in a second: all answers that one that stood still may owe are fewer
# What a frame may unpack to: what a host says of itself, and of each row that is sent.
HOST_BYTES, ROW_BYTES = 32 << 20, 1 << 10
ALL_ROWS_BYTES = 128 << 20  # 200,000 sockets
PING_EVERY_S = 2.0
FIRST_PINGS, FIRST_PING_EVERY_S = 8, 0.25  # while it starts the answers take longer
MOST_REASON = 300  # characters of it that are kept
LEAST_PAUSE_S, MOST_PAUSE_S = 1.0, 60.0
STEADY_S = 30.0  # a link that held so long begins with the shortest pause again
RATE_OVER_S = 10.0
MOST_STDERR_BYTES = 4 << 10
_READ_BYTES = 1 << 18
_NO_PROGRAM = (126, 127)
# What leads into a container, and into a namespace where this host's programs run.
_CONTAINERS = frozenset(
    {"docker", "podman", "nerdctl", "kubectl", "oc", "crictl", "lxc", "incus", "machinectl"}
)
_NAMESPACES = frozenset({"ip", "nsenter"})


class Link:
    """A thread of its own, so that no host holds up another."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        settings: dict[str, Any],
        delay_s: float,
        on_sample: Callable[[Sample, bytes], None],
        on_change: Callable[[], None],
    ) -> None:
        """
        Args:
            name: of the host, as -H names it.
            argv: starts the stream there.
            settings: what is set there first.
            delay_s: its interval.
            on_sample: called with each, which is valid until it returns, and with its frame;
                NettopError: the stream is damaged.
            on_change: called when its state changed.
        """
        self.name, self._argv = name, argv
        self.settings, self.delay_s = dict(settings), delay_s
        self._on_sample, self._on_change = on_sample, on_change
        self.tries, self.started = 0, False
        self._state, self._reason = ASKED, ""
        self.last_loss = ""  # why its stream ended last; "": it never did
        self._again_at: float | None = None
        self._hello: Hello | None = None
        self._clock = HostClock()
        self._came: deque[tuple[float, int]] = deque()
        self._newest_ns: int | None = None  # CLOCK_REALTIME there of its newest tick
        self._skipped = 0
        self._unsent: dict[str, Any] | None = None
        self._whole_asked = False
        self._pings: dict[int, int] = {}
        self._heard = self._ticked = self._notes_since = 0.0
        self._notes = 0  # since then
        self._child: Child | None = None
        self._wake = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"nettop-host {name}", daemon=True)

    def start(self) -> None:
        self.started = True
        self._thread.start()

    def end(self) -> None:
        """Asks it to end; join() waits."""
        with self._wake:
            self._ended = True
            self._wake.notify()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)
        child = self._child
        if self._thread.is_alive() and child is not None:
            child.kill()

    def set(self, **settings: Any) -> None:
        """Changes the filter, sort or top there; it follows with one of its next ticks."""
        with self._wake:
            self.settings |= settings
            self._unsent = dict(self.settings)

    def ask_whole(self) -> None:
        """One of its next ticks is to be whole. A nettop there that knows no such line goes on as
        before: each minute one is."""
        with self._wake:
            self._whole_asked = True

    @property
    def state_name(self) -> str:
        return self._state

    @property
    def live(self) -> bool:
        return self._state == LIVE

    @property
    def settled(self) -> bool:
        """It has sent a tick, or it cannot."""
        return self._state == LIVE or self.tries > 0

    @property
    def state(self) -> HostState:
        now, now_ns = time.monotonic(), time.time_ns()
        offset = self._clock.offset(now_ns) if self._hello is not None else None
        again_at, hello, newest_ns = self._again_at, self._hello, self._newest_ns
        lag_s = None
        if offset is not None and newest_ns is not None:
            lag_s = (now_ns + offset.offset_ns - newest_ns) / 1e9
        return HostState(
            self.name,
            self._state,
            self._reason or None,
            max(0.0, again_at - now) if again_at is not None else None,
            own_name=clean(hello.host) if hello else None,
            nettop=clean(hello.nettop) if hello else None,
            kernel=clean(hello.kernel) if hello else None,
            clock_offset_ns=offset.offset_ns if offset else None,
            clock_bar_ns=offset.bar_ns if offset else None,
            bytes_per_s=self._rate(now),
            lag_s=lag_s,
            skipped_ticks=self._skipped,
            top=self.settings.get("top"),
        )

    def _rate(self, now: float) -> float | None:
        came = list(self._came)
        if self._hello is None or len(came) < 2:
            return None
        # From the first read on: what came with it came before.
        seconds = min(RATE_OVER_S, now - came[0][0])
        return (
            sum(n for at, n in came[1:] if now - at <= RATE_OVER_S) / seconds if seconds else None
        )

    # --- the thread ---

    def _run(self) -> None:
        pause_s = LEAST_PAUSE_S
        while not self._ended:
            began = time.monotonic()
            try:
                reason = self._once()
            except NettopError as error:
                reason = str(error)
            except Exception as error:  # one host's fault must not be the end of all
                debug.failure()
                reason = f"{type(error).__name__}: {error}"
            if self._ended:
                return
            if time.monotonic() - began > STEADY_S:
                pause_s = LEAST_PAUSE_S
            self.tries += 1
            self._again_at = time.monotonic() + pause_s
            self._change(LOST, reason)
            self.last_loss = self._reason
            with self._wake:
                self._wake.wait_for(lambda: self._ended, pause_s)
            pause_s = min(pause_s * 2, MOST_PAUSE_S)

    def _change(self, state: str, reason: str = "") -> None:
        reason = clean(reason)
        # It may be the other host's own words, of any length.
        reason = reason if len(reason) <= MOST_REASON else f"{reason[:MOST_REASON]}…"
        changed = (state, reason) != (self._state, self._reason)
        self._state, self._reason = state, reason
        if changed:
            debug.note(f"host {self.name}", f"{state} {reason}")
            self._on_change()

    def _once(self) -> str:
        """One run of the stream; why it ended."""
        self._hello, self._newest_ns, self._skipped = None, None, 0
        self._clock, self._pings, self._notes = HostClock(), {}, 0
        self._came.clear()
        child = self._child = Child(self._argv)
        said = b""
        fault = ""
        code: int | None = None
        try:
            self._unsent = dict(self.settings)
            said, fault = self._read(child)
        finally:
            greeted = self._hello is not None
            code = child.close()
            self._child = None
        return fault or self._why(code, said, greeted)

    def _read(self, child: Child) -> tuple[bytes, str]:
        """Its last words on standard error, and what was wrong with the stream."""
        reader = StreamReader(__version__)
        frames = FrameReader(in_place=True, most_bytes=self._most_bytes())
        said = b""
        poll = select.poll()
        for fd in (child.stdout, child.stderr):
            poll.register(fd, select.POLLIN)
        self._heard = self._ticked = time.monotonic()
        ping_at = 0.0
        number = 0
        while not self._ended:
            self._send_settings(child)
            now = time.monotonic()
            if reader.greeted and now >= ping_at:
                number += 1
                ping_at = now + (FIRST_PING_EVERY_S if number < FIRST_PINGS else PING_EVERY_S)
                self._ping(child, number)
            if self.settings.get("paused"):
                self._ticked = now
            quiet_s = now - self._heard
            if not reader.greeted:
                if quiet_s > ANSWER_S:
                    return said, f"no answer in {ANSWER_S:.0f} s"
            elif quiet_s > GIVE_UP_S:
                return said, f"nothing for {GIVE_UP_S:.0f} s"
            elif now - self._ticked > max(GIVE_UP_S, 3 * self.delay_s):
                return said, f"it answers, but has sent no tick for {now - self._ticked:.0f} s"
            elif quiet_s > max(SILENT_S, 3 * self.delay_s):  # answers come also while paused
                self._change(SILENT, f"nothing for {quiet_s:.0f} s")
            for fd, _ in poll.poll(200):
                data = os.read(fd, _READ_BYTES)
                if fd == child.stderr:
                    said = (said + data)[-MOST_STDERR_BYTES:]
                    if not data:
                        poll.unregister(fd)
                    continue
                if not data:
                    return self._rest(child, said), ""
                self._count(len(data))
                try:
                    self._take(data, reader, frames)
                except NettopError as error:
                    return said, str(error)
                if reader.in_frame:  # a large one over a slow line
                    self._heard = self._ticked = time.monotonic()
        return said, ""

    def _rest(self, child: Child, said: bytes) -> bytes:
        """What is left on standard error."""
        os.set_blocking(child.stderr, False)
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            try:
                data = os.read(child.stderr, _READ_BYTES)
            except BlockingIOError:  # it has not ended yet
                time.sleep(0.01)
                continue
            if not data:
                break
            said = (said + data)[-MOST_STDERR_BYTES:]
        return said

    def _count(self, n_bytes: int) -> None:
        now = time.monotonic()
        self._came.append((now, n_bytes))
        while now - self._came[0][0] > RATE_OVER_S + 1:
            self._came.popleft()

    def _take(self, data: bytes, reader: StreamReader, frames: FrameReader) -> None:
        for message in reader.take(data):
            self._took(message, frames)
        # Not before all is taken: what came with the hello may be a tick, or no stream.
        if self._hello is not None and self._newest_ns is None:
            self._change(ASKED, "it has answered, and sent no tick yet")

    def _took(self, message: Hello | bytes | dict[str, Any], frames: FrameReader) -> None:
        if isinstance(message, Hello):
            self._hello, self._again_at = message, None
            self._heard = self._ticked = time.monotonic()
        elif isinstance(message, bytes):
            sample = frames.sample(message)
            checked_clock(sample.wall_ns)
            checked_clock(sample.mono_ns)
            self._on_sample(sample, message)
            self._heard = self._ticked = time.monotonic()
            self._newest_ns = sample.wall_ns
            self._skipped = sample.facts.skipped_ticks
            self._again_at = None
            self._change(LIVE)
        else:
            self._noted(message)

    def _noted(self, note: dict[str, Any]) -> None:
        heard_ns, now = time.time_ns(), time.monotonic()
        if now - self._notes_since >= 1.0:
            self._notes_since, self._notes = now, 0
        self._notes += 1
        if self._notes > MOST_NOTES:
            raise StreamError(f"it sent more than {MOST_NOTES} notes in a second")
        if isinstance(note.get("error"), str):
            raise StreamError(note["error"])
        number = note.get("pong")
        sent_ns = self._pings.pop(number, None) if type(number) is int else None
        if sent_ns is None:
            return
        came_ns, went_ns = checked_clock(note.get("came_ns")), checked_clock(note.get("went_ns"))
        self._clock.answered(sent_ns, came_ns, went_ns, heard_ns)
        self._heard = now
        self._on_change()  # the offset, and how late its tick is

    def _most_bytes(self) -> int:
        top = self.settings.get("top")
        return min(ALL_ROWS_BYTES, HOST_BYTES + top * ROW_BYTES) if top else ALL_ROWS_BYTES

    def _ping(self, child: Child, number: int) -> None:
        if len(self._pings) > 64:
            self._pings.clear()
        self._pings[number] = time.time_ns()
        if not child.write(b'{"ping":%d}\n' % number):
            del self._pings[number]

    def _send_settings(self, child: Child) -> None:
        with self._wake:
            unsent, self._unsent = self._unsent, None
            whole, self._whole_asked = self._whole_asked, False
        if whole:
            child.write(b'{"whole":true}\n')
        if unsent is None:
            child.write()
            return
        line = json.dumps({"set": unsent}, separators=(",", ":")).encode() + b"\n"
        if not child.write(line):
            with self._wake:
                self._unsent = self._unsent or unsent

    def _why(self, code: int | None, said: bytes, greeted: bool) -> str:
        lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines()]
        last = next((line for line in reversed(lines) if line), "")
        if not greeted and (code in _NO_PROGRAM or _names_no_program(last)):
            why = last or f"exit code {code}"
            return f"nettop cannot be run there ({why}): {_how_to_have_it(self._argv, self.name)}"
        if last:
            return last.removeprefix("nettop: ")
        if code is None or code >= 0:
            return f"the stream ended{f' with exit code {code}' if code else ''}"
        return f"the stream ended by signal {-code}"


def _how_to_have_it(argv: Sequence[str], host: str) -> str:
    """What would help where no nettop is found, by what leads there."""
    programs = {word.rpartition("/")[2] for word in argv if word != host}
    if programs & _CONTAINERS:
        return (
            "it has to be in the image, or name it with --remote; without one there --ssh "
            "'nsenter -n -t' and the pid of a program in it, as root (nettop help hosts)"
        )
    if programs & _NAMESPACES:  # it is this host's
        return "name it with --remote"
    return "pipx install nettop there, or name it with --remote"


def _names_no_program(line: str) -> bool:
    low = line.lower()
    return "nettop" in low and ("not found" in low or "no such file" in low)
