"""One boot of a kernel with one scenario: what its functions said, or why that failed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.vm.initramfs import Initramfs
from tests.vm.kernels import Kernel
from tests.vm.machines import machine_of
from tests.vm.packages import Unavailable, cache

PATIENCE = float(os.environ.get("NETTOP_VM_PATIENCE", "1"))  # limits are so many times as long
BOOT_S = 90 * PATIENCE  # until the first process runs; some 5 s on an idle machine
TRIES = 2  # a guest that did not come up is booted once more
STALE_S = 86400.0
MEMORY_MB = 768
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL")  # of util-linux
_HERE = Path(__file__).parent


@dataclass(slots=True)
class GuestReport:
    """What a guest said."""

    kernel: Kernel
    facts: dict[str, Any] = field(default_factory=dict)  # by the scenario's names
    errors: dict[str, str] = field(default_factory=dict)  # functions that raised: the traceback
    missing_modules: tuple[str, ...] = ()
    console: str = ""
    seconds: float = 0.0


class GuestFailed(AssertionError):
    """The guest did not come to its end; with the last it said."""


def _initramfs(kernel: Kernel, command: str, busybox: Path) -> bytes:
    image = Initramfs()
    image.device("dev/console", 5, 1)
    image.device("dev/null", 1, 3)
    image.file("bin/busybox", busybox.read_bytes(), mode=0o755)
    image.file("init", (_HERE / "init.sh").read_bytes(), mode=0o755)
    image.file("command", command.encode())
    for module in kernel.modules:
        image.file(f"modules/{module.name}", module.read_bytes())
    order = "".join(f"{module.stem}\n" for module in kernel.modules)
    image.file("modules/order", order.encode())
    return image.bytes()


def boot(
    kernel: Kernel, command: str, *, seconds: float, devices: tuple[str, ...] = ()
) -> GuestReport:
    """Runs a shell command inside, as root of the machine's own file system, or of one for another
    processor, read-only.

    Raises:
        Unavailable: no QEMU.
        GuestFailed: it did not come up, or not to its end within the time.
    """
    machine = machine_of(kernel)
    seconds *= PATIENCE
    drop_stale_images(cache())
    image = cache() / f"initramfs-{os.getpid()}-{threading.get_native_id()}"
    image.write_bytes(_initramfs(kernel, command, machine.busybox()))
    argv = [
        *machine.words(), "-smp", "2",
        "-m", str(MEMORY_MB), "-nodefaults", "-no-user-config", "-display", "none",
        "-serial", "stdio", "-no-reboot",
        "-kernel", str(kernel.image), "-initrd", str(image),
        "-append", f"console={machine.console} quiet panic=-1 net.ifnames=0 tsc=reliable "
        "iomem=relaxed",
        "-fsdev", f"local,id=root,path={machine.root()},security_model=none,readonly=on,"
        "multidevs=remap",
        "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
        *devices,
    ]  # fmt: skip
    environ = machine.environ()
    console = ""
    try:
        for _ in range(TRIES):
            report = _run(argv, environ, kernel, seconds)
            if isinstance(report, GuestReport):
                return report
            console = report
    finally:
        image.unlink(missing_ok=True)
    raise GuestFailed(f"{kernel.release} did not come up in {BOOT_S} s, twice:\n{console[-2000:]}")


def drop_stale_images(folder: Path) -> None:
    """Removes what runs that were killed left there: their process is gone, or a day has passed."""
    for image in folder.glob("initramfs-*-*"):
        try:
            pid = int(image.name.split("-")[1])
            is_old = time.time() - image.stat().st_mtime > STALE_S
        except (ValueError, FileNotFoundError):  # another run's, which has ended meanwhile
            continue
        if is_old or not Path(f"/proc/{pid}").exists():
            image.unlink(missing_ok=True)


def _run(
    argv: list[str], environ: dict[str, str], kernel: Kernel, seconds: float
) -> GuestReport | str:
    """What it said; what stood on its console if it did not come up."""
    began = time.monotonic()
    console = bytearray()
    with subprocess.Popen(
        [*_ENDS_WITH_US, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env=environ,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        up = ended = False
        try:
            while not ended:
                limit = seconds + BOOT_S if up else BOOT_S
                if time.monotonic() - began > limit:
                    break
                piece = process.stdout.read() or b""
                console += piece
                up = up or b"NT-UP" in console
                ended = b"NT-END" in console or process.poll() is not None
                if not piece:
                    time.sleep(0.05)
        finally:
            process.kill()
    text = console.decode("utf-8", "replace").replace("\r", "")
    if not up:
        return text
    if "NT-END" not in text:
        raise GuestFailed(f"{kernel.release} did not end in {seconds} s:\n{text[-4000:]}")
    return _parsed(kernel, text, time.monotonic() - began)


def _parsed(kernel: Kernel, text: str, seconds: float) -> GuestReport:
    report = GuestReport(kernel, console=text, seconds=seconds)
    missing = []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "NT-FACT":
            name, _, value = rest.partition(" ")
            report.facts[name] = json.loads(value)
        elif word == "NT-ERROR":
            name, _, value = rest.partition(" ")
            report.errors[name] = json.loads(value)
        elif word == "NT-MODULE":
            missing.append(rest)
    report.missing_modules = tuple(missing)
    return report


def scenario(
    kernel: Kernel,
    names: list[str],
    *,
    seconds: float = 120,
    environ: Mapping[str, str] | None = None,
    devices: tuple[str, ...] = (),
) -> GuestReport:
    """Runs functions of tests/vm/scenarios/ (`module` or `module.function`) in a guest; devices:
    QEMU's words for further ones."""
    machine = machine_of(kernel)
    python = shlex.quote(machine.python)
    words = " ".join(map(shlex.quote, names))
    path = shlex.quote(machine.sources)
    given = " ".join(f"{k}={shlex.quote(v)}" for k, v in (environ or {}).items())
    paths = f"{path}{machine.more_path}"
    command = f"cd {path} && PYTHONPATH={paths} {given} {python} -m tests.vm.inside {words}"
    return boot(kernel, command, seconds=seconds, devices=devices)


__all__ = ["GuestFailed", "GuestReport", "Unavailable", "boot", "scenario"]
