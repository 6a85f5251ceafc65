"""The scenario in Python: drive.py PROGRAM CAPTURE."""

import sys

import memtun


def exchange(tun, port, to, data):
    """A datagram from 10.9.0.2:port to a port of the program, and its answer."""
    host, port = tun.send_udp(data, ("10.0.0.1", to), source=("10.9.0.2", port))
    print(f"{host}:{port} > 10.0.0.1:{to} {data.decode()}")
    with tun.receive_udp(host, port) as receiver:
        answer, sender = receiver.recvfrom(2048, timeout=5)
    print(f"{sender[0]}:{sender[1]} > {host}:{port} {answer.decode()}")


with memtun.Net() as net, net.capture(sys.argv[2]):
    net.popen([sys.argv[1]])
    tun = net.interface("tun0", timeout=5)
    print(tun.name, "is there")
    exchange(tun, 4001, 7, b"ping")
    net.fault("write=EINTR@1")
    print("fault write=EINTR@1")
    exchange(tun, 4002, 7, b"ping")
    exchange(tun, 4003, 13, b"how often?")
    exchange(tun, 4004, 22, b"once more")
    net.permissions.discard("open")
    print("deny open")
    exchange(tun, 4005, 22, b"once more")
    net.permissions.add("open")
    print("permit open")
    exchange(tun, 4006, 22, b"once more")
