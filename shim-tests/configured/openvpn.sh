# openvpn between two hosts with a static key, a tun and a tap, configured by openvpn itself
# needs: openvpn ip
. ./lib.sh
openvpn --version | head -1
uplink
said() {
    sed -E 's/^.{20}//' "$1" | plain | grep -E '^(net_|add_|delete_|/|ROUTE|GDG|TUN|sitnl|ERROR|Closing|Init|Exit|SIG|.*script)'
}
cat >up.sh <<'U'
#!/bin/sh
{
    echo "$script_type: $dev $tun_mtu $ifconfig_local $ifconfig_remote $ifconfig_ipv6_local [$1]"
    ip -br addr show dev $dev | sed 's/fe80[^ ]*//'
    # The variables of a script are openvpn's; those of what it starts can be none at all.
    env -i /sbin/ip -4 -o addr show dev $dev | sed 's/^[0-9]*/N/'
    [ "$script_type" != up ] || ip route add 198.51.100.0/24 dev $dev
} >>hook.log 2>&1
U
chmod +x up.sh
openvpn --genkey secret static.key
common="--cipher AES-256-CBC --secret static.key --proto udp4 --local 127.0.0.1 --remote 127.0.0.1 --verb 3 --ping 1"
openvpn --dev ovpn0 --dev-type tun --ifconfig 10.9.1.1 10.9.1.2 --ifconfig-ipv6 fd00:9::1/64 fd00:9::2 \
    --route 10.20.0.0 255.255.0.0 --route 203.0.113.7 255.255.255.255 net_gateway \
    --route-ipv6 fd00:20::/48 --lport $PORT --rport $((PORT + 1)) $common \
    --script-security 2 --up ./up.sh --down ./up.sh --route-up ./up.sh >tun.log 2>&1 &
tun=$!
until_has ovpn0 ip -6 route
openvpn --dev ovpn1 --dev-type tap --ifconfig 10.9.2.1 255.255.255.0 --tun-mtu 1400 --lladdr 02:00:00:00:00:07 \
    --route 10.21.0.0 255.255.0.0 10.9.2.254 5 --route-nopull --lport $((PORT + 2)) --rport $((PORT + 3)) $common >tap.log 2>&1 &
tap=$!
# It says that it is done only when there is somebody at the other end.
openvpn --dev null --lport $((PORT + 1)) --rport $PORT $common >peer.log 2>&1 &
peer=$!
openvpn --dev null --lport $((PORT + 3)) --rport $((PORT + 2)) $common >peer2.log 2>&1 &
peer2=$!
until_log "Initialization Sequence Completed" tun.log
until_log "Initialization Sequence Completed" tap.log
settle
show
ip route get 10.20.0.1 | sed 's/ uid .*//'
end $tun
end $tap
cat hook.log
said tun.log
echo
said tap.log
end $peer
end $peer2
show
