# ip: the objects that few know, and what is said of mistakes
. "$TOOLS/lib.sh"
run ip -V
ip link set tun0 addrgenmode none
ip link set tap0 addrgenmode none
ip addr add 10.9.0.1/24 dev tun0
ip addr add 10.20.0.1/24 brd + dev tap0
ip link set tun0 up
ip link set tap0 up
ip addr add fd20::1/64 dev tap0 nodad
settle
run ip netconf
run ip -4 netconf show dev tun0
run ip -j netconf show dev tun0
run ip netconf show nosuchword
run ip token
run ip token list
run ip token list dev tap0
run ip token get dev tap0
run ip token set ::5 dev tap0
run ip token set ::5 dev tun0
run ip token set ::5 dev nothere
run ip token set nonsense dev tap0
run ip token del dev tap0
run ip token list
run ip -j token list dev tap0
run ip maddress
run ip maddress show dev tap0
run ip maddr add 33:33:00:00:00:09 dev tap0
run ip maddr add 33:33:00:00:00:09 dev tap0
run ip maddr add 01:00:5e:00:00:09 dev tun0
run ip maddr add 01:00:5e:00:00:09 dev nothere
run ip maddr add nonsense dev tap0
run ip maddr add 33:33:00:00:00:0a
run ip -d maddr show dev tap0
run ip -0 maddr show dev tap0
run ip -4 maddr show dev tap0
run ip -6 -j maddr show dev tap0
run ip maddr del 33:33:00:00:00:09 dev tap0
run ip maddr del 33:33:00:00:00:0b dev tap0
run ip mrule
run ip -6 mrule
run ip mroute
run ip mroute show
run ip mroute show table all
run ip mroute show table 5
run ip -6 mroute
run ip -6 mroute show table all
run ip mroute show iif tun0
run ip -j mroute
run ip tcp_metrics
run ip tcp_metrics show 10.9.0.5
run ip tcp_metrics delete 10.9.0.5
run ip mptcp endpoint
run ip ioam namespace show
run ip vrf
run ip vrf show
run ip vrf list nothere
run ip vrf identify
run ip vrf pids nothere
run ip nexthop
run ip nexthop list
run ip -6 nexthop
run ip -j nexthop
run ip nexthop show id 5
run ip nexthop show dev tun0
run ip nexthop show groups
run ip nexthop bucket
run ip nexthop nosuchcommand
run ip netns
run ip netns list
run ip netns list-id
run ip netns identify
run ip netns pids nothere
run ip netns exec nothere true
run ip netns add
run ip -n nothere addr
run ip ntable
run ip ntable show name arp_cache dev tap0
run ip ntable show name ndisc_cache dev tap0
run ip ntable show name nosuchname
run ip -j ntable show name arp_cache dev tap0
run ip -s ntable show name arp_cache dev tap0
run ip ntable show dev nothere
run ip ntable change name arp_cache dev tap0 queue 7
run ip ntable change name arp_cache dev tap0 ucast_probes 4 mcast_probes 2 gc_stale 30000 delay_probe 3000
run ip ntable change name arp_cache dev tap0 locktime 100 retrans 500 proxy_qlen 5
run ip ntable show name arp_cache dev tap0
run ip ntable change name nosuchname dev tap0 queue 7
run ip ntable change name arp_cache dev nothere queue 7
run ip ntable change name arp_cache dev tap0
run ip addrlabel list
run ip -j addrlabel list
run ip addrlabel add prefix fd60::/16 dev tap0 label 60
run ip addrlabel list
run ip addrlabel add prefix 10.0.0.0/8 label 61
run ip addrlabel add prefix fd61::/16
run ip addrlabel flush
run ip addrlabel list
run ip link property add dev tun0 altname one altname two
run ip link property add dev tun0 altname one
run ip link property add dev tap0 altname one
run ip link property add dev tun0 altname
run ip link property add dev tun0 altname an-alternative-name-may-be-long-this-one-is
run ip link property add dev nothere altname three
run ip link property add dev one altname three
run ip link show two
run ip -j link show three
run ip addr show dev an-alternative-name-may-be-long-this-one-is
run ip link set one mtu 1400
run ip addr add 10.9.3.1/24 dev two
run ip route add 10.77.0.0/16 dev two
run ip link property del dev tun0 altname one altname two
run ip link property del dev tun0 altname nosuchname
run ip link property del dev an-alternative-name-may-be-long-this-one-is altname three
run ip link show tun0
run ip link property
run ip stats
run ip stats show dev tun0
run ip stats show dev tun0 group link
run ip stats show dev tun0 group afstats
run ip stats show dev tun0 group offload
run ip stats show dev tun0 group xstats
run ip stats show dev tun0 group xstats_slave
run ip stats show dev tun0 group nosuchgroup
run ip stats show dev nothere
run ip -j stats show dev tun0 group link
run ip -s stats show dev tun0 group link
run ip link xstats type bridge
run ip link afstats dev tun0
run ip -j link afstats dev tun0
run ip tunnel show
run ip -6 tunnel show
run ip tunnel show tun0
run ip tunnel add tnl0 mode ipip remote 10.9.0.2 local nonsense
run ip link add name v0 type nosuchkind
run ip link add link nothere name v0 type vlan id 5
run ip link set dev tun0 vf 0 mac 02:00:00:00:00:01
run ip link set dev tun0 xdp off
run ip link set dev tun0 numtxqueues 5
run ip link set dev tun0 gso_max_size 1000
run ip link set dev tun0 gso_max_segs 5
run ip link set dev tun0 gro_max_size 1000
run ip link set dev tun0 trailers on
run ip link set dev tun0 dynamic on
run ip link set dev tun0 type tun
run ip link set dev tun0 alias
run ip link set dev tun0 down up
run ip link set dev tun0 mtu nonsense
run ip link set dev tun0 txqlen nonsense
run ip link set dev tun0 address nonsense
run ip link set dev tun0 name a-name-that-is-far-too-long
run ip link set dev tun0 name ''
run ip link set dev a-name-that-is-far-too-long up
run ip link delete dev tap1 type tun
run ip link delete group nosuchgroup
run ip link set tun0 group 7
run ip link delete group 8
run ip link set group 7 down
run ip link show tun0
run ip addr add nonsense dev tun0
run ip addr add 10.9.9.1/24 brd nonsense dev tun0
run ip addr add 10.9.9.1/24 scope nosuchscope dev tun0
run ip addr add 10.9.9.1/24 valid_lft 5 preferred_lft 10 dev tun0
run ip addr add 10.9.9.1/24 valid_lft 0 dev tun0
run ip addr add 10.9.9.1/24 label a-name-that-is-too-long dev tun0
run ip addr add 10.9.9.1/24 peer fd09::5 dev tun0
run ip addr add 224.0.0.5/24 dev tun0
run ip addr add 255.255.255.255/24 dev tun0
run ip addr add 0.0.0.0/0 dev tun0
run ip addr add 10.9.9.1/0 dev tun0
run ip addr add ff02::5/64 dev tap0
run ip addr add ::/64 dev tap0
run ip addr add fd20::1/64 dev tap0
run ip addr add fd20::9/64 dev tap0 proto 5
run ip addr add fd20::9/64 dev tap0 metric 99 nodad
settle
run ip -6 addr show dev tap0 scope global
run ip addr change fd20::99/64 dev tap0 valid_lft 100 preferred_lft 50
run ip addr change fd20::9/64 dev tap0 valid_lft 1000 preferred_lft 500
run ip addr add 10.9.9.1/24 dev tun0 anycast fd00::1
settle
run ip addr
