# ping, nc, curl and http.server between two hosts: both ways, both families, taken and refused
# needs: ip ping nc curl python3
. ./lib.sh
wire tun
# Without what the system gives its own copy.
cp -f "$(command -v ping)" own_ping
for to in 10.9.0.2 fd09::2; do
    [ $to = fd09::2 ] && family=-6 || family=-4
    echo "== $to"
    on a own_ping -c 3 -i 0.1 -W 5 $to | sed -n 's/, time.*//; /received/p; s/ time=.*//; /bytes from/p'
    on b own_ping -c 1 -s 3000 -W 5 ${to/2/1} | sed -n 's/, time.*//; /received/p'
    on a own_ping -c 1 -W 1 ${to/2/77} | sed -n 's/, time.*//; /received/p'

    echo "== nc by TCP"
    anew b.got b.log
    on b nc $family -v -n -l -N 9000 <<<"from b" >b.got 2>b.log &
    server=$!
    until_log Listening b.log
    on a timeout 20 nc -n -N -w 10 $to 9000 <<<"from a" >a.got
    echo "status $?"
    gone $server
    cat a.got b.got
    grep -o 'received on.*' b.log | sed 's/ [0-9]*$/ PORT/'
    echo "== nc, refused"
    on a timeout 20 nc -n -v -w 5 $to 9001 2>&1 </dev/null
    echo "status $?"
    echo "== nc by UDP"
    anew b.got b.log
    on b nc $family -v -n -u -l 9002 >b.got 2>b.log &
    server=$!
    until_log Bound b.log
    on a sh -c "(echo 'a datagram'; sleep 1) | timeout 5 nc -n -u -w 2 $to 9002" &
    client=$!
    until_log datagram b.got
    finish $client $server
    cat b.got
done

echo "== curl"
head -c 20000000 /dev/urandom >big
echo hello >hello
on b python3 -u -m http.server --bind :: 8000 >http.log 2>&1 &
server=$!
until_log Serving http.log
for at in 10.9.0.2 '[fd09::2]'; do
    on a curl -g -s --max-time 20 http://$at:8000/hello
    echo "status $?"
done
on a curl -s --max-time 30 -o got http://10.9.0.2:8000/big
echo "status $?"
same big got
on a curl -s --max-time 20 http://10.9.0.2:8001/
echo "status $?"
on a curl -s --max-time 20 --connect-timeout 1 http://10.9.0.77:8001/
echo "status $?"
grep -o '.*GET [^ ]*' http.log | sed 's/\[.*\]/TIME/'
finish $server
