"""nettop(1), from the tables that --help and `nettop help` are made of.

What `man` reads: requests at the beginnings of lines, and escapes for all that is not ASCII, so
that every formatter takes it whatever encoding it expects.
"""

from __future__ import annotations

import re
import textwrap

from nettop import __version__
from nettop.commands.topics import WHO_WORDS
from nettop.text import usage
from nettop.text.fields import FIELDS
from nettop.text.keys import GROUPS, KEYS
from nettop.text.usage import COMMANDS, Option, options_of
from nettop.text.verdicts import VERDICTS
from nettop.text.words import who_name

WIDTH = 78  # of its source

_FILES = (
    ("/etc/nettop.toml", "settings of all users; nettop --print-config writes one"),
    ("~/.config/nettop/config.toml", "those of a user, who may be the one that called sudo"),
    ("~/.local/state/nettop/view.toml", "the view that W saved"),
)
_SEE_ALSO = (("ss", 8), ("ip", 8), ("tcp", 7), ("sock_diag", 7), ("bpf", 2))


def page() -> str:
    """The source of the page."""
    commands = [_command(name) for name in COMMANDS if name != "live"]
    fields = [_item(_bold(f.id), f.help) for f in FIELDS.values()]
    verdicts = [_item(_bold(s.words[0]), _verdict(number)) for number, s in VERDICTS.items()]
    keys = [
        f".SS {group}\n" + "".join(_item(_bold(k.shown), k.help) for k in KEYS if k.group == group)
        for group in GROUPS
    ]
    synopses = [f".B nettop\n{_escaped(c.synopsis)}\n" for c in COMMANDS.values()]
    return "".join(
        [
            f'.TH NETTOP 1 "" "nettop {__version__}" "User Commands"\n.nh\n.ad l\n.ss 12 0\n',
            ".SH NAME\n", _text(usage.TITLE),
            ".SH SYNOPSIS\n", ".br\n".join(synopses),
            ".SH DESCRIPTION\n", _text(_ABOUT), ".PP\n", _text(_TOPICS),
            ".SH COMMANDS\n", *commands,
            ".SH OPTIONS\n", *map(_section, usage.sections()), ".PP\n", _literal(usage.MORE),
            ".SH FILTER\n", _literal(usage.FILTER),
            ".SH VERDICTS\n", _text("WHO is whose fault it is; WHY begins with a word:"),
            *verdicts, ".SS WHO\n", *(_item(_bold(who), text) for who, text in WHO_WORDS),
            ".SH FIELDS\n", _text("Each is a column, a sort key and a name in filters."), *fields,
            ".SH KEYS\n", *keys,
            ".SH FILES\n", *(_item(f"\\fI{_escaped(path)}\\fR", text) for path, text in _FILES),
            ".SH EXIT STATUS\n", _literal(usage.EXITS),
            ".SH SEE ALSO\n",
            ",\n".join(f"\\fB{name}\\fR({section})" for name, section in _SEE_ALSO), "\n",
        ]
    )  # fmt: skip


_ABOUT = """\
nettop reads the sockets of this host through sock_diag, as ss does, and through small BPF programs.
It shows which are unwell now, and whose fault it is: this program, this kernel, the network or the
peer. Without root it runs with less; nettop doctor says what works here and what would help."""
_TOPICS = """\
nettop help TOPIC has the tables in full: filter, verdicts, fields, keys, planes, files, json and
others."""


def _command(name: str) -> str:
    command = COMMANDS[name]
    about = f"{usage.sentence(command.about)} {command.more}".strip()
    own = [_item(_spelled(o), o.text) for o in options_of(name) if not o.section]
    inner = ".RS\n" + "".join(own) + ".RE\n" if own else ""
    last = f".RS\n.PP\n{_literal(command.last)}.RE\n" if command.last else ""
    return _item(_bold(f"nettop {command.synopsis}"), about) + last + inner


def _section(titled: tuple[str, tuple[Option, ...]]) -> str:
    title, options = titled
    return f".SS {_escaped(title)}\n" + "".join(_item(_spelled(o), _of(o)) for o in options)


def _of(option: Option) -> str:
    """What an option does, and in which commands."""
    commands = ", ".join(c for c in option.only if c != "live")
    live = "also " if "live" in option.only else ""
    return f"{option.text} [{live}{commands}]".strip() if commands else option.text


def _verdict(number: object) -> str:
    spec = next(s for n, s in VERDICTS.items() if n == number)
    watch, unwell = spec.conditions
    whos = ", ".join(map(who_name, spec.whos))
    return f"{whos}: {spec.sentence}. watch: {watch}; unwell: {unwell}. Next: {spec.step()}."


def _spelled(option: Option) -> str:
    return _bold(option.spelled.strip())


def _item(tag: str, text: str) -> str:
    return f".TP\n{tag}\n{_text(text)}" if text else f".TP\n{tag}\n\\&\n"


def _bold(text: str) -> str:
    return f"\\fB{_escaped(text)}\\fR"


def _literal(text: str) -> str:
    lines = "".join(f"{_escaped(line)}\n" if line else ".sp\n" for line in text.splitlines())
    return f".nf\n{lines}.fi\n"


def _text(text: str) -> str:
    """Filled; none of its lines is taken for a request."""
    rows = textwrap.wrap(_marks(text), WIDTH, break_on_hyphens=False, break_long_words=False)
    return "".join(f"{_guarded(row)}\n" for row in rows)


def _escaped(text: str) -> str:
    return _guarded(_marks(text))


def _guarded(line: str) -> str:
    """Without a dot at its beginning, which would make it a request."""
    return f"\\&{line}" if line.startswith(".") else line


def _marks(text: str) -> str:
    for sign, escape in _ESCAPES.items():
        text = text.replace(sign, escape)
    return re.sub(r"[^\x00-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", text)


# In this order: the backslash first.
_ESCAPES = {
    "\\": "\\e", "-": "\\-", "^": "\\(ha", "~": "\\(ti", "'": "\\(aq", "`": "\\(ga", '"': "\\(dq",
}  # fmt: skip
