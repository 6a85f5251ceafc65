// A program that asks the machine about its links, addresses and routes by rtnetlink, in every way
// that there is. It prints what a program can see of it, but no counters and no ports.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

static struct {
    struct nlmsghdr head;
    struct rtgenmsg family;
    char rest[12];
} request;
static char answer[65536];

static void *ask(int type, int flags)
{
    memset(&request, 0, sizeof request);
    request.head.nlmsg_len = sizeof request;
    request.head.nlmsg_type = type;
    request.head.nlmsg_flags = NLM_F_REQUEST | flags;
    request.head.nlmsg_seq = 7;
    return &request;
}

static unsigned port(int fd, unsigned *groups)
{
    struct sockaddr_nl name = {0};
    socklen_t length = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &length) == -1 || length != sizeof name)
        perror("getsockname");
    if (groups)
        *groups = name.nl_groups;
    return name.nl_pid;
}

// Prints a datagram: of each message the type, a hash of its bytes, and whether it is for this
// socket.
static int show(int fd, long n, const struct sockaddr_nl *from)
{
    if (n < 0) {
        printf(" errno %d", errno);
        return 1;
    }
    if (from && (from->nl_pid || from->nl_groups))
        printf(" from %u/%x:", from->nl_pid, from->nl_groups);
    int done = 0;
    long left = n;
    for (struct nlmsghdr *head = (void *)answer; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
        // Counters, time stamps and the like change between two runs.
        int stable = head->nlmsg_type == RTM_NEWRULE || head->nlmsg_type == NLMSG_DONE;
        unsigned hash = 5381;
        for (unsigned i = NLMSG_HDRLEN; stable && i < head->nlmsg_len; i++)
            hash = hash * 33 + ((unsigned char *)head)[i];
        printf(" %d.%u.%x.%u", head->nlmsg_type, head->nlmsg_len, hash, head->nlmsg_seq);
        if (head->nlmsg_pid != port(fd, NULL))
            printf("(for another)");
        if (head->nlmsg_type == NLMSG_ERROR)
            printf("=%d", ((struct nlmsgerr *)NLMSG_DATA(head))->error);
        done |= head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR;
    }
    return done;
}

static void receive_all(int fd, int how)
{
    for (int done = 0; !done;) {
        struct sockaddr_nl from = {.nl_pid = 99};
        socklen_t length = sizeof from;
        struct iovec vector = {answer, sizeof answer};
        struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &vector, .msg_iovlen = 1};
        struct mmsghdr several = {.msg_hdr = message};
        switch (how) {
        case 0: done = show(fd, recv(fd, answer, sizeof answer, 0), NULL); break;
        case 1: done = show(fd, read(fd, answer, sizeof answer), NULL); break;
        case 2: done = show(fd, readv(fd, &vector, 1), NULL); break;
        case 3: done = show(fd, recvfrom(fd, answer, sizeof answer, 0, (struct sockaddr *)&from, &length), &from); break;
        case 4: done = show(fd, recvmsg(fd, &message, 0), &from); break;
        case 5: {
            int n = recvmmsg(fd, &several, 1, MSG_WAITFORONE, NULL);
            done = show(fd, n == 1 ? several.msg_len : -1, &from);
            break;
        }
        case 6: {
            long whole = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC);
            long n = recvmsg(fd, &message, 0);
            if (whole != n)
                printf(" peeked %ld of %ld", whole, n);
            done = show(fd, n, &from);
            break;
        }
        default:
            done = show(fd, syscall(SYS_recvfrom, fd, answer, sizeof answer, 0, &from, &length), &from);
        }
    }
    puts("");
}

