"""What waits for a reader were spent on, with known answers: readers that do one thing."""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from nettop.collect import PollOptions
from nettop.model.types import Because, PlaneHas, Split, Verdict, Who
from nettop.poller import LiveFeed
from nettop.sources import PlaneOptions
from tests.integration.bpfobjects import Map, tracepoints, until
from tests.integration.namespaces import needs_root
from tests.integration.sends import ABS_NS, cookie_of, near
from tests.integration.test_wait import Pair, row_by, row_of

pytestmark = needs_root
DELAY_S = 0.3
# A thread that is woken, runs and reads takes this beside what is measured.
SLACK_NS = 200 * ABS_NS


@pytest.fixture
def feed(space: str) -> Iterator[LiveFeed]:
    planes = PlaneOptions(bpf_budget_pct=100)
    with closing(LiveFeed(PollOptions(netns=(space,), rows_all=True, planes=planes))) as made:
        made.tick()
        yield made


@pytest.fixture
def pair(space: str) -> Iterator[Pair]:
    with closing(Pair(space)) as made:
        yield made


def choose(feed: LiveFeed, *socks: socket.socket) -> None:
    feed.select_tx([cookie_of(s) for s in socks])
    feed.tick()
    model = feed.tick()
    status = model.source("split")
    assert status is not None
    assert status.state == "ok", status.reason


def spin() -> tuple[int, int]:
    """Runs for DELAY_S by the thread's own clock; how long, and how long it stood still meanwhile.

    It stands still while another thread has its core, or another guest of the host: the thread's
    clock may count the latter as its own.
    """
    begin = time.thread_time_ns()
    stood_ns, last = 0, time.monotonic_ns()
    while time.thread_time_ns() - begin < DELAY_S * 1e9:
        now = time.monotonic_ns()
        if now - last > 4 * ABS_NS:
            stood_ns += now - last
        last = now
    return time.thread_time_ns() - begin, stood_ns


