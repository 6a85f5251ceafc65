#!/usr/bin/env python3
"""The program under test, a VPN in a hundred lines: vpn.py INTERFACE HERE PEER, where HERE and PEER are HOST:PORT.

Packets of a tun interface travel in UDP datagrams that are authenticated with the key in $VPN_KEY (not encrypted: this is an
example). It knows nothing of memtun.
"""

import fcntl
import hashlib
import hmac
import os
import selectors
import socket
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
TAG = 16


def attach(name):
    """A tun descriptor, and the name that the system gave the interface."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI)
    given = fcntl.ioctl(tun, TUNSETIFF, request)[:16]
    return tun, given.rstrip(b"\0").decode()


def endpoint(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


class Vpn:
    def __init__(self, tun, udp, peer, key):
        self.tun, self.udp, self.peer, self.key = tun, udp, peer, key

    def tag(self, packet):
        return hmac.new(self.key, packet, hashlib.sha256).digest()[:TAG]

    def from_tun(self):
        try:
            packet = os.read(self.tun, 65536)
        except BlockingIOError:
            return
        self.udp.sendto(self.tag(packet) + packet, self.peer)

    def from_udp(self):
        datagram = self.udp.recv(65536)
        tag, packet = datagram[:TAG], datagram[TAG:]
        if not packet or not hmac.compare_digest(tag, self.tag(packet)):
            print("dropped: forged", file=sys.stderr)
            return
        try:
            os.write(self.tun, packet)
        except OSError as e:
            # A network loses packets; it doesn't end for that.
            print(f"dropped: {e.strerror}", file=sys.stderr)

    def run(self):
        selector = selectors.DefaultSelector()
        selector.register(self.tun, selectors.EVENT_READ, self.from_tun)
        selector.register(self.udp, selectors.EVENT_READ, self.from_udp)
        while True:
            for key, _ in selector.select():
                key.data()


def main():
    name, here, peer = sys.argv[1:]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(endpoint(here))
    try:
        tun, name = attach(name)
    except PermissionError as e:
        sys.exit(f"vpn: {e.strerror}: run it as root, or with CAP_NET_ADMIN")
    print("interface", name, flush=True)
    Vpn(tun, udp, endpoint(peer), os.environ["VPN_KEY"].encode()).run()


if __name__ == "__main__":
    main()
