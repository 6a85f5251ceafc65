# fastd, whose hooks configure its interfaces
# needs: fastd ip ifconfig
. ./lib.sh
fastd --version
loopback
for i in 0 1; do fastd --generate-key >key$i 2>/dev/null; done
of() { sed -n "s/^$2: *//p" key$1; }
cat >tun.conf <<C
interface "fastd0";
mode tun;
mtu 1400;
method "salsa2012+umac";
bind 127.0.0.1:$PORT;
secret "$(of 0 Secret)";
log level verbose;
on pre-up "echo pre-up \$INTERFACE >> hook.log";
on up "ip addr add 10.7.0.1/24 dev \$INTERFACE
       ip -6 addr add fd00:7::1/64 dev \$INTERFACE
       ip link set up dev \$INTERFACE
       ip route add 10.77.0.0/16 dev \$INTERFACE
       echo up \$INTERFACE \$INTERFACE_MTU >> hook.log";
on down "ip -br addr show dev \$INTERFACE | sed 's/fe80[^ ]*//' >> hook.log";
on establish "ip route add 10.78.0.0/16 dev \$INTERFACE";
peer "other" { key "$(of 1 Public)"; }
C
cat >tap.conf <<C
interface "fastd1";
mode tap;
mtu 1426;
method "salsa2012+umac";
bind 127.0.0.1:$((PORT + 1));
secret "$(of 1 Secret)";
on up "ifconfig \$INTERFACE 10.7.1.1 netmask 255.255.255.0 up; route add -net 10.79.0.0/16 gw 10.7.1.254";
peer "other" { key "$(of 0 Public)"; }
C
fastd -c tun.conf 2>tun.log &
tun=$!
until_has 10.77.0.0 ip route
settle
fastd -c tap.conf 2>tap.log &
tap=$!
until_has 10.79.0.0 ip route
settle
show
end $tun
end $tap
cat hook.log
sed -E 's/^[^ ]+ [^ ]+ [^ ]+ --- //; /trying to acquire/d; s/:[0-9]+$/:PORT/' tun.log
show
