"""The process table over a made-up /proc, where every change is under control, and the real one."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

native = pytest.importorskip("nettop._native", reason="the C helper is not built")
ffi, lib = native.ffi, native.lib

from tests.native.proctable import FakeProc, Table  # noqa: E402 - it needs the helper

UNKNOWN, PROC, NOT_FOUND, HIDDEN = 0, 1, 5, 6


@pytest.fixture
def fake(tmp_path: Path) -> FakeProc:
    root = tmp_path / "proc"
    root.mkdir()
    return FakeProc(root)


def test_finds_the_owner_of_a_socket(fake: FakeProc) -> None:
    fake.start(812, {0: "/dev/null", 3: "socket:[123]", 4: "pipe:[124]"}, comm=b"nginx", start=77)
    table = Table(fake.root)
    stats = table.scan()
    proc = table.find(123)
    assert proc is not None
    assert (proc.pid, proc.fd, proc.owner, proc.more, proc.start_ticks) == (812, 3, PROC, 0, 77)
    assert ffi.string(proc.comm) == b"nginx"
    assert table.find(124) is None
    assert (stats.processes, stats.sockets, stats.unreadable, stats.hidden) == (1, 1, 0, 0)


def test_inode_zero_belongs_to_nobody(fake: FakeProc) -> None:
    fake.start(1, {3: "socket:[0]"})
    table = Table(fake.root)
    table.scan()
    assert table.why_unknown(0) == UNKNOWN
    assert table.owners(0) == []


@pytest.mark.parametrize(
    "comm",
    [b"a) S 1 2 (b", b"\x1b[31mred", b"\xff\xfe", b"((((((", b"x\ny", b"",
     b"exactly15bytes!", b") "],
)  # fmt: skip
def test_hostile_names_arrive_as_raw_bytes(fake: FakeProc, comm: bytes) -> None:
    fake.start(9, {1: "socket:[5]"}, comm=comm, start=4242)
    table = Table(fake.root)
    table.scan()
    proc = table.find(5)
    assert proc is not None
    assert ffi.string(proc.comm) == comm[:15]
    assert proc.start_ticks == 4242


@pytest.mark.parametrize(
    "target",
    ["socket:[]", "socket:[-3]", "socket:[12x]", "socket:[4294967296]", "socket:[5", "/socket:[5]",
     "socket:[99999999999999999999999999]", "anon_inode:[eventpoll]"],
)  # fmt: skip
def test_odd_links_are_no_sockets(fake: FakeProc, target: str) -> None:
    fake.start(9, {1: target, 2: "socket:[7]"})
    table = Table(fake.root)
    assert table.scan().sockets == 1
    assert table.pid(7) == 9


def test_odd_directories_are_no_processes(fake: FakeProc) -> None:
    for name in ("self", "12a", "-1", "0", "99999999999", "net"):
        (fake.root / name / "fd").mkdir(parents=True)
        (fake.root / name / "fd" / "3").symlink_to("socket:[5]")
    table = Table(fake.root)
    assert table.scan().processes == 0
    assert table.find(5) is None


def test_an_unchanged_process_is_not_read_again(fake: FakeProc) -> None:
    for pid in range(1, 40):
        fake.start(pid, {3: f"socket:[{pid}]"})
    table = Table(fake.root)
    first = table.scan()
    assert first.rescanned == 39
    second = table.scan()
    # A tenth of the processes has its turn; nobody changed.
    assert second.rescanned <= 4
    assert second.generation == first.generation


def test_opening_and_closing_is_seen_in_the_next_scan(fake: FakeProc) -> None:
    fake.start(5, {3: "socket:[30]"})
    table = Table(fake.root)
    before = table.scan().generation
    fake.open(5, 4, "socket:[40]")
    opened = table.scan().generation
    assert opened > before
    assert table.owners(40) == [(5, 4)]
    fake.close(5, 3)
    assert table.scan().generation > opened
    assert table.find(30) is None
    assert table.pid(40) == 5


def test_generation_stays_when_only_files_change(fake: FakeProc) -> None:
    fake.start(5, {3: "socket:[30]"})
    table = Table(fake.root)
    before = table.scan().generation
    fake.open(5, 4, "/etc/passwd")
    stats = table.scan()
    assert stats.rescanned == 1
    assert stats.generation == before


def test_exit_removes_the_owner(fake: FakeProc) -> None:
    fake.start(5, {3: "socket:[30]"})
    fake.start(6, {3: "socket:[30]"})
    table = Table(fake.root)
    before = table.scan().generation
    fake.exit(5)
    stats = table.scan()
    assert stats.generation > before
    assert table.owners(30) == [(6, 3)]
    fake.exit(6)
    stats = table.scan()
    assert (stats.sockets, stats.processes, stats.netns_count) == (0, 0, 0)
    assert table.find(30) is None


def test_a_reused_pid_is_another_process(fake: FakeProc) -> None:
    fake.start(5, {3: "socket:[30]"}, comm=b"old", start=1)
    table = Table(fake.root)
    table.scan()
    fake.exit(5)
    fake.start(5, {3: "socket:[31]"}, comm=b"new", start=2)
    table.scan()
    assert table.find(30) is None
    proc = table.find(31)
    assert proc is not None
    assert (proc.start_ticks, ffi.string(proc.comm)) == (2, b"new")


def test_preforked_listener_has_all_its_owners(fake: FakeProc) -> None:
    pids = [300, 7, 42, 100]
    for pid in pids:
        fake.start(pid, {pid % 10: "socket:[9]"})
    table = Table(fake.root)
    table.scan()
    assert table.owners(9) == [(pid, pid % 10) for pid in sorted(pids)]
    assert table.owners(9, limit=2) == [(7, 7), (42, 2)]
    assert table.count(9) == 4
    first = table.find(9)
    assert first is not None
    assert (first.pid, first.more) == (7, 3)
    fake.exit(7)
    table.scan()
    first = table.find(9)
    assert first is not None
    assert (first.pid, first.more) == (42, 2)


def test_duplicates_of_one_process_count_once(fake: FakeProc) -> None:
    fake.start(7, {9: "socket:[9]", 3: "socket:[9]", 11: "socket:[9]"})
    fake.start(8, {4: "socket:[9]"})
    table = Table(fake.root)
    table.scan()
    assert table.owners(9) == [(7, 3), (8, 4)]
    fake.close(7, 3)
    table.scan()
    assert table.owners(9) == [(7, 9), (8, 4)]
    fake.close(7, 9)
    fake.close(7, 11)
    table.scan()
    assert table.owners(9) == [(8, 4)]


def test_reported_close_finds_the_socket_that_took_its_descriptor(fake: FakeProc) -> None:
    for pid in range(1, 60):
        fake.start(pid, {3: f"socket:[{1000 + pid}]", 4: f"socket:[{2000 + pid}]"})
    table = Table(fake.root)
    table.scan()
    fake.replace_unseen(50, 3, "socket:[77]")
    assert lib.nt_procs_gone(table.handle, 1050) == 1
    table.scan()
    assert table.owners(77) == [(50, 3)]
    assert table.find(1050) is None
    assert table.owners(2050) == [(50, 4)]


def test_who_held_a_socket_is_remembered_for_two_scans(fake: FakeProc) -> None:
    """One that two processes hold is held as long as one of them does."""
    fake.start(5, {3: "socket:[30]", 4: "socket:[40]", 5: "socket:[40]"})
    fake.start(6, {3: "socket:[30]"})
    table = Table(fake.root)
    table.scan()
    assert table.former(30) is None
    fake.close(5, 3)
    fake.close(5, 4)
    table.scan()
    assert (table.pid(30), table.pid(40), table.former(40)) == (6, 5, None)
    shutil.rmtree(fake.root / "5")
    shutil.rmtree(fake.root / "6")
    table.scan()
    assert (table.pid(30), table.pid(40)) == (None, None)
    assert (table.former(30), table.former(40), table.former(41)) == (6, 5, None)
    before = table.scan().generation
    assert table.former(40) == 5
    assert table.scan().generation > before, "filters are asked again"
    assert table.former(40) is None


def test_reported_close_that_is_none_changes_nothing(fake: FakeProc) -> None:
    fake.start(5, {3: "socket:[30]"})
    fake.start(6, {4: "socket:[30]"})
    table = Table(fake.root)
    before = table.scan().generation
    assert lib.nt_procs_gone(table.handle, 30) == 2
    assert lib.nt_procs_gone(table.handle, 31) == 0
    assert table.scan().generation == before
    assert table.owners(30) == [(5, 3), (6, 4)]


def test_a_miss_makes_the_next_scan_look_everywhere(fake: FakeProc) -> None:
    for pid in range(1, 60):
        fake.start(pid, {3: f"socket:[{1000 + pid}]"})
    table = Table(fake.root)
    table.scan()
    fake.replace_unseen(50, 3, "socket:[77]")
    assert table.find(77) is None
    table.scan()
    assert table.pid(77) == 50


def test_slices_find_an_unseen_change_in_time(fake: FakeProc) -> None:
    for pid in range(1, 60):
        fake.start(pid, {3: f"socket:[{1000 + pid}]"})
    table = Table(fake.root)
    table.scan()
    fake.replace_unseen(50, 3, "socket:[77]")
    for _ in range(40):
        table.scan()
        if table.count(77):  # owners() asks without a hint
            break
    assert table.owners(77) == [(50, 3)]


def test_nobody_is_said_only_after_everybody_was_read(fake: FakeProc) -> None:
    for pid in range(1, 30):
        fake.start(pid, {3: f"socket:[{1000 + pid}]"})
    table = Table(fake.root)
    table.scan()
    assert lib.nt_procs_complete(table.handle) == 1
    assert table.why_unknown(5555) == UNKNOWN
    for _ in range(5):
        table.scan()
        if table.why_unknown(5555) == NOT_FOUND:
            break
    assert table.why_unknown(5555) == NOT_FOUND
    # A settled question costs no further search.
    table.scan()
    assert table.scan().rescanned <= 3
    fake.open(9, 8, "socket:[5555]")
    table.scan()
    assert table.pid(5555) == 9


def test_a_name_changed_by_exec_is_noticed(fake: FakeProc) -> None:
    fake.start(1, {3: "socket:[1]"})
    table = Table(fake.root)
    table.scan()
    fake.start(5, {3: "socket:[30]"}, comm=b"sh")
    before = table.scan().generation
    fake.name(5, b"java")
    assert table.scan().generation > before
    proc = table.find(30)
    assert proc is not None
    assert ffi.string(proc.comm) == b"java"


def test_without_sizes_everything_is_read_again(fake: FakeProc) -> None:
    (fake.root / "self").mkdir()
    (fake.root / "self" / "fd").write_bytes(b"")  # its size is 0, as before Linux 6.2
    for pid in range(1, 60):
        fake.start(pid, {3: f"socket:[{1000 + pid}]"})
    table = Table(fake.root)
    table.scan()
    fake.replace_unseen(50, 3, "socket:[77]")
    # As many at a time as its time allows, which a busy machine may use up.
    rescanned = 0
    for _ in range(100):
        rescanned += table.scan().rescanned
        if rescanned >= 59:
            break
    assert rescanned >= 59
    assert table.owners(77) == [(50, 3)]


def test_namespaces_have_a_process_inside(fake: FakeProc) -> None:
    fake.start(5, {3: "socket:[30]"}, netns=111)
    fake.start(6, netns=111)
    fake.start(7, netns=222)
    table = Table(fake.root)
    assert table.scan().netns_count == 2
    assert table.netns() == {111: 5, 222: 7}
    fake.exit(5)
    fake.exit(7)
    assert table.scan().netns_count == 1
    assert table.netns() == {111: 6}
    fake.start(8, netns=333)
    table.scan()
    assert table.netns() == {111: 6, 333: 8}


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    out = ffi.new("struct nt_procs **")
    assert lib.nt_procs_new(os.fsencode(tmp_path / "none"), out) == -2
    assert out[0] == ffi.NULL


def test_asking_while_scanning_from_another_thread(fake: FakeProc) -> None:
    for pid in range(1, 80):
        fake.start(pid, {fd: f"socket:[{pid * 100 + fd}]" for fd in range(3, 9)})
    table = Table(fake.root)
    table.scan()
    ended = threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        while not ended.is_set():
            for pid in range(40, 80):
                proc = table.find(pid * 100 + 3)
                if proc is None or proc.pid != pid:
                    wrong.append(pid)
                lib.nt_procs_gone(table.handle, pid * 100 + 4)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for t in threads:
        t.start()
    for round_ in range(30):
        for pid in range(1, 20):
            fake.open(pid, 20 + round_, f"socket:[{100000 + pid * 100 + round_}]")
        table.scan()
    ended.set()
    for t in threads:
        t.join()
    assert wrong == []


# --- the real /proc ---


def inode_of(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def test_own_sockets_are_found() -> None:
    table = Table()
    with socket.socket() as sock:
        table.scan()
        proc = table.find(inode_of(sock))
        assert proc is not None
        assert (proc.pid, proc.fd) == (os.getpid(), sock.fileno())
        comm = Path("/proc/self/comm").read_bytes().rstrip(b"\n")
        assert ffi.string(proc.comm) == comm
        stat = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        assert proc.start_ticks == int(stat[19])
        assert Path("/proc/self/ns/net").stat().st_ino in table.netns()


def test_reopening_a_descriptor_between_scans_is_found() -> None:
    table = Table()
    sock = socket.socket()
    table.scan()
    old, fd = inode_of(sock), sock.fileno()
    sock.close()
    with socket.socket() as again:
        assert again.fileno() == fd  # the count is the same: only the report tells
        lib.nt_procs_gone(table.handle, old)
        table.scan()
        assert (os.getpid(), fd) in table.owners(inode_of(again))
        assert table.find(old) is None


@pytest.fixture
def many() -> Iterator[list[socket.socket]]:
    socks = [socket.socket() for _ in range(400)]
    yield socks
    for s in socks:
        s.close()


def test_a_large_process_is_read_in_parts(many: list[socket.socket]) -> None:
    """A file replaced by a socket in the midst of many: no report, no hint, only slices."""
    table = Table()
    fd = many[200].fileno()
    many[200].close()
    file = os.open("/dev/null", os.O_RDONLY)
    assert file == fd
    table.scan()
    assert all(table.pid(inode_of(s)) == os.getpid() for i, s in enumerate(many) if i != 200)
    os.close(file)
    many[200] = socket.socket()
    assert many[200].fileno() == fd
    wanted = inode_of(many[200])
    for _ in range(4000):  # other programs' descriptors have their turns between
        table.scan()
        if table.count(wanted):
            break
    assert table.owners(wanted) == [(os.getpid(), fd)]
    assert all(table.pid(inode_of(s)) == os.getpid() for s in many)


def test_a_child_that_inherits_and_ends() -> None:
    table = Table()
    with socket.socket() as sock:
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(30)"], pass_fds=[sock.fileno()]
        )
        try:
            deadline = time.monotonic() + 5
            want = sorted([os.getpid(), child.pid])
            while time.monotonic() < deadline:
                table.scan()
                if [pid for pid, _ in table.owners(inode_of(sock))] == want:
                    break
            assert [pid for pid, _ in table.owners(inode_of(sock))] == want
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        table.scan()
        assert [pid for pid, _ in table.owners(inode_of(sock))] == [os.getpid()]


RECEIVER = """
import os, socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
channel.send(b"ready")
_, fds, _, _ = socket.recv_fds(channel, 1, 1)
channel.send(b"taken")
channel.recv(1)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").stat().st_size, reason="before Linux 6.2: no sizes")
def test_what_a_quiet_process_is_handed_is_found_within_five_scans() -> None:
    table = Table()
    ours, theirs = socket.socketpair()
    with socket.socket() as sock, ours:
        child = subprocess.Popen(
            [sys.executable, "-c", RECEIVER, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
        theirs.close()
        try:
            assert ours.recv(5) == b"ready"
            for _ in range(12):  # a process is quiet after ten scans without a change
                table.scan()
            socket.send_fds(ours, [b"x"], [sock.fileno()])
            assert ours.recv(5) == b"taken"
            for _ in range(5):
                table.scan()
            held = [pid for pid, _ in table.owners(inode_of(sock))]
            assert held == sorted([os.getpid(), child.pid])
        finally:
            child.kill()
            child.wait()
        table.scan()  # that it ended is seen at once
        assert [pid for pid, _ in table.owners(inode_of(sock))] == [os.getpid()]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_other_users_processes_are_counted_not_guessed() -> None:
    script = """
import os, socket, sys
sys.path[:0] = %r
from nettop._native import ffi, lib
sock = socket.socket()
inode = os.fstat(sock.fileno()).st_ino
if os.fork() == 0:
    os.execvp("sleep", ["sleep", "1"])  # runs as root and holds nothing
os.set_inheritable(sock.fileno(), True)
child = os.fork()
if child == 0:
    os.execvp("sleep", ["sleep", "1"])  # runs as root and holds the socket
os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
sock.close()
p = ffi.new("struct nt_procs **"); lib.nt_procs_new(b"/proc", p)
s = ffi.new("struct nt_procs_stats *"); lib.nt_procs_scan(p[0], s)
proc = ffi.new("struct nt_proc *")
for _ in range(5):
    found = lib.nt_procs_find(p[0], inode, proc)
    lib.nt_procs_scan(p[0], s)
print(found, proc.owner, s.unreadable > 1, lib.nt_procs_complete(p[0]))
""" % [str(Path(p).absolute()) for p in sys.path if p]
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    assert out.stdout.split() == ["0", str(HIDDEN), "True", "0"], out.stderr


@pytest.mark.skipif(not shutil.which("unshare") or os.getuid() != 0, reason="needs unshare")
def test_a_pid_namespace_hides_processes() -> None:
    script = (
        "import sys; sys.path[:0] = %r\n"
        "from nettop._native import ffi, lib\n"
        "p = ffi.new('struct nt_procs **'); lib.nt_procs_new(b'/proc', p)\n"
        "s = ffi.new('struct nt_procs_stats *'); lib.nt_procs_scan(p[0], s)\n"
        "print(s.hidden, lib.nt_procs_complete(p[0]))\n"
    ) % [str(Path(p).absolute()) for p in sys.path if p]
    out = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", script],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert out.stdout.split() == ["1", "0"], out.stderr


def truth() -> dict[int, list[tuple[int, int]]]:
    """inode → own descriptors, read the slow way."""
    found: dict[int, list[tuple[int, int]]] = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            link = str(entry.readlink())
        except FileNotFoundError:
            continue  # the directory's own descriptor
        if link.startswith("socket:["):
            found.setdefault(int(link[8:-1]), []).append((os.getpid(), int(entry.name)))
    return {inode: [min(fds)] for inode, fds in found.items()}


@pytest.mark.parametrize("seed", range(6))
def test_a_large_process_that_opens_and_closes_is_followed(seed: int) -> None:
    """Reports of closed sockets let the scan read only what changed; the result is the same."""
    rng = random.Random(seed)
    table = Table()
    gc.collect()  # sockets of earlier tests must not close unreported halfway
    socks = [socket.socket() for _ in range(500)]
    files: list[int] = []
    try:
        lib.nt_procs_gone(table.handle, 1)  # from now on closed sockets are reported
        table.scan()
        for _ in range(25):
            for _ in range(rng.randrange(1, 12)):
                victim = socks.pop(rng.randrange(len(socks)))
                inode = inode_of(victim)
                victim.close()
                lib.nt_procs_gone(table.handle, inode)
            socks += [socket.socket() for _ in range(rng.randrange(12))]
            if files and rng.random() < 0.3:
                os.close(files.pop())
            if rng.random() < 0.3:
                files.append(os.open("/dev/null", os.O_RDONLY))
            table.scan()
            for inode, owners in truth().items():
                assert table.owners(inode) == owners
        # One that nobody reported, as a socket of another kind: the count gives it away.
        socks.pop(3).close()
        table.scan()
        assert table.scan().sockets >= len(socks)
        for inode, owners in truth().items():
            assert table.owners(inode) == owners
    finally:
        for s in socks:
            s.close()
        for fd in files:
            os.close(fd)


def test_a_report_that_comes_late_still_leads_to_the_new_socket(many: list[socket.socket]) -> None:
    table = Table()
    lib.nt_procs_gone(table.handle, 1)
    table.scan()
    old = inode_of(many[300])
    fd = many[300].fileno()
    many[300].close()
    many.append(many.pop(300))
    many[-1] = socket.socket()
    assert many[-1].fileno() == fd
    table.scan()  # nothing to see: the count is the same
    lib.nt_procs_gone(table.handle, old)
    table.scan()
    assert table.owners(inode_of(many[-1])) == [(os.getpid(), fd)]
    assert table.find(old) is None
