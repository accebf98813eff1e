"""Makes screenshots/ anew: the real program on the lab's session.

python -m tests.lab.screenshots [NAME …]
python -m tests.lab.screenshots --every FOLDER [SIZE …]   each screen at three sizes, or these
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.lab import links
from tests.lab.servers import NGINX_PORT
from tests.lab.session import ROOT, Session, running

OUT = ROOT / "screenshots"
SESSION_S = 600
REFLECT_PORT = 9200
WEB_SERVER = f"{links.WEB_USERS}:{NGINX_PORT}"
# name → size, seconds watched, keys, options, namespace, user
SHOTS: dict[str, tuple[str, float, str, list[str], str, str | None]] = {
    "main-120x40": ("120x40", 14, "down,~2", ["-N", "all", "--tx-sample", "16"], links.WEB, None),
    "main-80x24": ("80x24", 14, "down,~2", ["-N", "all"], links.WEB, None),
    "wide-200x50": ("200x50", 16, "_", ["-N", "all", "--tx-sample", "16"], links.WEB, None),
    "marked-120x40": ("120x40", 8, "down,x,x,~14", [], links.WEB, None),
    "detail-120x40": ("120x40", 8, "down,~2,enter,~14", [], links.WEB, None),
    "group-120x40": ("120x40", 10, "t,t,t,~4", [], links.WEB, None),
    "filter-120x40": ("120x40", 8, "slash," + ",".join("srtt") + ",space,greater_than_sign,space",
                      [], links.WEB, None),
    "help-120x40": ("120x40", 5, "question_mark", [], links.WEB, None),
    "heatmap-120x40": ("120x40", 60, "1,z,v,~2", ["comm", "=", "nginx"], links.WEB, None),
    "probe-120x40": ("120x40", 25, "_", ["probe", "tcp", f"{links.FAR_IP}:{REFLECT_PORT}", "-i",
                     "0.05"], links.WEB, None),
    "probe-service-120x40": ("120x40", 15, "_", ["probe", "tcp", WEB_SERVER, "-i", "0.05"],
                             links.USERS, None),
    "hosts-120x40": ("120x40", 16, "down,~2,P,~4", [
        "-H", f"{links.WEB},{links.DB},{links.FAR}", "--ssh", "ip netns exec", "--remote",
        f"{sys.executable} -m nettop",
    ], links.WEB, None),
    "unprivileged-120x40": ("120x40", 10, "down,~4", [], links.WEB, "nobody"),
}  # fmt: skip


SIZES = ("80x24", "120x40", "200x55")
# Each screen in turn: `!` takes the picture.
EVERY = (
    "!main,down,down,~3,!selected,1,~1,!waits,4,~1,!events,2,~4,!sends,1,v,z,~1,!heatmap,v,~1,!curve,"
    "z,v,3,enter,~4,!socket,escape,t,~2,!processes,t,t,~2,!addresses,x,down,x,~3,!compared,X,escape,"
    "s,!sort,escape,c,!columns,escape,colon,!actions,escape,P,~2,!cost,escape,question_mark,!help,"
    "escape,slash,s,r,t,t,!filter,escape,left_square_bracket,left_square_bracket,~1,!past,L,~1,"
    "J,!time,escape,C,~3,!clocks,escape,t,t,t,t,~2,!peers,t,t,~2,!ports,escape,u,~2,!udp"
)
PROBING = ["probe", "tcp", f"{links.FAR_IP}:{REFLECT_PORT}", "-i", "0.05"]


def every(session: Session, folder: Path, sizes: Sequence[str]) -> None:
    """Each screen at each size; what is there of the same names is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    for size in sizes or SIZES:
        options = ["-N", "all", "--tx-sample", "16"]
        with tempfile.TemporaryDirectory(dir=session.scratch) as scratch:
            out = Path(scratch) / "last.svg"
            taken(session, out, (size, 14, EVERY, options, links.WEB, None))
            taken(session, out, (size, 12, "!probe", PROBING, links.WEB, None))
            for picture in Path(scratch).glob(f"*-{size}.svg"):
                (folder / picture.name).write_text(plain(picture.read_text()))


def shoot(session: Session, name: str) -> None:
    """One picture, written by whoever nettop runs as and then taken over."""
    with tempfile.TemporaryDirectory(dir=session.scratch) as folder:
        Path(folder).chmod(0o777)
        out = Path(folder) / "picture.svg"
        taken(session, out, SHOTS[name])
        (OUT / f"{name}.svg").write_text(plain(out.read_text()))


def taken(
    session: Session, out: Path, shot: tuple[str, float, str, list[str], str, str | None]
) -> None:
    """Runs nettop as that says, until the picture is there.

    Raises:
        RuntimeError: it is not; with what was said.
    """
    size, seconds, keys, options, where, user = shot
    argv = [sys.executable, "-m", "tests.lab.shoot", str(out), size, str(seconds), keys, *options]
    if user:
        argv = ["setpriv", "--reuid", user, "--clear-groups", *argv]
    # A home of its own: no filter that somebody used before.
    argv = ["env", f"HOME={out.parent}", "SSH_CONNECTION=", *argv]
    done = subprocess.run(
        session.inside(argv, where), capture_output=True, text=True, timeout=180, check=False
    )
    if done.returncode or not out.exists():
        raise RuntimeError(f"{out.name}: {done.stderr[-2000:]}")


@contextlib.contextmanager
def reflecting(session: Session) -> Iterator[None]:
    """A reflector at the far site."""
    argv = [sys.executable, "-m", "nettop", "reflect", "tcp", f"{links.FAR_IP}:{REFLECT_PORT}"]
    process = subprocess.Popen(session.inside(argv, links.FAR), stdout=subprocess.DEVNULL)
    try:
        time.sleep(1)
        yield
    finally:
        process.terminate()
        process.wait()


def plain(picture: str) -> str:
    """Without the suffix that a distribution gives its kernel; as wide as it was."""
    release = os.uname().release
    short = release.partition("-")[0]
    if picture.startswith("<svg"):  # which says how wide each piece of text is
        short = short.ljust(len(release), "\u00a0")
    return picture.replace(release, short)


def batch(session: Session) -> None:
    """What a pipe gets."""
    argv = [sys.executable, "-m", "nettop", "-N", "all", "--once", "-d", "2"]
    done = subprocess.run(
        session.inside(["env", "COLUMNS=140", *argv], links.WEB), capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    (OUT / "batch.txt").write_text(plain(done.stdout))


def main(names: list[str]) -> None:
    OUT.mkdir(exist_ok=True)
    if names[:1] == ["--every"]:
        with running(SESSION_S) as session, reflecting(session):
            every(session, Path(names[1]), names[2:])
        return
    with running(SESSION_S) as session, reflecting(session):
        for name in names or [*SHOTS, "batch"]:
            print(name, flush=True)
            if name == "batch":
                batch(session)
            else:
                shoot(session, name)


if __name__ == "__main__":
    main(sys.argv[1:])
