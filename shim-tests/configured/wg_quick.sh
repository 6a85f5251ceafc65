# wg-quick with an implementation of WireGuard in user space
# needs: wg-quick wg ip unshare mount
# It insists on user 0 and talks to the implementation over /run/wireguard. An ordinary user gets
# both in a user and a mount namespace; the network stays the one that it was. A kernel with
# WireGuard would make an interface of its own, and the transcripts would differ.
[ "$SIDE" = kernel ] || alone=-Ur
[ -n "$INSIDE" ] || INSIDE=1 exec unshare $alone -m bash "$0"
. ./lib.sh
mount -t tmpfs tmpfs /run 2>mount.log || cat mount.log
[ -d /var/run/wireguard ] || mkdir /run/wireguard
loopback
wg --version | sed 's/ - .*//'
export WG_QUICK_USERSPACE_IMPLEMENTATION="$BORINGTUN" WG_SUDO=true WG_LOG_FILE="$W/daemon.log"
umask 077
cat >wq0.conf <<C
[Interface]
PrivateKey = $(wg genkey)
Address = 10.18.0.2/24, fd00:18::2/64
ListenPort = $PORT
MTU = 1380
PreUp = echo before %i
PostUp = ip route add 10.118.0.0/16 dev %i; ip rule add from 10.18.0.0/24 table 118 priority 118
PreDown = ip rule del priority 118
PostDown = ip -br addr show %i
[Peer]
PublicKey = $(wg genkey | wg pubkey)
Endpoint = 127.0.0.1:$((PORT + 1))
AllowedIPs = 10.18.0.0/24, 10.19.0.0/16, fd00:19::/48, fd00:18::/64
PersistentKeepalive = 25
C
sed -e '/^P[ro][es]/d; s/10\.18/10.20/g; s/fd00:18/fd00:20/g' -e "s/^ListenPort.*/Table = 120/; s/^MTU.*/FwMark = 0x51/" wq0.conf >wq1.conf
tidy() {
    plain | sed -E "s#$W#W#g; s#[^ ]*boringtun-cli#BORINGTUN#g; s#/dev/fd/[0-9]+#/dev/fd/N#g; s/$PORT/PORT/g; s/$((PORT + 1))/PORT1/g; s#[A-Za-z0-9+/]{43}=#KEY#g; s/ uid [0-9]+//; /running userspace|^[│┌└]/d"
}
quick() {
    echo "\$ wg-quick $*"
    wg-quick "$@" >out 2>&1
    status=$?
    tidy <out
    echo "status $status"
}
quick up ./wq0.conf
quick up ./wq0.conf
quick up ./wq1.conf
settle
show
ip rule
ip route show table 120
ip -6 route show table 120
wg show wq0 | tidy
wg show all fwmark | sort
quick save ./wq0.conf
quick strip ./wq1.conf
quick down ./wq1.conf
quick down ./wq0.conf
quick down ./wq0.conf
quick up ./nothere.conf
show
ip rule
for daemon in $(daemons "$(readlink -f "$BORINGTUN")"); do kill "$daemon"; done
