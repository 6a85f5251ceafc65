# route of net-tools.
. "$TOOLS/lib.sh"
run route -V
run ifconfig tun0 10.9.0.1 netmask 255.255.255.0 up
run ifconfig tap0 10.8.0.1 netmask 255.255.255.0 up
lines route -n
lines route -n -e
lines route -n -ee
run route add -net 10.20.0.0 netmask 255.255.0.0 dev tun0
run route add -net 10.20.0.0 netmask 255.255.0.0 dev tun0
run route add -net 10.21.0.0/16 gw 10.9.0.2
run route add -net 10.22.0.0/16 gw 203.0.113.1
run route add -net 10.22.0.1/16 dev tun0
run route add -net 10.22.0.0 netmask 255.0.255.0 dev tun0
run route add -host 10.23.0.1 dev tun0
run route add -host 10.23.0.2 gw 10.9.0.2 metric 7
run route add -host 10.23.0.3 gw 10.9.0.2 dev tun0 mss 1400 window 5000 irtt 200
run route add 10.23.0.4 tun0
run route add 10.24.0.0/24 tap0
run route add -net 10.25.0.0/16 reject
run route add -net 10.26.0.0/16 dev nothere
run route add -net 10.27.0.0/16 dev tap1
run route add -net 10.28.0.0/16
run route add -net 0.0.0.0/1 gw 10.9.0.2
run route add -net 128.0.0.0/1 gw 10.9.0.2
run route add -net 224.0.0.0 netmask 240.0.0.0 dev tap0
lines route -n
lines route -n -e
lines route -n -ee
run route del -net 10.20.0.0 netmask 255.255.0.0
run route del -net 10.20.0.0 netmask 255.255.0.0
run route del -net 10.21.0.0/16 gw 10.9.0.9
run route del -net 10.21.0.0/16 gw 10.9.0.2
run route del -host 10.23.0.1
run route del -host 10.23.0.2 metric 6
run route del -host 10.23.0.2 metric 7
run route del 10.23.0.4
run route del -net 10.25.0.0/16 reject
run route del -net 10.25.0.0/16
lines route -n
run route -A inet6 add 2001:db8:1::/64 dev tun0
run route -A inet6 add 2001:db8:1::/64 dev tun0
run route -A inet6 add 2001:db8:2::/64 gw 2001:db8:1::1
run route -A inet6 add 2001:db8:3::/64 gw fe80::1 dev tun0 metric 5
run route -A inet6 add 2001:db8:4::1 dev tap0
run route -A inet6 add 2001:db8:5::/64 gw 2001:db8:99::1
run route -A inet6 add 2001:db8:6::/64 dev tap1
run route -A inet6 add default gw fe80::1 dev tap0
lines route -n -6
run route -A inet6 del 2001:db8:3::/64 gw fe80::1 dev tun0 metric 5
run route -A inet6 del 2001:db8:3::/64 dev tun0
run route -A inet6 del default gw fe80::1 dev tap0
lines route -A inet6 -n
run ifconfig tun0 down
lines route -n
lines route -n -6
run ifconfig tun0 up
lines route -n
