from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import memtun as memtun_package

ECHO = Path(__file__).parent / "programs" / "echo.py"

Echo = Callable[..., "memtun_package.Interface"]


@pytest.fixture
def echo(memtun: memtun_package.Net) -> Echo:
    """Starts the program that sends datagrams back; its interface."""

    def start(name: str = "tun0", *arguments: str, **keywords: object) -> memtun_package.Interface:
        memtun.popen([sys.executable, str(ECHO), name, *arguments], **keywords)
        return memtun.interface(name, timeout=20)

    return start
