"""The diag plane against the kernel: which sockets are listed, and what is said if a dump fails."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nettop import headless
from nettop.collect import PollOptions
from nettop.export.formats import Format
from nettop.export.snapshot import write_tick
from nettop.feed import BETWEEN_S, Grouping
from nettop.model.types import Model, Proto, Row, SourceStatus
from nettop.poller import LiveFeed
from nettop.query import compile_filter
from nettop.sources import PlaneOptions, netns
from nettop.sources.loaded import Planes
from nettop.text.columns import endpoint
from nettop.text.ss_command import ss_command
from tests.integration.namespaces import inside, namespace, needs_root, run

pytestmark = needs_root

IPPROTO_MPTCP = 262
NO_BPF = PlaneOptions(bpf=False)


@pytest.fixture
def space() -> Iterator[str]:
    with namespace() as name:
        yield name


def rows_of(feed: LiveFeed) -> list[Row]:
    feed.tick()
    return list(feed.window(0, feed.count()))


def mptcp_pair(stack: ExitStack, name: str, host: str) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    make = partial(socket.socket, family, socket.SOCK_STREAM, IPPROTO_MPTCP)
    listener, client = (stack.enter_context(inside(name, make)) for _ in range(2))
    listener.bind((host, 0))
    listener.listen(9)
    client.connect(listener.getsockname()[:2])
    server, _ = listener.accept()
    return client, stack.enter_context(server)


def test_what_is_bound_and_not_connected_is_listed_when_it_is_asked_for(space: str) -> None:
    """The kernel walks all ports for these, which is nearly as much as all else that it walks."""
    with ExitStack() as stack:
        bound = stack.enter_context(inside(space, socket.socket))
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        every = PollOptions(netns=(space,), rows_all=True, planes=NO_BPF)
        if port not in {
            r.rec.sport for r in rows_of(stack.enter_context(closing(LiveFeed(every))))
        }:
            pytest.skip("a kernel that lists none of them (before 6.8)")
        usual = PollOptions(netns=(space,), planes=NO_BPF)
        feed = stack.enter_context(closing(LiveFeed(usual)))
        model = feed.tick()
        assert (model.totals.tcp, model.totals.by_state) == (0, {"TIME_WAIT": 0})
        for text in ("state closed", f"not state established and sport = :{port}"):
            feed.set_filter(compile_filter(text))
            assert [(r.rec.sport, r.state_name) for r in rows_of(feed)] == [(port, "CLOSE")], text
        feed.set_filter(compile_filter(f"sport = :{port}"))
        assert rows_of(feed) == []


@pytest.mark.skipif(not Path("/proc/sys/net/mptcp").exists(), reason="a kernel without MPTCP")
@pytest.mark.needs_tools("ss")
def test_mptcp_sockets_are_those_of_ss(space: str) -> None:
    with ExitStack() as stack:
        for host in ("127.0.0.1", "::1"):
            client, _ = mptcp_pair(stack, space, host)
            client.sendall(b"x" * 700)
        said = run("ip", "netns", "exec", space, "ss", "-HManeO").splitlines()
        options = PollOptions(netns=(space,), rows_all=True, planes=NO_BPF)
        feed = stack.enter_context(closing(LiveFeed(options)))
        rows = {r.cookie: r for r in rows_of(feed) if r.proto == Proto.MPTCP}
        assert len(said) == 6
        for line in said:
            found = re.search(r"sk:([0-9a-f]+)", line)
            assert found is not None
            row = rows.pop(int(found[1], 16))
            state, rqueue, wqueue, local, remote, *_ = line.split()
            assert {"ESTAB": "ESTABLISHED"}.get(state, state) == row.state_name
            assert (int(rqueue), int(wqueue)) == (row.rec.rqueue, row.rec.wqueue)
            assert local.endswith(f":{row.rec.sport}")
            assert remote.endswith(f":{row.rec.dport or '*'}")
        assert not rows
        model = feed.latest()
        assert model is not None
        assert model.totals.mptcp == 6
        options = PollOptions(netns=(space,), planes=NO_BPF)
        usual = stack.enter_context(closing(LiveFeed(options)))
        assert usual.tick().totals.mptcp == 4, "the connections"
        usual.set_filter(compile_filter("state listening and proto = mptcp"))
        assert usual.tick().totals.matched == 2


# Without a kernel that lacks a module or refuses: sendto() of a request of so many bytes fails,
# or recvfrom() into a buffer of so many.
# TCP's legacy request has 76, TCP's by family and UDP's 72, MPTCP's 80.
REFUSE = """
import ctypes, os, struct, sys
def refuse(lengths, error, receiving=False):
    call = {"x86_64": 44, "aarch64": 206}[os.uname().machine] + receiving
    ops = [(0x20, 0, 0, 0), (0x15, 0, len(lengths) + 1, call), (0x20, 0, 0, 32)]
    ops += [(0x15, len(lengths) - i, 0, n) for i, n in enumerate(lengths)]
    ops += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050000 | error)]
    program = b"".join(struct.pack("=HBBI", *op) for op in ops)
    held = ctypes.create_string_buffer(program)
    prog = struct.pack("@HP", len(ops), ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    for args in ((38, 1, 0, 0, 0), (22, 2, prog)):
        if libc.prctl(*args):
            raise OSError(ctypes.get_errno(), f"prctl {args[0]}")
"""
LEGACY, BY_FAMILY, MPTCP = 76, 72, 80


def refused_run(
    space: str, lengths: tuple[int, ...], error: int, *args: str, receiving: bool = False
) -> subprocess.CompletedProcess[str]:
    """`nettop ARGS` in the namespace, under the filter."""
    script = (
        f"{REFUSE}\nrefuse({lengths}, {error}, {receiving})\nos.execv(sys.executable, sys.argv[1:])"
    )
    argv = [sys.executable, "-c", script, sys.executable, "-m", "nettop", "--no-bpf", *args]
    return subprocess.run(
        ["ip", "netns", "exec", space, *argv], capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lengths", "error", "missing", "why"),
    [
        ((BY_FAMILY,), errno.ENOENT, "udp", "the kernel has no udp_diag (ENOENT)"),
        ((BY_FAMILY,), errno.EPERM, "udp", "a seccomp filter refuses it (EPERM)"),
        ((BY_FAMILY,), errno.ENOBUFS, "udp", "(ENOBUFS)"),
        ((MPTCP,), errno.ENOENT, "mptcp", "the kernel has no mptcp_diag (ENOENT)"),
    ],
)
def test_one_protocol_that_cannot_be_dumped(
    space: str, lengths: tuple[int, ...], error: int, missing: str, why: str
) -> None:
    """In a namespace without any socket: nothing listed is no failure."""
    done = refused_run(space, lengths, error, "--json", "--once")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert {p for p in ("tcp", "udp", "mptcp") if p not in said["totals"]} == {missing}
    (diag,) = (s for s in said["sources"] if s["name"] == "diag")
    assert diag["state"] == "partial"
    assert diag["reason"].startswith(f"{missing.upper()} sockets are not listed: ")
    assert why in diag["reason"]
    if error == errno.ENOENT:
        assert diag["fix"] == f"modprobe {missing}_diag"
    text = refused_run(space, lengths, error, "--once").stdout
    assert (" udp – " in text) == (missing == "udp")


def test_a_legacy_request_that_is_refused_costs_nothing(space: str) -> None:
    done = refused_run(space, (LEGACY,), errno.EACCES, "--json", "--once")
    assert json.loads(done.stdout)["sources"][0]["state"] == "ok"


def test_no_protocol_at_all_is_an_error_in_one_line(space: str) -> None:
    done = refused_run(space, (LEGACY, BY_FAMILY, MPTCP), errno.EACCES, "--json", "--once")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nettop: cannot read sockets: TCP sockets are not listed: ")
    assert len(done.stderr.splitlines()) == 1


def test_messages_lost_at_every_read_end_in_an_error(space: str) -> None:
    done = refused_run(space, (65536,), errno.ENOBUFS, "--json", "--once", receiving=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "messages were lost three times in a row (ENOBUFS)" in done.stderr


def test_closed_sockets_go_while_another_protocol_cannot_be_dumped(space: str) -> None:
    script = f"""{REFUSE}
import socket
import subprocess
import sys
from nettop.collect import PollOptions
from nettop.export.snapshot import write_tick
from nettop.feed import Grouping
from nettop.export.formats import Format
from nettop.sources import PlaneOptions
from nettop.sources.loaded import Planes
from nettop.poller import LiveFeed
from nettop.query import compile_filter
from nettop.text.columns import endpoint
from nettop.sources import netns
listener = socket.create_server(("127.0.0.1", 0))
ends = []
for n in range(7):
    ends += [socket.create_connection(listener.getsockname()), listener.accept()[0]]
refuse(({BY_FAMILY},), {errno.ENOENT})
feed = LiveFeed(PollOptions(rows_all=False, planes=PlaneOptions(bpf=False)))
for n in range(3):
    feed.tick()
    print(feed.count(), end=" ")
    for end in ends[2:]:
        end.close()
feed.close()
"""
    assert run("ip", "netns", "exec", space, sys.executable, "-c", script) == "14 14 2 "


def peer_is_there(space: str) -> bool:
    return "v0" in run("ip", "-n", space, "-br", "link")


def soon(condition: Callable[[], bool]) -> bool:
    """The kernel takes a namespace apart on its own time."""
    end = time.monotonic() + 5
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def diag_of(model: Model) -> SourceStatus:
    status = model.source("diag")
    assert status is not None
    return status


def make_again(name: str, peer_in: str) -> None:
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    peer = ("peer", "name", "v0", "netns", peer_in)
    run("ip", "-n", name, "link", "add", "v0", "type", "veth", *peer)


@pytest.mark.parametrize("paused", [False, True])
def test_a_namespace_made_again_under_its_name(space: str, paused: bool) -> None:
    name = f"{space}-again"
    make_again(name, space)
    with ExitStack() as stack:
        held = inside(name, lambda: socket.create_server(("127.0.0.1", 0)))
        options = PollOptions(netns=(name,), rows_all=True, planes=NO_BPF)
        feed = stack.enter_context(closing(LiveFeed(options)))
        assert [r.rec.sport for r in rows_of(feed)] == [held.getsockname()[1]]
        feed.set_paused(paused)
        held.close()
        run("ip", "netns", "del", name)
        feed.tick()
        assert soon(lambda: not peer_is_there(space)), "what is watched cannot end"
        feed.set_paused(False)
        for _ in range(3):
            model = feed.tick()
        status = diag_of(model)
        assert (status.state, feed.count()) == ("partial", 0)
        assert f"network namespace {name} is gone" in (status.reason or "")
        assert (model.totals.netns, model.totals.tcp) == (0, None)

        make_again(name, space)
        stack.callback(run, "ip", "netns", "del", name)
        again = stack.enter_context(inside(name, lambda: socket.create_server(("127.0.0.1", 0))))
        feed.tick()
        assert [r.rec.sport for r in rows_of(feed)] == [again.getsockname()[1]]
        assert diag_of(feed.tick()).state == "ok"


def test_a_namespace_made_again_between_two_ticks(space: str) -> None:
    name = f"{space}-again"
    make_again(name, space)
    with ExitStack() as stack:
        options = PollOptions(netns=(name,), rows_all=True, planes=NO_BPF)
        feed = stack.enter_context(closing(LiveFeed(options)))
        assert rows_of(feed) == []
        run("ip", "netns", "del", name)
        run("ip", "netns", "add", name)
        stack.callback(run, "ip", "netns", "del", name)
        made = stack.enter_context(inside(name, lambda: socket.create_server(("0.0.0.0", 0))))
        feed.tick()
        assert [r.rec.sport for r in rows_of(feed)] == [made.getsockname()[1]]
        assert soon(lambda: not peer_is_there(space))


def test_a_process_that_names_a_namespace_ends(space: str) -> None:
    with ExitStack() as stack:
        child = subprocess.Popen(["unshare", "--net", "sleep", "60"])
        stack.callback(child.kill)
        own = Path("/proc/self/ns/net").stat().st_ino
        there = Path(f"/proc/{child.pid}/ns/net")
        assert soon(lambda: there.stat().st_ino != own)
        run("ip", "-n", space, "link", "add", "v0", "type", "veth",
            "peer", "name", "v0", "netns", str(child.pid))  # fmt: skip
        options = PollOptions(netns=(str(child.pid),), planes=NO_BPF)
        feed = stack.enter_context(closing(LiveFeed(options)))
        assert diag_of(feed.tick()).state == "ok"
        child.kill()
        child.wait()
        feed.tick()
        assert soon(lambda: not peer_is_there(space))
        status = diag_of(feed.tick())
        assert status.state == "partial"
        assert status.reason == f"process {child.pid} has ended: its namespace is let go"


def test_a_process_that_enters_another_namespace_is_followed(space: str) -> None:
    script = """
import ctypes, os, sys
for line in sys.stdin:
    os.setns(os.open(line.strip(), os.O_RDONLY), 0x40000000) if hasattr(os, "setns") else \
        __import__("ctypes").CDLL(None).setns(os.open(line.strip(), os.O_RDONLY), 0x40000000)
    print(flush=True)
"""
    with ExitStack() as stack:
        other = stack.enter_context(namespace())
        made = stack.enter_context(inside(other, lambda: socket.create_server(("127.0.0.1", 0))))
        child = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True,
            )
        )  # fmt: skip
        stack.callback(child.kill)
        assert child.stdin is not None
        assert child.stdout is not None

        def enter(name: str) -> None:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(f"/run/netns/{name}\n")
            child.stdin.flush()
            child.stdout.readline()

        enter(space)
        options = PollOptions(netns=(str(child.pid),), rows_all=True, planes=NO_BPF)
        feed = stack.enter_context(closing(LiveFeed(options)))
        assert rows_of(feed) == []
        enter(other)
        feed.tick()
        assert [r.rec.sport for r in rows_of(feed)] == [made.getsockname()[1]]


LINK_LOCAL = "fe80::2"


@pytest.fixture
def two_links() -> Iterator[tuple[str, list[str]]]:
    """A namespace with two links, each to a namespace whose address is fe80::2."""
    with ExitStack() as stack:
        near, *far = (stack.enter_context(namespace()) for _ in range(3))
        for n, name in enumerate(far):
            run("ip", "-n", near, "link", "add", f"eth{n}", "type", "veth",
                "peer", "name", "v0", "netns", name)  # fmt: skip
            for where, dev, last in ((near, f"eth{n}", 1), (name, "v0", 2)):
                run("ip", "-n", where, "link", "set", dev, "addrgenmode", "none")
                run("ip", "-n", where, "addr", "add", f"fe80::{last}/64", "dev", dev, "nodad")
                run("ip", "-n", where, "link", "set", dev, "up")
        yield near, far


@pytest.mark.needs_tools("ss")
def test_two_hosts_of_one_link_local_address(two_links: tuple[str, list[str]]) -> None:
    near, far = two_links
    with ExitStack() as stack:
        cookies = []
        for n, name in enumerate(far):
            make = partial(socket.create_server, ("::", 8080), family=socket.AF_INET6)
            stack.enter_context(inside(name, make))
            there = (LINK_LOCAL, 8080, 0, inside(near, partial(socket.if_nametoindex, f"eth{n}")))
            client = stack.enter_context(inside(near, partial(socket.socket, socket.AF_INET6)))
            client.connect(there)
            cookies.append(int.from_bytes(client.getsockopt(socket.SOL_SOCKET, 57, 8), "little"))
        feed = stack.enter_context(closing(LiveFeed(PollOptions(netns=(near,), planes=NO_BPF))))
        feed.tick()
        rows = [feed.find(cookie) for cookie in cookies]
        assert [row.dev for row in rows if row] == ["eth0", "eth1"]
        assert [endpoint(row, local=False) for row in rows if row] == [
            f"[{LINK_LOCAL}%eth{n}]:8080" for n in (0, 1)
        ]
        groups = {g.title: g for g in feed.groups(Grouping.REMOTE)}
        assert {t: g.sockets for t, g in groups.items()} == {
            f"[{LINK_LOCAL}%eth{n}]:8080": 1 for n in (0, 1)
        }
        texts = [g.filter_text for _, g in sorted(groups.items())]
        for n, text in [*enumerate(texts), (1, "dev = eth1"), (0, f"dst = [{LINK_LOCAL}%eth0]")]:
            feed.set_filter(compile_filter(text))
            assert [row.cookie for row in feed.window(0, 9)] == [cookies[n]], text
        row = feed.find(cookies[1])
        assert row is not None
        shown = run("sh", "-c", ss_command(row))
        assert f"{LINK_LOCAL}]:8080" in shown
        assert shown.count("ino:") == 1
        said = json.loads(b"".join(snapshot_of(feed, feed.tick())))["sockets"]
        assert [(s["dev"], s["remote"]["addr"]) for s in said] == [("eth0", LINK_LOCAL)]


def test_one_address_in_two_namespaces() -> None:
    """127.0.0.1 is another host in each."""
    with ExitStack() as stack:
        names = [stack.enter_context(namespace()) for _ in range(2)]
        for name in names:
            serve = partial(socket.create_server, ("127.0.0.1", 80))
            server = stack.enter_context(inside(name, serve))
            connect = partial(socket.create_connection, server.getsockname())
            stack.enter_context(inside(name, connect))
            stack.enter_context(server.accept()[0])
        options = PollOptions(netns=tuple(names), planes=NO_BPF)
        feed = stack.enter_context(closing(LiveFeed(options)))
        feed.tick()
        groups = {g.title: g for g in feed.groups(Grouping.LOCAL)}
        assert {t: g.sockets for t, g in groups.items()} == {
            f"127.0.0.1 in {name}": 2 for name in names
        }
        feed.set_filter(compile_filter(groups[f"127.0.0.1 in {names[0]}"].filter_text))
        assert {row.netns_name for row in feed.window(0, 9)} == {names[0]}
        feed.set_filter(compile_filter("dev = lo"))
        assert feed.count() == 0, "nothing is bound to it"


def snapshot_of(feed: LiveFeed, model: Model) -> list[bytes]:
    parts: list[bytes] = []
    write_tick(parts.append, feed, model, Format.JSON)
    return parts


def test_what_a_plane_could_not_do_in_a_namespace(
    space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    both = [SourceStatus("wait", "ok", "exact"), SourceStatus("stages", "off", None, "unused")]
    monkeypatch.setattr(Planes, "seed", refuse)
    monkeypatch.setattr(Planes, "statuses", lambda _self: tuple(both))
    with closing(LiveFeed(PollOptions(netns=(space,), planes=NO_BPF))) as feed:
        status = feed.tick().source("wait")
        assert status is not None
        assert status.state == "partial"
        assert status.reason == "unread data of a namespace was not found: Cannot allocate memory"
        both[1] = SourceStatus("stages", "ok")
        feed._collector._walk_namespaces(refuse)
        status = feed.tick().source("stages")
        assert status is not None
        assert status.state == "partial"
        assert "sends of 1 of 1 namespaces are not measured" in (status.reason or "")
        feed._collector._walk_namespaces(lambda _fd: None)
        assert feed.tick().source("stages") == SourceStatus("stages", "ok")


def test_counters_that_cannot_be_opened_are_missed(
    space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = netns.open_fds

    def half(inode: int, path: str) -> Any:
        fds = whole(inode, path)
        os.close(fds.snmp_fd)
        fds.snmp_fd = -1
        return fds

    monkeypatch.setattr(netns, "open_fds", half)
    with closing(LiveFeed(PollOptions(netns=(space,), planes=NO_BPF))) as feed:
        model = feed.tick()
        assert model.totals.retrans_per_s is None
        assert "/proc/net of 1 namespaces cannot be opened" in (diag_of(model).reason or "")


@pytest.mark.needs_tools("setpriv")
def test_namespaces_that_may_not_be_entered_are_left_out(space: str) -> None:
    argv = ["setpriv", "--bounding-set=-sys_admin", sys.executable, "-m", "nettop"]
    asked = [*argv, "--no-bpf", "--json", "--once", "-N"]
    done = subprocess.run([*asked, "all"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["totals"]["netns"] == 1
    (diag,) = (s for s in said["sources"] if s["name"] == "diag")
    assert diag["state"] == "partial"
    assert "namespaces left out" in diag["reason"]
    assert "needs CAP_SYS_ADMIN, which root lacks here" in diag["reason"]
    done = subprocess.run([*asked, space], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "needs CAP_SYS_ADMIN" in done.stderr


@pytest.mark.parametrize("screen", [False, True], ids=["headless", "thread"])
def test_a_long_interval_holds_no_namespace(space: str, screen: bool) -> None:
    name = f"{space}-again"
    make_again(name, space)
    options = PollOptions(delay_s=60, netns=(name,), planes=NO_BPF)
    with closing(LiveFeed(options)) as feed:
        feed.tick()
        if screen:
            feed.start(lambda: None)
            time.sleep(0.5)  # it looks once at its start
        run("ip", "netns", "del", name)
        if not screen:
            headless.Pace(BETWEEN_S + 0.1).wait(feed)
        assert soon(lambda: not peer_is_there(space))
