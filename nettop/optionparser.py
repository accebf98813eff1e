"""How all commands read their options: argparse, whose complaints are in our words."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from nettop.errors import UsageError

_NEGATIVE = re.compile(r"-[0-9.]")
_VALUE_HINTS = {
    "-n": ", how many times (addresses are always numeric: no -n for that)",
    "-p": ", a PID (the programs are always shown: no -p for that)",
    "-s": ", a sort key: -s help lists them",
    "-o": ", a file name",
}


def takes_value(parser: argparse.ArgumentParser) -> frozenset[str]:
    return frozenset(o for a in parser._actions if a.nargs is None for o in a.option_strings)


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Each option is checked by one; without a width each of them asks for the terminal's."""
    return argparse.HelpFormatter(prog, width=80)


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are UsageErrors in our words."""

    def __init__(self, **given: Any) -> None:
        # What is written about its usage is in text/usage.py; argparse would make its own.
        super().__init__(usage="", formatter_class=_formatter, **given)

    @property
    def option_names(self) -> frozenset[str]:
        return frozenset(self._option_string_actions)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """A negative number behind an option with a value is that, even where -1 is an option."""
        words, takes = list(args or ()), takes_value(self)
        for at in range(len(words) - 1, 0, -1):
            option, value = words[at - 1 : at + 1]
            if option in takes and _NEGATIVE.match(value) and not self.hints(option, value):
                words[at - 1 : at + 1] = [
                    f"{option}={value}" if option[1] == "-" else option + value
                ]
        return super().parse_known_args(words, namespace)

    def hints(self, option: str, value: str) -> bool:
        """Beside -1 that is an option itself, the letter may have been meant as that of ss."""
        return option in _VALUE_HINTS and value == "-1" and value in self._option_string_actions

    def error(self, message: str) -> NoReturn:
        match = re.match(r"argument ([^:]+): (.*)", message, re.DOTALL)
        if match:
            name, text = match.groups()
            if text == "expected one argument":
                text = f"needs a value{_VALUE_HINTS.get(name.split('/')[0], '')}"
            text = text.replace("ignored explicit argument", "takes no value, so not")
            raise UsageError(f"{name}: {text}")
        raise UsageError(message)
