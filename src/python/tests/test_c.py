"""The C interface as C programs use it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import memtun as m
from memtun import _library

SHIM = Path(__file__).resolve().parents[3] / "src/shim"

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """Path of the example, built with cc and nothing else."""
    program = tmp_path / "echo_test"
    command = ["cc", "-Wall", "-Wextra", "-Werror", "-I", SHIM, "-o", program, SHIM / "examples/echo_test.c"]
    subprocess.run(command, check=True)
    return program


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Path of the program that makes each call that can be made to fail."""
    program = tmp_path / "calls"
    source = Path(__file__).parent / "programs" / "calls.c"
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-I", SHIM, "-o", program, source], check=True)
    return program


def test_the_example_passes_in_its_own_net(example: Path, memtun: m.Net) -> None:
    done = memtun.run([example], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "echo_test: all is well\n"), done.stderr


def test_the_example_without_memtun_says_how_to_start_it(example: Path) -> None:
    done = subprocess.run([example], capture_output=True, text=True)
    assert done.returncode == 77 and "memtun run" in done.stderr


@pytest.mark.parametrize(
    "what, spec, struck",
    [
        ("fault", "open=4000", ["open"]),
        ("fault", "read=EIO", ["read"]),
        ("fault", "write=5", ["write"]),
        ("fault", "close=EIO", ["close"]),
        ("fault", "ioctl=5@2-", ["FIONBIO", "SIOCGIFFLAGS", "SIOCSIFADDR"]),
        ("fault", "ioctl:TUNSETIFF=EBUSY", ["TUNSETIFF"]),
        ("fault", "ioctl:0x400454ca=16", ["TUNSETIFF"]),
        ("fault", "ioctl:0x5421=EIO", ["FIONBIO"]),
        ("fault", "ioctl:SIOCGIFFLAGS=EIO", ["SIOCGIFFLAGS"]),
        ("fault", "ioctl:0x8916=41", ["SIOCSIFADDR"]),
        ("deny", "open", ["open"]),
        ("deny", "ioctl", ["TUNSETIFF"]),
    ],
)
def test_every_operation_fails_as_a_c_driver_says(
    calls: Path, memtun: m.Net, what: str, spec: str, struck: list[str]
) -> None:
    done = memtun.run([calls, what, spec], capture_output=True, text=True)
    assert done.returncode == 0, done
    during, after = (dict(word.split("=") for word in line.split()) for line in done.stdout.splitlines())
    assert after["open"] == after["write"] == after["close"] == "0"
    error = "1" if what == "deny" else {"EIO": "5", "EBUSY": "16"}.get(*2 * [spec.split("=")[1].split("@")[0]])
    if during.keys() == after.keys() and "TUNSETIFF" not in struck:
        assert during == {**after, **dict.fromkeys(struck, error)}
    else:
        # The calls after the one that failed have no tunnel or no interface.
        assert [during[name] for name in struck] == [error]


STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-pedantic-errors", "-Wstrict-prototypes", "-Wundef"]
COMPILERS = [("gcc", "c"), ("clang", "c"), ("g++", "c++"), ("clang++", "c++")]
STANDARDS = {"c": ["c99", "c11", "c17"], "c++": ["c++11", "c++17"]}


@pytest.mark.parametrize("weak", [False, True], ids=["linked", "weak"])
@pytest.mark.parametrize(("compiler", "language"), COMPILERS)
def test_the_header_alone_is_c_and_cplusplus(tmp_path: Path, compiler: str, language: str, weak: bool) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    source = tmp_path / f"x.{language}"
    define = "#define MEMTUN_WEAK\n" if weak else ""
    source.write_text(f'{define}#include "memtun.h"\n#include "memtun.h"\nint main(void) {{ return memtun_active(); }}\n')
    warnings = [w for w in STRICT if language == "c" or w != "-Wstrict-prototypes"]
    for standard in STANDARDS[language]:
        subprocess.run([compiler, *warnings, f"-std={standard}", "-fsyntax-only", "-I", SHIM, source], check=True)


@pytest.mark.parametrize(("compiler", "language"), COMPILERS)
def test_misuse_is_an_error_and_no_crash(tmp_path: Path, compiler: str, language: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    library = _library.find()
    program = tmp_path / "misuse"
    source = Path(__file__).parent / "programs" / "misuse.c"
    standard = STANDARDS[language][-1]
    command = [compiler, "-Wall", "-Wextra", "-Werror", "-pedantic", f"-std={standard}", "-x", language, "-I", SHIM]
    subprocess.run([*command, "-o", program, source, "-x", "none", library, f"-Wl,-rpath,{library.parent}"], check=True)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MEMTUN_")}
    done = subprocess.run([program], env=variables, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_handles_are_valid_until_they_are_closed_themselves(tmp_path: Path, memtun: m.Net) -> None:
    program = tmp_path / "order"
    source = Path(__file__).parent / "programs" / "order.c"
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-I", SHIM, "-o", program, source], check=True)
    done = memtun.run([program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "order: all is well\n"), done.stderr


def test_pkg_config_gives_what_a_driver_is_built_with(tmp_path: Path) -> None:
    if shutil.which("pkg-config") is None:
        pytest.skip("no pkg-config")
    library = _library.find().parent
    values = {"prefix": "/usr", "libdir": str(library), "includedir": str(SHIM), "version": m.version()}
    text = (SHIM / "memtun.pc.in").read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    assert "@" not in text
    (tmp_path / "memtun.pc").write_text(text)
    variables = {**os.environ, "PKG_CONFIG_PATH": str(tmp_path)}
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "memtun"],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    source = tmp_path / "driver.c"
    source.write_text(
        '#include "memtun.h"\n#include <stdio.h>\n'
        "int main(void) { memtun_net *net = memtun_net_open_temporary();\n"
        '  puts(memtun_interface_open(net, "a/b", 0) ? "?" : memtun_error_text()); memtun_net_close(net); return !net; }\n'
    )
    subprocess.run(["cc", source, "-o", tmp_path / "driver", *flags], check=True)
    variables["LD_LIBRARY_PATH"] = str(library)
    done = subprocess.run([tmp_path / "driver"], env=variables, capture_output=True, text=True, check=True)
    assert "cannot be an interface name" in done.stdout
