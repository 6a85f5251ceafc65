"""Tries, as the machine's root, every call that would change the machine's interface eth9, and prints what it was told.
The shell scripts try what tools know."""

import ctypes
import errno
import fcntl
import os
import socket
import struct

libc = ctypes.CDLL(None, use_errno=True)
INDEX = socket.if_nametoindex("eth9")
FAMILIES = {"unix": socket.AF_UNIX, "inet": socket.AF_INET, "inet6": socket.AF_INET6, "packet": socket.AF_PACKET}


def told(name, call):
    """Prints the answer of a call; a value that depends on the machine is no part of it."""
    try:
        call()
        print(name, "done")
    except OSError as error:
        print(name, errno.errorcode[error.errno])


def ifreq(rest=b"", name=b"eth9"):
    return bytearray(struct.pack("16s24s", name, rest))


def request(family, number, argument):
    kind = socket.SOCK_RAW if family == socket.AF_PACKET else socket.SOCK_DGRAM
    with socket.socket(family, kind) as sock:
        fcntl.ioctl(sock, number, argument)


def address(text, family=socket.AF_INET):
    return struct.pack("HH", family, 0) + socket.inet_aton(text)


hardware = struct.pack("H6s", 1, bytes([2, 0, 0, 0, 0, 0x77]))
bridge = struct.pack("LLL", 2, 0, 0)
CHANGES = [
    ("SIOCSIFLINK", 0x8911, ifreq()),
    ("SIOCSIFFLAGS", 0x8914, ifreq(struct.pack("h", 0))),
    ("SIOCSIFADDR", 0x8916, ifreq(address("192.0.2.99"))),
    ("SIOCSIFDSTADDR", 0x8918, ifreq(address("192.0.2.98"))),
    ("SIOCSIFBRDADDR", 0x891A, ifreq(address("192.0.2.97"))),
    ("SIOCSIFNETMASK", 0x891C, ifreq(address("255.255.0.0"))),
    ("SIOCSIFMETRIC", 0x891E, ifreq(struct.pack("i", 3))),
    ("SIOCSIFMEM", 0x8920, ifreq()),
    ("SIOCSIFMTU", 0x8922, ifreq(struct.pack("i", 1300))),
    ("SIOCSIFHWADDR", 0x8924, ifreq(hardware)),
    ("SIOCSIFENCAP", 0x8926, ifreq()),
    ("SIOCSIFSLAVE", 0x8930, ifreq()),
    ("SIOCADDMULTI", 0x8931, ifreq(struct.pack("H6s", 0, bytes([1, 0, 0x5E, 1, 2, 3])))),
    ("SIOCDELMULTI", 0x8932, ifreq(struct.pack("H6s", 0, bytes([1, 0, 0x5E, 0, 0, 1])))),
    ("SIOCSIFPFLAGS", 0x8934, ifreq(struct.pack("h", 1))),
    ("SIOCDIFADDR", 0x8936, ifreq(address("192.0.2.10"))),
    ("SIOCSIFHWBROADCAST", 0x8937, ifreq(hardware)),
    ("SIOCSIFBR add", 0x8941, bytearray(struct.pack("LLL", 2, 0, 0))),
    ("SIOCGIFBR add", 0x8940, bytearray(struct.pack("LLL", 2, 0, 0))),
    ("SIOCSIFTXQLEN", 0x8943, ifreq(struct.pack("i", 77))),
    ("SIOCSMIIREG", 0x8949, ifreq()),
    ("SIOCWANDEV", 0x894A, ifreq()),
    ("SIOCSARP", 0x8955, bytearray(struct.pack("16s16si16s16s", address("192.0.2.66"), hardware, 6, b"", b"eth9"))),
    ("SIOCDARP", 0x8953, bytearray(struct.pack("16s16si16s16s", address("192.0.2.77"), hardware, 0, b"", b"eth9"))),
    ("SIOCSIFMAP", 0x8971, ifreq()),
    ("SIOCADDDLCI", 0x8980, ifreq()),
    ("SIOCGIFVLAN add", 0x8982, bytearray(struct.pack("i24si", 0, b"eth9", 5).ljust(64, b"\0"))),
    ("SIOCSIFVLAN add", 0x8983, bytearray(struct.pack("i24si", 0, b"eth9", 6).ljust(64, b"\0"))),
    ("SIOCBONDENSLAVE", 0x8990, ifreq(b"lo")),
    ("SIOCBONDRELEASE", 0x8991, ifreq(b"lo")),
    ("SIOCBONDSETHWADDR", 0x8992, ifreq(b"lo")),
    ("SIOCBONDCHANGEACTIVE", 0x8995, ifreq(b"lo")),
    ("SIOCBRADDBR", 0x89A0, bytearray(b"br7".ljust(40, b"\0"))),
    ("SIOCBRDELBR", 0x89A1, bytearray(b"eth9".ljust(40, b"\0"))),
    ("SIOCBRADDIF", 0x89A2, ifreq(struct.pack("i", INDEX))),
    ("SIOCBRDELIF", 0x89A3, ifreq(struct.pack("i", INDEX))),
    ("SIOCSHWTSTAMP", 0x89B0, ifreq()),
    ("SIOCIWCOMMIT", 0x8B00, ifreq()),
    ("SIOCSIWESSID", 0x8B1A, ifreq()),
    ("SIOCSIFNAME", 0x8923, ifreq(b"eth8")),
] + [(f"SIOCDEVPRIVATE+{n}", 0x89F0 + n, ifreq()) for n in range(16)]
for name, number, argument in CHANGES:
    for family in ["inet"] if name.startswith("SIOCDEV") else FAMILIES:
        told(f"{name} {family}", lambda: request(FAMILIES[family], number, bytearray(argument)))

