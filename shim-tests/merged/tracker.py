"""Follows links and addresses as a browser does: it listens, asks for everything, and prints what it hears until a
link "last0" has come and gone, or for 20 seconds."""

import os
import socket
import struct
import sys

NAMES = {16: "NEWLINK", 17: "DELLINK", 20: "NEWADDR", 21: "DELADDR", 24: "NEWROUTE", 25: "DELROUTE"}
FLAGS = {1: "UP", 2: "BROADCAST", 8: "LOOPBACK", 16: "POINTOPOINT", 64: "RUNNING", 4096: "MULTICAST", 65536: "LOWER_UP"}
names = {}


def attributes(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("HH", data)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def messages(data):
    while len(data) >= 16:
        length, kind, flags, sequence, port = struct.unpack_from("IHHII", data)
        yield kind, flags, data[16:length]
        data = data[(length + 3) & ~3 :]


def show(kind, body):
    if kind in (16, 17):
        index, flags = struct.unpack_from("iI", body, 4)
        found = attributes(body[16:])
        names[index] = found[3].rstrip(b"\0").decode()
        shown = [name for bit, name in FLAGS.items() if flags & bit]
        print(NAMES[kind], names[index], *shown, "mtu", struct.unpack("I", found[4])[0], flush=True)
        return names[index]
    if kind in (20, 21):
        family, length, _, scope, index = struct.unpack_from("BBBBI", body)
        found = attributes(body[8:])
        address = socket.inet_ntop(family, found.get(2, found[1]))
        print(NAMES[kind], names.get(index), f"{address}/{length}", "scope", scope, flush=True)
    elif kind in (24, 25):
        family, to = body[0], body[1]
        found = attributes(body[12:])
        target = socket.inet_ntop(family, found[1]) if 1 in found else "default"
        out = names.get(struct.unpack("I", found[4])[0]) if 4 in found else None
        print(NAMES[kind], f"{target}/{to}", out, flush=True)
    return None


listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
listener.bind((0, 0x1 | 0x10 | 0x40 | 0x100))
listener.settimeout(20)
for kind in (18, 22):
    listener.send(struct.pack("IHHIIB3x", 20, kind, 0x301, 1, 0, 0))
    while True:
        found = list(messages(listener.recv(65536)))
        for what, _, body in found:
            show(what, body)
        if any(what in (2, 3) for what, _, _ in found):
            break
print("ready", flush=True)
if len(sys.argv) > 1:
    os.close(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT))
try:
    last = False
    while not last:
        for what, _, body in messages(listener.recv(65536)):
            last |= show(what, body) == "last0" and what == 17
except TimeoutError:
    print("nothing more")
