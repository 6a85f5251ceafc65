# Runs as root of a namespace with a link eth0 that stands for the machine's. LIBRARY and NET say
# under which library and in which net programs run.
PATH=$PATH:/usr/sbin:/sbin
mount -t sysfs sysfs /sys
ip link add eth0 type veth peer name eth1
ip link set eth0 mtu 1499
files="/sys/class/net/eth0/mtu /sys/class/net/eth0/ifalias /sys/class/net/eth0/tx_queue_len
/sys/class/net/eth0/flags /sys/class/net/eth0/netdev_group /proc/sys/net/ipv4/conf/eth0/forwarding
/proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_local_port_range /proc/sys/net/ipv4/tcp_rmem"
before=$(cat $files)
under() { MEMTUN_NET=$NET LD_PRELOAD=$LIBRARY "$@" 2>&1; }
under ip tuntap add tun0 mode tun

echo "= shells"
for shell in dash bash; do
    under $shell -c '
    n=/sys/class/net/eth0
    set_to() { echo "$2" >$1; echo "$(cat $1)"; }
    set_to $n/mtu 1400; set_to $n/ifalias a-card; set_to $n/tx_queue_len 77; set_to $n/flags 0x1003
    set_to $n/netdev_group 5; set_to /proc/sys/net/ipv4/conf/eth0/forwarding 1
    set_to /proc/sys/net/core/somaxconn 99; set_to /proc/sys/net/ipv4/ip_local_port_range "2000 3000"
    for file in queues/rx-0/rps_cpus carrier; do
        (echo 1 >$n/$file) 2>/dev/null; echo "$file $?"
    done'
done
under ip -o link show eth0 | grep -o 'mtu 1400\|group 5\|qlen 77\|alias a-card\|,UP'

echo "= every way to a file"
work=$(mktemp -d); cd "$work"
ln -s /sys/class/net/tun0/mtu tun; ln -s /sys/class/net/eth0/mtu card; ln -s /sys/class/net/tun0 own
ln -s /proc/net/dev dev
for path in tun own/mtu //sys//class//net/tun0/mtu /sys/class/net/../net/tun0/mtu \
    /proc/self/root/sys/class/net/tun0/mtu /sys/class/../class/net/tun0/mtu; do
    under cat $path
done
under grep -c tun0 dev
under cat /proc/1/root/sys/class/net/tun0/mtu >/dev/null || echo refused
under bash -c 'echo 1333 >tun; echo 1334 >card; cat tun card; stat -L -c %s tun; ls own | wc -l
cat /proc/$$/root/sys/class/net/tun0/mtu; cd own; cat mtu; cd /sys/class/net/tun0; cat ../tun0/mtu
cd statistics; cat ../mtu; cd /sys/class; cat net/tun0/mtu net/eth0/mtu; cd /proc/self/cwd; cat net/tun0/mtu'

echo "= programs"
echo 1350 | under tee /sys/class/net/tun0/mtu
echo 1351 | under dd of=/sys/class/net/tun0/mtu status=none
under cat tun
under sysctl -w net.ipv4.conf.tun0.forwarding=1 net.ipv4.tcp_rmem="4096 5000 6000"
echo 'net.ipv4.conf.tun0.rp_filter = 2' >conf
under sysctl -p conf
under sysctl net.ipv4.tcp_rmem net.ipv4.conf.tun0.rp_filter net.ipv4.conf.eth0.forwarding
under python3 -c "
import os, subprocess, ctypes
open('card', 'w').write('1336'); print(open('card').read(), end='')
with open('/sys/class/net/tun0/mtu', 'r+') as f:
    print(f.read(), end=''); f.seek(0); f.write('1340')
here = os.open('/sys/class/net', os.O_RDONLY | os.O_DIRECTORY)
print(os.read(os.open('eth0/mtu', os.O_RDONLY, dir_fd=here), 10), sorted(os.listdir(here)))
to = [(os.POSIX_SPAWN_OPEN, 1, '/sys/class/net/tun0/mtu', os.O_WRONLY, 0)]
os.waitpid(os.posix_spawn('/bin/echo', ['echo', '1341'], os.environ, file_actions=to), 0)
print(open('tun').read(), end='')"
under bash -c 'echo 1360 1<>/sys/class/net/tun0/mtu; cat tun; exec 5<>tun; read was <&5; echo $was
echo 1361 >&5; echo 1362 >&5; exec 5>&-; cat tun; echo 1500 >/sys/class/net/tun0/mtu
echo 55 >/sys/class/net/tun0/tx_queue_len; ip -o link show tun0 | grep -o "qlen .*[0-9]"'

echo "= the machine"
test "$before" = "$(cat $files)" && echo unchanged || { echo "$before"; cat $files; }
cd /; rm -r "$work"
under ip link del tun0
