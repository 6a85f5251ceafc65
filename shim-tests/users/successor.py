"""Takes the names of another user's sockets when they end, and speaks from there.
usage: successor.py UID"""
import socket
import sys
import time

UID = int(sys.argv[1])


def names(protocol):
    for line in open(f"/proc/net/{protocol}").readlines()[1:]:
        words = line.split()
        address, port = words[1].split(":")
        address = ".".join(str(b) for b in bytes.fromhex(address)[::-1])
        if int(words[7]) == UID and address.startswith("127."):
            yield address, int(port, 16)


def name(protocol, port):
    return next(name for name in names(protocol) if name[1] == port)


def bound(kind, name):
    until = time.monotonic() + 20
    while True:
        s = socket.socket(socket.AF_INET, kind)
        try:
            s.bind(name)
            return s
        except OSError:
            assert time.monotonic() < until, name
            s.close()
            time.sleep(0.001)


speaks, connects, closes = name("udp", 7000), name("tcp", 7001), name("tcp", 7003)
hears, listener = name("udp", 8080), name("tcp", 8080)
print("ready", flush=True)
s = bound(socket.SOCK_DGRAM, speaks)
s.sendto(b"intruder", hears)
c = bound(socket.SOCK_STREAM, connects)
c.settimeout(5)
c.connect(listener)
d = bound(socket.SOCK_STREAM, closes)
d.settimeout(5)
d.connect(listener)
d.send(b"intruder")
d.close()
print("spoken", flush=True)
# Until it is ended.
time.sleep(60)
