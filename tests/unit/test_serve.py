"""nettop serve answers scrapers, and no peer can make it wait, grow or end."""

from __future__ import annotations

import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nettop.errors import NettopError, UsageError
from nettop.serve import options as serve_options
from nettop.serve import server as serving
from nettop.serve.answers import Answers
from nettop.serve.command import _listen
from nettop.serve.options import ALL_SOCKETS, parse_serve
from nettop.serve.request import (
    HEAD_BYTES,
    OPENMETRICS,
    PROTOBUF,
    TEXT,
    BadRequest,
    Request,
    check_host,
    parse,
    takes_gzip,
    wanted_format,
)
from nettop.serve.server import CONNECTIONS_MOST, Answer, Server
from tests.unit.test_exposition import exported

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROTOBUF_OF_PROMETHEUS = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)
GET = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def hello(request: Request) -> Answer:
    if request.path == "/big":
        return Answer(b"x" * 20_000_000)
    return Answer(b"hello")


@contextmanager
def running(answers: serving.Answers = hello) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), answers)
    server.start(lambda: None)
    try:
        yield server
    finally:
        server.close()
        assert server.failure is None


def connect(server: Server) -> socket.socket:
    sock = socket.create_connection(server.address, timeout=10)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    return sock


def answer(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the next answer."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = sock.recv(65_536)
        assert more, got
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers["content-length"]):
        more = sock.recv(65_536)
        assert more
        body += more
    return int(first.split()[1]), headers, body


def asked(server: Server, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    with connect(server) as sock:
        sock.sendall(raw)
        return answer(sock)


def ends(sock: socket.socket) -> bool:
    """The server closed the connection."""
    try:
        while sock.recv(65_536):
            pass
    except ConnectionError:
        pass
    return True


# --- requests ---


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b", 400),
        (b"\x16\x03\x01\x02\x00 TLS", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/2.0", 400),
        (b"GET / HTTP/1.1\r\nNo colon here", 400),
        (b"GET / HTTP/1.1\r\n folded: yes", 400),
        (b"POST /metrics HTTP/1.1", 405),
        (b"DELETE /metrics HTTP/1.1", 405),
        (b"GET / HTTP/1.1\r\nContent-Length: 5", 413),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked", 413),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1", 400),
    ],
)
def test_what_is_no_request_is_refused(raw: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(raw)
    assert caught.value.status == status


def test_a_connection_stays_open_as_http_has_it() -> None:
    cases = {b"1.1\r\nHost: x": True, b"1.1\r\nConnection: Close": False, b"1.0": False,
             b"1.0\r\nConnection: keep-alive": True}  # fmt: skip
    for rest, keep in cases.items():
        assert parse(b"GET /metrics?x=1 HTTP/" + rest).keep is keep


def test_an_empty_line_after_the_request_before_does_no_harm() -> None:
    assert parse(b"\r\nGET /metrics HTTP/1.1\r\nHost: x").path == "/metrics"
    with pytest.raises(BadRequest):
        parse(b"\r\n\r\nGET / HTTP/1.1")


@pytest.mark.parametrize(
    "target", ["http://localhost:9478/metrics?x=1", "HTTP://127.0.0.1/metrics"]
)
def test_a_proxy_asks_by_the_whole_address(target: str) -> None:
    """RFC 9112, 3.2.2: every server has to take it; the name in it stands for Host."""
    request = parse(f"GET {target} HTTP/1.1\r\nHost: evil.example".encode())
    assert request.path == "/metrics"
    check_host(request, loopback=True)
    with pytest.raises(BadRequest):
        check_host(
            parse(b"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost"), loopback=True
        )


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (PROMETHEUS_2_42, OPENMETRICS),
        ("text/plain", TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain;q=0.9, application/openmetrics-text;version=1.0.0;q=0.3", TEXT),
        ("application/openmetrics-text;version=0.0.1", TEXT),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", TEXT),
        (f"{PROTOBUF_OF_PROMETHEUS},{PROMETHEUS_2_42}", PROTOBUF),
        (f"{PROTOBUF_OF_PROMETHEUS};q=0.1,{PROMETHEUS_2_42}", OPENMETRICS),
    ],
)
def test_a_scraper_gets_the_format_that_it_prefers(accept: str, form: str) -> None:
    assert wanted_format(accept) == form


def test_gzip_is_for_who_takes_it() -> None:
    assert takes_gzip("br, GZip;q=0.5")
    assert not takes_gzip("gzip;q=0, br")
    assert not takes_gzip("")


def test_on_loopback_a_foreign_name_is_refused() -> None:
    """A page whose name points to 127.0.0.1 reads nothing."""
    for host in ("127.0.0.1:9478", "[::1]:9478", "localhost", "", "10.0.0.1"):
        check_host(Request("GET", "/metrics", True, {"host": host}), loopback=True)
    evil = Request("GET", "/metrics", True, {"host": "evil.example:9478"})
    check_host(evil, loopback=False)
    with pytest.raises(BadRequest) as caught:
        check_host(evil, loopback=True)
    assert caught.value.status == 421


# --- the server ---


def test_answers_follow_each_other_on_one_connection() -> None:
    with running() as server, connect(server) as sock:
        for _ in range(3):
            sock.sendall(GET)
            assert answer(sock)[0::2] == (200, b"hello")


def test_requests_that_come_together_are_answered_in_their_order() -> None:
    n = 300
    with running() as server, connect(server) as sock:
        last = GET.replace(b"GET", b"HEAD").replace(b"Host", b"Connection: close\r\nHost")
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n" * n + last)
        got = b""
        while more := sock.recv(1 << 20):
            got += more
        assert got.count(b"HTTP/1.1 200 OK") == n + 1
        assert got.count(b"hello") == n
        assert got.endswith(b"Connection: close\r\n\r\n")


