/* A process ends while its threads use its tunnel: none of them sees it go. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fd;
static atomic_int at_work;

static void *use(void *what)
{
    char packet[100] = { 0x45 };
    struct ifreq ifr;
    for (int n = 0;; n++) {
        long answer = !what ? write(fd, packet, sizeof packet) : what == &fd ? read(fd, packet, 0) : ioctl(fd, TUNGETIFF, &ifr);
        if (answer < 0) {
            dprintf(1, "a call fails: %s\n", strerror(errno));
            exit(1);
        }
        if (n == 10)
            atomic_fetch_add(&at_work, 1);
    }
}

int main(int argc, char **argv)
{
    struct ifreq ifr = { .ifr_name = "end0", .ifr_flags = IFF_TUN | IFF_NO_PI };
    void *const kinds[] = { NULL, &fd, &at_work };
    pthread_t thread;
    alarm(20);
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (ioctl(fd, TUNSETIFF, &ifr))
        return 9;
    for (int i = 0; i < 3; i++)
        pthread_create(&thread, NULL, use, kinds[i]);
    while (atomic_load(&at_work) < 3)
        sched_yield();
    switch (atoi(argv[1])) {
    case 0: return 0;
    case 1: exit(0);
    case 2: _exit(0);
    case 3: quick_exit(0);
    default: syscall(SYS_exit_group, 0);
    }
    return argc;
}