static void send_by(int fd, int how, const void *from, size_t n)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct iovec vector[2] = {{(void *)from, 16}, {(char *)from + 16, n - 16}};
    struct msghdr message = {.msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = vector, .msg_iovlen = 2};
    struct mmsghdr several = {.msg_hdr = message};
    long sent = -1;
    switch (how) {
    case 0: sent = send(fd, from, n, 0); break;
    case 1: sent = write(fd, from, n); break;
    case 2: sent = writev(fd, vector, 2); break;
    case 3: sent = sendto(fd, from, n, 0, (struct sockaddr *)&kernel, sizeof kernel); break;
    case 4: sent = sendmsg(fd, &message, 0); break;
    case 5: sent = sendmmsg(fd, &several, 1, 0) == 1 ? several.msg_len : -1; break;
    default: sent = syscall(SYS_sendto, fd, from, n, 0, &kernel, sizeof kernel);
    }
    printf("sent %d:", sent == (long)n);
}

static int opened(int flags)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);
    if (fd == -1)
        perror("socket"), exit(1);
    return fd;
}

static void ways(void)
{
    for (int how = 0; how < 8; how++) {
        int fd = opened(0);
        printf("way %d, rules: ", how);
        send_by(fd, how, ask(RTM_GETRULE, NLM_F_DUMP), sizeof request);
        receive_all(fd, how);
        close(fd);
    }
    int types[] = {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNETCONF, RTM_GETNSID, RTM_GETQDISC};
    int fd = opened(0);
    for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
        printf("dump of %d: ", types[i]);
        send_by(fd, 0, ask(types[i], NLM_F_DUMP), sizeof request);
        receive_all(fd, 3);
    }
    close(fd);
}

static void errors(void)
{
    int fd = opened(0);
    printf("nothing: %zd", send(fd, &request, 0, 0)), printf(" %d\n", errno);
    printf("urgent: %zd", send(fd, &request, 20, MSG_OOB)), printf(" %d\n", errno);
    struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = 1};
    printf("to another: %zd", sendto(fd, &request, 20, 0, (struct sockaddr *)&to, sizeof to)), printf(" %d\n", errno);
    to.nl_pid = 0, to.nl_groups = 1;
    printf("to a group: %zd", sendto(fd, &request, 20, 0, (struct sockaddr *)&to, sizeof to)), printf(" %d\n", errno);
    to.nl_groups = 0;
    printf("short name: %zd", sendto(fd, &request, 20, 0, (struct sockaddr *)&to, 8)), printf(" %d\n", errno);
    to.nl_family = AF_INET;
    printf("other family: %zd", sendto(fd, &request, 20, 0, (struct sockaddr *)&to, sizeof to)), printf(" %d\n", errno);
    printf("bad memory: %zd", send(fd, (void *)8, 20, 0)), printf(" %d\n", errno);
    printf("too long: %zd", send(fd, answer, 1 << 30, 0)), printf(" %d\n", errno);
    printf("shutdown: %d", shutdown(fd, SHUT_WR)), printf(" %d\n", errno);
    printf("listen: %d", listen(fd, 1)), printf(" %d\n", errno);
    to.nl_family = AF_NETLINK, to.nl_pid = 4711;
    printf("connect elsewhere: %d", connect(fd, (struct sockaddr *)&to, sizeof to)), printf(" %d\n", errno);
    to.nl_pid = 0;
    printf("connect: %d\n", connect(fd, (struct sockaddr *)&to, sizeof to));
    socklen_t length = sizeof to;
    printf("peer: %d", getpeername(fd, (struct sockaddr *)&to, &length)), printf(" %u %x %u\n", to.nl_pid, to.nl_groups, length);
    printf("after that: ");
    send_by(fd, 0, ask(RTM_GETRULE, NLM_F_DUMP), sizeof request);
    receive_all(fd, 3);
    printf("change: ");
    send_by(fd, 0, ask(RTM_DELLINK, NLM_F_ACK), sizeof request);
    receive_all(fd, 4);
    close(fd);
}

