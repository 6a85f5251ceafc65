# Asks for the machine's links, addresses and routes with the tools of iproute2 and net-tools, and
# changes what only root may change. No counters.
for question in \
    "addr" "-br addr" "-j addr" "-d link" "link show lo" "link show nosuch" "-6 addr show dev lo" "route" "route show table all" \
    "-6 route" "route get 127.0.0.1" "route get 8.8.8.8" "rule" "-6 rule" "maddr" "netconf" "netns" "nexthop" "tuntap" \
    "ntable show dev lo name arp_cache" "addr add 10.1.2.3/8 dev lo" "link set lo mtu 1500" "link del lo" "route del default" \
    "link add x0 type dummy" "neigh add 1.2.3.4 lladdr 1:2:3:4:5:6 dev lo" "-batch nosuch"; do
    echo "ip $question"
    ip $question 2>&1
    echo "is $?"
done | sed -e 's/ \(expires\|valid_lft\|preferred_lft\) [0-9]*sec/ \1/g'
for command in "ss -Hltn" "bridge link" "tc qdisc" "ifconfig lo" "route -n" "arp -n" "ifconfig lo mtu 1500" "route add default gw 1.2.3.4"; do
    echo "$command"
    $command 2>&1 | grep -v packets
done
