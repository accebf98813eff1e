"""`nettop doctor`: tries every plane and says what works, why not, and what would fix it."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from msgspec import Struct
from msgspec.structs import asdict

from nettop import __version__, privilege
from nettop.engine.handle import Engine, Procs
from nettop.errors import EXIT_FAILURE, EXIT_OK, NettopError, UsageError
from nettop.model.types import SourceStatus
from nettop.sources import PlaneOptions, cgroups, diag, hostnet, netns, path, split, stages
from nettop.sources.loaded import Planes, libbpf_log
from nettop.sources.procs import procs_status
from nettop.text.clean import clean
from nettop.text.fields import nearest
from nettop.text.units import ABSENT

SCHEMA = "nettop.doctor/1"
PLANES = ("diag", "procs", "wait", "split", "stages", "path", "events", "stamps", "clocks")
_TCP_INFO_ROOM = 1024  # larger than any tcp_info so far (280 bytes in 6.18)


class NetnsReport(Struct, frozen=True):
    """What of other network namespaces can be seen and entered."""

    visible: int  # with the own one
    can_enter: bool | None  # None: there is no other one to try
    reason: str | None = None
    fix: str | None = None


class Report(Struct, frozen=True):
    """Everything that doctor found out."""

    sources: tuple[SourceStatus, ...]
    tcp_info_bytes: int | None  # length of this kernel's struct tcp_info
    netns: NetnsReport
    kept: dict[str, str]  # capability → why a running nettop keeps it
    given_up: int  # how many others it gives up at start
    held: tuple[str, ...]  # capabilities that doctor itself runs with
    uid: int

    @property
    def fixable(self) -> tuple[str, ...]:
        """Planes that would work better after the fix that is named."""
        return tuple(s.name for s in self.sources if s.state != "ok" and s.fix)


def collect() -> list[SourceStatus]:
    """The status of every plane, each tried just now, in the order of PLANES."""
    return list(examine().sources)


def examine() -> Report:
    """Tries everything that can be tried without changing anything."""
    procs = Procs()
    tried = {"diag": _try_diag(), "procs": _try_procs(procs)}
    planes = Planes(PlaneOptions())
    everything = {s.name: s for s in planes.statuses()} | tried
    if planes.stages is not None:
        everything[stages.NAME] = planes.stages.ability()
    if planes.split is not None:
        everything[split.NAME] = planes.split.ability()
    everything[path.NAME] = path.ability()
    planes.close()
    held, permitted = privilege.held(), privilege.permitted()
    kept = privilege.to_keep(permitted, keep_netns=False)
    return Report(
        sources=tuple(everything[name] for name in PLANES if name in everything),
        tcp_info_bytes=tcp_info_bytes(),
        netns=_try_netns(procs),
        kept=kept,
        given_up=len(permitted - kept.keys()),
        held=tuple(sorted(held)),
        uid=os.geteuid(),
    )


def clear_flags() -> str:
    """Clears SK_BPF_CB_FLAGS on every socket of every namespace that can be entered.

    A nettop that was killed leaves it set; it does nothing until a program attaches a sockops
    program. Returns one line for the user.

    Raises:
        NettopError: the plane does not load, or another program may be using the flag.
    """
    plane, status = stages.open_plane(cgroups.reached(), None)
    if plane is None:
        raise NettopError(f"doctor --clear-tx-flags: {status.reason}")
    refused = 0

    def walks(walk: Callable[[int], None]) -> None:
        nonlocal refused
        here = netns.own_inode()
        for space in netns.enumerate_all(netns.of_processes(Procs())):
            try:
                fd = -1 if space.inode == here else os.open(space.path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    walk(fd)
                finally:
                    if fd >= 0:
                        os.close(fd)
            except OSError:
                refused += 1

    try:
        cleared = plane.clear_all(walks)
    except (RuntimeError, OSError) as error:
        raise NettopError(f"doctor --clear-tx-flags: {error}") from error
    finally:
        plane.close(walks)
    left_out = f"; {refused} namespaces could not be entered" if refused else ""
    return f"cleared the TX timestamping flag of {cleared} sockets{left_out}"


def tcp_info_bytes() -> int | None:
    """Length of struct tcp_info in this kernel, from a socket of our own; None without TCP."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            return len(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_ROOM))
    except OSError:
        return None


def _try_diag() -> SourceStatus:
    """Dumps the sockets of the own namespace once, as a sweep does."""
    try:
        fds = netns.open_fds(netns.own_inode(), netns.OWN_PATH)
    except NettopError as e:
        return SourceStatus("diag", "off", "sock_diag", str(e))
    hostnet.close_counters(fds)
    try:
        engine = Engine()
        engine.add_netns(netns.own_inode(), fds.diag_fd)
        engine.config.mptcp = diag.has_mptcp()
        engine.configure()
        engine.begin()
        while engine.step(64):
            pass
        totals = engine.end()
    except OSError as e:
        return SourceStatus("diag", "off", "sock_diag", f"a dump failed: {e.strerror}")
    return diag.status(totals, diag.failures(engine))


def _try_procs(procs: Procs) -> SourceStatus:
    try:
        stats = procs.scan()
    except OSError as e:
        return SourceStatus("procs", "off", "proc", f"/proc cannot be read: {e.strerror}")
    return procs_status(stats, privilege.held())