def test_a_refusal_says_why_and_ends_the_connection() -> None:
    with running() as server, connect(server) as sock:
        sock.sendall(b"PUT / HTTP/1.1\r\n\r\n")
        status, headers, body = answer(sock)
        assert (status, headers["allow"], headers["connection"]) == (405, "GET, HEAD", "close")
        assert body == b"GET and HEAD alone are answered\n"
        assert ends(sock)


def test_a_head_without_end_is_refused() -> None:
    with running() as server:
        assert asked(server, b"GET / HTTP/1.1\r\nX: " + b"a" * (HEAD_BYTES + 100))[0] == 431
        assert asked(server, GET)[0] == 200


def test_a_head_that_comes_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_S", 0.2)
    monkeypatch.setattr(serving, "_STEP_S", 0.05)
    with running() as server, connect(server) as slow:
        slow.sendall(GET[:5])
        assert asked(server, GET)[0] == 200  # nobody waits for it
        assert ends(slow)
        assert server.cut["slow"] == 1


def test_connections_are_few_and_the_unfinished_go_first() -> None:
    with running() as server:
        idle = [connect(server) for _ in range(CONNECTIONS_MOST)]
        for _ in range(5):
            assert asked(server, GET)[0] == 200
        assert len(server._peers) <= CONNECTIONS_MOST
        assert server.cut["too many"] >= 1
        for sock in idle:
            sock.close()


def test_who_does_not_read_is_cut_off_and_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SEND_S", 0.3)
    monkeypatch.setattr(serving, "_STEP_S", 0.05)
    with running() as server, connect(server) as lazy:
        lazy.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        assert asked(server, GET)[2] == b"hello"
        limit = time.monotonic() + 20
        while not server.cut["slow"] and time.monotonic() < limit:
            time.sleep(0.02)
        assert server.cut["slow"] == 1


def test_the_thread_ends_though_a_peer_hangs() -> None:
    with running() as server:
        lazy = connect(server)
        lazy.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        server.close()
        assert server._thread is not None
        assert not server._thread.is_alive()
        lazy.close()


def test_a_tick_is_written_once_for_all() -> None:
    from nettop.serve.answers import Answers

    exporter, feed = exported()
    answers = Answers()
    with running(answers) as server:
        assert asked(server, GET)[0] == 503  # no tick is over
        answers.begin(exporter, server)
        status, headers, body = asked(server, GET)
        assert (status, headers["content-type"]) == (
            200,
            "text/plain; version=0.0.4; charset=utf-8",
        )
        wanted = GET[:-2] + f"Accept: {PROMETHEUS_2_42}\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        _, headers, packed = asked(server, wanted)
        assert headers["content-encoding"] == "gzip"
        text = zlib.decompress(packed, 16 + zlib.MAX_WBITS)
        assert text.endswith(b"# EOF\n")
        assert asked(server, wanted)[2] == packed  # CPU time went on, and is not in it
        assert asked(server, GET)[2] == body
        from tests.unit.test_metrics import model

        exporter.take(model(9), feed)
        assert asked(server, GET)[2] != body
        assert asked(server, b"GET /other HTTP/1.1\r\n\r\n")[0] == 404
        assert b"/metrics" in asked(server, b"GET / HTTP/1.1\r\n\r\n")[2]


# --- the command line ---


def test_the_first_word_may_be_an_address() -> None:
    cases = {
        "": ("127.0.0.1", serve_options.PORT), ":9100": ("127.0.0.1", 9100),
        "localhost:0": ("127.0.0.1", 0), "0.0.0.0:80": ("0.0.0.0", 80), "[::]:9": ("::", 9),
    }  # fmt: skip
    for word, address in cases.items():
        options = parse_serve([word] if word else [], {})
        assert options.address == address
        assert (options.whole, options.poll.filter_text) == (True, ALL_SOCKETS)


def test_what_follows_is_a_filter() -> None:
    options = parse_serve([":9100", "dport", "=", ":443"], {})
    assert (options.whole, options.poll.filter_text) == (False, "dport = :443")
    assert not parse_serve(["-t"], {}).whole


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--by", "proces"], "perhaps process"),
        (["--series-max", "5"], "1000 to 1000000"),
        ([":70000"], "a port is 0 to 65535"),
        (["1.2.3:80"], "takes an address of this host"),
        (["--expire", "soon"], "--expire"),
        *[([word], "is no address and port") for word in (
            "web-1:9478", "localhost", "localhost:x", "0.0.0.0", "[::1", "::1", "evil.example:80",
            "127.0.0.1:-nan", "127.0.0.1:1.5", "127.0.0.1:", "localhost:-1", "web-1:+1",
        )],
    ],
)  # fmt: skip
def test_mistakes_are_said_in_one_line(words: list[str], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_serve(words, {})
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_scope_that_is_no_device_is_said_in_words() -> None:
    with pytest.raises(NettopError, match="not known"):
        _listen(parse_serve(["[fe80::1%nope9]:9478"], {}), Answers())


def test_an_address_that_cannot_be_had_is_said_without_python_s_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cases = {
            f"127.0.0.1:{port}": "Address already in use: another program listens there",
            "192.0.2.1:9478": "Cannot assign requested address: no address of this host",
        }
        for address, why in cases.items():
            with pytest.raises(NettopError) as caught:
                _listen(parse_serve([address], {}), Answers())
            assert str(caught.value).startswith(f"{address}: {why}")
            assert "while" not in str(caught.value)
