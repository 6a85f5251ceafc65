"""Processes that stay behind in a temporary net, and the end of such a net when its driver is killed.

Run as a program, with the library's path and a pipe from the driver as standard input, it reads the
directories of nets, each behind a sign and before a NUL, and waits: when the pipe ends, the driver has ended,
however it did. Then what runs in those nets is killed and they are removed; files that are not memtun's stay.
It imports nothing of the package, so that it starts quickly."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator


def pids_in(net: str) -> Iterator[int]:
    """Every process that was started in a net, however far it has removed itself from its parents."""
    wanted = b"MEMTUN_NET=" + os.fsencode(net)
    own = {os.getpid(), os.getppid()}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in own:
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/environ", "rb") as file:
                variables = file.read().split(b"\0")
            if wanted in variables:
                yield int(entry)


def kill_in(net: str) -> None:
    """Kills them."""
    # Twice: a process may fork while the others are looked at.
    for _ in range(2):
        for pid in pids_in(net):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def functions() -> dict[str, tuple[object, list[object]]]:
    """What is called of memtun.h: result and parameters."""
    from ctypes import c_char_p, c_int, c_void_p

    return {"memtun_net_open": (c_void_p, [c_char_p]), "memtun_net_remove": (c_int, [c_void_p])}


def remove(net: str, library: str) -> None:
    """Removes a net, if it is still there. What the library refuses is none of ours."""
    if not os.path.isdir(net):
        return
    import ctypes

    loaded = ctypes.CDLL(library)
    for name, (result, parameters) in functions().items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, parameters
    pointer = loaded.memtun_net_open(os.fsencode(net))
    if pointer:
        loaded.memtun_net_remove(pointer)


def main() -> None:
    """Waits for the driver's end."""
    os.chdir("/")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Whoever ends everything at once ends the driver as well, and then it is our turn.
        signal.signal(number, signal.SIG_IGN)
    nets: set[str] = set()
    # What is not whole was not meant.
    for entry in sys.stdin.buffer.read().split(b"\0")[:-1]:
        net = os.fsdecode(entry[1:])
        if entry[:1] == b"+":
            nets.add(net)
        else:
            nets.discard(net)
    for net in nets:
        kill_in(net)
        remove(net, sys.argv[1])


if __name__ == "__main__":
    main()
