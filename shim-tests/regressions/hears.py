"""A listener from before the first tunnel hears of the machine's links and of the net's."""

import fcntl
import os
import select
import socket
import struct
import subprocess
import sys

NEWLINK, DELLINK = 16, 17


def heard(listener, link, wanted):
    """Waits for a message of this type about the link, and returns who sent it."""
    while select.select([listener], [], [], 10)[0]:
        data, sender = listener.recvfrom(65536)
        at = 0
        while at < len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            if kind == wanted and b"\3\0" + link + b"\0" in data[at : at + length]:
                return sender
            at += (length + 3) & ~3
    sys.exit(f"nothing of {link!r}")


listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
listener.bind((0, 1))
if sys.argv[1:]:
    clean = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    subprocess.run(sys.argv[1:], check=True, env=clean)
    print("machine", heard(listener, b"mach0", NEWLINK))
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"hear0", 0x1001))
print("new", heard(listener, b"hear0", NEWLINK), "groups", listener.getsockname()[1])
os.close(tun)
print("gone", heard(listener, b"hear0", DELLINK))
