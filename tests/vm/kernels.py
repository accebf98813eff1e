"""Which kernels there are, and their files: an image, and the modules that guests need."""

from __future__ import annotations

import json
import lzma
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.vm.packages import Suite, Unavailable, cache, locked

BULLSEYE = Suite("bullseye")
BOOKWORM = Suite("bookworm")
BOOKWORM_BACKPORTS = Suite("bookworm-backports", ("bookworm",))
TRIXIE_BACKPORTS = Suite("trixie-backports")
TRIXIE_BACKPORTS_ARM64 = Suite("trixie-backports", arch="arm64")

# What a guest may load; a kernel that has it built in, or lacks it, goes without.
MODULES = (
    "9pnet_virtio", "9p", "virtio_pci", "virtio_net", "veth", "macvlan", "dummy", "ifb", "tun",
    "sch_netem", "sch_tbf", "sch_fq", "sch_fq_codel", "sch_ingress", "act_mirred", "cls_matchall",
    "cls_u32", "act_pedit", "crc32c_generic", "libcrc32c", "act_csum", "inet_diag", "tcp_diag",
    "udp_diag", "raw_diag", "mptcp_diag", "tcp_bbr", "ptp", "ptp_kvm", "igb", "e1000e",
    "nf_tables", "nft_compat", "x_tables", "xt_statistic", "ip_tables", "iptable_filter",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """Where a kernel comes from: a meta package, or the newest of a series."""

    suite: Suite
    meta: str | None = None
    series: str | None = None


# The oldest that nettop knows, what stable releases have, both sides of what changed, the newest.
SOURCES = {
    "5.10": Source(BULLSEYE, meta="linux-image-amd64"),
    "6.1": Source(BOOKWORM, meta="linux-image-amd64"),
    "6.12": Source(BOOKWORM_BACKPORTS, meta="linux-image-amd64"),
    "6.16": Source(TRIXIE_BACKPORTS, series="6.16"),
    "6.18": Source(TRIXIE_BACKPORTS, series="6.18"),
    "newest": Source(TRIXIE_BACKPORTS, meta="linux-image-amd64"),
    "aarch64": Source(TRIXIE_BACKPORTS_ARM64, meta="linux-image-arm64"),
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """An unpacked kernel."""

    name: str  # of SOURCES
    release: str  # as uname -r
    image: Path
    modules: tuple[Path, ...]  # in the order in which they must be loaded


def kernel(name: str) -> Kernel:
    """Fetches and unpacks it, unless the cache has it.

    Raises:
        Unavailable: the archive does not answer, or has no such kernel.
    """
    source = SOURCES[name]
    pattern = r"linux-image-[\d.]+(-\d+|\+deb\d+(\.\d+)?)-" + source.suite.arch
    if source.meta:
        package = source.suite.depends(source.meta, pattern)
    else:
        assert source.series is not None
        package = source.suite.newest(
            pattern.replace(r"[\d.]+", re.escape(source.series) + r"\.\d+")
        )
    release = package.removeprefix("linux-image-")
    folder = cache() / "kernels" / release
    with locked(f"kernel-{release}"):
        if not (folder / "modules.json").exists():
            _unpack(source.suite, release, folder)
    order = json.loads((folder / "modules.json").read_text())
    return Kernel(name, release, folder / "vmlinuz", tuple(folder / f"{m}.ko" for m in order))


def _unpack(suite: Suite, release: str, folder: Path) -> None:
    """The image and the wanted modules, decompressed, with what those depend on."""
    packages = [suite.download(f"linux-image-{release}")]
    # Newer kernels come in three packages.
    for part in ("binary", "modules"):
        try:
            packages.append(suite.download(f"linux-{part}-{release}"))
        except Unavailable:
            break
    with tempfile.TemporaryDirectory(dir=cache()) as scratch:
        for package in packages:
            _extract(package, Path(scratch))
        images = [
            *Path(scratch).glob("boot/vmlinuz-*"),
            *Path(scratch).glob("usr/lib/modules/*/vmlinuz"),
        ]
        if not images:
            raise Unavailable(f"{release}: its packages hold no image")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(images[0], folder / "vmlinuz")
        order = _take_modules(Path(scratch), folder)
        (folder / "modules.json").write_text(json.dumps(order))
    for package in packages:
        package.unlink()


def _extract(package: Path, into: Path) -> None:
    """Image and modules of a package, without debug files and documentation."""
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as tar:
        subprocess.run(
            ["tar", "-x", "-C", str(into), "--wildcards", "--no-same-owner", "--ignore-failed-read",
             "./boot/vmlinuz*", "./usr/lib/modules/*/vmlinuz", "./*lib/modules/*.ko*"],
            stdin=tar.stdout, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip


def _take_modules(root: Path, folder: Path) -> list[str]:
    known = {
        p.name.split(".ko")[0].replace("-", "_"): p
        for p in root.glob("**/*.ko*")
        if re.search(r"\.ko(\.xz|\.zst)?$", p.name)
    }
    order: list[str] = []

    def take(name: str) -> None:
        name = name.replace("-", "_")
        if name in order or name not in known:
            return
        body = _decompressed(known[name])
        for needed in _needs(body):
            take(needed)
        (folder / f"{name}.ko").write_bytes(body)
        order.append(name)

    for name in MODULES:
        take(name)
    return order


def _decompressed(path: Path) -> bytes:
    raw = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(raw)
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dc"], input=raw, capture_output=True, check=True).stdout
    return raw


def _needs(body: bytes) -> list[str]:
    """Modules that must be loaded before, from .modinfo."""
    out: list[str] = []
    for key, text in re.findall(rb"\0(depends|softdep)=([^\0]*)\0", b"\0" + body):
        words = text.decode("ascii", "replace")
        if key == b"softdep":
            words = re.sub(r"post:.*", "", words).replace("pre:", "").replace(" ", ",")
        out += [name for name in words.split(",") if name]
    return out
