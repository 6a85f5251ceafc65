"""Builds the wheel from this checkout without a network, and installs it into an empty virtual
environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ECHO

PACKAGE = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(shutil.which("cargo") is None, reason="no cargo")

# With this environment nothing of this process's package and library is found.
CLEAN = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MEMTUN_LIBRARY", "LD_PRELOAD")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    if not os.access(PACKAGE.parents[1] / "target", os.W_OK) and "CARGO_TARGET_DIR" not in os.environ:
        pytest.skip("the checkout is somebody else's")
    command = [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "-w", directory, PACKAGE]
    done = subprocess.run(command, env={**CLEAN, "CARGO_NET_OFFLINE": "true"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = directory.iterdir()
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of the bin directory of a virtual environment that has only the wheel."""
    directory = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", directory], env=CLEAN, check=True)
    pip = [directory / "bin/python", "-m", "pip", "install", "--quiet", "--no-index", wheel]
    subprocess.run(pip, env=CLEAN, check=True)
    return directory / "bin"


def test_it_serves_every_python_and_holds_the_library_and_the_command(wheel: Path) -> None:
    assert wheel.name.startswith("memtun-") and "-py3-none-manylinux_2_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = {n.rpartition("/")[2]: n for n in archive.namelist()}
        assert names["libmemtun.so"].endswith(".data/data/lib/memtun/libmemtun.so")
        assert names["memtun"].endswith(".data/scripts/memtun")
        assert "memtun/py.typed" in archive.namelist()
        for licence in ("LICENSE-APACHE", "LICENSE-MIT"):
            (name,) = (n for n in archive.namelist() if n.endswith(f".dist-info/licenses/{licence}"))
            assert archive.read(name) == (PACKAGE.parents[1] / licence).read_bytes()
            assert f"License-File: {licence}" in archive.read(names["METADATA"]).decode()
        assert archive.testzip() is None
        record = archive.read(names["RECORD"]).decode()
        assert all(name in record for name in archive.namelist())


def test_the_package_works(environment: Path, tmp_path: Path) -> None:
    code = (
        "import memtun, sys\n"
        "with memtun.Net() as net:\n"
        "    app = net.popen([sys.executable, sys.argv[1], 'tun0'])\n"
        "    tun = net.interface('tun0', timeout=20)\n"
        "    with net.capture('file.pcapng'):\n"
        "        src = tun.send_udp(b'ping', ('10.0.0.1', 7))\n"
        "        assert tun.receive_udp(*src).recv(1024, timeout=20) == b'ping'\n"
        "print(memtun.__file__)\n"
    )
    command = [environment / "python", "-c", code, ECHO]
    done = subprocess.run(command, env=CLEAN, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(environment.parent) in done.stdout
    assert (tmp_path / "file.pcapng").stat().st_size > 100


def test_the_command_finds_the_library(environment: Path, tmp_path: Path) -> None:
    command = [environment / "memtun", "run", "--", "sh", "-c", "echo $LD_PRELOAD"]
    done = subprocess.run(command, env=CLEAN, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(environment.parent))


def test_pytest_finds_the_plugin(environment: Path) -> None:
    code = (
        "from importlib.metadata import distribution\n"
        "(point,) = distribution('memtun').entry_points\n"
        "print(point.group, point.value)\n"
    )
    done = subprocess.run(
        [environment / "python", "-c", code], env=CLEAN, capture_output=True, text=True, check=True
    )
    assert done.stdout == "pytest11 memtun.pytest_plugin\n"
