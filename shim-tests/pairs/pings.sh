# ping over a VPN, by a copy without what the system gives its own
# needs: openvpn ip ping nc curl python3
. ./lib.sh
. ./openvpn.inc
wire tun
openvpn --genkey secret static.key
secret="--cipher AES-256-CBC --secret static.key --dev-type tun --proto udp4"
openvpn_on a $secret --local 10.9.0.1 --remote 10.9.0.2 --ifconfig 10.8.0.1 10.8.0.2 --ifconfig-ipv6 fd08::1/64 fd08::2
a=$!
openvpn_on b $secret --local 10.9.0.2 --remote 10.9.0.1 --ifconfig 10.8.0.2 10.8.0.1 --ifconfig-ipv6 fd08::2/64 fd08::1
b=$!
openvpn_connected
cp -f "$(command -v ping)" own_ping
for to in a:10.8.0.2 b:10.8.0.1 a:fd08::2 b:fd08::1; do
    on ${to%%:*} own_ping -c 3 -i 0.1 -W 5 ${to#*:} | sed -n 's/, time.*//; /received/p'
done
finish $a $b
