"""Tests of what is known of a program before it starts."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from conftest import ECHO

import memtun as m
from memtun import _library

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


def compiled(directory: Path, name: str, *options: str, source: str = "int main(void) { return 3; }") -> Path:
    program = directory / name
    (directory / f"{name}.c").write_text(source + "\n")
    done = subprocess.run(["cc", "-o", program, f"{program}.c", *options], capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"cc {options} does not work here")
    return program


@root
@pytest.mark.parametrize("mode", [0o4755, 0o2755])
def test_a_program_that_would_touch_the_machine_is_refused(memtun: m.Net, tmp_path: Path, mode: int) -> None:
    program = tmp_path / "lifted"
    shutil.copy("/bin/true", program)
    os.chown(program, 65534, 65534)
    program.chmod(mode)
    for start in (memtun.popen, memtun.run):
        with pytest.raises(m.NotPermittedError, match=r"lifted: is set-.*with force=True"):
            start([program])
    with pytest.raises(m.NotPermittedError):
        memtun.run(["./lifted"], cwd=tmp_path)
    with pytest.raises(m.NotPermittedError):
        memtun.run(["lifted"], env={"PATH": str(tmp_path)})
    with pytest.raises(m.NotPermittedError):
        memtun.run(["true"], executable=program)
    with pytest.warns(m.BypassWarning, match="is set-"):
        assert memtun.run([program], force=True).returncode == 0


def test_a_program_that_the_library_does_not_see_is_a_warning(memtun: m.Net, tmp_path: Path) -> None:
    program = compiled(tmp_path, "still", "-static")
    with pytest.warns(m.BypassWarning, match="still: is linked statically") as caught:
        assert memtun.run([program]).returncode == 3
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert memtun.run("exit 4", shell=True).returncode == 4
        assert memtun.run(["/usr/bin/env", "true"]).returncode == 0


def test_a_program_that_cannot_be_started_is_an_error_of_subprocess(memtun: m.Net, tmp_path: Path) -> None:
    def file(name: str, text: str, mode: int = 0o755) -> Path:
        path = tmp_path / name
        path.write_text(text, newline="")
        path.chmod(mode)
        return path

    for program, kind, number, why in (
        ("no-such-program", FileNotFoundError, errno.ENOENT, "no-such-program: not found in PATH"),
        (tmp_path / "absent", FileNotFoundError, errno.ENOENT, "not found; build it"),
        (tmp_path, PermissionError, errno.EACCES, "it is a directory"),
        (file("plain", "", 0o644), PermissionError, errno.EACCES, "look at its mode"),
        (file("lost", "#!/no/such\n"), FileNotFoundError, errno.ENOENT, "its interpreter /no/such does not exist"),
        (file("dos", "#!/bin/sh\r\n"), FileNotFoundError, errno.ENOENT, r"/bin/sh\r does not exist; save"),
        (file("dos-env", "#!/usr/bin/env sh\r\n"), FileNotFoundError, errno.ENOENT, r"env finds no sh\r in PATH; save"),
        (file("none", "#!\n"), OSError, errno.ENOEXEC, "names no interpreter"),
    ):
        for start in (memtun.popen, memtun.run):
            with pytest.raises(kind) as refused:
                start([program])
            assert refused.value.errno == number
            assert why in refused.value.strerror
    # Only subprocess knows where it would look.
    with pytest.raises(FileNotFoundError) as refused:
        memtun.run(["./lost"], cwd="/no/such/directory")
    assert refused.value.filename == "/no/such/directory"
    (tmp_path / "still").symlink_to("/bin/true")
    assert memtun.run(["./still"], preexec_fn=lambda: os.chdir(tmp_path)).returncode == 0


def test_devices_are_a_list(memtun: m.Net) -> None:
    with pytest.raises(m.InvalidValueError, match="devices '/dev/foo': give a list"):
        memtun.run(["true"], devices="/dev/foo")


def test_a_program_with_a_sanitizer_starts(memtun: m.Net, tmp_path: Path) -> None:
    source = '#include <stdlib.h>\nint main(void) { return system("echo $LD_PRELOAD"); }'
    program = compiled(tmp_path, "checked", "-fsanitize=address", source=source)
    done = memtun.run([program], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == _library.text("memtun_library_path") + "\n"


def test_tunnels_have_the_same_members_wherever_they_are_shown(memtun: m.Net) -> None:
    command = shutil.which("memtun") or str(Path(__file__).parents[3] / "target/release/memtun")
    if not os.path.exists(command):
        pytest.skip("no memtun command")
    program = memtun.popen([sys.executable, str(ECHO), "tun3"], stdout=subprocess.DEVNULL)
    interface = memtun.interface("tun3")
    with interface._handle as pointer:
        described = json.loads(_library.text("memtun_interface_describe", pointer))
    listed = subprocess.run(
        [command, "ls", "--json", "--net", memtun.path], capture_output=True, check=True
    )
    shown = json.loads(listed.stdout)[0]
    assert described.pop("gone") is False
    assert shown == described and shown["tunnels"][0]["name"] == "tun3"
    program.kill()
