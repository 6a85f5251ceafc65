# ip address, maddress, addrlabel, netconf
. "$TOOLS/lib.sh"
run ip -V
run ip addr
run ip addr add 10.9.0.1/24 dev tun0
run ip addr add 10.9.0.1/24 dev tun0
run ip addr add 10.9.0.2/24 dev tun0
run ip addr add 10.8.0.1 peer 10.8.0.2 dev tun0
run ip addr add 10.20.0.1/24 broadcast + dev tap0
run ip addr add 10.21.0.1/24 brd 10.21.0.99 label tap0:one scope link dev tap0
run ip addr add 10.22.0.1/24 dev tap0 valid_lft 1000 preferred_lft 500
run ip addr add 10.23.0.1/24 dev tap0 metric 50 noprefixroute
run ip addr
run ip link set tun0 addrgenmode none
run ip link set tun0 up
run ip link set tap0 up
settle
run ip addr show dev tun0
run ip addr show dev tap0
run ip -4 addr
run ip -br addr
run ip -br -4 addr show tun0
run ip -o addr
run ip -o -4 addr show dev tap0
run ip -j addr show tun0
run ip -j -p addr show dev tap0
run ip -d addr show tun0
run ip -s addr show tun0
run ip addr show to 10.9.0.0/24
run ip addr show scope link
run ip addr show label 'tap0:*'
run ip addr show secondary
run ip addr show primary
run ip addr show dynamic
run ip addr show permanent dev tap0
run ip addr show nothere
run ip addr change 10.22.0.1/24 dev tap0 valid_lft 2000 preferred_lft 0
run ip addr show deprecated
run ip addr replace 10.22.0.1/24 dev tap0 valid_lft forever preferred_lft forever
run ip addr replace 10.24.0.1/24 dev tap0
run ip addr del 10.22.0.1/24 dev tap0
run ip addr del 10.22.0.1/24 dev tap0
run ip addr del 10.8.0.1 dev tun0
run ip addr del 10.8.0.1 peer 10.8.0.2 dev tun0
run ip addr add 10.9.0.1/33 dev tun0
run ip addr add 10.9.0.1/24 dev nothere
run ip addr add 10.9.0.1/24
run ip addr add 10.30.0.1/24 label other dev tun0
run ip addr flush label tap0:one
run ip addr flush dev tun0
run ip addr flush dev tun0
run ip -s addr flush dev tap0 scope link
run ip addr add fd09::1/64 dev tun0
run ip -6 addr add fd09::1/64 dev tun0
run ip addr add fd10::1/128 peer fd10::2 dev tun0 nodad
run ip addr add fd11::1/64 dev tun0 preferred_lft 0 valid_lft 1000
run ip addr add fd12::1/64 dev tun0 home
run ip addr add fd13::1/64 dev tun0 mngtmpaddr noprefixroute
run ip addr add ::1/128 dev tun0
settle
run ip -6 addr show dev tun0
run ip -6 -j addr show dev tun0
run ip -6 -o addr show dev tun0
run ip -6 addr show deprecated
run ip -6 addr show scope global
run ip -6 addr show -tentative dev tun0
run ip -6 addr del fd11::1/64 dev tun0
run ip -6 addr del fd11::1/64 dev tun0
run ip -6 addr flush dev tun0
run ip -6 addr show dev tun0
run ip addr show tap0
run ip link set tap0 down
run ip addr show tap0
run ip maddr show dev tun0
run ip -4 maddr
run ip -6 maddr show dev tun0
run ip -j maddr show dev tun0
run ip maddr add 33:33:00:00:00:09 dev tap0
run ip maddr show dev tap0
run ip maddr del 33:33:00:00:00:09 dev tap0
run ip addrlabel
run ip addrlabel add prefix fd50::/16 label 99
run ip addrlabel add prefix fd50::/16 label 99
run ip -j addrlabel
run ip addrlabel del prefix fd50::/16 label 99
run ip addrlabel get fd50::1
run ip netconf show dev tun0
run ip -6 netconf show dev tun0
run ip token
