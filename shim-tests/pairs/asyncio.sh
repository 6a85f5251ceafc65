# a server and clients of asyncio
# needs: ip python3
. ./lib.sh
wire tun
on b /usr/bin/python3 -u asyncio_server.py server 10.9.0.2 fd09::2 >server.log 2>&1 &
server=$!
until_log serving server.log
for at in 10.9.0.2 fd09::2; do
    echo "== $at"
    on a timeout 30 /usr/bin/python3 asyncio_server.py client $at
    echo "status $?"
done
finish $server
cat server.log
