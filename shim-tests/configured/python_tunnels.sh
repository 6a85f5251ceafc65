# python-pytun and pytap2 configure by ioctls and by ifconfig; psutil and netifaces look at it
# needs: ip ifconfig
. ./lib.sh
loopback
"$PYTHON/bin/python" - <<'P' | sed -E 's/fe80::[0-9a-f:]+/fe80::N/g'
import os, subprocess, sys
from importlib.metadata import version
import netifaces, psutil, pytap2, pytun

packages = ("python-pytun", "pytap2", "psutil", "netifaces")
print(*(f"{package} {version(package)}" for package in packages), flush=True)
# IPv6 addresses appear by themselves, some time.
def plain(of):
    return [(kind.name, address.address, address.netmask, address.broadcast, address.ptp)
            for address in of for kind in [address.family]]

tun = pytun.TunTapDevice(name="pyt0", flags=pytun.IFF_TUN | pytun.IFF_NO_PI)
tun.addr, tun.dstaddr, tun.netmask, tun.mtu = "10.15.0.1", "10.15.0.2", "255.255.255.0", 1400
tun.up()
print(tun.name, tun.addr, tun.dstaddr, tun.netmask, tun.mtu)
tap = pytun.TunTapDevice(name="pya0", flags=pytun.IFF_TAP | pytun.IFF_NO_PI)
tap.addr, tap.netmask, tap.hwaddr = "10.15.1.1", "255.255.0.0", b"\x02\0\0\0\0\7"
tap.up()
print(tap.name, tap.addr, tap.netmask, tap.mtu, tap.hwaddr)
for wrong in ("addr", "netmask", "dstaddr"):
    try:
        setattr(tun, wrong, "nonsense")
    except Exception as error:
        print(type(error).__name__, error)
own = pytap2.TapDevice(name="pyp", mtu=1300)
own.ifconfig(address="10.15.2.1", netmask="255.255.255.128", mtu=1300)
own.up()
print(own.name, own.mtu, flush=True)
subprocess.run("ip -br -4 addr; ip route", shell=True)
for name, addresses in sorted(psutil.net_if_addrs().items()):
    print(name, [a for a in plain(addresses) if a[0] != "AF_INET6"])
for name, state in sorted(psutil.net_if_stats().items()):
    print(name, state)
for name in sorted(netifaces.interfaces()):
    addresses = netifaces.ifaddresses(name)
    print(name, addresses.get(netifaces.AF_INET), addresses.get(netifaces.AF_LINK))
print(netifaces.gateways())
print(sorted(psutil.net_io_counters(pernic=True)))
tun.persist(True)
tun.down()
print(tun.fileno() > 0, flush=True)
tun.close()
P
show
ip link del pyt0
show
