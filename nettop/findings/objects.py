"""A report as JSON, nettop.why/1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from nettop.export.distributions import dist_object
from nettop.export.times import utc_text
from nettop.findings.keys import HOSTS_SCHEMA, SCHEMA
from nettop.findings.plain import headline
from nettop.findings.values import Case, Finding, HostReport, Moved, Report
from nettop.model.causes import Evidence
from nettop.model.types import Proto, Row, Stage
from nettop.spells import Spell
from nettop.text.clean import clean
from nettop.text.columns import endpoint
from nettop.text.verdicts import VERDICTS
from nettop.text.words import owner_text

MOST_SOCKETS = 100  # of a finding


def json_text(report: Report) -> str:
    """One object on one line."""
    out = _cleaned(report_object(report))
    return json.dumps(out, ensure_ascii=False, separators=(",", ":")) + "\n"


def hosts_json_text(reports: Sequence[HostReport]) -> str:
    """Those of several hosts as one object on one line."""
    hosts = [
        {
            "name": one.name,
            **({"reason": one.reason} if one.reason else {}),
            **({"report": report_object(one.report)} if one.report is not None else {}),
        }
        for one in reports
    ]
    out = _cleaned({"schema": HOSTS_SCHEMA, "hosts": hosts})
    return json.dumps(out, ensure_ascii=False, separators=(",", ":")) + "\n"


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _cleaned(inner) for key, inner in value.items()}
    return [_cleaned(inner) for inner in value] if isinstance(value, list) else value


def report_object(report: Report) -> dict[str, Any]:
    """What is not known is left out."""
    out: dict[str, Any] = {
        "schema": SCHEMA,
        "host": report.host,
        "kernel": report.kernel,
        "nettop": report.nettop,
        "file": report.file,
        "filter": report.filter_text or None,
        "from": utc_text(report.from_ns),
        "to": utc_text(report.to_ns),
        "seconds": report.seconds,
        "ticks": report.ticks,
        "sockets": report.sockets,
        "matched": report.matched,
        "findings": [_finding(finding) for finding in report.findings],
        "spells": [_spell(spell) for spell in report.spells],
        "refused": [
            _known(
                {"proto": r.proto, "remote": r.remote, "count": r.count,
                 "programs": list(r.programs) or None}
            )
            for r in report.refused
        ] or None,
        "host_moved": [_moved(m) for m in report.moved] if report.counters_known else None,
        "drop_reasons": dict(report.drop_reasons) or None,
        "events": dict(report.events) or None,
        "rx_wait": dist_object(report.rx_wait.dist) if report.rx_wait is not None else None,
        "tx": _stages(report),
        "not_known": [
            _known(
                {
                    "source": u.source.name, "state": u.source.state,
                    "reason": u.source.reason, "fix": u.source.fix,
                    "ticks": u.off_ticks, "says": u.says,
                }
            )
            for u in report.unknown
        ],
        "own": {
            "missed_ticks": report.own.missed_ticks,
            "lost_events": report.own.lost_events,
            "unlisted_events": report.own.unlisted_events,
            "restarts": report.own.restarts,
            "malformed": report.own.malformed,
            "unlisted_cases": report.own.unlisted_cases,
            "stamped_sockets": report.stamped,
            "gaps": [{"from": utc_text(a), "to": utc_text(b)} for a, b in report.own.gaps],
            "clock_steps": [
                {"from": utc_text(step.from_ns), "to": utc_text(step.to_ns),
                 "passed_s": step.passed_ns / 1e9}
                for step in report.own.clock_steps
            ],
        },
    }  # fmt: skip
    return _known(out)


def _known(out: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in out.items() if value is not None}


def _moved(moved: Moved) -> dict[str, Any]:
    return _known(
        {
            "source": moved.source,
            "place": moved.place or None,
            "name": moved.name,
            "grew": moved.by,
            "unit": moved.unit,
            "says": moved.says,
            "trouble": moved.trouble,
        }
    )


def _stages(report: Report) -> dict[str, Any] | None:
    if report.tx is None:
        return None
    stages = {s.name.lower(): report.tx[s].dist for s in Stage}
    return {name: dist_object(dist) for name, dist in stages.items() if dist.count}


def _finding(finding: Finding) -> dict[str, Any]:
    said = finding.worst.said
    return _known(
        {
            "level": finding.level.name.lower(),
            "who": finding.who,
            "party": finding.party or None,
            "thread": finding.reader.tid if finding.reader else None,
            "thread_name": (finding.reader.name or None) if finding.reader else None,
            "verdict": VERDICTS[finding.worst.verdict].name,
            "what": said.what,
            "summary": headline(finding),
            "evidence": [_evidence(e) for e in said.proof],
            "ruled_out": [_evidence(e) for e in said.excluded],
            "unknown": said.unknown.removeprefix("not known: ") or None,
            "next": said.next_step.removeprefix("next: ") or None,
            "cost": finding.cost,
            "held_s": finding.held_s,
            "unwell_s": finding.unwell_s,
            "from": utc_text(finding.from_ns),
            "to": utc_text(finding.to_ns),
            "count": finding.sockets,
            "sockets": [_case(case) for case in finding.cases[:MOST_SOCKETS]],
        }
    )


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return _known(evidence._asdict())


def _case(case: Case) -> dict[str, Any]:
    return {
        **_socket(case.row),
        "level": case.level.name.lower(),
        "verdict": VERDICTS[case.verdict].name,
        "value": case.value,
        "unit": VERDICTS[case.verdict].unit,
        "why": case.why,
        "held_s": case.held_s,
        "unwell_s": case.unwell_s,
    }


def _socket(row: Row) -> dict[str, Any]:
    return _known(
        {
            "cookie": row.cookie,
            "netns": row.rec.netns,
            "netns_name": row.netns_name,
            "proto": Proto(row.rec.proto).name.lower(),
            "local": endpoint(row, local=True),
            "remote": endpoint(row, local=False) if row.has_remote else None,
            "owner": owner_text(row),
            "pid": row.proc.pid or None,
            "comm": row.proc.comm if row.proc.pid else None,
            "cgroup": row.cgroup,
            "container": row.container,
        }
    )


def _spell(spell: Spell) -> dict[str, Any]:
    return _known(
        {
            "cookie": spell.cookie,
            "netns": spell.netns,
            "proto": spell.proto,
            "local": spell.local,
            "remote": spell.remote,
            "owner": spell.owner,
            "pid": spell.pid,
            "comm": spell.comm,
            "cgroup": spell.cgroup,
            "container": spell.container,
            "verdict": spell.name,
            "level": spell.level.name.lower(),
            "who": spell.who,
            "why": spell.why,
            "from": utc_text(spell.from_ns),
            "to": utc_text(spell.to_ns) if spell.to_ns is not None else None,
            "ticks": spell.ticks,
            "worst": spell.worst,
            "unit": spell.unit if spell.worst is not None else None,
        }
    )
