"""The dashboard and the rules ask for metrics that nettop serve has, by labels that these have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from nettop.commands import topics, unit
from nettop.metrics import names
from nettop.metrics.groupings import GROUPINGS

SERIES = {
    f"{metric.full_name}{suffix}": metric
    for metric in names.ALL
    for suffix in (("_bucket", "_sum", "_count") if metric.kind == names.HISTOGRAM else ("",))
}
OF_GROUPS = {label for labels in GROUPINGS.values() for label in labels}
NAME = re.compile(r"\b(?:nettop|ebpf_exporter|process)_\w+\b|\b\w+:nettop_\w+:\w+\b")
BY = re.compile(r"\b(?:by|on) \(([^)]*)\)")
# What a panel that sums by these takes for $by.
GROUPS = "process, role, port"


def dashboard() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(topics.topic("dashboard"))
    return made


def queries() -> Iterator[tuple[str, str]]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$by", GROUPS)


def rule_expressions() -> Iterator[str]:
    """Of the YAML, which has one on a line or indented below it."""
    text = topics.topic("rules")
    for match in re.finditer(r"^ +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)", text, re.MULTILINE):
        yield " ".join((match[1] or match[2]).split())


def variable(name: str) -> dict[str, Any]:
    (found,) = [v for v in dashboard()["templating"]["list"] if v["name"] == name]
    return cast("dict[str, Any]", found)


def choices() -> list[str]:
    """What $by may be."""
    return [option["value"] for option in variable("by")["options"]]


def labels_of(expression: str) -> set[str]:
    """By which its series differ."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    groups = [labels for labels in BY.findall(bare) if not labels.startswith("job")]
    if groups:
        return {label.strip() for labels in groups for label in labels.split(",")} - {"le"}
    if "sum(" in bare:
        return set()
    return {"instance"} | {label for n in NAME.findall(bare) for label in SERIES[n].labels
                           if n != "nettop_build_info"}  # fmt: skip


def check(expression: str) -> None:
    recorded = set(re.findall(r"record: (\S+)", topics.topic("rules")))
    bare = re.sub(r'"[^"]*"', '""', expression)
    used = [name for name in NAME.findall(bare) if name not in recorded]
    assert all(name in SERIES for name in used), expression
    metrics = [SERIES[name] for name in used]
    known = {"le", "instance", "job"} | {label for m in metrics for label in m.labels}
    if any(m.grouped for m in metrics):
        known |= OF_GROUPS
    for labels in BY.findall(bare):
        assert {label.strip() for label in labels.split(",")} <= known, expression


def test_queries_ask_for_what_there_is() -> None:
    some = list(queries())
    assert len(some) > 25
    for _, expression in some:
        check(expression)


def test_rules_ask_for_what_there_is() -> None:
    some = list(rule_expressions())
    assert len(some) == topics.topic("rules").count("expr:") > 8
    for expression in some:
        check(expression)


def test_panels_do_not_cover_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_metric_of_a_group_is_on_the_dashboard_or_left_out_on_purpose() -> None:
    shown = " ".join(expression for _, expression in queries())
    missing = {m.full_name for m in names.OF_GROUPS if m.name not in shown}
    assert missing == {
        "nettop_tcp_acknowledged_bytes_total", "nettop_tcp_busy_seconds_total",
        "nettop_tcp_retransmitted_segments_total", "nettop_tcp_connections_closed_total",
    }  # fmt: skip


def test_what_groups_may_be_by_is_what_the_variable_says() -> None:
    # As Grafana reads the text of such a variable.
    parts = re.findall(r"(?:\\,|[^,])+", variable("by")["query"])
    pairs = [part.replace("\\,", ",").strip().split(" : ") for part in parts]
    assert pairs == [[o["text"], o["value"]] for o in variable("by")["options"]]
    assert {label for by in choices() for label in by.split(", ")} == OF_GROUPS | {"instance"}


@pytest.mark.parametrize("by", choices())
def test_a_legend_tells_the_series_of_a_panel_apart(by: str) -> None:
    """Grafana calls a series whose legend comes out empty `Value`."""
    looked = 0
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            if panel["type"] not in ("timeseries", "state-timeline"):
                continue
            said = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            labels = labels_of(target["expr"].replace("$by", by))
            assert labels, panel["title"]
            assert labels <= said, panel["title"]
            if "$by" in target["expr"]:  # whose labels may all be empty: no peer, no container
                always = re.sub(r"\{\{(?!by\}\})\w+\}\}", "", target["legendFormat"])
                assert always.strip(), panel["title"]
            looked += 1
    assert looked > 20


def test_a_source_that_is_read_is_green() -> None:
    """By default this panel's largest value is red."""
    (panel,) = [p for p in dashboard()["panels"] if p["type"] == "state-timeline"]
    shown = panel["fieldConfig"]["defaults"]
    assert shown["color"] == {"mode": "thresholds"}
    steps = shown["thresholds"]["steps"]
    assert steps[0]["value"] is None

    def color(value: float) -> str:
        reached = [step["color"] for step in steps if (step["value"] or 0) <= value]
        return cast("str", reached[-1])

    assert [color(value) for value in (0, 0.5, 1)] == ["red", "yellow", "green"]
    (mapping,) = shown["mappings"]
    said = {float(value): one["text"] for value, one in mapping["options"].items()}
    assert said == {0: "off", 0.5: "in part", 1: "read"}
    assert names.SOURCE.help == "1: the source is read, 0.5: in part, 0: off"


