"""memtun_side.py SECONDS: nanoseconds per datagram in and out of a tunnel, with os.read and os.write under memtun.

The driver is the package in the same process, as nothing else is in the process of MemoryIOSystem. Five figures: by
the package in and out, in by the C interface alone, and 32 at a time in and out."""

import ctypes
import fcntl
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[2] / "src/python/src"))
import memtun  # noqa: E402
from timing import DATAGRAM, PACKET, PORT, per_call  # noqa: E402

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
MANY = 32
TO = ("10.1.2.9", 7)

fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"bench0", IFF_TUN | IFF_NO_PI))
tun = memtun.Net(os.environ["MEMTUN_NET"]).interface("bench0")
receiver = tun.receive_udp(port=PORT)
together = tun.receive_udp(port=PORT)


def inbound():
    tun.send_udp(DATAGRAM, TO)
    return os.read(fd, 2048)


def outbound():
    os.write(fd, PACKET)
    return receiver.recv(2048)


# What ctypes would convert for each call is a value of its own.
library = ctypes.CDLL(None)
library.memtun_net_open.restype = ctypes.c_void_p
library.memtun_interface_open.restype = ctypes.c_void_p
net = library.memtun_net_open(None)
iface = ctypes.c_void_p(library.memtun_interface_open(ctypes.c_void_p(net), b"bench0", 5000))
host, port, length, ms = ctypes.c_char_p(TO[0].encode()), ctypes.c_uint16(TO[1]), ctypes.c_size_t(len(DATAGRAM)), ctypes.c_int(5000)
none = ctypes.c_uint16(0)


def by_c():
    if library.memtun_interface_send_udp(iface, None, none, host, port, DATAGRAM, length, ms) < 0:
        raise OSError("memtun_interface_send_udp")
    return os.read(fd, 2048)


def many_in():
    tun.send_udp_many([DATAGRAM] * MANY, TO)
    return [os.read(fd, 2048) for _ in range(MANY)]


def many_out():
    for _ in range(MANY):
        os.write(fd, PACKET)
    got = 0
    while got < MANY:
        got += len(together.recv_many(MANY - got))


assert inbound()[28:] == by_c()[28:] == DATAGRAM and outbound() == DATAGRAM
assert all(packet[28:] == DATAGRAM for packet in many_in())
seconds = float(sys.argv[1])
figures = [per_call(call, seconds) for call in (inbound, outbound, by_c)]
# A receiver that is far behind would be told that it was overtaken.
together = tun.receive_udp(port=PORT)
while True:
    try:
        together.recv_many(1000, timeout=0)
    except memtun.PacketsLostError:
        continue
    except memtun.TimeoutError:
        break
figures += [per_call(call, seconds) / MANY for call in (many_in, many_out)]
print(*figures)
