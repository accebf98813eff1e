"""The clocks screen, on clocks that a test makes up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from nettop.clocks import watch
from nettop.clocks.interfaces import Interface, Remark, Setting, judge
from nettop.clocks.observer import PhcReport, Report, Scale, State
from nettop.clocks.offset import SECOND_NS, Frequency, Method, Offset, Step, Stepped
from nettop.clocks.phc import Device
from nettop.clocks.system import SystemClock
from nettop.tui.glyphs import ASCII, UTF8
from nettop.tui.screens.clockplot import plot, sparkline
from tests.fakes import FakeFeed
from tests.tui.conftest import Running, Screen
from tests.tui.test_screen import golden, painted

START_NS = 1_790_000_000 * SECOND_NS
HARDWARE = ("hardware-transmit", "software-transmit", "hardware-receive", "software-receive",
            "software-system-clock", "hardware-raw-clock")  # fmt: skip
SOFTWARE = ("software-transmit", "software-receive", "software-system-clock")


def nic(name: str, index: int, driver: str | None, **members: Any) -> Interface:
    plain = Interface(name, index, driver, **members)
    return replace(plain, remarks=judge(plain))


def readings(offset_ns: int, ppb: int, count: int = 60) -> tuple[Offset, ...]:
    return tuple(
        Offset(START_NS + i * SECOND_NS, -offset_ns - i * ppb + (i * 37 % 11) * 9, 140,
               Method.EXTENDED, 0, 30)
        for i in range(count)
    )  # fmt: skip


def phc(index: int, *nics: str, line: tuple[Offset, ...] = (), **members: Any) -> PhcReport:
    last = line[-1] if line else None
    members.setdefault("scale", Scale.UTC if line else None)
    members.setdefault("residual_ns", -last.offset_ns if last else None)
    return PhcReport(
        Device(f"/dev/ptp{index}", index), nics, last=last, line=line, readings=len(line), **members
    )


HW = {"capabilities": HARDWARE, "tx_types": ("off", "on"), "rx_filters": ("none", "all")}
REPORT = Report(
    taken_ns=START_NS,
    observed_ns=60 * SECOND_NS,
    system=SystemClock(True, 37, 1_200_000, -11.4),
    interfaces=(
        nic("lo", 1, None, capabilities=SOFTWARE),
        nic("eth0", 2, "ice", phc=0, setting=Setting("on", "all"), **HW),
        nic("eth1", 3, "ice", phc=1, setting=Setting("off", "none"), **HW),
        nic("enp9s0f1np1v3", 4, "mlx5_core", phc=2, setting=Setting("on", "ptpv2-l4-event"), **HW),
        nic("veth7f1a", 5, "veth", capabilities=SOFTWARE),
        nic("eno4", 6, "tg3", phc=3, setting=Setting("off", "none"), **HW),
    ),
    phcs=(
        phc(0, "eth0", line=readings(37 * SECOND_NS + 12, 0), state=State.LOCKED, scale=Scale.TAI,
            residual_ns=12, frequency=Frequency(2.0, 5.0, 59 * SECOND_NS)),
        phc(1, "eth1", line=readings(4_120_000, 11_400), state=State.DRIFTS,
            frequency=Frequency(11_400.0, 5.0, 59 * SECOND_NS)),
        phc(2, "enp9s0f1np1v3", line=readings(-37 * SECOND_NS, 0, 9), state=State.STEPPED,
            scale=Scale.OWN, steps=(Step(Stepped.PHC, START_NS, -37 * SECOND_NS),), steps_seen=1),
        phc(3, "eno4", state=State.ABSENT, reason="no permission to read /dev/ptp3",
            fix="sudo nettop clocks /dev/ptp3"),
        PhcReport(Device("/dev/ptp4", 4, "KVM virtual PTP"), (), State.LOCKED,
                  scale=Scale.UTC, residual_ns=-230, last=readings(-230, 0)[0],
                  line=readings(-230, 0)),
    ),
)  # fmt: skip


class FakeObserver:
    """Reports what it was given, and notes who asked."""

    given: Report = REPORT
    fails: Exception | None = None
    asked: list[str]
    closed = 0

    def __init__(self, **_: Any) -> None:
        error = type(self).fails
        if error is not None:
            raise error

    def refresh(self) -> None:
        pass

    def look(self) -> None:
        type(self).asked.append(threading.current_thread().name)

    def report(self) -> Report:
        return self.given

    def close(self) -> None:
        type(self).closed += 1


@pytest.fixture(autouse=True)
def observer(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeObserver]]:
    fresh = type("Observer", (FakeObserver,), {"asked": []})
    monkeypatch.setattr(watch, "Observer", fresh)
    yield fresh
    assert not [t for t in threading.enumerate() if t.name == "nettop-clocks"]


async def opened(screen: Screen, *keys: str) -> None:
    await screen.press("C")
    end = time.monotonic() + 5
    while "reading the clocks" in screen.text and time.monotonic() < end:
        await screen.settle()
    await screen.press(*keys)


@pytest.mark.parametrize(
    ("name", "width", "height", "keys", "options"),
    [
        ("clocks-80x24", 80, 24, ("down",), {}),
        ("clocks-120x40", 120, 40, ("down", "down"), {}),
        ("clocks-200x55", 200, 55, ("down",), {}),
        ("clocks-ascii-100x30", 100, 30, ("down", "down", "down"), {"ascii": True}),
    ],
)
async def test_golden(
    running: Running, name: str, width: int, height: int, keys: tuple[str, ...], options: Any
) -> None:
    async with running(width, height, **options) as screen:
        await opened(screen, *keys)
        assert all(len(text) <= width for text in screen.lines)
        if options:
            assert screen.text.isascii()
        golden(name, painted(screen))


async def test_every_row_says_its_own(running: Running) -> None:
    said = []
    async with running() as screen:
        await opened(screen)
        for _ in range(7):
            said.append("\n".join(screen.lines[10:]))
            await screen.press("down")
        assert "7 of 7" in screen.lines[-1]
    for text, words in zip(said, (
        ["this device stamps in software only", "software-transmit"],
        ["eth0 ptp0 - TAI", "PTP_SYS_OFFSET_EXTENDED"],
        ["11.4ppm ±5ppb faster", "hardware stamping is off now", "fix: sudo nettop probe"],
        ["/dev/ptp2 stepped by -37.0s"],
        ["the driver veth stamps in software only"],
        ["no permission to read /dev/ptp3", "fix: sudo nettop clocks /dev/ptp3"],
        ["ptp4 ptp4 - system"],
    ), strict=True):  # fmt: skip
        for word in words:
            assert word in text


async def test_it_is_read_off_the_screens_thread_and_ends_with_it(
    running: Running, observer: type[FakeObserver]
) -> None:
    async with running() as screen:
        await opened(screen)
        assert set(observer.asked) == {"nettop-clocks"}
        await screen.press("escape")
        assert "PROC" in screen.text
        looks = len(observer.asked)
        assert observer.closed == 1
        time.sleep(0.05)
        assert len(observer.asked) == looks


async def test_it_is_read_once_a_second(running: Running, observer: type[FakeObserver]) -> None:
    async with running() as screen:
        await opened(screen)
        end = time.monotonic() + 2.3
        while time.monotonic() < end:
            await screen.settle()
            time.sleep(0.02)
        assert 2 <= len(observer.asked) <= 4


async def test_nothing_to_show(running: Running, observer: type[FakeObserver]) -> None:
    observer.given = replace(REPORT, interfaces=(), phcs=(), system=None)
    async with running() as screen:
        await opened(screen, "down", "up")
        assert "no NIC here has a hardware clock" in screen.text
        assert "no interfaces" in screen.lines[-1]


@pytest.mark.parametrize("synchronized", [True, False])
async def test_how_the_clock_is_kept_is_whole_on_a_small_terminal(
    running: Running, observer: type[FakeObserver], synchronized: bool
) -> None:
    system = SystemClock(synchronized, None, 1_200_000, 0.0)
    observer.given = replace(REPORT, system=system)
    async with running(80, 24) as screen:
        await opened(screen)
        said = " ".join(" ".join(screen.lines).split())
        assert "TAI-UTC – (not set in the kernel)" in said


async def test_a_failure_is_told(running: Running, observer: type[FakeObserver]) -> None:
    observer.fails = OSError(24, "Too many open files")
    async with running() as screen:
        await opened(screen)
        assert "cannot be read" in screen.text
        assert "Too many open files" in screen.text


async def test_many_interfaces_scroll(running: Running, observer: type[FakeObserver]) -> None:
    many = tuple(nic(f"veth{i}", i, "veth", capabilities=SOFTWARE) for i in range(500))
    observer.given = replace(REPORT, interfaces=many, phcs=())
    async with running(80, 24) as screen:
        await opened(screen, "end")
        assert "500 of 500" in screen.lines[-1]
        assert "veth499" in screen.text
        await screen.press("home")
        assert "veth0 " in screen.text
        assert "veth499" not in screen.text
        last = len(screen.lines) - 1
        await screen.pilot.click(offset=(screen.lines[last].index("↓"), last))
        await screen.settle()
        assert "2 of 500" in screen.lines[-1], "the last line is pressed by the mouse too"
        await screen.pilot.click(offset=(screen.lines[last].index("Esc"), last))
        await screen.settle()
        assert screen.app.screen is screen.main


async def test_resizes(running: Running) -> None:
    async with running(200, 55) as screen:
        await opened(screen, "down")
        for size in ((80, 24), (60, 12), (40, 8), (120, 40), (300, 90)):
            await screen.pilot.resize_terminal(*size)
            await screen.settle()
            assert len(screen.lines) == size[1]
        assert "eth0" in screen.text


async def test_hostile_names_do_not_reach_the_terminal(
    running: Running, observer: type[FakeObserver]
) -> None:
    odd = replace(REPORT.interfaces[0], remarks=(Remark("x", "y", odd=True),))
    observer.given = replace(REPORT, interfaces=(odd,))
    async with running() as screen:
        await opened(screen)
        assert "fix: y" in screen.text


def test_sparkline() -> None:
    rising = readings(0, 1_000_000)
    text = sparkline(rising, 12, UTF8)
    assert len(text) == 12
    assert list(text) == sorted(text)
    assert text[0] != text[-1]
    assert set(sparkline(readings(5, 0), 12, UTF8)) <= set(UTF8.spark[1:3]), "noise stays low"
    assert sparkline(rising[:1], 12, ASCII) == ASCII.off
    assert sparkline(rising, 12, ASCII).isascii()


@pytest.mark.parametrize("ppb", [0, 11_400, -300_000])
def test_one_more_reading_changes_little_of_the_plot(ppb: int) -> None:
    everything = readings(37 * SECOND_NS, ppb, 200)
    changed = []
    for n in range(100, 200):
        before, after = (
            plot(phc(0, line=everything[:m], state=State.LOCKED), 80, 12, UTF8) for m in (n, n + 1)
        )
        assert len(before) == len(after) == 12
        assert sum(text.count("•") for row in after for text, _ in row) > 30
        changed.append(sum(a != b for a, b in zip(before, after, strict=True)))
    assert sorted(changed)[90] <= 1, "but for leaps of a scale"


async def test_a_file_has_no_clocks(running: Running, observer: type[FakeObserver]) -> None:
    feed = FakeFeed()
    feed.live = False
    async with running(feed=feed) as screen:
        await screen.press("C")
        assert "a file has no clocks" in screen.text
        assert "PROC" in screen.text
    assert observer.asked == []
