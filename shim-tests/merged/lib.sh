# What the scripts of this folder share. The namespace is the machine: it has an interface eth9 of
# its own, changed by `machine`. Programs run by `seen`, which is under the shim on that side.
export LC_ALL=C PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin

machine() {
    "$@"
}

# Without privileges under the shim; on the kernel as the namespace's root.
seen() {
    if [ "$SIDE" = shim ]; then
        setpriv --bounding-set=-all --inh-caps=-all env LD_PRELOAD="$LIBRARY" MEMTUN_NET="$NET" MEMTUN_LINK=down "$@"
    else
        "$@"
    fi
}

# Indexes are others; so are the moments when things were used.
plain() {
    sed -E 's/^[0-9]+:([ \t])/N:\1/; s/qdisc (pfifo_fast|fq_codel)/qdisc default/; s/ uid [0-9]+//
        s/^(\[[A-Z]+\])?(Deleted )?[0-9]+: /\1\2N: /'
}

run() {
    echo "\$ $*"
    seen "$@" 2>&1 | plain
    echo "status ${PIPESTATUS[0]}"
}

run_sorted() {
    echo "\$ $*"
    seen "$@" 2>&1 | plain | sort
    echo "status ${PIPESTATUS[0]}"
}

until_has() {
    text=$1
    shift
    for _ in $(seq 400); do
        "$@" 2>/dev/null | grep -q -e "$text" && return
        sleep 0.02
    done
    echo "never had $text: $*"
    "$@"
}

# Makes an interface for root or for the program's user, which is there until `drop NAME`.
hold() {
    mkfifo "$PLACE/$2"
    $1 python3 - "$2" "$3" "$PLACE/$2" <<'P' &
import fcntl, os, struct, sys
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", sys.argv[1].encode(), int(sys.argv[2], 0)))
open(sys.argv[3]).read()
P
    eval "holder_$2=$!"
    exec {held}>"$PLACE/$2"
    eval "held_$2=$held"
    until_has "$2" $1 ip link show "$2"
    $1 ip link set "$2" addrgenmode none
}

drop() {
    eval "exec {held_$1}>&-"
    eval "wait \$holder_$1"
}

# The machine's own interface is a tap of the kernel's, because not every kernel has others.
own_machine() {
    mount -t sysfs sysfs /sys
    machine ip link set lo up
    hold machine eth9 0x1002
    machine ip link set eth9 address 02:00:00:00:00:10
    machine ip addr add 192.0.2.10/24 brd + dev eth9
    machine ip link set eth9 up
    machine ip addr add 2001:db8::10/64 dev eth9 nodad
    machine ip route add default via 192.0.2.1
    until_has 2001:db8::10 machine ip -6 route show table local
}
