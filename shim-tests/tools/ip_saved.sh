# ip: what is saved and restored, and flushed
. "$TOOLS/lib.sh"
run ip -V
place=$(mktemp -d)
trap 'rm -r "$place"' EXIT
save() {
    printf '$ %s > FILE\n' "$*"
    "$@" > "$place/saved" 2> "$place/error"
    status=$?
    cat "$place/error"
    echo "status $status, $(wc -c < "$place/saved") bytes"
}
restore() {
    printf '$ %s < FILE\n' "$*"
    "$@" < "$place/saved" 2>&1
    echo "status $?"
    settle
}
ip link set tun0 addrgenmode none
ip link set tap0 addrgenmode none
ip link set tun0 up
ip link set tap0 up
ip addr add 10.9.0.1/24 dev tun0
ip addr add 10.9.0.2/24 dev tun0
ip addr add 10.20.0.1/24 brd + dev tap0 label tap0:a
ip addr add fd20::1/64 dev tap0 nodad
settle
save ip addr save dev tun0
echo '$ ip addr showdump'
ip addr showdump < "$place/saved" | sed 's/^if[0-9]*:/ifN:/'
run ip addr flush dev tun0
restore ip addr restore
run ip addr show dev tun0
restore ip addr restore
save ip -4 addr save
save ip addr save to 10.20.0.0/16
run ip addr flush dev tap0
restore ip addr restore
run ip addr show dev tap0
echo nonsense > "$place/saved"
restore ip addr restore
restore ip route restore
restore ip rule restore
: > "$place/saved"
restore ip addr restore
restore ip route restore
ip addr add fd20::1/64 dev tap0 nodad
settle
ip route add 10.50.0.0/16 via 10.20.0.9 metric 7 mtu 1300
ip route add 10.51.0.0/16 nexthop via 10.20.0.9 weight 2 nexthop via 10.20.0.8
ip route add blackhole 10.52.0.0/16
ip route add 10.53.0.0/16 dev tun0 table 100 proto static
ip -6 route add fd50::/32 via fd20::9
save ip route save
run ip route showdump < "$place/saved"
run ip route flush proto boot
run ip route
restore ip route restore
run ip route
restore ip route restore
save ip route save table 100
run ip route flush table 100
restore ip route restore
run ip route show table 100
save ip -6 route save dev tap0
run ip -6 route flush proto boot
restore ip -6 route restore
run ip -6 route show dev tap0
save ip route save table 77
save ip route save table nosuchtable
ip rule add from 10.9.0.0/24 table 100 priority 50
ip rule add fwmark 0x5/0xff table 101 priority 51
ip -6 rule add iif tap0 prohibit priority 52
save ip rule save
run ip rule flush
run ip rule
restore ip rule restore
run ip rule
save ip -6 rule save
run ip -6 rule flush
restore ip -6 rule restore
run ip -6 rule
run ip -6 rule add table main priority 32766
run ip rule add table default priority 32767
run ip rule add table main priority 32766
run ip rule
run ip neigh add 10.20.0.5 lladdr 02:00:00:00:00:05 dev tap0
run ip neigh add 10.20.0.6 lladdr 02:00:00:00:00:06 dev tap0 nud reachable
run ip neigh add 10.20.0.7 lladdr 02:00:00:00:00:07 dev tap0 nud stale
run ip neigh add 10.20.0.8 lladdr 02:00:00:00:00:08 dev tap0 nud noarp
run ip neigh add 10.20.0.9 dev tap0 nud failed
run ip neigh add 10.20.0.10 lladdr 02:00:00:00:00:0a dev tap0 nud delay
run ip neigh add 10.20.0.11 lladdr 02:00:00:00:00:0b dev tap0 managed
run ip neigh add 10.20.0.12 lladdr 02:00:00:00:00:0c dev tap0 extern_learn
run ip neigh add 10.20.0.13 lladdr 02:00:00:00:00:0d dev tap0 protocol static
run ip neigh flush
run ip neigh flush 10.20.0.7
run ip neigh flush dev tap0 nud stale
# The kernel has entries of its own for the groups that it told of.
run ip neigh flush dev tap0 nud noarp
run ip -s neigh flush to 10.20.0.6
run_sorted ip neigh show dev tap0 nud permanent
run ip neigh flush dev tap0 nud all
# It may tell of them at this moment, too.
run sh -c "ip neigh show dev tap0 nud all | sed '/^ff02::/d; /^224[.]/d'"
run ip neigh flush dev nothere
run ip addr flush
run ip addr flush dev nothere
run ip addr flush label 'tap0:*'
run ip -4 addr flush dev tun0
run ip -s -s addr flush dev tap0
run ip addr flush dev tun0 to 10.99.0.0/16
run ip addr flush up scope host
run ip -4 -br addr
run ip route flush
run ip route flush cache
run ip -6 route flush cache
run ip -s route flush cache
run ip -s -s route flush 10.51.0.0/16
run ip -s route flush table all proto static
run ip route flush nosuchword
run ip route flush table main
run ip route flush root 10.0.0.0/8
run ip route flush type blackhole
run ip route
run ip -6 route flush root ::/0
run ip route flush via 10.20.0.9
