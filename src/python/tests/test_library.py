"""The package, the header and the library fit together."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import memtun as m
from memtun import _library

ROOT = Path(__file__).resolve().parents[3]
HEADER = ROOT / "src/shim/memtun.h"

TYPES = {
    "int": ctypes.c_int,
    "size_t": ctypes.c_size_t,
    "ssize_t": ctypes.c_ssize_t,
    "uid_t": ctypes.c_uint32,
    "uint16_t": ctypes.c_uint16,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "uint16_t *": ctypes.POINTER(ctypes.c_uint16),
    "uint64_t *": ctypes.POINTER(ctypes.c_uint64),
    "char *": ctypes.c_char_p,
    "void": None,
}


def c_type(text: str) -> object:
    text = text.replace("const ", "").strip()
    if text in TYPES:
        return TYPES[text]
    assert text.endswith("*"), text
    return ctypes.c_void_p


def declared() -> dict[str, tuple[object, list[object]]]:
    """The functions of memtun.h."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    found = {}
    for result, name, parameters in re.findall(r"MEMTUN_API\s+([\w ]+?\**)\s*(memtun_\w+)\(([^)]*)\);", text):
        kinds = (
            []
            if parameters.strip() == "void"
            else [re.sub(r"\w+$", "", " ".join(p.split())) for p in parameters.split(",")]
        )
        found[name] = (c_type(result.replace(" *", "*").replace("*", " *")), [c_type(k) for k in kinds])
    return found


def test_the_package_calls_the_functions_as_the_header_declares_them() -> None:
    header = declared()
    assert len(header) > 30
    # Packets are bytes objects, which are passed as char *.
    same = {ctypes.c_void_p: ctypes.c_char_p}
    for name, (result, parameters) in _library._FUNCTIONS.items():
        wanted_result, wanted = header[name]
        assert result == wanted_result, name
        assert len(parameters) == len(wanted), name
        for ours, theirs in zip(parameters, wanted):
            assert ours == theirs or ours == same.get(theirs), (name, ours, theirs)


def test_the_library_has_every_function_of_the_header() -> None:
    for name in declared():
        assert hasattr(_library.library(), name), name


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
