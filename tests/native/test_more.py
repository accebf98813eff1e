"""Sockets that /proc/PID/fd does not show, and descriptors that it does not explain."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

native = pytest.importorskip("nettop._native", reason="the C helper is not built")
lib = native.lib

from tests.native import holders  # noqa: E402
from tests.native.proctable import FakeProc, Table  # noqa: E402 - it needs the helper

UNKNOWN, NOT_FOUND, HIDDEN = 0, 5, 6


@pytest.fixture
def fake(tmp_path: Path) -> FakeProc:
    root = tmp_path / "proc"
    root.mkdir()
    return FakeProc(root)


def inode_of(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


@pytest.fixture
def holder(request: pytest.FixtureRequest) -> Iterator[holders.Holder]:
    try:
        with holders.holding(request.param) as one:
            yield one
    except holders.NoIoUringError as e:
        pytest.skip(str(e))


def searched(table: Table, inode: int) -> None:
    """Scans until the search for an inode has ended, one way or the other."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if table.find(inode) is not None or table.why_unknown(inode) != UNKNOWN:
            return
        table.scan()
    pytest.fail("the search does not end")


def not_found(table: Table) -> int:
    """What is said of a socket without holder; another program here may hide its descriptors."""
    return NOT_FOUND if lib.nt_procs_complete(table.handle) else HIDDEN


HIDDEN_PLACES = ("first_thread_ended", "own_table", "registered", "registered_in_own_table",
                 "many_threads")  # fmt: skip


@pytest.mark.parametrize("holder", HIDDEN_PLACES, indirect=True)
def test_a_holder_beyond_the_first_table_is_found_at_once(holder: holders.Holder) -> None:
    table = Table()
    table.scan()
    assert table.owners(holder.inode) == [(holder.pid, holder.fd)]


@pytest.mark.parametrize("holder", HIDDEN_PLACES, indirect=True)
def test_a_holder_that_ended_is_none(holder: holders.Holder) -> None:
    table = Table()
    table.scan()
    holder.process.kill()
    holder.process.wait()
    table.scan()
    assert table.owners(holder.inode) == []


@pytest.mark.parametrize("holder", ["late"], indirect=True)
def test_a_place_that_came_later_is_searched_for_a_socket_without_holder(
    holder: holders.Holder,
) -> None:
    table = Table()
    table.scan()
    holder.go()
    holder.read()
    table.scan()
    assert table.count(holder.inode) == 0
    searched(table, holder.inode)
    assert table.owners(holder.inode) == [(holder.pid, holder.fd)]


@pytest.mark.parametrize("holder", ["in_flight"], indirect=True)
def test_a_socket_in_flight_has_no_holder_that_could_be_found(holder: holders.Holder) -> None:
    table = Table()
    table.scan()
    searched(table, holder.inode)
    assert table.why_unknown(holder.inode) == not_found(table)
    holder.go()
    assert holder.process.stdout is not None
    fd = int(holder.process.stdout.readline())
    for _ in range(5):  # a quiet process is looked at in each fifth scan
        table.scan()
    assert table.owners(holder.inode) == [(holder.pid, fd)]


def test_a_socket_that_moves_from_one_place_to_another() -> None:
    """Its descriptor is closed, and the io_uring instance that held it too, then."""
    table = Table()
    with socket.socket() as sock:
        inode, fd = inode_of(sock), sock.fileno()
        table.scan()
        try:
            ring = holders.ring_of([fd])
        except SystemExit:
            pytest.skip("the kernel refuses io_uring")
        table.scan()
        assert table.owners(inode) == [(os.getpid(), fd)]
    table.scan()
    searched(table, inode)
    assert table.owners(inode) == [(os.getpid(), ring)]
    os.close(ring)
    for _ in range(20):  # the kernel lets go of the files a moment later
        table.scan()
        if not table.owners(inode):
            break
    assert table.owners(inode) == []


RING = "anon_inode:[io_uring]"
HEAD = "pos:\t0\nflags:\t02000002\nSqThread:\t-1\n"


