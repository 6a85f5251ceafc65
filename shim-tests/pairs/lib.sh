# What every script of this folder shares: two hosts, a and b, with a wire between them. $W is a
# folder of its own, which is the current one.
. ./waiting.sh

# Runs a command on one of the hosts.
if [ "$SIDE" = kernel ]; then
    declare -A host
    for name in a b; do
        unshare -n sleep infinity &
        host[$name]=$!
        until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
    done
    on() {
        local name=$1
        shift
        nsenter --net=/proc/${host[$name]}/ns/net "$@"
    }
    for name in a b; do
        # As the machine's own namespace has it, whatever that is.
        on $name sh -c 'echo "0 0" >/proc/sys/net/ipv4/ping_group_range; cd /proc/sys/net/ipv4/conf
            for each in all default; do echo 0 >$each/rp_filter; done'
    done
else
    on() {
        local name=$1
        shift
        env LD_PRELOAD="$PRELOAD" MEMTUN_NET="$W/$name" MEMTUN_HOST=isolated MEMTUN_LINK=down "$@"
    }
fi

# The wire between the hosts, as tun0 or tap0. What is given behind the kind is for the wire.
wire() {
    local kind=${1:-tun}
    shift
    on a $WIRE ${kind}0 $kind $W/cable listen "$@" &
    on b $WIRE ${kind}0 $kind $W/cable connect "$@" &
    for each in a:1 b:2; do
        local name=${each%:*} number=${each#*:}
        on $name ip link set lo up
        until_has "${kind}0" on $name ip link
        on $name sh -c "echo 0 >/proc/sys/net/ipv6/conf/${kind}0/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/${kind}0/disable_ipv6" 2>/dev/null
        on $name ip addr add 10.9.0.$number/24 dev ${kind}0
        on $name ip addr add fd09::$number/64 dev ${kind}0 nodad
        on $name ip link set ${kind}0 up
    done
}

# Ends children by their ids, without a word about it.
finish() {
    for each in "$@"; do
        kill "$each" 2>/dev/null
        wait "$each" 2>/dev/null
    done
}

# Says "equal" or how two files differ.
same() {
    cmp "$@" && echo equal
}

trap 'kill $(jobs -p) 2>/dev/null; wait 2>/dev/null; exit 0' EXIT
