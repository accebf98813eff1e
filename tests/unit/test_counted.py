"""Which sockets metrics look at closely."""

from __future__ import annotations

from nettop.engine.counted import Counted, Steady, counted
from nettop.model.types import Proto
from tests.feeding import FedEngine as Engine
from tests.netlink import connection, done

S = 1_000_000_000


def sweep(engine: Engine, at_s: int, *messages: bytes) -> None:
    engine.feed_begin(at_s * S)
    engine.feed(4026531833, Proto.TCP, b"".join(messages) + done())
    engine.feed_end(at_s * S)
    engine.order(None, True, 100, False)


class _Known:
    def __init__(self, steady: Steady) -> None:
        self.steady: Steady | None = steady
        self.lim_at_ms = 0


def test_there_is_news_of_a_socket_where_anything_moved_or_it_is_not_known() -> None:
    def looked() -> tuple[dict[int, int], list[int]]:
        news, quiet = counted(engine, known)
        for raw, steady in news:
            known[raw[0]] = _Known(steady)
        names = {id(one): cookie for cookie, one in known.items()}
        moved = {one.cookie: one.bytes_acked for one in (Counted._make(raw) for raw, _ in news)}
        return moved, [names[id(one)] for one in quiet]

    engine, known = Engine(), dict[int, _Known]()
    sweep(engine, 10, connection(1, bytes_acked=1000), connection(2, bytes_acked=7))
    assert looked() == ({1: 1000, 2: 7}, [])
    sweep(engine, 11, connection(1, bytes_acked=1000), connection(2, bytes_acked=9))
    assert looked() == ({2: 9}, [1])
    also = connection(2, bytes_acked=9), connection(3, bytes_acked=5)
    sweep(engine, 12, connection(1, bytes_acked=1000), *also)
    known[1].steady = None
    assert looked() == ({1: 1000, 3: 5}, [2])
