/* wire - one end of a cable: what comes out of an interface goes to the other end, and from there
 * into its interface. usage: wire NAME tun|tap SOCKET listen|connect [LOST REORDERED]
 * Of 1000 packets that arrive, so many are lost, and so many come behind the next two. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int tun, cable;

static void must(int good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void *outwards(void *unused)
{
    static char packet[70000];
    (void)unused;
    for (;;) {
        ssize_t n = read(tun, packet, sizeof packet);
        if (n < 0 && errno != EINTR && errno != EIO)
            exit(2);
        if (n > 0 && send(cable, packet, n, MSG_NOSIGNAL) < 0)
            exit(0);
    }
}

/* A number below 1000, the same row in every run. */
static unsigned chance(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % 1000;
}

static void inwards(unsigned lost, unsigned reordered)
{
    static char packet[70000], kept[70000];
    ssize_t kept_len = 0;
    int behind = 0;
    for (;;) {
        struct pollfd p = { cable, POLLIN, 0 };
        if (!poll(&p, 1, kept_len ? 5 : -1) || (kept_len && behind <= 0)) {
            (void)!write(tun, kept, kept_len);
            kept_len = 0;
            continue;
        }
        ssize_t n = recv(cable, packet, sizeof packet, 0);
        if (n <= 0)
            exit(0);
        unsigned drawn = chance();
        if (drawn < lost)
            continue;
        if (drawn < lost + reordered && !kept_len) {
            memcpy(kept, packet, kept_len = n);
            behind = 2;
            continue;
        }
        (void)!write(tun, packet, n);
        behind--;
    }
}

int main(int argc, char **argv)
{
    struct ifreq ifr = { 0 };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    pthread_t thread;
    must(argc >= 5, "usage: wire NAME tun|tap SOCKET listen|connect [LOST REORDERED]");
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    tun = open("/dev/net/tun", O_RDWR);
    must(tun >= 0, "/dev/net/tun");
    strncpy(ifr.ifr_name, argv[1], IFNAMSIZ - 1);
    ifr.ifr_flags = (strcmp(argv[2], "tap") ? IFF_TUN : IFF_TAP) | IFF_NO_PI;
    must(!ioctl(tun, TUNSETIFF, &ifr), "TUNSETIFF");
    strncpy(un.sun_path, argv[3], sizeof un.sun_path - 1);
    cable = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    if (!strcmp(argv[4], "listen")) {
        int at = cable;
        must(!bind(at, (void *)&un, sizeof un) && !listen(at, 1), "bind");
        cable = accept(at, NULL, NULL);
        must(cable >= 0, "accept");
    } else {
        int tries = 0;
        while (connect(cable, (void *)&un, sizeof un)) {
            must(tries++ < 500, "connect");
            usleep(10000);
        }
    }
    must(!pthread_create(&thread, NULL, outwards, NULL), "thread");
    inwards(argc > 5 ? atoi(argv[5]) : 0, argc > 6 ? atoi(argv[6]) : 0);
    return 0;
}
