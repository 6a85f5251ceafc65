/* Cancels threads that block in read, readv, poll and select on a tunnel: their cleanup runs, and
   the tunnel goes on working. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <unistd.h>

static int fd, cleaned;
static pthread_barrier_t started;

static void cleanup(void *unused) { (void)unused, cleaned++; }

static void *block(void *how)
{
    char buf[2000];
    struct iovec part = { buf, sizeof buf };
    struct pollfd p = { fd, POLLIN, 0 };
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    pthread_cleanup_push(cleanup, NULL);
    pthread_barrier_wait(&started);
    switch ((long)how) {
    case 0: read(fd, buf, sizeof buf); break;
    case 1: readv(fd, &part, 1); break;
    case 2: poll(&p, 1, -1); break;
    default: select(fd + 1, &set, NULL, NULL, NULL); break;
    }
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void)
{
    struct ifreq ifr = { .ifr_name = "cancel0", .ifr_flags = IFF_TUN | IFF_NO_PI };
    alarm(20);
    fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr))
        return 2;
    pthread_barrier_init(&started, NULL, 2);
    for (long how = 0; how < 4; how++)
        for (int round = 0; round < 50; round++) {
            pthread_t thread;
            void *result;
            pthread_create(&thread, NULL, block, (void *)how);
            pthread_barrier_wait(&started);
            if (round % 2)
                usleep(200); /* sometimes in the call, sometimes before it: both must work */
            pthread_cancel(thread);
            pthread_join(thread, &result);
            if (result != PTHREAD_CANCELED)
                return 3;
        }
    printf("cleaned %d, write %zd\n", cleaned, write(fd, "E", 1));
    return 0;
}
