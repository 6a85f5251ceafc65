# A program that is the machine's root, in a net with an interface, changes nothing of the machine,
# whatever it tries. It has no side of the kernel's: the machine is compared before and after.
. "$SCRIPTS/lib.sh"

root() {
    env LD_PRELOAD="$LIBRARY" MEMTUN_NET="$NET" MEMTUN_LINK=down "$@"
}

# All that the machine's kernel says of its interfaces and of what leads there, but for counters and
# the states of neighbours.
machine_now() {
    for question in '-d link' addr 'route show table all' '-6 route show table all' rule '-6 rule' neigh 'neigh show proxy' \
        netconf nexthop maddr mroute '-6 mroute' addrlabel; do
        ip $question | sed -E 's/ (REACHABLE|STALE|DELAY|PROBE|INCOMPLETE|FAILED)//; s/ [0-9]+sec//g'
    done
    for question in qdisc 'filter show dev eth9' 'class show dev eth9'; do
        tc $question
    done
    bridge link
    bridge fdb
    for question in -k '' -c -l -g -a --show-priv-flags; do
        ethtool $question eth9
    done
    grep -r . /proc/sys/net/ipv[46]/conf /proc/sys/net/ipv[46]/neigh /proc/sys/net/core /proc/sys/net/ipv4/ip_forward
    cd /sys/class/net/eth9/ && grep -r . --exclude-dir=statistics --exclude-dir=subsystem --exclude='carrier_*' .
    ls /sys/class/net
} 2>/dev/null

try() {
    echo "\$ $*"
    root "$@" 2>&1
    echo "status $?"
}

own_machine
machine ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 dev eth9
hold root tun0 0x1001
root ip addr add 10.9.0.1/24 dev tun0
root ip link set tun0 up
machine_now >"$PLACE/before"
# What was changed and changed back is told, too.
stdbuf -oL ip monitor link address route rule netconf nsid >"$PLACE/monitor" 2>&1 &
monitor=$!
for _ in $(seq 200); do
    machine ip addr add 127.0.0.7/32 dev lo
    machine ip addr del 127.0.0.7/32 dev lo
    grep -q 127.0.0.7 "$PLACE/monitor" && break
    sleep 0.02
done
case $WITH in
calls)
    try python3 "$SCRIPTS/changing.py"
    ;;
files)
    for file in mtu flags tx_queue_len ifalias group gro_flush_timeout napi_defer_hard_irqs threaded proto_down carrier queues/rx-0/rps_cpus \
        queues/tx-0/xps_cpus queues/tx-0/byte_queue_limits/limit_max dormant address netdev_group power/control uevent; do
        for directory in /sys/class/net /sys/devices/virtual/net; do
            try bash -c "echo 1 >$directory/eth9/$file"
        done
    done
    try bash -c "echo on >/sys/class/net/eth9/power/control; echo add >/sys/class/net/eth9/uevent"
    ;;
tools)
    for change in 'ip addr add 203.0.113.5/32 dev eth9' 'ip addr flush dev eth9' 'ip route flush table all' 'ip route add 10.7.0.0/16 dev eth9' \
        'ip rule add from 192.0.2.10 table 7' 'ip neigh flush all' 'ip neigh add proxy 192.0.2.5 dev eth9' 'ip maddr add 33:33:00:00:00:09 dev eth9' \
        'ip link set eth9 mtu 1300' 'ip link set eth9 txqueuelen 7' 'ip link set eth9 alias word' 'ip link property add dev eth9 altname other' \
        'ip link set eth9 promisc on' 'ip link set eth9 allmulticast on' 'ip link set eth9 arp off' 'ip link set eth9 group 7' \
        'ip link set eth9 addrgenmode random' 'ip link set eth9 protodown on' 'ip link set eth9 numtxqueues 2' 'ip link set eth9 gso_max_size 5000' \
        'ip link set eth9 carrier off' 'ip link set eth9 xdp off' 'ip link set eth9 master tun0' 'ip link set eth9 nomaster' \
        'ip link add link eth9 name eth9.7 type vlan id 7' 'ip link add link eth9 name mv7 type macvlan' 'ip link add br7 type bridge' \
        'ip link add veth7 type veth peer name veth8' 'ip link add dummy7 type dummy' 'ip tunnel add gre7 mode gre remote 192.0.2.1' \
        'ip nexthop add id 7 dev eth9' 'ip addrlabel add prefix 2001:db8::/32 label 7' 'ip ntable change name arp_cache dev eth9 queue 7' \
        'ip token set ::7 dev eth9' 'ip stats set dev eth9 l3_stats on' \
        'tc qdisc add dev eth9 root pfifo limit 7' 'tc qdisc replace dev eth9 root prio' 'tc qdisc add dev eth9 ingress' 'tc qdisc add dev eth9 clsact' \
        'tc filter add dev eth9 protocol ip prio 7 matchall' 'tc qdisc del dev eth9 root' \
        'bridge link set dev eth9 learning off' 'bridge fdb add 02:00:00:00:00:09 dev eth9' 'bridge vlan add vid 7 dev eth9' \
        'brctl addbr br7' 'brctl addif br7 eth9' 'ethtool -K eth9 gso off tx off' 'ethtool -s eth9 speed 10 duplex half autoneg off' 'ethtool -s eth9 msglvl 7' \
        'ethtool -C eth9 rx-frames 7' 'ethtool -L eth9 combined 2' 'ethtool -G eth9 rx 77' 'ethtool -A eth9 rx off' 'ethtool --set-priv-flags eth9 x on' \
        'ethtool -r eth9' 'ethtool -p eth9 1' 'ethtool -E eth9 value 1' 'ethtool --reset eth9 all' \
        'ifconfig eth9 192.0.2.200 netmask 255.255.0.0 mtu 1300' 'ifconfig eth9 promisc' 'ifconfig eth9 hw ether 02:00:00:00:00:99' 'ifconfig eth9:7 10.7.7.7' \
        'ifconfig eth9 add 2001:db8::99/64' 'route add -net 10.8.0.0/16 dev eth9' 'route del default' 'arp -s 192.0.2.78 02:00:00:00:00:78' 'arp -d 192.0.2.77' \
        'sysctl -w net.ipv4.conf.eth9.forwarding=1 net.ipv6.conf.eth9.disable_ipv6=1 net.ipv4.neigh.eth9.ucast_solicit=7 net.ipv4.ip_forward=1' \
        'sysctl -w net.ipv4.conf.all.rp_filter=1 net.ipv6.conf.default.accept_ra=0 net.ipv4.neigh.default.ucast_solicit=7' \
        'ip link set eth9 address 02:00:00:00:00:98' 'ip link set eth9 down' 'ip link set eth9 netns 1' 'ip link set eth9 name eth8' 'ip link del eth8' 'ip link del eth9' 'ip tuntap del dev eth9 mode tap'; do
        try $change
    done
    ;;
esac
machine ip addr add 127.0.0.8/32 dev lo
until_has 127.0.0.8 cat "$PLACE/monitor"
machine ip addr del 127.0.0.8/32 dev lo
kill $monitor
machine_now >"$PLACE/after"
grep -v -e 127.0.0.[78] -e 'valid_lft forever' "$PLACE/monitor" | grep . && echo "the machine has told of a change"
diff "$PLACE/before" "$PLACE/after" && echo "nothing has changed"
