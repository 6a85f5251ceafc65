# What every script of this folder shares. $W is a folder of its own, which is the current one.

# Waits until what the command says has the text.
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

# Waits until a program's log has the text.
until_log() {
    for _ in $(seq 400); do
        grep -s -q -e "$1" "$2" && return
        sleep 0.02
    done
    echo "never in $2: $1"
    cat "$2"
}

# Every link that is up has its own address of IPv6, and no address is tentative any more.
settle() {
    until_has '^0$' unsettled
}

unsettled() {
    {
        ip -6 -o addr show tentative
        for device in $(ip -o link show up | awk '/LOWER_UP/ && !/LOOPBACK/ && $5 >= 1280 { sub(/:/, "", $2); print $2 }'); do
            ip -6 -o addr show dev "$device" scope link | grep -q fe80 || echo "$device"
        done
    } | wc -l
}

# What a run or a machine decides is replaced: indexes, addresses that the kernel chose, the queue
# discipline.
plain() {
    sed -E 's/^[0-9]+: /N: /; s/fe80::[0-9a-f:]+/fe80::N/g; s/qdisc (pfifo_fast|fq_codel)/qdisc default/
        /ether 02:00:00:00/!s/(ether|HWaddr) [0-9a-f:]{17}/\1 MAC/; s#/tmp/[^/ ]*#DIR#g'
}

show() {
    for what in addr route '-6 route'; do
        echo "\$ ip $what"
        ip $what | plain
    done
}

# Ends a process and says how it ended.
end() {
    kill "$1"
    gone "$1"
}

# A child ends.
gone() {
    for _ in $(seq 250); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.02
    done
    kill -9 "$1" 2>/dev/null && echo "had to be killed"
    wait "$1" 2>/dev/null
    echo "status $?"
}

# A daemon, which is nobody's child here, ends.
end_daemon() {
    kill "$1"
    for _ in $(seq 250); do
        kill -0 "$1" 2>/dev/null || return
        sleep 0.02
    done
    echo "the daemon had to be killed"
    kill -9 "$1"
}

# The process ids of a program that has no parent here any more.
daemons() {
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/exe")" = "$1" ] && grep -s -q -z "^W=$W\$" "$process/environ" &&
            echo "${process#/proc/}"
    done
}

loopback() {
    ip link set lo up
}

# An interface to the world, with a default route.
uplink() {
    loopback
    ip tuntap add eth0 mode tap
    ip link set eth0 addrgenmode none address 02:00:00:00:00:10
    ip addr add 192.0.2.10/24 dev eth0
    ip link set eth0 up
    ip route add default via 192.0.2.1
    until_has 'default.*linkdown' ip route
}

# The number of links.
links() {
    ip -o link | wc -l
}
