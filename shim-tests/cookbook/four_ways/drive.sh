#!/bin/sh
# The scenario in shell: drive.sh PROGRAM CAPTURE. `memtun` must be in PATH.
set -eu
MEMTUN_NET=$(mktemp -d)
export MEMTUN_NET
program=
end() {
    [ -z "$program" ] || kill "$program" 2>/dev/null || true
    wait
    rm -rf "$MEMTUN_NET"
}
trap end EXIT

# exchange PORT TO DATA: a datagram from 10.9.0.2:PORT to port TO of the program, and its answer.
exchange() {
    from=$(memtun send-udp --from "10.9.0.2:$1" tun0 "10.0.0.1:$2" "$3")
    echo "$from > 10.0.0.1:$2 $3"
    answer=$(memtun recv-udp --verbose tun0 "$from")
    echo "${answer%% *} > $from ${answer#* }"
}

memtun run --capture "$2" -- "$1" &
program=$!
tries=250
until memtun show tun0 >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { echo 'drive.sh: no tun0 in time' >&2; exit 1; }
    sleep 0.02
done
echo 'tun0 is there'
exchange 4001 7 ping
memtun fault write=EINTR@1
echo 'fault write=EINTR@1'
exchange 4002 7 ping
exchange 4003 13 'how often?'
exchange 4004 22 'once more'
memtun deny open
echo 'deny open'
exchange 4005 22 'once more'
memtun permit open
echo 'permit open'
exchange 4006 22 'once more'
