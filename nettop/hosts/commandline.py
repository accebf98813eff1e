"""-H and what belongs to it: taken from the command line before all else is read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from nettop.errors import UsageError

if TYPE_CHECKING:
    from nettop.options import Options

SSH = ("ssh", "-T", "-o", "BatchMode=yes")
PLACE = "{}"  # in --ssh: the host
MOST_HOSTS = 256
_MOST_NAME = 255
MOST_FILE_BYTES = 1 << 20  # of hosts, with comments
# These go through the other host's shell, so that they must be words to every shell.
_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
VALUES = {"-H": "hosts", "--hosts": "hosts", "--ssh": "ssh", "--remote": "remote", "--top": "top"}
_NEEDS = {
    "hosts": "web-1,web-2 or @FILE", "ssh": "a command such as 'docker exec -i'",
    "remote": "a command such as 'sudo -n nettop'", "top": "a number",
}  # fmt: skip


class HostOptions(Struct, frozen=True):
    """Which hosts, and how they are reached."""

    names: tuple[str, ...]
    ssh: tuple[str, ...] | None = None  # None: SSH
    remote: tuple[str, ...] = ("nettop",)
    top: int | None = None

    def argv(self, name: str, words: Sequence[str]) -> list[str]:
        """What starts `nettop WORDS` on a host: never by way of a shell here."""
        there = [*self.remote, *words]
        if self.ssh is None:
            return [*SSH, "--", name, shlex.join(there)]
        if any(PLACE in word for word in self.ssh):
            return [*(word.replace(PLACE, name) for word in self.ssh), *there]
        return [*self.ssh, name, *there]


def take_hosts(argv: Sequence[str]) -> tuple[HostOptions | None, list[str]]:
    """What -H, --ssh, --remote and --top say, and the other words.

    -H with no word behind it, or an option, is --no-header.

    Raises:
        UsageError: in one line.
    """
    if not any(VALUES.get(word.partition("=")[0]) == "hosts" for word in argv):
        return None, list(argv)
    given: dict[str, str] = {}
    rest: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--":
            rest += [word, *words]
            break
        name, equals, value = word.partition("=")
        option = VALUES.get(name)
        if option is None or (name == "-H" and (equals or not words or words[0].startswith("-"))):
            rest.append(word)
            continue
        if not equals:
            if not words:
                raise UsageError(f"{name}: needs {_NEEDS[option]}")
            value = words.pop(0)
        if option == "hosts" and option in given:
            value = f"{given[option]},{value}"
        given[option] = value
    if "hosts" not in given:
        return None, list(argv)
    return _options(given), rest


def _options(given: dict[str, str]) -> HostOptions:
    return HostOptions(
        _names(given["hosts"]),
        _command("--ssh", given["ssh"]) if "ssh" in given else None,
        _plain("--remote", _command("--remote", given["remote"])) if "remote" in given
        else ("nettop",),
        _top(given["top"]) if "top" in given else None,
    )  # fmt: skip


def _names(text: str) -> tuple[str, ...]:
    found: list[str] = []
    for part in text.split(","):
        found += _lines(part[1:]) if part.startswith("@") else [part.strip()]
    names = tuple(dict.fromkeys(filter(None, found)))
    if not names:
        raise UsageError(f"-H: no host in '{text}'")
    if len(names) > MOST_HOSTS:
        raise UsageError(f"-H: {len(names)} hosts: at most {MOST_HOSTS}")
    for name in names:
        # What begins with a - would be an option of ssh.
        if name.startswith("-") or not name.isprintable() or " " in name or '"' in name \
                or len(name) > _MOST_NAME:  # fmt: skip
            raise UsageError(f"-H: '{name[:60]}' is no name of a host")
    return names


def _lines(path: str) -> list[str]:
    try:
        with Path(path).open("rb") as file:  # it may be a pipe: -H @<(command)
            raw = file.read(MOST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UsageError(f"-H @{path}: {why}") from None
    if len(raw) > MOST_FILE_BYTES:
        raise UsageError(f"-H @{path}: is larger than {MOST_FILE_BYTES >> 10} KB")
    lines = raw.splitlines()
    for number, line in enumerate(lines, 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise UsageError(
                f"-H @{path}: line {number} is no UTF-8 (byte 0x{line[error.start]:02x})"
            ) from None
    return [line.decode().partition("#")[0].strip() for line in lines]


def _command(option: str, text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if not words:
        raise UsageError(f"{option}: needs {_NEEDS[option[2:]]}")
    return words


def _top(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 100_000_000:
        raise UsageError(f"--top: takes a whole number, 1 to 100000000, not '{text}'")
    return int(text)


def _plain(option: str, words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if not _PLAIN.fullmatch(word):
            raise UsageError(f"{option} {word}: cannot pass through another host's shell: letters, "
                             "digits and @%+=:,./- can")  # fmt: skip
    return words


def stream_words(options: Options) -> list[str]:
    """`stream` with what these options choose; filter, sort and top are sent to it later.

    Raises:
        UsageError: one of them means this host alone, or cannot be passed on.
    """
    if options.uids:
        raise UsageError("-U means a user of this host: with -H write 'user = NAME' as a filter")
    words = ["stream", "--control", "-d", f"{options.delay_s:g}"]
    flags = (
        ("-t", options.tcp), ("-u", options.udp), ("-l", options.listen_only),
        ("-a", options.rows_all), ("--no-bpf", options.no_bpf), ("--path", options.path),
        ("-4", options.family == 2), ("-6", options.family == 10),
    )  # fmt: skip
    words += [flag for flag, on in flags if on]
    if options.rx_method is not None:
        words += ["--rx-method", options.rx_method]
    if options.tx_sample is not None:
        words += ["--tx-sample", str(options.tx_sample)]
    if "bpf_budget" in options.given:
        words += ["--bpf-budget", f"{options.bpf_budget_pct:g}"]
    for netns in options.netns:
        words += ["-N", netns]
    return list(_plain("-N", tuple(words)))
