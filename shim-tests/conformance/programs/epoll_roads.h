/* epoll_roads.h - the modes of a registration, a process that gets descriptors, and somebody who
 * sleeps. */
#ifndef EPOLL_ROADS_H
#define EPOLL_ROADS_H
#include "epolls.h"

__attribute__((unused)) static const struct { const char *name; unsigned bits; } modes[] = {
    { "level", 0 },
    { "edge", EPOLLET },
    { "level, one shot", EPOLLONESHOT },
    { "edge, one shot", EPOLLET | EPOLLONESHOT },
    { "level, exclusive", EPOLLEXCLUSIVE },
    { "edge, exclusive", EPOLLEXCLUSIVE | EPOLLET },
};
#define MODES (sizeof modes / sizeof *modes)

HELPER unsigned asked(int mode)
{
    unsigned all = EPOLLIN | EPOLLOUT | modes[mode].bits;
    return modes[mode].bits & EPOLLEXCLUSIVE ? all : all | EPOLLRDHUP;
}

HELPER const char *label(const char *road, int mode, const char *when)
{
    static char text[300];
    snprintf(text, sizeof text, "%.120s, %s, %s", road, modes[mode].name, when);
    return text;
}

HELPER void send_fds(int sock, const int *fds, int n)
{
    char byte = 'x';
    struct iovec v = { &byte, 1 };
    union { struct cmsghdr head; char space[CMSG_SPACE(2 * sizeof(int))]; } control = { 0 };
    struct msghdr message = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
    control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(n * sizeof(int)), .cmsg_level = SOL_SOCKET,
                                     .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
    MUST(sendmsg(sock, &message, 0));
}

HELPER void receive_fds(int sock, int *fds, int n)
{
    char byte;
    struct iovec v = { &byte, 1 };
    union { struct cmsghdr head; char space[CMSG_SPACE(2 * sizeof(int))]; } control = { 0 };
    struct msghdr message = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    MUST(recvmsg(sock, &message, 0));
    memcpy(fds, CMSG_DATA(&control.head), n * sizeof(int));
}

/* Somebody who sleeps in a wait: epoll_wait, poll or select of the instance. */
typedef struct {
    pthread_t thread;
    int how, fd;
    atomic_int tid, done;
    char text[200];
} sleeper;

HELPER void *sleeper_main(void *arg)
{
    sleeper *s = arg;
    char bits[160];
    atomic_store(&s->tid, (int)syscall(SYS_gettid));
    if (s->how == 0) {
        struct epoll_event e = { 0 };
        int n = epoll_wait(s->fd, &e, 1, 3000);
        sprintf(s->text, "%d %s", n, poll_bits(bits, e.events));
    } else if (s->how == 1) {
        struct pollfd p = { s->fd, POLLIN, 0 };
        int n = poll(&p, 1, 3000);
        sprintf(s->text, "%d %s", n, poll_bits(bits, p.revents));
    } else {
        fd_set set;
        struct timeval t = { 3, 0 };
        FD_ZERO(&set);
        FD_SET(s->fd, &set);
        int n = select(s->fd + 1, &set, NULL, NULL, &t);
        sprintf(s->text, "%d", n);
    }
    atomic_store(&s->done, 1);
    return NULL;
}

HELPER void sleep_in(sleeper *s, int how, int fd)
{
    memset(s, 0, sizeof *s);
    s->how = how;
    s->fd = fd;
    if (pthread_create(&s->thread, NULL, sleeper_main, s))
        die("pthread_create");
    if (!EVENTUALLY(atomic_load(&s->tid), 2000) || !sleeps(s->tid))
        die("does not sleep");
}

#endif
