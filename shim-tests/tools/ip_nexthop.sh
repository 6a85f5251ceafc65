# ip: objects of next hops, and the routes that refer to them
. "$TOOLS/lib.sh"
# A command whose times differ each time.
timeless() {
    printf '$ %s\n' "$*"
    said=$("$@" 2>&1)
    status=$?
    printf '%s\n' "$said" | sed -E 's/idle_time [0-9.]+/idle_time N/'
    echo "status $status"
}
run ip -V
ip link set lo up
ip link set tun0 addrgenmode none
ip link set tap0 addrgenmode none
run ip nexthop add id 1 via 10.0.0.2 dev tun0
ip link set tun0 up
ip addr add 10.0.0.1/24 dev tun0
run ip nexthop add id 1 via 10.0.0.2 dev tun0
run ip nexthop
ip link set tap0 up
ip addr add 10.1.0.1/24 dev tap0
ip addr add fd00::1/64 dev tap0 nodad
settle
run ip nexthop add id 2 dev tap0
run ip nexthop add id 3 blackhole
run ip -6 nexthop add id 4 blackhole
run ip nexthop add id 5 via 10.1.0.2 dev tap0
run ip nexthop add id 6 via fd00::2 dev tap0
run ip nexthop add id 7 via 10.1.0.1 dev tap0
run ip nexthop add id 8 via 10.9.9.9 dev tap0
run ip nexthop add id 9 via 10.9.9.9 dev tap0 onlink
run ip nexthop add id 10 via 172.16.1.1 fdb
run ip nexthop add id 11 via fd00::9 fdb
run ip nexthop add id 12 dev lo
run ip nexthop add id 5 via 10.1.0.3 dev tap0
run ip nexthop replace id 5 via 10.1.0.3 dev tap0
run ip nexthop add id 20 group 5/2
run ip nexthop add id 21 group 5,3/2
run ip nexthop add id 22 group 20/5
run ip nexthop add id 23 group 5/5
run ip nexthop add id 24 group 77
run ip nexthop add id 25 group 10/11
run ip nexthop add id 25 group 10 fdb
run ip nexthop add id 26 group 5,10/6,20 
run ip nexthop add id 27 group 3/5
run ip nexthop add id 28 group 5/2 type resilient buckets 8 idle_timer 60 unbalanced_timer 30
run ip nexthop add id 29 group 5/2 type resilient
run ip nexthop add via 10.1.0.7 dev tap0
run ip nexthop add via 10.1.0.8 dev tap0 protocol static
run ip nexthop
run ip -4 nexthop
run ip -6 nexthop
run ip nexthop show dev tap0
run ip nexthop show groups
run ip nexthop show fdb
run ip nexthop show id 20
run ip nexthop show id 99
run ip -d nexthop show id 28
timeless ip nexthop bucket show
timeless ip nexthop bucket show id 28
timeless ip nexthop bucket show id 20
timeless ip nexthop bucket show nhid 5
timeless ip nexthop bucket get id 28 index 3
timeless ip nexthop bucket get id 28 index 30
run ip route add 10.50.0.0/16 nhid 5
run ip route add 10.51.0.0/16 nhid 20
run ip route add 10.52.0.0/16 nhid 3
run ip route add 10.53.0.0/16 nhid 6
run ip route add 10.54.0.0/16 nhid 99
run ip route add 10.55.0.0/16 nhid 10
run ip route add 10.56.0.0/16 nhid 5 via 10.1.0.9
run ip route add 10.57.0.0/16 nhid 2
run ip route add 10.58.0.0/16 nhid 28
run ip -6 route add fd50::/64 nhid 6
run ip -6 route add fd51::/64 nhid 5
run ip -6 route add fd52::/64 nhid 4
run ip route
run ip -6 route
run ip -d route show 10.51.0.0/16
run ip route show nhid 5
run ip route del 10.50.0.0/16 nhid 2
run ip route del 10.50.0.0/16 nhid 5
run ip nexthop del id 5
run ip nexthop
run ip route
run ip -6 route
run ip nexthop del id 99
run ip nexthop replace id 2 via 10.1.0.4 dev tap0
run ip nexthop replace id 20 via 10.1.0.4 dev tap0
run ip nexthop replace id 2 group 2
run ip nexthop replace id 20 group 2 
run ip route
ip link set tap0 down
run ip nexthop
run ip route
ip link set tun0 down
run ip nexthop flush
run ip nexthop
run ip nexthop add id 1 via 10.0.0.2
run ip nexthop add id 1 group 5 via 10.0.0.2
run ip nexthop add id 1 dev nothere
run ip nexthop add id 0 blackhole
ip link set tun0 up
ip link set tap0 up
ip addr add 10.0.0.1/24 dev tun0
ip addr add 10.1.0.1/24 dev tap0
run ip route add 10.60.0.0/16 nexthop via 10.0.0.2 nexthop via 10.1.0.2 weight 3
run ip route get 10.60.0.9 from 10.0.0.1
run ip route get 10.60.0.9 from 10.1.0.1
run ip route get 10.60.1.9 from 10.1.0.1
run ip route get 10.60.0.9 oif tap0
shares() {
    printf '$ shares of %s\n' "$1"
    for n in $(seq 60); do ip route get "10.60.$1.$n"; done | grep -o 'dev t[^ ]*' | sort | uniq -c |
        awk '{ print $3, ($3 == "tun0" ? $1 > 2 && $1 < 30 : $1 > 30) ? "has its share" : $1 }'
    echo "status 0"
}
shares 1
shares 2
