# ocserv and openconnect with vpnc-script; ocserv insists on setgroups(2)
# needs: ocserv ocpasswd openconnect openssl ip fakeroot ../share/vpnc-scripts/vpnc-script
# on the kernel: as root
. ./lib.sh
ocserv --version 2>&1 | head -1
openconnect --version | head -1
uplink
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost 2>/dev/null
printf 'secret\nsecret\n' | ocpasswd -c "$W/passwd" user
cat >ocserv.conf <<C
auth = "plain[passwd=$W/passwd]"
tcp-port = $PORT
listen-host = 127.0.0.1
run-as-user = nobody
run-as-group = nogroup
socket-file = $W/sock
server-cert = $W/cert.pem
server-key = $W/key.pem
isolate-workers = false
max-clients = 4
keepalive = 300
device = ocs
ipv4-network = 10.12.0.0/24
ipv6-network = fd00:12::/64
mtu = 1400
route = 192.168.88.0/24
route = fd00:88::/48
no-route = 192.168.88.128/25
cisco-client-compat = true
use-occtl = false
pid-file = $W/pid
connect-script = $W/connect.sh
C
cat >connect.sh <<H
#!/bin/sh
{ echo \$REASON \$DEVICE \$IP_LOCAL \$IP_REMOTE; ip -br -4 addr show \$DEVICE; } >>$W/connect.log
H
chmod +x connect.sh
root=
[ "$SIDE" = kernel ] || root=fakeroot
$root ocserv -f -d 1 -c ocserv.conf >server.log 2>&1 &
server=$!
until_log "sec-mod initialized" server.log
pin=$(openssl x509 -in cert.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64)
echo secret | openconnect -u user --passwd-on-stdin --servercert "pin-sha256:$pin" -i occ --no-dtls \
    --script /usr/share/vpnc-scripts/vpnc-script "127.0.0.1:$PORT" >client.log 2>&1 &
client=$!
until_has fd00:88 ip -6 route
settle
# The server takes addresses from its networks at random.
addresses() {
    sed -E "s/10\.12\.0\.[0-9]+( |\/32|$)/CLIENT\1/g; s/fd00:12::[0-9a-f:]{2,}( |\/128)/CLIENT6\1/g; s/%[0-9]+//g"
}
show | addresses
addresses <connect.log
end $client
sleep 0.1
kill "$(cat pid)"
gone $server
grep -E 'RTNETLINK|SIOC|rror|ailed' client.log server.log
grep -E 'Configured' client.log | addresses | sed 's/10.12[^ ]* + [^ ]*/CLIENT/'
show
