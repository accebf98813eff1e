"""What the guests of tests/vm make of a machine's apt sources."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.vm.aptsources import Archive, archives, read_sources

pytestmark = pytest.mark.skipif(shutil.which("apt-config") is None, reason="needs apt-config")

KEY = """
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBGPL0BUBEADmW5NdOOHwPIJlgPu6JDcKw/NZJPR8lsD3K87ZM18gzyQZJD+w
 -----END PGP PUBLIC KEY BLOCK-----"""
DEB822 = f"""# a comment
Types: deb
# an older place
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/some.gpg

types: deb deb-src
uris: https://security.example/debian-security
suites: bookworm-security
components: main contrib
check-valid-until: no
Signed-By:{KEY}

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""
ONE_LINE = """
deb cdrom:[Debian GNU/Linux 12 _Bookworm_]/ bookworm main
# deb http://off.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb [arch=amd64,i386 signed-by=/a.gpg,/b.gpg trusted=yes] http://tools.example/apt stable main
deb\thttp://mirror.example/debian  bullseye  main non-free # why
deb http://flat.example/ ./
"""


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An /etc/apt of one's own."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "apt.conf").write_text(f'Dir::Etc "{tmp_path}/";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return tmp_path


def test_stanzas_with_their_keys(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822)
    (etc / "sources.list.d/debian.sources.bak").write_text(DEB822)
    plain, security = read_sources()
    assert plain == Archive(
        "http://mirror.example/debian", ("bookworm", "bookworm-updates"), ("main",),
        (("Signed-By", "/usr/share/keyrings/some.gpg"),),
    )  # fmt: skip
    assert dict(security.options) == {"Check-Valid-Until": "no", "Signed-By": KEY}
    assert security.stanza(["trixie-backports", "trixie"]) == (
        "Types: deb\nURIs: https://security.example/debian-security\n"
        "Suites: trixie-backports trixie\nComponents: main\nArchitectures: amd64\n"
        f"Check-Valid-Until: no\nSigned-By: {KEY}\n"
    )


def test_lines_with_their_options(etc: Path) -> None:
    (etc / "sources.list").write_text(ONE_LINE)
    _, tools, mirror, flat = read_sources()
    assert tools.options == (("Signed-By", "/a.gpg /b.gpg"), ("Trusted", "yes"))
    assert mirror == Archive("http://mirror.example/debian", ("bullseye",), ("main", "non-free"))
    assert flat.components == ()


def test_apt_reads_the_same(etc: Path) -> None:
    (etc / "sources.list").write_text(ONE_LINE)
    (etc / "sources.list.d/a.sources").write_text(DEB822.replace(KEY, " /c.gpg"))
    done = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE)",
         "Created-By: Packages"],
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    theirs = {tuple(line.rsplit(maxsplit=1)) for line in done.stdout.splitlines()}
    ours = {(f"{a.uris}/", suite) for a in read_sources() if a.components for suite in a.suites}
    assert {pair for pair in ours if "cdrom" not in pair[0]} == {
        pair for pair in theirs if "cdrom" not in pair[0] and pair[1] != "./"
    }


def test_the_likeliest_is_asked_first(etc: Path) -> None:
    (etc / "sources.list").write_text(ONE_LINE)
    (etc / "sources.list.d/a.sources").write_text(DEB822)
    for suite, first in (("bullseye", "bullseye"), ("bookworm-backports", "bookworm")):
        found = archives([suite])
        assert found[0].uris == "http://mirror.example/debian"
        assert first in found[0].suites
        assert all("main" in a.components for a in found)


def test_a_machine_without_sources(etc: Path) -> None:
    assert archives(["bookworm"]) == []
