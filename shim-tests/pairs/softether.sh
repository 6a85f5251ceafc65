# SoftEther's bridge between a virtual hub and a tap, by a packet socket: the hub's own host answers
# needs: vpnserver vpncmd dhclient ip ping
. ./lib.sh
wire tap
# Debian's program writes below /run and /var, and this copy of it beside itself.
mkdir -p se/ar/log/softether se/ar/lib/softether se/rn/softether
cp -L /usr/libexec/softether/vpnserver/* se
cp -L /usr/libexec/softether/vpncmd/vpncmd se
sed -i 's#/var/log/softether#./ar/log/softether#; s#/var/lib/softether#./ar/lib/softether#; s#/run/softether#./rn/softether#' se/vpnserver
cd se
on b ./vpnserver execsvc >vpn.log 2>&1 &
# It is two processes, and the other one's number is in a file.
trap 'kill $(jobs -p) $(cat $W/se/rn/softether/.pid_*) 2>/dev/null; wait 2>/dev/null; exit 0' EXIT
to_server() {
    timeout 20 on b ./vpncmd 10.9.0.2:5555 /SERVER "$@"
}
until_has 'VPN Server>' to_server /CMD About
to_server /CMD HubCreate hub /PASSWORD:x | grep completed
to_server /CMD BridgeCreate hub /DEVICE:tap0 /TAP:no | grep completed
to_server /HUB:hub /PASSWORD:x /CMD SecureNatEnable | grep completed
cd ..
cp -f "$(command -v ping)" own_ping
on a ip addr add 192.168.30.10/24 dev tap0
until_has 'bytes from' on a own_ping -c 1 -W 1 192.168.30.1
for options in '-c 3 -i 0.2' '-c 1 -s 1400'; do
    on a own_ping $options -W 5 192.168.30.1 | sed -n 's/, time.*//; /received/p'
done
# A copy without the profile that the system has for its own.
cp "$(command -v dhclient)" own_dhclient
timeout 20 on a ./own_dhclient -1 -v -d -4 -lf $W/leases -pf $W/dhclient.pid -sf /bin/true tap0 >dhclient.log 2>&1 &
client=$!
until_log '^bound' dhclient.log
finish $client
sed -n '/^DHCP/p; s/^bound.*/bound/p' dhclient.log | sed 's/ port.*//; s/30\.[1-9][0-9]\+/30.N/' | uniq
