"""What a program does with a tunnel, for tests whose own process is under the shim."""

from __future__ import annotations

import fcntl
import os
import struct

TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
IFF_TUN, IFF_TAP, IFF_NO_PI = 0x0001, 0x0002, 0x1000


def attach(
    name: str = "tun0", mode: int = IFF_TUN | IFF_NO_PI, flags: int = os.O_RDWR | os.O_NONBLOCK
) -> int:
    fd = os.open("/dev/net/tun", flags)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), mode))
    return fd


def ipv4(payload: bytes = b"") -> bytes:
    """An IP packet of an unknown protocol."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, 253, 0, bytes(4), bytes(4))
    return head + payload
