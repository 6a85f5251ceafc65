# the same over a cable of Ethernet, where hosts look for each other
# needs: ip ping nc curl python3
. ./lib.sh
wire tap
cp -f "$(command -v ping)" own_ping
for to in 10.9.0.2 fd09::2; do
    [ $to = fd09::2 ] && family=-6 || family=-4
    on a own_ping -c 3 -i 0.1 -W 5 $to | sed -n 's/, time.*//; /received/p'
    anew b.got b.log
    on b nc $family -v -n -l -N 9000 <<<"from b" >b.got 2>b.log &
    server=$!
    until_log Listening b.log
    on a timeout 20 nc -n -N -w 10 $to 9000 <<<"from a" >a.got
    echo "status $?"
    gone $server
    cat a.got b.got
done
for name in a b; do
    on $name ip neigh | sed -E 's/lladdr [0-9a-f:]{17}/lladdr MAC/; s/(REACHABLE|STALE|DELAY|PROBE).*/known/' | grep -v fe80 | sort
done
on a own_ping -c 1 -W 4 10.9.0.77 2>&1 | sed -n 's/, time.*//; /received/p; /Unreachable/p'
head -c 20000000 /dev/urandom >big
on b python3 -u -m http.server --bind :: 8000 >http.log 2>&1 &
server=$!
until_log Serving http.log
on a curl -s --max-time 30 -o got http://10.9.0.2:8000/big
echo "status $?"
same big got
finish $server
