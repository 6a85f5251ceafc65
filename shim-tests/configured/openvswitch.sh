# Open vSwitch in user space: a bridge, an internal port and a tap
# needs: ovs-vswitchd ovsdb-server ovs-vsctl ip
. ./lib.sh
ovs-vswitchd --version | head -1
loopback
export OVS_RUNDIR=$W OVS_DBDIR=$W OVS_SYSCONFDIR=$W OVS_LOGDIR=$W
ovsdb-tool create conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server conf.db --remote=punix:$W/db.sock --unixctl=$W/d.ctl --pidfile=$W/db.pid >db.log 2>&1 & d=$!
for i in $(seq 200); do [ -S db.sock ] && break; sleep 0.02; done
ovs-vsctl --no-wait --db=unix:$W/db.sock init
ovs-vswitchd unix:$W/db.sock --unixctl=$W/v.ctl --pidfile=$W/v.pid >v.log 2>&1 & v=$!
ip tuntap add ovp0 mode tap
ovs-vsctl -t 10 --db=unix:$W/db.sock add-br br0 -- set bridge br0 datapath_type=netdev
ovs-vsctl -t 10 --db=unix:$W/db.sock add-port br0 int0 -- set interface int0 type=internal mtu_request=1400
ovs-vsctl -t 10 --db=unix:$W/db.sock add-port br0 ovp0 -- set interface ovp0 type=tap
until_has br0 ip link
ip addr add 10.16.0.1/24 dev br0; ip link set br0 up; ip link set int0 up; ip link set ovp0 up
ip addr add 10.16.1.1/24 dev int0
settle
show
without_carrier() { ip -o link | grep -c NO-CARRIER; }
for port in br0 int0 ovp0; do
    ovs-vsctl --db=unix:$W/db.sock --columns=name,admin_state,link_state,mtu,error,type list interface $port
done
ovs-appctl -t $W/v.ctl dpif/show | sed 's/hit:.*/hit/'; ovs-appctl -t $W/v.ctl ovs/route/show | grep -v fe80
end $v; end $d; grep -o '|bridge|INFO|bridge.*' v.log | sed 's/ID .*/ID N/' | plain
until_has '^3$' without_carrier
show
