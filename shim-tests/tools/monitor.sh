# What the scripts of `ip monitor` share. Behind lib.sh.

place=$(mktemp -d)
trap 'rm -r "$place"' EXIT

# Two things that come and go tell where the output begins and ends; they are left out of it.
mark() {
    ip addr add "$1/32" dev tap0 2>/dev/null
    ip addr del "$1/32" dev tap0 2>/dev/null
    # Only a change is told, so there is one each time.
    ip link set tap0 mtu 1399
    ip link set tap0 mtu "140${1##*.}"
    ip route add blackhole "$1/32" table 99 2>/dev/null
    ip route del blackhole "$1/32" table 99 2>/dev/null
    ip rule add from "$1" table 99
    ip rule del from "$1" table 99
    ip neigh replace "$1" lladdr 02:00:00:00:00:99 dev tap0 nud permanent
    ip neigh del "$1" dev tap0
}

# Waits until the monitor has written the mark, which is made again and again.
marked() {
    for _ in $(seq 200); do
        mark "$1"
        for _ in $(seq 10); do
            grep -q -e "$1" -e "mtu.*140${1##*.}" "$place/out" && return
            sleep 0.01
        done
    done
    echo "the monitor has not seen $1" >&2
    exit 1
}

# Waits until the monitor has written this. It asks for an interface's name when it writes, and the
# interface must not be gone by then.
written() {
    for _ in $(seq 500); do
        grep -q -e "$1" "$place/out" && return
        sleep 0.01
    done
    echo "the monitor has not written $1" >&2
    exit 1
}

begin() {
    echo "$ ip $*"
    : > "$place/out"
    ip "$@" > "$place/out" 2>&1 &
    monitor=$!
    marked 192.0.2.1
    # All of the first marks are out before what counts begins.
    marked 192.0.2.2
}

# A record is a line and the lines behind it that begin with a blank.
end() {
    marked 192.0.2.3
    kill "$monitor"
    wait "$monitor" 2>/dev/null
    # The moment of an event, which stands in front of it, is none of two runs alike.
    sed -E '/^Timestamp/ { N; s/^Timestamp[^\n]*\n/[TIME]/ }; s/^\[20[^]]*\]/[TIME]/' "$place/out" | awk '
        /^[^ \t]/ { show(); text = ""; last = "" }
        { text = text $0 "\n" }
        function show() {
            if (text != "" && text !~ /192\.0\.2\.[123]|mtu ?.*(140[123]|1399)|02:00:00:00:00:99/ && on)
                printf "%s", text
            if (text ~ /192\.0\.2\.2|mtu ?.*1402/)
                on = 1
        }
        END { show() }'
    echo "status ended"
}
