# vtund over TCP and UDP
# needs: vtund ip ping nc curl iperf3 python3
. ./lib.sh
wire tun
# What a kernel sends by itself over a new interface would come before the other end is up, and
# vtund ends a session whose packet it cannot write.
for name in a b; do on $name sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'; done
vpns() { on $1 ip -o link | grep -c vpn0; }
for proto in tcp udp; do
    echo "== $proto"
    for side in server:2:1 client:1:2; do
        IFS=: read -r name own other <<<"$side"
        cat >$name.conf <<C
options { port 5000; syslog daemon; ip /sbin/ip; }
one {
  passwd secret; type tun; proto $proto; device vpn0; keepalive yes; multi yes; persist no;
  up {
    ip "addr add 10.8.0.$own peer 10.8.0.$other dev %%";
    ip "link set %% up mtu 1450";
  };
}
C
    done
    on b vtund -s -n -f server.conf -P 5000 -L 10.9.0.2 2>server.log &
    b=$!
    # It says nothing when it listens.
    for _ in $(seq 100); do
        on a nc -n -z 10.9.0.2 5000 && break
        sleep 0.05
    done
    on a vtund -n -f client.conf -p one 10.9.0.2 2>client.log &
    a=$!
    for name in a b; do until_has ',UP.*mtu 1450' on $name ip link show vpn0; done
    exercise 10.8.0.1 10.8.0.2
    finish $a $b
    for name in a b; do until_has '^0$' vpns $name; done
done
