# pyroute2 in the ways of its own suite, which needs dummies and is in no package: here with tuns
# needs: ip
. ./lib.sh
loopback
"$PYTHON/bin/python" - <<'P'
import errno
import socket
from importlib.metadata import version

from pyroute2 import IPRoute, IPBatch, NDB, NetlinkError

print("pyroute2", version("pyroute2"))


def attempt(name, what):
    try:
        print(name, what())
    except NetlinkError as error:
        print(name, errno.errorcode.get(error.code, error.code), error.args[1:])
    except Exception as error:
        print(name, type(error).__name__, str(error)[:60])


def number(many):
    return len(list(many))


ip = IPRoute()
for name in ["pyr0", "pyr1"]:
    ip.link("add", ifname=name, kind="tuntap", mode="tap")
    ip.link("set", ifname=name, address=f"02:00:00:00:00:0{name[3]}")
(a,), (b,) = (ip.link_lookup(ifname=name) for name in ["pyr0", "pyr1"])

# Links
for state in ["up", "down"]:
    ip.link("set", index=a, state=state)
    print(state, ip.get_links(ifname="pyr0")[0]["flags"] & 1, ip.get_links(a)[0].get("state"))
for name in ["one", "two", "test_with_a_very_long_string_and_♄⚕⚚_utf8_symbol"]:
    attempt("get none", lambda: ip.link("get", altname=name))
    attempt("add", lambda: number(ip.link("property_add", index=a, altname=name)))
    attempt("get", lambda: ip.link("get", altname=name)[0]["index"] == a)
    attempt("add again", lambda: number(ip.link("property_add", index=b, altname=name)))
    attempt("lookup", lambda: ip.link_lookup(altname=name) == [a])
    attempt("del", lambda: number(ip.link("property_del", index=a, altname=name)))
    attempt("dump", lambda: number(ip.link("dump", altname=name)))
attempt("both", lambda: number(ip.link("property_add", index=a, altname=["one", "two"])))
attempt("both gone", lambda: number(ip.link("property_del", index=a, altname=["one", "two"])))
print(number(ip.link("dump", ifname="lo")), number(ip.get_links(kind="tun")), number(ip.get_links(kind="dummy")))
for change in [{"arp": False}, {"noarp": False}, {"flags": ["IFF_UP"]}, {"flags": ["!IFF_UP"]}, {"promiscuity": 1}, {"allmulticast": True},
               {"multicast": False}, {"mtu": 1300}, {"mtu": 10}, {"txqlen": 7}, {"group": 5}, {"ifalias": "text"}, {"carrier": 0}, {"carrier": 1},
               {"operstate": 6}, {"linkmode": 1}, {"proto_down": 1}, {"gso_max_segs": 5}, {"num_tx_queues": 3}, {"master": b}, {"net_ns_pid": 999999999},
               {"address": "02:00"}, {"address": "03:00:00:00:00:01"}, {"ifname": "pyr1"}, {"ifname": "a/b"}, {"ifname": "pyr9"}, {"ifname": "pyr0"}]:
    attempt(str(change).replace(f"'master': {b}", "'master': B"), lambda: number(ip.link("set", index=a, **change)))
    link = ip.get_links(a)[0]
    print([link.get(key) for key in ["ifname", "mtu", "txqlen", "group", "ifalias", "promiscuity", "proto_down"]], hex(link["flags"] & 0xFFFF))
for kind in ["dummy", "bridge", "veth", "vlan", "nosuchkind"]:
    attempt(kind, lambda: ip.link("add", ifname="pyr0", kind=kind))
attempt("del none", lambda: ip.link("del", index=999999))
attempt("set none", lambda: ip.link("set", ifname="nothere", state="up"))
attempt("no name", lambda: ip.link("add", kind="tun"))

# Addresses
for index in [a, b]:
    ip.link("set", index=index, state="up", mtu=1500)
