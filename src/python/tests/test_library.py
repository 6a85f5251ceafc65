"""The package, the header and the library fit together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import memtun as m
from memtun import _library

ROOT = Path(__file__).resolve().parents[3]
def test_the_header_is_current() -> None:
    check = ROOT / "scripts" / "header"
    done = subprocess.run([check, "--check"], capture_output=True, text=True)
    if done.returncode == 2:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr


def test_versions_are_the_same() -> None:
    manifest = (ROOT / "Cargo.toml").read_text()
    assert f'version = "{m.version()}"' in manifest


def test_this_process_is_not_under_the_shim() -> None:
    assert not m.active()


@pytest.mark.memtun_shim
def test_this_one_is(memtun: m.Net) -> None:
    assert m.active()


@pytest.mark.parametrize(
    ("library", "sentence"), [("/nowhere/libmemtun.so", "no such file"), (__file__, "cannot be loaded")]
)
def test_a_library_that_is_none_gives_one_sentence(library: str, sentence: str) -> None:
    code = "import memtun\ntry: memtun.Net()\nexcept memtun.Error as e: print(e.strerror)"
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MEMTUN_LIBRARY": library}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    )
    assert library in done.stdout and sentence in done.stdout and done.stdout.count("\n") == 1


def test_a_library_that_is_named_is_preloaded() -> None:
    named = os.path.realpath(_library.library()._name)
    program = "import memtun\nwith memtun.Net() as net: print(net.run(['env'], capture_output=True, text=True).stdout)"
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MEMTUN_LIBRARY": named}
    told = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, timeout=60)
    assert f"LD_PRELOAD={named}\n" in told.stdout, told.stderr
