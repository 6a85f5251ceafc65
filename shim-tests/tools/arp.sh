# arp of net-tools.
. "$TOOLS/lib.sh"
run arp -V
run ifconfig tun0 10.9.0.1 netmask 255.255.255.0 up
run ifconfig tap0 10.8.0.1 netmask 255.255.255.0 up
lines arp -n -i tap0
run arp -s 10.8.0.2 02:11:22:33:44:55
run arp -s 10.8.0.3 02:11:22:33:44:56 temp
run arp -i tap0 -s 10.8.0.4 02:11:22:33:44:57
run arp -i tap0 -s 203.0.113.7 02:11:22:33:44:58
run arp -s 203.0.113.8 02:11:22:33:44:58
run arp -s 10.9.0.2 02:11:22:33:44:55
run arp -i tap1 -s 10.7.0.2 02:11:22:33:44:55
run arp -i nothere -s 10.8.0.5 02:11:22:33:44:55
run arp -s 10.8.0.6 nonsense
run arp -s 10.8.0.7 02:11:22:33:44:55 pub
run arp -i tap0 -Ds 10.8.0.8 tap0 pub
lines arp -n -i tap0
lines arp -an -i tap0
lines arp -en -i tap0
run arp -n 10.8.0.2
run arp -n 10.8.0.99
run arp -n -i tap1
run arp -n -i nothere
run arp -d 10.8.0.2
run arp -d 10.8.0.2
run arp -i tap0 -d 10.8.0.99
run arp -i tap0 -d 10.8.0.8 pub
run arp -d 10.8.0.7 pub
run arp -H ax25 -n -i tap0
lines arp -n -i tap0
run ifconfig tap0 -arp
run arp -s 10.8.0.9 02:11:22:33:44:59
run ifconfig tap0 arp
run ifconfig tap0 down
run ifconfig tap0 up
lines arp -n -i tap0
