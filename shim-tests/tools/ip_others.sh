# ip -batch, tuntap, and what is no object of ip
. "$TOOLS/lib.sh"
run ip -V
place=$(mktemp -d)
trap 'rm -r "$place"' EXIT
batch() {
    echo "$ ip $* <<."
    cat > "$place/batch"
    cat "$place/batch"
    ip "$@" "$place/batch" > "$place/out" 2>&1
    status=$?
    sed "s|$place|PLACE|g" "$place/out"
    echo "status $status"
}
batch -b <<.
link set tun0 up
addr add 10.9.0.1/24 dev tun0
route add 10.50.0.0/16 dev tun0
route show
.
batch -b <<.
addr add 10.9.0.2/24 dev tun0
addr add 10.9.0.2/24 dev tun0
addr add 10.9.0.3/24 dev tun0
.
run ip -4 -br addr
batch -force -b <<.
addr add 10.9.0.2/24 dev tun0
# a comment
link set nothere up
nosuchobject show

addr add 10.9.0.3/24 dev tun0
.
run ip -4 -br addr
batch -j -b <<.
link show tun0
addr show dev nothere
.
echo 'link show dev tap0' | run ip -b -
run ip -b "/nothere"
run ip tuntap
run ip tuntap list
run ip -j tuntap
run ip tuntap add dev tun1 mode tun
run ip tuntap add dev tun1 mode tun
run ip tuntap add dev tap7 mode tap user 0 group 0 one_queue vnet_hdr multi_queue pi
run ip tuntap add mode tun
run ip tuntap add dev tun2
run ip tuntap add dev a/b mode tun
run ip tuntap add dev tun0 mode tap
run ip tuntap add dev tun0 mode tun
run ip tuntap
run ip -d link show tap7
run ip tuntap del dev tun1 mode tap
run ip tuntap del dev tun1 mode tun
run ip tuntap del dev tun1 mode tun
run ip tuntap del dev tap7 mode tap
run ip tuntap del dev tap7 mode tap multi_queue
run ip tuntap
run ip -br link
run ip nosuchobject
run ip -nosuchoption link
run ip link set
run ip link set tun0 nosuchword
run ip addr add dev tun0
run ip -f nosuchfamily addr
run ip -f inet -br addr
run ip -c=never -br link
run ip -n nosuchns link
run ip -a netns list
run ip -s -j -p link show tun0
run ip -stats=2 link show lo
run ip stats show dev tun0 group link
run ip mptcp endpoint show
run ip nexthop
run ip vrf show
run bridge link
run bridge fdb show dev tun0
run bridge vlan
run ip link del tun2
