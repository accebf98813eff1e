"""doctor says what it tried and what is missing, and calls nothing ok that was not tried."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop import doctor
from nettop.errors import NettopError, UsageError
from nettop.model.types import SourceStatus
from nettop.sources import netns, stages
from nettop.sources.procs import procs_status
from nettop.text.units import ABSENT

ALL_CAPS = frozenset({"CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"})


def stats(
    unreadable: int = 0,
    hidden: int = 0,
    processes: int = 80,
    unlooked: int = 0,
    unlisted: int = 0,
) -> SimpleNamespace:
    return SimpleNamespace(
        unreadable=unreadable,
        hidden=hidden,
        processes=processes,
        unlooked=unlooked,
        unlisted=unlisted,
        refused_pid=os.getpid() if unreadable else 0,
    )


def report(*sources: SourceStatus, **values: object) -> doctor.Report:
    base: dict[str, object] = {
        "tcp_info_bytes": 280,
        "netns": doctor.NetnsReport(1, None),
        "kept": {},
        "given_up": 0,
        "held": (),
        "uid": 1000,
    }
    return doctor.Report(sources=sources, **(base | values))  # type: ignore[arg-type]


def test_every_plane_has_exactly_one_status() -> None:
    found = doctor.collect()
    assert tuple(s.name for s in found) == doctor.PLANES
    for status in found:
        assert status.state in ("ok", "partial", "off")
        assert (status.state == "ok") == (status.reason is None), status


def test_diag_is_really_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    by_name = {s.name: s for s in doctor.collect()}
    assert by_name["diag"] == SourceStatus("diag", "ok", "sock_diag")

    def broken(inode: int, path: str) -> None:
        raise NettopError("this kernel has no NETLINK_SOCK_DIAG (CONFIG_INET_DIAG)")

    monkeypatch.setattr(netns, "open_fds", broken)
    status = {s.name: s for s in doctor.collect()}["diag"]
    assert status.state == "off"
    assert status.reason is not None
    assert "CONFIG_INET_DIAG" in status.reason


def test_tcp_info_length_is_the_kernels() -> None:
    size = doctor.tcp_info_bytes()
    assert size is not None
    assert 104 <= size < doctor._TCP_INFO_ROOM
    assert size % 4 == 0


def test_all_of_proc_is_ok() -> None:
    assert procs_status(stats(), frozenset()) == SourceStatus("procs", "ok", "proc")


def test_other_users_processes_are_partial_with_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    status = procs_status(stats(unreadable=70), frozenset())
    assert (status.state, status.fix) == ("partial", "sudo nettop")
    here = f"{Path('/proc/self/comm').read_text().strip()}/{os.getpid()}"
    assert status.reason == (
        f"70 of 80 processes belong to other users, or have more rights ({here} and others)"
    )


def test_root_in_a_container_learns_which_capability_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    status = procs_status(stats(unreadable=3), frozenset({"CAP_DAC_READ_SEARCH"}))
    assert status.fix == "run with CAP_SYS_PTRACE"
    none = procs_status(stats(unreadable=3, unlisted=1), frozenset())
    assert none.fix == "run with CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE"


def test_a_capability_that_would_not_help_is_not_named() -> None:
    """With CAP_SYS_PTRACE, and one process all the same whose descriptors are listed."""
    some = frozenset({"CAP_SYS_PTRACE"})
    status = procs_status(stats(unreadable=1), some, confined=False)
    assert (status.state, status.fix) == ("ok", None)
    status = procs_status(stats(unreadable=3, unlisted=2), some, confined=False)
    assert status.reason is not None
    assert status.reason.startswith("2 of 80 processes")
    assert status.fix is not None
    assert "CAP_SYS_PTRACE" not in status.fix


def test_capabilities_of_a_user_namespace_do_not_count_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    outside = "nettop outside of the user namespace (rootless container)"
    status = procs_status(stats(unreadable=42, unlisted=3), ALL_CAPS, confined=True)
    assert (status.state, status.fix) == ("partial", outside)
    assert status.reason is not None
    assert status.reason.startswith("42 of 80 processes may not be looked into from this user")
    status = procs_status(stats(unreadable=42), frozenset(), confined=True)
    assert status.fix == f"for those of this namespace: run with CAP_SYS_PTRACE; {outside}"
    assert procs_status(stats(), ALL_CAPS, confined=True).state == "ok"


def test_what_no_command_mends_has_no_fix() -> None:
    status = procs_status(stats(unreadable=1), ALL_CAPS)
    assert (status.state, status.fix) == ("ok", None)
    assert status.reason is not None
    assert status.reason.endswith(f"/{os.getpid()})")
    both = procs_status(stats(unreadable=1, hidden=1), ALL_CAPS)
    assert both.state == "partial"
    assert status.reason in (both.reason or "")


def test_places_that_show_nothing_are_counted() -> None:
    status = procs_status(stats(unlooked=2), ALL_CAPS)
    assert status.state == "partial"
    assert status.reason is not None
    assert status.reason.startswith("2 threads' own descriptor tables or io_uring instances")


def test_hidden_processes_are_told() -> None:
    status = procs_status(stats(hidden=1), ALL_CAPS)
    assert status.state == "partial"
    assert status.reason is not None
    assert "does not list every process" in status.reason
    assert status.fix is not None


def test_exit_code_follows_the_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    good = SourceStatus("diag", "ok", "sock_diag")
    off = SourceStatus("wait", "off", reason="why")
    fixable = SourceStatus("stages", "off", reason="why", fix="sudo nettop")
    partial = SourceStatus("procs", "partial", reason="1 of 105")
    for sources, code in [
        ((good, off, partial), 0),
        ((good, fixable), 1),
        ((good, off, fixable), 1),
    ]:
        monkeypatch.setattr(doctor, "examine", lambda s=sources: report(*s))
        assert doctor.run(out=io.StringIO()) == code
        assert doctor.run(as_json=True, out=io.StringIO()) == code


def test_exit_code_follows_what_is_required(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = (
        SourceStatus("diag", "ok", "sock_diag"),
        SourceStatus("procs", "partial", reason="1 of 105"),
        SourceStatus("wait", "off", reason="needs CAP_BPF", fix="sudo nettop"),
    )
    monkeypatch.setattr(doctor, "examine", lambda: report(*sources))
    for names, code in [(("diag",), 0), (("diag", "procs"), 0), (("wait",), 1), (("stages",), 1)]:
        assert doctor.run(require=names, out=io.StringIO()) == code, names
    assert "wait is off: needs CAP_BPF (fix: sudo nettop)" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"no plane 'wiat': perhaps wait\?"):
        doctor.run(require=("wiat",), out=io.StringIO())


def test_text_names_every_plane_reason_and_fix() -> None:
    text = doctor.to_text(
        report(
            SourceStatus("diag", "ok", "sock_diag"),
            SourceStatus("procs", "partial", "proc", "70 of 80 \x1b[31m", "sudo nettop"),
            netns=doctor.NetnsReport(3, False, "needs CAP_SYS_ADMIN", "sudo nettop -N all"),
            kept={"CAP_SYS_PTRACE": "to see"},
            given_up=5,
            tcp_info_bytes=None,
        )
    )
    assert "\x1b" not in text
    for part in ("diag    ok", "70 of 80 ?[31m", "fix: sudo nettop\n", "3 visible",
                 "needs CAP_SYS_ADMIN", "CAP_SYS_PTRACE: to see", "5 other capabilities",
                 "1 of 2 planes", f"{ABSENT} (no TCP)"):  # fmt: skip
        assert part in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_json_leaves_out_what_is_unknown() -> None:
    out = io.StringIO()
    doctor.run(as_json=True, out=out)
    data = json.loads(out.getvalue())
    assert data["schema"] == "nettop.doctor/1"
    assert [s["name"] for s in data["sources"]] == list(doctor.PLANES)
    assert data["tcp_info_bytes"] == doctor.tcp_info_bytes()
    assert data["privileges"]["uid"] == os.geteuid()

    def values(node: object) -> list[object]:
        if isinstance(node, dict):
            return [v for x in node.values() for v in values(x)]
        if isinstance(node, list):
            return [v for x in node for v in values(x)]
        return [node]

    assert None not in values(data)


class _Plane:
    """A stages plane that finds three flags, or another tool's program."""

    def __init__(self, others: int) -> None:
        self.others = others
        self.closed = False

    def clear_all(self, walks: Callable[[Callable[[int], None]], None]) -> int:
        if self.others:
            raise RuntimeError("1 other sockops programs are attached and may use the flag")
        walked: list[int] = []
        walks(walked.append)
        assert -1 in walked, "the own namespace is walked without a descriptor"
        return 3

    def close(self, walks: object) -> None:
        self.closed = True


