"""Makes an incident, records it, and takes the pictures of it for screenshots/.

python -m tests.lab.incident [RECORDING]

A reader that stops for a minute, then a path that loses 6 % for 20 s, then a listener whose accept
queue is full for 20 s, in namespaces of their own. The live screen looks back on the reader and on
the listener once each is over; of the recording there are the report of why, what SQL finds, and
the difference between before and meanwhile.
Needs root, iptables, sqlite3 and chromium; takes 3 min. With RECORDING the file is kept there.
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

SECONDS = 160
LOSSY = ("INPUT", "-p", "tcp", "--dport", "7003", "-m", "statistic", "--mode", "random",
         "--probability", "0.06", "-j", "DROP")  # fmt: skip
NETTOP = [sys.executable, "-m", "nettop"]
# With the name of a host that means nothing.
ELSEWHERE = ["unshare", "--uts", "sh", "-c", f'hostname {HOST} && exec "$@"', "sh"]
# Pictures of the live screen: after so many seconds, when a fault is over, `{` to the change that
# ended it, `{` to the one before, and into the time between.
LOOKS: dict[str, tuple[int, str]] = {
    "lookback": (
        80,
        "left_curly_bracket,~2,left_curly_bracket,~2," + "left_square_bracket,~1," * 4 + "~1",
    ),
    "lookback-listener": (148, "left_curly_bracket,~2,left_curly_bracket,~2,~1"),
}
WORST = """SELECT min(began) AS began, max(seconds) AS longest, who, what, process,
  count(*) AS spells
FROM spells_local WHERE level = 'unwell' GROUP BY who, what, process ORDER BY began"""
BEFORE, MEANWHILE = "-158s..-148s", "-120s..-105s"


def record(path: Path) -> None:
    with pair() as (here, there), ExitStack() as stack:
        server = program(stack, there, SERVER, "report-reader", "7003")
        program(stack, here, CLIENT, "api-client", "7003", "5")
        recorder = subprocess.Popen(
            [*ELSEWHERE, *NETTOP, "record", "-N", here, "-N", there, "--tx-sample", "1", "--for",
             f"{SECONDS}s", "-o", str(path)]
        )  # fmt: skip
        stack.callback(recorder.wait)
        for name, (seconds, keys) in LOOKS.items():
            screen = subprocess.Popen(
                [*ELSEWHERE, sys.executable, "-m", "tests.lab.shoot",
                 str(path.with_name(f"{name}.svg")), "120x40", str(seconds), keys,
                 "-N", here, "-N", there]
            )  # fmt: skip
            stack.callback(screen.wait)
        time.sleep(14)
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(60)
        os.kill(server.pid, signal.SIGCONT)
        time.sleep(12)
        run("ip", "netns", "exec", there, "iptables", "-A", *LOSSY)
        time.sleep(20)
        run("ip", "netns", "exec", there, "iptables", "-F")
        time.sleep(12)
        with ExitStack() as full:
            program(full, there, SERVER, "queue-worker", "7004")
            program(full, here, CLIENT, "job-submitter", "7004", "9")
            time.sleep(20)


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
        for name in LOOKS:
            picture = path.with_name(f"{name}.svg").read_text()
            (OUT / f"{name}-120x40.svg").write_text(plain(picture))
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
