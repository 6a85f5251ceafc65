# vtund, whose `up {}` and `down {}` sections run ip, ifconfig, route and a program
# needs: vtund ip ifconfig route
. ./lib.sh
echo vtund
uplink
# A router solicitation from the other side would meet an interface that is not up yet.
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
cat >server.conf <<C
options { port $PORT; syslog daemon; ifconfig /sbin/ifconfig; route /sbin/route; ip /sbin/ip; }
one {
  passwd secret; type tun; proto tcp; device vts; keepalive yes; multi yes;
  up {
    ip "addr add 10.5.0.1 peer 10.5.0.2 dev %%";
    ip "link set %% up mtu 1450";
    route "add -net 10.55.0.0 netmask 255.255.0.0 gw 10.5.0.2";
    program /bin/sh "$W/hook.sh up %%" wait;
  };
  down {
    program /bin/sh "$W/hook.sh down %%" wait;
  };
}
C
cat >client.conf <<C
options { port $PORT; syslog daemon; ifconfig /sbin/ifconfig; route /sbin/route; ip /sbin/ip; }
one {
  passwd secret; type tun; proto tcp; device vtc; persist no; multi yes;
  up {
    ifconfig "%% 10.6.0.2 pointopoint 10.6.0.1 mtu 1450";
    route "add -net 10.56.0.0 netmask 255.255.0.0 gw 10.6.0.1";
  };
}
C
cat >hook.sh <<'H'
{ echo "hook $*"; ip -br addr show dev $2 | sed 's/fe80[^ ]*//'; } >>"$W/hook.log" 2>&1
H
vtund -s -n -f server.conf -P $PORT -L 127.0.0.1 2>server.log &
server=$!
until_has ":$(printf %04X $PORT) " cat /proc/net/tcp
vtund -n -f client.conf -p one 127.0.0.1 2>client.log &
client=$!
for what in 10.55.0.0 10.56.0.0; do until_has $what ip route; done
until_log 'hook up' hook.log
for device in vts vtc; do
    ip addr show $device | plain
    ip route show dev $device
done
end $client
# The server's child runs the hook before it closes the device.
until_has '^4 ' wc -l hook.log
until_has '^2$' links
end $server
cat hook.log
show
