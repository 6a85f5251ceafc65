# ip link
. "$TOOLS/lib.sh"
run ip -V
run ip link
run ip link show
run ip link show dev tun0
run ip link show tap0
run ip link show nothere
run ip -br link
run ip -o link
run ip -d link show tun0
run ip -d link show tap0
run ip -s link show tun0
run ip -s -s link show tun0
run ip -j link show tun0
run ip -j -p link show tap0
run ip -j -d link show tun0
run ip -j -s link show tun0
run ip -br -j link
run ip link show up
run ip link show type tun
run ip link show type dummy
run ip link show master tap0
run ip link show group default
run ip -4 link
run ip link set tun0 up
run ip link set dev tap0 up
settle
run ip link show tun0
run ip -d link show tap0
run ip -br link
run ip link show up
run ip link set tun0 mtu 1400
run ip link set tun0 mtu 67
run ip link set tun0 mtu 65536
run ip link set tun0 txqueuelen 77
run ip link set tun0 qlen 88
run ip link set tun0 alias 'a tunnel of ours'
run ip link show tun0
run ip link set tun0 alias ''
run ip link set tun0 group 5
run ip link show group 5
run ip link set group 5 mtu 1300
run ip link set tun0 group default
run ip link set tap0 address 02:00:00:00:00:07
run ip link set tap0 broadcast ff:ff:ff:ff:ff:fe
run ip link set tun0 address 02:00:00:00:00:07
run ip link set tap0 address 02:00
run ip link show tap0
run ip link set tap0 promisc on
run ip link set tap0 allmulticast on
run ip -d link show tap0
run ip link set tap0 promisc off allmulticast off
run ip link set tap0 multicast off
run ip link set tap0 arp off
run ip link show tap0
run ip link set tap0 multicast on arp on
run ip link set tun0 carrier off
until_has NO-CARRIER ip link show tun0
run ip link show tun0
run ip link set tun0 carrier on
until_has 'state UP' ip link show tun0
run ip link show tun0
run ip link set tun0 down
run ip link set tun0 name vpn0
run ip link show vpn0
run ip link set vpn0 name tap0
run ip link set vpn0 name tun0
run ip link set tun0 name bad/name
run ip link property add dev tun0 altname the-other-name altname another
run ip link show the-other-name
run ip -j link show another
run ip link property add dev tun0 altname tap0
run ip link property del dev tun0 altname another
run ip link property del dev tun0 altname another
run ip link set dev the-other-name mtu 1500
run ip link set tun0 addrgenmode eui64
run ip link set tun0 addrgenmode none
run ip link set tun0 mode dormant
run ip link set tun0 state up
run ip link set tun0 master tap0
run ip link set tun0 nomaster
run ip link set tun0 netns 99999999
run ip link set tun0 protodown on
run ip link add name new0 type tun
run ip link add name new0 type nosuchkind
run ip link add name tun0 type tun
run ip link set nothere up
run ip link delete nothere
run ip link delete lo
run ip link set lo mtu 1000
run ip link show lo
run ip link delete tun0
run ip link show tun0
