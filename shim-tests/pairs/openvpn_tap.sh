# openvpn over UDP of IPv6 with a static key and a tap
# needs: openvpn ip ping nc curl iperf3 python3
. ./lib.sh
. ./openvpn.inc
wire tun
openvpn --genkey secret static.key
secret="--cipher AES-256-CBC --secret static.key"
openvpn_on a $secret --dev-type tap --proto udp6 --local fd09::1 --remote fd09::2 --ifconfig 10.8.0.1 255.255.255.0
a=$!
openvpn_on b $secret --dev-type tap --proto udp6 --local fd09::2 --remote fd09::1 --ifconfig 10.8.0.2 255.255.255.0
b=$!
openvpn_connected
exercise 10.8.0.1 10.8.0.2
finish $a $b
