#!/bin/sh
# ci.sh - shows a job for CI in shell: starts a program under the shim, sends it datagrams, checks
# the answers, and leaves nothing behind however it ends. It needs no privileges and no services:
# memtun in PATH, and the program.
#
#     ./ci.sh ./shout            # the program of ../c_program; put your own here
set -eu
program=$1

MEMTUN_NET=$(mktemp -d) # a named net, so that program and checks find each other
export MEMTUN_NET
job=
end() {
    status=$?
    [ -z "$job" ] || kill "$job" 2>/dev/null || true # `run` hands it on to the program
    wait
    [ "$status" -eq 0 ] || sed 's/^/program: /' "$MEMTUN_NET.log" >&2
    rm -rf "$MEMTUN_NET" "$MEMTUN_NET.log"
    exit "$status"
}
trap end EXIT
trap 'exit 143' TERM INT

# Will it work at all? doctor names the reason and the remedy, if not.
memtun doctor "$program"

memtun run -- "$program" tun0 >"$MEMTUN_NET.log" 2>&1 &
job=$!

# says PORT DATA EXPECTED: a datagram from PORT, and what must come back. Both verbs wait for the
# interface.
says() {
    memtun send-udp --from "10.9.0.2:$1" tun0 10.9.0.1:7 "$2" >/dev/null
    answer=$(memtun recv-udp tun0 "10.9.0.2:$1")
    if [ "$answer" != "$3" ]; then
        echo "ci.sh: to '$2' came '$answer' instead of '$3'" >&2
        exit 1
    fi
    echo "ok: $2 -> $answer"
}

says 4001 hello HELLO

memtun fault write=EINTR@1 # a signal at the wrong moment
says 4002 interrupted INTERRUPTED

memtun set tun0 down # the link goes away and comes back
if memtun send-udp --timeout 0 tun0 10.9.0.1:7 lost 2>/dev/null; then
    echo 'ci.sh: a link that is down took a packet' >&2
    exit 1
fi
memtun set tun0 up
says 4003 'here again' 'HERE AGAIN'

kill -0 "$job" # still running
memtun show tun0
