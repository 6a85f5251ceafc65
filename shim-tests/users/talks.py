"""A program of a net that talks to itself by sockets of each kind."""
import socket

for family, own in ((socket.AF_INET, "10.9.0.1"), (socket.AF_INET6, "fd09::1")):
    d = socket.socket(family, socket.SOCK_DGRAM)
    d.settimeout(3)
    d.bind((own, 5000))
    d.sendto(b"datagram", (own, 5000))
    data, sender = d.recvfrom(100)
    print(data.decode(), *sender[:2])
    l = socket.socket(family, socket.SOCK_STREAM)
    l.settimeout(3)
    l.bind((own, 80))
    l.listen()
    with socket.create_connection((own, 80), timeout=3) as c:
        server, peer = l.accept()
        assert peer == c.getsockname() and server.getsockname() == c.getpeername()
        c.send(b"stream")
        print(server.recv(100).decode(), *server.getsockname()[:2])
