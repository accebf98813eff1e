"""Reads the files and the environment; every mistake is one line with the file and the line."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from nettop.config import settings
from nettop.config.settings import SETTINGS, TABLES
from nettop.errors import UsageError
from nettop.invoker import invoking_user
from nettop.text.clean import clean
from nettop.text.fields import Field, nearest
from nettop.text.keys import Keymap
from nettop.text.limits import DEFAULTS, use_limits
from nettop.users import filed_home

if TYPE_CHECKING:
    from nettop.query.plain import Network

SYSTEM = Path("/etc/nettop.toml")
VARIABLE = "NETTOP_CONFIG"
NONE = "none"  # as a file: none at all
LARGEST_BYTES = 64 << 10
LONGEST_NAME = 60
LONGEST_SAID = 300  # characters, with what was written


class Config(Struct, frozen=True):
    """What is wanted otherwise; a name that is missing is as it is without."""

    options: Mapping[str, Any] = field(default_factory=dict)
    screen: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[int, tuple[Field, ...]] = field(default_factory=dict)
    thresholds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    peers: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    files: tuple[str, ...] = ()  # that were read

    def over(self, other: Config) -> Config:
        """Both, where they differ as in this one."""
        both = {name: {**getattr(other, name), **getattr(self, name)} for name in TABLES}
        return _made(both, other.files + self.files)

    def columns_at(self, width: int) -> tuple[Field, ...] | None:
        """The columns of the widest entry that fits; None: those of nettop."""
        fitting = [least for least in self.columns if least <= width]
        return self.columns[max(fitting)] if fitting else None


def _made(tables: Mapping[str, Mapping[Any, Any]], files: tuple[str, ...] = ()) -> Config:
    values: dict[str, Any] = dict(tables)
    return Config(**values, files=files)


_IN_FORCE = Config()


def in_force() -> Config:
    """What use() was given last."""
    return _IN_FORCE


def use(config: Config) -> None:
    """Puts it in force in this process, before anything else looks at sockets."""
    global _IN_FORCE  # one command line, one configuration
    before, _IN_FORCE = _IN_FORCE, config
    use_limits(config.thresholds)
    if config.peers or before.peers:
        from nettop.query.plain import use_peers

        use_peers(config.peers)


def load(chosen: str | None, environ: Mapping[str, str]) -> Config:
    """All of it.

    Args:
        chosen: --config, instead of the files that are looked for; none: no file.

    Raises:
        UsageError: in one line, with the file and the line.
    """
    chosen = chosen or environ.get(VARIABLE) or None
    config = Config()
    if chosen is not None and chosen != NONE:
        config = _parsed(Path(chosen), _text(Path(chosen)))
    elif chosen is None:
        for path, owners in _places(environ):
            text = _safe_text(path, owners)
            if text is not None:
                config = _parsed(path, text).over(config)
    return _of_environment(environ).over(config)


def config_file(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """What --config says, and the other words.

    Raises:
        UsageError: it has no value.
    """
    words, chosen = list(argv), None
    end = words.index("--") if "--" in words else len(words)
    for at in reversed(range(end)):
        if words[at].startswith("--config="):
            chosen = chosen or words.pop(at).partition("=")[2]
        elif words[at] == "--config":
            if at + 1 >= end or not words[at + 1]:
                raise UsageError("--config: needs a value, a file name, or none")
            chosen = chosen or words[at + 1]
            del words[at : at + 2]
    return chosen, words


def view_file(environ: Mapping[str, str]) -> Path | None:
    """Where a saved view is; beside the filters that were used."""
    home = environ.get("XDG_STATE_HOME") or environ.get("HOME", "") + "/.local/state"
    return Path(home) / "nettop" / "view.toml" if home.startswith("/") else None


def saved_columns(path: Path, owners: set[int]) -> Mapping[int, tuple[Field, ...]]:
    """Those of a view; none of a file that cannot be read."""
    try:
        text = _safe_text(path, owners)
        return _parsed(path, text).columns if text is not None else {}
    except UsageError:
        return {}


def user_file(environ: Mapping[str, str]) -> Path | None:
    """config.toml of the user who asked: behind sudo that one's."""
    user = invoking_user(environ)
    home = environ.get("HOME", "")
    if user is not None:
        # Those of a directory service have one where sudo says it (1.9.14).
        home = environ.get("SUDO_HOME") or filed_home(user[0]) or ""
    base = environ.get("XDG_CONFIG_HOME") if user is None else None
    folder = base or (f"{home}/.config" if home else "")
    return Path(folder) / "nettop" / "config.toml" if folder.startswith("/") else None


def _places(environ: Mapping[str, str]) -> list[tuple[Path, set[int]]]:
    """From the weakest on, with whose the file must be."""
    user = invoking_user(environ)
    own = {os.geteuid()} if user is None else {user[0]}
    places = [(SYSTEM, {0})]
    config, view = user_file(environ), view_file(environ)
    places += [(config, own)] if config is not None else []
    places += [(view, own | {os.geteuid()})] if view is not None else []
    return places


