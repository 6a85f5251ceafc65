# lwIP behind a tap, and ordinary programs of the same net
# needs: ip ping nc curl python3 gcc ../include/lwip/netif/tapif.h
. ./lib.sh
. ./userspace.inc
gcc -O1 -D_GNU_SOURCE -I/usr/include/lwip -o lwip_echo lwip_echo.c -llwip -pthread || exit
# Debian's build of lwIP 2.1.3 writes past the end of its buffers for frames that are longer.
beforehand lwip0 tap 576
on a "$W/lwip_echo" lwip0 10.9.0.1 255.255.255.0 get 10.9.0.2:8000 10.9.0.2:8001 >stack.log 2>&1 &
stack=$!
both_ways 10.9.0.1
finish $stack $server
