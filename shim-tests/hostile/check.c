/* Does a fresh tunnel work in this net? Opens and attaches one, drives it from the same process,
 * ten packets each way. Usage: check NET */
#define MEMTUN_WEAK
#include "memtun.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int fail(int status, const char *what, long answer)
{
    fprintf(stderr, "check: %s: %ld, %s, %s\n", what, answer, strerror(errno), memtun_error_text());
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    alarm(20);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (fd < 0)
        return fail(3, "open", fd);
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "chk" };
    if (ioctl(fd, TUNSETIFF, &ifr))
        return fail(4, "TUNSETIFF", -1);
    memtun_net *net = memtun_net_open(argv[1]);
    memtun_interface *interface = memtun_interface_open(net, "chk", 1000);
    if (!interface)
        return fail(5, "memtun_interface_open", 0);
    for (int i = 0; i < 10; i++) {
        char out[100] = { 0x45 }, in[200];
        out[50] = i;
        long n = memtun_interface_inject(interface, out, sizeof out, 0, 1000);
        if (n != 0)
            return fail(6, "memtun_interface_inject", n);
        n = read(fd, in, sizeof in);
        if (n != sizeof out || in[50] != i)
            return fail(7, "read", n);
        n = write(fd, out, sizeof out);
        if (n != sizeof out)
            return fail(8, "write", n);
        n = memtun_interface_recv(interface, in, sizeof in, NULL, 1000);
        if (n != sizeof out || in[50] != i)
            return fail(9, "memtun_interface_recv", n);
    }
    memtun_interface_close(interface);
    memtun_net_close(net);
    close(fd);
    return 0;
}
