"""Tests of scripts/install and of the contents of the crates: the release build as users and
packagers get it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
LICENCES = ("LICENSE-APACHE", "LICENSE-MIT")

# With this environment nothing of this process's package and library is found.
CLEAN = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MEMTUN_LIBRARY", "LD_PRELOAD")}
OFFLINE = {**CLEAN, "CARGO_NET_OFFLINE": "true"}

pytestmark = pytest.mark.skipif(shutil.which("cargo") is None, reason="no cargo")


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of an installation under a DESTDIR."""
    if not os.access(CHECKOUT / "target", os.W_OK) and "CARGO_TARGET_DIR" not in os.environ:
        pytest.skip("the checkout is somebody else's")
    stage = tmp_path_factory.mktemp("install")
    command = [CHECKOUT / "scripts/install", "/opt/memtun"]
    done = subprocess.run(command, env={**OFFLINE, "DESTDIR": str(stage)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return stage / "opt/memtun"


def test_everything_is_there_and_nothing_beside_it(staged: Path) -> None:
    files = sorted(str(path.relative_to(staged)) for path in staged.rglob("*") if path.is_file())
    assert [f for f in files if not f.startswith("share/man/man1/memtun")] == [
        "bin/memtun",
        "include/memtun.h",
        "lib/libmemtun.so",
        "lib/pkgconfig/memtun.pc",
        "share/bash-completion/completions/memtun",
        "share/doc/memtun/LICENSE-APACHE",
        "share/doc/memtun/LICENSE-MIT",
        "share/fish/vendor_completions.d/memtun.fish",
        "share/zsh/site-functions/_memtun",
    ]
    assert "share/man/man1/memtun.1" in files
    assert "prefix=/opt/memtun\n" in (staged / "lib/pkgconfig/memtun.pc").read_text()
    for licence in LICENCES:
        assert (staged / "share/doc/memtun" / licence).read_bytes() == (CHECKOUT / licence).read_bytes()


def test_the_command_finds_the_library(staged: Path, tmp_path: Path) -> None:
    command = [staged / "bin/memtun", "run", "--", "sh", "-c", "echo $LD_PRELOAD"]
    done = subprocess.run(command, env=CLEAN, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(staged / "lib/libmemtun.so")


CRATES = ("abi", "sys", "shm", "kernel", "calls", "packets", "shim", "cli")


@pytest.mark.parametrize("crate", ["memtun", *(f"memtun-{name}" for name in CRATES)])
def test_a_crate_has_the_licences(crate: str) -> None:
    command = ["cargo", "package", "--list", "--allow-dirty", "-p", crate]
    done = subprocess.run(command, cwd=CHECKOUT, env=OFFLINE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(LICENCES) <= set(done.stdout.split())


def test_the_licences_are_whole() -> None:
    mit, apache = (" ".join((CHECKOUT / name).read_text().split()) for name in reversed(LICENCES))
    assert mit.startswith("The MIT License Copyright (c) ") and mit.endswith("DEALINGS IN THE SOFTWARE.")
    assert "Apache License Version 2.0, January 2004" in apache and "END OF TERMS AND CONDITIONS" in apache
    for folder in ("src/abi", "src/sys", "src/shm", "src/kernel", "src/calls", "src/packets", "src/ip", "src/core", "src/shim", "src/cli", "src/python"):
        for name in LICENCES:
            assert (CHECKOUT / folder / name).read_bytes() == (CHECKOUT / name).read_bytes()


def test_an_archive_works_where_it_is_unpacked(tmp_path: Path) -> None:
    if not os.access(CHECKOUT / "target", os.W_OK) and "CARGO_TARGET_DIR" not in os.environ:
        pytest.skip("the checkout is somebody else's")
    packed = subprocess.run(
        ["scripts/archive", tmp_path], cwd=CHECKOUT, env=CLEAN, capture_output=True, text=True, check=True
    )
    archive = Path(packed.stdout.split()[-1])
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "here")
    root = tmp_path / "here" / archive.name.removesuffix(".tar.gz")
    assert set(LICENCES) <= {path.name for path in (root / "share/doc/memtun").iterdir()}
    pc = (root / "lib/pkgconfig/memtun.pc").read_text()
    assert pc.startswith("prefix=${pcfiledir}/../..\n") and "/prefix" not in pc.split("\n", 1)[1].replace("${prefix}", "")
    done = subprocess.run(
        [root / "bin/memtun", "run", "--", "sh", "-c", "echo $LD_PRELOAD"], env=CLEAN, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"{root}/lib/libmemtun.so\n"), done.stderr
