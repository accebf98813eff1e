"""Which thread of its holder reads a socket, and its words."""

from __future__ import annotations

from typing import NamedTuple

from nettop.model.causes import Evidence
from nettop.model.types import Model, Row


class Reader(NamedTuple):
    """A thread that reads sockets of its process."""

    pid: int
    tid: int
    name: str  # "": not known
    sole: bool  # the process has no other


def reader_of(row: Row, model: Model) -> Reader | None:
    """Of a socket with one holder: the only thread of that, or the one that its waits, which were
    split, are spent on. None: not known, or there are several."""
    pid = row.proc.pid
    if model is None or not pid or row.proc.more:
        return None
    process = model.evidence.now.processes.get(pid)
    sole = process is not None and process.threads == 1
    tid = pid if sole else model.readers.get(row.cookie)
    if tid is None:
        return None
    names = process.names if process is not None else None
    return Reader(pid, tid, (names or {}).get(str(tid), ""), sole)


def reader_text(reader: Reader) -> str:
    """`thread http-3/815`, `the main thread`"""
    if reader.tid == reader.pid:
        return "the main thread"
    return f"thread {reader.name}/{reader.tid}" if reader.name else f"thread {reader.tid}"


SEVERAL_READERS = Evidence("split", "one thread after another reads it")


def reader_evidence(reader: Reader | None) -> list[Evidence]:
    """That it reads the socket; none of the only thread of a process."""
    if reader is None or reader.sole:
        return []
    return [Evidence("split", f"{reader_text(reader)} reads it", reader.tid)]
