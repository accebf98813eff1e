"""Recordings as test data: the frames of both ends, without what is of the machine, packed as one.

A recording's file costs more than its frames: SQLite's pages, and each frame compressed alone. Here
the frames stand one behind the other, stored rather than compressed, and xz packs them all.
"""

from __future__ import annotations

import lzma
import re
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import zstandard
from msgspec.structs import replace

from nettop import __version__
from nettop.sample import Facts, Names, Sample
from nettop.store.frames import HEAD, FrameReader, FrameWriter
from nettop.store.recording import Recording, RecordingWriter

HERE = Path(__file__).resolve().parents[2] / "data" / "recordings" / "faults"
ENDS = ("A", "B")
_STORED = -1000  # zstd's level that compresses least
_NAMED = re.compile(r" \([^)]*/\d+\)")


def path_of(name: str, end: str, folder: Path = HERE) -> Path:
    return folder / f"{name}.{end}.frames.xz"


def truth_of(name: str, folder: Path = HERE) -> Path:
    return folder / f"{name}.json"


def names(folder: Path = HERE) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.json"))


def wrong(folder: Path = HERE) -> dict[str, dict[str, str]]:
    """Scenario → view → why its answer is wrong, as far as that is known."""
    return tomllib.loads((folder / "wrong.toml").read_text())


def pack(recording: Path, target: Path, until_s: float) -> int:
    """Writes the ticks up to a time of the wall clock; returns the bytes."""
    with closing(Recording(recording)) as source:
        taken = [s for s in source.samples() if s.wall_ns <= until_s * 1e9]
        data = b"".join(_frames(taken))
    target.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    return target.stat().st_size


def _frames(samples: Iterable[Sample]) -> Iterator[bytes]:
    writer = FrameWriter()
    writer._zstd = zstandard.ZstdCompressor(level=_STORED)
    for sample in samples:
        yield writer.frame(replace(sample, facts=anonymous(sample.facts)))


def anonymous(facts: Facts) -> Facts:
    """Without names of the machine and of its programs."""
    sources = tuple(
        replace(s, reason=_NAMED.sub("", s.reason)) if s.reason else s for s in facts.sources
    )
    return replace(facts, host="host", names=Names(devices=facts.names.devices), sources=sources)


def samples(path: Path) -> Iterator[Sample]:
    """The inverse of pack."""
    data = lzma.decompress(path.read_bytes())
    reader, at = FrameReader(), 0
    while at < len(data):
        n_body = HEAD.unpack_from(data, at)[4]
        end = at + HEAD.size + n_body
        yield reader.sample(data[at:end])
        at = end


def unpack(path: Path, target: Path) -> int:
    """Makes a recording of it again, for nettop open; returns how many ticks it has."""
    target.unlink(missing_ok=True)
    ticks = 0
    with closing(RecordingWriter(target, {"host": "host", "nettop": __version__})) as writer:
        for sample in samples(path):
            writer.add(sample)
            ticks += 1
    return ticks
