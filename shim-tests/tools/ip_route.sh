# ip route
. "$TOOLS/lib.sh"
run ip -V
run ip route
run ip route add 10.50.0.0/16 dev tun0
ip addr add 10.9.0.1/24 dev tun0
ip addr add 10.20.0.1/24 broadcast + dev tap0
ip link set tun0 up
ip link set tap0 up
run ip route
run ip route show table local
run ip route show table all
run ip -j route
run ip -d route
run ip -o route
run ip route add 10.50.0.0/16 dev tun0
run ip route add 10.50.0.0/16 dev tun0
run ip route add 10.51.0.0/16 via 10.20.0.9
run ip route add 10.52.0.1/16 dev tun0
run ip route add 10.52.0.0/16 via 10.99.0.1
run ip route add 10.52.0.0/16 via 10.99.0.1 dev tun0 onlink
run ip route add 10.53.0.0/16 dev tun0 src 10.9.0.1 metric 50 mtu 1300 advmss 1200
run ip route add 10.54.0.0/16 dev tun0 mtu lock 1200 proto static scope link
run ip route add 10.55.0.0/16 dev tun0 table 100
run ip route add 10.56.0.0/16 dev tun0 table 1000
run ip route add default via 10.20.0.9
run ip route add default via 10.20.0.8 metric 10
run ip route add blackhole 10.60.0.0/16
run ip route add unreachable 10.61.0.0/16
run ip route add prohibit 10.62.0.0/16 metric 5
run ip route add throw 10.63.0.0/16
run ip route add 10.64.0.0/16 nexthop via 10.20.0.9 weight 2 nexthop via 10.20.0.8 weight 3
run ip route add 10.65.0.0/16 nexthop dev tun0 nexthop via 10.20.0.8
run ip route add 10.66.0.0/16 via inet6 fe80::9 dev tap0
run ip route add 10.67.0.0/16 dev nothere
run ip route add 10.67.0.0/16 dev tun0 src 10.77.0.1
run ip route add 10.67.0.0/16 nhid 5
run ip route add 10.68.0.0/16 dev tun0 realm 7 tos 0x10
run ip route append 10.50.0.0/16 dev tap0
run ip route prepend 10.50.0.0/16 dev tap0 metric 7
run ip route change 10.51.0.0/16 via 10.20.0.7
run ip route change 10.59.0.0/16 via 10.20.0.7
run ip route replace 10.51.0.0/16 via 10.20.0.6
run ip route replace 10.59.0.0/16 via 10.20.0.6
run ip route
run ip -j route
run ip -j -p -d route show 10.64.0.0/16
run ip -d route show
run ip route show table 100
run ip route show table 1000
run ip route show table 77
run ip route show dev tap0
run ip route show proto static
run ip route show type blackhole
run ip route show 10.50.0.0/16
run ip route show root 10.0.0.0/8 scope link
run ip route show match 10.50.1.1
run ip route show via 10.20.0.9
run ip route get 10.50.0.1
run ip route get 10.51.0.1
run ip route get 10.60.0.1
run ip route get 10.61.0.1
run ip route get 10.62.0.1
run ip route get 10.63.0.1
run ip route get 10.9.0.1
run ip route get 10.20.0.255
run ip route get 99.0.0.1
run ip route get fibmatch 10.53.0.1
run ip route get 10.50.0.1 oif tap0
run ip route get 10.50.0.1 from 10.9.0.1
run ip route get 10.50.0.1 from 10.99.0.1
run ip route get 10.50.0.1 from 10.20.0.9 iif tap0
run ip route get 10.50.0.1 mark 5 uid 0
run ip -j route get 10.53.0.1
run ip -d route get 10.53.0.1
run ip -o route get 10.53.0.1
run ip route get 300.1.1.1
run ip route del 10.51.0.0/16 via 10.20.0.9
run ip route del 10.51.0.0/16
run ip route del 10.51.0.0/16
run ip route del blackhole 10.60.0.0/16
run ip route del 10.55.0.0/16 table 100
run ip route flush proto static
run ip route flush table 1000
run ip route flush table 77
run ip route flush cache
run ip link set tap0 down
run ip route
run ip link set tap0 up
run ip route
run ip route flush dev tun0
run ip route
run ip -6 route
run ip -6 addr add fd09::1/64 dev tun0
run ip -6 addr add fd20::1/64 dev tap0 nodad
settle
run ip -6 route
run ip -6 route show table local
run ip -6 route show table all
run ip -6 route add fd50::/32 dev tun0
run ip -6 route add fd50::/32 dev tun0
run ip -6 route add fd51::/32 via fd20::9
run ip -6 route add fd52::/32 via fe80::9 dev tap0 metric 7 mtu 1400 pref high
run ip -6 route add fd53::/32 via fd99::1
run ip -6 route add default via fd20::9
run ip -6 route add unreachable fd54::/32
run ip -6 route add blackhole fd55::/32
run ip -6 route add fd56::/32 nexthop via fd20::9 weight 2 nexthop via fd20::8
run ip -6 route add fd57::/32 dev tun0 expires 600
run ip -6 route add fd58::/32 dev tun0 table 100
run ip -6 route
run ip -6 -j route
run ip -6 -d route
run ip -6 -o route
run ip -6 route show table 100
run ip -6 route get fd50::1
run ip -6 route get fd51::1
run ip -6 route get fd54::1
run ip -6 route get fd55::1
run ip -6 route get fd09::1
run ip -6 -j route get fd52::1
run ip -6 route del fd50::/32
run ip -6 route del fd50::/32
run ip -6 route flush table 100
run ip -6 route flush dev tap0
run ip -6 route
