# a network behind openvpn's server: an address of the server's loopback
# needs: openvpn openssl ip ping nc curl iperf3 python3
. ./lib.sh
. ./openvpn.inc
wire tun
openvpn_certified
on b ip link set lo up
on b ip addr add 192.168.77.1/32 dev lo
exercise 10.8.0.2 192.168.77.1
finish $a $b
