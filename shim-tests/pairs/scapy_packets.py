"""What scapy sends and hears on an interface, which is given."""
import logging
import sys
import threading

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import *  # noqa: E402

conf.verb = 0
device = sys.argv[1]
print("interfaces", sorted(i.name for i in get_working_ifaces() if i.name in ("lo", device)))
print("address", get_if_addr(device), conf.route.route("10.9.0.2")[0] == device)


def shown(what, ask, text):
    answer = ask(timeout=5)
    print(what, answer.sprintf(text) if answer else "nothing")


def by_ip(packet):
    return lambda **how: sr1(packet, **how)


def as_frame(packet):
    return lambda **how: srp1(packet, iface=device, **how)


to = IP(dst="10.9.0.2")
shown("echo", by_ip(to / ICMP(id=7) / b"hello"), "%IP.src% %ICMP.type% %Raw.load%")
shown("UDP", by_ip(to / UDP(sport=4000, dport=99)), "%IP.src% %ICMP.type% %ICMP.code%")
shown("TCP", by_ip(to / TCP(sport=4000, dport=99, flags="S")), "%TCP.flags%")
shown("echo by IPv6", by_ip(IPv6(dst="fd09::2") / ICMPv6EchoRequest(data=b"six")), "%IPv6.src% %ICMPv6EchoReply.data%")
answered, _ = sr(IP(dst="10.9.0.2", ttl=(1, 2)) / ICMP(), timeout=5)
print("traced", sorted((sent.ttl, got.src) for sent, got in answered))
frame = Ether(dst=getmacbyip("10.9.0.2")) / to
shown("ARP", as_frame(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="10.9.0.2")), "%ARP.psrc%")
shown("neighbour", lambda timeout: neighsol("fd09::2", "fd09::1", device, timeout=timeout), "%ICMPv6ND_NA.tgt%")
shown("frame", as_frame(frame / ICMP() / b"below"), "%IP.src% %ICMP.type% %Raw.load%")
ready = threading.Event()
sniffer = AsyncSniffer(iface=device, lfilter=lambda p: ICMP in p and p[ICMP].id == 9, count=2, started_callback=ready.set)
sniffer.start()
ready.wait(10)
send(to / ICMP(id=9) / b"sniffed")
sniffer.join(timeout=10)
print("heard", [packet.sprintf("%IP.src% %ICMP.type%") for packet in sniffer.results])
conf.L3socket().close()
print("a socket for all interfaces")
