# The interface of the net beside those of the machine, as tools and libraries show them.
. "$SCRIPTS/lib.sh"
own_machine
hold seen tun0 0x1001
seen ip addr add 10.9.0.1/24 dev tun0
seen ip addr add fd09::1/64 dev tun0 nodad
seen ip link set tun0 up
until_has fd09::1 seen ip -6 route show table local
seen ip route add 10.50.0.0/16 dev tun0
seen ip route add 10.51.0.0/16 via 192.0.2.9
seen ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 dev eth9
run ip addr
run ip -br addr
run ip -o -4 addr
run ip -d link show tun0
run ip link show eth9
run ip -j addr show dev eth9
run ip route
run ip -6 route
run ip route show table all dev eth9
run ip route show table local
run ip route get 10.50.0.1
run ip route get 10.51.0.1
run ip route get 198.51.100.1
run ip route get 192.0.2.10
run ip route get 10.9.0.1
run ip -6 route get fd09::2
run ip -6 route get 2001:db8::2
run ip rule
run ip neigh show nud permanent
run ip maddr show dev tun0
run ip netconf show dev tun0
run ifconfig -a
run ifconfig -s
run route -n
run arp -n -i eth9
run ss -Htunap
run cat /proc/net/route
seen ip -6 route add 2001:db8::/32 dev tun0
seen ip -6 route add fd77::/16 dev tun0 table 100
# Without how often a route is in use.
run cut -d " " -f 1-6,9- /proc/net/ipv6_route
run ls /sys/class/net
run tc qdisc show
run tc qdisc show dev eth9
run "$PYTHON/bin/python" "$SCRIPTS/libraries.py"
# A change of the machine's interface is the net's alone, on the kernel the machine's.
seen ip addr add 203.0.113.5/32 dev eth9
seen ip link set eth9 mtu 1400
seen ip route del default
run ip addr show eth9
run ip route
run "$PYTHON/bin/python" "$SCRIPTS/libraries.py"
# What is set for all interfaces is set for the machine's as well.
seen sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'
run sh -c 'cd /proc/sys/net; grep . ipv[46]/conf/*/forwarding'
seen sh -c 'echo 0 > /proc/sys/net/ipv6/conf/all/forwarding; echo 0 > /proc/sys/net/ipv4/ip_forward'
run sh -c 'cd /proc/sys/net; grep . ipv[46]/conf/*/forwarding'
if [ "$SIDE" = shim ] && machine ip addr show eth9 | grep -e 203.0.113.5 -e 'mtu 1400'; then
    echo "the machine was changed"
fi
seen ip link set tun0 down
run ip -br addr
run ip route
drop tun0
run ip -br link
