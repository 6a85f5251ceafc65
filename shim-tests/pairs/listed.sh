# raw sockets, packet sockets and those of echo requests in the lists of sockets
# needs: ip ss python3
. ./lib.sh
wire tap
cat >sockets.py <<'P'
import socket, subprocess
A4, A6, kept = socket.AF_INET, socket.AF_INET6, []
def new(family, kind, protocol, own=None, other=None):
    sock = socket.socket(family, kind, protocol)
    if own:
        sock.bind(own)
    if other:
        sock.connect(other)
    kept.append(sock)
new(A4, socket.SOCK_RAW, socket.IPPROTO_ICMP, ("10.9.0.1", 0), ("10.9.0.2", 0))
new(A4, socket.SOCK_RAW, 89)
new(A6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
new(A4, socket.SOCK_DGRAM, socket.IPPROTO_ICMP, ("10.9.0.1", 77))
new(A4, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
new(A6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6, ("fd09::1", 78), ("fd09::2", 9))
new(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x806), ("tap0", 0x806))
new(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
def files():
    for name in "raw", "raw6", "icmp", "icmp6":
        print("==", name)
        lines = (line.split()[1:4] for line in list(open("/proc/net/" + name))[1:])
        print(*sorted(" ".join(words) for words in lines), sep="\n")
    print("== packet")
    for line in list(open("/proc/net/packet"))[1:]:
        words = line.split()
        print(*words[1:4], "bound" if int(words[4]) else "not bound", words[5])
    for name in "sockstat", "sockstat6":
        print(*(line for line in open("/proc/net/" + name) if line.startswith("RAW")), end="")
files()
for option in "-Hwan", "-H0an":
    print("== ss", option)
    answer = subprocess.run(["ss", option], capture_output=True, text=True).stdout
    print(*sorted(" ".join(line.split()) for line in answer.splitlines()), sep="\n")
print("== closed")
for sock in kept:
    sock.close()
files()
P
on a python3 sockets.py
