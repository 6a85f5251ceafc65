/* listener.c - listens for the links of its net, while somebody forges. It prints its port and
 * "ready", waits for SIGUSR1, looks that its socket is quiet, asks for the links in every way of
 * receiving, and hears of a change at last. What is not as it should be is printed. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static int fd;
static char room[65536];

static void wrong(const char *what, long n)
{
    printf("wrong: %s: %ld %s\n", what, n, n < 0 ? strerrorname_np(errno) : "");
}

static ssize_t receive(int how, int flags, struct sockaddr_nl *from)
{
    struct iovec part = { room, sizeof room };
    struct mmsghdr many = { .msg_hdr = { from, sizeof *from, &part, 1, NULL, 0, 0 } };
    socklen_t length = sizeof *from;
    int n;

    memset(from, 0, sizeof *from);
    switch (how % 6) {
    case 0:
        return recvfrom(fd, room, sizeof room, flags, (struct sockaddr *)from, &length);
    case 1:
        return recv(fd, room, sizeof room, flags);
    case 2:
        return recvmsg(fd, &many.msg_hdr, flags);
    case 3:
        n = recvmmsg(fd, &many, 1, flags, NULL);
        return n == 1 ? (ssize_t)many.msg_len : n;
    case 4:
        fcntl(fd, F_SETFL, flags & MSG_DONTWAIT ? O_NONBLOCK : 0);
        n = (int)read(fd, room, sizeof room);
        fcntl(fd, F_SETFL, 0);
        return n;
    default:
        fcntl(fd, F_SETFL, flags & MSG_DONTWAIT ? O_NONBLOCK : 0);
        n = (int)readv(fd, &part, 1);
        fcntl(fd, F_SETFL, 0);
        return n;
    }
}

static void quiet(void)
{
    struct sockaddr_nl from;
    int n = poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 200), queued = 0;
    if (n != 0)
        wrong("poll", n);
    if (ioctl(fd, FIONREAD, &queued) == 0 && queued)
        wrong("queued", queued);
    for (int how = 0; how < 6; how++) {
        ssize_t got = receive(how, MSG_DONTWAIT, &from);
        if (got != -1 || errno != EAGAIN)
            wrong("receive", got);
    }
    if (recv(fd, room, sizeof room, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC) != -1 || errno != EAGAIN)
        wrong("peek", 0);
}

static void dump(unsigned number)
{
    struct {
        struct nlmsghdr head;
        struct ifinfomsg link;
    } request = { { sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, number, 0 }, { 0 } };
    struct sockaddr_nl from;
    if (send(fd, &request, sizeof request, 0) < 0)
        wrong("send", -1);
    for (;;) {
        ssize_t n = receive((int)number, 0, &from);
        if (n <= 0 || from.nl_pid)
            return wrong("answer", n);
        struct nlmsghdr *at = (void *)room;
        for (; NLMSG_OK(at, (unsigned)n); at = NLMSG_NEXT(at, n)) {
            if (at->nlmsg_seq == 0 && number == 1)
                break;
            if (at->nlmsg_seq != number)
                return wrong("number", at->nlmsg_seq);
            if (at->nlmsg_type == NLMSG_DONE)
                return;
            if (at->nlmsg_type != RTM_NEWLINK)
                return wrong("type", at->nlmsg_type);
        }
    }
}

int main(void)
{
    struct ifreq request = { .ifr_name = "tap0", .ifr_flags = IFF_TAP | IFF_NO_PI };
    struct sockaddr_nl own = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK }, from;
    struct timeval limit = { .tv_sec = 3 };
    socklen_t length = sizeof own;
    sigset_t set;
    int tap = open("/dev/net/tun", O_RDWR), which, ip = socket(AF_INET, SOCK_DGRAM, 0);

    setvbuf(stdout, NULL, _IOLBF, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request) < 0)
        wrong("tap", -1);
    fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) < 0)
        wrong("bind", -1);
    getsockname(fd, (struct sockaddr *)&own, &length);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    /* What the host process says of the new interface comes first. */
    dump(1);
    while (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 150) == 1)
        recv(fd, room, sizeof room, MSG_DONTWAIT);
    printf("port %u\nready\n", own.nl_pid);
    sigwait(&set, &which);

    quiet();
    for (unsigned number = 1; number <= 120; number++)
        dump(number);
    quiet();
    request.ifr_flags = IFF_UP;
    if (ioctl(ip, SIOCSIFFLAGS, &request) < 0)
        wrong("up", -1);
    ssize_t n = receive(0, 0, &from);
    struct nlmsghdr *head = (void *)room;
    if (n < (ssize_t)sizeof *head || head->nlmsg_type != RTM_NEWLINK || head->nlmsg_len > n)
        wrong("event", n);
    if (from.nl_pid || from.nl_groups != RTMGRP_LINK)
        wrong("sender", from.nl_pid);
    puts("done");
    return 0;
}
