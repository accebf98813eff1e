"""The table of verdicts against the compiled helper and every place that names verdicts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nettop.engine import ffi, lib
from nettop.export.keys import KEYS
from nettop.model.types import Because, Verdict
from nettop.query import compile_filter
from nettop.query.complete import complete
from nettop.text.explain import explain
from nettop.text.fields import Loc
from nettop.text.verdicts import CAUSES, NAMES, VERDICTS, named, verdict_words
from nettop.text.words import who_name
from tests.export.make import make_detail, make_model, make_row

ROOT = Path(__file__).resolve().parents[2]
# Members of struct nt_config that say what is asked for, and are no thresholds.
ASKED = {
    "tcp_states", "udp", "mptcp", "rows_all", "listen_only", "family", "pad", "pad2", "pad3",
    "roll_ms", "detail_max", "run_of_planes",
}  # fmt: skip
EVERY = pytest.mark.parametrize("verdict", Verdict, ids=lambda v: v.name)


def test_each_has_a_line() -> None:
    assert list(VERDICTS) == list(Verdict)


def test_thresholds_are_the_helpers() -> None:
    """Each threshold of struct nt_config belongs to one verdict, with its default."""
    config = ffi.new("struct nt_config *")
    lib.nt_config_default(config)
    compiled = {}
    for member, info in ffi.typeof("struct nt_config").fields:
        if member not in ASKED:
            value = getattr(config, member)
            compiled[member] = tuple(value) if info.type.kind == "array" else (value,)
    listed = [member for spec in VERDICTS.values() for member in spec.limits]
    assert sorted(listed) == sorted(compiled)
    for spec in VERDICTS.values():
        for member, values in spec.limits.items():
            assert values == compiled[member], member


@EVERY
def test_who_is_the_helpers(verdict: Verdict) -> None:
    assert VERDICTS[verdict].who == lib.nt_who_of(verdict)


def test_the_helper_blames_nobody_for_no_verdict() -> None:
    assert lib.nt_who_of(len(Verdict)) < 0


@EVERY
def test_why_fits_its_column_and_begins_with_its_words(verdict: Verdict) -> None:
    spec = VERDICTS[verdict]
    said = set()
    for because in (Because.PLAIN, *spec.causes):
        for value in (60, 99.6, 101, 5000, 65535):
            text = verdict_words(verdict, value, because)
            assert len(text) <= 13, text
            said.add(text.split()[0])
    assert said == set(spec.words)


@EVERY
def test_it_is_explained(verdict: Verdict) -> None:
    row = make_row(verdicts=1 << verdict, verdict=verdict, verdict2=verdict, verdict_value=3.0)
    told = explain(row, make_detail(bytes(280)), make_model(), None)
    assert told.what == VERDICTS[verdict].sentence
    assert told.who == who_name(VERDICTS[verdict].who)
    assert told.evidence


@EVERY
def test_a_filter_knows_it(verdict: Verdict) -> None:
    program = compile_filter(f"verdict = {VERDICTS[verdict].name}")
    assert program is not None
    assert verdict in {op.left.bit for op in program.ops if isinstance(op.left, Loc)}
    assert VERDICTS[verdict].words[0].lower() in complete("verdict = ", 10).words


@EVERY
def test_its_name_and_statistic_lead_back_to_it(verdict: Verdict) -> None:
    spec = VERDICTS[verdict]
    assert named(spec.name, spec.of)[0] is verdict


def test_json_help_names_all() -> None:
    assert KEYS["sockets[].verdicts"].endswith(": " + ", ".join(NAMES))
    units = KEYS["sockets[].verdict_details[].unit"].split(", ")
    assert set(units) == {spec.unit for spec in VERDICTS.values()}
    causes = KEYS["sockets[].verdict_details[].cause"]
    assert all(re.search(rf"\b{name}\b", causes) for name in CAUSES.values())


def test_every_cause_has_a_verdict_and_a_name() -> None:
    listed = {because for spec in VERDICTS.values() for because in spec.causes}
    assert listed == set(CAUSES) == set(Because) - {Because.PLAIN}


def readme_rows() -> dict[tuple[str, ...], list[str]]:
    table = (ROOT / "README.md").read_text().split("### Verdicts", 1)[1].split("###", 1)[0]
    rows = [line.strip("|").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return {tuple(re.findall(r"`([^`]+)`", row[0])): row for row in rows}


def test_readme_has_a_row_for_each_and_no_other() -> None:
    assert sorted(readme_rows()) == sorted(spec.words for spec in VERDICTS.values())


@EVERY
def test_readme_agrees_on_whom_it_blames(verdict: Verdict) -> None:
    spec = VERDICTS[verdict]
    _, who, _ = readme_rows()[spec.words]
    assert {w.strip() for w in who.split(",")} == {who_name(w) for w in spec.whos}