ip.addr("add", index=a, address="172.16.0.1", mask=24)
for more in [dict(address="172.16.0.2", mask=24), dict(address="172.16.0.2", mask=24), dict(address="172.16.1.2", local="172.16.1.1", mask=24),
             dict(address="172.16.2.1", mask=24, broadcast="172.16.2.250"), dict(address="172.16.3.1", mask=24, broadcast=True),
             dict(address="172.16.4.1", mask=24, label="pyr0:l", scope=253), dict(address="172.16.5.1", mask=33), dict(address="fd10::1", mask=64),
             dict(address="fd10::2", mask=64, preferred_lft=0, valid_lft=1000), dict(address="fd10::3", mask=128, flags=0x02)]:
    attempt(str(more), lambda: number(ip.addr("add", index=a, **more)))
attempt("replace", lambda: number(ip.addr("replace", index=a, address="172.16.0.2", mask=24, preferred_lft=500, valid_lft=1000)))
for address in ip.get_addr(index=a, family=socket.AF_INET):
    print([address.get(key) for key in ["address", "local", "broadcast", "label"]], address["prefixlen"], address["scope"], address["flags"])
print(sorted(x.get("address") for x in ip.get_addr(index=a, family=socket.AF_INET6) if not x.get("address").startswith("fe80")))
print(number(ip.get_addr(address="172.16.0.1")), number(ip.get_addr(label="pyr0:l")), number(ip.get_addr(match=lambda x: x["prefixlen"] == 24)))
attempt("flush label", lambda: number(ip.flush_addr(label="pyr0:l")))
attempt("flush", lambda: number(ip.flush_addr(index=a, family=socket.AF_INET)))
print(number(ip.get_addr(index=a, family=socket.AF_INET)))

# Routes
ip.addr("add", index=a, address="172.16.0.1", mask=24)
ip.addr("add", index=b, address="172.17.0.1", mask=24)
net, gate = "10.70.0.0/16", "172.16.0.9"
for proto, fake in [("static", "boot"), (4, 3), ("boot", 4), (3, "static")]:
    attempt(f"add {proto}", lambda: number(ip.route("add", dst=net, gateway=gate, proto=proto)))
    attempt(f"del {fake}", lambda: number(ip.route("del", dst=net, gateway=gate, proto=fake)))
    attempt(f"del {proto}", lambda: number(ip.route("del", dst=net, gateway=gate, proto=proto)))
hops = [{"hops": 20, "oif": a, "attrs": [["RTA_GATEWAY", "172.16.0.5"]]}, {"hops": 30, "oif": b, "attrs": [["RTA_GATEWAY", "172.17.0.5"]]}]
for more in [dict(oif=(a,)), dict(gateway="172.99.0.1", oif=a, flags=["onlink"]), dict(multipath=[{"gateway": "172.16.0.2"}, {"gateway": "172.16.0.3"}]),
             dict(multipath=hops), dict(multipath=[{"gateway": "172.99.0.1", "oif": a, "flags": ["onlink"]}, {"gateway": "172.99.0.2", "oif": a, "flags": ["onlink"]}]),
             dict(gateway=gate, metrics={"mtu": 1400, "hoplimit": 16}), dict(gateway=gate, table=1000, priority=5), dict(type="blackhole"), dict(type="unreachable"),
             dict(gateway=gate, prefsrc="172.16.0.1"), dict(gateway=gate, prefsrc="9.9.9.9"), dict(oif=a, scope="link", tos=0x10), dict(gateway=gate, realm=5),
             dict(via={"family": socket.AF_INET6, "addr": "fe80::9"}, oif=a), dict(encap={"type": "mpls", "labels": 500}, gateway=gate)]:
    shown = str(more).replace(f"'oif': {a}", "'oif': A").replace(f"'oif': {b}", "'oif': B").replace(f"({a},)", "A")
    attempt(shown, lambda: number(ip.route("add", dst=net, **more)))
    for route in ip.route("dump", family=socket.AF_INET):
        if route.get("dst") != net.split("/")[0]:
            continue
        keys = ["gateway", "table", "priority", "prefsrc"]
        print([route.get(key) for key in keys], route["proto"], route["scope"], route["type"], route.get("metrics") and route.get("metrics")["attrs"])
        print([hop["hops"] for hop in route.get("multipath") or []])
    attempt("del", lambda: number(ip.route("del", dst=net, table=more.get("table", 254), tos=more.get("tos", 0), type=more.get("type", "unicast"))))
