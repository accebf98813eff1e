"""A checker of nettop.snapshot/1, written against the text of its keys alone."""

from __future__ import annotations

import re
from typing import Any

from nettop.export.keys import KEYS
from nettop.text.verdicts import CAUSES, NAMES, VERDICTS
from nettop.text.words import WHO_NUMBERS

_UNSIGNED = re.compile(
    r"(port|pid|fd|uid|inode|cookie|netns|rqueue|wqueue|tcp|udp|mptcp|matched|unwell|watch|opened|"
    r"closed|ifindex|strength|drops|cgroup_id|procs_more|rss_bytes|lost_events|missed_ticks)$"
)
REQUIRED = ("schema", "taken", "host", "kernel", "nettop", "sources", "cost", "totals", "sockets")
SOCKET = ("netns", "cookie", "proto", "family", "state", "local", "remote", "uid", "rqueue",
          "wqueue", "level", "verdicts")  # fmt: skip
WHO = set(WHO_NUMBERS)
# Keys with a part that is any name.
_OPEN = [
    re.compile(re.escape(key).replace(r"\*", "[^.]+")) for key in KEYS if "*" in key.split(".")
]
_FLAGS = {key for key, text in KEYS.items() if text.startswith(("true: ", "false: "))}
_WORDS = {
    "sockets[].proto": {"tcp", "udp", "mptcp"},
    "sockets[].family": {"inet", "inet6"},
    "sockets[].level": {"ok", "watch", "unwell"},
    "sockets[].who": WHO,
    "sockets[].verdict_details[].who": WHO,
    "sockets[].verdict_details[].name": set(NAMES),
    "sockets[].verdict_details[].unit": {spec.unit for spec in VERDICTS.values()},
    "sockets[].verdict_details[].of": {spec.of for spec in VERDICTS.values() if spec.of},
    "sockets[].verdict_details[].cause": set(CAUSES.values()),
    "sockets[].owner": {"kernel", "orphan", "not_accepted", "not_found", "hidden"},
    "sources[].state": {"ok", "partial", "off"},
}


def check(snapshot: dict[str, Any]) -> None:
    """Raises AssertionError with the place of what the schema does not allow."""
    assert snapshot["schema"] == "nettop.snapshot/1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", snapshot["taken"])
    for key in REQUIRED:
        assert key in snapshot, key
    for socket in snapshot["sockets"]:
        for key in SOCKET:
            assert key in socket, key
        for end in ("local", "remote"):
            assert set(socket[end]) == {"addr", "port"}
    _walk(snapshot, "")


def _walk(value: Any, path: str) -> None:
    assert value is not None, f"{path} is null"
    if path:
        assert path in KEYS or any(p.fullmatch(path) for p in _OPEN), f"{path} is not documented"
    if isinstance(value, dict):
        for key, inner in value.items():
            _walk(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        assert path != "sockets[].verdicts" or set(value) <= set(NAMES), value
        for inner in value:
            if isinstance(inner, dict):
                for key, item in inner.items():
                    _walk(item, f"{path}[].{key}")
    elif path in _WORDS:
        assert value in _WORDS[path], f"{path} is {value}"
    elif isinstance(value, bool):
        assert path in _FLAGS, path
    elif isinstance(value, str):
        assert value.isprintable(), path
    elif _UNSIGNED.search(path) or ".tcp_info." in path:
        assert type(value) is int, path
        assert value >= 0, path
    else:
        assert isinstance(value, int | float), path
