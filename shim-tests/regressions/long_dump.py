"""Dumps that are longer than the socket's queue come whole: prints how many messages each has."""

import socket
import struct


def dump(kind, room, queue=None):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        if queue:
            netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, queue)
        netlink.bind((0, 0))
        netlink.send(struct.pack("=IHHIIB3x", 20, kind, 0x301, 7, 0, 0))
        count = 0
        while True:
            data, sender = netlink.recvfrom(room)
            assert sender == (0, 0), sender
            at = 0
            while at < len(data):
                length, kind, _, sequence, port = struct.unpack_from("=IHHII", data, at)
                assert (sequence, port) == (7, netlink.getsockname()[0])
                if kind in (2, 3):
                    return count if kind == 3 else -1
                count += 1
                at += (length + 3) & ~3


GETADDR = 22
print(dump(GETADDR, 32768), dump(GETADDR, 4096, 2000), dump(GETADDR, 65536, 1 << 20))
