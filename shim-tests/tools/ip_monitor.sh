# ip monitor: it is started, what it must see is done, and it is ended when it has seen the last.
. "$TOOLS/lib.sh"
. "$TOOLS/monitor.sh"
run ip -V

begin monitor link
ip link set tun0 mtu 1400
ip link set tun0 up
ip link set tun0 down
ip link set tun0 name vpn0
ip link set vpn0 name tun0
ip link set tun0 mtu 1500
end

begin monitor addr
ip addr add 10.9.0.1/24 dev tun0
ip addr change 10.9.0.1/24 dev tun0 valid_lft 1000 preferred_lft 500
ip addr add 10.9.0.2/24 dev tun0
ip addr flush dev tun0
end

ip addr add 10.9.0.1/24 dev tun0
ip link set tun0 up
begin monitor route
ip route add 10.50.0.0/16 dev tun0
ip route replace 10.50.0.0/16 dev tun0 mtu 1300
ip route add blackhole 10.51.0.0/16
ip route del 10.50.0.0/16
ip route flush 10.51.0.0/16
end

begin -o monitor link addr
ip addr add 10.9.1.1/24 dev tun0
ip link set tun0 txqueuelen 600
ip addr del 10.9.1.1/24 dev tun0
end

begin monitor neigh rule
ip neigh add 10.20.0.5 lladdr 02:00:00:00:00:05 dev tap0
ip neigh del 10.20.0.5 dev tap0
ip rule add from 10.1.0.0/16 table 100 priority 50
ip rule del priority 50
end

begin monitor all
ip link set tun0 down
ip link set tun0 up
ip addr del 10.9.0.1/24 dev tun0
ip tuntap add dev tun9 mode tun
written "inet6 tun9 forwarding"
ip tuntap del dev tun9 mode tun
end

begin -j monitor addr
ip addr add 10.9.0.1/24 dev tun0
ip addr del 10.9.0.1/24 dev tun0
end

begin monitor dev tun0
ip addr add 10.9.0.1/24 dev tun0
ip addr del 10.9.0.1/24 dev tun0
ip link set tun0 mtu 1300
ip tuntap add dev tun9 mode tun
ip tuntap del dev tun9 mode tun
ip link set tap0 mtu 1403
ip link set tun0 alias 'the end'
end

run ip monitor nosuchobject
