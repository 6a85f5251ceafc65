# n2n's edges, one in the foreground and one as a daemon; they run /sbin/ifconfig by system()
# needs: edge supernode ip ifconfig
. ./lib.sh
supernode -h 2>&1 | sed -n 's/.*\(n2n v[^,]*\).*/\1/p' | head -1
loopback
supernode -l $PORT >supernode.log 2>&1 &
supernode=$!
edge -d edge1 -a 10.9.3.1 -m 02:00:00:00:00:01 -c community -k secret -l 127.0.0.1:$PORT >one.log 2>&1 &
one=$!
until_has edge1 ip -6 route
edge -f -d edge2 -a 10.9.4.1 -s 255.255.0.0 -M 1300 -m 02:00:00:00:00:02 -c community -k secret -l 127.0.0.1:$PORT >two.log 2>&1
echo "the daemon's parent: status $?"
until_log "Registering with supernode" one.log
until_has 10.9.4.1 ip addr show edge2
settle
show
grep -h -E 'ifconfig|Interface' one.log two.log | sed 's/[^]]*] *//'
end $one
end_daemon "$(daemons "$(readlink -f "$(command -v edge)")")"
end $supernode
until_has '^1$' links
show
