# icmptx: a tunnel in echo requests and their replies, by raw sockets. Messages of ICMP that go
# through it lead it astray, so there are none.
# needs: icmptx ip nc curl python3
. ./lib.sh
wire tun
for each in b:-s a:-c; do
    name=${each%:*}
    on $name sh -c 'echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all'
    on $name icmptx ${each#*:} 10.9.0.2 >$name.log 2>&1 &
    until_has tun1 on $name ip -o link
done
for each in a:1 b:2; do
    name=${each%:*}
    on $name ip addr add 10.8.0.${each#*:}/24 dev tun1
    on $name ip link set tun1 mtu 1400 up
done
until_reached 10.8.0.1 10.8.0.2
for each in a:b:10.8.0.2 b:a:10.8.0.1; do
    IFS=: read -r from to address <<<"$each"
    anew $to.got $to.log
    on $to nc -v -n -l -N 9000 <<<"from $to" >$to.got 2>$to.log &
    server=$!
    until_log Listening $to.log
    on $from timeout 20 nc -n -N -w 10 $address 9000 <<<"from $from" >$from.got
    echo "$from to $to: status $?"
    gone $server
    cat $from.got $to.got
done
head -c 5000000 /dev/urandom >big
on b python3 -u -m http.server --bind 10.8.0.2 8000 >http.log 2>&1 &
server=$!
until_log Serving http.log
on a curl -s --max-time 60 -o got http://10.8.0.2:8000/big
echo "curl: status $?"
same big got
finish $server
