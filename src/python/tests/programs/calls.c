/* Makes each call once that a fault can be set on, and prints what it gave: "open=0 TUNSETIFF=0
 * ...", errors as numbers.
 *
 * calls             leaves it to another program to set faults
 * calls fault SPEC  sets a fault itself, takes it back at the end and prints what all calls give
 *                   then
 * calls deny OP     takes a permission away itself, and gives it back */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "memtun.h"

#pragma weak memtun_net_open
#pragma weak memtun_net_fault
#pragma weak memtun_net_take_back
#pragma weak memtun_net_deny
#pragma weak memtun_net_permit

static void say(const char *name, long answer)
{
    printf("%s=%d ", name, answer < 0 ? errno : 0);
}

static void calls(void)
{
    const unsigned char packet[20] = {0x45, 0, 0, 20};
    unsigned char buffer[100];
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int on = 1, sock = socket(AF_INET, SOCK_DGRAM, 0);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

    say("open", fd);
    if (fd < 0) {
        puts("");
        close(sock);
        return;
    }
    strcpy(ifr.ifr_name, "calls0");
    say("TUNSETIFF", ioctl(fd, TUNSETIFF, &ifr));
    say("write", write(fd, packet, sizeof packet));
    say("read", read(fd, buffer, sizeof buffer));
    say("FIONBIO", ioctl(fd, FIONBIO, &on));
    say("SIOCGIFFLAGS", ioctl(sock, SIOCGIFFLAGS, &ifr));
    memset(&ifr.ifr_addr, 0, sizeof ifr.ifr_addr);
    say("SIOCSIFADDR", ioctl(sock, SIOCSIFADDR, &ifr));
    strcpy(ifr.ifr_name, "lo");
    say("lo", ioctl(sock, SIOCGIFFLAGS, &ifr));
    say("close", close(fd));
    puts("");
    close(sock);
}

int main(int argc, char **argv)
{
    memtun_net *net;

    if (argc < 3) {
        calls();
        return 0;
    }
    if (!memtun_net_open || !(net = memtun_net_open(NULL)))
        return 77;
    if (!strcmp(argv[1], "fault")) {
        if (memtun_net_fault(net, argv[2]))
            return 1;
        calls();
        if (memtun_net_take_back(net, argv[2]) != 1)
            return 2;
    } else {
        if (memtun_net_deny(net, argv[2]))
            return 1;
        calls();
        memtun_net_permit(net, argv[2]);
    }
    calls();
    return 0;
}
