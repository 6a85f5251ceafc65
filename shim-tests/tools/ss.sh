# ss and netstat: sockets that are bound to addresses of the interfaces, or connected over them.
. "$TOOLS/lib.sh"
run ip addr add 10.9.0.1/24 dev tun0
run ip addr add 10.8.0.1/24 dev tap0
run ip -6 addr add fd09::1/64 dev tun0 nodad
run ip link set tun0 up
run ip link set tap0 up
run ip link set lo up
settle
holds() {
    /usr/bin/python3 -c '
import socket, sys
kept = []
def made(family, kind, own, other=None):
    s = socket.socket(family, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setblocking(False)
    s.bind(own)
    if other:
        s.connect_ex(other)
    elif kind == socket.SOCK_STREAM:
        s.listen(5)
    kept.append(s)
V4, V6, TCP, UDP = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM
made(V4, TCP, ("10.9.0.1", 8080))
made(V4, TCP, ("10.8.0.1", 8080))
made(V6, TCP, ("fd09::1", 8081))
made(V4, UDP, ("10.9.0.1", 5353))
made(V6, UDP, ("fd09::1", 5354))
made(V4, UDP, ("10.9.0.1", 5355), ("10.9.0.7", 53))
made(V4, TCP, ("10.9.0.1", 5001), ("10.9.0.8", 99))
made(V6, TCP, ("fd09::1", 5002), ("fd09::8", 99))
made(V4, TCP, ("10.9.0.1", 5003), ("10.9.0.1", 8080))
print("ready", flush=True)
sys.stdin.read()
'
}
dir=$(mktemp -d)
mkfifo "$dir/end"
holds <"$dir/end" >"$dir/said" &
exec 9>"$dir/end"
until_has ready cat "$dir/said"
until_has ESTAB ss -Htn dst 10.9.0.1:8080
run_sorted ss -Htnl
run_sorted ss -Hunl
run_sorted ss -Htn
run_sorted ss -Hun
run_sorted ss -Htan dst 10.9.0.0/24
run_sorted ss -Htan src 10.8.0.0/16
run_sorted ss -Htan sport = :5001 or dport = :8080
run_sorted ss -Htan dst [fd09::8]
run_sorted ss -Htan state syn-sent
run_sorted ss -Htan '( dport = :99 and src [fd09::1] )'
run_sorted netstat -tln
run_sorted netstat -tn
run_sorted netstat -un
printf 'addresses of /proc/net\n'
cat /proc/net/tcp /proc/net/udp /proc/net/tcp6 /proc/net/udp6 | awk '$4 ~ /^[0-9A-F]+$/ { print $2, $3, $4 }' | sort
exec 9>&-
wait
rm -r "$dir"
