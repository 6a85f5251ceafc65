/* One descriptor is attached again and again while other threads use it: what it was attached to
   before takes no room. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../src/shim/memtun.h"

__attribute__((weak)) memtun_net *memtun_net_open(const char *dir);
__attribute__((weak)) memtun_interface *memtun_interface_open(memtun_net *net, const char *name, int timeout_ms);
__attribute__((weak)) int memtun_interface_delete(memtun_interface *iface);
__attribute__((weak)) void memtun_interface_close(memtun_interface *iface);

static int fd, stop;

static long kilobytes(void)
{
    char line[200];
    long size = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "VmSize: %ld", &size) == 1)
            break;
    fclose(status);
    return size;
}

static void *writes(void *arg)
{
    char packet[1400] = { 0x45 };
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
        if (write(fd, packet, sizeof packet) < 0 && errno != EBADFD && errno != EIO && errno != EAGAIN) {
            printf("write: %s\n", strerror(errno));
            exit(1);
        }
    return arg;
}

static void *reads(void *arg)
{
    char packet[1400];
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
        if (read(fd, packet, sizeof packet) < 0) {
            struct pollfd waiting = { fd, POLLIN, 0 };
            poll(&waiting, 1, 1);
        }
    return arg;
}

static void attach(memtun_net *net, int times)
{
    for (int i = 0; i < times; i++) {
        struct ifreq ifr = { .ifr_name = "again", .ifr_flags = IFF_TUN | IFF_NO_PI };
        if (ioctl(fd, TUNSETIFF, &ifr)) {
            printf("TUNSETIFF: %s\n", strerror(errno));
            exit(1);
        }
        memtun_interface *iface = memtun_interface_open(net, "again", 1000);
        if (!iface || memtun_interface_delete(iface)) {
            printf("the interface: %s\n", strerror(errno));
            exit(1);
        }
        memtun_interface_close(iface);
    }
}

int main(int argc, char **argv)
{
    int times = atoi(argv[1]), others = atoi(argv[2]);
    pthread_t threads[2];
    alarm(50);
    fd = open("/dev/net/tun", O_RDWR | (others ? 0 : O_NONBLOCK));
    memtun_net *net = memtun_net_open(NULL);
    attach(net, 20);
    long before = kilobytes();
    if (others) {
        pthread_create(&threads[0], NULL, writes, NULL);
        pthread_create(&threads[1], NULL, reads, NULL);
    }
    attach(net, times);
    long after = kilobytes();
    stop = 1;
    /* Two stacks and heaps of threads, and what could not be let go yet. */
    if (after - before > (others ? 200 : 9) << 10) {
        printf("%ld MiB more\n", (after - before) >> 10);
        return 1;
    }
    if (argc > 3)
        printf("%ld KiB\n", after - before);
    printf("ok\n");
    fflush(stdout);
    _exit(0);
}
