# openvpn's client and server: addresses from a pool, pushed routes, all traffic through the tunnel
# needs: openvpn openssl ip
. ./lib.sh
openvpn --version | head -1
uplink
said() {
    sed -E 's/^.{20}//' "$1" | plain | grep -E '^(net_|add_|delete_|/|ROUTE|GDG|TUN|sitnl|ERROR|Closing|Init|Exit|SIG|OPTIONS IMPORT|IFCONFIG|.*script|.*pool returned)' |
        sed 's/127.0.0.1:[0-9]*/CLIENT/'
}
curve="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $curve -keyout ca.key -out ca.crt -days 2 -subj /CN=ca 2>/dev/null
for name in server client; do
    openssl req $curve -keyout $name.key -out $name.csr -subj /CN=$name 2>/dev/null
    openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out $name.crt 2>/dev/null
done
cat >server.conf <<C
dev ovs
dev-type tun
local 127.0.0.1
port $PORT
proto udp4
server 10.8.0.0 255.255.255.0
server-ipv6 fd00:8::/64
topology subnet
route 10.88.0.0 255.255.0.0
push "route 192.168.77.0 255.255.255.0"
push "redirect-gateway def1"
push "route-ipv6 fd00:77::/48"
push "dhcp-option DNS 10.8.0.1"
ca ca.crt
cert server.crt
key server.key
dh none
keepalive 10 60
verb 3
C
cat >client.conf <<C
client
dev ovc
dev-type tun
proto udp4
remote 127.0.0.1 $PORT
nobind
ca ca.crt
cert client.crt
key client.key
script-security 2
up "./hook.sh"
down "./hook.sh"
route-up "./hook.sh"
verb 3
C
cat >hook.sh <<'H'
#!/bin/sh
{
    echo "$script_type: $dev $tun_mtu $ifconfig_local/$ifconfig_netmask $ifconfig_ipv6_local/$ifconfig_ipv6_netbits"
    echo "$foreign_option_1 $route_vpn_gateway $route_net_gateway"
    ip -br addr show dev $dev | sed 's/fe80[^ ]*//'
} >>hook.log 2>&1
H
chmod +x hook.sh
openvpn server.conf >server.log 2>&1 &
server=$!
until_log "Initialization Sequence Completed" server.log
openvpn client.conf >client.log 2>&1 &
client=$!
until_log "Initialization Sequence Completed" client.log
settle
show
end $client
end $server
cat hook.log
said server.log
echo
said client.log
show
