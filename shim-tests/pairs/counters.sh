# what IP, ICMP, UDP and TCP count of what a host sends, receives and answers
# needs: ip ping nc python3
. ./lib.sh
wire tun
cp -f "$(command -v ping)" own_ping
cat >delta.py <<'P'
import sys
def read(name):
    found, names = {}, []
    for line in open(name):
        words = line.split()
        if not words[0].endswith(":"):
            # Hosts say of themselves to others by ICMPv6 when it pleases them.
            if "Echo" in words[0] or "Frag" in words[0] or "Reasm" in words[0] or "Udp" in words[0]:
                found[words[0]] = int(words[1])
        elif words[1].lstrip("-").isdigit():
            found.update((words[0] + name, int(number)) for name, number in zip(names[1:], words[1:]))
        else:
            names = words
    return found
before, after = read("before"), read("after")
for name, number in sorted(after.items()):
    if number != before.get(name, 0) and not name.startswith("TcpExt:") and "NoRoutes" not in name:
        print(" ", name, number - before.get(name, 0))
P
read_counters() {
    on a cat /proc/net/snmp /proc/net/netstat /proc/net/snmp6
}
counts() {
    local what=$1
    shift
    echo "== $what"
    read_counters >before
    "$@" >out 2>&1
    read_counters >after
    python3 delta.py
}
cat >datagram.py <<'P'
import socket, sys
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(20)
sock.connect((sys.argv[1], 9))
sock.send(b"a datagram")
try:
    sock.recv(9)
except ConnectionRefusedError:
    pass
P
# Each knows the way to the other one.
on a own_ping -n -c 1 10.9.0.2 >out
on a own_ping -n -c 1 fd09::2 >out
counts "ping" on a own_ping -n -c 2 -i 0.2 10.9.0.2
counts "is pinged" on b own_ping -n -c 1 10.9.0.1
counts "ping over IPv6" on a own_ping -n -c 1 fd09::2
counts "is pinged over IPv6" on b own_ping -n -c 1 fd09::1
counts "ping in pieces" on a own_ping -n -c 1 -s 3000 10.9.0.2
counts "ping in pieces over IPv6" on a own_ping -n -c 1 -s 3000 fd09::2
counts "a datagram that is refused" on a python3 datagram.py 10.9.0.2
counts "refuses a datagram" on b python3 datagram.py 10.9.0.1
counts "refuses a datagram over IPv6" on b python3 datagram.py fd09::1
counts "refuses a connection" on b nc -n -z -w 2 10.9.0.1 7
counts "a connection is refused" on a nc -n -z -w 2 10.9.0.2 7
cat >server.py <<'P'
import socket, struct
listener = socket.create_server(("10.9.0.2", 9001))
open("listens", "w")
while True:
    sock = listener.accept()[0]
    if sock.recv(1) == b"r":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        sock.recv(1)
    sock.close()
P
cat >client.py <<'P'
import os, socket, sys, time
sock = socket.create_connection(("10.9.0.2", 9001), 20)
sock.send(sys.argv[1].encode())
if sys.argv[1] == "r":
    try:
        sock.recv(1)
    except ConnectionResetError:
        pass
elif os.fork() == 0:
    end = time.monotonic() + 60
    while not os.path.exists("enough") and time.monotonic() < end:
        time.sleep(0.02)
P
cat >fewer.py <<'P'
import time
def established():
    with open("/proc/net/snmp") as file:
        names, numbers = [line.split() for line in file if line.startswith("Tcp:")]
    return int(numbers[names.index("CurrEstab")])
before, end = established(), time.monotonic() + 30
open("enough", "w")
while established() == before and time.monotonic() < end:
    time.sleep(0.02)
P
states() {
    counts "$@" >all
    grep -E '^==|Opens|Fails|Estab' all
}
on b python3 server.py &
until_has listens ls
states "a connection is reset" on a python3 client.py r
states "a connection stays" on a python3 client.py k
states "it ends" on a python3 fewer.py
