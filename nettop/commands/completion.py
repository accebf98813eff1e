"""nettop completion: the scripts for shells, and what may come next on a command line.

The scripts hold no words of their own: at each Tab they ask `nettop completion SHELL -- WORD...`,
so that what is offered is what this nettop takes. That reads tables alone, no socket.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from msgspec import Struct

from nettop import optionvalues
from nettop.errors import UsageError
from nettop.query.complete import complete
from nettop.sources import NAMES, RX_METHODS
from nettop.text.fields import FIELDS, lookup, nearest
from nettop.text.themes import THEMES
from nettop.text.usage import COMMANDS, Option, options_of
from nettop.text.verdicts import VERDICTS

# Where each shell looks for its script, below share/ of an installation.
SHELLS = {
    "bash": "bash-completion/completions/nettop",
    "zsh": "zsh/site-functions/_nettop",
    "fish": "fish/vendor_completions.d/nettop.fish",
}
FILES = "@files"  # as a line: the shell adds the names of files
# How many words that are no options are names of files; what follows is a filter, if anything.
_FILES = {"open": 1, "replay": 1, "diff": 2}
# The shell would take < and > for itself; in quotes they stay.
_AS_WORDS = {"<": "lt", "<=": "leq", ">": "gt", ">=": "geq"}
_PLAIN_NAME = re.compile(r"[\w.@+-]+", re.ASCII)
_GLOBAL = (
    Option("", "--config FILE", "instead of the usual config.toml; none: neither"),
    Option("", "--print-config", "a config.toml with every setting"),
    Option("", "--help-json", "every key of the JSON"),
    Option("", "-V, --version", "the version"),
)
_HELP = Option("", "-h, --help", "help")
Words = dict[str, str]  # what may stand there, and what it means


class CompletionOptions(Struct, frozen=True):
    """The command line of `nettop completion`."""

    shell: str
    words: tuple[str, ...] | None = None  # a command line up to the cursor; None: the script


def parse_completion(words: Sequence[str]) -> CompletionOptions:
    """completion SHELL [-- WORD...]

    Raises:
        UsageError: in one line.
    """
    shell, *rest = words or [""]
    if shell not in SHELLS:
        hint = optionvalues.perhaps(nearest(shell, list(SHELLS))) if shell else ""
        raise UsageError(f"completion takes a shell, one of {', '.join(SHELLS)}{hint}")
    if not rest:
        return CompletionOptions(shell)
    if rest[0] != "--":
        raise UsageError(f"completion {shell}: takes nothing more, not '{rest[0]}'")
    return CompletionOptions(shell, tuple(rest[1:]))


def text(options: CompletionOptions) -> str:
    """The script, or a line for each word that may stand at the cursor: WORD, TAB, meaning.

    A WORD takes the place of the last one given, which is being written, without its quote.
    """
    if options.words is None:
        place = files("nettop") / "data" / "share" / SHELLS[options.shell]
        return place.read_text("utf-8")
    found = candidates(options.words)
    return "".join(f"{word}\t{about}\n" if about else f"{word}\n" for word, about in found.items())


def candidates(words: Sequence[str]) -> Words:
    """What the last of these words may become; the first is nettop itself."""
    if len(words) < 2:
        return {}
    given, last = [_unquoted(word) for word in words[1:-1]], words[-1]
    quoted = last[:1] in ("'", '"')
    last = last[1:] if quoted else last
    command = given[0] if given and given[0] in COMMANDS else "live"
    before = given[1:] if command != "live" else given
    options = {name: o for o in _options(command) for name in o.names}
    places, waiting, ended = _places(before, options)
    if waiting is not None:
        return _begun(_values(waiting, command, last), last)
    name, equals, value = last.partition("=")
    if equals and name in options and not ended:
        found = _begun(_values(options[name], command, value), value)
        return {word if word == FILES else f"{name}={word}": s for word, s in found.items()}
    if last.startswith("-") and not ended:
        return _begun({name: o.text for name, o in options.items()}, last)
    found = {} if given or quoted else _commands()
    return _begun(found | _positional(command, places, last, quoted), last)


def _options(command: str) -> tuple[Option, ...]:
    more = (*_GLOBAL, _HELP) if command == "live" else (_HELP,)
    return (*options_of(command), *more)


def _places(
    words: Sequence[str], options: dict[str, Option]
) -> tuple[list[str], Option | None, bool]:
    """The words that are no options; the option whose value comes next; whether -- ended them."""
    places: list[str] = []
    waiting, behind_equals = None, False
    for at, word in enumerate(words):
        if waiting is not None:
            # bash takes --sort=KEY apart.
            behind_equals = word == "=" and not behind_equals
            waiting = waiting if behind_equals else None
        elif word == "--":
            return places + list(words[at + 1 :]), None, True
        elif word.startswith("-") and len(word) > 1:
            option = options.get(word)
            waiting = option if option is not None and option.value else None
            behind_equals = False
        else:
            places.append(word)
    return places, waiting, False


def _commands() -> Words:
    return {name: c.about for name, c in COMMANDS.items() if name != "live"}


def _positional(command: str, places: list[str], last: str, quoted: bool) -> Words:
    n_files = _FILES.get(command, 0)
    if len(places) < n_files:
        return {FILES: ""}
    if command in ("replay", "diff"):
        return _filter(places[n_files:], last, quoted)
    if command == "why":
        return _filter(places, last, quoted) | ({} if places else {FILES: ""})
    if command == "watch" or "FILTER" in COMMANDS[command].synopsis:
        return _filter(places, last, quoted)
    if places:
        return {}
    if command == "help":
        from nettop.commands.topics import TOPICS

        return {name: about for name, (about, _) in TOPICS.items()} | _commands()
    if command == "completion":
        return dict.fromkeys(SHELLS, "")
    if command in ("probe", "reflect"):
        return {"tcp": "over TCP", "udp": "over UDP"}
    return _clocks() if command == "clocks" else {}


def _filter(before: list[str], last: str, quoted: bool) -> Words:
    """What the filter that these words are may go on with; nothing at its very beginning."""
    if not before and not last:
        return {}
    head = " ".join(before)
    whole = f"{head} {last}" if head else last
    found = complete(whole)
    kept = last[: max(0, len(last) - (len(whole) - found.start))]
    words: Words = {}
    for word in found.words:
        if quoted or not set(word) & set("<>() "):
            words[kept + word] = _meaning(word, found.expects)
        elif word in _AS_WORDS:
            words[kept + _AS_WORDS[word]] = word
    return words


def _meaning(word: str, expects: str) -> str:
    if expects != "value":
        field = lookup(word)
        return field.help if field is not None else ""
    found = [s for s in VERDICTS.values() if s.words[0].lower() == word.lower()]
    return found[0].sentence if found else ""


def _values(option: Option, command: str, word: str) -> Words:
    """What an option may have as its value."""
    names = option.names
    if "--sort" in names:
        keys = {f.id: f.help for f in FIELDS.values() if f.sortable}
        return {optionvalues.UNWELL: "the default", **keys}
    if "--columns" in names:
        return _listed({f.id: f.help for f in FIELDS.values()}, word)
    if "--require" in names:
        return _listed(dict.fromkeys(NAMES, ""), word)
    if "--theme" in names:
        return dict(THEMES)
    if "--rx-method" in names:
        return dict.fromkeys(RX_METHODS, "")
    if "--by" in names:
        return _groupings(command, word)
    if "--netns" in names:
        return {"all": "every one", **_entries("/run/netns", "")}
    if "--interface" in names:
        return _entries("/sys/class/net", "interface")
    if option.value == "FILE":
        return {FILES: ""}
    return {}


def _groupings(command: str, word: str) -> Words:
    if command == "serve":
        from nettop.metrics.groupings import GROUPINGS as OF_METRICS

        return _listed(dict.fromkeys(OF_METRICS, ""), word)
    from nettop.compare.options import GROUPINGS

    return dict.fromkeys(GROUPINGS, "")


def _listed(found: Words, word: str) -> Words:
    """Behind the last comma of a list."""
    head, comma, _ = word.rpartition(",")
    return {f"{head}{comma}{name}": about for name, about in found.items()}


def _clocks() -> Words:
    clocks = (p.name for p in Path("/dev").glob("ptp[0-9]*"))
    return _entries("/sys/class/net", "interface") | {f"/dev/{n}": "clock" for n in sorted(clocks)}


def _entries(folder: str, about: str) -> Words:
    """Names in a folder of the kernel's; what a shell or a terminal could misread is left out."""
    try:
        names: Iterable[str] = sorted(p.name for p in Path(folder).iterdir())
    except OSError:
        return {}
    return {name: about for name in names if _PLAIN_NAME.fullmatch(name)}


def _begun(found: Words, word: str) -> Words:
    return {w: a for w, a in found.items() if w == FILES or w.lower().startswith(word.lower())}


def _unquoted(word: str) -> str:
    try:
        return " ".join(shlex.split(word))
    except ValueError:
        return word.strip("'\"")
