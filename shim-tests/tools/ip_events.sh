# ip monitor: its options, objects and labels, and what is written into a file and read from there
. "$TOOLS/lib.sh"
. "$TOOLS/monitor.sh"
run ip -V
ip link set tun0 addrgenmode none
ip link set tap0 addrgenmode none
ip link set tap0 up

changes() {
    ip addr add 10.9.0.1/24 dev tun0
    ip link set tun0 up
    ip route add 10.50.0.0/16 dev tun0
    ip neigh add 10.20.0.5 lladdr 02:00:00:00:00:05 dev tap0
    ip rule add from 10.1.0.0/16 table 100 priority 50
    ip -6 addr add fd09::1/64 dev tun0 nodad
    # The kernel adds the address's own route a little later.
    until_has fd09::1 ip -6 route show table local
    ip -6 route add fd50::/32 dev tun0
    ip link set tun0 mtu 1400
    ip rule del priority 50
    ip neigh del 10.20.0.5 dev tap0
    ip -6 addr del fd09::1/64 dev tun0
    ip link set tun0 mtu 1500
    ip link set tun0 down
    ip addr flush dev tun0
}

for words in 'monitor label all' '-t monitor' '-ts monitor label all' '-o -d monitor' \
    '-s monitor link addr route' '-6 monitor label all' '-br monitor' \
    'monitor route neigh rule nsid netconf' 'monitor stats addr' 'monitor link dev tap0' \
    '-j monitor label all' '-ts -j monitor link neigh'; do
    begin $words
    changes
    end
done

begin monitor link
ip link property add dev tun0 altname another
ip link set dev another alias text
ip link property del dev tun0 altname another
ip link set tun0 group 7
ip link set tun0 group 0
ip link set tun0 promisc on
ip link set tun0 promisc off
ip link set tun0 allmulticast on
ip link set tun0 allmulticast off
ip link set tun0 multicast off
ip link set tun0 txqueuelen 77
ip link set tun0 alias ''
ip link set tun0 up
ip link set tun0 down
ip link set tap1 address 02:00:00:00:00:09
ip tuntap add dev tun9 mode tun
ip link set tun9 name tun8
ip link del tun8
end

begin monitor neigh
ip neigh add 10.20.0.5 lladdr 02:00:00:00:00:05 dev tap0
ip neigh change 10.20.0.5 lladdr 02:00:00:00:00:06 dev tap0 nud stale
ip neigh replace 10.20.0.5 lladdr 02:00:00:00:00:06 dev tap0 nud permanent
ip neigh flush dev tap0 nud permanent
ip -6 neigh add fd20::5 lladdr 02:00:00:00:00:05 dev tap0
ip -6 neigh del fd20::5 dev tap0
ip neigh add 10.20.0.6 lladdr 02:00:00:00:00:06 dev tap0 nud permanent
ip link set tap0 down
ip link set tap0 up
end

begin monitor route
ip addr add 10.20.0.1/24 dev tap0
ip route add default via 10.20.0.9
ip route append default via 10.20.0.8
ip route change default via 10.20.0.7
ip route add 10.64.0.0/16 nexthop via 10.20.0.9 weight 2 nexthop via 10.20.0.8
ip route add unreachable 10.65.0.0/16 table 100
ip -6 route add fd51::/32 dev tap0 metric 5
ip -6 route add fd52::/32 nexthop via fe80::9 dev tap0 nexthop via fe80::8 dev tap0
ip -6 route del fd52::/32
ip route flush table 100
ip link set tap0 down
ip link set tap0 up
end

# What rtmon and `ip monitor file` keep.
if command -v rtmon > /dev/null; then
    echo '$ ip monitor file KEPT'
    rtmon file "$place/kept" link address route &
    keeper=$!
    for _ in $(seq 500); do
        ip addr add 192.0.2.4/32 dev tap0
        ip addr del 192.0.2.4/32 dev tap0
        [ -s "$place/kept" ] && ip monitor file "$place/kept" | grep -q 'Deleted.*192.0.2.4' && break
        sleep 0.01
    done
    ip addr add 10.9.0.1/24 dev tun0
    ip addr del 10.9.0.1/24 dev tun0
    until_has 'Deleted.*10.9.0.1/24' ip monitor file "$place/kept"
    kill $keeper
    wait $keeper 2>/dev/null
    ip monitor file "$place/kept" | grep 10.9.0
    echo "status ended"
fi
run ip monitor file /nothere
run ip monitor link nosuchobject
run ip monitor dev nothere
run ip monitor all-nsid nosuchobject
