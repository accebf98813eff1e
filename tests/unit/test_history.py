"""Points of histories: what a row and its detail say, asked for all sockets at once."""

from __future__ import annotations

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.engine.handle import Engine
from nettop.history import NUMBERS, points_of
from nettop.model.types import Point, Proto
from tests.feeding import FedEngine, waited
from tests.netlink import connection, diag, done, mptcp, skmeminfo

S = 10**9


def fed() -> FedEngine:
    """Connections in two sweeps, a listener, one that ended, UDP, MPTCP, a kernel of long ago."""
    engine = FedEngine()
    engine.config.rows_all = engine.config.mptcp = 1
    engine.configure()
    for at in (1, 2, 3):
        engine.feed_begin(at * S)
        tcp = connection(
            1, rtt=12_345, snd_cwnd=7, bytes_acked=at * 1000, bytes_received=at * 3000,
            total_retrans=at, delivery_rate=1 << 40, rqueue=11, wqueue=22,
        )  # fmt: skip
        tcp += connection(2, rtt=0, delivery_rate=0)
        tcp += connection(3, 104, rtt=99, snd_cwnd=4)
        tcp += diag(4, state="LISTEN", rqueue=1, wqueue=128)
        tcp += diag(5, state="TIME_WAIT")
        engine.feed(1, Proto.TCP, tcp + (connection(6) if at < 3 else b"") + done())
        udp = diag(7, state="CLOSE", rqueue=512, attrs={"skmeminfo": skmeminfo()})
        engine.feed(1, Proto.UDP, udp + done())
        engine.feed(1, Proto.MPTCP, mptcp(8, rqueue=5) + done())
        engine.feed_end(at * S)
    engine.order(None, descending=True, upto=100, keep=False)
    return engine


def of_row(engine: Engine, cookie: int) -> list[object] | None:
    """Of one socket, as Field.value reads them."""
    row = engine.find(cookie)
    if row is None:
        return None
    return [field.value(row, engine.detail(cookie)) for field in NUMBERS]


def test_they_are_those_that_row_and_detail_have() -> None:
    engine = fed()
    cookies = range(1, 10)
    points = dict(points_of(engine, cookies, 77))
    numbers = {
        cookie: [*point[1:9], sum(point.wait_octaves) if point.wait_octaves else None]
        for cookie, point in points.items()
    }
    of_rows = {cookie: of_row(engine, cookie) for cookie in cookies}
    assert numbers == {cookie: values for cookie, values in of_rows.items() if values is not None}
    assert set(points) >= {1, 2, 3, 4, 5, 7, 8}
    assert 9 not in points  # no such socket


def test_known_answers() -> None:
    points = dict(points_of(fed(), (4, 1, 2), 77))
    assert [*points] == [4, 1, 2]  # in the order in which they were asked for
    assert points[1] == Point(77, 12_345_000, 7, 1.0, 1000.0, 3000.0, 22, 11, float(1 << 40))
    assert points[2][1] is points[2].delivery_bytes_per_s is None  # 0: not measured
    assert points[4] == Point(77, None, None, None, None, None, 128, 1, None)


def test_octaves_of_the_waits_of_the_interval() -> None:
    engine = waited([[1.0] * 3, [1.0, 1.0, 90.0]])
    row = engine.find(1)
    assert row is not None
    (point,) = (point for _, point in points_of(engine, (1,), 0))
    assert point.wait_octaves is not None
    octave_1ms, octave_90ms = (int(ms * 10**6).bit_length() - 6 for ms in (1, 90))
    found = {i: n for i, n in enumerate(point.wait_octaves) if n}
    assert found == {octave_1ms: 2, octave_90ms: 1}


def test_a_socket_without_a_wait_has_no_octaves() -> None:
    (quiet,) = (point for _, point in points_of(fed(), (1,), 0))
    assert quiet.wait_octaves is None
