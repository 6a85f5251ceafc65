/* On a file system that is nearly full: errors and losses that are told, never a signal. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../src/shim/memtun.h"

__attribute__((weak)) memtun_net *memtun_net_open(const char *dir);
__attribute__((weak)) memtun_interface *memtun_interface_open(memtun_net *net, const char *name, int timeout_ms);
__attribute__((weak)) int memtun_interface_inject(memtun_interface *iface, const void *frame, size_t len, uint16_t ethertype, int timeout_ms);
__attribute__((weak)) ssize_t memtun_interface_recv(memtun_interface *iface, void *buf, size_t len, uint16_t *ethertype, int timeout_ms);

int main(void)
{
    char packet[1400];
    struct ifreq ifr = { .ifr_name = "small0", .ifr_flags = IFF_TUN | IFF_NO_PI };
    alarm(20);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr)) {
        printf("refused: %s\n", strerror(errno));
        return errno == ENOSPC ? 0 : 1;
    }
    memset(packet, 0x45, sizeof packet);
    memtun_interface *iface = memtun_interface_open(memtun_net_open(NULL), "small0", 1000);
    int injected = 0, read_back = 0, last = 0, received = 0;
    while (injected < 600 && (last = memtun_interface_inject(iface, packet, sizeof packet, 0, 0)) == 0)
        injected++;
    while (read(fd, packet, sizeof packet) == sizeof packet)
        read_back++;
    memset(packet, 0x45, sizeof packet);
    for (int i = 0; i < 3000; i++)
        if (write(fd, packet, sizeof packet) != sizeof packet && errno != ENOBUFS) {
            printf("write: %s\n", strerror(errno));
            return 1;
        }
    for (ssize_t n; (n = memtun_interface_recv(iface, packet, sizeof packet, NULL, 0)) != -EAGAIN;)
        received += n > 0;
    printf("injected %d then %d, read %d, received %d of the last\n", injected, last, read_back, received);
    return injected == read_back ? 0 : 1;
}
