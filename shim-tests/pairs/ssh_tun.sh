# ssh -w: a tunnel between the two ends of a connection, and ssh through it
# needs: ip ssh sshd ssh-keygen nc curl iperf3 python3 ../lib/x86_64-linux-gnu/libnss_wrapper.so
# on the kernel: as root
. ./lib.sh
wire tun
AT='0.0.0.0 ::'
. ./ssh.inc
client -N -o ExitOnForwardFailure=yes -w 5:6 10.9.0.2 &
a=$!
for host in a:5:1:2 b:6:2:1; do
    IFS=: read -r name device own other <<<"$host"
    until_has "tun$device" on $name ip link
    on $name sh -c "echo 0 >/proc/sys/net/ipv6/conf/tun$device/disable_ipv6" 2>/dev/null
    on $name ip addr add 10.8.0.$own peer 10.8.0.$other dev tun$device
    on $name ip addr add fd08::$own/64 dev tun$device nodad
    on $name ip link set tun$device up
done
exercise 10.8.0.1 10.8.0.2
exercise fd08::1 fd08::2
for at in 10.8.0.2 fd08::2; do
    client $at 'echo "$SSH_CONNECTION" | sed "s/ [0-9]* / PORT /"'
    echo "status $?"
done
finish $a $b
