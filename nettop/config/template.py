"""What --print-config writes: every setting with its default and its meaning."""

from __future__ import annotations

import textwrap

from nettop.config.settings import SETTINGS, TABLES
from nettop.text.limits import DEFAULTS, MEANINGS

_HEAD = """\
# nettop's configuration: ~/.config/nettop/config.toml ($XDG_CONFIG_HOME), and below it
# /etc/nettop.toml. What is commented out is as it is without a file. The command line goes before
# the environment (NETTOP_DELAY=2 is delay of [screen]), that before the view saved with W, and that
# before the files. --config FILE or NETTOP_CONFIG=FILE is read instead of these; none: no file.
# Behind sudo it is the file of the user who called it. A file is used only if it belongs to that
# user and no other can write it.
"""
_EXAMPLES = {
    "columns": ('80 = "proc remote srtt retr/s who why"', '120 = "proc remote srtt cwnd who why"'),
    "keys": ('F9 = "pause"', '"^S" = "export"', 'x = "none"'),
    "peers": ('backends = ["10.0.4.0/24", "10.0.5.7"]',),
}  # fmt: skip


def template() -> str:
    """The whole file; it is read as an empty one."""
    parts = [_HEAD]
    for table, about in TABLES.items():
        lines = [f"# {line}" for line in textwrap.wrap(about, 96)] + [f"[{table}]"]
        for (of, name), item in SETTINGS.items():
            if of == table:
                lines.append(_line(f"{name} = {item.default}", item.help))
        if table == "thresholds":
            lines += [
                _line(f"{name} = {_numbers(values)}", MEANINGS[name])
                for name, values in DEFAULTS.items()
            ]
        lines += [f"# {example}" for example in _EXAMPLES.get(table, ())]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(setting: str, meaning: str) -> str:
    return f"# {setting:<26} # {meaning}"


def _numbers(values: tuple[float, ...]) -> str:
    texts = [f"{value:g}" if value < 1e5 else f"{value:.0f}" for value in values]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
