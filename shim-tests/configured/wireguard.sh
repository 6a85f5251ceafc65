# boringtun and what wg-quick does: addresses, a default route in a table of its own, rules
# needs: ip wg python3
. ./lib.sh
uplink
key=$(wg genkey)
peer=$(wg genkey | wg pubkey)
ip -V
hexadecimal() { echo "$1" | base64 -d | od -An -v -tx1 | tr -d ' \n'; }
# An ordinary user has no /var/run/wireguard, so the daemon gets a connected socket instead.
cat >start.py <<'P'
import socket, subprocess, sys

ours, theirs = socket.socketpair()
daemon = subprocess.Popen(
    [sys.argv[1], "--foreground", "--disable-drop-privileges", "--uapi-fd", str(theirs.fileno()), "bt0"],
    pass_fds=[theirs.fileno()],
)
theirs.close()
ours.settimeout(20)
ours.sendall(sys.stdin.read().encode())
print(ours.recv(100).decode().strip(), flush=True)
open("pid", "w").write(str(daemon.pid))
daemon.wait()
P
cat >set <<S
set=1
private_key=$(hexadecimal "$key")
listen_port=$PORT
fwmark=51820
public_key=$(hexadecimal "$peer")
endpoint=127.0.0.1:$((PORT + 1))
allowed_ip=0.0.0.0/0

S
python3 start.py "$BORINGTUN" <set >log 2>&1 &
daemon=$!
until_log errno=0 log
cmd() { echo "[#] $*"; "$@"; }
cmd ip -4 address add 10.17.0.2/24 dev bt0
cmd ip -6 address add fd00:17::2/64 dev bt0
cmd ip link set mtu 1420 up dev bt0
cmd ip -4 route add 0.0.0.0/0 dev bt0 table 51820
cmd ip -4 rule add not fwmark 51820 table 51820
cmd ip -4 rule add table main suppress_prefixlength 0
cmd ip -6 route add ::/0 dev bt0 table 51820
cmd ip -6 rule add not fwmark 51820 table 51820
cmd ip -6 rule add table main suppress_prefixlength 0
settle
show
ip rule
ip -6 rule
ip route show table 51820
ip -6 route show table 51820
ip route get 198.51.100.1 | sed 's/ uid .*//'
ip route get 198.51.100.1 mark 51820 | sed 's/ uid .*//'
ip route get 192.0.2.77 | sed 's/ uid .*//'
ip -4 route show dev bt0 match 10.17.0.0/24
cmd ip -4 rule delete table 51820
cmd ip -4 rule delete table main suppress_prefixlength 0
cmd ip -6 rule delete table 51820
cmd ip -6 rule delete table main suppress_prefixlength 0
cmd ip link delete dev bt0
kill "$(cat pid)" 2>/dev/null
gone $daemon >/dev/null
show
