# ip: every way to print what it lists, and the filters of its lists
. "$TOOLS/lib.sh"
run ip -V
ip link set tun0 addrgenmode none
ip link set tap0 addrgenmode none
ip addr add 10.9.0.1/24 dev tun0
ip addr add 10.9.0.2/24 dev tun0
ip addr add 10.20.0.1/24 brd + dev tap0 label tap0:a
ip addr add fd09::1/64 dev tun0
ip link set tun0 up
ip link set tap0 up
ip addr add fd20::1/64 dev tap0 nodad
settle
ip route add 10.50.0.0/16 via 10.20.0.9 metric 7 mtu 1300
ip route add 10.51.0.0/16 nexthop via 10.20.0.9 weight 2 nexthop via 10.20.0.8
ip -6 route add fd50::/32 via fd20::9
ip rule add from 10.9.0.0/24 table 100 priority 50
ip neigh add 10.20.0.5 lladdr 02:00:00:00:00:05 dev tap0
ip -6 neigh add fd20::5 lladdr 02:00:00:00:00:05 dev tap0
# Each of these is told of one object: text and JSON, in lines, brief, with details and counters.
for format in '' -o -br -d -s '-s -s' '-s -s -s' -j '-j -p' '-j -d' '-j -s' '-j -br' '-j -o' -r -a -h \
    -iec '-s -h' '-s -iec' '-h -iec -s' -c=never -c=auto -color=never -N -t -ts -l=3 '-rc 100000' -loops=3; do
    run ip $format link show dev tun0
    run ip $format addr show dev tap0
done
for format in -4 -6 -0 -B -M '-f inet' '-f inet6' '-f link' '-f bridge' '-f mpls' '-family inet' '-4 -o' '-6 -br' '-4 -j' '-6 -j -p'; do
    run ip $format link show dev tun0
    run ip $format addr show dev tap0
    run ip $format route show dev tap0
    run ip $format rule show
    run ip $format neigh show dev tap0 nud permanent
done
for format in '' -o -d -s '-s -s' -j '-j -p' '-j -d' '-j -s' -N '-N -d' -br -r; do
    run ip $format route show
    run ip $format -6 route show dev tap0
    # How often a way was taken and when, which -s shows, is another one on each machine.
    case "$format" in *-s*) ;; *) run ip $format route get 10.50.0.1 ;; esac
    run ip $format rule show
    run ip $format neigh show 10.20.0.5 dev tap0
    run ip $format maddr show dev tun0
    run ip $format netconf show dev tun0
done
run ip link show dev tun0 up
run ip link show type tap
run ip link show type bridge
run ip link show vrf nothere
run ip link show nomaster
run ip link show group 0
run ip link show group nosuchgroup
run ip link show master nothere
run ip addr show up
run ip addr show up type tun
run ip addr show dev tun0 scope host
run ip addr show dev tun0 scope nosuchscope
run ip addr show to 10.0.0.0/8
run ip addr show to fd00::/8
run ip addr show to nonsense
run ip addr show label tun0
run ip addr show label 'tap0:a'
run ip addr show -secondary dev tun0
run ip addr show dev tun0 -dynamic
run ip addr show tentative
run ip addr show dadfailed
run ip addr show mngtmpaddr
run ip addr show home
run ip addr show nodad
run ip addr show temporary
run ip addr show noprefixroute
run ip addr show autojoin
run ip addr show group default
run ip addr show master tap0
run ip addr show type tun
run ip addr show dev tun0 dev tap0
run ip addr show proto kernel_lo
run ip route show table main
run ip route show table 0
run ip route show table default
run ip route show table nosuchtable
run ip route show cache
run ip route show cached
run ip route list exact 10.50.0.0/16
run ip route list exact 10.50.0.0/15
run ip route list root 10.48.0.0/12
run ip route list match 10.50.3.3/32
run ip route list scope link
run ip route list proto kernel
run ip route list proto boot
run ip route list proto nosuchproto
run ip route list type local table all dev tun0
run ip route list type multicast
run ip route list type nosuchtype
run ip route list metric 7
run ip route list src 10.20.0.1
run ip route list from 10.0.0.0/8
run ip route list via 10.20.0.8
run ip route list via inet6 fd20::9
run ip route list oif tap0
run ip route list iif tap0
run ip route list tos 0x10
run ip route list mark 5
run ip route list realm 5
run ip route list vrf nothere
run ip -6 route list proto kernel dev tap0
run ip -6 route list metric 256
run ip -6 route list exact fd50::/32
run ip -6 route list match fd50::77
run ip -6 route list root fd00::/8 proto boot
run ip neigh show dev tap0 10.20.0.0/24
run ip neigh show dev tap0 unused
run ip neigh show nud all dev tap0 to 10.20.0.5
run ip neigh show nud nosuchstate
run ip neigh show nomaster dev tap0 nud permanent
run ip neigh show vrf nothere
run ip neigh show nothere
run ip rule show priority 50
run ip rule show pref 51
run ip rule show table main
run ip rule show from 10.9.0.0/24
run ip rule show from 10.0.0.0/8
run ip rule show to 10.0.0.0/8
run ip rule show iif tun0
run ip rule show fwmark 5
run ip rule show uidrange 0-5
run ip rule show protocol kernel
run ip rule show sport 5
run ip rule show nosuchword
run ip maddr show dev nothere
run ip maddr show nosuchword
run ip netconf show dev nothere
run ip -4 netconf show dev tap0
run ip -6 netconf show dev tap0
run ip -6 -j netconf show dev tap0
