"""What a tick can be written as."""

from __future__ import annotations

from enum import Enum


class Format(Enum):
    """What is written when there is no screen; a value is the ending of such a file.

    To add a format: a line here, its writer in a module beside this one, called by
    snapshot.write_tick (or Ticks, if the file has an end), and text/usage.py; `--NAME` in
    options.py if it has an option.
    """

    TEXT = "txt"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    SVG = "svg"
    PARQUET = "parquet"


SUFFIXES = {f".{f.value}": f for f in Format}
MANY_TICKS = (Format.NDJSON, Format.CSV, Format.PARQUET)  # that have room for them
