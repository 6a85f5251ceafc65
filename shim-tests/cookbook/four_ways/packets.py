"""packets.py FILE: what is in a capture, a line per packet: direction, bytes, and the comment of a refused one.

Reads pcapng as far as this machine's memtun writes it: one section, in this machine's byte order."""

import struct
import sys

data = open(sys.argv[1], "rb").read()
at = 0
while at < len(data):
    kind, length = struct.unpack_from("=II", data, at)
    if kind == 6:  # enhanced packet block
        size = struct.unpack_from("=I", data, at + 20)[0]
        packet = data[at + 28 : at + 28 + size]
        option = at + 28 + (size + 3) // 4 * 4
        direction, comment = "?", ""
        while option < at + length - 4:
            code, size = struct.unpack_from("=HH", data, option)
            value = data[option + 4 : option + 4 + size]
            if code == 0:
                break
            if code == 1:
                comment = " " + value.decode()
            if code == 2:
                direction = {1: "in", 2: "out"}[struct.unpack("=I", value)[0] & 3]
            option += 4 + (size + 3) // 4 * 4
        print(f"{direction} {packet.hex()}{comment}")
    at += length
