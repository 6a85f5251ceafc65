# BIRD, a routing daemon: it reads interfaces and routes, follows their events, and sets routes
# needs: bird birdc ip
. ./lib.sh
bird --version 2>&1 | head -1
ip tuntap add dev bdn mode tun
ip tuntap add dev bdp mode tap
for link in bdn bdp; do ip link set $link addrgenmode none; done
ip addr add 10.40.0.1/24 dev bdn
ip addr add 10.41.0.1/24 dev bdp
ip addr add fd00:40::1/64 dev bdn nodad
ip link set bdn up
ip link set bdp up
cat >bird.conf <<'C'
log stderr all;
router id 10.40.0.1;
protocol device { }
protocol direct { interface "bd*"; ipv4; ipv6; }
protocol kernel { learn; ipv4 { export all; import all; }; }
protocol kernel { learn; ipv6 { export all; import all; }; }
protocol static {
    ipv4;
    route 10.140.0.0/16 via 10.40.0.2;
    route 10.141.0.0/16 blackhole;
    route 10.142.0.0/16 via 10.40.0.3 via 10.41.0.9 weight 2;
}
protocol static { ipv6; route fd99::/32 via fd00:40::2; }
C
of_ours() {
    birdc -s "$W/ctl" "$@" | awk '/^[a-z]+ (up|down)/ { ours = /^bd/; first = 1 } !first || ours' | grep -v '^BIRD\|^Table\|^ *$' |
        sed -E 's/index=[0-9]+/index=N/; s/ [0-9:]+\.[0-9]+([] ])/ TIME\1/' | sort
}
bird -f -c "$W/bird.conf" -s "$W/ctl" 2>bird.log &
bird=$!
until_has 10.140 ip route
until_has 10.142 ip route
until_has fd99 ip -6 route show dev bdn
show
ip route add 10.143.0.0/16 via 10.40.0.9 proto static
until_has 10.143 birdc -s "$W/ctl" show route
of_ours show interfaces
of_ours show route
ip link set bdn down
until_has '^0$' sh -c 'ip route | grep -c 10.140'
until_has 'bdn down' birdc -s "$W/ctl" show interfaces
show
ip link set bdn up
until_has 10.140 ip route
show
end $bird
sed -E 's/^[-0-9]+ [0-9:.]+ //' bird.log
show
