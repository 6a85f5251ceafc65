# openvpn over UDP with a static key and a tun
# needs: openvpn ip ping nc curl iperf3 python3
. ./lib.sh
. ./openvpn.inc
wire tun
openvpn --genkey secret static.key
secret="--cipher AES-256-CBC --secret static.key"
openvpn_on a $secret --dev-type tun --proto udp4 --local 10.9.0.1 --remote 10.9.0.2 --ifconfig 10.8.0.1 10.8.0.2 \
    --ifconfig-ipv6 fd08::1/64 fd08::2
a=$!
openvpn_on b $secret --dev-type tun --proto udp4 --local 10.9.0.2 --remote 10.9.0.1 --ifconfig 10.8.0.2 10.8.0.1 \
    --ifconfig-ipv6 fd08::2/64 fd08::1
b=$!
openvpn_connected
exercise 10.8.0.1 10.8.0.2
exercise fd08::1 fd08::2
finish $a $b
