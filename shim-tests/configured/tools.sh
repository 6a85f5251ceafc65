# tunctl, ip tuntap, ifconfig and route with interfaces that stay
# needs: tunctl ip ifconfig route
. ./lib.sh
ip -V
loopback
tunctl -t tc0 -u "$(id -u)" -g "$(id -g)" | sed 's/uid.*/uid N/'
tunctl -b
ip tuntap add dev it0 mode tun user "$(id -u)"
ip tuntap add dev it1 mode tap multi_queue pi
ifconfig tc0 10.4.0.1 netmask 255.255.255.0 up
ifconfig tc0 add fd00:4::1/64
ifconfig tc0:0 10.4.9.1 netmask 255.255.255.0
ifconfig it0 10.4.1.1 pointopoint 10.4.1.2 mtu 1400 up
route add -net 10.44.0.0 netmask 255.255.0.0 gw 10.4.0.254
route add -host 10.45.0.1 dev it0
route add default gw 10.4.1.2 metric 7
until_has 'metric 7 linkdown' ip route
until_has '10.44.*linkdown' ip route
route -n
show
ip -d link show it0 | plain | sed "s/user [a-z]*/user N/"
ip -d link show it1 | plain
tunctl -d tc0
tunctl -d tap0
ip tuntap del dev it0 mode tun
ip link del it1
tunctl -d nothere
show
