# ip rule, neighbour, ntable
. "$TOOLS/lib.sh"
run ip -V
ip addr add 10.9.0.1/24 dev tun0
ip addr add 10.20.0.1/24 dev tap0
ip link set tun0 up
ip link set tap0 up
run ip rule
run ip -6 rule
run ip -j rule
run ip rule add from 10.9.0.0/24 table 100
run ip rule add from 10.9.0.0/24 table 100
run ip rule add to 10.50.0.0/16 lookup main priority 100
run ip rule add iif tun0 table 100 priority 101
run ip rule add oif nothere table 100 priority 102
run ip rule add fwmark 0x10/0xf0 table 1000 priority 103
run ip rule add fwmark 5 table 100 priority 104
run ip rule add tos 0x10 table 100 priority 105
run ip rule add blackhole priority 106
run ip rule add unreachable from 10.77.0.0/16 priority 107
run ip rule add prohibit to 10.78.0.0/16 priority 108
run ip rule add goto 200 priority 109
run ip rule add nop priority 200
run ip rule add table main suppress_prefixlength 0 priority 110
run ip rule add uidrange 0-0 table 100 priority 111
run ip rule add ipproto tcp sport 80-90 dport 443 table 100 priority 112
run ip rule add not fwmark 7 table 100 priority 113
run ip rule add from 10.1.0.0/16 table 100 protocol static priority 114
run ip rule add from 10.1.0.0/33 table 100
run ip rule add table 100 priority 100000000000
run ip rule
run ip -j rule
run ip -d rule
run ip rule show table 100
run ip rule show from 10.9.0.0/24
run ip rule show iif tun0
run ip rule list priority 100
run ip rule del priority 100
run ip rule del priority 100
run ip rule del from 10.9.0.0/24 table 100
run ip rule flush protocol static
run ip rule flush table 100
run ip rule
run ip rule flush
run ip rule
run ip rule add table local priority 0
run ip -6 rule add from fd09::/64 table 100 priority 50
run ip -6 rule add iif tap0 blackhole priority 51
run ip -6 rule
run ip -6 -j rule
run ip -6 rule del priority 50
run ip neigh
run ip neigh add 10.20.0.5 lladdr 02:00:00:00:00:05 dev tap0
run ip neigh add 10.20.0.5 lladdr 02:00:00:00:00:05 dev tap0
run ip neigh add 10.20.0.6 lladdr 02:00:00:00:00:06 nud stale dev tap0
run_sorted ip neigh show
run ip neigh replace 10.20.0.5 lladdr 02:00:00:00:00:07 dev tap0 nud permanent
run ip neigh change 10.20.0.99 lladdr 02:00:00:00:00:07 dev tap0
run ip neigh add 10.20.0.8 dev tap0
run ip neigh add 10.20.0.8 lladdr 02:00 dev tap0
run ip neigh add 10.20.0.8 lladdr 02:00:00:00:00:08
run ip neigh add 10.20.0.8 lladdr 02:00:00:00:00:08 dev nothere
run_sorted ip neigh show dev tun0
run ip neigh show 10.20.0.5
run_sorted ip neigh show nud permanent
run ip -j neigh show 10.20.0.5
run ip -o neigh show 10.20.0.5
run ip neigh get 10.20.0.5 dev tap0
run ip neigh get 10.20.0.99 dev tap0
run ip neigh del 10.20.0.6 dev tap0
run ip neigh del 10.20.0.6 dev tap0
run ip neigh add proxy 10.20.0.9 dev tap0
# Proxies of no link outlive their namespace, and the kernel may show them in another one.
run_sorted ip neigh show proxy dev tap0
run ip neigh del proxy 10.20.0.9 dev tap0
run ip neigh add 10.9.0.5 lladdr 02:00:00:00:00:05 dev tun0
run_sorted ip neigh show dev tun0
# Linux 6.18 shows proxies of other namespaces, too: those of arp.sh.
run_sorted grep -v '^10[.]2[.]0[.]' /proc/net/arp
run ip -6 neigh add fd20::5 lladdr 02:00:00:00:00:05 router dev tap0
run ip -6 neigh show dev tap0 nud permanent
run ip -6 -j neigh show dev tap0 nud permanent
run ip neigh flush dev tap0
run ip neigh flush dev tap0 nud permanent
run_sorted ip neigh show dev tap0
run ip ntable show dev tap0
run ip ntable show dev tun0
run ip ntable change name arp_cache dev tap0 base_reachable 20000
run ip ntable show dev tap0 name arp_cache
