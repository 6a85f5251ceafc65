"""A program whose sockets end: whoever takes their names must not be heard as them.
usage: ends.py CLOSE LOOK: the files that say when to close the sockets, and when to look."""
import os
import socket
import sys
import time

OWN = "10.9.0.1"


def wait_for(path):
    until = time.monotonic() + 20
    while not os.path.exists(path):
        assert time.monotonic() < until, path
        time.sleep(0.01)


def datagrams(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((OWN, port))
    s.settimeout(5)
    return s


hears, speaks, leaves = datagrams(8080), datagrams(7000), datagrams(7002)
listener = socket.create_server((OWN, 8080))
connections = []
for port in (7001, 7003):
    connects = socket.create_connection((OWN, 8080), 5, (OWN, port))
    accepted, peer = listener.accept()
    assert peer == (OWN, port), peer
    # The end that closes first keeps its name for a minute.
    connections += [accepted, connects]
waits = socket.create_connection((OWN, 8080), 5, (OWN, 7004))
speaks.sendto(b"own", (OWN, 8080))
assert hears.recvfrom(100) == (b"own", (OWN, 7000))
leaves.sendto(b"last words", (OWN, 8080))
print("ready", flush=True)
wait_for(sys.argv[1])
for s in (*connections, waits, speaks, leaves):
    s.close()
print("closed", flush=True)
wait_for(sys.argv[2])
hears.setblocking(False)
listener.setblocking(False)
try:
    while True:
        print("heard", *hears.recvfrom(100), flush=True)
except BlockingIOError:
    pass
try:
    while True:
        print("accepted", listener.accept()[1], flush=True)
except BlockingIOError:
    pass
print("end", flush=True)
