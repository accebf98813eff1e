"""What is answered: the metrics of the last tick, written once for all scrapers of that tick."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from nettop.metrics import exposition, protobuf
from nettop.metrics.exporter import Exporter
from nettop.serve.request import (
    OPENMETRICS,
    PROTOBUF,
    BadRequest,
    Request,
    takes_gzip,
    wanted_format,
)
from nettop.serve.server import Answer, Server

_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 1  # a fifth of the time of 6, and a tenth more bytes
_ROOT = b"nettop serve: /metrics is for Prometheus; nettop help metrics says what each counts.\n"


class Answers:
    """For the server's thread."""

    def __init__(self) -> None:
        self._exporter: Exporter | None = None
        self._served: Mapping[str, int] = {}
        self._cut: Mapping[str, int] = {}
        self._seq: int | None = None
        self._made: dict[tuple[str, bool], Answer] = {}  # of the tick _seq

    def begin(self, exporter: Exporter, server: Server) -> None:
        """Before the server's thread starts: what is exported, and what it says of itself."""
        self._exporter, self._served, self._cut = exporter, server.served, server.cut

    def __call__(self, request: Request) -> Answer:
        if request.path == "/":
            return Answer(_ROOT)
        if request.path != "/metrics":
            raise BadRequest(404, "there is no such path here, but /metrics")
        form = wanted_format(request.headers.get("accept", ""))
        return self._metrics(form, takes_gzip(request.headers.get("accept-encoding", "")))

    def _metrics(self, form: str, zipped: bool) -> Answer:
        exporter = self._exporter
        snapshot = exporter.latest if exporter is not None else None
        if exporter is None or snapshot is None:
            raise BadRequest(503, "the first tick is not over yet")
        if snapshot.seq != self._seq:
            self._seq = snapshot.seq
            self._made.clear()
        made = self._made.get((form, zipped))
        if made is None and zipped:
            plain = self._metrics(form, False)
            packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
            body = packer.compress(plain.body) + packer.flush()
            made = Answer(body, plain.kind, encoding="gzip")
        elif made is None:
            families = exporter.families(snapshot, self._served, self._cut)
            if form == PROTOBUF:
                made = Answer(protobuf.protobuf(families), protobuf.CONTENT_TYPE)
            elif form == OPENMETRICS:
                made = Answer(exposition.openmetrics(families), exposition.OPENMETRICS_TYPE)
            else:
                made = Answer(exposition.text(families), exposition.TEXT_TYPE)
        self._made[form, zipped] = made
        return made
