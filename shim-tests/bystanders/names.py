"""What libc and Python say of the machine's links and addresses."""

import errno
import fcntl
import socket
import struct

print(socket.if_nameindex())
for index, name in socket.if_nameindex():
    assert socket.if_nametoindex(name) == index and socket.if_indextoname(index) == name
for name in ["localhost", "127.0.0.1", "::1"]:
    for flags in [0, socket.AI_ADDRCONFIG, socket.AI_PASSIVE]:
        try:
            print(name, flags, socket.getaddrinfo(name, 80, flags=flags, type=socket.SOCK_STREAM))
        except socket.gaierror as error:
            print(name, flags, error)
SIOCGIFCONF, SIOCGIFADDR, SIOCGIFNETMASK, SIOCSIFADDR, SIOCADDRT = 0x8912, 0x8915, 0x891B, 0x8916, 0x890B
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inet:
    for request in [SIOCGIFADDR, SIOCGIFNETMASK, SIOCSIFADDR]:
        for name in [b"lo", b"lo:1", b"nosuch"]:
            try:
                print(hex(request), name, fcntl.ioctl(inet, request, struct.pack("16sH22x", name, 2)))
            except OSError as error:
                print(hex(request), name, errno.errorcode[error.errno])
    try:
        fcntl.ioctl(inet, SIOCADDRT, bytes(120))
    except OSError as error:
        print("SIOCADDRT", errno.errorcode[error.errno])
    for option in [socket.SO_BINDTODEVICE, 62]:
        for value in [b"lo\0", b"nosuch\0", struct.pack("i", 1), struct.pack("i", 1001)]:
            try:
                inet.setsockopt(socket.SOL_SOCKET, option, value)
                print(option, value, inet.getsockopt(socket.SOL_SOCKET, option, 16))
            except OSError as error:
                print(option, value, errno.errorcode[error.errno])
for family, kind, protocol in [(socket.AF_PACKET, socket.SOCK_RAW, 3), (socket.AF_NETLINK, socket.SOCK_DGRAM, 4)]:
    try:
        socket.socket(family, kind, protocol).close()
        print(family, "opened")
    except OSError as error:
        print(family, errno.errorcode[error.errno])