attempt("change none", lambda: number(ip.route("change", dst=net, gateway=gate)))
attempt("replace none", lambda: number(ip.route("replace", dst=net, gateway=gate)))
attempt("change", lambda: number(ip.route("change", dst=net, gateway="172.16.0.8")))
attempt("replace", lambda: number(ip.route("replace", dst=net, gateway="172.16.0.7")))
attempt("append", lambda: number(ip.route("append", dst=net, gateway="172.16.0.6")))
print([route.get("gateway") for route in ip.get_routes(family=socket.AF_INET, dst=net)])
for n in range(10):
    ip.route("add", dst=f"10.80.{n}.0/24", gateway=gate, table=10101, oif=a)
ip.flush_routes(table=10101, family=socket.AF_INET6)
print(number(ip.get_routes(table=10101)))
ip.flush_routes(table=10101, family=socket.AF_INET)
attempt("flushed", lambda: number(ip.get_routes(table=10101)))
for dst in ["127.0.0.1", "::1", "10.70.1.1", "172.17.0.77", "99.9.9.9"]:
    attempt(dst, lambda: [(route.get("gateway"), route.get("prefsrc"), route["type"]) for route in ip.route("get", dst=dst)])
with IPRoute(ext_ack=True, strict_check=True) as strict:
    attempt("strict get", lambda: strict.route("get", dst="1.2.3.4", table=254, dst_len=0))
    attempt("strict dump", lambda: number(strict.get_routes(family=socket.AF_INET, table=254, oif=a)))
    attempt("strict links", lambda: number(strict.get_links()))
    attempt("strict addresses", lambda: number(strict.get_addr(index=b, family=socket.AF_INET)))
    attempt("strict neighbours", lambda: number(strict.get_neighbours(ifindex=a, family=socket.AF_INET)))
    attempt("strict rules", lambda: number(strict.get_rules(family=socket.AF_INET)))
    attempt("sentence", lambda: strict.route("add", dst="10.90.0.0/16", gateway="9.9.9.9"))

# Rules
first = number(ip.get_rules(family=socket.AF_INET))
for n, more in enumerate([dict(table=10), dict(table=15, action="FR_ACT_PROHIBIT"), dict(table=20, src="172.16.0.0", src_len=16), dict(table=25, dst="172.16.0.1"),
                          dict(table=15, fwmark=10), dict(table=15, fwmark=10, fwmask=20), dict(table=1024), dict(table=17, src="10.0.0.0/24", dst="10.1.0.0/24"),
                          dict(table=17, iifname="pyr0"), dict(table=17, oifname="nothere"), dict(table=17, uid_range="0:0"), dict(table=17, sport_range="1:9"),
                          dict(table=17, ip_proto=17), dict(table=17, tos=16), dict(table=17, tos=1), dict(action="goto", goto=32766), dict(action="nop"),
                          dict(table=17, suppress_prefixlen=0), dict(table=17, tun_id=5), dict(table=17, protocol=4), dict(table=17, family=socket.AF_INET6)]):
    attempt(str(more), lambda: number(ip.rule("add", priority=300 + n, **more)))
    for rule in ip.get_rules(priority=300 + n, family=more.get("family", socket.AF_INET)):
        print([rule.get(key) for key in ["table", "src", "dst", "fwmark", "fwmask", "iifname", "oifname", "uid_range", "goto"]], rule["action"], rule["flags"])
