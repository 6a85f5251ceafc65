"""echo.py NAME [tap] does the part of a VPN that matters here: it sends every UDP datagram back
to where it came from."""

import errno
import fcntl
import os
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NO_PI = 0x0001, 0x0002, 0x1000


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def answer(packet):
    """The datagram that goes back; None for anything that is no IPv4 UDP datagram."""
    if packet[0] >> 4 != 4 or packet[9] != 17:
        return None
    head = (packet[0] & 15) * 4
    payload = packet[head + 8 :]
    source_port, port = struct.unpack_from("!HH", packet, head)
    addresses = packet[16:20] + packet[12:16]
    length = 8 + len(payload)
    udp = struct.pack("!HHHH", port, source_port, length, 0)
    pseudo = addresses + struct.pack("!BBH", 0, 17, length)
    udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp + payload) or 0xFFFF)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, 17, 0) + addresses
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return ip + udp + payload


def main():
    name, tap = sys.argv[1], sys.argv[2:] == ["tap"]
    device = os.environ.get("DEVICE", "/dev/net/tun")
    fd = os.open(device, os.O_RDWR)
    flags = IFF_NO_PI | (IFF_TAP if tap else IFF_TUN)
    given = fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    print("interface", given[:16].rstrip(b"\0").decode(), flush=True)
    while True:
        packet = os.read(fd, 65536)
        link = packet[:14] if tap else b""
        back = answer(packet[len(link) :])
        if back is None:
            continue
        frame = link[6:12] + link[:6] + link[12:] + back if tap else back
        while True:
            try:
                os.write(fd, frame)
                break
            except OSError as e:
                print("write:", errno.errorcode[e.errno], flush=True)
                if e.errno != errno.EINTR:
                    break


main()
