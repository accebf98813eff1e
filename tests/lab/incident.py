"""Makes an incident, records it, and takes the pictures of it for screenshots/.

python -m tests.lab.incident [RECORDING]

A reader that stops for 18 s, later a path that loses 6 % for 15 s, in namespaces of their own. The
live screen looks back on the reader once it reads again; of the recording there are the report of
why, what SQL finds, and the difference between before and meanwhile.
Needs root, iptables, sqlite3 and chromium; takes 80 s. With RECORDING the file is kept there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, chdir
from pathlib import Path

from tests.integration.namespaces import pair, run
from tests.integration.test_why import CLIENT, SERVER, program
from tests.lab.screenshots import OUT, plain
from tests.lab.session import HOST

SECONDS = 75
LOSSY = ("INPUT", "-p", "tcp", "--dport", "7003", "-m", "statistic", "--mode", "random",
         "--probability", "0.06", "-j", "DROP")  # fmt: skip
NETTOP = [sys.executable, "-m", "nettop"]
# With the name of a host that means nothing.
ELSEWHERE = ["unshare", "--uts", "sh", "-c", f'hostname {HOST} && exec "$@"', "sh"]
WATCHED_S = 34  # until the reader reads again
# To the change that ended it, and into the time before.
KEYS = "left_curly_bracket,~2,left_curly_bracket,~2," + "left_square_bracket,~1," * 4 + "~1"
WORST = """SELECT began, seconds, who, why, process, remote FROM spells_local
WHERE level = 'unwell' ORDER BY seconds DESC LIMIT 8"""
BEFORE, MEANWHILE = "-73s..-63s", "-58s..-46s"


def record(path: Path) -> None:
    with pair() as (here, there), ExitStack() as stack:
        server = program(stack, there, SERVER, "report-reader", "7003")
        program(stack, here, CLIENT, "api-client", "7003", "5")
        recorder = subprocess.Popen(
            [*ELSEWHERE, *NETTOP, "record", "-N", here, "-N", there, "--tx-sample", "1", "--for",
             f"{SECONDS}s", "-o", str(path)]
        )  # fmt: skip
        stack.callback(recorder.wait)
        screen = subprocess.Popen(
            [*ELSEWHERE, sys.executable, "-m", "tests.lab.shoot",
             str(path.with_name("lookback.svg")), "120x40", str(WATCHED_S), KEYS,
             "-N", here, "-N", there]
        )  # fmt: skip
        stack.callback(screen.wait)
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
    return plain(target.read_text())


def said(*argv: str) -> str:
    """A command as one types it, and what it prints."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout or done.stderr


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
        (OUT / "lookback-120x40.svg").write_text(plain(path.with_name("lookback.svg").read_text()))
        sides = f"{path.name}@{BEFORE}", f"{path.name}@{MEANWHILE}"
        with chdir(folder):
            spells = said("sqlite3", "-box", path.name, WORST)
            diff = said(*NETTOP, "diff", *sides)
        (OUT / "spells.txt").write_text(f'$ sqlite3 -box {path.name} "{WORST}"\n{spells}')
        (OUT / "diff.txt").write_text(f"$ nettop diff {' '.join(sides)}\n{diff}")
        if argv:
            shutil.copy(path, argv[0])


if __name__ == "__main__":
    main(sys.argv[1:])
