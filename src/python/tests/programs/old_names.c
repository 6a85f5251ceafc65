/* Each name of before in memtun.h, once, by a program that is its own driver. */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "memtun.h"

static void check(int line, int holds)
{
    if (!holds) {
        fprintf(stderr, "line %d: %s\n", line, memtun_error_text());
        exit(1);
    }
}
#define CHECK(condition) check(__LINE__, condition)

int main(void)
{
    struct ifreq ifr;
    unsigned char packet[1500];
    uint16_t ethertype = 0;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

    memset(&ifr, 0, sizeof ifr);
    strcpy(ifr.ifr_name, "tun0");
    ifr.ifr_flags = IFF_TUN | IFF_NO_PI;
    CHECK(fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0 && memtun_active() == 1);
    memtun_net *net = memtun_net_open(NULL);
    memtun_iface *tun = memtun_interface(net, "tun0", 1000);
    CHECK(net && tun);
    CHECK(memtun_send_udp(tun, "10.0.0.2", 4000, "10.0.0.1", 7, "hello", 5, 0) == 0);
    long size = read(fd, packet, sizeof packet);
    CHECK(size == 33);
    CHECK(memtun_inject(tun, packet, size, 0, 0) == 0 && read(fd, packet, sizeof packet) == size);
    CHECK(memtun_deliver(tun, packet, size, 0) == 0 && read(fd, packet, sizeof packet) == size);
    CHECK(write(fd, packet, size) == size);
    CHECK(memtun_receive_udp(tun, "10.0.0.1", 7, packet, sizeof packet, 0) == 5);
    CHECK(memtun_recv(tun, packet, sizeof packet, &ethertype, 0) == size && ethertype == 0x800);
    CHECK(memtun_fault(net, "write=EINTR@1") == 0 && write(fd, packet, size) == -1);
    CHECK(memtun_deny(net, "ioctl") == 0 && ioctl(fd, TUNGETIFF, &ifr) == -1);
    CHECK(memtun_permit(net, "ioctl") == 0 && ioctl(fd, TUNGETIFF, &ifr) == 0);
    CHECK(memtun_link_set_up(tun, 0) == 0 && memtun_link_set_up(tun, 1) == 0);
    CHECK(memtun_link_set_mtu(tun, 1400) == 0 && memtun_link_set_txqlen(tun, 7) == 0);
    CHECK(memtun_link_set_carrier(tun, 0) == 0 && memtun_link_set_name(tun, "tun1") == 0);
    CHECK(memtun_link_del(tun) == 0);
    memtun_iface_close(tun);
    memtun_net_close(net);
    puts("all is well");
    return 0;
}
