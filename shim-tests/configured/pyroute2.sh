# pyroute2: links, addresses, routes, rules, neighbours, batches and the database of it
# needs: ip
. ./lib.sh
loopback
"$PYTHON/bin/python" - <<'P'
from importlib.metadata import version
from pyroute2 import IPRoute, NetlinkError
from pyroute2.netlink.rtnl import ndmsg
import pyroute2

print("pyroute2", version("pyroute2"))


def attempt(what, *arguments, **named):
    try:
        return what(*arguments, **named)
    except NetlinkError as error:
        print(*arguments, error.code, error.args[1])


with IPRoute() as ip:
    ip.link("add", ifname="pyr0", kind="tuntap", mode="tun")
    ip.link("add", ifname="pyr1", kind="tuntap", mode="tap")
    (tun,), (tap,) = ip.link_lookup(ifname="pyr0"), ip.link_lookup(ifname="pyr1")
    ip.link("set", index=tap, address="02:00:00:00:00:07", mtu=1400, txqlen=77)
    ip.link("set", index=tun, state="up")
    ip.link("set", index=tap, state="up")
    ip.addr("add", index=tun, address="10.25.0.1", prefixlen=24)
    ip.addr("add", index=tun, address="10.25.1.1", local="10.25.1.1", prefixlen=32)
    ip.addr("add", index=tap, address="10.26.0.1", mask=16, broadcast="10.26.255.255", label="pyr1:x")
    ip.addr("add", index=tap, address="fd00:26::1", prefixlen=64)
    attempt(ip.addr, "add", index=tun, address="10.25.0.1", prefixlen=24)
    attempt(ip.addr, "del", index=tun, address="10.99.0.1", prefixlen=24)
    attempt(ip.link, "set", index=9999, state="up")
    attempt(ip.route, "add", dst="10.40.0.0/16", gateway="10.99.0.1")
    ip.route("add", dst="10.40.0.0/16", gateway="10.26.0.254")
    ip.route("add", dst="10.41.0.0/16", oif=tun, priority=7, table=100)
    ip.route("add", dst="10.42.0.0/16", multipath=[
        {"gateway": "10.26.0.2", "hops": 4}, {"gateway": "10.26.0.3"}])
    ip.route("add", dst="10.43.0.0/16", type="blackhole")
    ip.route("add", dst="fd00:40::/32", gateway="fd00:26::2", family=10)
    ip.rule("add", table=100, priority=3000, src="10.25.0.0/24")
    ip.neigh("add", dst="10.26.0.9", lladdr="02:00:00:00:00:09", ifindex=tap, state=ndmsg.states["permanent"])
    for link in ip.get_links():
        get = link.get_attr
        if get("IFLA_IFNAME").startswith("pyr"):
            kind = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
            print(get("IFLA_IFNAME"), get("IFLA_MTU"), get("IFLA_TXQLEN"), kind, hex(link["flags"] & 0xffff))
    for address in ip.get_addr(family=2):
        print(address.get_attr("IFA_ADDRESS"), address["prefixlen"], address.get_attr("IFA_LABEL"), address.get_attr("IFA_BROADCAST"))
    for route in ip.get_routes(family=2, table=100):
        print(route.get_attr("RTA_DST"), route.get_attr("RTA_PRIORITY"), route.get_attr("RTA_TABLE"))
    for route in ip.route("get", dst="10.40.0.1"):
        print(route.get_attr("RTA_GATEWAY"), route.get_attr("RTA_PREFSRC"))
    for neighbour in ip.get_neighbours(ifindex=tap, family=2):
        print(neighbour.get_attr("NDA_DST"), neighbour.get_attr("NDA_LLADDR"), neighbour["state"])
    print([rule.get_attr("FRA_PRIORITY") for rule in ip.get_rules(family=2)])
with pyroute2.NDB() as ndb:
    print(ndb.interfaces["pyr0"]["mtu"], sorted(a["address"] for a in ndb.addresses.dump() if a["address"].startswith("10.")))
    with ndb.interfaces["pyr0"] as link:
        link.set(mtu=1300)
        link.add_ip("10.27.0.1/24")
    print(ndb.interfaces["pyr0"]["mtu"], "10.27.0.1/24" in ndb.addresses)
P
for device in pyr0 pyr1; do
    until_has NO-CARRIER ip link show $device
    until_has "dev $device.*linkdown" ip route
    ip addr show $device | plain | grep -v -e fe80 -e valid_lft
done
ip route
ip rule
ip route show table 100
ip neigh
ip link del pyr0
ip link del pyr1
show
