"""The machine's own apt sources (sources.list(5)), as deb822 stanzas for other suites of the same
archive: one-line and deb822 files, with the keys and options that they name."""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_ONE_LINE = re.compile(r"(deb)\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<rest>\S.*)")
_OF_THE_SUITE = {"types", "suites", "components", "enabled", "architectures", "languages", "pdiffs"}


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive of binary packages that the machine uses."""

    uris: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()  # Signed-By and the like, as deb822 has them

    def stanza(self, suites: Iterable[str], arch: str = "amd64") -> str:
        """A deb822 source of other suites' main component."""
        fields = {"Types": "deb", "URIs": self.uris, "Suites": " ".join(suites),
                  "Components": "main", "Architectures": arch, **dict(self.options)}  # fmt: skip
        return "".join(f"{name}: {value}\n" for name, value in fields.items())


def archives(suites: Iterable[str]) -> list[Archive]:
    """Those of the machine that may have the suites, the likeliest first: what has one of them, or
    the release that it belongs to, then what the machine's own release comes from."""
    wanted = {name for suite in suites for name in (suite, suite.removesuffix("-backports"))}
    try:
        own = platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
    except OSError:
        own = "stable"
    found = [a for a in read_sources() if "main" in a.components]
    return sorted(found, key=lambda a: (wanted.isdisjoint(a.suites), own not in a.suites))


def read_sources() -> Iterator[Archive]:
    """All archives that apt would use here."""
    said = _apt_config(
        "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"
    )
    places = [Path(word.partition("=")[2]) for word in shlex.split(said)]
    for path in (p for place in places for p in (sorted(place.glob("*")) or [place])):
        if not path.is_file() or path.suffix not in (".list", ".sources"):
            continue
        text = re.sub(r"(?m)^#.*\n?", "", path.read_text(errors="replace"))
        yield from _deb822(text) if path.suffix == ".sources" else _one_line(text)


def _deb822(text: str) -> Iterator[Archive]:
    for stanza in re.split(r"\n\s*\n", text):
        # A value goes on in lines that begin with a space: a key may stand there itself.
        fields = {
            name.lower(): value.rstrip()
            for name, value in re.findall(r"(?m)^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza)
        }
        if "deb" not in fields.get("types", "").split() or "uris" not in fields:
            continue
        if fields.get("enabled", "yes").lower() in ("no", "false", "0", "off"):
            continue
        options = tuple((name.title(), value) for name, value in fields.items()
                        if name not in _OF_THE_SUITE | {"uris"})  # fmt: skip
        suites, components = (tuple(fields.get(k, "").split()) for k in ("suites", "components"))
        yield Archive(" ".join(fields["uris"].split()), suites, components, options)


def _one_line(text: str) -> Iterator[Archive]:
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        words = match["rest"].split() if match else []
        if match is None or len(words) < 2:
            continue
        pairs = (option.partition("=") for option in (match["options"] or "").split())
        options = tuple(
            (name.title(), value.replace(",", " "))
            for name, _, value in pairs
            if name.lower().rstrip("+-") not in _OF_THE_SUITE | {"arch", "lang"}
        )
        yield Archive(words[0], (words[1],), tuple(words[2:]), options)


def acquire_settings() -> str:
    """How this machine reaches archives: proxies, time limits, what it does not check."""
    return _apt_config("dump", "Acquire")


def _apt_config(*words: str) -> str:
    try:
        return subprocess.run(
            ["apt-config", *words], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
