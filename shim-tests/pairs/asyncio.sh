# a server and clients of asyncio
# needs: ip python3
. ./lib.sh
wire tun
on b /usr/bin/python3 -u asyncio_server.py server >server.log 2>&1 &
server=$!
until_log serving server.log
for family in 4 6; do
    echo "== $family"
    on a timeout 30 /usr/bin/python3 asyncio_server.py client $family
    echo "status $?"
done
finish $server
cat server.log
