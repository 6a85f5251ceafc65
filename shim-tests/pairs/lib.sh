# What every script of this folder shares: two hosts, a and b, with a wire between them. $W is a
# folder of its own, which is the current one.
. ./waiting.sh

# on NAME COMMAND... runs a command on one of the hosts; it becomes the command, so that its id is
# the command's.
if [ "$SIDE" = kernel ]; then
    for name in a b; do
        unshare -n sleep infinity &
        echo $! >host.$name
        until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
    done
    echo 'exec nsenter --net=/proc/$(cat "$W/host.$name")/ns/net "$@"' >on.how
else
    echo 'exec env LD_PRELOAD="$PRELOAD" MEMTUN_NET="$W/$name" MEMTUN_HOST=isolated MEMTUN_LINK=down "$@"' >on.how
fi
printf '#!/bin/bash\nname=$1\nshift\n' | cat - on.how >on
chmod +x on
export PATH=$W:$PATH
if [ "$SIDE" = kernel ]; then
    for name in a b; do
        # As the machine's own namespace has it, whatever that is.
        on $name sh -c 'echo "0 0" >/proc/sys/net/ipv4/ping_group_range; cd /proc/sys/net/ipv4/conf
            for each in all default; do echo 0 >$each/rp_filter; done'
    done
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

# Logs and what was received begin anew. A program in the background opens its files when it runs,
# so whoever waits for a text there could find what an earlier one has said.
anew() {
    rm -f "$@"
}

# Both hosts answer each other: a port that nobody has is refused in both directions. Some programs
# need a moment after they have said that they are connected.
until_reached() {
    local of_a=$1 of_b=$2 end=$((SECONDS + 20))
    while [ $SECONDS -lt $end ]; do
        refused a $of_b && refused b $of_a && return
        sleep 0.1
    done
    echo "never reached: $of_a $of_b"
}

refused() {
    on $1 nc -n -v -z -w 1 $2 9 2>&1 | grep -q refused
}

# What iperf3 counted: at least so many bytes, or most datagrams. Much may be on its way when the
# sender ends.
counted() {
    python3 -c '
import json, sys
end = json.load(open("client.json")).get("end", {})
if "sum_received" in end and sys.argv[1] == "bytes":
    print("received", end["sum_received"]["bytes"] >= int(sys.argv[2]))
elif "sum" in end:
    print("datagrams", end["sum"]["packets"] > 100, "lost less than 5 %", end["sum"]["lost_percent"] < 5)
else:
    print(open("client.json").read())
' "$@"
}

# iperf3 from a to b by TCP and by UDP.
measured() {
    local kind
    for kind in 'bytes 1:-n 5M' 'datagrams:-u -b 5M -l 1000 -n 200K'; do
        anew iperf.log
        on b iperf3 -s -1 -B $1 -p 5201 --forceflush >iperf.log 2>&1 &
        local server=$!
        until_log listening iperf.log
        on a timeout 30 iperf3 -J ${kind#*:} -c $1 -p 5201 >client.json
        echo "iperf3: status $?"
        counted ${kind%%:*}
        finish $server
    done
}

# A server of asyncio on b and its clients on a.
awaited() {
    anew asyncio.log
    on b /usr/bin/python3 -u asyncio_server.py server $1 >asyncio.log 2>&1 &
    local server=$!
    until_log serving asyncio.log
    on a timeout 30 /usr/bin/python3 asyncio_server.py client $1
    echo "asyncio: status $?"
    finish $server
}

# What goes over a network between the hosts: exercise ADDRESS-OF-A ADDRESS-OF-B
exercise() {
    local of_a=$1 of_b=$2 at=$2 family=-4
    case $of_b in *:*) at="[$of_b]" family=-6 ;; esac
    echo "== $of_a $of_b"
    until_reached $of_a $of_b
    [ -x own_ping ] || cp "$(command -v ping)" own_ping
    on a own_ping -c 3 -i 0.1 -W 5 $of_b | sed -n 's/, time.*//; /received/p'
    on b own_ping -c 3 -i 0.1 -W 5 $of_a | sed -n 's/, time.*//; /received/p'
    local hosts from to address
    for hosts in a:b:$of_b b:a:$of_a; do
        IFS=: read -r from to address <<<"$hosts"
        anew $to.got $to.log
        on $to nc $family -v -n -l -N 9000 <<<"from $to" >$to.got 2>$to.log &
        local server=$!
        until_log Listening $to.log
        on $from timeout 20 nc -n -N -w 10 $address 9000 <<<"from $from" >$from.got
        echo "$from to $to by TCP: status $?"
        gone $server
        cat $from.got $to.got
        anew $to.got $to.log
        on $to nc $family -v -n -u -l 9002 >$to.got 2>$to.log &
        server=$!
        until_log Bound $to.log
        on $from sh -c "(echo 'a datagram'; sleep 2) | timeout 5 nc -n -u -w 2 $address 9002" &
        local client=$!
        until_log datagram $to.got
        finish $client $server
        echo "$from to $to by UDP: $(cat $to.got)"
    done
    [ -f big ] || head -c 20000000 /dev/urandom >big
    anew got http.log
    on b python3 -u -m http.server --bind $of_b 8000 >http.log 2>&1 &
    server=$!
    until_log Serving http.log
    on a curl -g -s --max-time 60 -o got http://$at:8000/big
    echo "curl: status $?"
    same big got
    on a curl -g -s --max-time 20 http://$at:8001/
    echo "curl, refused: status $?"
    finish $server
    measured $of_b
    awaited $of_b
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
