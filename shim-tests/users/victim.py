"""A program with sockets of every kind in a net, which says what of them another user has reached
when the file exists that is its argument."""
import fcntl
import os
import select
import socket
import struct
import sys
import time

tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))
listeners, datagrams, pending = [], [], []
for family, own, anywhere in ((socket.AF_INET, "10.9.0.1", "0.0.0.0"), (socket.AF_INET6, "fd09::1", "::")):
    for address, port in ((own, 8080), (anywhere, 8081)):
        s = socket.socket(family, socket.SOCK_STREAM)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.setblocking(False)
        s.bind((address, port))
        s.listen(5)
        # The whole machine may use what listens everywhere.
        if address == own:
            listeners.append(s)
        d = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            d.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        d.setblocking(False)
        d.bind((address, port))
        if address == own:
            datagrams.append(d)
    far = own[:-1] + "2"
    c = socket.socket(family, socket.SOCK_DGRAM)
    c.setblocking(False)
    c.connect((far, 9000))
    c.send(b"mine")
    datagrams.append(c)
    p = socket.socket(family, socket.SOCK_STREAM)
    p.setblocking(False)
    p.connect_ex((far, 80))
    pending.append(p)
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
time.sleep(0.3)
accepted = received = sent = 0
for s in listeners:
    try:
        while True:
            c, peer = s.accept()
            accepted += 1
            print("accepted from", peer)
    except BlockingIOError:
        pass
for d in datagrams:
    try:
        while True:
            print("received from", d.recvfrom(1000))
            received += 1
    except OSError:
        pass
try:
    while True:
        sent += b"intruder" in os.read(tun, 2000)
except BlockingIOError:
    pass
poll = select.poll()
for p in pending:
    poll.register(p, select.POLLIN | select.POLLOUT)
print(f"accepted {accepted} received {received} sent {sent} connected {len(poll.poll(0))}", flush=True)