def _try_netns(procs: Procs) -> NetnsReport:
    here = netns.own_inode()
    spaces = netns.enumerate_all(netns.of_processes(procs))
    other = next((n for n in spaces if n.inode != here), None)
    if other is None:
        return NetnsReport(len(spaces), None)
    try:
        fds = netns.open_fds(other.inode, other.path)
    except NettopError as e:
        return NetnsReport(len(spaces), False, str(e))
    hostnet.close_counters(fds)
    os.close(fds.diag_fd)
    return NetnsReport(len(spaces), True)


def to_json(report: Report) -> dict[str, Any]:
    """The report as `doctor --json` writes it; what is unknown has no key."""
    return {
        "schema": SCHEMA,
        "nettop": __version__,
        "kernel": os.uname().release,
        "sources": [_known(asdict(s)) for s in report.sources],
        **_known({"tcp_info_bytes": report.tcp_info_bytes}),
        "netns": _known(asdict(report.netns)),
        "privileges": {
            "uid": report.uid,
            "held": list(report.held),
            "kept": [{"name": name, "why": why} for name, why in report.kept.items()],
            "given_up": report.given_up,
            "no_new_privs": True,
        },
    }


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None}


def to_text(report: Report) -> str:
    """The report for a terminal, a line for each plane."""
    lines = [f"nettop {__version__} on Linux {os.uname().release}", ""]
    for s in report.sources:
        lines.append(_line(s.name, s.state, s.reason or s.method))
        if s.fix:
            lines.append(_line("", "", f"fix: {s.fix}"))
    lines += ["", *_facts(report), ""]
    working = sum(s.state == "ok" for s in report.sources)
    rest = len(report.sources) - working - len(report.fixable)
    lines.append(
        f"{working} of {len(report.sources)} planes work in full"
        + (f", {len(report.fixable)} would after their fix" if report.fixable else "")
        + (f", {rest} cannot here" if rest else "")
        + "."
    )
    return "\n".join(clean(line) for line in lines) + "\n"


def _facts(report: Report) -> Sequence[str]:
    size = report.tcp_info_bytes
    facts = [_fact("tcp_info", f"{size} bytes" if size is not None else f"{ABSENT} (no TCP)")]
    space = report.netns
    entered = {
        None: "no other one to try",
        True: "others can be entered (-N NAME|PID|all)",
        False: space.reason or "others cannot be entered",
    }[space.can_enter]
    facts.append(_fact("netns", f"{space.visible} visible; {entered}"))
    if space.fix:
        facts.append(_fact("", f"fix: {space.fix}"))
    if report.kept:
        facts += [_fact("keeps", f"{name}: {why}") for name, why in report.kept.items()]
    else:
        facts.append(_fact("keeps", "no capability: nettop runs without privilege"))
    if report.given_up:
        facts.append(_fact("gives up", f"{report.given_up} other capabilities at start"))
    facts.append(_fact("", "no_new_privs is set at start"))
    return facts


def _line(name: str, state: str, text: str | None) -> str:
    return f"  {name:<8}{state:<9}{text or ''}".rstrip()


def _fact(name: str, text: str) -> str:
    return f"  {name:<10}{text}"


def run(
    *,
    as_json: bool = False,
    clear_tx_flags: bool = False,
    verbose: bool = False,
    require: Sequence[str] = (),
    out: TextIO | None = None,
) -> int:
    """The subcommand; returns the exit code.

    0 if no plane that does not work in full could be fixed here; with `require` 0 if none of these
    planes is off, whatever the others are; else 1.

    Args:
        verbose: libbpf's own words too, with the verifier's log of a program that was refused.

    Raises:
        UsageError: a required plane is none.
        NettopError: flags are to be cleared, and that cannot be done now.
    """
    out = out if out is not None else sys.stdout
    check_planes(require)
    if clear_tx_flags:
        out.write(clear_flags() + "\n")
        return EXIT_OK
    report = examine()
    if as_json:
        json.dump(to_json(report), out, ensure_ascii=False, indent=2)
        out.write("\n")
    else:
        out.write(to_text(report))
    if verbose:
        # Behind the report, or beside an object on standard output.
        words = [clean(line) for line in libbpf_log().splitlines()] or ["libbpf: no warnings"]
        (sys.stderr if as_json else out).write("\n".join(["", *words, ""]))
    if not require:
        return EXIT_FAILURE if report.fixable else EXIT_OK
    found = {s.name: s for s in report.sources}
    missing = [name for name in require if name not in found or found[name].state == "off"]
    for name in missing:
        reason = found[name].reason if name in found else "this nettop was built without it"
        fix = f" (fix: {found[name].fix})" if name in found and found[name].fix else ""
        sys.stderr.write(clean(f"nettop: required: {name} is off: {reason}{fix}") + "\n")
    return EXIT_FAILURE if missing else EXIT_OK


def check_planes(names: Sequence[str]) -> None:
    """
    Raises:
        UsageError: one is no plane.
    """
    for name in names:
        if name not in PLANES:
            near = nearest(name, list(PLANES), cutoff=0.6)
            hint = f"perhaps {' or '.join(near)}?" if near else f"one of {', '.join(PLANES)}"
            raise UsageError(f"--require: no plane '{name}': {hint}")
