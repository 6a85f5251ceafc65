# vpncloud, with the address that it sets itself and commands for the rest
# needs: ip ifconfig
. ./lib.sh
"$VPNCLOUD" --version
uplink
"$VPNCLOUD" --listen "127.0.0.1:$PORT" --password secret --device vpc0 --type tun --ip 10.18.0.1/24 --no-port-forwarding --fix-rp-filter \
    --ifup 'ip route add 10.118.0.0/16 dev $IFNAME; ip -br -4 addr show $IFNAME >>hook.log' \
    --ifdown 'ip -br -4 addr show $IFNAME >>hook.log' >tun.log 2>&1 &
tun=$!
until_has 10.118 ip route
settle
"$VPNCLOUD" --listen "127.0.0.1:$((PORT + 1))" --password secret --device vpc1 --type tap --mode switch --no-port-forwarding \
    --ifup 'ifconfig $IFNAME 10.19.0.1 netmask 255.255.0.0 mtu 1300' --peer "127.0.0.1:$PORT" >tap.log 2>&1 &
tap=$!
until_has 10.19.0.1/16 ip addr
settle
show
cat /proc/sys/net/ipv4/conf/vpc0/rp_filter
end $tun
end $tap
cat hook.log
sed -E 's/^[^-]*- //; s/:[0-9]{4,5}/:PORT/g; /Crypto speeds|pending connection|Parse error/d' tun.log
show
