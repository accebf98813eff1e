"""config.toml: what it takes, what is said of a mistake, and whose file is read."""

from __future__ import annotations

import os
import pwd
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nettop import cli
from nettop.config import Config, config_file, in_force, load, template, use
from nettop.config import reading as loading
from nettop.config.settings import SETTINGS, TABLES
from nettop.config.view import View, save_view, view_text
from nettop.engine.handle import Engine
from nettop.errors import NettopError, UsageError
from nettop.feed import Sort
from nettop.options import Options, parse_args
from nettop.query import compile_filter
from nettop.text.fields import FIELDS
from nettop.text.limits import DEFAULTS, own_text
from nettop.text.verdicts import VERDICTS
from nettop.tui.style import COLOURS

ALL = """
[options]
bpf_budget = 2
color = false
[screen]
sort = "retr/s:asc"
theme = "light"
filter = "nginx and srtt > 5ms"
delay = 2.5
[columns]
80 = "proc remote why"
120 = "proc, srtt"
[thresholds]
unread_ms = [100, 900]
unclosed_s = 5
rtt_ratio = [1.5, 3.5]
[keys]
F9 = "pause"
[peers]
backends = ["10.1.0.0/16", "2001:db8::/32"]
"""


@pytest.fixture(autouse=True)
def nothing_in_force() -> Iterator[None]:
    yield
    use(Config())


def read(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "c.toml"
    file.write_text(text)
    return load(str(file), {})


def test_a_whole_file(tmp_path: Path) -> None:
    config = read(tmp_path, ALL)
    assert config.options == {"bpf_budget": 2.0, "color": False}
    assert config.screen["sort"].field is FIELDS["retr/s"]
    assert not config.screen["sort"].descending
    assert [config.columns_at(w) is None for w in (60, 79, 80, 200)] == [True, True, False, False]
    assert config.columns_at(119) == (FIELDS["proc"], FIELDS["remote"], FIELDS["why"])
    assert config.columns_at(120) == (FIELDS["proc"], FIELDS["srtt"])
    assert config.keys == {"F9": "pause"}


def test_what_is_printed_is_read_as_nothing_and_has_every_setting(tmp_path: Path) -> None:
    assert replace(read(tmp_path, template()), files=()) == Config()
    lines = template().splitlines()
    plain = "\n".join(line.removeprefix("# ") for line in lines if "=" in line or line[:1] == "[")
    plain = plain.split("\n", 2)[2]  # below the head, which has examples of =
    tables = tomllib.loads(plain[plain.index("[options]") :])
    assert set(tables) == set(TABLES)
    assert {(t, n) for t in ("options", "screen") for n in tables[t]} == set(SETTINGS)
    assert {n: v if isinstance(v, list) else [v] for n, v in tables["thresholds"].items()} == {
        n: list(v) for n, v in DEFAULTS.items()
    }
    read(tmp_path, plain[plain.index("[options]") :])  # the defaults are values that it takes
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[screen]\nsort = 'x\n", 2, "Expected"),
        ("a", 1, "Expected '='"),
        ("[scren]\nx = 1", 1, "no table 'scren': perhaps screen?"),
        ("screen = 3", 1, "screen is a table: write [screen]"),
        ("[screen]\n\nteme = 'dark'", 3, "no [screen] setting 'teme': perhaps theme?"),
        ("[screen]\ntheme = 'drak'", 2, "theme is one of terminal, light, dark, not 'drak'"),
        ("[screen]\ndelay = 0", 2, "delay takes seconds, 0.1 to 3600, not '0'"),
        ("[screen]\ndelay = [1]", 2, "delay takes one value"),
        ("[screen]\nmouse = 'maybe'", 2, "mouse takes true or false"),
        ("[screen]\nsort = 'srt'", 2, "perhaps srtt"),
        ("[screen]\nfilter = 'srtt >'", 2, "filter is no filter: filter, column 7"),
        ("[screen]\ngroup = 'pid'", 2, "group is one of none, process"),
        ("[options]\nrx_method = 'exakt'", 2, "exact"),
        ("[thresholds]\nunread = 3", 2, "perhaps unread_ms"),
        ("[thresholds]\nunread_ms = 3", 2, "takes [watch, unwell]"),
        ("[thresholds]\nunread_ms = [5, 3]", 2, "watch begins at 5, above unwell at 3"),
        ("[thresholds]\nunread_ms = [1.5, 3]", 2, "takes whole numbers, not 1.5"),
        ("[thresholds]\nrwnd_pct = [1, 300]", 2, "takes 0 to 100, not 300"),
        ("[thresholds]\nunclosed_s = inf", 2, "takes 0 to 1e+09, not inf"),
        ("[thresholds]\nunclosed_s = true", 2, "takes a number"),
        ("[columns]\nwide = 'proc'", 2, "wide is no width of a terminal"),
        ("[columns]\n80 = 'proc srt'", 2, "no column 'srt'"),
        ("[keys]\nF9 = 'puase'", 2, "perhaps pause"),
        ("[keys]\n'^C' = 'pause'", 2, "it always quits"),
        ("[keys]\nF9 = 3", 2, "takes an action"),
        ("[peers]\nsrtt = '10.0.0.0/8'", 2, "srtt is the name of a field"),
        ("[peers]\na = ['10.0.0.0/8', 'web']", 2, "'web' is a name"),
        ("[peers]\na = '10.0.0.1:80'", 2, "is not a network"),
        ("x = " + "[" * 5000, 1, ""),
    ],
)
def test_a_mistake_is_one_line_with_its_place(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/c.toml:{line}: "), message
    assert said in message
    assert "\n" not in message


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, said in (("missing", "No such file"), ("", "is not a regular file")):
        with pytest.raises(UsageError, match=said):
            load(str(tmp_path / name), {})
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="not a regular file"):
        load(str(tmp_path / "fifo"), {})
    (tmp_path / "big").write_bytes(b"#" * (loading.LARGEST_BYTES + 1))
    with pytest.raises(UsageError, match="larger than 64 KB"):
        load(str(tmp_path / "big"), {})
    (tmp_path / "raw").write_bytes(b"\n\n# \xff")
    with pytest.raises(UsageError, match=r"raw:3: is no UTF-8"):
        load(str(tmp_path / "raw"), {})


