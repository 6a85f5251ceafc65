"""wire.py NAME FD [tap]: carries packets between a tunnel and a socket of SOCK_SEQPACKET, at whose
other end another such program does the same."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NO_PI = 0x0001, 0x0002, 0x1000


def main() -> None:
    name, number, *more = sys.argv[1:]
    wire = socket.socket(fileno=int(number))
    kind = IFF_TAP if "tap" in more else IFF_TUN
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), kind | IFF_NO_PI))
    poll = select.poll()
    poll.register(tun, select.POLLIN)
    poll.register(wire, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == tun:
                wire.send(os.read(tun, 65536))
                continue
            packet = wire.recv(65536)
            if not packet:
                return
            os.write(tun, packet)


main()
