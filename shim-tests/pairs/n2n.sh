# n2n: two edges, and their supernode on one of the hosts
# needs: edge supernode ip ping nc curl iperf3 python3
. ./lib.sh
wire tun
on b supernode -l 7654 >supernode.log 2>&1 &
supernode=$!
# An edge registers when it begins, and then only after a minute again.
until_log "Supernode ready" supernode.log
for host in a:1 b:2; do
    name=${host%:*} number=${host#*:}
    on $name edge -d vpn0 -a 10.8.0.$number -m 02:00:00:00:00:0$number -c community -k secret -l 10.9.0.2:7654 >$name.edge.log 2>&1 &
    eval "$name=$!"
done
for number in 1 2; do until_log "Registered new node.*mac=02:00:00:00:00:0$number" supernode.log; done
until_has 10.8.0.1 on a ip addr
until_has 10.8.0.2 on b ip addr
exercise 10.8.0.1 10.8.0.2
finish $a $b $supernode