# What is set with SIOCETHTOOL: every command whose name begins with ETHTOOL_S, and some more.
for command in [2, 6, 7, 9, 11, 13, 15, 19, 21, 22, 24, 26, 28, 30, 31, 34, 38, 39, 40, 47, 48, 50, 51, 52, 56, 57, 59, 61, 62]:
    for value in [0, 1]:
        asked = ctypes.create_string_buffer(struct.pack("II", command, value), 4096)
        pointer = struct.pack("P", ctypes.addressof(asked))
        told(f"SIOCETHTOOL {command} {value}", lambda: request(socket.AF_INET, 0x8946, ifreq(pointer)))
# ETHTOOL_SFEATURES, and a speed and a message level, which a tap takes.
for command, rest in [(0x3B, struct.pack("IIIII", 2, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0)), (8, struct.pack("I", 5)), (0xF, struct.pack("9I", *[9] * 9))]:
    asked = ctypes.create_string_buffer(struct.pack("I", command) + rest, 4096)
    pointer = struct.pack("P", ctypes.addressof(asked))
    told(f"SIOCETHTOOL {command} with values", lambda: request(socket.AF_INET, 0x8946, ifreq(pointer)))

# Routes and addresses of both families.
rtentry = struct.pack("L16s16s16sH6xQ2xH4xPLLH6x", 0, address("198.51.100.0"), address("192.0.2.5"), address("255.255.255.0"), 3, 0, 0, 0, 0, 0, 0)
for name, number in [("SIOCADDRT", 0x890B), ("SIOCDELRT", 0x890C)]:
    told(name, lambda: request(socket.AF_INET, number, bytearray(rtentry)))
    route6 = struct.pack("16s16s16sIHHILIi", socket.inet_pton(socket.AF_INET6, "2001:db8:9::"), bytes(16), bytes(16), 0, 48, 0, 0, 0, 1, INDEX)
    told(name + " inet6", lambda: request(socket.AF_INET6, number, bytearray(route6.ljust(96, b"\0"))))
