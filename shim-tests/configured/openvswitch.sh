# Open vSwitch in user space: a bridge, an internal port and a tap
# needs: ovs-vswitchd ovsdb-server ovsdb-tool ovs-vsctl ovs-appctl ip
. ./lib.sh
ovs-vswitchd --version | head -1
loopback
export OVS_RUNDIR=$W OVS_DBDIR=$W OVS_SYSCONFDIR=$W OVS_LOGDIR=$W
ovsdb-tool create conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server conf.db --remote="punix:$W/db.sock" --unixctl="$W/db.ctl" >db.log 2>&1 &
database=$!
until_has db.sock ls
ovs() { ovs-vsctl --timeout=10 "--db=unix:$W/db.sock" "$@"; }
ovs --no-wait init
ovs-vswitchd "unix:$W/db.sock" --unixctl="$W/switch.ctl" >switch.log 2>&1 &
switch=$!
ip tuntap add ovp0 mode tap
ovs add-br br0 -- set bridge br0 datapath_type=netdev
until_has br0 ip link
ovs add-port br0 int0 -- set interface int0 type=internal mtu_request=1400
until_has int0 ip link
ovs add-port br0 ovp0 -- set interface ovp0 type=tap
ip addr add 10.16.0.1/24 dev br0
ip link set br0 up
ip link set int0 up
ip link set ovp0 up
ip addr add 10.16.1.1/24 dev int0
until_has 'ovp0.*LOWER_UP' ip link
settle
for port in br0 int0 ovp0; do
    ip addr show $port | plain
    until_has '^up' ovs get interface $port link_state
    ovs --columns=name,admin_state,link_state,mtu,error,type list interface $port
done
ip link show ovs-netdev | plain
ip route
ovs-appctl -t "$W/switch.ctl" dpif/show | sed 's/hit:.*/hit/'
ovs-appctl -t "$W/switch.ctl" ovs/route/show | grep -v -e fe80 -e ::1
end $switch
end $database
grep -o '|bridge|INFO|bridge.*' switch.log | sed 's/ID .*/ID N/'
# The ports stay, without their program.
without_carrier() { ip -o link | grep -c NO-CARRIER; }
until_has '^3$' without_carrier
until_has 'br0.*linkdown' ip route
ip -br -4 addr
ip route