attempt("again", lambda: ip.rule("add", priority=300, table=10))
attempt("del", lambda: number(ip.rule("del", priority=300)))
attempt("del again", lambda: ip.rule("del", priority=300))
ip.flush_rules(family=socket.AF_INET, priority=lambda x: 300 <= x < 400)
print(number(ip.get_rules(family=socket.AF_INET)) == first)

# Neighbours
for more in [dict(state="permanent"), dict(state="reachable"), dict(state="stale"), dict(state="noarp"), dict(state="failed"), dict(flags=8)]:
    attempt(str(more), lambda: number(ip.neigh("add", dst="172.16.0.50", ifindex=a, lladdr="02:00:00:00:00:50", **more)))
    attempt("get", lambda: [(x.get("lladdr"), x["state"]) for x in ip.neigh("get", dst="172.16.0.50", ifindex=a)])
    attempt("dump", lambda: [(x.get("lladdr"), x["state"]) for x in ip.get_neighbours(ifindex=a, dst="172.16.0.50")])
    attempt("del", lambda: number(ip.neigh("del", dst="172.16.0.50", ifindex=a)))
attempt("set none", lambda: number(ip.neigh("set", dst="172.16.0.51", ifindex=a, lladdr="02:00:00:00:00:50", state="permanent")))
attempt("flush", lambda: number(ip.flush_neigh(index=a)) if hasattr(ip, "flush_neigh") else None)
attempt("ntables", lambda: number(ip.get_ntables(family=socket.AF_INET)) > 1)
attempt("qdiscs", lambda: sorted({x.get("kind") for x in ip.get_qdiscs()}) != [])
attempt("filters", lambda: number(ip.get_filters()))
attempt("netconf", lambda: number(ip.get_netconf(family=socket.AF_INET)) > 3 if hasattr(ip, "get_netconf") else None)

# Many requests in one message
batch = IPBatch()
for n in range(20):
    batch.addr("add", index=b, address=f"172.18.{n}.1", mask=24)
ip.sendto(batch.batch, (0, 0))
batch.close()
for _ in range(1000):
    if number(ip.get_addr(index=b, family=socket.AF_INET)) == 21:
        break
print("batch", number(ip.get_addr(index=b, family=socket.AF_INET)))

# Who listens
with IPRoute() as listener:
    listener.bind()
    ip.link("set", index=a, mtu=1400)
    ip.addr("add", index=a, address="172.19.0.1", mask=24)
    ip.link("set", index=a, mtu=1401)
    heard, done = [], False
    while not done:
        for message in listener.get():
            done |= message["event"] == "RTM_NEWLINK" and message.get("mtu") == 1401
            heard.append(message["event"])
    print(heard)

# The database
with NDB() as ndb:
    with ndb.interfaces["pyr0"] as link:
        link.set("mtu", 1350)
        link.add_ip("172.20.0.1/24").add_ip("fd20::1/64")
    print(ndb.interfaces["pyr0"]["mtu"], ndb.addresses.count() > 3)
    try:
        with ndb.interfaces["pyr0"] as link:
            link.set("mtu", 1340)
            link.set("address", "03:00:00:00:00:01")
    except Exception as error:
        print(type(error).__name__)
    print(ndb.interfaces["pyr0"]["mtu"])
    ndb.routes.create(dst="10.95.0.0/16", gateway="172.20.0.9").commit()
    ndb.rules.create(priority=500, table=50, family=socket.AF_INET).commit()
    ndb.neighbours.create(dst="172.20.0.9", lladdr="02:00:00:00:00:09", ifindex=a).commit()
    print(ndb.routes["10.95.0.0/16"]["gateway"])
    ndb.routes["10.95.0.0/16"].remove().commit()
P
until_has 'dev pyr1.*linkdown' ip route
show | sed 's/[0-9]*sec/Nsec/g'
ip rule
ip link del pyr0
ip link del pyr1
show
