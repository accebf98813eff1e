"""Containers and the like: every plane works there, or says what is missing and what to do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import environment

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tools("unshare", "setpriv", "mount")]

NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
BPF = ("wait", "split", "stages", "events")


def examined(*prefix: str, shell: str = "") -> tuple[int, Mapping[str, Any]]:
    """What doctor finds, started by these words; shell: what comes before in the same place."""
    words = [*prefix]
    if shell:
        words += ["sh", "-ec", f'{shell}; exec "$@"', "sh"]
    done = subprocess.run(
        [*words, sys.executable, "-m", "nettop", "doctor", "--json"], env=environment(),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, {s["name"]: s for s in json.loads(done.stdout)["sources"]}


@pytest.fixture(scope="module")
def here() -> Mapping[str, Any]:
    """What this machine can without anything around it."""
    _, sources = examined()
    if sources["wait"]["state"] == "off":
        pytest.skip(f"no BPF here: {sources['wait'].get('reason')}")
    return sources


@pytest.mark.parametrize(
    ("prefix", "shell"),
    [
        (("unshare", "-n", "-m"), "mount -t sysfs sysfs /sys"),  # as ip netns exec does it
        (("unshare", "-m"), "umount -l /sys/fs/cgroup"),
        (("unshare", "-C", "-m"), ""),
        (("unshare", "-p", "-f", "--mount-proc"), ""),
        (("setpriv", "--inh-caps", "-sys_admin", "--bounding-set", "-sys_admin"), ""),
    ],
    ids=["ip-netns", "no-cgroup", "cgroup-namespace", "pid-namespace", "no-sys-admin"],
)
def test_every_bpf_plane_works(
    here: Mapping[str, Any], prefix: tuple[str, ...], shell: str
) -> None:
    _, sources = examined(*prefix, shell=shell)
    for name in BPF:
        same = (sources[name]["state"], sources[name].get("method"))
        assert same == (here[name]["state"], here[name].get("method")), sources[name]


def test_in_a_pid_namespace_other_programs_are_out_of_sight() -> None:
    code, sources = examined("unshare", "-p", "-f", "--mount-proc")
    assert code == 1
    assert sources["procs"]["state"] == "partial"
    assert "outside the container" in sources["procs"]["fix"]


def test_without_sys_the_planes_name_the_mount(here: Mapping[str, Any]) -> None:
    code, sources = examined("unshare", "-m", shell="mount -t tmpfs none /sys")
    assert code == 1
    for name in BPF:
        assert (sources[name]["state"], sources[name]["fix"]) == (
            "off",
            "mount -t sysfs sysfs /sys",
        )


@pytest.mark.parametrize(
    ("shell", "said"),
    [
        ("mount -t tmpfs none /sys/kernel/btf", "No such file or directory"),
        ("mount --bind /proc/version /sys/kernel/btf/vmlinux", "it is no BTF"),
    ],
    ids=["no-file", "no-types"],
)
def test_types_that_cannot_be_read_are_not_the_kernels_fault(
    here: Mapping[str, Any], shell: str, said: str
) -> None:
    _, sources = examined("unshare", "-m", shell=shell)
    for name in ("wait", "stages", "events"):
        reason = f"/sys/kernel/btf/vmlinux cannot be read: {said}"
        assert (sources[name]["state"], sources[name]["reason"]) == ("off", reason)


@pytest.mark.parametrize("most", [20, 40, 64])
def test_a_low_limit_of_descriptors_is_raised(here: Mapping[str, Any], most: int) -> None:
    _, sources = examined(shell=f"ulimit -Sn {most}")
    for name in ("diag", "procs", *BPF):
        assert sources[name]["state"] == here[name]["state"], sources[name]


@pytest.mark.parametrize("most", [14, 22, 30, 64, 81])
def test_where_it_may_not_be_raised_that_is_the_fix(here: Mapping[str, Any], most: int) -> None:
    """Also where libbpf takes it for what the kernel lacks."""
    code, sources = examined(shell=f"ulimit -n {most}")
    off = [
        sources[name] for name in ("wait", "stages", "events") if sources[name]["state"] == "off"
    ]
    assert code == 1
    assert off
    assert all("Too many open files" in s["reason"] for s in off), off
    assert all(s["fix"] == "raise ulimit -n" for s in off), off
    assert sources["diag"]["state"] == here["diag"]["state"]


def test_without_proc_one_line_names_the_mount() -> None:
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", 'mount -t tmpfs none /proc; exec "$@"', "sh",
         sys.executable, "-m", "nettop", "-1"],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "nettop: /proc is not mounted here: mount -t proc proc /proc\n"


def test_two_capabilities_are_enough_for_the_waits(here: Mapping[str, Any]) -> None:
    """The stages say that a third is missing, whatever the kernel could."""
    given = "+bpf,+perfmon"
    _, sources = examined(*NOBODY, "--inh-caps", given, "--ambient-caps", given)
    for name in ("wait", "events"):
        assert sources[name]["state"] == here[name]["state"], sources[name]
    assert sources["stages"]["state"] == "partial"
    assert "needs CAP_NET_ADMIN" in sources["stages"]["reason"]
    assert sources["stages"]["fix"] == "sudo nettop"


def test_the_capabilities_of_readme_are_enough(here: Mapping[str, Any]) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    (line,) = re.findall(r"^docker run .*", readme, re.MULTILINE)
    caps = "".join(f",+{name.lower()}" for name in re.findall(r"--cap-add=(\S+)", line))
    _, sources = examined(
        "setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set=-all{caps}"
    )
    for name in ("procs", *BPF):
        assert sources[name]["state"] == here[name]["state"], sources[name]


@pytest.mark.parametrize(
    ("prefix", "fix"),
    [(NOBODY, "sudo nettop"), (("unshare", "-U", "-r"), "outside of the user namespace")],
    ids=["nobody", "user-namespace"],
)
def test_who_may_not_load_programs_is_said_what_would_help(
    prefix: tuple[str, ...], fix: str
) -> None:
    if prefix[0] == "unshare" and subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("no user namespaces here")
    _, sources = examined(*prefix)
    assert sources["diag"]["state"] == "ok"
    for name in BPF:
        assert sources[name]["state"] == "off"
        assert "CAP_BPF" in sources[name]["reason"] or name == "split"
        assert fix in sources[name]["fix"]


def test_a_user_namespace_hides_the_programs_of_the_others(here: Mapping[str, Any]) -> None:
    """Its root has every capability, and they do not count for processes outside of it."""
    prefix = ("unshare", "-U", "-r")
    if subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("no user namespaces here")
    _, sources = examined(*prefix)
    procs = sources["procs"]
    assert procs["state"] == "partial", here["procs"]
    assert "from this user namespace" in procs["reason"]
    assert procs["fix"] == "nettop outside of the user namespace (rootless container)"


def test_a_root_that_is_read_only_changes_nothing(here: Mapping[str, Any]) -> None:
    shell = (
        "mount --rbind / /mnt; mount --make-rslave /mnt; mount -o remount,bind,ro /mnt; "
        f"cd {Path.cwd()}"
    )
    _, sources = examined("unshare", "-m", shell=f'{shell}; set -- chroot /mnt "$@"')
    assert {n: sources[n]["state"] for n in BPF} == {n: here[n]["state"] for n in BPF}
