# fastd with a tun and with a tap
# needs: fastd ip ping nc curl iperf3 python3
. ./lib.sh
wire tun
vpns() { on $1 ip -o link | grep -c vpn0; }
for i in 1 2; do fastd --generate-key >key$i 2>/dev/null; done
of() { sed -n "s/^$2: *//p" key$1; }
for mode in tun tap; do
    echo "== $mode"
    for i in 1 2; do
        other=$((3 - i))
        cat >$i.conf <<C
interface "vpn0";
mode $mode;
mtu 1400;
method "salsa2012+umac";
bind 10.9.0.$i:10000;
secret "$(of $i Secret)";
log level verbose;
on up "ip addr add 10.8.0.$i/24 dev \$INTERFACE; ip link set up dev \$INTERFACE";
peer "other" { key "$(of $other Public)"; $([ $i = 2 ] || echo "remote 10.9.0.$other:10000;") }
C
    done
    anew 1.log 2.log
    # The first one asks for the other, and if nobody is there, only after some time again.
    on b fastd -c 2.conf 2>2.log &
    b=$!
    until_log "bound to" 2.log
    on a fastd -c 1.conf 2>1.log &
    a=$!
    until_log established 1.log
    until_log established 2.log
    exercise 10.8.0.1 10.8.0.2
    finish $a $b
    for name in a b; do until_has '^0$' vpns $name; done
done
