"""The guard of a NIC's stamping: it refuses where others are at work, and always puts back."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nettop.clocks.hwtstamp import Owner, find_owners, hardware_stamping
from nettop.errors import NettopError
from tests.clocks.fake import NIC, Fake

OFF, ON = (0, 0, 0), (1, 1, 0)

HOLD = """
import sys, time
from pathlib import Path
from nettop.clocks.hwtstamp import hardware_stamping
from nettop.errors import NettopError
try:
    with hardware_stamping(sys.argv[1], Path(sys.argv[2])) as s:
        print(s.changed, s.rx, s.phc, s.before.tx_type, s.now.rx_filter, flush=True)
        exec(sys.argv[3])
except NettopError as error:
    print("refused:", error, flush=True)
"""


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    """A /proc where nobody has to do with clocks."""
    proc = tmp_path / "proc"
    proc.mkdir()
    process(proc, 4242, "nginx")
    return proc


def process(proc: Path, pid: int, comm: str, state: str = "S") -> Path:
    entry = proc / str(pid)
    (entry / "fd").mkdir(parents=True)
    (entry / "fdinfo").mkdir()
    (entry / "stat").write_text(f"{pid} ({comm}) {state} 1 1 1\n")
    return entry


def holds(entry: Path, fd: int, path: str, flags: int) -> None:
    (entry / "fd" / str(fd)).symlink_to(path)
    (entry / "fdinfo" / str(fd)).write_text(f"pos:\t0\nflags:\t0{flags:o}\nmnt_id:\t9\n")


class Held:
    """A process that holds the guard until it is told or killed."""

    def __init__(self, fake: Fake, proc: Path, body: str = "sys.stdin.readline()") -> None:
        self.fake = fake
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, NIC, str(proc), body], env=fake.environ, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline().strip()

    def end(self, how: int | None = None) -> None:
        if how is not None:
            self.process.send_signal(how)
        self.process.communicate(None if how is not None else "\n", timeout=20)

    def restored(self, within_s: float = 30.0) -> bool:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if self.fake.setting == OFF:
                return True
            time.sleep(0.01)
        return False


@pytest.fixture
def hold(fake: Fake, quiet: Path) -> Iterator[Held]:
    held = Held(fake, quiet)
    yield held
    if held.process.poll() is None:
        held.end(signal.SIGKILL)


def test_it_sets_and_puts_back(hold: Held) -> None:
    assert hold.first == "True True 7 off all"
    assert hold.fake.setting == ON
    hold.end()
    assert hold.fake.setting == OFF, "when the block is over, it is over"
    assert hold.fake.world.sets == 2


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_it_puts_back_whatever_the_end(hold: Held, how: signal.Signals) -> None:
    assert hold.fake.setting == ON
    hold.end(how)
    assert hold.restored(), how


def test_a_signal_to_the_whole_group_does_not_stop_the_restorer(hold: Held) -> None:
    os.killpg(hold.process.pid, signal.SIGKILL)
    hold.process.communicate(timeout=20)
    assert hold.restored()


@pytest.mark.parametrize(
    "body",
    ["raise ValueError", "raise SystemExit(3)", "import os; os._exit(1)", "import os; os.abort()"],
)
def test_it_puts_back_after_errors(fake: Fake, quiet: Path, body: str) -> None:
    held = Held(fake, quiet, body)
    held.end()
    assert fake.world.sets >= 1
    assert held.restored()


def targets(pid: int) -> list[str]:
    """What a process has open, without numbers."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(fd.readlink()).split(":")[0])
    return sorted(found)


def test_the_restorer_holds_nothing_else_open(fake: Fake, quiet: Path) -> None:
    held = Held(fake, quiet)
    children = Path(f"/proc/{held.process.pid}/task/{held.process.pid}/children").read_text()
    [child] = children.split()
    assert Path(f"/proc/{child}/comm").read_text() == "nettop-restore\n"
    wanted = ["/dev/null"] * 3 + ["pipe"]
    deadline = time.monotonic() + 30
    while (found := targets(int(child))) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)  # the pipe that it told its success through is closed after that
    assert found == wanted
    held.end()