@pytest.mark.parametrize(
    ("fdinfo", "sockets", "unlooked"),
    [
        ("UserFiles:\t3\n    0: socket:[70]\n    2: pipe:[9]\nUserBufs:\t0\n", {70: 4}, 0),
        ("UserFiles:\t2\n    0: <none>\n    1: socket:[70]\n", {70: 4}, 0),
        ("UserFiles:\t0\nUserBufs:\t1\n    0: 0x7000/4096\n", {}, 0),
        ("UserFiles:\t8\nUserBufs:\t0\n", {}, 0),  # eight empty places
        ("UserFiles:\t2\n    0: TCP\n    1: passwd\n", {}, 1),  # Linux before 6.13
        ("UserFiles:\t2\n    0: UDPv6\n    1: MPTCP\n", {}, 2),
        ("PollList:\n", {}, 1),  # busy: it lists nothing
        ("", {}, 1),
        ("UserFiles:\t1\n    0: /tmp/socket:[71]\n" + "x" * 100_000, {}, 0),
        ("UserFiles:\t1\n99999999999: socket:[71]\n", {}, 0),
    ],
)  # fmt: skip
def test_the_list_of_an_io_uring_instance(
    fake: FakeProc, fdinfo: str, sockets: dict[int, int], unlooked: int
) -> None:
    fake.start(5, {3: "/dev/null", 4: RING})
    info = fake.root / "5" / "fdinfo"
    info.mkdir()
    (info / "4").write_text(HEAD + fdinfo)
    table = Table(fake.root)
    stats = table.scan()
    assert {inode: table.owners(inode) for inode in (70, 71) if table.owners(inode)} == {
        inode: [(5, fd)] for inode, fd in sockets.items()
    }
    assert stats.unlooked == unlooked
    # What was not looked into may hold the socket.
    searched(table, 99)
    assert table.why_unknown(99) == (HIDDEN if unlooked else NOT_FOUND)


def test_a_plain_descriptor_is_named_before_a_registered_file(fake: FakeProc) -> None:
    fake.start(5, {4: RING, 9: "socket:[70]"})
    info = fake.root / "5" / "fdinfo"
    info.mkdir()
    (info / "4").write_text("UserFiles:\t1\n    0: socket:[70]\n")
    fake.start(6, {7: "socket:[70]"})
    table = Table(fake.root)
    table.scan()
    assert table.owners(70) == [(5, 9), (6, 7)]
    fake.close(5, 9)
    table.scan()
    assert table.owners(70) == [(5, 4), (6, 7)]
    fake.close(5, 4)
    table.scan()
    assert table.owners(70) == [(6, 7)]


def test_a_search_in_vain_is_made_again_and_ever_more_seldom(fake: FakeProc) -> None:
    for pid in range(1, 40):
        fake.start(pid, {3: f"socket:[{1000 + pid}]"})
    table = Table(fake.root)
    table.scan()
    searched(table, 5)
    searches: list[int] = []
    for scan in range(600):
        assert table.why_unknown(5) == NOT_FOUND  # what was said is not taken back
        # In between a tenth of them has its turn. One search may take several scans.
        if table.scan().rescanned > 8 and (not searches or scan - searches[-1] > 8):
            searches.append(scan)
    assert 4 <= len(searches) <= 8
    assert searches[-1] - searches[0] > 300


def test_a_path_too_long_to_be_told_is_a_descriptor(tmp_path: Path) -> None:
    """It counts among those of its process, which would else be read whole in each scan."""
    home = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir(tmp_path)
    try:
        for _ in range(20):
            Path("d" * 250).mkdir()
            os.chdir("d" * 250)
        deep = os.open("file", os.O_CREAT | os.O_RDONLY)
    finally:
        os.fchdir(home)
        os.close(home)
    with pytest.raises(OSError, match="too long"):
        Path(f"/proc/self/fd/{deep}").readlink()
    socks = [socket.socket() for _ in range(2000)]
    try:
        table = Table()
        lib.nt_procs_gone(table.handle, 1)
        table.scan()
        plain: list[int] = []
        with_long: list[int] = []
        for costs in (with_long, plain):
            for turn in range(6):
                # One more or less: the process has changed, and a report says where.
                if turn % 2:
                    socks.append(socket.socket())
                else:
                    inode = inode_of(socks[-1])
                    socks.pop().close()
                    lib.nt_procs_gone(table.handle, inode)
                costs.append(table.scan().cpu_ns)
            if deep >= 0:
                os.close(deep)
                deep = -1
        assert min(with_long) < 2 * min(plain)
    finally:
        for s in socks:
            s.close()
