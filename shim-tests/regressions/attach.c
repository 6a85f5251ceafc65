/* attach NAME: attaches to a tun interface and says 0 or the error. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    strncpy(ifr.ifr_name, argc > 1 ? argv[1] : "", IFNAMSIZ - 1);
    puts(ioctl(open("/dev/net/tun", O_RDWR), TUNSETIFF, &ifr) ? strerrorname_np(errno) : "0");
    return 0;
}
