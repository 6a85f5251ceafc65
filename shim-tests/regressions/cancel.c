/* Cancels threads that block on a tunnel, on an ordinary socket and on one of rtnetlink: their
   cleanup runs, and the tunnel goes on working. So it is for threads that may be cancelled at any
   moment (PTHREAD_CANCEL_ASYNCHRONOUS), which call again and again: a tunnel can be written to, so
   that waits for that return at once. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int fd, epoll, cleaned, sockets[2], full[2], at_any_moment;
static pthread_barrier_t started;

static void cleanup(void *unused) { (void)unused, cleaned++; }

static void receive(int from, long how, char buf[2000])
{
    struct iovec part = { buf, 2000 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    struct mmsghdr several = { .msg_hdr = message };
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    switch (how) {
    case 3: recv(from, buf, 2000, 0); break;
    case 4: recvfrom(from, buf, 2000, 0, (struct sockaddr *)&name, &length); break;
    case 5: recvmsg(from, &message, 0); break;
    case 6: recvmmsg(from, &several, 1, 0, NULL); break;
    case 7: read(from, buf, 2000); break;
    default: readv(from, &part, 1); break;
    }
}

static void block_in(long how)
{
    char buf[2000];
    struct iovec part = { buf, sizeof buf };
    struct pollfd p = { fd, at_any_moment ? POLLIN | POLLOUT : POLLIN, 0 };
    struct epoll_event event;
    fd_set set, writes, *written = at_any_moment ? &writes : NULL;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    writes = set;
    switch (how) {
    case 0: read(fd, buf, sizeof buf); break;
    case 1: readv(fd, &part, 1); break;
    case 2: poll(&p, 1, -1); break;
    case 3: select(fd + 1, &set, written, NULL, NULL); break;
    case 4: send(full[0], buf, sizeof buf, 0); break;
    case 5: write(full[0], buf, sizeof buf); break;
    case 18: ppoll(&p, 1, NULL, NULL); break;
    case 19: pselect(fd + 1, &set, written, NULL, NULL, NULL); break;
    case 20: epoll_wait(epoll, &event, 1, -1); break;
    case 21: epoll_pwait(epoll, &event, 1, -1, NULL); break;
    case 22: epoll_pwait2(epoll, &event, 1, NULL, NULL); break;
    default: receive(sockets[how % 2], how / 2, buf); break;
    }
}

static void *block(void *how)
{
    pthread_cleanup_push(cleanup, NULL);
    pthread_barrier_wait(&started);
    if (at_any_moment)
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    do
        block_in((long)how);
    while (at_any_moment);
    pthread_cleanup_pop(0);
    return NULL;
}

/* Cancels threads that block in each way, `rounds` of each. Sometimes they are in the call, and
   sometimes before it: both must work. */
static void cancel_all(int rounds)
{
    for (long how = 0; how < 23; how++)
        for (int round = 0; round < rounds; round++) {
            pthread_t thread;
            void *result;
            pthread_create(&thread, NULL, block, (void *)how);
            pthread_barrier_wait(&started);
            if (round % 2)
                usleep(at_any_moment ? round * 7 : 200);
            pthread_cancel(thread);
            pthread_join(thread, &result);
            if (result != PTHREAD_CANCELED)
                _exit(3);
        }
}

int main(void)
{
    struct ifreq ifr = { .ifr_name = "cancel0", .ifr_flags = IFF_TUN | IFF_NO_PI };
    alarm(20);
    fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr))
        return 2;
    pthread_barrier_init(&started, NULL, 2);
    sockets[0] = socket(AF_INET, SOCK_DGRAM, 0);
    sockets[1] = socket(AF_NETLINK, SOCK_RAW, 0);
    socketpair(AF_UNIX, SOCK_STREAM, 0, full);
    while (send(full[0], full, sizeof full, MSG_DONTWAIT) > 0)
        ;
    struct epoll_event event = { .events = EPOLLIN };
    epoll = epoll_create1(0);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        return 4;
    cancel_all(50);
    at_any_moment = 1;
    event.events |= EPOLLOUT;
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event))
        return 5;
    cancel_all(50);
    printf("cleaned %d, write %zd\n", cleaned, write(fd, "E", 1));
    return 0;
}
