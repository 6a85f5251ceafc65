# A net without an interface: programs see the machine and nothing else.
. "$SCRIPTS/lib.sh"
own_machine
machine ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 dev eth9
machine python3 - "$PLACE/server" <<'P' &
import socket, sys
tcp, udp, raw = socket.socket(), socket.socket(type=socket.SOCK_DGRAM), socket.socket(socket.AF_INET6)
for each, address in (tcp, "192.0.2.10"), (udp, "192.0.2.10"), (raw, "::1"):
    each.bind((address, 4711))
tcp.listen()
raw.listen()
client = socket.create_connection(("192.0.2.10", 4711), source_address=("192.0.2.10", 4712))
open(sys.argv[1], "w").write("ready")
input()
P
until_has ready cat "$PLACE/server"
for question in addr '-j addr' '-d link' '-s link show lo' route '-6 route' 'route show table all' 'route get 198.51.100.1' \
    'route get 192.0.2.77' rule neigh maddr netconf 'tuntap list' 'nexthop' 'addr add 10.0.0.1/8 dev eth9' 'link set eth9 mtu 1400' \
    'link add x0 type dummy' 'route del default' 'addr flush dev eth9'; do
    echo "\$ ip $question"
    # What an ordinary user may do on each side.
    if [ "$SIDE" = shim ]; then
        seen ip $question 2>&1
    else
        setpriv --bounding-set=-all --inh-caps=-all ip $question 2>&1
    fi | plain
done
run ss -Htuna
run ss -Htunap
run ss -Hxl src nothing
run ifconfig -a
run route -n
run cat /proc/net/route
# Its order is that of a hash with a random number.
run_sorted cat /proc/net/if_inet6
run ls -l /sys/class/net
run "$PYTHON/bin/python" "$SCRIPTS/libraries.py"
if command -v node >/dev/null; then
    # Its resolver is c-ares, its addresses are those of getifaddrs.
    run node -e '
        const os = require("os"), dns = require("dns");
        console.log(os.networkInterfaces(), dns.getServers().length > 0);
        dns.setServers(["127.0.0.1:4713"]);
        dns.resolve4("example.org", (error) => {
            console.log(error.code);
            dns.lookup("localhost", { all: true, hints: dns.ADDRCONFIG }, (error, all) => console.log(error, all));
        });'
fi
[ ! -e "$NET" ] || echo "a net was made"
exit 0
