"""What recording costs beside polling: CPU and bytes a tick.

python -m tests.bench.recording [SECONDS]: over whatever sockets the host has; open some first.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from nettop.collect import PollOptions
from nettop.poller import LiveFeed
from nettop.sources import PlaneOptions
from nettop.store.recording import RecordingWriter


def main(seconds: float) -> None:
    options = PollOptions(rows_all=False, planes=PlaneOptions(bpf=True))
    polls: list[float] = []
    samples: list[float] = []
    writes: list[float] = []
    sizes: list[int] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(RecordingWriter(Path(folder) / "a.nettop", {})) as writer,
        closing(LiveFeed(options)) as feed,
    ):
        feed.record(True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.thread_time()
            model = feed.tick()
            polled = time.thread_time()
            sample = feed.sample(model, whole=writer.wants_whole(model.mono_ns))
            sampled = time.thread_time()
            sizes.append(writer.add(sample))
            polls.append(polled - began)
            samples.append(sampled - polled)
            writes.append(time.thread_time() - sampled)
            time.sleep(max(0.0, 1 - (time.thread_time() - began)))
    sockets = model.totals.tcp or 0
    print(f"{sockets} TCP sockets, {len(sizes)} ticks; medians of all but the key frame")
    for name, values in (("poll", polls), ("sample", samples), ("frame and write", writes)):
        print(f"{name:16} {statistics.median(values[1:]) * 1e3:8.2f} ms CPU a tick")
    print(f"{'frame':16} {statistics.median(sizes[1:]):8.0f} bytes a tick, key {sizes[0]}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
