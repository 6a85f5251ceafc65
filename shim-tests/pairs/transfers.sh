# iperf3 by TCP and UDP, and socat in both directions
# needs: ip iperf3 socat
. ./lib.sh
wire tun
for way in '' -R; do
    for family in 4:10.9.0.2 6:fd09::2; do
        anew server.log
        on b iperf3 -s -1 -p 5201 --forceflush >server.log 2>&1 &
        server=$!
        until_log listening server.log
        echo "== TCP $way ${family%%:*}"
        on a timeout 30 iperf3 -J $way -c ${family#*:} -p 5201 -n 30M >client.json
        echo "status $?"
        counted bytes 15000000
        finish $server
    done
done
anew server.log
on b iperf3 -s -1 -p 5201 --forceflush >server.log 2>&1 &
server=$!
until_log listening server.log
# What a program has sent is not far ahead of what has arrived.
echo "== TCP, little"
on a timeout 30 iperf3 -J -c 10.9.0.2 -p 5201 -n 5M >client.json
echo "status $?"
counted bytes 2500000
finish $server
anew server.log
on b iperf3 -s -1 -p 5201 --forceflush >server.log 2>&1 &
server=$!
until_log listening server.log
echo "== TCP, four connections"
on a timeout 30 iperf3 -J -P 4 -c 10.9.0.2 -p 5201 -n 80M >client.json
echo "status $?"
counted bytes 40000000
finish $server
for way in '' -R; do
    anew server.log
    on b iperf3 -s -1 -p 5201 --forceflush >server.log 2>&1 &
    server=$!
    until_log listening server.log
    echo "== UDP $way"
    on a timeout 30 iperf3 -J -u -b 5M -l 1400 $way -c 10.9.0.2 -p 5201 -t 1 >client.json
    echo "status $?"
    counted datagrams
    finish $server
done

echo "== socat"
on b socat -d -d TCP4-LISTEN:7000,reuseaddr,fork EXEC:'tr a-z A-Z' 2>tcp.log &
first=$!
on b socat -d -d UDP4-LISTEN:7001,fork EXEC:'tr a-z A-Z' 2>udp.log &
second=$!
on b socat -d -d TCP6-LISTEN:7002,fork SYSTEM:'echo $SOCAT_PEERADDR $SOCAT_SOCKADDR' 2>tcp6.log &
third=$!
until_log listening tcp.log
until_log listening udp.log
until_log listening tcp6.log
echo "by tcp" | on a timeout 10 socat - TCP4:10.9.0.2:7000
echo "by udp" | on a timeout 10 socat -T 2 - UDP4:10.9.0.2:7001,shut-none
on a timeout 10 socat - 'TCP6:[fd09::2]:7002' </dev/null
on a timeout 10 socat - TCP4:10.9.0.2:7000,bind=10.9.0.1:6999,reuseaddr <<<"from a port"
on a timeout 10 socat - TCP4:10.9.0.2:7009,connect-timeout=2 2>&1 </dev/null | sed 's/.*\] //'
finish $first $second $third
