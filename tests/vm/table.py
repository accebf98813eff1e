"""The support table of README, from what the guests themselves say."""

from __future__ import annotations

from typing import Any

from tests.vm.guest import GuestReport, scenario
from tests.vm.kernels import SOURCES, kernel
from tests.vm.machines import ROOT

BEGIN, END = "<!-- support -->", "<!-- /support -->"
PLANES = ("diag", "wait", "stages", "path", "events", "stamps")


def cell(source: dict[str, Any] | None) -> str:
    """A plane's method; in brackets what is missing; a dash and the reason where it is off."""
    if source is None:
        return "–"
    if source["state"] == "off":
        return f"– ({source['reason']})"
    reason = source.get("reason") if source["state"] == "partial" else None
    return f"{source['method']} ({reason.removeprefix('~ ')})" if reason else source["method"]


def row(report: GuestReport) -> str:
    doctor = report.facts["planes.doctor"]
    sources = {s["name"]: s for s in doctor["sources"]}
    version = report.kernel.release.split("-")[0].split("+")[0]
    if report.kernel.name == "aarch64":
        version += " (aarch64)"
    cells = [cell(sources.get(plane)) for plane in PLANES]
    return "| " + " | ".join([version, f"{doctor['tcp_info_bytes']} B", *cells]) + " |"


def table() -> str:
    """Boots every kernel."""
    head = ["Linux", "tcp_info", *PLANES]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += [row(scenario(kernel(name), ["planes"])) for name in SOURCES]
    return "\n".join(lines)


def write() -> None:
    """Puts it between the marks of README."""
    path = ROOT / "README.md"
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}")
