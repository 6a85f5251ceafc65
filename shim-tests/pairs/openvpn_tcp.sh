# openvpn over TCP with a static key and a tun
# needs: openvpn ip ping nc curl iperf3 python3
. ./lib.sh
. ./openvpn.inc
wire tun
openvpn --genkey secret static.key
secret="--cipher AES-256-CBC --secret static.key"
openvpn_on b $secret --dev-type tun --proto tcp4-server --local 10.9.0.2 --ifconfig 10.8.0.2 10.8.0.1
b=$!
until_log Listening b.openvpn.log
openvpn_on a $secret --dev-type tun --proto tcp4-client --remote 10.9.0.2 --ifconfig 10.8.0.1 10.8.0.2
a=$!
openvpn_connected
exercise 10.8.0.1 10.8.0.2
finish $a $b
