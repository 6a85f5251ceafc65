# ip: temporary addresses of IPv6 beside one that is marked as their origin
. "$TOOLS/lib.sh"
# The addresses of an interface, without what is drawn and what counts down.
addresses() {
    settle
    printf '$ addresses of %s\n' "$1"
    ip -6 addr show dev "$1" | sed -E 's/[0-9]+sec/Nsec/g; s/(fd[0-9]+:):?[0-9a-f]+:[0-9a-f]+:[0-9a-f]+:[0-9a-f]+/\1TEMP/; s/^[0-9]+: /N: /'
    echo "status 0"
}
run ip -V
for name in tun0 tap0; do
    ip link set $name addrgenmode none
    ip link set $name up
done
run ip -6 addr add fd10::1/64 dev tun0 mngtmpaddr
addresses tun0
for name in tun0 tap0; do
    echo 2 >/proc/sys/net/ipv6/conf/$name/use_tempaddr
done
run ip -6 addr add fd11::1/64 dev tun0 mngtmpaddr
addresses tun0
run ip -6 addr add fd12::1/64 dev tap0 mngtmpaddr nodad
addresses tap0
run ip -6 addr add fd13::1/48 dev tap0 mngtmpaddr
run ip -6 addr add fd14::1/64 dev tap0 mngtmpaddr nodad valid_lft 1000 preferred_lft 500
run ip -6 addr add fd15::1/64 dev tap0 mngtmpaddr nodad valid_lft 1000 preferred_lft 3
addresses tap0
run ip -6 addr change fd12::1/64 dev tap0 valid_lft 1000 preferred_lft 500 mngtmpaddr
addresses tap0
run ip -6 addr change fd12::1/64 dev tap0
addresses tap0
run ip -6 addr change fd10::1/64 dev tun0 mngtmpaddr
addresses tun0
run ip -6 addr del fd11::1/64 dev tun0
addresses tun0
run ip -6 addr del fd14::1/64 dev tap0
addresses tap0
run ip -6 route