static void options(void)
{
    int fd = opened(0), value;
    socklen_t length = sizeof value;
    struct { int level, name; } all[] = {
        {SOL_SOCKET, SO_DOMAIN}, {SOL_SOCKET, SO_PROTOCOL}, {SOL_SOCKET, SO_TYPE}, {SOL_SOCKET, SO_RCVLOWAT}, {SOL_SOCKET, SO_RCVBUF},
        {SOL_SOCKET, SO_SNDBUF}, {SOL_SOCKET, SO_PRIORITY}, {SOL_SOCKET, SO_ACCEPTCONN}, {SOL_SOCKET, SO_ERROR}, {SOL_SOCKET, SO_PASSCRED},
        {SOL_NETLINK, NETLINK_EXT_ACK}, {SOL_NETLINK, NETLINK_CAP_ACK}, {SOL_NETLINK, NETLINK_PKTINFO}, {SOL_NETLINK, NETLINK_NO_ENOBUFS},
        {SOL_NETLINK, 99}, {IPPROTO_IP, 1},
    };
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        value = -1, length = sizeof value;
        int got = getsockopt(fd, all[i].level, all[i].name, &value, &length);
        printf("option %d %d: %d %d %u", all[i].level, all[i].name, got, value, length);
        printf(" errno %d\n", got ? errno : 0);
    }
    unsigned list[8] = {0};
    length = sizeof list;
    printf("groups: %d", getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, list, &length)), printf(" %u %x\n", length, *list);
    unsigned char two[2] = {9, 9};
    length = 1;
    printf("one byte: %d", getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, two, &length)), printf(" %u %d %d\n", length, two[0], two[1]);
    value = 200;
    printf("no group: %d", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &value, sizeof value)), printf(" %d\n", errno);
    printf("bad group: %d", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, (void *)8, sizeof value)), printf(" %d\n", errno);
    value = 1;
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &value, sizeof value);
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &value, sizeof value);
    printf("extended: ");
    send_by(fd, 0, ask(RTM_DELLINK, NLM_F_ACK), sizeof request);
    receive_all(fd, 4);
    printf("unbound: ");
    close(fd);
    fd = opened(0);
    printf("%u", port(fd, NULL));
    struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_pid = 123456};
    printf(" bound %d", bind(fd, (struct sockaddr *)&name, sizeof name)), printf(" %u", port(fd, NULL));
    name.nl_pid = 5;
    printf(" again %d", bind(fd, (struct sockaddr *)&name, sizeof name)), printf(" %d", errno);
    name.nl_pid = 123456;
    printf(" the same %d", bind(fd, (struct sockaddr *)&name, sizeof name));
    int other = opened(0);
    printf(" another %d", bind(other, (struct sockaddr *)&name, sizeof name)), printf(" %d\n", errno);
    close(other), close(fd);
}

static void copies(char *self)
{
    // A dump that began in one process goes on in another, which has the socket from it.
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), pair[2];
    send_by(fd, 0, ask(RTM_GETRULE, NLM_F_DUMP), sizeof request);
    printf(" by a child: "), fflush(stdout);
    if (!fork())
        receive_all(fd, 4), fflush(stdout), _exit(0);
    wait(NULL);
    int high = dup2(fd, 200);
    send_by(high, 1, ask(RTM_GETRULE, NLM_F_DUMP), sizeof request);
    receive_all(fcntl(high, F_DUPFD, 300), 3);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    union { struct cmsghdr head; char bytes[CMSG_SPACE(sizeof fd)]; } control = {0};
    struct iovec vector = {"x", 1};
    char byte;
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.head.cmsg_level = SOL_SOCKET, control.head.cmsg_type = SCM_RIGHTS, control.head.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    sendmsg(pair[0], &message, 0);
    vector.iov_base = &byte;
    recvmsg(pair[1], &message, 0);
    int passed;
    memcpy(&passed, CMSG_DATA(&control.head), sizeof passed);
    send_by(passed, 3, ask(RTM_GETRULE, NLM_F_DUMP), sizeof request);
    receive_all(passed, 5);
    fflush(stdout);
    char number[12];
    snprintf(number, sizeof number, "%d", fd);
    if (!fork())
        execl(self, self, number, NULL), _exit(9);
    wait(NULL);
    // The number becomes something else.
    int null = open("/dev/null", O_RDWR);
    dup2(null, fd);
    printf("a file in its place: %zd %zd\n", write(fd, "x", 1), read(fd, &byte, 1));
    close(fd);
    syscall(SYS_close, 200);
    int tcp = socket(AF_INET, SOCK_STREAM, 0);
    syscall(SYS_dup2, tcp, 200);
    printf("a socket in its place: %zd", send(200, "x", 1, MSG_NOSIGNAL)), printf(" %d\n", errno);
    {
        int shown = 0;
        socklen_t length = sizeof shown;
        getsockopt(200, SOL_SOCKET, SO_PROTOCOL, &shown, &length);
        printf("its protocol: %d\n", shown);
    }
}

