"""What a scraper asks for: the head of an HTTP request, and which format it wants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address

from msgspec import Struct, field

HEAD_BYTES = 8192  # of a request, no more
_REQUEST = re.compile(r"([A-Z]{1,20}) (\S{1,2048}) HTTP/1\.([01])")
_SCHEME = "http://"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
OPENMETRICS, TEXT, PROTOBUF = "openmetrics", "text", "protobuf"
_FAMILIES = {"proto=io.prometheus.client.metricfamily", "encoding=delimited"}
_QUALITY = re.compile(r"q\s*=\s*([01](?:\.\d{0,3})?)", re.ASCII)


class BadRequest(Exception):
    """It is answered with this status, and the connection closed."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class Request(Struct, frozen=True):
    """A head without its body, which there is none of."""

    method: str
    path: str  # without what follows a ?
    keep: bool  # the connection stays open
    headers: Mapping[str, str] = field(default_factory=dict)  # by name in lower case


def parse(head: bytes) -> Request:
    """The bytes before the empty line.

    Raises:
        BadRequest: it is none that can be answered.
    """
    # Some end the request before with an empty line too many (RFC 9112, 2.2).
    lines = head.removeprefix(b"\r\n").decode("latin-1").split("\r\n")
    match = _REQUEST.fullmatch(lines[0])
    if match is None:
        raise BadRequest(400, "no HTTP/1.1 request")
    method, target, minor = match.groups()
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise BadRequest(400, "a header that is none")
        name = name.lower()
        if name in headers and name in ("host", "content-length", "transfer-encoding"):
            raise BadRequest(400, f"two headers {name}")
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    if target[: len(_SCHEME)].lower() == _SCHEME:  # as proxies ask; the name in it counts then
        headers["host"], _, path = target[len(_SCHEME) :].partition("/")
        target = f"/{path}"
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise BadRequest(413, "a request with a body")
    if method not in ("GET", "HEAD"):
        raise BadRequest(405, "GET and HEAD alone are answered")
    tokens = {word.strip().lower() for word in headers.get("connection", "").split(",")}
    keep = "close" not in tokens and (minor == "1" or "keep-alive" in tokens)
    return Request(method, target.partition("?")[0], keep, headers)


def check_host(request: Request, *, loopback: bool) -> None:
    """A page in a browser may have its own name point here: only addresses are answered then.

    Args:
        loopback: who listens does so on a loopback address.

    Raises:
        BadRequest: the name is none of this host.
    """
    if not loopback:
        return
    host = request.headers.get("host", "")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower() in ("", "localhost"):
        return
    try:
        ip_address(name)
    except ValueError:
        raise BadRequest(
            421, "Host must be an address or localhost, as nettop listens on loopback alone"
        ) from None


def wanted_format(accept: str) -> str:
    """PROTOBUF, OPENMETRICS or TEXT, by what a scraper accepts and prefers."""
    # Whatever it says, it gets text; of equals the first.
    best = {PROTOBUF: 0.0, OPENMETRICS: 0.0, TEXT: 0.001}
    for part in accept.split(","):
        media, *parameters = (word.strip() for word in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            match = _QUALITY.fullmatch(parameter)
            if match:
                quality = float(match[1])
        media = media.lower()
        said = {parameter.replace(" ", "").lower() for parameter in parameters}
        versions = [p for p in parameters if p.startswith("version=")]
        if media == "application/vnd.google.protobuf" and said >= _FAMILIES:
            best[PROTOBUF] = max(best[PROTOBUF], quality)
        elif media == "application/openmetrics-text" and versions in ([], ["version=1.0.0"]):
            best[OPENMETRICS] = max(best[OPENMETRICS], quality)
        elif media in ("text/plain", "text/*", "*/*"):
            best[TEXT] = max(best[TEXT], quality)
    return max(best, key=lambda form: best[form])


def takes_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.strip().partition(";")
        if coding.strip() == "gzip":
            match = _QUALITY.fullmatch(parameter.strip())
            return match is None or float(match[1]) > 0
    return False