def _safe_text(path: Path, owners: set[int]) -> str | None:
    """The text of a file that no other user can have written; None where there is none."""
    try:
        return _text(path, owners)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    except PermissionError:
        return None
    except _UnsafeError as error:
        if sys.stderr is not None:
            sys.stderr.write(f"nettop: {clean(f'{path} is not used: {error}')}\n")
        return None


class _UnsafeError(Exception):
    """Why a file is not to be trusted."""


def _text(path: Path, owners: set[int] | None = None) -> str:
    """owners: None where the user named the file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if owners is not None:
            raise
        raise UsageError(f"--config {path}: {os.strerror(error.errno or 0)}") from None
    try:
        about = os.fstat(fd)
        if owners is not None:
            if about.st_uid not in owners:
                raise _UnsafeError(f"it belongs to user {about.st_uid}")
            if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise _UnsafeError(f"others can write it: chmod go-w {path}")
        if not stat.S_ISREG(about.st_mode):
            raise UsageError(f"{path}: is not a regular file")
        raw = os.read(fd, LARGEST_BYTES + 1)
    finally:
        os.close(fd)
    if len(raw) > LARGEST_BYTES:
        raise UsageError(f"{path}: is larger than {LARGEST_BYTES >> 10} KB")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: is no UTF-8") from None


def _parsed(path: Path, text: str) -> Config:
    import tomllib

    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int(match[1]) if match and match[1] else text.rstrip("\n").count("\n") + 1
        reason = str(error)[: match.start()] if match else "is nested too deeply"
        if match is None and (digits := re.search(r"[0-9_]{4300}", text)):  # as many as int() takes
            line, reason = text.count("\n", 0, digits.start()) + 1, "a number has too many digits"
        raise UsageError(f"{path}:{line}: {reason}") from None
    return _Reader(path, text).config(tables)


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self.path, self.lines = path, text.splitlines()

    def config(self, tables: dict[str, Any]) -> Config:
        found: dict[str, dict[Any, Any]] = {name: {} for name in TABLES}
        for table, entries in tables.items():
            if table not in TABLES:
                raise self.fail(table, None, _unknown("table", _short(table), list(TABLES)))
            if not isinstance(entries, dict):
                raise self.fail(table, None, f"{table} is a table: write [{table}]")
            for name, value in entries.items():
                key, read = self.entry(table, name, value)
                found[table][key] = read
        return _made(found, (str(self.path),))

    def entry(self, table: str, name: str, value: object) -> tuple[Any, Any]:
        known = {
            "options": [n for t, n in SETTINGS if t == "options"],
            "screen": [n for t, n in SETTINGS if t == "screen"],
            "thresholds": list(DEFAULTS),
        }.get(table)
        if known is not None and name not in known:
            raise self.fail(table, name, _unknown(f"[{table}] setting", _short(name), known))
        try:
            if table == "columns":
                return settings.columns(name, value)
            if table == "thresholds":
                return name, settings.threshold(name, value)
            if table == "peers":
                return name.lower(), settings.peers(name, value)
            if table == "keys":
                if not isinstance(value, str):
                    raise ValueError('takes an action: "pause"')
                Keymap({name: value})
                return name, value
            return name, settings.setting(table, name, value)
        except (ValueError, UsageError) as error:
            said = str(error) if isinstance(error, UsageError) else f"{_short(name)} {error}"
            raise self.fail(table, name, said) from None

    def fail(self, table: str, name: str | None, message: str) -> UsageError:
        said = message if len(message) <= LONGEST_SAID else f"{message[:LONGEST_SAID]}…"
        return UsageError(f"{self.path}:{self.line_of(table, name)}: {said}")

    def line_of(self, table: str, name: str | None) -> int:
        """Where an entry stands, or its table; the first line where it is written otherwise."""
        inside, header = "", 1
        for number, line in enumerate(self.lines, 1):
            title = re.match(r"\s*\[\s*([^\]]+?)\s*\]", line)
            if title:
                inside = title[1].strip("\"'")
                header = number if inside == table else header
                continue
            match = re.match(r"\s*(?:\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_-]+))\s*[=.]", line)
            key = next((g for g in match.groups() if g is not None), None) if match else None
            if key is None:
                continue
            if (inside == table and key == name) or (not inside and key == table):
                return number
        return header


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = nearest(name, known, cutoff=0.6)
    hint = f"perhaps {' or '.join(near)}?" if near else f"one of {', '.join(known)}"
    return f"no {what} '{name}': {hint}"


def _of_environment(environ: Mapping[str, str]) -> Config:
    found: dict[str, dict[str, Any]] = {"options": {}, "screen": {}}
    for item in SETTINGS.values():
        text = environ.get(item.variable)
        if not text:
            continue
        try:
            found[item.table][item.name] = settings.setting(item.table, item.name, text)
        except ValueError as error:
            raise UsageError(f"{item.variable} in the environment {error}") from None
    return _made(found)
