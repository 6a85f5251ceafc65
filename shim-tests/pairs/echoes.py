"""Clients of an echo service on port 7: many connections one after another and some at once."""
import socket
import sys

to = (sys.argv[1], 7)
whole = 0
for number in range(50):
    with socket.create_connection(to, 10) as client:
        client.sendall(b"number %d" % number)
        client.shutdown(socket.SHUT_WR)
        whole += b"".join(iter(lambda: client.recv(100), b"")) == b"number %d" % number
print("one after another", whole)
clients = [socket.create_connection(to, 10) for _ in range(4)]
for number, client in enumerate(clients):
    client.sendall(bytes([number]) * 2000)
echoed = [b"".join(iter(lambda: client.recv(2000), b"")) for client in clients if not client.shutdown(socket.SHUT_WR)]
print("at once", [len(data) for data in echoed], all(set(data) == {number} for number, data in enumerate(echoed)))
family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as client:
    client.settimeout(10)
    for number in range(50):
        client.sendto(b"datagram %d" % number, to)
        data, sender = client.recvfrom(100)
        assert (data, sender[:2]) == (b"datagram %d" % number, to), (data, sender)
print("datagrams came back")
