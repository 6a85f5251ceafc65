# what a host sends and answers by itself stands in a capture: each packet once, in order, and with
# the way that it went
# needs: ip ping nc python3
. ./lib.sh
wire tap
cp -f "$(command -v ping)" own_ping
cat >capture.py <<'P'
import socket, struct, sys
# Prints the packets of a file of pcapng, or those of an interface until it has seen the last one.
def from_file(name):
    data, at = open(name, "rb").read(), 0
    while at < len(data):
        kind, length = struct.unpack_from("=II", data, at)
        if kind == 6:
            size, = struct.unpack_from("=I", data, at + 20)
            option, way = at + 28 + (size + 3) // 4 * 4, None
            while option < at + length - 4:
                code, bytes = struct.unpack_from("=HH", data, option)
                if code == 2:
                    way, = struct.unpack_from("=I", data, option + 4)
                option += 4 + (bytes + 3) // 4 * 4
            # The program reads what the host sends.
            yield {1: "sent", 2: "got"}.get(way and way & 3), data[at + 28 : at + 28 + size]
        at += length
def from_interface(name):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind((name, 3))
    sock.settimeout(20)
    print("listening", file=sys.stderr, flush=True)
    while True:
        frame, name = sock.recvfrom(70000)
        yield "sent" if name[2] == socket.PACKET_OUTGOING else "got", frame
def described(frame):
    ethertype, = struct.unpack_from("!H", frame, 12)
    if ethertype == 0x806:
        return ["ARP", *struct.unpack_from("!H", frame, 20)]
    if ethertype != 0x800:
        return None
    ip = frame[14:]
    number, = struct.unpack_from("!H", ip, 6)
    what = [socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20]), len(ip), "protocol", ip[9], "piece", number & 0x3FFF]
    if number & 0x1FFF == 0:
        rest = ip[20:]
        what += {1: lambda: ["type", rest[0]], 6: lambda: ["flags", rest[13]], 17: lambda: ["udp"]}[ip[9]]()
    return what
frames = from_file(sys.argv[2]) if sys.argv[1] == "file" else from_interface(sys.argv[2])
for way, frame in frames:
    what = described(frame)
    if what:
        print(way, *what, flush=True)
    if frame.endswith(b"the last one"):
        break
P
if [ "$SIDE" = kernel ]; then
    on a python3 capture.py interface tap0 >seen 2>capture.log &
    capturer=$!
    until_log listening capture.log
else
    MEMTUN_NET=$W/a $W/memtun capture tap0 -w file 2>capture.log &
    capturer=$!
    until [ -s file ]; do sleep 0.05; done
fi
received() { sed -n '/received/s/, time.*//p'; }
on b own_ping -n -c 2 -i 0.2 10.9.0.1 | received
on a own_ping -n -c 1 10.9.0.2 | received
on b nc -n -z -w 2 10.9.0.1 7
echo "refused: status $?"
on a nc -n -z -w 2 10.9.0.2 7
echo "refused: status $?"
cat >datagram.py <<'P'
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(20)
sock.connect((sys.argv[1], 9))
sock.send(sys.argv[2].encode())
try:
    sock.recv(9)
except ConnectionRefusedError:
    print("refused:", sys.argv[2])
P
on a python3 datagram.py 10.9.0.2 one
on b python3 datagram.py 10.9.0.1 other
on a own_ping -n -c 1 -s 3000 10.9.0.2 | received
on a python3 datagram.py 10.9.0.2 "the last one"
if [ "$SIDE" = shim ]; then
    kill -INT $capturer
    wait $capturer
    python3 capture.py file file >seen
fi
wait $capturer 2>/dev/null
cat seen
