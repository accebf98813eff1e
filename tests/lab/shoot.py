"""One picture of the real program: starts it at a size, watches, presses keys, writes SVG.

  python -m tests.lab.shoot OUT.svg WIDTHxHEIGHT SECONDS KEYS [nettop's options …]

KEYS are Textual's key names with commas between; `~N` waits N seconds; `_` presses none; `!NAME`
writes what stands there into NAME-WIDTHxHEIGHT.svg beside OUT.svg.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from textual.app import App

from nettop.cli import open_live, screen_options
from nettop.hosts.commandline import take_hosts
from nettop.hosts.opening import open_hosts
from nettop.options import Options, parse_args, user_environ
from nettop.probe.options import parse_probe
from nettop.probe.run import open_probe
from nettop.tui.app import NettopApp
from nettop.tui.probe.app import ProbeApp
from tests.lab.picture import svg_of


async def shoot(out: Path, size: tuple[int, int], seconds: float, keys: list[str],
                app: App[int]) -> None:  # fmt: skip
    async with app.run_test(size=size) as pilot:
        await asyncio.sleep(seconds)
        for key in keys:
            if key.startswith("~"):
                await asyncio.sleep(float(key[1:]))
            elif key.startswith("!"):
                await pilot.pause()
                out.with_name(f"{key[1:]}-{size[0]}x{size[1]}.svg").write_text(picture(app, size))
            else:
                await pilot.press(key)
            if app._exit:
                raise RuntimeError(
                    f"it ended at {key}: {getattr(app, 'failure', app.return_value)}"
                )
        await pilot.pause()
        last = picture(app, size)
        app.exit()
    out.write_text(last)


def picture(app: App[int], size: tuple[int, int]) -> str:
    """What stands on the screen."""
    strips = app.screen._compositor.render_strips()
    return svg_of(strips, size[0], f"nettop at {size[0]}x{size[1]}")


def app_of(words: list[str]) -> App[int]:
    """As the command line would start it."""
    if words and words[0] == "probe":
        return ProbeApp(open_probe(parse_probe(words[1:], user_environ())))
    hosts, words = take_hosts(words)
    options = parse_args(words, user_environ())
    assert isinstance(options, Options)
    if hosts is not None:
        feed = open_hosts(hosts, options, delay_s=options.delay_s, screen=True)
        return NettopApp(feed, screen_options(options))
    return NettopApp(open_live(options, screen=True), screen_options(options))


def main() -> None:
    name, size, seconds, keys, *rest = sys.argv[1:]
    columns, lines = (int(n) for n in size.split("x"))
    pressed = [] if keys == "_" else keys.split(",")
    asyncio.run(shoot(Path(name), (columns, lines), float(seconds), pressed, app_of(rest)))


if __name__ == "__main__":
    main()
