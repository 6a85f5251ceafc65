"""Starts one process per driver that outlives the driver, to clear up what a killed driver
cannot. See :mod:`memtun._leftovers`."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Optional

from . import _leftovers, _library

_lock = threading.Lock()
# The pipe to the guard, and the process that owns it: a forked child starts a guard of its own.
_pipe: Optional[int] = None
_pid = 0


def _start() -> int:
    """Starts the guard and returns the pipe to it. Nobody waits for the guard, because it ends
    after this process."""
    # -I -S: the guard needs nothing from the driver's directory or site-packages.
    command = [sys.executable, "-I", "-S", str(Path(_leftovers.__file__)), str(_library.find())]
    ours = os.pipe()
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        os.posix_spawn(
            command[0],
            command,
            {},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, ours[0], 0),
                (os.POSIX_SPAWN_DUP2, nowhere, 1),
                (os.POSIX_SPAWN_DUP2, nowhere, 2),
            ],
            # A Ctrl-C reaches only the driver, which ends in its own time.
            setsid=True,
        )
    except OSError:
        os.close(ours[1])
        raise
    finally:
        os.close(ours[0])
        os.close(nowhere)
    return ours[1]


def _tell(line: str) -> None:
    global _pipe, _pid
    if _pipe is None or _pid != os.getpid():
        _pipe, _pid = _start(), os.getpid()
    try:
        os.write(_pipe, os.fsencode(line) + b"\0")
    except OSError:
        # Somebody killed the guard. It would be needed only if this process were killed, too.
        os.close(_pipe)
        _pipe = None


def watch(net: Path) -> None:
    """Lets the net end with this process from now on."""
    with _lock:
        _tell(f"+{net}")


def forget(net: Path) -> None:
    """Says that the net has ended in order."""
    with _lock:
        if _pipe is not None and _pid == os.getpid():
            _tell(f"-{net}")
