/* Two processes that share a tunnel and talk through it all the time. Prints the id of the second,
 * then a line for each of its calls that fails. A call longer than PEER_LIMIT_MS ends it with
 * status 9. Usage: sharers INTERFACE */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    long limit = getenv("PEER_LIMIT_MS") ? atol(getenv("PEER_LIMIT_MS")) : 1500;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    strncpy(ifr.ifr_name, argv[1], IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr))
        return 3;
    pid_t child = fork();
    char packet[200] = { 0x45 };
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        for (int writes = 0; writes < 2; writes++) {
            long begun = now_ms();
            long n = writes ? write(fd, packet, sizeof packet) : read(fd, packet, sizeof packet);
            int e = errno;
            long time = now_ms() - begun;
            packet[0] = 0x45;
            if (child != 0)
                continue;
            if (time > limit) {
                fprintf(stderr, "SLOW: %s took %ld ms\n", writes ? "write" : "read", time);
                _exit(9);
            }
            if (writes && n < 0)
                fprintf(stderr, "sharer: write: %s after %ld ms\n", strerror(e), time);
        }
}
