# openvpn's server and client with certificates, addresses from a pool, and a pushed route
# needs: openvpn openssl ip ping nc curl python3
. ./lib.sh
. ./openvpn.inc
wire tun
curve="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $curve -keyout ca.key -out ca.crt -days 2 -subj /CN=ca 2>/dev/null
for name in server client; do
    openssl req $curve -keyout $name.key -out $name.csr -subj /CN=$name 2>/dev/null
    openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out $name.crt 2>/dev/null
done
openvpn_on b --dev-type tun --proto udp4 --local 10.9.0.2 --server 10.8.0.0 255.255.255.0 --topology subnet \
    --push "route 192.168.77.0 255.255.255.0" --ca ca.crt --cert server.crt --key server.key --dh none
b=$!
until_log "Initialization Sequence Completed" b.openvpn.log
openvpn_on a --client --dev-type tun --proto udp4 --remote 10.9.0.2 --nobind --ca ca.crt --cert client.crt --key client.key
a=$!
openvpn_connected
on a ip route show 192.168.77.0/24
exercise 10.8.0.2 10.8.0.1
finish $a $b
