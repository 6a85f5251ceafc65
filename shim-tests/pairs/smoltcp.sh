# smoltcp behind a tun, and ordinary programs of the same net
# needs: ip ping nc curl python3
. ./lib.sh
. ./userspace.inc
beforehand smol0 tun
on a "$SMOLTCP" smol0 10.9.0.1/24 fd00:9::1/64 get 10.9.0.2:8000 10.9.0.2:8001 >stack.log 2>&1 &
stack=$!
both_ways 10.9.0.1 fd00:9::1
finish $stack $server
