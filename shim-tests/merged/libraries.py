"""What libraries say of the links and addresses: psutil, netifaces, libc."""

import socket

import netifaces
import psutil

for name, addresses in sorted(psutil.net_if_addrs().items()):
    for address in addresses:
        print(name, address.family.name, address.address, address.netmask, address.broadcast, address.ptp)
for name, is_now in sorted(psutil.net_if_stats().items()):
    print(name, is_now)
print(sorted(psutil.net_io_counters(pernic=True)))
for name in sorted(netifaces.interfaces()):
    print(name, netifaces.ifaddresses(name))
print(netifaces.gateways())
print(sorted(name for _, name in socket.if_nameindex()))
for host in ["localhost", "127.0.0.1", "::1", "10.9.0.1"]:
    for flags in [socket.AI_ADDRCONFIG, socket.AI_PASSIVE | socket.AI_ADDRCONFIG, socket.AI_NUMERICHOST]:
        try:
            print(host, flags, sorted(entry[4] for entry in socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM, flags=flags)))
        except socket.gaierror as error:
            print(host, flags, error)
