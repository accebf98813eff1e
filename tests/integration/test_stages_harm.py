"""TX stages leave programs, other tools and the kernel as they were."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nettop.model.types import PlaneHas
from nettop.poller import LiveFeed
from nettop.sources import stages
from tests.ending.screen import HANGS, Screen
from tests.integration import sockops
from tests.integration.bpfobjects import held, left_of, shown, until, verified
from tests.integration.namespaces import inside, namespace, needs_root, run
from tests.integration.sends import (
    SO_TIMESTAMPING,
    cgroup_root,
    connection,
    cookie_of,
    feed_of,
    flag_set,
    inside_walk,
    plane_of,
    select,
    sent,
    take,
)

pytestmark = [needs_root, pytest.mark.usefixtures("at_once")]


def test_a_program_that_stamps_its_own_sends_is_left_alone(
    ends: tuple[socket.socket, socket.socket], feed: LiveFeed
) -> None:
    """Stamps by control message: the key must stay that of the stamped write (10 bytes: 9)."""
    sender, _ = ends
    software, raw_id, id_tcp, ts_only, tx_sw = 0x10, 0x80, 0x10000, 0x800, 0x2
    select(feed, sender)
    sender.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, software | raw_id | id_tcp | ts_only)
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    record = struct.pack("I", tx_sw)
    sender.sendmsg([b"x" * 10], [(socket.SOL_SOCKET, SO_TIMESTAMPING, record)])
    sender.send(b"x" * 20)
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    time.sleep(0.05)
    _, control, _, _ = sender.recvmsg(0, 500, socket.MSG_ERRQUEUE)
    keys = [struct.unpack_from("IBBBBII", d)[6] for level, kind, d in control if kind == 11]
    assert keys == [9]
    plane = feed._collector.planes.stages
    assert plane is not None
    assert sent(feed, sender).tx_sends == 0
    assert plane.last is not None
    assert plane.last.own_stamps == 2
    sender.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, software | raw_id | ts_only | tx_sw)
    sender.send(b"x" * 20)
    assert sent(feed, sender).tx_sends == 0
    assert plane.last.own_stamps == 3


def test_programs_are_verified_in_a_moment(feed: LiveFeed) -> None:
    """A million instructions, the kernel's limit, are two seconds of every start."""
    assert feed._collector.planes.stages is not None
    assert max(verified(os.getpid())) < 40_000


# --- others, and what remains ---


def test_flags_are_cleared_on_sockets_that_live_on(
    space: str, ends: tuple[socket.socket, socket.socket]
) -> None:
    with feed_of(space) as feed:
        select(feed, *ends)
        assert flag_set(space, ends[0])
    assert not flag_set(space, ends[0])
    assert not flag_set(space, ends[1])


def test_flags_of_all_sockets_are_cleared_too(
    space: str, ends: tuple[socket.socket, socket.socket]
) -> None:
    with namespace() as elsewhere, feed_of(space, every=1) as feed:
        feed.tick()
        later = connection(space, space)
        other = connection(elsewhere, elsewhere)
        assert flag_set(space, ends[0])
        assert flag_set(space, later[0])
        assert not flag_set(elsewhere, other[0]), "that namespace is not looked at"
        feed.close()
        for sock in (*ends, *later):
            assert not flag_set(space, sock)
        for sock in (*later, *other):
            sock.close()


def test_a_flag_of_another_tool_stays(
    space: str, ends: tuple[socket.socket, socket.socket], feed: LiveFeed
) -> None:
    sender, receiver = ends
    with inside_walk(space) as walks, plane_of() as tool:
        tool.select([cookie_of(sender)])
        tool.apply(walks)
        select(feed, *ends)
        status = {s.name: s for s in feed._collector.planes.statuses()}["stages"]
        assert status.state == "partial"
        assert status.reason is not None
        assert "1 socket" in status.reason
        sender.sendall(b"x")
        take(receiver, 1)
        time.sleep(0.05)
        assert sent(feed, sender).tx_sends == 1, "measured all the same"
        select(feed)
        assert flag_set(space, sender)
        assert not flag_set(space, receiver)
        tool.close(walks)
    assert not flag_set(space, sender)


def test_another_tools_syn_timeout_stays(space: str) -> None:
    hz_250 = 250
    ask = (
        "import os,socket,struct,sys\n"
        "open(sys.argv[1]+'/cgroup.procs','w').write(str(os.getpid()))\n"
        "s=socket.socket(); s.setblocking(False); s.connect_ex(('10.77.0.2',9))\n"
        "print(struct.unpack_from('I',s.getsockopt(6,11,200),8)[0])"
    )

    def syn_rto_us(group: str) -> int:
        return int(inside(space, lambda: run(sys.executable, "-c", ask, group)))

    run("ip", "-n", space, "link", "add", "w0", "type", "veth", "peer", "name", "w1")
    try:
        run("ip", "-n", space, "addr", "add", "10.77.0.1/24", "dev", "w0")
        for link in ("w0", "w1"):
            run("ip", "-n", space, "link", "set", link, "up")
        run("ip", "-n", space, "neigh", "add", "10.77.0.2", "lladdr", "02:00:00:00:00:09",
            "dev", "w0")  # fmt: skip
        with sockops.cgroup_below(cgroup_root()) as group:
            usual = syn_rto_us(group)
            with sockops.attached(group, syn_rto_jiffies=3 * hz_250):
                theirs = syn_rto_us(group)
                with feed_of(space, every=1) as feed:
                    feed.tick()
                    ours_too = syn_rto_us(group)
            assert theirs > usual
            assert ours_too == theirs
    finally:
        run("ip", "-n", space, "link", "del", "w0")


