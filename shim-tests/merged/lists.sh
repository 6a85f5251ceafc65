# Lists of generic netlink, on a socket that is made before the net has an interface.
. "$SCRIPTS/lib.sh"
own_machine
mkfifo "$PLACE/go"
seen python3 "$SCRIPTS/lists.py" "$PLACE/ready" <"$PLACE/go" 2>&1 &
lister=$!
exec {go}>"$PLACE/go"
until_has ready cat "$PLACE/ready"
hold seen tun0 0x1001
echo go >&$go
wait $lister
run ethtool -g tun0
run ethtool -g eth9
run ethtool tun0
