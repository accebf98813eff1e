"""What each kernel must be able to do, and which of the tests its guests run."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

# Kernels that are named have all known answers that they can have.
NAMED = "NETTOP_VM_KERNELS" in os.environ
EXACT, FENTRY = "exact", "fentry"
STAMPS, TRACEPOINTS = "bpf_timestamping", "tracepoints"
BPF_PLANES = ("wait", "stages", "events")


@dataclass(frozen=True, slots=True)
class Expected:
    """By plane: the method that must work, or None and words of the reason why it cannot."""

    wait: str | None
    stages: str | None
    events: str | None
    tcp_info_bytes: int
    reasons: dict[str, str] = field(default_factory=dict)
    brief: bool = False  # one known answer of each plane
    only_sends: bool = False  # of the known answers, that no stamped send is lost
    when_named: bool = False  # booted only if NETTOP_VM_KERNELS names it


_NO_RECORDS = "tracepoints keep no records of sockets on this kernel (Linux 5.11)"
KERNELS = {
    "5.10": Expected(
        None, None, None, 232,
        {"wait": _NO_RECORDS, "stages": _NO_RECORDS, "events": _NO_RECORDS},
    ),
    "6.1": Expected(
        FENTRY, TRACEPOINTS, "tp_btf", 232,
        {"stages": "lacks BPF timestamping (Linux 6.15)",
         "events": "this kernel does not report: resets sent"},
        brief=not NAMED,
    ),
    "6.12": Expected(
        EXACT, TRACEPOINTS, "tp_btf", 248,
        {"stages": "lacks BPF timestamping (Linux 6.15)"}, brief=True,
    ),
    "6.16": Expected(EXACT, STAMPS, "tp_btf", 248, only_sends=True),
    "6.18": Expected(EXACT, STAMPS, "tp_btf", 280, brief=True),
    "newest": Expected(EXACT, STAMPS, "tp_btf", 280, brief=not NAMED),
    # With nettop's wheel for that processor, see machines.py.
    "aarch64": Expected(EXACT, STAMPS, "tp_btf", 280, brief=True, when_named=True),
}  # fmt: skip

# Known answers of tests/integration that a guest repeats: file to part of the tests' names.
DIAG = {"test_ss_equality.py": "every_field or without_ss"}
BRIEF = {
    "test_wait.py": "late_reader and 1-0.1",
    "test_udp_moved.py": "is_counted or only_looked or once",
    "test_stages_harm.py": "remains and 9",
    "test_closed.py": "no_tick_saw",
}
BRIEF_FUNCTIONS = {
    "test_wait.py": "late_reader and 1-0.1 or burst and 5-0.02 or waitall or before_accept",
}
BRIEF_STAGES = {"test_stages.py": "size_over_rate and 6000"}
BRIEF_SEGMENTS = {"test_stages_path.py": "6000"}
WAITS = {
    "test_wait.py": "late_reader and 1-0.1 or burst and 5-0.02 or looking or waitall or splice "
    "or two_calls or before_accept or fin_alone or oldest_unread or before_nettop "
    "or without_sk_data_ready and 0.01 or remains and 9",
}
STAGES = {
    "test_stages.py": "size_over_rate and 6000 or delayed_ack or out_of_reach or buffer_space",
    "test_stages_harm.py": "left_alone or cleared_on or remains and 9",
}
SEGMENTS = {"test_stages_path.py": "datagram_waits or 6000 or late_ack or leaves_again"}
SEGMENTS_ALONE = {"test_stages.py": "macvlan", "test_stages_harm.py": "remains and 9"}
EVENTS = {
    "test_events.py": "namespace_counts or unread_data or orderly or refused or full_socket",
    "test_closed.py": "",
}
EVENTS_WITHOUT_RESETS = {
    "test_events.py": "namespace_counts or orderly",
    "test_closed.py": "no_tick_saw",
}
