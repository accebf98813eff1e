"""Probers in this process: what is cleared, given up, interrupted, and what their output does."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from nettop.errors import EXIT_OK
from nettop.model.stamps import Sent, Stamp, StampError, StampType
from nettop.probe.connect import resolve
from nettop.probe.opening import AnyProber, open_prober
from nettop.probe.options import parse_probe, parse_reflect
from nettop.probe.prober import Prober
from nettop.probe.reflect import Client, Reflector
from nettop.probe.run import result
from nettop.probe.service import ServiceProber
from nettop.probe.tally import Point
from nettop.stamps import Flights
from tests.integration.namespaces import needs_root
from tests.integration.sends import shaped
from tests.probe.peers import free_port, nettop, reflector, udp_peer


@contextlib.contextmanager
def prober_of(*words: str) -> Iterator[AnyProber]:
    options = parse_probe(words, {})
    prober = open_prober(options, resolve(options.host, options.port, options.proto, 0))
    with contextlib.closing(prober):
        yield prober


@contextlib.contextmanager
def service(most: int = 100, closed: threading.Event | None = None) -> Iterator[int]:
    """Takes so many connections and reads them to their end; gives its port.

    Args:
        closed: Set once no more are taken.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        stop = threading.Event()

        def serve() -> None:
            taken = 0
            while taken < most and not stop.is_set():
                try:
                    sock, _ = server.accept()
                except TimeoutError:
                    continue
                taken += 1
                with sock:
                    while sock.recv(100):
                        pass
            server.close()
            if closed is not None:
                closed.set()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            stop.set()
            thread.join()


# --- cleared while it runs ---


def test_probes_under_way_are_of_no_tally_once_it_is_cleared() -> None:
    """Answers come five probes late; the last five of all never."""
    held: list[bytes] = []

    def answers(_number: int, data: bytes) -> Sequence[bytes]:
        held.append(data)
        return [held.pop(0)] if len(held) > 5 else []

    with (
        udp_peer(answers) as port,
        prober_of("udp", f"127.0.0.1:{port}", "-c", "60", "-i", "0.01", "-W", "2") as prober,
    ):
        assert isinstance(prober, Prober)
        prober._stamped.errors[StampError.UNKNOWN] = 3

        def clear(point: Point) -> None:
            if point.seq == 20:
                assert prober.tally.errors
                prober.clear()

        prober.run(clear)
        tally = prober.tally
    assert 5 < tally.sent < 40
    assert (tally.answered, tally.lost, tally.overdue) == (tally.sent - 5, 5, 0)
    assert (tally.duplicates, tally.reordered, tally.garbage) == (0, 0, 0)
    assert +tally.stamps_missing == +tally.errors == {}


def test_lost_probes_that_are_answered_once_it_is_cleared() -> None:
    held: list[bytes] = []

    def answers(number: int, data: bytes) -> Sequence[bytes]:
        held.append(data)
        return [held.pop(0)] if number >= 10 else []

    with (
        udp_peer(answers) as port,
        prober_of("udp", f"127.0.0.1:{port}", "-c", "30", "-i", "0.02", "-W", "0.05") as prober,
    ):
        prober.run(lambda point: prober.clear() if point.seq == 4 else None)
        tally = prober.tally
    assert tally.answered + tally.lost == tally.sent < 30
    assert tally.duplicates == 0


