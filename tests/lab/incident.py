"""Makes an incident, records it, and takes the pictures of its report for screenshots/.

python -m tests.lab.incident [RECORDING]

A reader that stops for 18 s, later a path that loses 6 % for 15 s, in namespaces of their own.
Needs root, iptables and chromium; takes 80 s. With RECORDING the file is kept there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.integration.namespaces import pair, run
from tests.integration.test_why import CLIENT, SERVER, program
from tests.lab.screenshots import OUT, plain
from tests.lab.session import HOST

SECONDS = 75
LOSSY = ("INPUT", "-p", "tcp", "--dport", "7003", "-m", "statistic", "--mode", "random",
         "--probability", "0.06", "-j", "DROP")  # fmt: skip
NETTOP = [sys.executable, "-m", "nettop"]


def record(path: Path) -> None:
    with pair() as (here, there), ExitStack() as stack:
        server = program(stack, there, SERVER, "report-reader", "7003")
        program(stack, here, CLIENT, "api-client", "7003", "5")
        recorder = subprocess.Popen(
            [*NETTOP, "record", "-N", here, "-N", there, "--tx-sample", "1", "--for",
             f"{SECONDS}s", "-o", str(path)]
        )  # fmt: skip
        stack.callback(recorder.wait)
        time.sleep(14)
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(18)
        os.kill(server.pid, signal.SIGCONT)
        time.sleep(10)
        run("ip", "netns", "exec", there, "iptables", "-A", *LOSSY)
        time.sleep(15)
        run("ip", "netns", "exec", there, "iptables", "-F")


def written(path: Path, target: Path) -> str:
    """What why says of the file."""
    subprocess.run([*NETTOP, "why", str(path), "-o", str(target)], check=False, timeout=120)
    text, here = plain(target.read_text()), os.uname().nodename
    return text.replace(f"{here} (Linux", f"{HOST} (Linux").replace(f"{here}, ", f"{HOST}, ")


def shoot(page: Path, picture: Path) -> None:
    """The top of the page as a PNG."""
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         "--window-size=1080,1560", f"--screenshot={picture}", page.as_uri()],
        check=True, timeout=120, capture_output=True,
    )  # fmt: skip


def main(argv: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "incident.nettop"
        record(path)
        page = Path(folder) / "why.html"
        page.write_text(written(path, page))
        shoot(page, OUT / "why-report.png")
        (OUT / "why.txt").write_text(written(path, Path(folder) / "why.txt"))
        if argv:
            shutil.copy(path, argv[0])


if __name__ == "__main__":
    main(sys.argv[1:])
