# iodine and iodined, each of which runs ifconfig by system(); they insist on being root
# needs: iodine iodined ip ifconfig fakeroot cc
. ./lib.sh
iodine -v 2>&1 | sed -n 2p
loopback
root=
[ "$(id -u)" = 0 ] || root=fakeroot
# The client asks port 53, which a server without privileges does not get.
cat >port.c <<'C'
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
    struct sockaddr_in there;
    if (to && length >= sizeof there && to->sa_family == AF_INET) {
        memcpy(&there, to, sizeof there);
        if (there.sin_port == htons(53))
            there.sin_port = htons(atoi(getenv("PORT")));
        return real(fd, data, size, flags, (struct sockaddr *)&there, sizeof there);
    }
    return real(fd, data, size, flags, to, length);
}
C
cc -shared -fPIC -o port.so port.c -ldl
$root iodined -f -c -l 127.0.0.1 -p $PORT -P password -d iod0 -m 1200 10.6.0.1/28 t.example.org >server.log 2>&1 &
iodined=$!
until_log "Listening to dns" server.log
LD_PRELOAD="$W/port.so${LD_PRELOAD:+:$LD_PRELOAD}" $root iodine -f -r -P password -d iod1 -T TXT -O Base32 -m 600 \
    127.0.0.1 t.example.org >client.log 2>&1 &
iodine=$!
until_log "Connection setup complete" client.log
settle
show
grep -v -E '^FAKEROOT|^$' client.log | sed -E 's/[0-9]+ (bytes|ms)/N \1/g; s/userid is .*/userid/; s/Retrying.*/Retrying/' | grep -i -e tun -e ip -e mtu -e setting -e complete
for program in iodine iodined; do
    for daemon in $(daemons "$(readlink -f "$(command -v $program)")"); do kill "$daemon"; done
done
gone $iodine
gone $iodined
show