def test_an_exclusive_program_is_a_reason(
    space: str, ends: tuple[socket.socket, socket.socket]
) -> None:
    with (
        sockops.cgroup_below(cgroup_root()) as group,
        sockops.attached(group, exclusive=True),
        inside_walk(space) as walks,
        plane_of(group) as plane,
    ):
        plane.select([cookie_of(ends[0])])
        plane.apply(walks)
        status = plane.status()
        assert status.state == "off"
        assert status.reason == "another sockops program holds the root cgroup for itself"
        assert not flag_set(space, ends[0]), "what cannot be heard is not switched on"


def test_leftover_flags_can_be_cleared(
    space: str, ends: tuple[socket.socket, socket.socket]
) -> None:
    """As after a SIGKILL: flags without their program."""
    with sampling(space) as killed:
        # Asking for the flag sets it for a moment, which the walk must not meet.
        assert killed.stdout is not None
        assert all(killed.stdout.readline() for _ in range(8))
    assert flag_set(space, ends[0]), "nothing was left to clear"
    with (
        sockops.cgroup_below(cgroup_root()) as group,  # only nettop's own programs are there
        inside_walk(space) as walks,
        plane_of(group) as plane,
    ):
        with sockops.attached(group), pytest.raises(RuntimeError, match="1 other"):
            plane.clear_all(walks)
        assert plane.clear_all(walks) >= 2
    assert not flag_set(space, ends[0])


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGINT])
def test_nothing_remains(space: str, end: signal.Signals) -> None:
    with sampling(space) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        ids = held(child.pid)
        names = {str(item.get("name")) for item in shown("prog") if item["id"] in ids["prog"]}
        assert any(name.startswith("stages_") for name in names), names
        assert all(left_of(ids).values())
        child.send_signal(end)
        child.communicate(timeout=60)
        until(lambda: not any(left_of(ids).values()))


@contextmanager
def sampling(space: str) -> Iterator[subprocess.Popen[bytes]]:
    """A nettop that stamps the sends of all sockets there."""
    child = subprocess.Popen(
        [sys.executable, "-m", "nettop", "--ndjson", "-d", "0.2", "--tx-sample", "1", "-N", space],
        stdout=subprocess.PIPE,
    )
    with child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize(
    ("module", "name", "method"),
    [("tui.screens.main", "MainScreen", "refresh_header"), ("collect", "Collector", "model")],
)
def test_flags_are_cleared_whatever_hangs(
    space: str, ends: tuple[socket.socket, socket.socket], module: str, name: str, method: str
) -> None:
    """The event loop, which is to take them back, or the poller's thread, whose they are."""
    # Later than the first whole picture.
    code = HANGS.format(module=module, name=name, method=method, after=20)
    within = ["nsenter", f"--net=/run/netns/{space}"]
    screen = Screen("--tx-sample", "1", "-d", "0.1", code=code, within=within)
    try:
        screen.until(b"TCP health")
        screen.read(3)
        assert flag_set(space, ends[0])
        screen.child.send_signal(signal.SIGTERM)
        assert screen.ended() == 128 + signal.SIGTERM
    finally:
        screen.close()
    assert not flag_set(space, ends[0])


def test_what_a_selected_socket_costs(
    ends: tuple[socket.socket, socket.socket], feed: LiveFeed
) -> None:
    sender, receiver = ends
    feed.tick()
    before = feed.detail(cookie_of(sender))
    assert before is not None
    select(feed, sender)
    sender.sendall(b"x")
    take(receiver, 1)
    feed.tick()
    detail = feed.detail(cookie_of(sender))
    assert detail is not None
    limit = int(Path("/proc/sys/net/core/optmem_max").read_text())
    charged = detail.skmem["optmem"] - before.skmem["optmem"]
    assert 0 < charged <= limit * 0.05


def test_a_daemon_that_needs_a_nics_stamps(
    veth: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sampled sends would take their place: no flag is set, and the plane says for whom."""
    monkeypatch.setattr(stages, "CLAIM_EVERY_S", 0.0)
    sender, receiver = connection(*veth, "10.9.0.2")
    with sender, receiver, feed_of(*veth) as feed:
        monkeypatch.setattr(stages, "claimed", lambda: "ptp4l (pid 7) needs them")
        select(feed, sender)
        model = feed.latest()
        assert model is not None
        status = model.source("stages")
        assert status is not None
        assert (status.state, status.reason) == ("off", "ptp4l (pid 7) needs them")
        monkeypatch.setattr(stages, "claimed", lambda: None)
        assert not flag_set(veth[0], sender)
        feed.tick()
        assert flag_set(veth[0], sender), "it ended"
        sender.sendall(b"x" * 100)
        assert sent(feed, sender).tx_sends == 1
        monkeypatch.setattr(stages, "claimed", lambda: "ptp4l (pid 7) needs them")
        feed.tick()
        assert not sent(feed, sender).has & PlaneHas.TX, "nothing remains of what was told"
    with feed_of(*veth) as feed:
        plane = feed._collector.planes.stages
        assert plane is not None
        status = plane.ability()
        assert (status.state, status.method) == ("partial", "tracepoints")
        assert status.reason is not None
        first = status.reason.partition("; ")[0]
        assert first == "qdisc and ack only: ptp4l (pid 7) needs them"
