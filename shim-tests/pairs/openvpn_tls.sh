# openvpn's server and client with certificates, addresses from a pool, and a pushed route
# needs: openvpn openssl ip ping nc curl iperf3 python3
. ./lib.sh
. ./openvpn.inc
wire tun
openvpn_certified
exercise 10.8.0.2 10.8.0.1
finish $a $b
