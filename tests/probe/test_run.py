"""probe and reflect as a user runs them, against each other and against strangers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median_low

import pytest

from nettop.probe.legs import Leg
from nettop.probe.report import probe_object
from nettop.probe.service import ServiceProber
from nettop.probe.wire import ANSWER, GREETING, Header, answer, header_of, request
from tests.integration.namespaces import needs_root, run
from tests.integration.relay import crossings, relayed, tapped
from tests.integration.sends import BURST, RATE, near, shaped
from tests.probe.peers import (
    NETTOP,
    free_port,
    nettop,
    probed,
    queued_bytes,
    queued_connections,
    reflector,
    reporting,
    reports,
    udp_peer,
    unexplained,
    until,
)

REFLECT_LEGS = {"send", "qdisc", "net_out", "far_in", "far_app", "far_out", "net_back", "wait",
                "round"}  # fmt: skip
# Parts meet at one stamp each; round is of another clock, read beside.
SLACK_NS = 20_000
MS = 1_000_000
DELAYED_ACK_NS = 40 * MS
SERVICE_LEGS = (Leg.CONNECT, Leg.SEND, Leg.QDISC, Leg.ACK)


def test_a_named_file_has_the_object(tmp_path: Path) -> None:
    path = tmp_path / "probe.json"
    with reflector("udp", f"127.0.0.1:{(port := free_port())}"):
        words = ("probe", "udp", f"127.0.0.1:{port}", "-c", "3", "-i", "0.01", "-o", str(path))
        code, out, errors = nettop(*words, "--json")
        assert (code, out, errors) == (0, "", "")
        assert json.loads(path.read_bytes())["answered"] == 3
        path.unlink()
        code, out, errors = nettop(*words)
    assert (code, errors) == (0, "")
    assert "round" in out
    assert json.loads(path.read_bytes())["answered"] == 3


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_the_parts_of_the_way_are_the_way(proto: str, host: str) -> None:
    with reflector(f":{free_port()}") as (_, bound):
        assert len(bound) == 4, bound
        port = bound[0].rpartition(":")[2]
        code, out, errors = nettop("probe", proto, f"{host}:{port}", "-c", "30", "-i", "0.01",
                                   "--json")  # fmt: skip
    assert (code, errors) == (0, "")
    told = json.loads(out)
    assert (told["schema"], told["far"], told["same_kernel"]) == ("nettop.probe/1", "reflect", True)
    assert (told["sent"], told["answered"], told["lost"], told["duplicates"]) == (30, 30, 0, 0)
    assert (told["stamps_missing"], told["errors"], told["clocks_disagree"]) == ({}, {}, 0)
    legs = told["legs"]
    assert set(legs) == REFLECT_LEGS | ({"ack"} if proto == "tcp" else set())
    counts = {name: leg["count"] for name, leg in legs.items()}
    # The last answer's own stamps would have come with the next one.
    assert {n for name, n in counts.items() if name not in ("far_out", "net_back")} == {30}
    assert 15 <= counts["far_out"] == counts["net_back"] <= 29
    rest, most = unexplained(legs)
    assert -SLACK_NS * 30 <= rest <= most + SLACK_NS * 30
    assert sum(n for _, _, n in legs["round"]["buckets"]) == 30


def test_lines_and_table_without_a_terminal() -> None:
    with reflector("udp", f"127.0.0.1:{free_port()}") as (_, bound):
        code, out, errors = nettop("probe", "udp", bound[0], "-c", "3", "--rate", "100")
    assert (code, errors) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"probe udp {bound[0]}, every 0.01 s; Ctrl-C ends"
    assert [line.split()[0] for line in lines[1:4]] == ["seq=0", "seq=1", "seq=2"]
    assert lines[5] == f"udp {bound[0]}  sent 3 lost 0 late 0"
    assert lines[6].endswith("one clock, one-way times are exact")
    assert lines[-1].startswith("round    send() → answer read")


def test_the_far_queue_wait_of_a_stopped_reflector() -> None:
    """Requests that lay in its socket while it did not run, as probe and as reflect tell it."""
    with reporting() as (far, port):
        far.send_signal(signal.SIGSTOP)
        before = time.monotonic_ns()
        probe = subprocess.Popen(
            [*NETTOP, "probe", "udp", f"127.0.0.1:{port}", "-c", "1", "-W", "20", "--json"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        until(lambda: queued_bytes(port))
        lies = time.monotonic_ns()
        time.sleep(0.2)
        least = time.monotonic_ns() - lies
        far.send_signal(signal.SIGCONT)
        [own] = reports(far, 1)
        most = time.monotonic_ns() - before
        told = json.loads(probe.communicate(timeout=30)[0])
    waited = told["legs"]["far_in"]["max_ns"]
    assert least <= waited <= most
    assert waited <= told["legs"]["round"]["max_ns"]
    rest, untold = unexplained(told["legs"])
    assert -SLACK_NS <= rest <= untold
    assert own["rx_wait"]["max_ns"] == waited
    assert own["answered"] == 1


def test_a_reflector_that_is_slow_to_greet_is_no_service() -> None:
    with reflector("tcp", f"127.0.0.1:{(port := free_port())}") as (far, _):
        far.send_signal(signal.SIGSTOP)
        probe = subprocess.Popen(
            [*NETTOP, "probe", "tcp", f"127.0.0.1:{port}", "-c", "1", "--json"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        until(lambda: queued_connections(port))
        time.sleep(0.4)
        far.send_signal(signal.SIGCONT)
        told = json.loads(probe.communicate(timeout=30)[0])
    assert (told["far"], told["answered"]) == ("reflect", 1)


def test_a_plain_echo() -> None:
    with udp_peer(lambda _n, data: [data]) as port:
        told = probe_object(probed("udp", f"127.0.0.1:{port}", "-c", "10", "-i", "0.01"))
    assert (told["far"], told["answered"], told["garbage"]) == ("echo", 10, 0)
    assert set(told["legs"]) == {"send", "qdisc", "net", "wait", "round"}


def test_losses_duplicates_disorder_and_garbage_are_counted() -> None:
    late: list[bytes] = []

    def answers(number: int, data: bytes) -> Sequence[bytes]:
        match number:
            case 2:
                return []
            case 4:
                return [data, data, data]
            case 6:
                late.append(data)
                return []
            case 7:
                return [data, late.pop()]
            case 8:
                return [b"", b"garbage", request(8, 1, 128), data[:-1], data]
        return [data]

    with udp_peer(answers) as port:
        words = ("udp", f"127.0.0.1:{port}", "-c", "12", "-i", "0.02", "-W", "2")
        tally = probed(*words).tally
    assert (tally.sent, tally.answered, tally.lost) == (12, 11, 1)
    assert (tally.duplicates, tally.reordered, tally.garbage) == (2, 1, 4)
    assert tally.overdue == 0
    assert tally.loss_pct == pytest.approx(100 / 12)


def test_an_answer_after_the_time_limit_is_overdue_not_lost() -> None:
    def answers(number: int, data: bytes) -> Sequence[bytes]:
        if number == 3:
            time.sleep(0.8)
        return [data]

    with udp_peer(answers) as port:
        tally = probed("udp", f"127.0.0.1:{port}", "-c", "30", "-i", "0.05", "-W", "0.5").tally
    assert (tally.sent, tally.answered, tally.lost) == (30, 30, 0)
    assert tally.overdue >= 1


def test_an_echo_without_room_for_times() -> None:
    with reflector("udp", f"127.0.0.1:{free_port()}") as (_, bound):
        code, out, _ = nettop("probe", "udp", bound[0], "-c", "3", "-i", "0.01", "-s", "64")
    assert code == 0
    assert "an echo, or reflect and too little room: -s 96" in out


# --- TCP services ---


def test_a_service_is_connected_to_and_left() -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        port = server.getsockname()[1]

        def serve() -> None:
            for _ in range(6):
                sock, _address = server.accept()
                with sock:
                    sock.settimeout(2)
                    heard.append(b"".join(iter(partial(sock.recv, 100), b"")))

        thread = threading.Thread(target=serve)
        thread.start()
        prober = probed("tcp", f"127.0.0.1:{port}", "-c", "5", "-i", "0.02")
        thread.join()
    assert isinstance(prober, ServiceProber)
    tally = prober.tally
    assert heard == [b"", *[b"\r\n"] * 5]  # the first asks whether it is reflect: no word
    assert (tally.sent, tally.answered, tally.lost) == (5, 5, 0)
    assert {leg: t.count for leg, t in tally.legs.items()} == dict.fromkeys(SERVICE_LEGS, 5)
    assert prober.tcp_info["rtt"] > 0
    assert +tally.stamps_missing == {}


def test_a_service_that_greets_is_not_taken_for_reflect() -> None:
    for words in (b"220 mail\r\n", GREETING[:-3] + b"xx\n", b""):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(5)

            def serve(words: bytes = words, server: socket.socket = server) -> None:
                for _ in range(3):
                    sock, _address = server.accept()
                    with sock:
                        sock.send(words)

            thread = threading.Thread(target=serve)
            thread.start()
            prober = probed("tcp", f"127.0.0.1:{server.getsockname()[1]}", "-c", "2", "-i", "0.02")
            thread.join()
        assert isinstance(prober, ServiceProber)
        assert prober.tally.answered == 2


def test_a_service_that_resets_is_not_waited_for() -> None:
    """It closes before the empty line comes, of which no ACK can come then."""

    def serve() -> None:
        for _ in range(11):  # the first is to see what answers
            server.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        began = time.monotonic()
        tally = probed("tcp", f"127.0.0.1:{port}", "-c", "10", "-i", "0.01", "-W", "20").tally
        took_s = time.monotonic() - began
        thread.join()
    assert took_s < 10
    assert (tally.answered, tally.lost) == (10, 0)
    resets = tally.errors["the far end reset the connection"]
    assert resets >= tally.stamps_missing["ack"]


def test_a_far_end_that_turns_into_garbage_ends_the_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def serve() -> None:
            sock, _ = server.accept()
            with sock:
                sock.send(GREETING)
                sock.recv(1000)
                sock.send(b"HTTP/1.1 400 Bad Request\r\n\r\nmore of what is no answer")
                time.sleep(0.2)

        thread = threading.Thread(target=serve)
        thread.start()
        code, _, errors = nettop("probe", "tcp", f"127.0.0.1:{server.getsockname()[1]}", "-c", "3")
        thread.join()
    assert code == 1
    assert errors.count("\n") == 1
    assert "answers what is no nettop reflect" in errors


# --- known answers ---


@needs_root
@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_a_delay_on_the_way(proto: str) -> None:
    """20 ms each way: the round trip, the legs of the network and TCP's ACK."""
    with (
        relayed(20 * MS) as (a, b, _),
        tapped(a, b) as (here, there),
        reflector(proto, "10.7.0.2:9000", netns=b),
    ):
        code, out, errors = nettop("probe", proto, "10.7.0.2:9000", "-c", "20", "-i", "0.1", "-W",
                                   "5", "-s", "200", "--json", netns=a)  # fmt: skip
        took = {"net_out": crossings(here, there, 200), "net_back": crossings(there, here, 200)}
    assert (code, errors) == (0, "")
    legs = json.loads(out)["legs"]
    took["net_back"].pop()  # nothing tells when the last answer left
    for name, times in took.items():
        assert legs[name]["count"] == len(times)
        assert min(times) >= 20 * MS
        assert legs[name]["p50_ns"] == near(median_low(times)), "half of them are no longer"
        assert legs[name]["max_ns"] == near(max(times))
        assert legs[name]["sum_ns"] == near(sum(times))
    rest, most = unexplained(legs)
    assert -SLACK_NS * 20 <= rest <= most + SLACK_NS * 20
    if proto == "tcp":
        # The answer carries the ACK, unless it is so late that the kernel sends one by itself.
        ways = ("net_out", "far_in", "far_app", "far_out", "net_back")
        rest = legs["ack"]["sum_ns"] - sum(legs[way]["sum_ns"] for way in ways)
        assert rest <= most + SLACK_NS * 20
        if legs["far_in"]["max_ns"] + legs["far_app"]["max_ns"] < DELAYED_ACK_NS:
            assert rest >= -SLACK_NS * 20


