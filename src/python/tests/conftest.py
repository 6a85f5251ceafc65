from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import memtun as memtun_package

ECHO = Path(__file__).parent / "programs" / "echo.py"

Echo = Callable[..., "memtun_package.Interface"]


@pytest.fixture
def echo(memtun: memtun_package.Net) -> Echo:
    """Starts the program that sends datagrams back, and returns its interface."""

    def start(name: str = "tun0", *arguments: str, **keywords: object) -> memtun_package.Interface:
        memtun.popen([sys.executable, str(ECHO), name, *arguments], **keywords)
        return memtun.interface(name, timeout=20)

    return start


@pytest.fixture
def command(pytester: pytest.Pytester, installed: bool):
    """The command line of a pytest process on a test file."""
    plugin = [] if installed else ["-p", "memtun.pytest_plugin"]
    header = (
        "import fcntl, os, signal, struct, sys\nimport pytest\n"
        f"ECHO = [sys.executable, {str(ECHO)!r}, 'tun0']\n"
        "def attach():\n"
        "    fd = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)\n"
        "    fcntl.ioctl(fd, 0x400454CA, struct.pack('16sH22x', b'tun0', 0x1001))\n"
        "    return fd\n"
    )

    def of(source: str, *arguments: str) -> list[str]:
        pytester.makepyfile(header + source)
        cache = [] if "cacheprovider" in arguments else ["-p", "no:cacheprovider"]
        return [sys.executable, "-m", "pytest", *plugin, *cache, *arguments]

    return of


@pytest.fixture
def run(pytester: pytest.Pytester, command):
    """Runs pytest on a test file in a process of its own, as people do."""

    def to_its_end(source: str, *arguments: str, stdin: object = pytester.CLOSE_STDIN) -> pytest.RunResult:
        return pytester.run(*command(source, *arguments), timeout=120, stdin=stdin)

    return to_its_end


@pytest.fixture
def start(command) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts that command in a process group of its own."""

    def begin(source: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command(source, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    return begin
