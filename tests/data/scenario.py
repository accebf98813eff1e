"""Cuts a stretch out of a recording and makes it a test of verdicts.

python -m tests.data.scenario FILE NAME [--from TIME] [--to TIME]

writes recordings/NAME.nettop, and recordings/NAME.json with the verdicts as they are today. Put the
right ones into the JSON where they are wrong: tests/unit/test_recorded.py then fails until nettop
says them. The stretch begins at the key frame before TIME, and holds the addresses and names of
the machine it is of: use a recording of hosts that may be shown.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from nettop.commands.replay import stretch
from nettop.errors import NettopError
from nettop.model.types import Level, Row
from nettop.options import Options, parse_args
from nettop.replay import ReplayFeed
from nettop.store.recording import Recording, RecordingWriter
from nettop.text.verdicts import VERDICTS
from nettop.text.words import who_name

HERE = Path(__file__).resolve().parent / "recordings"


def cut(source: Path, target: Path, options: Options) -> int:
    """Writes the ticks of a stretch as a recording of their own; returns how many."""
    ticks = 0
    with closing(Recording(source)) as recording:
        first, last = stretch(recording.frames(), options, one=False)
        target.unlink(missing_ok=True)
        with closing(RecordingWriter(target, recording.about)) as writer:
            for sample in recording.samples(first.seq, last.seq):
                writer.add(sample)
                ticks += 1
    return ticks


def accused(path: Path) -> dict[str, Any]:
    """Per connection that is not well: each worst verdict with its WHO, levels and ticks."""
    found: dict[str, Any] = {}
    ticks = 0
    with closing(Recording(path)) as recording:
        feed = ReplayFeed(recording.samples())
        while True:
            try:
                feed.tick()
            except EOFError:
                return {"ticks": ticks, "accused": found}
            ticks += 1
            for row, _ in feed.rows_all(with_detail=False):
                if row.level > Level.OK and row.verdicts:
                    _count(found.setdefault(_name(row), {}), row)


def _name(row: Row) -> str:
    ends = (f"{row.local_addr}:{row.rec.sport}", f"{row.remote_addr}:{row.rec.dport}")
    return f"{row.proto.name.lower()} {' > '.join(ends)}"


def _count(verdicts: dict[str, Any], row: Row) -> None:
    spec = VERDICTS[row.verdicts[0]]
    seen = verdicts.setdefault(f"{spec.name} {who_name(row.rec.who)}", {})
    level = row.level.name.lower()
    seen[level] = seen.get(level, 0) + 1


def main(argv: list[str]) -> None:
    if len(argv) < 2 or argv[1].startswith("-"):
        raise SystemExit(__doc__)
    source, name, *times = argv
    try:
        options = parse_args(["replay", source, *times], {})
        if not isinstance(options, Options):
            raise SystemExit(__doc__)
        target = HERE / f"{name}.nettop"
        ticks = cut(Path(source), target, options)
        expected = accused(target)
    except NettopError as error:
        raise SystemExit(f"scenario: {error}") from error
    target.with_suffix(".json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"{target.name}: {ticks} ticks, {target.stat().st_size} bytes; {target.stem}.json:")
    print(json.dumps(expected, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
