# ifconfig of net-tools. txqueuelen, mem_start and irq are not here: the kernel permits them to the
# root of the machine only, which the root of a namespace is not.
. "$TOOLS/lib.sh"
run ifconfig -V
run ifconfig tun0
run ifconfig tap0
paragraphs ifconfig
paragraphs ifconfig -a
lines ifconfig -s -a
run ifconfig tun0 10.9.0.1
run ifconfig tun0
run ifconfig tap0 10.8.0.1
run ifconfig tap0
paragraphs ifconfig
lines ifconfig -s
run ifconfig tun0 10.9.0.1 netmask 255.255.255.0
run ifconfig tun0 10.9.0.1 pointopoint 10.9.0.2
run ifconfig tun0
run ifconfig tun0 10.9.0.1 netmask 255.255.255.0 dstaddr 10.9.0.9
run ifconfig tun0 broadcast 10.9.0.255
run ifconfig tun0
run ifconfig tap0 192.0.2.1/28
run ifconfig tap0 192.0.2.1 netmask 255.255.255.240 broadcast 192.0.2.15 mtu 1400 up
run ifconfig tap0
run ifconfig tap0 10.8.0.1 netmask 255.0.255.0
run ifconfig tap0 224.0.0.1
run ifconfig tap0:1 192.0.2.33 netmask 255.255.255.0
run ifconfig tap0:1
run ifconfig tap0:x 198.51.100.1/24
paragraphs ifconfig
paragraphs ifconfig -a
run ifconfig tap0:1 down
run ifconfig tap0:1
run ifconfig tap0:9
run ifconfig tap0:9 down
run ifconfig tap0:x 0.0.0.0
run ifconfig tap0 add 2001:db8::1/64
run ifconfig tap0 inet6 add 2001:db8::2/128
run ifconfig tap0 add 2001:db8::1/64
run ifconfig tap0 inet6 add 2001:db8::3
run ifconfig tap0
run ifconfig tap0 inet6 del 2001:db8::2/128
run ifconfig tap0 del 2001:db8::2/128
run ifconfig tap0 add 192.0.2.77
paragraphs ifconfig
run ifconfig tap0 del 192.0.2.77
run ifconfig tap0 promisc
run ifconfig tap0 allmulti
run ifconfig tap0
run ifconfig tap0 -promisc -allmulti
run ifconfig tap0 -arp
run ifconfig tap0 -multicast
run ifconfig tap0
run ifconfig tap0 arp multicast
run ifconfig tap0 mtu 1280
run ifconfig tap0 mtu 1279
run ifconfig tap0
run ifconfig tap0 mtu 67
run ifconfig tap0 mtu 99999
run ifconfig tap0 mtu 1500
run ifconfig tap0 hw ether 02:00:00:00:00:07
run ifconfig tap0 hw ether 01:00:00:00:00:07
run ifconfig tap0 hw ether nonsense
run ifconfig tun0 hw ether 02:00:00:00:00:07
run ifconfig tap0
run ifconfig tun0 trailers
run ifconfig tun0 dynamic
run ifconfig tun0 tunnel ::10.9.0.1
run ifconfig tun0 down
run ifconfig tun0
run ifconfig -v tun0
run ifconfig nothere
run ifconfig nothere 10.9.0.1
run ifconfig nothere up
run ifconfig tun0 up
paragraphs ifconfig