@pytest.mark.parametrize("others", [0, 1])
def test_clearing_flags(monkeypatch: pytest.MonkeyPatch, others: int) -> None:
    plane, out = _Plane(others), io.StringIO()
    status = SourceStatus("stages", "ok")
    monkeypatch.setattr(stages, "open_plane", lambda root, every: (plane, status))
    if others:
        with pytest.raises(NettopError, match="other sockops programs"):
            doctor.run(clear_tx_flags=True, out=out)
    else:
        assert doctor.run(clear_tx_flags=True, out=out) == 0
        assert out.getvalue().startswith("cleared the TX timestamping flag of 3 sockets")
    assert plane.closed


def test_flags_cannot_be_cleared_without_the_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    status = SourceStatus("stages", "off", reason="needs CAP_BPF")
    monkeypatch.setattr(stages, "open_plane", lambda root, every: (None, status))
    with pytest.raises(NettopError, match="needs CAP_BPF"):
        doctor.run(clear_tx_flags=True, out=io.StringIO())


def test_the_namespace_of_another_process_is_tried() -> None:
    found = doctor.examine().netns
    assert found.visible >= 1
    assert (found.can_enter is False) == (found.reason is not None)


@pytest.mark.needs_root
def test_without_privilege_diag_works_and_procs_is_partial() -> None:
    script = f"""
import os, sys
sys.path[:0] = {[str(Path(p).absolute()) for p in sys.path if p]!r}
from nettop import doctor
os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
sys.exit(doctor.run(as_json=True))
"""
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    assert out.returncode == 1, out.stderr
    data = json.loads(out.stdout)
    by_name = {s["name"]: s for s in data["sources"]}
    assert by_name["diag"]["state"] == "ok"
    assert by_name["procs"]["state"] == "partial"
    assert by_name["procs"]["fix"] == "sudo nettop"
    assert data["privileges"] == {
        "uid": 65534, "held": [], "kept": [], "given_up": 0, "no_new_privs": True,
    }  # fmt: skip


def test_doctor_never_imports_the_screen() -> None:
    script = (
        f"import sys; sys.path[:0] = {[str(Path(p).absolute()) for p in sys.path if p]!r}\n"
        "import nettop.doctor\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('textual', 'rich')])\n"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