def test_the_widened_filter_is_told_and_put_back(fake: Fake, quiet: Path) -> None:
    fake.set(widen_to=12)
    held = Held(fake, quiet)
    assert held.first == "True False 7 off ptpv2-event"
    held.end()
    assert fake.setting == OFF


def test_a_filter_that_is_listed_and_refused_leaves_transmit_stamps(
    fake: Fake, quiet: Path
) -> None:
    fake.set(refuse_all=1)
    held = Held(fake, quiet)
    assert held.first == "True False 7 off none"
    assert fake.setting == (1, 0, 0)
    held.end()
    assert fake.setting == OFF


def test_what_somebody_else_set_meanwhile_stays(fake: Fake, quiet: Path) -> None:
    held = Held(fake, quiet)
    fake.set(tx_type=1, rx_filter=12)
    held.end()
    assert fake.setting == (1, 12, 0)


def test_what_is_as_wanted_is_not_touched(fake: Fake, quiet: Path) -> None:
    fake.set(tx_type=1, rx_filter=1)
    held = Held(fake, quiet)
    assert held.first == "False True 7 on all"
    held.end()
    assert (fake.setting, fake.world.sets) == (ON, 0)


def test_a_setting_of_somebody_unseen_is_left_alone(fake: Fake, quiet: Path) -> None:
    fake.set(tx_type=1, rx_filter=12)
    held = Held(fake, quiet)
    held.end()
    assert held.first.startswith("refused: fake0: another program has set its timestamping")
    assert "hwstamp_ctl" in held.first
    assert fake.world.sets == 0


@pytest.mark.parametrize("comm", ["ptp4l", "phc2sys", "chronyd", "timemaster"])
def test_it_refuses_beside_a_clock_daemon(fake: Fake, quiet: Path, comm: str) -> None:
    process(quiet, 812, comm)
    held = Held(fake, quiet)
    held.end()
    assert held.first.startswith(f"refused: fake0: {comm} (pid 812) is running")
    assert fake.world.sets == 0


@pytest.mark.parametrize(
    ("number", "what"), [(1, "stamping is refused"), (34, "refused to stamp"), (16, "in use")]
)
def test_a_refusal_is_one_line(fake: Fake, quiet: Path, number: int, what: str) -> None:
    fake.set(refuse_set=number)
    held = Held(fake, quiet)
    held.end()
    assert held.first.startswith("refused: fake0: ")
    assert what in held.first
    assert fake.setting == OFF


def test_a_driver_that_does_not_tell_its_setting_is_not_set(fake: Fake, quiet: Path) -> None:
    fake.set(refuse_get=95)
    held = Held(fake, quiet)
    held.end()
    assert "could not be restored" in held.first
    assert fake.world.sets == 0


def test_a_restore_that_fails_is_told(fake: Fake, quiet: Path) -> None:
    held = Held(fake, quiet, "sys.stdin.readline()")
    fake.set(refuse_set=5)
    assert held.process.stdin is not None
    out, _ = held.process.communicate("\n", timeout=20)
    assert "could not be put back" in out
    assert "hwstamp_ctl -i fake0 -t 0 -r 0" in out


@pytest.mark.parametrize(("name", "what"), [("lo", "cannot stamp"), ("nosuch0", "no interface")])
def test_interfaces_that_cannot(name: str, what: str, quiet: Path) -> None:
    with pytest.raises(NettopError, match=what), hardware_stamping(name, quiet):
        pass


def test_owners(quiet: Path) -> None:
    assert find_owners(quiet) == []
    process(quiet, 7, "chronyd", "Z")
    assert find_owners(quiet) == [], "a zombie owns nothing"
    holds(process(quiet, 9, "steer) S (x"), 3, "/dev/ptp0", os.O_RDWR)
    holds(process(quiet, 10, "looker"), 3, "/dev/ptp0", os.O_RDONLY)
    holds(process(quiet, 11, "shell"), 3, "/dev/ptmx", os.O_RDWR)
    process(quiet, 12, "ptp4l")
    process(quiet, os.getpid(), "ptp4l")
    assert find_owners(quiet) == [
        Owner(9, "steer) S (x", "has /dev/ptp0 open for writing"),
        Owner(12, "ptp4l", "is running"),
    ]


def test_the_real_proc_can_be_read() -> None:
    assert all(owner.pid != os.getpid() for owner in find_owners())
