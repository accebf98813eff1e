"""Damaged snapshots through the real screen.

  python -m tests.tui.fuzz_files COUNT [PTYS] [SEED]

Opens COUNT damaged copies of a snapshot in the screen, PTYS of them (default 1 of 20) as a
program of its own on a pseudo-terminal, presses keys and prints what went wrong. A file opens,
or is refused in one line; no text of it brings a control character to the terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import json
import os
import random
import re
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nettop.errors import NettopError
from nettop.export.load import load_snapshot
from nettop.filefeed import FileFeed
from nettop.tui.app import NettopApp, ScreenOptions
from tests.export.make import write_json
from tests.fakes import SESSION

KEYS = ("enter", "escape", "t", "v", "question_mark", "j", "G", "s", "z", "1", "2", "3", "4",
        "x", "c", "less_than_sign", "greater_than_sign", "n", "i")  # fmt: skip
TYPED = {"enter": b"\r", "escape": b"\x1b", "question_mark": b"?", "less_than_sign": b"<",
         "greater_than_sign": b">"}  # fmt: skip
HOSTILE = "a\x1b]0;title\x07\x1b[2J\x9b31m\n\r\u202eb\u2066\x00\ud800$(touch x)`id`"
WRONG: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**31, 2**32, 2**63, 2**64, 10**400, -(10**400), 0.5, -0.0, 1e30,
    1e308, 5e-324, "", "x", HOSTILE, "y" * 5000, [], {}, [None], [{}], {"a": 1}, [[[[[[1]]]]]],
    [[0, 1, 2]], [["1", None, {}]], {HOSTILE: 1}, {HOSTILE: HOSTILE}, ["x"] * 100, "p99", "tcp",
    "ESTABLISHED", "unwell", "127.0.0.1", "::1", "1970-01-01T00:00:00Z", "9999-12-31T23:59:60Z",
)  # fmt: skip
_SEQUENCE = re.compile(
    rb"\x1b\[[0-9;:?<>=$ ]*[A-Za-z]|\x1b\[>[0-9]*u|\x1b[=>78c]|\x1b[()][A-Z0-9]|\x1b\]22;[a-z]*\x07"
)


def base(rng: random.Random) -> dict[str, Any]:
    """Some sockets of the recorded session, with every part that a file can have."""
    whole: dict[str, Any] = json.loads(SESSION.read_text())
    whole["sockets"] = rng.sample(whole["sockets"], min(10, len(whole["sockets"])))
    whole["rx_wait"]["buckets"] = whole["rx_wait"]["buckets"][:3]
    one = whole["sockets"][0]
    end = {"addr": "10.0.0.1", "port": 80}
    whole.setdefault("events", []).append({
        "at": whole["taken"], "type": "closed", "proto": "tcp", "netns": one["netns"],
        "cookie": one["cookie"], "local": end, "remote": dict(end),
        "proc": {"pid": 4, "comm": "sh"},
        "last": {"why": "closed", "uid": 0, "rx_wait": {"count": 0, "buckets": []}}, "text": "t",
    })  # fmt: skip
    whole.setdefault("events_untold", {})["drop"] = 3
    one.setdefault("attrs", {})["ulp"] = "tls"
    one.setdefault("timer", {"kind": "retransmit", "retrans": 1})
    return whole


def _places(value: Any, out: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        out.append((value, key))
        if isinstance(inner, dict | list):
            _places(inner, out)
    return out


def _in_the_tree(rng: random.Random, tree: dict[str, Any]) -> None:
    places = _places(tree, [])
    holder, key = rng.choice(places)
    how = rng.randrange(9)
    if how < 3:  # mostly let in: of the same type, though not of the same meaning
        alike = [value for value in WRONG if type(value) is type(holder[key])]
        holder[key] = copy.deepcopy(rng.choice(alike or WRONG))
    elif how < 5:
        holder[key] = copy.deepcopy(rng.choice((None, 10**400, {"a": 1}, [], *WRONG)))
    elif how == 5:
        del holder[key]
    elif how == 6:
        other, there = rng.choice(places)
        with contextlib.suppress(LookupError):
            holder[key] = copy.deepcopy(other[there])
    elif isinstance(holder, dict):
        name = rng.choice(("x", HOSTILE, rng.choice(list(holder)), "k" * 500))
        holder[name] = holder[key]
    else:
        holder.extend(copy.deepcopy(holder[:1]) * rng.choice((1, 300)))


def _in_the_bytes(rng: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(max(1, len(data)))
        how = rng.randrange(5)
        if how == 0:
            del data[at:]
        elif how == 1:
            data[at : at + 1] = rng.choice(
                (b"\xff", b"\xc3\x28", b"\x00", b'"', b"9" * 5000, b"[" * 20000, b'{"a":' * 3000)
            )
        elif how == 2:
            del data[at : at + rng.randint(1, 40)]
        elif how == 3:  # a member twice
            member = re.search(rb'"\w+":(?:\d+|"[^"]*")', bytes(data[at:]))
            if member:
                data[at + member.end() : at + member.end()] = b"," + member[0]
        else:
            data[at : at + 1] = bytes((rng.randrange(256),))
    return bytes(data)


def mutant(seed: int) -> bytes:
    """The damaged snapshot of this number."""
    rng = random.Random(seed)
    tree = base(rng)
    if rng.random() < 0.8:
        for _ in range(rng.choice((1, 1, 2))):
            _in_the_tree(rng, tree)
    content = json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode("utf-8", "replace")
    return content if rng.random() < 0.75 else _in_the_bytes(rng, content)


def _bad_characters(text: str) -> set[str]:
    return {c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs")}


async def in_process(path: Path, seed: int, told: Callable[[str], None]) -> bool:
    """Opens the file here; whether it opened. What is wrong is told."""
    try:
        feed = FileFeed(load_snapshot(str(path)))
    except NettopError as error:
        if _bad_characters(str(error)) or "\n" in str(error):
            told(f"message: {error!r}")
        return False
    rng = random.Random(seed)
    out: list[bytes] = []
    write_json(out.append, feed.tick(), feed.rows_all(), feed.owners)
    json.loads(b"".join(out))
    app = NettopApp(feed, ScreenOptions(readonly=True))
    width = rng.choice((80, 120, 200))
    async with app.run_test(size=(width, 40)) as pilot:
        for _ in range(8):
            await pilot.pause()
            for strip in app.screen._compositor.render_strips():
                if bad := _bad_characters(strip.text):
                    told(f"on the screen: {bad!r} in {strip.text!r}")
            await pilot.press(rng.choice(KEYS))
            if app._exit:
                break
    return True


def in_a_terminal(path: Path, seed: int, told: Callable[[str], None]) -> bool:
    """The same as a program of its own, which must end by q whatever was pressed."""
    from tests.tui.test_terminal import Program

    rng = random.Random(seed)
    program = Program("open", str(path))
    try:
        for _ in range(100):
            program.read(0.1)
            if program.child.poll() is not None or b"quit" in program.out:
                break
        opened = program.child.poll() is None
        if opened:
            for key in (*rng.choices(KEYS, k=6), *("escape",) * 4, "q"):
                os.write(program.master, TYPED.get(key, key.encode()))
                program.read(0.15)
        try:
            code = program.ended()
        except AssertionError:
            told(f"still there after q: {program.out[-200:]!r}")
            return opened
        rest = _SEQUENCE.sub(b"", program.out).decode("utf-8", "replace")
        if bad := _bad_characters(rest) - {"\r"}:
            told(f"to the terminal: {bad!r} in {rest[-300:]!r}")
        if opened and code != 0:
            told(f"exit code {code}: {program.out[-300:]!r}")
        if not opened and (code != 1 or program.out.count(b"\n") != 1):
            told(f"refused with exit code {code}: {program.out!r}")
        return opened
    finally:
        program.close()


def run(count: int, ptys: int, seed: int = 0) -> list[str]:
    """What went wrong with these mutants."""
    wrong: list[str] = []
    opened = 0
    every = max(1, count // ptys) if ptys else count + 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.json"
        for number in range(seed, seed + count):
            path.write_bytes(mutant(number))

            def told(what: str, number: int = number) -> None:
                wrong.append(f"mutant {number}: {what}")

            if (number - seed) % every == every - 1:
                opened += in_a_terminal(path, number, told)
                continue
            try:
                opened += asyncio.run(asyncio.wait_for(in_process(path, number, told), timeout=30))
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                told(f"{type(error).__name__}: {error}")
            if number % 20 == 0:
                gc.unfreeze()  # a screen freezes what its start left, and this is many
                gc.collect()
    print(f"{count} mutants: {opened} opened, {count - opened} refused, {len(wrong)} wrong")
    return wrong


if __name__ == "__main__":
    amount = int(sys.argv[1])
    terminals = int(sys.argv[2]) if len(sys.argv) > 2 else amount // 20
    found = run(amount, terminals, int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    print("\n".join(found))
    sys.exit(bool(found))
