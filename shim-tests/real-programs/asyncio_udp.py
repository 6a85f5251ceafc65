#!/usr/bin/env python3
"""A UDP service on a tun interface, with nothing but asyncio and the standard library.

asyncio_udp.py INTERFACE: answers every UDP datagram with b"you said: " and what it said.
"""
import asyncio
import fcntl
import os
import signal
import socket
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
UDP = 17


def checksum(data):
    """The Internet checksum of RFC 1071."""
    total = sum(struct.unpack("!%dH" % ((len(data) + 1) // 2), data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp(source, destination, sport, dport, payload):
    length = 8 + len(payload)
    header = struct.pack("!HHHH", sport, dport, length, 0)
    pseudo = source + destination + struct.pack("!LL", length, UDP)
    return header[:6] + struct.pack("!H", checksum(pseudo + header + payload) or 0xFFFF) + payload


def ipv4(source, destination, payload):
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, UDP, 0) + source + destination
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ipv6(source, destination, payload):
    return struct.pack("!LHBB", 6 << 28, len(payload), UDP, 64) + source + destination + payload


def answer(packet):
    """The packet that answers this one, or None."""
    version = packet[0] >> 4
    if version == 4 and packet[9] == UDP:
        build, family, start = ipv4, socket.AF_INET, (packet[0] & 15) * 4
        source, destination = packet[12:16], packet[16:20]
    elif version == 6 and packet[6] == UDP:
        build, family, start = ipv6, socket.AF_INET6, 40
        source, destination = packet[8:24], packet[24:40]
    else:
        return None
    sport, dport, length = struct.unpack_from("!HHH", packet, start)
    payload = packet[start + 8 : start + length]
    print("%s:%d says %r" % (socket.inet_ntop(family, source), sport, payload[:40]), flush=True)
    return build(destination, source, udp(destination, source, dport, sport, b"you said: " + payload))


async def main(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    ifreq = struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI)
    name = fcntl.ioctl(fd, TUNSETIFF, ifreq)[:16].rstrip(b"\0").decode()
    print("serving on", name, flush=True)

    def readable():
        reply = answer(os.read(fd, 65536))
        if reply is not None:
            os.write(fd, reply)

    loop = asyncio.get_running_loop()
    loop.add_reader(fd, readable)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    loop.remove_reader(fd)
    os.close(fd)


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "tun0"))
