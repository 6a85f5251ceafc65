"""Processes that stay behind in a temporary net, and the end of such a net when its driver is
killed.

This is run as a program, with the library's path as its argument and a pipe from the driver as
standard input. It reads the directories of nets, each behind a sign and in front of a NUL, and
waits until the pipe ends: then the driver has ended, in whatever way. After that it kills what
runs in those nets and removes them; files that are not memtun's stay. It imports nothing of the
package, so that it starts quickly."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator


def pids_in(net: str) -> Iterator[int]:
    """Every process that was started in a net, even if it has detached itself from its parents."""
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
    """Kills these processes."""
    # It looks twice, because a process may fork while the others are looked at.
    for _ in range(2):
        for pid in pids_in(net):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def functions() -> dict[str, tuple[object, list[object]]]:
    """The functions of memtun.h that are called, with their result and parameters."""
    from ctypes import c_char_p, c_int, c_void_p

    return {"memtun_net_open": (c_void_p, [c_char_p]), "memtun_net_remove": (c_int, [c_void_p])}


def remove(net: str, library: str) -> None:
    """Removes a net if it still exists. A directory that the library refuses is left alone,
    because it is not this driver's."""
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
    """Waits for the driver's end and clears up."""
    os.chdir("/")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A signal that ends everything at once ends the driver as well, and then this process has
        # to work.
        signal.signal(number, signal.SIG_IGN)
    nets: set[str] = set()
    # The last entry is dropped, because it is empty or incomplete.
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
