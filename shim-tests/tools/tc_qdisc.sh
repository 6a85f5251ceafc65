# tc: queueing disciplines and classes, as scripts of tunnels set them
. "$TOOLS/lib.sh"
run tc -V
ip link set tun0 addrgenmode none
ip link set tun0 up
run tc qdisc show dev tun0
run tc qdisc add dev tun0 root handle 1: pfifo limit 10
run tc -s qdisc show dev tun0
run tc -j qdisc show dev tun0
run tc qdisc add dev tun0 root pfifo limit 10
run tc qdisc add dev tun0 root handle 2: pfifo limit 10
run tc qdisc change dev tun0 root pfifo limit 20
run tc qdisc replace dev tun0 root handle 3: htb default 10
run tc -d -s qdisc show dev tun0
run ip -o link show tun0
run tc class add dev tun0 parent 3: classid 3:1 htb rate 1mbit ceil 2mbit
run tc class add dev tun0 parent 3:1 classid 3:10 htb rate 500kbit ceil 2mbit prio 3
run tc class add dev tun0 parent 3:1 classid 3:20 htb rate 500kbit ceil 2mbit quantum 1500
run tc class add dev tun0 parent 3:1 classid 3:20 htb rate 500kbit ceil 2mbit quantum 1500
run tc class change dev tun0 parent 3:1 classid 3:20 htb rate 600kbit ceil 2mbit quantum 1500
run tc -s -d class show dev tun0
run tc qdisc add dev tun0 parent 3:10 handle 30: pfifo limit 5
run tc qdisc add dev tun0 parent 3:1 handle 31: pfifo limit 5
run tc qdisc add dev tun0 parent 3:77 handle 31: pfifo limit 5
run tc qdisc add dev tun0 parent 30:1 handle 31: pfifo limit 5
run tc qdisc show dev tun0 invisible
run tc class show dev tun0
run tc class del dev tun0 classid 3:1
run tc class del dev tun0 classid 3:10
run tc qdisc show dev tun0
run tc filter add dev tun0 parent 3: protocol ip prio 1 nosuchkind
run tc filter change dev tun0 parent 3: protocol ip prio 1 u32 match ip dst 10.0.0.1/32 flowid 3:20
run tc filter add dev tun0 parent 3:77 protocol ip prio 1 fw flowid 3:20
run tc filter show dev tun0
run tc filter del dev tun0 parent 3: prio 1
run tc filter del dev tun0 parent 3:
run tc qdisc del dev tun0 root
run tc qdisc show dev tun0
run tc filter add dev tun0 parent 3: protocol ip prio 1 u32 match ip dst 10.0.0.1/32 flowid 3:20
run tc qdisc add dev tun0 root handle 1: tbf rate 1mbit burst 32k latency 400ms peakrate 2mbit minburst 1540
run tc -d qdisc show dev tun0
run tc class show dev tun0
run tc qdisc change dev tun0 root handle 1: tbf rate 2mbit burst 10k limit 30000
run tc -d qdisc show dev tun0 invisible
run tc qdisc del dev tun0 parent 1:1
run tc qdisc del dev tun0 root
run tc qdisc add dev tun0 ingress
run tc qdisc add dev tun0 ingress
run tc qdisc add dev tun0 clsact
run tc qdisc show dev tun0
run tc qdisc del dev tun0 ingress
run tc qdisc del dev tun0 clsact
run tc qdisc add dev tun0 clsact
run tc filter show dev tun0 ingress
run tc qdisc del dev tun0 clsact
run tc qdisc add dev tun0 root handle 5: pfifo_fast
run tc qdisc add dev tun0 root handle 6: pfifo_fast
run tc qdisc add dev tun0 root nosuchkind
ip link set tun0 down
run tc qdisc del dev tun0 root
run tc qdisc show dev tun0
run ip link show tun0
run tc qdisc add dev tun0 root handle 7: noqueue
ip link set tun0 up
run ip -o link show tun0
run tc qdisc add dev nothere root pfifo
run tc qdisc show dev nothere
run tc qdisc add dev lo root handle 8: pfifo
run tc qdisc show dev lo
run tc qdisc del dev lo root
run tc qdisc show dev lo
run tc qdisc del dev lo root
run tc qdisc add dev tap0 root mq
run ip tuntap add tun9 mode tun multi_queue
ip link set tun9 addrgenmode none
ip link set tun9 up
run tc qdisc show dev tun9
run tc qdisc add dev tun9 root handle 1: mq
run tc qdisc replace dev tun9 parent 1:1 handle 10: pfifo limit 7
run tc qdisc replace dev tun9 parent 1:900 handle 11: pfifo limit 7
run tc qdisc show dev tun9
run tc qdisc replace dev tun9 root handle 2: pfifo limit 3
run tc qdisc show dev tun9
run tc qdisc replace dev tun9 root handle 3: htb
run tc qdisc show dev tun9
run tc qdisc del dev tun9 root
run tc qdisc show dev tun9
run ip link del tun9
run tc qdisc show dev tun9
