# ocserv and openconnect with vpnc-script; ocserv insists on setgroups(2)
# needs: ocserv ocpasswd openconnect openssl ip fakeroot ping nc curl iperf3 python3
# needs: ../share/vpnc-scripts/vpnc-script
# on the kernel: as root
. ./lib.sh
wire tun
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost 2>/dev/null
printf 'secret\nsecret\n' | ocpasswd -c "$W/passwd" user
cat >ocserv.conf <<C
auth = "plain[passwd=$W/passwd]"
tcp-port = 4433
udp-port = 4433
listen-host = 10.9.0.2
run-as-user = nobody
run-as-group = nogroup
socket-file = $W/sock
server-cert = $W/cert.pem
server-key = $W/key.pem
isolate-workers = false
max-clients = 4
keepalive = 300
device = vpn
ipv4-network = 10.8.0.0/24
mtu = 1400
route = 10.8.0.0/24
cisco-client-compat = true
use-occtl = false
pid-file = $W/pid
C
root=
[ "$SIDE" = kernel ] || root=fakeroot
on b $root ocserv -f -d 1 -c ocserv.conf >server.log 2>&1 &
b=$!
until_log "sec-mod initialized" server.log
pin=$(openssl x509 -in cert.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64)
echo secret >password
on a openconnect -u user --passwd-on-stdin --servercert "pin-sha256:$pin" -i vpn0 \
    --script /usr/share/vpnc-scripts/vpnc-script 10.9.0.2:4433 <password >client.log 2>&1 &
a=$!
until_has 10.8.0. on a ip -4 addr show dev vpn0
address=$(on a ip -4 -o addr show dev vpn0 | sed 's/.*inet \([0-9.]*\).*/\1/')
exercise $address 10.8.0.1 | sed "s/$address/CLIENT/g"
finish $a
kill "$(cat pid)"
finish $b
