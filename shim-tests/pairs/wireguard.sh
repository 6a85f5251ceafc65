# WireGuard by boringtun
# needs: ip wg python3 ping nc curl iperf3
. ./lib.sh
wire tun
hexadecimal() { echo "$1" | base64 -d | od -An -v -tx1 | tr -d ' \n'; }
# An ordinary user has no /var/run/wireguard, so the daemon gets a connected socket instead.
cat >start.py <<'P'
import socket, subprocess, sys

ours, theirs = socket.socketpair()
daemon = subprocess.Popen(
    [sys.argv[1], "--foreground", "--disable-drop-privileges", "--uapi-fd", str(theirs.fileno()), "vpn0"],
    pass_fds=[theirs.fileno()],
)
theirs.close()
ours.settimeout(20)
ours.sendall(sys.stdin.read().encode())
print(ours.recv(100).decode().strip(), flush=True)
open(sys.argv[2], "w").write(str(daemon.pid))
daemon.wait()
P
key1=$(wg genkey) key2=$(wg genkey)
for host in a:1:2 b:2:1; do
    IFS=: read -r name own other <<<"$host"
    key=key$own peer=key$other
    cat >$name.set <<S
set=1
private_key=$(hexadecimal "${!key}")
listen_port=5182$own
public_key=$(hexadecimal "$(wg pubkey <<<"${!peer}")")
endpoint=10.9.0.$other:5182$other
allowed_ip=0.0.0.0/0
allowed_ip=::/0

S
    on $name /usr/bin/python3 start.py "$BORINGTUN" $name.pid <$name.set >$name.log 2>&1 &
    eval "$name=$!"
    until_log errno=0 $name.log
    on $name ip addr add 10.8.0.$own/24 dev vpn0
    on $name sh -c 'echo 0 >/proc/sys/net/ipv6/conf/vpn0/disable_ipv6' 2>/dev/null
    on $name ip addr add fd08::$own/64 dev vpn0
    on $name ip link set mtu 1420 up dev vpn0
done
exercise 10.8.0.1 10.8.0.2
exercise fd08::1 fd08::2
kill "$(cat a.pid)" "$(cat b.pid)"
finish $a $b
