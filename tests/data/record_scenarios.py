"""Writes recordings/*.nettop: small recordings of faults whose right answer is known.

python -m tests.data.record_scenarios [NAME ...]; needs root. Everything happens in network
namespaces that are made for it, so that no address or socket of the machine is stored; the host's
name is replaced. tests/unit/test_recorded.py replays them without root.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from msgspec.structs import replace

from nettop import __version__
from nettop.collect import PollOptions
from nettop.engine import ffi, lib
from nettop.model.types import NicStage
from nettop.poller import LiveFeed
from nettop.sample import Names, Sample
from nettop.sources import PlaneOptions
from nettop.sources.nics import Placed
from nettop.store.recording import RecordingWriter
from tests.integration.namespaces import namespace
from tests.integration.namespaces import pair as veth_pair
from tests.integration.sends import connection, cookie_of, shaped, take
from tests.integration.trouble import Trouble

HERE = Path(__file__).resolve().parent / "recordings"
TICKS = 8
LATE_S = 0.06


@contextmanager
def running(work: Callable[[threading.Event], None]) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join()


def record(
    name: str, feed: LiveFeed, before_tick: Callable[[], None] = lambda: None, *,
    ticks: int = TICKS, every_s: float = 1.0, key_every: int = TICKS,
) -> None:  # fmt: skip
    path = HERE / f"{name}.nettop"
    path.unlink(missing_ok=True)
    about = {"host": "host", "kernel": feed._collector._kernel, "nettop": __version__}
    with closing(RecordingWriter(path, about)) as writer:
        feed.record(True)
        for n in range(ticks):
            before_tick()
            model = feed.tick()
            writer.add(anonymous(feed.sample(model, whole=n % key_every == 0)))
            time.sleep(every_s)
    print(f"{path.name}: {path.stat().st_size} bytes")


def anonymous(sample: Sample) -> Sample:
    facts = replace(sample.facts, host="host", names=Names())
    return replace(sample, facts=facts)


def late_reader() -> None:
    """A program that reads 60 ms after each message: verdict reads, app."""
    with namespace() as space, ExitStack() as stack:
        sender, receiver = (stack.enter_context(s) for s in connection(space, space))

        def send(ended: threading.Event) -> None:
            while not ended.wait(0.1):
                sender.sendall(b"x" * 500)

        def read(ended: threading.Event) -> None:
            while not ended.is_set():
                receiver.recv(1, socket.MSG_PEEK)
                time.sleep(LATE_S)
                receiver.recv(65536)

        options = PollOptions(netns=(space,), rows_all=True, planes=PlaneOptions())
        with running(send), running(read), closing(LiveFeed(options)) as feed:
            record("late-reader", feed)


def own_queue() -> None:
    """12 kB sends through a tbf of the sender's own host: verdict qdisc, kern."""
    with veth_pair() as (near, far), ExitStack() as stack:
        sender, receiver = (stack.enter_context(s) for s in connection(near, far, "10.9.0.2"))

        def send(ended: threading.Event) -> None:
            while not ended.wait(0.05):
                sender.sendall(b"x" * 12_000)
                take(receiver, 12_000)

        options = PollOptions(netns=(near,), rows_all=True, planes=PlaneOptions(tx_sample=1))
        with shaped(near), running(send), closing(LiveFeed(options)) as feed:
            record("own-queue", feed)


class _SlowNic:
    """Instead of a NIC's clock: stamps that say that packets left it 8 ms late."""

    def __init__(self, cookie: int) -> None:
        self._cookie = cookie

    def tick(self, handle: object) -> NicStage:
        placed = [Placed(self._cookie, 8_000_000, 400) for _ in range(10)]
        given = ffi.new("struct nt_stages_placed[]", [tuple(p) for p in placed])
        assert not lib.nt_stages_place(handle, given, len(placed))
        return NicStage(400)

    def start(self) -> None: ...

    def stop(self, handle: object) -> None: ...

    def clear(self) -> None: ...


def slow_nic() -> None:
    """Sends that leave the NIC 8 ms after the driver had them: verdict nic, nic."""
    with namespace() as space, ExitStack() as stack:
        sender, receiver = (stack.enter_context(s) for s in connection(space, space))

        def send(ended: threading.Event) -> None:
            while not ended.wait(0.1):
                sender.sendall(b"x" * 500)
                take(receiver, 500)

        options = PollOptions(netns=(space,), rows_all=True, planes=PlaneOptions(tx_sample=1))
        with running(send), closing(LiveFeed(options)) as feed:
            stages = feed._collector.planes.stages
            assert stages is not None
            stages._nics = _SlowNic(cookie_of(sender))  # type: ignore[assignment]
            record("slow-nic", feed)


def moving() -> None:
    """All planes and many key frames: what each tick says must not depend on the way to it."""
    with namespace() as space, ExitStack() as stack:
        trouble = stack.enter_context(closing(Trouble(space)))
        sender, receiver = (stack.enter_context(s) for s in connection(space, space))

        def send(ended: threading.Event) -> None:
            while not ended.wait(0.02):
                sender.sendall(b"x" * 500)
                time.sleep(0.005)
                take(receiver, 500)

        planes = PlaneOptions(tx_sample=1, path=True)
        options = PollOptions(netns=(space,), rows_all=True, planes=planes)
        with running(send), closing(LiveFeed(options)) as feed:
            record("moving", feed, trouble.cause, ticks=30, every_s=0.0, key_every=5)


SCENARIOS = {
    "late-reader": late_reader, "own-queue": own_queue, "slow-nic": slow_nic, "moving": moving,
}  # fmt: skip


def main(names: list[str]) -> None:
    HERE.mkdir(exist_ok=True)
    for name in names or SCENARIOS:
        SCENARIOS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
