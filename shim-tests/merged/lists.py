"""Lists of generic netlink's family "ethtool": which devices they name, with and without a device in the request, and
how they end. The socket is made when the net has no interface yet."""

import socket
import struct
import sys

sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
sock.settimeout(10)
sock.setsockopt(270, 11, 1)  # NETLINK_EXT_ACK
print("protocol", sock.getsockopt(socket.SOL_SOCKET, 38), flush=True)
open(sys.argv[1], "w").write("ready")
sys.stdin.readline()


def attribute(kind, value):
    return struct.pack("HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data):
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("HH", data, at)
        if length < 4:
            break
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += length + 3 & ~3


def ask(kind, flags, body):
    """Returns the messages of an answer, and the errno and the sentence of its end."""
    sock.send(struct.pack("IHHII", 16 + len(body), kind, flags, 1, 0) + body)
    found = []
    while True:
        data = sock.recv(65536)
        while len(data) >= 16:
            length, kind, said, _, _ = struct.unpack_from("IHHII", data)
            body, data = data[16:length], data[length + 3 & ~3 :]
            if kind not in (2, 3):
                found.append(body)
                if not flags & 0x300:
                    return found, 0, None
                continue
            errno = struct.unpack_from("i", body)[0]
            skip = 0 if kind == 3 else 16 if said & 0x100 else struct.unpack_from("I", body, 4)[0]
            more = dict(attributes(body[4 + skip :])) if said & 0x200 else {}
            return found, errno, more.get(1)


family = dict(attributes(ask(16, 1, bytes([3, 1, 0, 0]) + attribute(2, b"ethtool\0"))[0][0][4:]))
ethtool = struct.unpack("H", family[1])[0]
for command in list(range(1, 52)):
    if command in (3, 5, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 27, 30, 35, 37, 40, 43, 44, 47, 48, 49, 50):
        continue
    where = 2 if command == 32 else 1
    for name in [None, b"eth9", b"tun0", b"nobody"]:
        # Those the machine lists for administrators only.
        if command in (9, 31) and name != b"tun0":
            continue
        header = attribute(where | 0x8000, attribute(2, name + b"\0") if name else b"")
        if command == 1:
            header += attribute(2 | 0x8000, attribute(1 | 0x8000, attribute(1, struct.pack("I", 4))))
        if command == 32:
            header += attribute(3 | 0x8000, attribute(2, struct.pack("I", 5)) + attribute(3 | 0x8000, b""))
        found, errno, text = ask(ethtool, 0x301, bytes([command, 1, 0, 0]) + header)
        names = []
        for body in found:
            its = dict(attributes(body[4:]))
            names.append(dict(attributes(its.get(where, b""))).get(2, b"?").rstrip(b"\0").decode())
        print(command, name and name.decode(), [each for each in names if each != "lo"], errno, text)
