# bridge of iproute2, on interfaces that belong to no bridge.
. "$TOOLS/lib.sh"
run bridge -V
lines bridge link show
run bridge link show dev tap0
run bridge -j link show dev tap0
lines bridge -d link
lines bridge -s link
run bridge link show dev nothere
run bridge link set dev tap0 cost 5
run bridge link set dev tap0 learning on
run bridge link set dev nothere cost 5
lines bridge fdb show
run bridge fdb show dev tap0
run bridge fdb show dev tun0
run bridge -j fdb show dev tap0
run ifconfig tap0 10.8.0.1 netmask 255.255.255.0 up
run ifconfig tun0 10.9.0.1 netmask 255.255.255.0 up
run bridge fdb show dev tap0
run bridge fdb show dev tun0
run bridge -j -p fdb show dev tap0
run bridge -s fdb show dev tap0
run bridge fdb show dev nothere
run bridge fdb add 02:11:22:33:44:55 dev tap0
run bridge fdb add 02:11:22:33:44:55 dev tap0 self
run bridge fdb add 02:11:22:33:44:55 dev tap0 self
run bridge fdb add 01:00:5e:00:00:09 dev tap0 self
run bridge fdb add 02:11:22:33:44:56 dev tap0 self dynamic
run bridge fdb add 02:11:22:33:44:56 dev tap0 master
run bridge fdb add 02:11:22:33:44:57 dev nothere self
run bridge fdb show dev tap0
run bridge fdb get 02:11:22:33:44:55 dev tap0
run bridge fdb del 02:11:22:33:44:55 dev tap0 self
run bridge fdb del 02:11:22:33:44:55 dev tap0 self
run bridge fdb append 02:11:22:33:44:58 dev tap0 self
run bridge fdb replace 02:11:22:33:44:59 dev tap0 self
run bridge fdb show dev tap0
lines bridge mdb show
run bridge mdb show dev tap0
lines bridge vlan show
run bridge vlan show dev tap0
run bridge -j vlan show dev tap0
run bridge vlan add vid 5 dev tap0
lines bridge vni show
