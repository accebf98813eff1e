"""How nettop ends on a signal: a thread of its own takes it, asks the command to end, then ends it.

SIGTERM, SIGHUP, SIGINT and SIGQUIT are blocked in all threads and waited for in this one, so that
nothing the program does can keep them away. The command is asked to end; one that has not after
ASK_S is ended: its terminal is restored, what it set in the kernel is undone if that takes no
longer than UNDO_S, and the process exits.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

ASK_S = 1.0
UNDO_S = 0.4
SIGNALS = frozenset({signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT})
_POKE = signal.SIGURG  # ignored by default: it only has a thread return from a system call
_AGAIN_S = 0.1
_CALL_AGAIN_S = 0.02
_LOOK_S = 1.0  # how often the terminal of a screen is looked at

Ask = Callable[[int], object]


class Stopped(BaseException):
    """SIGTERM, SIGHUP or SIGQUIT came: clean up, then die of it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Ending:
    """The thread, and what it does for the command that runs; one per process."""

    def __init__(self) -> None:
        self.number: int | None = None  # the first signal that ends it
        self._thread: threading.Thread | None = None
        self._ignored: frozenset[int] = frozenset()  # by whoever started nettop
        self._lock = threading.Lock()
        self._ask: Ask | None = None  # None: there is nothing to undo
        self._restore: Callable[[], object] | None = None
        self._undo: Callable[[], object] | None = None
        self._gone: Callable[[], bool] | None = None  # the screen's terminal was hung up
        self.leftovers: set[Callable[[], object]] = set()  # called where all is ended by force
        self._held: int | None = None
        self._raised = False
        self._errand: Callable[[], object] | None = None

    def begin(self) -> None:
        """Blocks the signals and starts the thread; before any other thread."""
        if self._thread is not None or threading.active_count() > 1:
            return
        self._ignored = frozenset(n for n in SIGNALS if signal.getsignal(n) == signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        signal.signal(_POKE, self._poked)
        hook = sys.unraisablehook

        def unraisable(what: Any, /) -> None:
            if isinstance(what.exc_value, Stopped | KeyboardInterrupt):
                self._raised = False  # swallowed by a destructor: raise it once more
            else:
                hook(what)

        sys.unraisablehook = unraisable
        self._thread = threading.Thread(target=self._watch, name="nettop-ending", daemon=True)
        self._thread.start()

    # --- what the command says ---

    def raises(self) -> None:
        """From now on a signal is Stopped, or KeyboardInterrupt, in the main thread."""
        if self._thread is not None:
            main = threading.main_thread().ident
            assert main is not None
            self._set(lambda _number: signal.pthread_kill(main, _POKE))

    def settle(self) -> None:
        """From now on there is nothing to undo: a signal ends the process at once."""
        self._set(None)

    @contextmanager
    def screen(
        self, ask: Ask, restore: Callable[[], object], undo: Callable[[], object],
        gone: Callable[[], bool],
    ) -> Iterator[None]:  # fmt: skip
        """While a screen is shown, which ends by every signal and when its terminal is gone.

        ask is called from another thread, again and again; restore puts the terminal right, undo
        what is in the kernel, where the screen did not do so in time.
        """
        self._restore, self._undo, self._gone = restore, undo, gone
        self._set(ask)
        if self._held is not None:
            within(UNDO_S, undo)
            self.die(self._held)
        if self._thread is not None:
            self._poke_watch()  # it waits without looking at a terminal so far
        try:
            yield
        finally:
            self._gone = None

    def call(self, errand: Callable[[], object]) -> None:
        """Has the thread call this: privileges are given up by each thread for itself."""
        if self._thread is None:
            return
        done = threading.Event()
        failure: list[Exception] = []

        def run() -> None:
            try:
                errand()
            except Exception as error:
                failure.append(error)
            done.set()

        self._errand = run
        self._poke_watch()
        while not done.wait(_CALL_AGAIN_S):  # it was only beginning, and missed that
            self._poke_watch()
        if failure:
            raise failure[0]

    def _set(self, ask: Ask | None) -> None:
        with self._lock:
            self._ask = ask

    def _poke_watch(self) -> None:
        assert self._thread is not None
        assert self._thread.ident is not None
        signal.pthread_kill(self._thread.ident, _POKE)

    def _poked(self, _number: int, _frame: Any) -> None:
        """In the main thread."""
        if self.number is None or self._raised or self._ask is None or self._gone is not None:
            return
        self._raised = True
        raise KeyboardInterrupt if self.number == signal.SIGINT else Stopped(self.number)

    # --- the thread ---

    def _watch(self) -> None:
        # A terminal that another process group holds may be put right all the same.
        signal.pthread_sigmask(signal.SIG_BLOCK, {_POKE, signal.SIGTTOU})
        while True:
            wait_s = 3600.0 if self._gone is None else _LOOK_S
            came = signal.sigtimedwait({*SIGNALS, _POKE}, wait_s)
            number = None if came is None else came.si_signo
            if self._errand is not None:
                errand, self._errand = self._errand, None
                errand()
            if number in self._ignored:
                # A command leaves it ignored; a screen, which there may be soon, does not.
                self._held, number = number, None
            if self._gone is not None and number is None:
                number = self._held or (signal.SIGHUP if self._gone() else None)
            if number in SIGNALS:
                self._end(number)

    def _end(self, number: int) -> None:
        with self._lock:
            self.number = number
            asks = self._ask is not None
        end = time.monotonic() + ASK_S
        while asks and time.monotonic() < end:
            with self._lock:
                ask = self._ask
            if ask is None:
                break
            with suppress(Exception):  # whatever fails, it ends
                ask(number)
            time.sleep(_AGAIN_S)
        with suppress(Exception):  # whatever fails, it ends
            self._by_force()
        self.die(number)

    def _by_force(self) -> None:
        if self._restore is not None:
            self._restore()
        undoing = (() if self._undo is None else (self._undo,)) + tuple(self.leftovers)
        for undo in undoing:
            within(UNDO_S / len(undoing), undo)

    def die(self, number: int) -> None:
        """Ends the process as that signal does; a screen, and SIGINT, with an exit code."""
        if number != signal.SIGINT and self._restore is None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
            os.kill(os.getpid(), number)
            time.sleep(_AGAIN_S)  # the first process of a container survives it
        os._exit(128 + number)


def within(seconds: float, call: Callable[[], object]) -> None:
    """Calls it, but waits no longer for it: what hangs elsewhere may hold what it needs."""

    def run() -> None:
        with suppress(BaseException):  # whatever fails, it ends
            call()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)


ending = Ending()
