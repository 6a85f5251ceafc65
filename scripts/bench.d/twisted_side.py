"""twisted_side.py SECONDS: nanoseconds per datagram in and out of Twisted's MemoryIOSystem."""

import struct
import sys
from pathlib import Path

from twisted.pair.testing import MemoryIOSystem, Tunnel
from twisted.pair.tuntap import _TUNSETIFF, TunnelFlags

sys.path.insert(0, str(Path(__file__).parent))
from timing import DATAGRAM, PACKET, PORT, per_call  # noqa: E402

system = MemoryIOSystem()
system.registerSpecialDevice(Tunnel._DEVICE_NAME, Tunnel)
fd = system.open(Tunnel._DEVICE_NAME, system.O_RDWR | system.O_NONBLOCK)
mode = TunnelFlags.IFF_TUN.value | TunnelFlags.IFF_NO_PI.value
system.ioctl(fd, _TUNSETIFF, struct.pack("16sH", b"bench0", mode))
receiver = system.receiveUDP(fd, "10.1.2.1", PORT)


def inbound():
    system.sendUDP(DATAGRAM, ("10.1.2.9", 7))
    return system.read(fd, 2048)


def outbound():
    system.write(fd, PACKET)
    return receiver.recv(2048)


assert inbound()[28:] == DATAGRAM and outbound() == DATAGRAM
print(per_call(inbound, float(sys.argv[1])), per_call(outbound, float(sys.argv[1])))
