# socat's TUN addresses
# needs: socat ip
. ./lib.sh
socat -V | sed -n 2p
loopback
socat -d -d TUN:10.9.1.1/24,tun-name=sc0,iff-up,iff-no-pi UDP-LISTEN:$PORT,bind=127.0.0.1 2>tun.log &
tun=$!
until_log listening tun.log
settle
socat -d -d TUN:10.9.2.1/16,tun-name=sc1,tun-type=tap,iff-up,iff-noarp UDP-LISTEN:$((PORT + 1)),bind=127.0.0.1 2>tap.log &
tap=$!
until_log listening tap.log
settle
show
sed -E 's/:[0-9]+$/:PORT/; s/^.*socat\[[0-9]+\] //' tun.log tap.log
end $tun
end $tap
show
echo "socat of an interface that somebody else has made"
ip tuntap add sc2 mode tun
socat -d -d TUN,tun-name=sc2,iff-no-pi,iff-up UDP-LISTEN:$((PORT + 2)),bind=127.0.0.1 2>again.log &
again=$!
until_log listening again.log
ip addr add 10.9.3.1/32 peer 10.9.3.2 dev sc2
settle
show
end $again
ip -br addr show sc2 | plain