def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(loading, "SYSTEM", tmp_path / "system.toml")
    for folder in ("config/nettop", "state/nettop"):
        (tmp_path / folder).mkdir(parents=True)
    return {"XDG_CONFIG_HOME": f"{tmp_path}/config", "XDG_STATE_HOME": f"{tmp_path}/state"}


def test_who_goes_before_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = homes(tmp_path, monkeypatch)
    monkeypatch.setattr(loading, "_places", _owned_by_me(loading._places))
    (tmp_path / "system.toml").write_text("[screen]\ntheme='dark'\ngroup='cgroup'\nmouse=false\n")
    (tmp_path / "config/nettop/config.toml").write_text("[screen]\ntheme='light'\ngroup='remote'\n")
    (tmp_path / "state/nettop/view.toml").write_text("[screen]\ngroup='local'\ndelay=3\n")
    config = load(None, environ | {"NETTOP_DELAY": "4"})
    screen = config.screen
    assert (screen["theme"], screen["group"], screen["delay"]) == ("light", "local", 4.0)
    assert screen["mouse"] is False
    assert len(config.files) == 3
    assert load("none", environ) == Config()
    assert load(None, environ | {"NETTOP_CONFIG": "none"}) == Config()
    with pytest.raises(UsageError, match="NETTOP_DELAY in the environment takes seconds"):
        load(None, environ | {"NETTOP_DELAY": "soon"})


def _owned_by_me(places: Any) -> Any:
    return lambda environ: [(path, {os.geteuid()}) for path, _ in places(environ)]


def test_a_file_that_others_can_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = homes(tmp_path, monkeypatch)
    file = tmp_path / "config/nettop/config.toml"
    file.write_text("[screen]\ntheme = 'light'\n")
    file.chmod(0o666)
    assert load(None, environ) == Config()
    assert "is not used: others can write it" in capsys.readouterr().err
    file.chmod(0o600)
    assert load(None, environ).screen == {"theme": "light"}
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert load(None, environ) == Config()
    assert "is not used: it belongs to user" in capsys.readouterr().err


def test_behind_sudo_it_is_the_file_of_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    environ = {"SUDO_UID": "65534", "SUDO_GID": "65534", "HOME": "/r", "XDG_CONFIG_HOME": "/evil"}
    found = loading.user_file(environ)
    assert found == Path(pwd.getpwuid(65534).pw_dir) / ".config/nettop/config.toml"
    said = loading.user_file({**environ, "SUDO_HOME": "/srv/far"})
    assert said == Path("/srv/far/.config/nettop/config.toml")
    assert loading.user_file({**environ, "SUDO_UID": "50001"}) is None
    assert loading._places(environ)[0] == (loading.SYSTEM, {0})
    assert all(owners == {65534} for path, owners in loading._places(environ)[1:] if path == found)


def test_thresholds_reach_the_engine_and_the_help(tmp_path: Path) -> None:
    use(read(tmp_path, ALL))
    config = Engine().config
    assert list(config.unread_ms) == [100, 900]
    assert config.unclosed_s == 5
    assert list(config.rtt_ratio) == [1.5, 3.5]
    said = " ".join(spec.conditions[0] for spec in VERDICTS.values())
    assert "≥ 100 ms" in said
    assert own_text() == "rtt_ratio=1.5,3.5 unclosed_s=5 unread_ms=100,900"
    use(Config())
    assert own_text() is None
    assert list(Engine().config.unread_ms) == [200, 5000]
    assert "≥ 200 ms" in " ".join(spec.conditions[0] for spec in VERDICTS.values())


def test_peers_are_words_of_filters(tmp_path: Path) -> None:
    use(read(tmp_path, ALL))
    sides = {}
    for text in ("backends", "dst BACKENDS", "src backends", "host backends", "dst = 10.1.0.0/16"):
        compiled = compile_filter(text)
        assert compiled is not None
        sides[text] = [(op.side, op.prefix) for op in compiled.ops if op.prefix]
    assert sides["backends"] == sides["dst BACKENDS"] == [(1, 16), (1, 32)]
    assert sides["src backends"] == [(0, 16), (0, 32)]
    assert len(sides["host backends"]) == 4


