# tinc as a router and as a switch
# needs: tincd ip ping nc curl iperf3 python3
. ./lib.sh
wire tun
vpns() { on $1 ip -o link | grep -c vpn0; }
for mode in router switch; do
    echo "== $mode"
    rm -rf alpha beta
    for host in alpha:1 beta:2; do
        name=${host%:*} number=${host#*:}
        mkdir -p $name/hosts
        printf 'Name = %s\nInterface = vpn0\nDevice = /dev/net/tun\nAddressFamily = ipv4\nMode = %s\nPingInterval = 5\n' $name $mode >$name/tinc.conf
        printf 'Address = 10.9.0.%s\nSubnet = 10.8.0.%s/32\n' $number $number >$name/hosts/$name
        printf '#!/bin/sh\nip addr add 10.8.0.%s/24 dev $INTERFACE\nip link set $INTERFACE up\n' $number >$name/tinc-up
        chmod +x $name/tinc-up
        tincd -c "$W/$name" -K1024 </dev/null >/dev/null 2>&1
    done
    echo 'ConnectTo = beta' >>alpha/tinc.conf
    cp alpha/hosts/alpha beta/hosts/
    cp beta/hosts/beta alpha/hosts/
    anew alpha.log beta.log
    on b tincd -D -c "$W/beta" --pidfile="$W/beta/pid" -d2 2>beta.log &
    b=$!
    until_log Ready beta.log
    on a tincd -D -c "$W/alpha" --pidfile="$W/alpha/pid" -d2 2>alpha.log &
    a=$!
    until_log "Connection with beta .* activated" alpha.log
    until_has 10.8.0.1 on a ip addr show dev vpn0
    until_has 10.8.0.2 on b ip addr show dev vpn0
    exercise 10.8.0.1 10.8.0.2
    finish $a $b
    for name in a b; do until_has '^0$' vpns $name; done
done
