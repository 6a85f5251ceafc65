/* Many interfaces on a small file system that nobody reads: every write succeeds, also when not a
   byte is left. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../../src/shim/memtun.h"

__attribute__((weak)) memtun_net *memtun_net_open(const char *dir);
__attribute__((weak)) memtun_interface *memtun_interface_open(memtun_net *net, const char *name, int timeout_ms);
__attribute__((weak)) int memtun_interface_inject(memtun_interface *iface, const void *frame, size_t len, uint16_t ethertype, int timeout_ms);
__attribute__((weak)) ssize_t memtun_interface_recv(memtun_interface *iface, void *buf, size_t len, uint16_t *ethertype, int timeout_ms);

enum { INTERFACES = 10, WRITES = 10000, SIZE = 1400, LARGEST = 65535 };

static char packet[LARGEST];

static void fail(const char *what, int which)
{
    printf("%s %d: %s\n", what, which, strerror(errno));
    exit(1);
}

static int attach(int which)
{
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "full%d", which);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr))
        fail("attach", which);
    return fd;
}

static void write_all(int fd, int which, size_t size)
{
    for (int i = 0; i < WRITES; i++)
        if (write(fd, packet, size) != (ssize_t)size)
            fail("write", which);
}

static int history(memtun_net *net, int which)
{
    char name[16], copy[SIZE];
    int kept = 0;
    snprintf(name, sizeof name, "full%d", which);
    memtun_interface *iface = memtun_interface_open(net, name, 1000);
    while (memtun_interface_recv(iface, copy, sizeof copy, NULL, 0) == SIZE)
        kept++;
    return kept;
}

/* Takes what the file system has left; the file is open and has no name. */
static int fill(const char *net)
{
    char path[4096], page[4096] = "";
    snprintf(path, sizeof path, "%s/../filler", net);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    unlink(path);
    while (write(fd, page, sizeof page) == sizeof page)
        ;
    if (errno != ENOSPC)
        fail("filler", fd);
    return fd;
}

int main(int argc, char **argv)
{
    int fds[INTERFACES + 1];
    memtun_net *net;
    alarm(50);
    memset(packet, 0x45, sizeof packet);
    for (int i = 0; i < INTERFACES; i++)
        fds[i] = attach(i);
    for (int i = 0; i < INTERFACES; i++)
        write_all(fds[i], i, SIZE);
    /* Whoever comes late is not worse off. */
    fds[INTERFACES] = attach(INTERFACES);
    write_all(fds[INTERFACES], INTERFACES, LARGEST);
    net = memtun_net_open(NULL);
    if (history(net, 0) < 1000)
        fail("the first keeps little", history(net, 0));

    int late = attach(INTERFACES + 1), once = attach(INTERFACES + 2);
    if (write(once, packet, SIZE) != SIZE)
        fail("the first write", once);
    int filler = fill(argv[1]);
    for (int i = 0; i <= INTERFACES; i++)
        write_all(fds[i], i, i % 2 ? SIZE : LARGEST);
    /* One packet has got it room for any. */
    write_all(once, INTERFACES + 2, LARGEST);
    write_all(late, INTERFACES + 1, SIZE);
    int kept = history(net, INTERFACES + 1);
    if (kept < 20)
        fail("the last keeps little", kept);

    /* The queue takes what it has room for, tells when it has none, and goes on when something was
       read. */
    memtun_interface *iface = memtun_interface_open(net, "full11", 1000);
    int injected = 0, answer, read_back = 0;
    for (int round = 0; round < 50; round++) {
        while (!(answer = memtun_interface_inject(iface, packet, 700 + round, 0, 0)))
            injected++;
        if (answer != -EAGAIN)
            fail("inject", answer);
        while (read(late, packet, 2) == 2 && (++read_back, read_back % 3))
            ;
    }
    while (read(late, packet, 2) == 2)
        read_back++;
    if (injected != read_back || injected < 100)
        fail("the queue lost packets", injected - read_back);
    errno = 0;
    if (memtun_interface_inject(iface, packet, 1500, 0, 0) || read(late, packet, 2) != 2)
        fail("an ordinary packet", 1);

    /* Room that comes back is used. */
    close(filler);
    for (int i = 1; i < INTERFACES; i++)
        close(fds[i]);
    usleep(150000);
    write_all(late, INTERFACES + 1, SIZE);
    write_all(late, INTERFACES + 1, SIZE);
    if (history(net, INTERFACES + 1) < 10 * kept)
        fail("history does not grow", kept);
    printf("ok\n");
    return 0;
}