@needs_root
def test_losses_and_repeats_of_the_network() -> None:
    with relayed(1_000_000) as (a, b, relay), reflector("udp", "10.7.0.2:9000", netns=b):
        # Every packet counts, both ways: requests have even numbers while nothing is lost.
        relay.shape = lambda n: [] if n == 4 else [0, 0] if n == 9 else [0]
        code, out, _ = nettop("probe", "udp", "10.7.0.2:9000", "-c", "20", "-i", "0.05", "-W", "1",
                              "--json", netns=a)  # fmt: skip
    told = json.loads(out)
    assert code == 0
    assert (told["sent"], told["answered"], told["lost"]) == (20, 19, 1)
    assert told["duplicates"] == 1


@needs_root
def test_the_queue_of_the_own_device(veth: tuple[str, str]) -> None:
    """A token bucket smaller than a probe's burst: SCHED to SND is size over rate."""
    size = 20_000
    with reflector("tcp", "10.9.0.2:9000", netns=veth[1]), shaped(veth[0]):
        code, out, errors = nettop("probe", "tcp", "10.9.0.2:9000", "-c", "15", "-i", "0.1", "-s",
                                   str(size), "--json", netns=veth[0])  # fmt: skip
    assert (code, errors) == (0, "")
    legs = json.loads(out)["legs"]
    wire = size + -(-size // 1448) * 66
    assert legs["qdisc"]["p50_ns"] == near((wire - BURST) / RATE * 1e9)


# --- reflect does no harm ---


def test_reflect_answers_probes_alone() -> None:
    with (
        reporting() as (far, port),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.connect(("127.0.0.1", port))
        good = request(1, 7, 128)
        for wrong in (b"", b"x" * 500, good[:-1], good + b"x",
                      answer(Header(ANSWER, 1, 7, 128), None)):  # fmt: skip
            sock.send(wrong)
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(2000)
        sock.settimeout(20)
        for size in (32, 95, 96, 1400):
            sock.send(request(size, 7, size))
            back = sock.recv(2000)
            assert len(back) == size
            assert header_of(back) == Header(ANSWER, size, 7, size)
        said = reports(far, 9)
    assert [sum(s[name] for s in said) for name in ("answered", "strangers")] == [4, 5]
    assert sum(s["rx_wait"]["count"] for s in said) == 9
    assert {s["clients"] for s in said if s["answered"]} == {1}


def test_reflect_hangs_up_on_strangers() -> None:
    with (
        reflector("tcp", f"127.0.0.1:{free_port()}") as (far, bound),
        socket.create_connection(("127.0.0.1", int(bound[0].rpartition(":")[2]))) as sock,
    ):
        sock.settimeout(2)
        assert sock.recv(100) == GREETING
        sock.send(b"GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n")
        assert sock.recv(100) == b""
        assert far.poll() is None


def test_reflect_stays_on_loopback_unless_told() -> None:
    port = free_port()
    with reflector(f":{port}") as (far, bound):
        assert {b.rpartition(":")[0] for b in bound} == {"127.0.0.1", "[::1]"}
        listening = run("ss", "-Htuln", f"sport = :{port}")
        assert far.poll() is None
    local = sorted(line.split()[4] for line in listening.splitlines())
    assert local == [f"127.0.0.1:{port}"] * 2 + [f"[::1]:{port}"] * 2


# --- bad input, one line each ---


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [("probe tcp 127.0.0.1:1 -c 2", 1, "connection refused: nothing listens there"),
     ("probe udp 127.0.0.1:1 -c 5", 1, "port unreachable: nothing listens there"),
     ("probe udp nosuch.invalid:9", 1, "nosuch.invalid: no such host"),
     ("probe udp 127.0.0.1:9 -6", 1, "127.0.0.1: no such host with an IPv6 address"),
     ("probe udp 127.0.0.1:9 -I nosuch0 -c 1", 1, "-I nosuch0: no such interface (here: lo"),
     ("probe udp 127.0.0.1", 2, "is no HOST:PORT"),
     ("probe udp 127.0.0.1:0", 2, "is no HOST:PORT"),
     ("probe udp 127.0.0.1:65536", 2, "is no HOST:PORT"),
     ("probe udp ::1:9", 2, "[::1]:9"),
     ("probe udp :9", 2, "names no host"),
     ("probe udp 127.0.0.1:9 -s 31", 2, "takes bytes, 32 to 60000, not '31'"),
     ("probe udp 127.0.0.1:9 -i nan", 2, "takes seconds"),
     ("probe udp 127.0.0.1:9 -i 1 --rate 3", 2, "not allowed with"),
     ("probe udp 127.0.0.1:9 -c 0", 2, "takes a whole number"),
     ("probe sctp 127.0.0.1:9", 2, "choose from"),
     ("probe", 2, "required"),
     ("reflect", 2, "required"),
     ("reflect tcp", 2, "takes [tcp|udp] and one ADDR:PORT"),
     ("reflect udp 192.0.2.1:9000", 1, "udp 192.0.2.1:9000: no such address here")],
)  # fmt: skip
def test_bad_input_is_one_line(words: str, code: int, says: str) -> None:
    got, out, errors = nettop(*words.split())
    assert (got, errors.count("\n")) == (code, 1), errors
    assert errors.startswith("nettop: ")
    assert says in errors
    assert "Traceback" not in errors + out


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, errors = nettop("reflect", "tcp", f"127.0.0.1:{port}", "-n", "1")
    assert (code, errors) == (1, f"nettop: tcp 127.0.0.1:{port}: the port is in use\n")


def test_silence_is_a_failure() -> None:
    with udp_peer(lambda _n, _data: []) as port:
        target = f"127.0.0.1:{port}"
        code, out, errors = nettop("probe", "udp", target, "-c", "3", "-i", "0.01", "-W", "0.2")
    assert (code, errors) == (1, f"nettop: udp {target}: no answer to 3 probes\n")
    assert out.count("lost") == 3


def test_interrupted_it_prints_the_table() -> None:
    with udp_peer(lambda _n, data: [data]) as port:
        process = subprocess.Popen(
            [*NETTOP, "probe", "udp", f"127.0.0.1:{port}", "-i", "0.05"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        while "seq=3" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "")
    assert "round    send() → answer read" in out


@needs_root
def test_no_privilege_is_needed() -> None:
    """As nobody, with no capability: every stamp is there."""
    with reflector("udp", f"127.0.0.1:{free_port()}") as (_, bound):
        done = subprocess.run(
            ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
             "--bounding-set", "-all", *NETTOP, "probe", "udp", bound[0], "-c", "5", "-i", "0.01",
             "--json"],
            capture_output=True, text=True, timeout=20, check=False, cwd="/",
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
    if "ermission" in done.stderr and "python" in done.stderr:
        pytest.skip("nobody may not read this interpreter's files")
    told = json.loads(done.stdout)
    assert (told["answered"], told["stamps_missing"], told["errors"]) == (5, {}, {})
    assert set(told["legs"]) == REFLECT_LEGS
