# GNU VPE, whose packets go in a protocol of their own, and in echo replies, by raw sockets
# needs: gvpe gvpectrl ip ping nc curl iperf3 python3
. ./lib.sh
wire tun
for name in a b; do
    mkdir -p $name/pubkey
    echo "node = $name" >$name/gvpe.conf
    gvpectrl -c $name -q -g key.$name 2>/dev/null
done
for carrier in rawip icmp; do
    echo "== $carrier"
    for name in a:1:2 b:2:1; do
        IFS=: read -r name own other <<<"$name"
        cat >$name/gvpe.conf <<C
pid-file = $W/$name.pid
ifname = vpn0
mtu = 1400
loglevel = info
enable-udp = no
enable-$carrier = yes
node = a
hostname = 10.9.0.1
node = b
hostname = 10.9.0.2
C
        cat >$name/if-up <<C
#!/bin/sh
ip link set \$IFNAME address \$MAC mtu \$MTU up
ip addr add 10.8.0.$own/24 dev \$IFNAME
C
        chmod +x $name/if-up
        cp key.$name.privkey $name/hostkey
        cp key.a $name/pubkey/a
        cp key.b $name/pubkey/b
        anew $name.log
        on $name gvpe -D -l info -c $W/$name $name >$name.log 2>&1 &
        eval "$name=$!"
    done
    for name in a b; do until_log "connection established" $name.log; done
    grep -h -o "[a-z]*/10.*established.*" a.log | sed 's/:[0-9]*)/)/'
    exercise 10.8.0.1 10.8.0.2
    finish $a $b
done