static int handled;

static void handler(int number)
{
    (void)number;
    int fd = opened(0);
    send(fd, ask(RTM_GETRULE, NLM_F_DUMP), sizeof request, 0);
    handled = recv(fd, answer, sizeof answer, 0) > 0;
    close(fd);
}

static void odd_places(void)
{
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
    printf("in a handler: %d\n", handled);
    fflush(stdout);
    // A small queue: the answer is longer than that.
    int fd = opened(SOCK_NONBLOCK), small = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    send(fd, ask(RTM_GETLINK, NLM_F_DUMP), sizeof request, 0);
    int messages = 0, done = 0;
    while (!done) {
        struct pollfd wait = {fd, POLLIN, 0};
        if (poll(&wait, 1, 2000) != 1)
            break;
        long n = recv(fd, answer, sizeof answer, 0);
        for (struct nlmsghdr *head = (void *)answer; n > 0 && NLMSG_OK(head, n); head = NLMSG_NEXT(head, n))
            messages++, done |= head->nlmsg_type == NLMSG_DONE;
    }
    printf("a small queue: %d messages, done %d\n", messages, done);
    printf("empty: %zd", recv(fd, answer, sizeof answer, 0)), printf(" %d\n", errno);
    // An instance of epoll that knows the socket from its beginning.
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    send(fd, ask(RTM_GETRULE, NLM_F_DUMP), sizeof request, 0);
    printf("epoll: %d\n", epoll_wait(epoll, &event, 1, 2000));
    // No descriptor is left for anybody.
    close_range(fd + 1, ~0u, 0);
    fd = opened(0);
    struct { unsigned long now, most; } limit = {fd + 1, 1024};
    syscall(SYS_prlimit64, 0, 7, &limit, NULL);
    send_by(fd, 0, ask(RTM_GETRULE, NLM_F_DUMP), sizeof request);
    receive_all(fd, 0);
    close(fd);
}

static void others(void)
{
    int own = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK), protocol = -1;
    socklen_t length = sizeof protocol;
    getsockopt(own, SOL_SOCKET, SO_PROTOCOL, &protocol, &length);
    struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_pid = port(own, NULL)};
    bind(own, (struct sockaddr *)&name, sizeof name);
    name.nl_pid = port(own, NULL);
    printf("a socket of its own protocol: %d %zd", protocol, sendto(own, "hello", 5, 0, (struct sockaddr *)&name, sizeof name));
    printf(" %zd", recv(own, answer, sizeof answer, MSG_DONTWAIT));
    struct sockaddr_nl from = {0};
    length = sizeof from;
    sendto(own, "hello", 5, 0, (struct sockaddr *)&name, sizeof name);
    recvfrom(own, answer, sizeof answer, 0, (struct sockaddr *)&from, &length);
    printf(" from itself %d\n", from.nl_pid == name.nl_pid);
    int generic = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
    protocol = -1, length = sizeof protocol;
    getsockopt(generic, SOL_SOCKET, SO_PROTOCOL, &protocol, &length);
    printf("generic: %d\n", protocol);
    close(own), close(generic);
}

int main(int count, char **arguments)
{
    alarm(60);
    if (count == 2) {
        int fd = atoi(arguments[1]);
        printf("by another program: ");
        send_by(fd, 4, ask(RTM_GETRULE, NLM_F_DUMP), sizeof request);
        receive_all(fd, 6);
        return 0;
    }
    ways();
    errors();
    options();
    others();
    copies(arguments[0]);
    odd_places();
    return 0;
}