def run_delay_ns() -> int:
    """How long this thread waited for a CPU, by the kernel's own count."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1])


def split_of(feed: LiveFeed, sock: socket.socket) -> Split:
    """Of the interval that ends now."""
    feed.tick()
    plane = row_of(feed, sock).plane
    assert plane.has & PlaneHas.SPLIT
    assert sum(plane.split[1:6]) + plane.split.unknown_ns == plane.split.waiting_ns
    return plane.split


class Child:
    """Another process that does this work; what it returns is JSON."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._read, write = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.write(write, json.dumps(work()).encode())
            os._exit(0)
        os.close(write)

    def result(self) -> Any:
        with os.fdopen(os.dup(self._read), "rb") as file:
            return json.loads(file.read())

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._read)

    def sleeps(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@contextmanager
def reader(feed: LiveFeed, pair: Pair, work: Callable[[], object]) -> Iterator[Child]:
    """A child that reads a first byte, so that it is known who reads, and then does the work."""

    def reads() -> object:
        pair.late.recv(1)
        return work()

    choose(feed, pair.late)
    with closing(Child(reads)) as child:
        pair.peer.sendall(b"1")
        until(lambda: row_of(feed, pair.late).rec.rqueue == 0 and child.sleeps())
        feed.tick()
        yield child


def test_nothing_runs_before_it_is_asked_for(pair: Pair, feed: LiveFeed) -> None:
    pair.peer.sendall(b"x")
    pair.late.recv(1)
    model = feed.tick()
    status = model.source("split")
    assert status is not None
    assert (status.state, status.method) == ("off", "sched_switch")
    assert not row_of(feed, pair.late).plane.has & PlaneHas.SPLIT
    split = feed._collector.planes.split
    assert split is not None
    assert split.runs == 0


def test_no_second_program_is_run_for_each_message(pair: Pair, feed: LiveFeed) -> None:
    of_messages = ("sk_data_ready", "tcp_rcv_space_adjust", "sock_recv_length")
    assert not tracepoints(os.getpid())["sched_switch"]
    choose(feed, pair.late)
    attached = tracepoints(os.getpid())
    assert attached["sched_switch"] == 1
    assert [attached[name] for name in of_messages] == [1, 1, 1]


def test_a_reader_that_sleeps_elsewhere(pair: Pair, feed: LiveFeed) -> None:
    def sleeps() -> int:
        time.sleep(DELAY_S)
        pair.late.recv(10)
        return time.monotonic_ns()

    with reader(feed, pair, sleeps) as child:
        pair.peer.sendall(b"x")
        sent = time.monotonic_ns()
        waited_ns = child.result() - sent
        got = split_of(feed, pair.late)
    assert (got.takes, got.others) == (1, 0)
    assert got.waiting_ns == near(waited_ns)
    assert got.asleep_ns >= got.waiting_ns * 0.8
    assert got.wake_ns == 0, "nobody slept on the socket"


def test_a_reader_that_is_given_no_cpu(pair: Pair, feed: LiveFeed) -> None:
    """Its CPU is another's, whose priority is higher, for a while."""
    cpu = max(os.sched_getaffinity(0))
    begun = os.pipe()

    def spins() -> int:
        os.sched_setaffinity(0, {cpu})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.write(begun[1], b"x")
        end = time.monotonic() + DELAY_S
        while time.monotonic() < end:
            pass
        return time.monotonic_ns()

    def reads() -> int:
        os.sched_setaffinity(0, {cpu})
        before = run_delay_ns()
        pair.late.recv(10)
        return run_delay_ns() - before

    with reader(feed, pair, reads) as child, closing(Child(spins)) as other:
        os.read(begun[0], 1)
        pair.peer.sendall(b"x")
        sent = time.monotonic_ns()
        held_ns = other.result() - sent
        delayed_ns = child.result()
        got = split_of(feed, pair.late)
    for end in begun:
        os.close(end)
    assert got.takes == 1
    # Other threads may have the CPU for a while after that.
    assert delayed_ns >= held_ns * 0.97
    assert got.cpu_ns == pytest.approx(delayed_ns, rel=0.03, abs=ABS_NS)
    assert got.cpu_ns >= got.waiting_ns * 0.9


def test_a_reader_that_is_stopped(pair: Pair, feed: LiveFeed) -> None:
    def reads() -> bool:
        return pair.late.recv(10) != b""

    with reader(feed, pair, reads) as child:
        os.kill(child.pid, signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        pair.peer.sendall(b"x")
        sent = time.monotonic_ns()
        for _ in range(3):
            time.sleep(DELAY_S)
            least = time.monotonic_ns()
            got = split_of(feed, pair.late)
            assert got.takes == 0
            assert got.stopped_ns >= got.waiting_ns * 0.99
        assert time.monotonic_ns() - sent >= got.waiting_ns > 0
        assert least > sent
        row = row_of(feed, pair.late)
        assert row.verdicts[0] is Verdict.UNREAD
        assert (row.rec.who, row.rec.because) == (Who.APP, Because.STOPPED)
        os.kill(child.pid, signal.SIGCONT)
        assert child.result()
        assert split_of(feed, pair.late).takes == 1


def test_of_several_threads_that_are_stopped_none_is_the_reader(pair: Pair, feed: LiveFeed) -> None:
    def reads() -> bool:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        return pair.late.recv(10) != b""

    cookie = cookie_of(pair.late)
    with closing(Child(reads)) as child:
        pair.late.close()  # the child holds it alone
        tasks = Path(f"/proc/{child.pid}/task")
        until(lambda: len([*tasks.iterdir()]) == 2 and child.sleeps())
        until(lambda: bool(feed.tick()) and row_by(feed, cookie).proc.pid == child.pid)
        os.kill(child.pid, signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        pair.peer.sendall(b"x")
        feed.tick()
        feed.select_tx([cookie])
        feed.tick()
        time.sleep(DELAY_S)
        model = feed.tick()
        row = row_by(feed, cookie)
        assert row.plane.split.stopped_ns >= row.plane.split.waiting_ns * 0.99 > 0
        assert cookie not in model.readers
        os.kill(child.pid, signal.SIGCONT)
        assert child.result()


class Numbers:
    """Numbers that a child and the test share, without a call that could wake a thread."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 16)
        self._view = memoryview(self._shared).cast("q")

    def say(self, place: int, number: int = 1) -> None:
        self._view[place] = number

    def heard(self, place: int) -> int:
        return self._view[place]

    def close(self) -> None:
        self._view.release()
        self._shared.close()


@contextmanager
def unseen(pid: int) -> Iterator[None]:
    """What the thread does meanwhile is not seen.

    So it is where events come while a thread is current that no program runs beside.
    """
    key = pid.to_bytes(4, sys.byteorder)
    with closing(Map(os.getpid(), "threads")) as threads:
        known = threads.pop(key)
        yield
        threads[key] = known


@contextmanager
def hog(cpu: int) -> Iterator[Callable[[], int]]:
    """Holds the CPU above all others, until it is called; returns when that ended."""
    with closing(Numbers()) as numbers:

        def holds() -> int:
            os.sched_setaffinity(0, {cpu})
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
            numbers.say(0)
            while not numbers.heard(1):
                pass
            return time.monotonic_ns()

        with closing(Child(holds)) as child:

            def ends() -> int:
                numbers.say(1)
                return int(child.result())

            while not numbers.heard(0):
                time.sleep(0.001)
            yield ends


class Turn:
    """A reader that runs until it is asked to read: when it begins, and how long it stood then.

    Only hog() takes its CPU, so that nothing else is unseen than what a test means.
    """

    def __init__(self, pair: Pair, cpu: int, waits: Callable[[], object]) -> None:
        self._pair, self._cpu, self._waits = pair, cpu, waits
        self._told = Numbers()

    def runs(self) -> tuple[int, int]:
        os.sched_setaffinity(0, {self._cpu})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        self._waits()
        begun = last = time.monotonic_ns()
        stood_ns = 0
        self._told.say(0)
        while not self._told.heard(1):
            now = time.monotonic_ns()
            if now - last > 4 * ABS_NS:
                stood_ns += now - last
            last = now
        self._pair.late.recv(10)
        return begun, stood_ns

    def has_begun(self) -> int:
        return self._told.heard(0)

    def ends(self) -> None:
        self._told.say(1)

    def close(self) -> None:
        self._told.close()


def between(least_ns: int, most_ns: int) -> object:
    return pytest.approx((least_ns + most_ns) / 2, abs=(most_ns - least_ns) / 2 + SLACK_NS)


def test_a_turn_that_was_not_seen(pair: Pair, feed: LiveFeed) -> None:
    """It waits for a CPU, and then runs: nobody saw when that began."""
    cpu = max(os.sched_getaffinity(0))
    turn = Turn(pair, cpu, lambda: select.select([pair.late], [], []))
    with closing(turn), reader(feed, pair, turn.runs) as child:
        with hog(cpu) as ends:
            before = time.monotonic_ns()
            pair.peer.sendall(b"x")
            sent = time.monotonic_ns()
            with unseen(child.pid):
                time.sleep(DELAY_S)
                ends()
                until(turn.has_begun)
        time.sleep(DELAY_S)
        half = split_of(feed, pair.late)
        turn.ends()
        begun, stood_ns = child.result()
        rest = split_of(feed, pair.late)
    assert (half.takes, rest.takes) == (0, 1)
    assert half.cpu_ns + rest.cpu_ns == between(begun - sent, begun - before + stood_ns)
    assert half.ran_ns >= half.waiting_ns - half.cpu_ns - SLACK_NS
    assert rest.ran_ns >= rest.waiting_ns - rest.cpu_ns - SLACK_NS


@pytest.mark.parametrize("then", ["seen", "unseen"])
def test_a_wake_up_that_was_not_seen(pair: Pair, feed: LiveFeed, then: str) -> None:
    """It sleeps elsewhere, then waits for a CPU: nobody saw who woke it."""
    cpu = max(os.sched_getaffinity(0))
    wakes = os.pipe()
    turn = Turn(pair, cpu, lambda: os.read(wakes[0], 1))
    with closing(turn), reader(feed, pair, turn.runs) as child:
        before = time.monotonic_ns()
        pair.peer.sendall(b"x")
        sent = time.monotonic_ns()
        time.sleep(DELAY_S)
        with hog(cpu) as ends:
            with unseen(child.pid):
                wakes_at = time.monotonic_ns()
                os.write(wakes[1], b"x")
                woken = time.monotonic_ns()
                if then == "unseen":
                    time.sleep(DELAY_S)
                    ends()
                    until(turn.has_begun)
            if then == "seen":
                time.sleep(DELAY_S)
                ends()
        time.sleep(DELAY_S / 3)
        turn.ends()
        begun, stood_ns = child.result()
        got = split_of(feed, pair.late)
    for end in wakes:
        os.close(end)
    assert got.takes == 1
    assert got.asleep_ns == between(wakes_at - sent, woken - before)
    assert got.cpu_ns == between(begun - woken, begun - wakes_at + stood_ns)
    assert got.ran_ns >= got.waiting_ns - got.asleep_ns - got.cpu_ns - SLACK_NS
    assert got.ran_ns >= DELAY_S / 3 * 1e9 - stood_ns - SLACK_NS


def test_a_server_that_is_busy_with_another_connection(
    space: str, pair: Pair, feed: LiveFeed
) -> None:
    with closing(Pair(space)) as other:

        def serves() -> tuple[int, int]:
            """In one thread; says what spin() said of the other's handler."""
            epoll = select.epoll()
            epoll.register(pair.late, select.EPOLLIN)
            epoll.register(other.late, select.EPOLLIN)
            said = 0, 0
            while True:
                for fd, _ in epoll.poll():
                    if fd == pair.late.fileno():
                        pair.late.recv(10)
                        return said
                    other.late.recv(10)
                    pair.peer.sendall(b"x")
                    select.select([pair.late], [], [])
                    said = spin()

        with reader(feed, pair, serves) as child:
            other.peer.sendall(b"x")
            ran_ns, stood_ns = child.result()
            got = split_of(feed, pair.late)
    assert got.takes == 1
    assert ran_ns - stood_ns - SLACK_NS <= got.ran_ns <= ran_ns + SLACK_NS, (got, ran_ns, stood_ns)
    assert got.cpu_ns <= stood_ns + SLACK_NS, (got, ran_ns, stood_ns)
    assert got.ran_ns + got.cpu_ns >= got.waiting_ns * 0.9


def test_what_a_delivery_wakes(pair: Pair, feed: LiveFeed) -> None:
    def reads() -> bool:
        return all(pair.late.recv(10) for _ in range(5))

    with reader(feed, pair, reads) as child:
        for _ in range(5):
            until(child.sleeps)
            pair.peer.sendall(b"x")
            until(lambda: not feed.tick() or row_of(feed, pair.late).rec.rqueue == 0)
            got = row_of(feed, pair.late).plane.split
            assert got.asleep_ns <= ABS_NS, "it slept on the socket"
        assert child.result()


def test_udp_and_a_thread_that_takes_over(space: str, feed: LiveFeed) -> None:
    from tests.integration.namespaces import inside

    late, peer = inside(space, lambda: [socket.socket(type=socket.SOCK_DGRAM) for _ in "ab"])
    with late, peer:
        late.bind(("127.0.0.1", 0))
        choose(feed, late)
        late.setblocking(True)
        peer.sendto(b"1", late.getsockname())
        late.recv(10)
        until(lambda: feed.tick() and row_of(feed, late).proc.pid == os.getpid())
        feed.tick()  # it is chosen once more, now with its holder
        peer.sendto(b"2", late.getsockname())
        late.recv(10)
        assert feed.tick().readers == {cookie_of(late): threading.get_native_id()}
        peer.sendto(b"x", late.getsockname())
        time.sleep(DELAY_S)
        child = Child(lambda: len(late.recv(10)))
        with closing(child):
            assert child.result() == 1
        got = split_of(feed, late)
        assert not feed.tick().readers, "it is not one thread"
    assert (got.takes, got.others) == (1, 1)
    assert got.waiting_ns >= DELAY_S * 1e9
    assert got.unknown_ns >= got.waiting_ns * 0.9, "another process read, which was not watched"
