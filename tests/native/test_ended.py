"""A process that ends while it is looked at is no failure of the scan."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

pytestmark = pytest.mark.needs_tools("gcc")
# Between the opening of its list of threads and the reading of it.
ENDS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

int openat(int dir, const char *path, int flags, ...)
{
	int (*real)(int, const char *, int, ...) = dlsym(RTLD_NEXT, "openat");
	const char *pid = getenv("ENDS");
	char tasks[64];
	va_list more;
	int mode, fd;

	va_start(more, flags);
	mode = flags & O_CREAT ? va_arg(more, int) : 0;
	va_end(more);
	fd = real(dir, path, flags, mode);
	snprintf(tasks, sizeof(tasks), "%s/task", pid ? pid : "");
	if (pid && !strcmp(path, tasks)) {
		kill(atoi(pid), SIGKILL);
		waitpid(atoi(pid), NULL, 0);
	}
	return fd;
}
"""
SCANS = """
import os, threading, time
from nettop.engine.handle import Procs

pid = os.fork()
if not pid:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    time.sleep(60)
while len(os.listdir(f"/proc/{pid}/task")) < 2:
    time.sleep(0.01)
os.environ["ENDS"] = str(pid)
procs = Procs()
procs.scan()
assert not os.path.exists(f"/proc/{pid}"), "it did not end in the scan"
procs.scan()
print("scanned")
"""


def test_threads_of_a_process_that_ends_are_gone(tmp_path: Path) -> None:
    library = tmp_path / "ends.so"
    words = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-x", "c", "-", "-o"]
    subprocess.run([*words, str(library)], input=ENDS, text=True, check=True)
    done = subprocess.run(
        ["env", f"LD_PRELOAD={library}", sys.executable, "-c", SCANS],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("scanned\n", 0), done.stderr
