# iodined, which runs ifconfig by system(); it insists on being root
# needs: iodined ip ifconfig fakeroot
. ./lib.sh
iodined -v 2>&1 | sed -n 2p
loopback
root=
[ "$(id -u)" = 0 ] || root=fakeroot
$root iodined -f -c -l 127.0.0.1 -p $PORT -P password -d iod0 -m 1200 10.6.0.1/28 t.example.org >log 2>&1 &
iodined=$!
until_log "Listening to dns" log
settle
show
grep -v -E '^FAKEROOT|^$' log | sed "s/to port [0-9]*/to port PORT/"
for daemon in $(daemons "$(readlink -f "$(command -v iodined)")"); do kill "$daemon"; done
gone $iodined
show
