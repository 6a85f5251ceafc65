/* device.h - what a program of random calls on tunnels has: descriptors in slots, names, memory. */
#ifndef DEVICE_H
#define DEVICE_H
#include "random.h"
#include <linux/sockios.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/virtio_net.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

#define N 8
static int fds[N]; /* -1 for an empty slot */
static int ep = -1, sock = -1;
static int pipes[2], tmp;
static const char *const names[] = { "fz0", "fz0", "fz0", "fz1", "fz1", "fz%d", "" };
static const char *const exact[] = { "fz0", "fz0", "fz1" };
static unsigned char buf[70000], out[70000];

static void begin(void)
{
    for (int i = 0; i < N; i++)
        fds[i] = -1;
    ep = MUST(epoll_create1(0));
    sock = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    MUST(pipe2(pipes, O_NONBLOCK));
    tmp = MUST(memfd_create("x", 0));
    MUST(ftruncate(tmp, 300));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void end(void)
{
    for (int i = 0; i < N; i++)
        if (fds[i] >= 0) {
            ioctl(fds[i], TUNSETPERSIST, 0);
        }
    for (int i = 0; i < N; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    close(ep);
    for (int i = 0; i < 4; i++) {
        /* Persistent ones whose descriptors are gone. */
        int fd = open(DEVICE, O_RDWR);
        char name[8];
        sprintf(name, "fz%d", i);
        if (!exists(name)) {
            close(fd);
            continue;
        }
        for (int f = 0; f < 4; f++)
            if (!tun_set_iff(fd, name, (f & 1 ? IFF_TAP : IFF_TUN) | (f & 2 ? IFF_MULTI_QUEUE : 0)))
                break;
        ioctl(fd, TUNSETPERSIST, 0);
        close(fd);
        if (exists(name))
            printf("%d.left %s: exists\n", seed_, name);
    }
}

static int any(void)
{
    for (int i = 0; i < 30; i++) {
        int s = draw(N);
        if (fds[s] >= 0)
            return s;
    }
    return 0;
}
static int free_slot(void)
{
    for (int i = 0; i < N; i++)
        if (fds[i] < 0)
            return i;
    int s = draw(N);
    close(fds[s]);
    fds[s] = -1;
    return s;
}

static void put(int slot, int fd)
{
    fds[slot] = fd;
    if (fd < 0)
        answer_result(fd);
    else
        answer("slot %d", slot);
}

static const char *ofl(int flags)
{
    static char t[200];
    sprintf(t, "%s",
            (flags & O_ACCMODE) == O_RDWR     ? "RDWR"
            : (flags & O_ACCMODE) == O_WRONLY ? "WRONLY"
            : (flags & O_ACCMODE) == 0        ? "RDONLY"
                                              : "ACC3");
    flags &= ~O_ACCMODE;
#define B(x)                                                                                                           \
    if ((flags & x) == x) {                                                                                            \
        strcat(t, "|" #x);                                                                                             \
        flags &= ~x;                                                                                                   \
    }
    B(O_TMPFILE)
    B(O_NONBLOCK) B(O_CLOEXEC) B(O_APPEND) B(O_TRUNC) B(O_CREAT) B(O_EXCL) B(O_DIRECTORY) B(O_PATH) B(O_ASYNC)
        B(O_DIRECT) B(O_NOFOLLOW) B(O_NOATIME) B(O_SYNC) B(O_DSYNC) B(O_NOCTTY) if (flags)
            sprintf(t + strlen(t), "|0x%x", flags);
    return t;
}

/* In some seeds there are several queues and no packets. */
static int has_queues(void) { return seed_ % 4 == 0; }

#endif