for name, number in [("SIOCSIFADDR", 0x8916), ("SIOCDIFADDR", 0x8936)]:
    for text in ["2001:db8::10", "2001:db8::11"]:
        in6 = struct.pack("16sIi", socket.inet_pton(socket.AF_INET6, text), 64, INDEX)
        told(f"{name} {text}", lambda: request(socket.AF_INET6, number, bytearray(in6.ljust(40, b"\0"))))

# Multicast routing makes an interface, and listens on the others.
for family, level, base in [(socket.AF_INET, socket.IPPROTO_IP, 200), (socket.AF_INET6, socket.IPPROTO_IPV6, 200)]:
    protocol = 2 if family == socket.AF_INET else 58
    try:
        with socket.socket(family, socket.SOCK_RAW, protocol) as sock:
            told(f"MRT_INIT {family}", lambda: sock.setsockopt(level, base, 1))
            if family == socket.AF_INET:
                vif = struct.pack("HBBII4s", 0, 8, 1, 0, INDEX, bytes(4))
            else:
                vif = struct.pack("HBBHI", 0, 0, 1, INDEX, 0)
            told(f"MRT_ADD_VIF {family}", lambda: sock.setsockopt(level, base + 2, vif))
    except OSError as error:
        print("multicast routing", family, errno.errorcode[error.errno])



def netlink(protocol, kind, flags, body):
    """Sends a message, and returns the errno of the answer, 0 for others."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as sock:
        sock.settimeout(10)
        sock.send(struct.pack("IHHII", 16 + len(body), kind, flags | 5, 1, 0) + body)
        answer = sock.recv(65536)
        length, kind = struct.unpack_from("IH", answer)
        return answer, -struct.unpack_from("i", answer, 16)[0] if kind == 2 else 0


def attribute(kind, value):
    return struct.pack("HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


# rtnetlink: each type of message that changes something.
for kind in range(16, 124):
    if kind % 4 == 2:
        continue
    for family in [0, 2, 7, 10, 128, 129]:
        v4 = attribute(1, bytes([192, 0, 2, 44])) + attribute(2, bytes([192, 0, 2, 44]))
        neighbour = struct.pack("BBHiHBB", family, 0, 0, INDEX, 0x80, 0, 1)
        for body in [
            struct.pack("BxHiII", family, 0, INDEX, 0, 0),
            struct.pack("BxHiII", family, 0, 0, 0, 0) + attribute(3, b"new7\0") + attribute(18 | 0x8000, attribute(1, b"bridge")),
            struct.pack("BBBBi", family, 24, 0, 0, INDEX) + v4,
            struct.pack("BBBBBBBBI", family, 24, 0, 0, 254, 3, 253, 1, 0) + v4[:8] + attribute(4, struct.pack("i", INDEX)),
            neighbour + v4[:8] + attribute(2, bytes([2, 0, 0, 0, 0, 9])),
            struct.pack("BxHiIII", family, 0, INDEX, 0, 0xFFFFFFFF, 0) + attribute(1, b"pfifo\0"),
        ]:
            netlink(0, kind, 0x400, body)
print("rtnetlink is over")

# Generic netlink: each command of ethtool with the device, with and without a value.
answer, _ = netlink(16, 16, 0, bytes([3, 1, 0, 0]) + attribute(2, b"ethtool\0"))
at, families = 20, {}
while at + 4 <= len(answer):
    length, kind = struct.unpack_from("HH", answer, at)
    families[kind] = answer[at + 4 : at + length]
    at += length + 3 & ~3
ethtool = struct.unpack("H", families[1])[0]
header = attribute(1 | 0x8000, attribute(2, b"eth9\0"))
bits = attribute(3 | 0x8000, attribute(3 | 0x8000, attribute(1 | 0x8000, attribute(2, b"tx-generic-segmentation\0"))))
for command in range(1, 52):
    for more in [b"", bits, attribute(2, struct.pack("I", 5)), attribute(5, struct.pack("I", 1000)), attribute(4, b"\1")]:
        answer, error = netlink(16, ethtool, 0, bytes([command, 1, 0, 0]) + header + more)
        if error == 1:
            print("ethtool", command, "EPERM")
            break
