"""Names for numbers: users, namespaces, cgroups and what their paths say."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nettop import groups
from nettop.query import FilterError, compile_filter
from nettop.sources import cgroups, mounts
from nettop.sources.cgroups import Cgroups, container_of
from nettop.sources.names import Names
from nettop.users import PendingError, Users

HYBRID = b"""31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
99 22 0:4 net:[4026532281] /run/netns/blue rw shared:1 - nsfs nsfs rw
98 22 0:4 net:[4026532299] /run/netns/a\\040b\\033[31m rw - nsfs nsfs rw
97 22 0:4 mnt:[4026531840] /run/snapd/ns/x.mnt rw - nsfs nsfs rw
"""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_mountinfo_is_parsed_with_its_escapes() -> None:
    found = mounts.parse_mountinfo(HYBRID + b"broken line\n1 2 3 4 5 - x\n\n")
    assert len(found) == 6
    assert found[4].point == "/run/netns/a b\x1b[31m"
    assert found[3] == mounts.Mount("net:[4026532281]", "/run/netns/blue", "nsfs")


def test_cgroup2_is_found_wherever_it_is_mounted() -> None:
    assert cgroups.find_mount(mounts.parse_mountinfo(HYBRID)) == "/sys/fs/cgroup/unified"
    pure = b"1 2 0:3 /x /mnt/part rw - cgroup2 c rw\n1 2 0:3 / /sys/fs/cgroup rw - cgroup2 c rw\n"
    assert cgroups.find_mount(mounts.parse_mountinfo(pure)) == "/sys/fs/cgroup"
    assert cgroups.find_mount([]) is None


def test_mount_watch_sees_a_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "mountinfo"
    path.write_bytes(HYBRID)
    watch = mounts.MountWatch(path)
    assert watch.changed()
    assert len(watch.read()) == 6
    assert not watch.changed()
    path.write_bytes(HYBRID[:80])
    os.utime(path, ns=(1, 1))
    assert watch.changed()
    assert len(watch.read()) == 1


def test_mount_watch_of_the_running_kernel_is_quiet_between_mounts() -> None:
    watch = mounts.MountWatch()
    assert watch.read()
    assert not watch.changed()


# --- users ---


def test_users_come_from_passwd(tmp_path: Path) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_bytes(
        b"root:x:0:0:root:/root:/bin/sh\nfirst:x:70:70::/:\nsecond:x:70:70::/:\n"
        b"ev\x1bil:x:71:71::/:\n\xff:x:72:72::/:\nbroken\n:x:73:73::/:\nnan:x:zz:1::/:\n"
    )
    names = Names(users=Users(passwd=passwd))
    assert names.user(0) == "root"
    assert names.user(70) == "first"
    assert names.user(71) == "ev?il"
    assert names.user(72) == "\ufffd"


def test_an_unknown_user_has_no_name(tmp_path: Path) -> None:
    names = Names(users=Users(passwd=tmp_path / "none"))
    assert names.user(4_123_456_789) is None
    assert names.user(4_123_456_789) is None
    assert names.user(0) == "root"  # from the user database


class Directory:
    """Answers when it is let, and counts the questions."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.answers = threading.Event()

    def by_uid(self, uid: int) -> str:
        self.asked.append(uid)
        assert self.answers.wait(10)
        if uid == 7:
            raise KeyError(uid)
        return f"user{uid}"

    def by_name(self, name: str) -> int:
        return int(self.by_uid(int(name.removeprefix("user")))[4:])


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_slow_directory_is_asked_aside(tmp_path: Path) -> None:
    directory, clock = Directory(), Clock()
    users = Users(
        passwd=tmp_path / "none", by_uid=directory.by_uid, by_name=directory.by_name, clock=clock
    )
    users.patience_s = 0
    begin = time.monotonic()
    for _ in range(100):
        assert users.name(5) is None
        with pytest.raises(PendingError):
            users.uid("user6")
    assert users.name(7) is None
    with pytest.raises(FilterError, match="no answer yet who 'user6' is"):
        compile_filter("user = user6", UsersOf(users))
    assert time.monotonic() - begin < 1
    directory.answers.set()
    until(lambda: users.name(5) == "user5")
    until(lambda: len(directory.asked) == 3)
    assert users.uid("user6") == 6
    until(lambda: not users.busy)
    assert users.name(7) is None  # there is none: not asked for again before long
    assert len(directory.asked) == 3
    clock.now += 301
    assert users.name(7) is None
    until(lambda: len(directory.asked) == 4)


def test_patience_is_for_all_questions_together(tmp_path: Path) -> None:
    directory = Directory()
    users = Users(passwd=tmp_path / "none", by_uid=directory.by_uid)
    users.patience_s = 0.2
    begin = time.monotonic()
    for uid in range(10, 60):
        assert users.name(uid) is None
    assert 0.2 <= time.monotonic() - begin < 1
    directory.answers.set()
    users.patience_s = 5
    assert users.name(60) == "user60"
    assert not users.busy  # its thread has ended
    assert "nettop-users" not in {t.name for t in threading.enumerate()}


def test_who_is_shown_is_looked_up_before_who_is_not(tmp_path: Path) -> None:
    directory = Directory()
    users = Users(passwd=tmp_path / "none", by_uid=directory.by_uid)
    users.patience_s = 0
    for uid in range(10, 16):
        users.name(uid, last=True)
    until(lambda: directory.asked == [10])
    for uid in (14, 20, 13):
        users.name(uid)
        users.name(uid, last=True)  # changes nothing
    directory.answers.set()
    until(lambda: not users.busy)
    assert directory.asked == [10, 13, 20, 14, 11, 12, 15]


def test_who_was_shown_last_is_kept_in_a_full_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nettop.users.QUEUE_MOST", 3)
    directory = Directory()
    users = Users(passwd=tmp_path / "none", by_uid=directory.by_uid)
    users.patience_s = 0
    users.name(9)
    until(lambda: directory.asked == [9])
    for uid in (10, 11, 12, 13):
        users.name(uid)
    users.name(14, last=True)
    directory.answers.set()
    until(lambda: not users.busy)
    assert directory.asked == [9, 13, 12, 11]
    assert users.name(10) is None  # asked for again
    until(lambda: not users.busy)
    assert users.name(10) == "user10"


class UsersOf:
    """The names of a filter, by one Users."""

    def __init__(self, users: Users) -> None:
        self.uid = users.uid

    def is_host(self, pattern: str) -> bool:
        return False

    def cgroup_ids(self, pattern: str) -> list[int]:
        return []

    def devices(self, name: str) -> list[tuple[int, int]]:
        return []

    def container_ids(self, pattern: str) -> list[int]:
        return []

    def netns_ids(self, pattern: str) -> list[int]:
        return []


# --- namespaces ---


def test_netns_names_follow_the_mounts(tmp_path: Path) -> None:
    path, clock = tmp_path / "mountinfo", Clock()
    path.write_bytes(HYBRID)
    names = Names(mountinfo=path, clock=clock)
    assert names.netns_name(4026532281) == "blue"
    assert names.netns_name(4026532299) == "a b?[31m"
    assert names.netns_name(4026531840) is None
    # The namespace ends and its inode is given to another one.
    path.write_bytes(HYBRID.replace(b"/netns/blue", b"/netns/green"))
    os.utime(path, ns=(1, 1))
    clock.now += 10
    assert names.netns_name(4026532281) == "green"


# --- cgroups ---


def test_walk_finds_directories_by_inode(tmp_path: Path) -> None:
    deep = tmp_path / "system.slice" / "nginx.service"
    deep.mkdir(parents=True)
    (tmp_path / "system.slice" / "cgroup.procs").write_text("")
    found = Cgroups(str(tmp_path), by_handle=False)
    assert found.path(deep.stat().st_ino) == "/system.slice/nginx.service"
    assert found.path(tmp_path.stat().st_ino) == "/"
    assert found.path((tmp_path / "system.slice" / "cgroup.procs").stat().st_ino) is None


def test_unknown_ids_do_not_walk_the_tree_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    walks: list[float] = []
    found = Cgroups(str(tmp_path), clock, by_handle=False)
    real = found._walk

    def walk() -> None:
        walks.append(clock.now)
        real()

    monkeypatch.setattr(found, "_walk", walk)
    for tick in range(60):
        for strange in range(1, 50):
            assert found.path(10**9 + tick * 100 + strange) is None
        clock.now += 1
    assert 2 <= len(walks) <= 60 / cgroups.WALK_LEAST_S + 1


def test_a_cgroup_that_appears_later_is_found(tmp_path: Path) -> None:
    clock = Clock()
    found = Cgroups(str(tmp_path), clock, by_handle=False)
    late = tmp_path / "late"
    assert found.path(12345678) is None
    late.mkdir()
    clock.now += cgroups.WALK_LEAST_S + 1
    assert found.path(late.stat().st_ino) == "/late"


def test_without_cgroup2_there_are_no_paths() -> None:
    found = Cgroups("")
    assert found.path(1) is None


def test_a_plain_directory_has_no_handles(tmp_path: Path) -> None:
    """Handles are those of kernfs: elsewhere the walk takes over by itself."""
    (tmp_path / "a").mkdir()
    found = Cgroups(str(tmp_path))
    assert found.path((tmp_path / "a").stat().st_ino) == "/a"


MOUNT = cgroups.find_mount(mounts.read_mounts())


@pytest.mark.needs_root
@pytest.mark.skipif(MOUNT is None, reason="needs cgroup v2")
@pytest.mark.parametrize("by_handle", [True, False])
def test_real_cgroup_by_handle_and_by_walk(by_handle: bool) -> None:
    assert MOUNT is not None
    child = Path(MOUNT, f"nettop-test-{os.getpid()}", "in\u202eside")
    child.mkdir(parents=True)
    try:
        inode = child.stat().st_ino
        found = Cgroups(MOUNT, by_handle=by_handle)
        below = str(child).removeprefix(MOUNT)
        assert found.path(inode) == below
        assert found.path(Path(MOUNT).stat().st_ino) == "/"
        assert Names(cgroups=found).cgroup(inode) == below.replace("\u202e", "?")
        if by_handle:
            assert found._handles is not None, "handles were not used"
        found.close()
    finally:
        child.rmdir()
        child.parent.rmdir()
    assert Cgroups(MOUNT, by_handle=by_handle).path(inode) is None


POD = "kubepods-burstable-pod1a2b3c4d_5e6f_7a8b_9c0d_e1f2a3b4c5d6"
ID = "4f5e6d7c8b9a" + "0123456789abcdef" * 3 + "0123"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"/docker/{ID}", "docker:4f5e6d7c8b9a"),
        (f"/system.slice/docker-{ID}.scope", "docker:4f5e6d7c8b9a"),
        (f"/system.slice/docker-{ID}.scope/init", "docker:4f5e6d7c8b9a"),
        (
            f"/kubepods.slice/kubepods-burstable.slice/{POD}.slice/cri-containerd-{ID}.scope",
            "pod:1a2b3c4d/4f5e6d7c8b9a",
        ),
        (
            f"/kubepods/besteffort/pod1a2b3c4d-5e6f-7a8b-9c0d-e1f2a3b4c5d6/{ID}",
            "pod:1a2b3c4d/4f5e6d7c8b9a",
        ),
        (f"/system.slice/cri-containerd-{ID}.scope", "containerd:4f5e6d7c8b9a"),
        (f"/default/{ID}", "default:4f5e6d7c8b9a"),
        (f"/machine.slice/libpod-{ID}.scope/container", "podman:4f5e6d7c8b9a"),
        (
            f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope",
            "podman:4f5e6d7c8b9a",
        ),
        (f"/machine.slice/libpod-conmon-{ID}.scope", f"libpod-conmon-{ID}.scope"),
        ("/lxc.payload.web1/system.slice/nginx.service", "lxc:web1"),
        ("/lxc/db", "lxc:db"),
        ("/machine.slice/systemd-nspawn@deb\\x2d12.service/payload", "nspawn:deb-12"),
        ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt", "machine:qemu-1-vm"),
        ("/system.slice/nginx.service", "nginx.service"),
        ("/system.slice/system-pg.slice/pg@15-main.service", "pg@15-main.service"),
        ("/system.slice/foo.service/worker", "foo.service"),
        ("/user.slice/user-1000.slice/session-3.scope", "user-1000/session-3"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service", "sync.service"),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", "user@1000.service"),
        ("/init.scope", "init.scope"),
        ("/", None),
        ("", None),
        ("/system.slice", None),
        ("/deadbeef", None),
        ("/lxc", None),
    ],
)  # fmt: skip
def test_container_names_come_from_the_path(path: str, name: str | None) -> None:
    assert container_of(path) == name


def test_container_names_are_safe_to_print() -> None:
    assert Names().container("/lxc/a\x1b[31m") == "lxc:a?[31m"
    assert Names().container("/machine.slice/machine-x\\x1b.scope") == "machine:x?"


@pytest.mark.parametrize("path", ["/a b", '/a "b"', "/it's"])
def test_a_groups_filter_holds_any_name(path: str) -> None:
    text = groups._equal("cgroup", path)
    compiled = compile_filter(text)
    assert compiled is not None
    assert compiled.text == text


def test_no_filter_for_a_name_with_both_quotes() -> None:
    assert groups._equal("netns", "a'b\"c") == ""
