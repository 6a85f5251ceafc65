# IPsec by strongSwan, whose kernel-libipsec carries ESP in UDP between a tun and ordinary sockets
# needs: charon-systemd swanctl ip ping nc curl iperf3 python3
. ./lib.sh
wire tun
# It asks what it may, which fakeroot does not answer.
cat >caps.c <<C
#include <linux/capability.h>
#include <string.h>
int capget(void *h, struct __user_cap_data_struct *d) { if (d) memset(d, 255, 2 * sizeof *d); return 0; }
int capset(void *h, void *d) { return 0; }
C
gcc -shared -fPIC -o caps.so caps.c
PRELOAD="$PRELOAD $W/caps.so"
export PRELOAD
for name in a:1:2:start b:2:1:none; do
    IFS=: read -r name own other action <<<"$name"
    on $name ip addr add 10.8.0.$own/32 dev lo
    cat >$name.conf <<C
charon-systemd {
    load = random nonce aes sha1 sha2 hmac kdf drbg gmp kernel-libipsec kernel-netlink socket-default vici
    plugins {
        vici { socket = unix://$W/$name.vici }
        kernel-libipsec { load = yes }
    }
    filelog { $name { path = $W/$name.log
        flush_line = yes } }
}
C
    cat >$name.swanctl <<C
connections { other {
    version = 2
    encap = yes
    local_addrs = 10.9.0.$own
    remote_addrs = 10.9.0.$other
    proposals = aes128-sha256-modp2048
    local { auth = psk
        id = $name }
    remote { auth = psk }
    children { net {
        local_ts = 10.8.0.$own/32
        remote_ts = 10.8.0.$other/32
        esp_proposals = aes128-sha256
        start_action = $action
    } }
} }
secrets { ike { secret = "between the two" } }
C
    STRONGSWAN_CONF=$W/$name.conf on $name charon-systemd >$name.out 2>&1 &
    eval "$name=$!"
done
for name in a b; do until_log "spawning" $name.log; done
for name in b a; do on $name swanctl --load-all --file $W/$name.swanctl --uri unix://$W/$name.vici 2>&1 | grep loaded; done
until_log "CHILD_SA net.* established" b.log
on b ip -o link show ipsec0 | sed 's/^[0-9]*//'
on b ip route show table 220
exercise 10.8.0.1 10.8.0.2
finish $a $b