def test_grafanas_model_has_all_that_is_said() -> None:
    """Its own types, written back: a member that they do not have is lost by that."""
    plugins.register_default_plugins()
    read = Dashboard.from_json(dashboard())
    kinds = {type(panel).__name__ for panel in read.panels or ()}
    assert kinds == {"Panel", "RowPanel"}
    missing = [*lost(dashboard(), json.loads(JSONEncoder().encode(read)), "")]
    assert not missing


def lost(said: Any, kept: Any, at: str) -> Iterator[str]:
    """Where a document differs from what was kept of it, but for what was added."""
    if isinstance(said, dict) and isinstance(kept, dict):
        for name, value in said.items():
            yield from lost(value, kept.get(name, "lost"), f"{at}.{name}")
    elif isinstance(said, list) and isinstance(kept, list) and len(said) == len(kept):
        for place, (a, b) in enumerate(zip(said, kept, strict=True)):
            yield from lost(a, b, f"{at}[{place}]")
    elif said != kept:
        yield f"{at}: {said!r}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("panels", 5, "options", "colour"), {}),
        (("panels", 2, "fieldConfig", "defaults", "custom", "lines"), 1),
        (("panels", 3, "targets", 0, "legend"), "x"),
        (("templating", "list", 1, "definition"), "x"),
    ],
)
def test_grafanas_model_finds_what_it_does_not_have(path: tuple[Any, ...], value: Any) -> None:
    plugins.register_default_plugins()
    wrong = dashboard()
    at: Any = wrong
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    kept = json.loads(JSONEncoder().encode(Dashboard.from_json(wrong)))
    assert [where.partition(":")[0] for where in lost(wrong, kept, "")] == [
        "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    ]


def test_units_are_grafanas() -> None:
    known = {value for value in vars(units).values() if isinstance(value, str)}
    used = {
        panel["fieldConfig"]["defaults"]["unit"]
        for panel in dashboard()["panels"]
        if "unit" in panel.get("fieldConfig", {}).get("defaults", {})
    }
    assert len(used) > 4
    assert used <= known


def promtool(*words: str) -> str:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run([tool, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


RULE_TESTS = """\
rule_files: [nettop-rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: nettop_sockets_unwell{instance="h",process="a",who="net",why="loss"}
        values: 0x2 2x9
      - series: nettop_sockets_unwell{instance="h",process="b",who="net",why="loss"}
        values: 0x2 1x9
      - series: nettop_tcp_retransmitted_bytes_total{instance="h",process="a"}
        values: 0+60000x20
      - series: nettop_tcp_sent_bytes_total{instance="h",process="a"}
        values: 0+1200000x20
      - series: nettop_tcp_retransmitted_bytes_total{instance="h",process="idle"}
        values: 0x20
      - series: nettop_tcp_sent_bytes_total{instance="h",process="idle"}
        values: 0x20
    alert_rule_test:
      - eval_time: 3m
        alertname: NettopSocketsUnwell
      - eval_time: 6m
        alertname: NettopSocketsUnwell
        exp_alerts:
          - exp_labels: {severity: warning, instance: h, who: net, why: loss}
            exp_annotations:
              summary: "3 sockets unwell: loss, by net"
              description: "On h: nettop why says which, and on what evidence."
      - eval_time: 12m
        alertname: NettopRetransmissions
        exp_alerts:
          - exp_labels: {severity: warning, instance: h, process: a}
            exp_annotations:
              summary: "a sends 5% again"
              description: " of port  on h."
    promql_expr_test:
      - expr: group:nettop_retransmitted:ratio_rate5m
        eval_time: 12m
        exp_samples:
          - labels: group:nettop_retransmitted:ratio_rate5m{instance="h",process="a"}
            value: 0.05
"""


def test_promtool_takes_the_rules_and_they_do_what_they_say(tmp_path: Path) -> None:
    (tmp_path / unit.RULES).write_text(unit.packaged(unit.RULES))
    promtool("check", "rules", str(tmp_path / unit.RULES))
    test = tmp_path / "test.yml"
    test.write_text(RULE_TESTS)
    assert "SUCCESS" in promtool("test", "rules", str(test))


def test_promtool_takes_the_queries(tmp_path: Path) -> None:
    rules = [
        f"      - record: nettop:query{n}\n        expr: {json.dumps(expression)}\n"
        for n, (_, expression) in enumerate(queries())
    ]
    text = "groups:\n  - name: queries\n    rules:\n" + "".join(rules)
    path = tmp_path / "queries.yml"
    path.write_text(text.replace("$__rate_interval", "1m").replace("$instance", ".*"))
    promtool("check", "rules", str(path))