def test_a_far_end_that_went_away_once_it_is_cleared() -> None:
    """The run has worked: it goes on, and is no failure."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, contextlib.ExitStack() as stack:
        peer.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{peer.getsockname()[1]}"
        prober = stack.enter_context(prober_of("udp", target, "-c", "6", "-i", "0.05", "-W", "0.2"))
        thread = threading.Thread(target=_echo_once, args=(peer,))
        thread.start()
        prober.run(lambda point: prober.clear() if point.seq == 0 else None)
        thread.join()
        assert prober.tally.answered == 0
        assert prober.tally.refused > 0
        assert result(prober) == EXIT_OK


def _echo_once(peer: socket.socket) -> None:
    data, address = peer.recvfrom(2000)
    peer.sendto(data, address)
    peer.close()


def test_a_service_that_went_away_once_it_is_cleared() -> None:
    closed = threading.Event()

    def clear(point: Point) -> None:
        if point.seq == 1:
            assert closed.wait(20)
            prober.clear()

    with (
        service(3, closed) as port,  # the first is asked whether it is reflect
        prober_of("tcp", f"127.0.0.1:{port}", "-c", "6", "-i", "0.1") as prober,
    ):
        assert isinstance(prober, ServiceProber)
        prober.run(clear)
    tally = prober.tally
    assert (tally.sent, tally.answered, tally.lost, tally.refused) == (4, 0, 4, 4)
    assert result(prober) == EXIT_OK


# --- the output ---


@pytest.mark.parametrize("far", ["echo", "service"])
def test_an_output_that_is_gone_is_no_error_of_the_network(far: str) -> None:
    def say(point: Point) -> None:
        if point.seq == 2:
            raise BrokenPipeError

    peer = service() if far == "service" else udp_peer(lambda _n, data: [data])
    proto = "tcp" if far == "service" else "udp"
    with (
        peer as port,
        prober_of(proto, f"127.0.0.1:{port}", "-c", "9", "-i", "0.01") as prober,
    ):
        with pytest.raises(BrokenPipeError):
            prober.run(say)
        assert prober.failure is None
        assert +prober.tally.errors == {}


def test_interrupted_it_tells_all_that_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Point] = []

    def say(point: Point) -> None:
        told.append(point)
        if len(told) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Prober, "_complete", lambda *_: False)  # answers wait for their stamps
    with (
        udp_peer(lambda _n, data: [data]) as port,
        prober_of("udp", f"127.0.0.1:{port}", "-i", "0.002") as prober,
    ):
        with pytest.raises(KeyboardInterrupt):
            prober.run(say)
        assert len(told) == prober.tally.answered > 1


# --- late stamps ---


@needs_root
def test_stamps_from_after_the_time_limit(veth: tuple[str, str]) -> None:
    """Probes that lay in the queue of the device for longer than the limit."""
    with (
        reflector("udp", "10.9.0.2:9001", netns=veth[1]),
        shaped(veth[0], rate=100_000, latency="5s"),  # 14 ms a probe
    ):
        code, out, errors = nettop("probe", "udp", "10.9.0.2:9001", "-c", "80", "-i", "0.006",
                                   "-s", "1400", "-W", "0.02", "--json", netns=veth[0])  # fmt: skip
    assert (code, errors) == (0, "")
    told = json.loads(out)
    assert told["overdue"] > 10
    assert told["stamps_missing"] == {}


def _stamp(kind: StampType, key: int) -> Stamp:
    return Stamp(key, None, None, 0, 0, kind, key, None, None, None, None, StampError(0), 0, b"")


def test_reflect_tells_of_what_left_last() -> None:
    """An ACK of an answer that was told already says nothing new."""
    batches = [[_stamp(StampType.SND, 128)], [_stamp(StampType.SND, 256)],
               [_stamp(StampType.ACK, 128)]]  # fmt: skip
    flights = Flights(is_stream=True)
    for key in (128, 256):
        flights.sent(key, Sent(0, key, key))
    port: Any = SimpleNamespace(
        stamped=SimpleNamespace(stamps=lambda: batches.pop(0)),
        flights=flights, owners={128: (7, 0), 256: (7, 1)},
    )  # fmt: skip
    far = Reflector(parse_reflect(["tcp", f"127.0.0.1:{free_port()}"], {}))
    with contextlib.closing(far):
        client = far._clients[7] = Client()
        seen = []
        for _ in range(3):
            far._file(port)
            seen.append((client.told_seq, client.snd_ns))
    assert seen == [(0, 128), (1, 256), (1, 256)]