def test_the_command_line_goes_before_it(tmp_path: Path) -> None:
    use(read(tmp_path, ALL))
    plain, given = parse_args([], {}), parse_args(["-d", "1", "-s", "unwell", "listen"], {})
    assert isinstance(plain, Options)
    assert isinstance(given, Options)
    assert (plain.bpf_budget_pct, plain.color) == (2.0, False)
    assert (plain.delay_s, plain.filter_text) == (1.0, None), "a script's output is as without it"
    shown = cli.on_screen(plain)
    assert (shown.delay_s, shown.theme) == (2.5, "light")
    assert shown.filter_text == "nginx and srtt > 5ms"
    assert shown.sort.field is FIELDS["retr/s"]
    kept = cli.on_screen(given)
    assert (kept.delay_s, kept.sort.field, kept.filter_text) == (1.0, None, "listen")


def test_the_option_stands_anywhere() -> None:
    assert config_file(["-1", "--config", "x", "nginx"]) == ("x", ["-1", "nginx"])
    assert config_file(["snapshot", "--config=y"]) == ("y", ["snapshot"])
    assert config_file(["--", "--config", "x"]) == (None, ["--", "--config", "x"])
    with pytest.raises(UsageError, match="needs a value"):
        config_file(["--config"])


def test_a_view_comes_back(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    columns = {100: (FIELDS["proc"], FIELDS["retr/s"], FIELDS["why"])}
    text = 'comm = "a b\\" and not 443'.replace("\\", "")
    view = View(Sort(FIELDS["srtt"], True), "remote", 'comm = "a b" and not 443', 2.0, columns)
    assert text == view.filter_text
    path = save_view(view, environ)
    assert path.stat().st_mode & 0o777 == 0o600
    config = load(None, environ | {"XDG_CONFIG_HOME": str(tmp_path)})
    assert config.screen["filter"] == view.filter_text
    assert (config.screen["sort"].field, config.screen["group"]) == (FIELDS["srtt"], "remote")
    assert (config.screen["delay"], config.columns) == (2.0, columns)
    save_view(replace(view, columns={80: (FIELDS["proc"],)}), environ)
    assert set(load(None, environ | {"XDG_CONFIG_HOME": str(tmp_path)}).columns) == {80, 100}
    assert tomllib.loads(view_text(replace(view, filter_text="a\tb\x7f")))["screen"]["filter"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").mkdir()
    (tmp_path / "link/nettop").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NettopError, match="is a link"):
        save_view(view, {"XDG_STATE_HOME": f"{tmp_path}/link"})
    assert list((tmp_path / "elsewhere").iterdir()) == []


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    lin = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * lin[0] + 0.7152 * lin[1] + 0.0722 * lin[2]


@pytest.mark.parametrize("name", sorted(COLOURS))
def test_every_colour_of_a_theme_can_be_read(name: str) -> None:
    """WCAG's contrast of letters: 4.5 to 1."""
    colours = COLOURS[name]
    back = _luminance(colours.back)
    for color in (colours.text, colours.dim, colours.unwell, colours.watch, colours.focus):
        light, dark = sorted((_luminance(color), back), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, color


def test_nothing_is_in_force_at_first() -> None:
    assert in_force() == Config()


HUGE = {
    "5,000 digits": "9" * 5000,
    "400 digits": "9" * 400,
    "400 digits, below 0": "-" + "9" * 400,
    "hexadecimal": "0x" + "f" * 5000,
    "a power": "1e400",
    "no number": "nan",
    "a string": '"' + "9" * 5000 + '"',
    "NUL": r'"\u0000"',
    "nested": "[" * 5000 + "]" * 5000,
    "a list": "[1, 2, 3, 4]",
    "a table": "{ a = 1 }",
    "a date": "1979-05-27T07:32:00Z",
    "none": "[]",
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_what_no_setting_takes_is_one_line(tmp_path: Path, text: str) -> None:
    entries = [(item.table, item.name) for item in SETTINGS.values()]
    entries += [("thresholds", name) for name in DEFAULTS]
    entries += [("columns", "120"), ("keys", "F9"), ("peers", "here")]
    for table, name in entries:
        one = f"[{table}]\n{name} = {text}\n"
        for written in (one, f"[{table}]\n{name} = [{text}, 1]\n"):
            said = ""
            try:
                read(tmp_path, written)
            except UsageError as error:
                said = str(error)
            assert not said or said.startswith(f"{tmp_path}/c.toml:2: "), (table, name, said)
            assert len(said) < 500
            assert "Exceeds" not in said, (table, name)


def test_widths_that_are_none(tmp_path: Path) -> None:
    for width in ("0" * 5000, "000000120", "19999999", "-1"):
        with pytest.raises(UsageError, match="is no width of a terminal"):
            read(tmp_path, f'[columns]\n"{width}" = "proc"\n')
