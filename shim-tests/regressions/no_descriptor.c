/* A program without a descriptor to spare asks about its interface: what cannot be looked at for
 * want of one is not taken for an interface that is gone. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if_tun.h>

int main(void)
{
    static const unsigned long requests[] = {SIOCGIFFLAGS, SIOCGIFMTU, SIOCGIFADDR, SIOCGIFINDEX};
    struct ifreq ifr = {.ifr_name = "tun0", .ifr_flags = IFF_TUN | IFF_NO_PI};
    int tun = open("/dev/net/tun", O_RDWR), fd = socket(AF_INET, SOCK_DGRAM, 0), wrong = 0;
    struct rlimit none;

    alarm(30);
    if (ioctl(tun, TUNSETIFF, &ifr) || fd < 0)
        return 2;
    none.rlim_cur = none.rlim_max = (rlim_t)fd + 1;
    setrlimit(RLIMIT_NOFILE, &none);
    for (unsigned i = 0; i < sizeof requests / sizeof *requests; i++) {
        memset(&ifr, 0, sizeof ifr);
        strcpy(ifr.ifr_name, "tun0");
        if (ioctl(fd, requests[i], &ifr) && errno == ENODEV) {
            printf("%#lx %s\n", requests[i], strerrorname_np(errno));
            wrong = 1;
        }
    }
    return wrong;
}
