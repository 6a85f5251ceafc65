"""memtun_side.py SECONDS: nanoseconds per datagram in and out of a tunnel, with os.read and os.write under memtun.

The driver is in the same process, called through ctypes, as nothing else is in the process of MemoryIOSystem."""

import ctypes
import fcntl
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from timing import DATAGRAM, PACKET, PORT, per_call  # noqa: E402

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000

library = ctypes.CDLL(None)
library.memtun_net_open.restype = ctypes.c_void_p
library.memtun_interface_open.restype = ctypes.c_void_p
library.memtun_interface_open.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
send_udp = library.memtun_interface_send_udp
send_udp.argtypes = [
    ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint16, ctypes.c_char_p,
    ctypes.c_uint16, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int,
]  # fmt: skip
receive_udp = library.memtun_interface_recv_udp
receive_udp.restype = ctypes.c_ssize_t
receive_udp.argtypes = [
    ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint16, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int,
]  # fmt: skip

fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"bench0", IFF_TUN | IFF_NO_PI))
net = library.memtun_net_open(None)
iface = library.memtun_interface_open(net, b"bench0", 5000)
buffer = ctypes.create_string_buffer(2048)


def inbound():
    if send_udp(iface, None, 0, b"10.1.2.9", 7, DATAGRAM, len(DATAGRAM), 5000) < 0:
        raise OSError("memtun_interface_send_udp")
    return os.read(fd, 2048)


def outbound():
    os.write(fd, PACKET)
    length = receive_udp(iface, None, PORT, buffer, 2048, 5000)
    return ctypes.string_at(buffer, length)


assert inbound()[28:] == DATAGRAM and outbound() == DATAGRAM
print(per_call(inbound, float(sys.argv[1])), per_call(outbound, float(sys.argv[1])))
