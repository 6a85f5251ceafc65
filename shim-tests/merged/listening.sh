# Listeners: of a browser's kind and `ip monitor`, opened before the net has an interface.
. "$SCRIPTS/lib.sh"
own_machine
seen python3 "$SCRIPTS/tracker.py" "$PLACE/ready" >"$PLACE/tracker" 2>&1 &
tracker=$!
seen ip monitor link address route >"$PLACE/monitor" 2>&1 &
monitor=$!
until_has ready cat "$PLACE/tracker"
# The monitor says nothing when it is ready.
for _ in $(seq 200); do
    machine ip link set eth9 alias "a mark"
    machine ip link set eth9 alias ""
    grep -q eth9 "$PLACE/monitor" && break
    sleep 0.02
done
machine ip addr add 192.0.2.11/24 dev eth9
machine ip addr del 192.0.2.11/24 dev eth9
machine ip link set eth9 mtu 1400
machine ip route add 10.99.0.0/16 via 192.0.2.1
until_has 10.99.0.0 cat "$PLACE/monitor"
if [ "$WITH" = tunnel ]; then
    hold seen tun0 0x1001
    until_has tun0 cat "$PLACE/tracker"
    seen ip addr add 10.9.0.1/24 dev tun0
    seen ip link set tun0 up
    seen ip route add 10.50.0.0/16 dev tun0
    until_has 10.50.0.0 cat "$PLACE/tracker"
    machine ip addr add 192.0.2.12/24 dev eth9
    until_has 192.0.2.12 cat "$PLACE/tracker"
    seen ip addr del 10.9.0.1/24 dev tun0
    until_has 'DELADDR tun0' cat "$PLACE/tracker"
    machine ip addr del 192.0.2.12/24 dev eth9
    until_has 'DELADDR eth9 192.0.2.12' cat "$PLACE/tracker"
    drop tun0
    until_has 'DELLINK tun0' cat "$PLACE/tracker"
fi
machine ip link set eth9 down
machine ip link set eth9 up
machine ip tuntap add last0 mode tun
until_has last0 cat "$PLACE/monitor"
machine ip link del last0
wait $tracker
until_has 'Deleted.*last0' cat "$PLACE/monitor"
kill $monitor
wait $monitor 2>/dev/null
echo '$ tracker.py'
# Marks are made until they are seen.
awk '!(/^NEWLINK eth9/ && $0 == before) { print } { before = $0 }' "$PLACE/tracker"
echo '$ ip monitor'
awk '/192.0.2.11/ { on = 1 } on { print }' "$PLACE/monitor" | plain
