# tinc, whose tinc-up and tinc-down configure its interface; one daemon in the foreground
# needs: tincd ip ifconfig route
. ./lib.sh
tincd --version | head -1
loopback
for name in alpha beta; do
    mkdir -p $name/hosts
    printf 'Name = %s\nDevice = /dev/net/tun\nAddressFamily = ipv4\n' $name >$name/tinc.conf
done
printf 'Interface = tca\nBindToAddress = 127.0.0.1 %s\n' $PORT >>alpha/tinc.conf
printf 'Interface = tcb\nBindToAddress = 127.0.0.1 %s\nMode = switch\n' $((PORT + 1)) >>beta/tinc.conf
for name in alpha beta; do tincd -c "$W/$name" -K1024 </dev/null >/dev/null 2>&1; done
cat >alpha/tinc-up <<'H'
#!/bin/sh
ip link set $INTERFACE up mtu 1450
ip addr add 10.10.0.1/24 dev $INTERFACE
ip -6 addr add fd00:10::1/64 dev $INTERFACE
ip route add 10.110.0.0/16 dev $INTERFACE metric 5
echo "$NAME $INTERFACE $DEVICE $NETNAME" >>"$W/hook.log"
H
cat >alpha/tinc-down <<'H'
#!/bin/sh
ip route del 10.110.0.0/16 dev $INTERFACE
ip link set $INTERFACE down
ip -br addr show $INTERFACE >>"$W/hook.log"
H
cat >beta/tinc-up <<'H'
#!/bin/sh
ifconfig $INTERFACE 10.11.0.1 netmask 255.255.0.0
route add -net 10.111.0.0 netmask 255.255.0.0 dev $INTERFACE
H
chmod +x */tinc-*
tincd -D -c "$W/alpha" --pidfile="$W/alpha/pid" -d1 2>alpha.log &
alpha=$!
until_log Ready alpha.log
tincd -c "$W/beta" --pidfile="$W/beta/pid" --logfile="$W/beta.log" -d1
echo "the daemon's parent: status $?"
until_log Ready beta.log
settle
show
end $alpha
end_daemon "$(sed 's/ .*//' beta/pid)"
cat hook.log
grep -v 'total bytes' alpha.log | sed 's/port [0-9]*/port PORT/'
sed -E 's/^.*tinc\[[0-9]+\]: //; /total bytes/d; s/port [0-9]+/port PORT/' beta.log
show
