/* The netlink socket itself: names, groups, options, ways to send and to receive, several requests
 * in one message, malformed ones, other families. */
#include "rtnl.h"
#include <sys/epoll.h>

static int plain(int type) { return MUST(socket(AF_NETLINK, type | SOCK_CLOEXEC, NETLINK_ROUTE)); }

static void show_name(const char *label, int fd)
{
    struct sockaddr_nl at;
    socklen_t len = sizeof at;
    memset(&at, 0xee, sizeof at);
    if (getsockname(fd, (struct sockaddr *)&at, &len)) {
        show(label, -1);
        return;
    }
    say(label, "len=%u family=%d pad=%d pid=%s groups=0x%x", len, at.nl_family, at.nl_pad,
        !at.nl_pid ? "0" : at.nl_pid == (unsigned)getpid() ? "own" : (int)at.nl_pid < 0 ? "negative" : "other", at.nl_groups);
}

static int bind_to(int fd, unsigned port, unsigned groups)
{
    struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_pid = port, .nl_groups = groups };
    return bind(fd, (struct sockaddr *)&at, sizeof at);
}

static void names(void)
{
    int a = plain(SOCK_RAW), b = plain(SOCK_RAW), c = plain(SOCK_DGRAM), d = plain(SOCK_RAW), e = plain(SOCK_RAW);
    struct sockaddr_nl at = { .nl_family = AF_NETLINK };
    show_name("unbound", a);
    SHOW("bind", bind_to(a, 0, 0));
    show_name("bound first", a);
    SHOW("bind again", bind_to(a, 0, 0));
    SHOW("bind again to another port", bind_to(a, 7, 0));
    SHOW("bind again with groups", bind_to(a, 0, 1));
    show_name("with groups", a);
    SHOW("bind a second socket", bind_to(b, 0, 0));
    show_name("bound second", b);
    SHOW("bind to a taken port", bind_to(c, getpid(), 0));
    SHOW("bind to port 12345", bind_to(c, 12345, 0));
    show_name("port 12345", c);
    SHOW("bind, short", bind(d, (struct sockaddr *)&at, 4));
    SHOW("bind, length 0", bind(d, (struct sockaddr *)&at, 0));
    SHOW("bind, bad pointer", bind(d, BAD_POINTER, sizeof at));
    at.nl_family = AF_INET;
    SHOW("bind, AF_INET", bind(d, (struct sockaddr *)&at, sizeof at));
    at.nl_family = AF_NETLINK;
    at.nl_pad = 5;
    SHOW("bind with padding set", bind(d, (struct sockaddr *)&at, sizeof at));
    show_name("padding", d);
    struct nlmsghdr head = { 16, NLMSG_NOOP, 0, 0, 0 };
    SHOW("send without bind", send(e, &head, 16, 0));
    show_name("bound by sending", e);
    struct sockaddr_nl small;
    socklen_t len = 3;
    memset(&small, 0xee, sizeof small);
    SHOW("getsockname, 3 bytes", getsockname(a, (struct sockaddr *)&small, &len));
    say("getsockname, 3 bytes, then", "len=%u %s", len, hex((char[40]){ 0 }, &small, 5));
    len = sizeof small;
    SHOW("getpeername", getpeername(a, (struct sockaddr *)&small, &len));
    say("the peer", "len=%u family=%d pid=%u groups=%u", len, small.nl_family, small.nl_pid, small.nl_groups);
    SHOW("connect to the kernel", connect(a, (struct sockaddr *)&(struct sockaddr_nl){ .nl_family = AF_NETLINK }, sizeof at));
    SHOW("connect to a port", connect(b, (struct sockaddr *)&(struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_pid = 12345 }, sizeof at));
    len = sizeof small;
    SHOW("getpeername, connected", getpeername(b, (struct sockaddr *)&small, &len));
    say("the connected peer", "pid=%u groups=%u", small.nl_pid, small.nl_groups);
    SHOW("connect to a group", connect(b, (struct sockaddr *)&(struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_groups = 1 }, sizeof at));
    SHOW("connect, AF_UNSPEC", connect(b, (struct sockaddr *)&(struct sockaddr_nl){ .nl_family = AF_UNSPEC }, sizeof at));
    SHOW("connect, AF_INET", connect(b, (struct sockaddr *)&(struct sockaddr_nl){ .nl_family = AF_INET }, sizeof at));
    SHOW("connect, short", connect(b, (struct sockaddr *)&at, 8));
    SHOW("listen", listen(a, 1));
    SHOW("accept", accept(a, NULL, NULL));
    SHOW("shutdown", shutdown(a, SHUT_RDWR));
    SHOW("socketpair", socketpair(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, (int[2]){ 0 }));
    SHOW("SOCK_STREAM", socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE));
    SHOW("SOCK_SEQPACKET", socket(AF_NETLINK, SOCK_SEQPACKET, NETLINK_ROUTE));
    SHOW("protocol 31", socket(AF_NETLINK, SOCK_RAW, 31));
    SHOW("protocol 32", socket(AF_NETLINK, SOCK_RAW, 32));
    SHOW("protocol -1", socket(AF_NETLINK, SOCK_RAW, -1));
    for (int fd = a; fd <= e; fd++)
        close(fd);
}

static void show_option(const char *label, int fd, int level, int option)
{
    int value = -77;
    socklen_t len = sizeof value;
    if (getsockopt(fd, level, option, &value, &len))
        show(label, -1);
    else
        say(label, "%d len=%u", value, len);
}

static void options(void)
{
    int fd = plain(SOCK_RAW), dgram = plain(SOCK_DGRAM), on = 1, off = 0;
    struct { const char *label; int level, option; } all[] = {
        { "SO_DOMAIN", SOL_SOCKET, SO_DOMAIN }, { "SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL }, { "SO_TYPE", SOL_SOCKET, SO_TYPE },
        { "SO_ERROR", SOL_SOCKET, SO_ERROR }, { "SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN },
        { "SO_PASSCRED", SOL_SOCKET, SO_PASSCRED },
        { "NETLINK_EXT_ACK", SOL_NETLINK, NETLINK_EXT_ACK }, { "NETLINK_CAP_ACK", SOL_NETLINK, NETLINK_CAP_ACK },
        { "NETLINK_GET_STRICT_CHK", SOL_NETLINK, NETLINK_GET_STRICT_CHK }, { "NETLINK_PKTINFO", SOL_NETLINK, NETLINK_PKTINFO },
        { "NETLINK_BROADCAST_ERROR", SOL_NETLINK, NETLINK_BROADCAST_ERROR }, { "NETLINK_NO_ENOBUFS", SOL_NETLINK, NETLINK_NO_ENOBUFS },
        { "NETLINK_LISTEN_ALL_NSID", SOL_NETLINK, NETLINK_LISTEN_ALL_NSID } };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        show_option(all[i].label, fd, all[i].level, all[i].option);
    show_option("SO_TYPE of SOCK_DGRAM", dgram, SOL_SOCKET, SO_TYPE);
    show_option("unknown option", fd, SOL_NETLINK, 77);
    for (size_t i = 6; i < 12; i++) {
        char label[60];
        snprintf(label, sizeof label, "set %s", all[i].label);
        SHOW(label, setsockopt(fd, SOL_NETLINK, all[i].option, &on, sizeof on));
        snprintf(label, sizeof label, "%s set", all[i].label);
        show_option(label, fd, SOL_NETLINK, all[i].option);
        setsockopt(fd, SOL_NETLINK, all[i].option, &off, sizeof off);
        snprintf(label, sizeof label, "%s unset", all[i].label);
        show_option(label, fd, SOL_NETLINK, all[i].option);
    }
    SHOW("set NETLINK_EXT_ACK of 1 byte", setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, 1));
    SHOW("set an unknown option", setsockopt(fd, SOL_NETLINK, 77, &on, sizeof on));
    int size = 20000;
    SHOW("set SO_RCVBUF", setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
    show_option("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF);
    SHOW("set SO_SNDBUF", setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    show_option("SO_SNDBUF", fd, SOL_SOCKET, SO_SNDBUF);
    size = 300000;
    SHOW("set SO_RCVBUFFORCE", setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size));
    close(fd);
    close(dgram);
}

static void show_groups(const char *label, int fd)
{
    uint32_t words[4] = { 0 };
    socklen_t len = sizeof words;
    if (getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &len))
        show(label, -1);
    else
        say(label, "len=%u %08x %08x", len, words[0], words[1]);
}

static void groups(void)
{
    int fd = plain(SOCK_RAW), group;
    show_groups("no groups", fd);
    SHOW("bind with RTMGRP_LINK and IPv4", bind_to(fd, 0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR));
    show_groups("two groups", fd);
    group = RTNLGRP_NEIGH;
    SHOW("add a membership", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    SHOW("add it again", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    group = RTNLGRP_NSID;
    SHOW("add nsid", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    group = 33;
    SHOW("add group 33", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    show_groups("five groups", fd);
    show_name("groups of the name", fd);
    group = RTNLGRP_LINK;
    SHOW("drop link", setsockopt(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group));
    SHOW("drop it again", setsockopt(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group));
    show_groups("link dropped", fd);
    group = 0;
    SHOW("add group 0", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    group = 200;
    SHOW("add group 200", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    group = -1;
    SHOW("add group -1", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    SHOW("bind with other groups", bind_to(fd, 0, RTMGRP_IPV4_ROUTE));
    show_groups("after the second bind", fd);
    SHOW("bind with all groups", bind_to(fd, 0, 0xffffffff));
    show_groups("all groups of a bind", fd);
    SHOW("bind without groups", bind_to(fd, 0, 0));
    show_groups("after a bind without groups", fd);
    socklen_t len = 0;
    SHOW("list, length 0", getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, NULL, &len));
    say("list, length wanted", "%u", len);
    close(fd);
    fd = plain(SOCK_RAW);
    group = RTNLGRP_LINK;
    SHOW("membership without bind", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    show_name("membership without bind, name", fd);
    close(fd);
}

/* ---- receiving ---- */

static void ask_lo(int fd, unsigned seq)
{
    struct { struct nlmsghdr head; struct ifinfomsg info; } q = { { sizeof q, RTM_GETLINK, NLM_F_REQUEST, seq, 0 }, { .ifi_index = 1 } };
    MUST(send(fd, &q, sizeof q, 0));
}

static void ask_dump(int fd, int type, int family)
{
    struct { struct nlmsghdr head; struct rtgenmsg info; char pad[15]; } q = { .head = { 32, type, NLM_F_REQUEST | NLM_F_DUMP, 5, 0 },
                                                                               .info = { family } };
    MUST(send(fd, &q, 32, 0));
}

static int waiting(int fd, int ms) { return rt_ready(fd, ms); }

static void receiving(void)
{
    int fd = plain(SOCK_RAW);
    char small[40];
    struct sockaddr_nl from;
    socklen_t len;
    MUST(bind_to(fd, 0, 0));
    SHOW("recv of nothing, MSG_DONTWAIT", recv(fd, rt_got, sizeof rt_got, MSG_DONTWAIT));
    ask_lo(fd, 1);
    say("an answer is there", "%d", waiting(fd, WAIT_MS));
    ssize_t whole = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC);
    say("peek without a buffer, MSG_TRUNC", "plausible=%d", whole > 1000 && whole < 3000);
    SHOW("peek without a buffer", recv(fd, NULL, 0, MSG_PEEK));
    SHOW("peek 40 bytes", recv(fd, small, sizeof small, MSG_PEEK));
    say("peek 40 bytes, MSG_TRUNC", "same=%d", recv(fd, small, sizeof small, MSG_PEEK | MSG_TRUNC) == whole);
    say("all of it", "same=%d", recv(fd, rt_got, sizeof rt_got, 0) == whole);
    SHOW("nothing more", recv(fd, rt_got, sizeof rt_got, MSG_DONTWAIT));
    ask_lo(fd, 2);
    waiting(fd, WAIT_MS);
    SHOW("40 bytes", recv(fd, small, sizeof small, 0));
    SHOW("the rest is gone", recv(fd, rt_got, sizeof rt_got, MSG_DONTWAIT));
    ask_lo(fd, 3);
    waiting(fd, WAIT_MS);
    say("40 bytes with MSG_TRUNC", "same=%d", recv(fd, small, sizeof small, MSG_TRUNC) == whole);
    ask_lo(fd, 4);
    waiting(fd, WAIT_MS);
    struct iovec parts[2] = { { small, 10 }, { small + 10, 20 } };
    char control[200];
    memset(&from, 0xee, sizeof from);
    struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = parts, .msg_iovlen = 2, .msg_control = control,
                        .msg_controllen = sizeof control };
    SHOW("recvmsg, 30 bytes", recvmsg(fd, &m, 0));
    say("recvmsg, then", "namelen=%u family=%d pid=%u groups=%u flags=0x%x control=%zu", m.msg_namelen, from.nl_family, from.nl_pid,
        from.nl_groups, m.msg_flags, m.msg_controllen);
    ask_lo(fd, 5);
    waiting(fd, WAIT_MS);
    m.msg_namelen = 4;
    memset(&from, 0xee, sizeof from);
    SHOW("recvmsg, name of 4 bytes", recvmsg(fd, &m, 0));
    say("name of 4 bytes, then", "namelen=%u %s", m.msg_namelen, hex((char[40]){ 0 }, &from, 6));
    ask_lo(fd, 6);
    waiting(fd, WAIT_MS);
    len = sizeof from;
    memset(&from, 0xee, sizeof from);
    say("recvfrom", "same=%d", recvfrom(fd, rt_got, sizeof rt_got, 0, (struct sockaddr *)&from, &len) == whole);
    say("recvfrom, then", "len=%u family=%d pid=%u groups=%u", len, from.nl_family, from.nl_pid, from.nl_groups);
    ask_lo(fd, 7);
    waiting(fd, WAIT_MS);
    say("read", "same=%d", read(fd, rt_got, sizeof rt_got) == whole);
    ask_lo(fd, 8);
    waiting(fd, WAIT_MS);
    say("readv", "%d", (int)readv(fd, parts, 2));
    ask_lo(fd, 9);
    waiting(fd, WAIT_MS);
    SHOW("recv, bad pointer", recv(fd, BAD_POINTER, 4000, 0));
    SHOW("after the bad pointer", recv(fd, rt_got, sizeof rt_got, MSG_DONTWAIT) > 0);
    ask_lo(fd, 10);
    ask_lo(fd, 11);
    EVENTUALLY(waiting(fd, 0), WAIT_MS);
    static char bufs[3][4000];
    struct iovec one[3] = { { bufs[0], 4000 }, { bufs[1], 4000 }, { bufs[2], 4000 } };
    struct mmsghdr many[3] = { { .msg_hdr = { .msg_iov = &one[0], .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &one[1], .msg_iovlen = 1 } },
                               { .msg_hdr = { .msg_iov = &one[2], .msg_iovlen = 1 } } };
    SHOW("recvmmsg of 2", recvmmsg(fd, many, 2, 0, NULL));
    say("recvmmsg, then", "same=%d same=%d seqs=%u,%u", (ssize_t)many[0].msg_len == whole, (ssize_t)many[1].msg_len == whole,
        ((struct nlmsghdr *)bufs[0])->nlmsg_seq, ((struct nlmsghdr *)bufs[1])->nlmsg_seq);
    SHOW("recvmmsg of nothing", recvmmsg(fd, many, 3, MSG_DONTWAIT, NULL));
    int on = 1;
    MUST(setsockopt(fd, SOL_NETLINK, NETLINK_PKTINFO, &on, sizeof on));
    ask_lo(fd, 12);
    waiting(fd, WAIT_MS);
    m = (struct msghdr){ .msg_iov = parts, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof control };
    SHOW("recvmsg with PKTINFO", recvmsg(fd, &m, 0));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c)
        say("the PKTINFO", "level=%d type=%d group=%u", c->cmsg_level, c->cmsg_type, ((struct nl_pktinfo *)CMSG_DATA(c))->group);
    else
        say("the PKTINFO", "none");
    struct timeval brief = { 0, 20000 };
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief));
    SHOW("SO_RCVTIMEO ends", recv(fd, rt_got, sizeof rt_got, 0));
    SHOW("FIONREAD", ioctl(fd, 0x541b, &on));
    SHOW("SIOCGIFINDEX on it", ioctl(fd, SIOCGIFINDEX, &(struct ifreq){ .ifr_name = "lo" }));
    close(fd);
    fd = plain(SOCK_RAW);
    ask_lo(fd, 13);
    show_name("bound by its first request", fd);
    say("an answer of the unbound", "%d", waiting(fd, WAIT_MS));
    close(fd);
}

static void polling(void)
{
    int fd = plain(SOCK_RAW), ep = MUST(epoll_create1(EPOLL_CLOEXEC));
    struct epoll_event e = { .events = EPOLLIN | EPOLLET }, got;
    show_poll("poll, unbound", fd, POLL_ALL, 0);
    MUST(bind_to(fd, 0, 0));
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    show_poll("poll, idle", fd, POLL_ALL, 0);
    SHOW("epoll, idle", epoll_wait(ep, &got, 1, 0));
    ask_lo(fd, 1);
    say("poll, answered", "%d", waiting(fd, WAIT_MS));
    show_poll("poll, answered, events", fd, POLL_ALL, 0);
    SHOW("epoll, answered", epoll_wait(ep, &got, 1, WAIT_MS));
    SHOW("epoll, edge only once", epoll_wait(ep, &got, 1, 0));
    SHOW("read it", recv(fd, rt_got, sizeof rt_got, 0) > 0);
    show_poll("poll, read", fd, POLL_ALL, 0);
    ask_lo(fd, 2);
    SHOW("epoll, answered again", epoll_wait(ep, &got, 1, WAIT_MS));
    SHOW("O_NONBLOCK", fcntl(fd, F_SETFL, O_NONBLOCK));
    SHOW("read it, non-blocking", recv(fd, rt_got, sizeof rt_got, 0) > 0);
    SHOW("recv, non-blocking", recv(fd, rt_got, sizeof rt_got, 0));
    close(ep);
    close(fd);
}

static void copies(void)
{
    int fd = plain(SOCK_RAW);
    MUST(bind_to(fd, 0, 0));
    int copy = MUST(dup(fd));
    ask_lo(copy, 1);
    SHOW("asked on the copy, read on the first", waiting(fd, WAIT_MS) && recv(fd, rt_got, sizeof rt_got, 0) > 0);
    close(fd);
    ask_lo(copy, 2);
    SHOW("the first is closed", waiting(copy, WAIT_MS) && recv(copy, rt_got, sizeof rt_got, 0) > 0);
    pid_t pid = child();
    if (!pid) {
        ask_lo(copy, 3);
        _exit(waiting(copy, WAIT_MS) && recv(copy, rt_got, sizeof rt_got, 0) > 0 ? 0 : 1);
    }
    say("a child asks on the inherited one", "%s", finish(pid));
    pid = child();
    if (!pid) {
        int own = plain(SOCK_RAW);
        bind_to(own, 0, 0);
        show_name("a socket of the child", own);
        ask_lo(own, 4);
        _exit(waiting(own, WAIT_MS) && recv(own, rt_got, sizeof rt_got, 0) > 0 ? 0 : 1);
    }
    say("a child asks on its own", "%s", finish(pid));
    ask_lo(copy, 5);
    SHOW("afterwards", waiting(copy, WAIT_MS) && recv(copy, rt_got, sizeof rt_got, 0) > 0);
    close(copy);
}

/* ---- sending ---- */

/* Everything that comes until the answer to `last`. */
static void until(const char *label, int fd, unsigned last)
{
    int end = 0, count = 0;
    ONLY(IFLA_IFNAME);
    while (!end) {
        ssize_t n = waiting(fd, 500) ? recv(fd, rt_got, sizeof rt_got, 0) : -1;
        if (n < 0)
            break;
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            out("%sseq=%u ", count++ ? " ; " : "", h->nlmsg_seq);
            out_message(h);
            end |= h->nlmsg_seq == last && (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE);
        }
    }
    ALL();
    out_line(label);
}

struct get { struct nlmsghdr head; struct ifinfomsg info; };

static struct get get(unsigned seq, int index, int flags)
{
    return (struct get){ { sizeof(struct get), RTM_GETLINK, NLM_F_REQUEST | flags, seq, 0 }, { .ifi_index = index } };
}

static void sending(void)
{
    int fd = rt_socket(SOCK_RAW, 0);
    struct get q[3] = { get(1, 1, NLM_F_ACK), get(2, 9999, 0), get(3, 1, NLM_F_ACK) };
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    SHOW("three requests in one message", send(fd, q, sizeof q, 0));
    until("their answers", fd, 3);
    SHOW("write", write(fd, q, sizeof *q));
    until("write, answer", fd, 1);
    struct iovec parts[2] = { { q, 10 }, { (char *)q + 10, sizeof *q - 10 } };
    SHOW("writev in two pieces", writev(fd, parts, 2));
    until("writev, answer", fd, 1);
    struct msghdr m = { .msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = parts, .msg_iovlen = 2 };
    SHOW("sendmsg", sendmsg(fd, &m, 0));
    until("sendmsg, answer", fd, 1);
    union { char room[CMSG_SPACE(sizeof(struct ucred))]; struct cmsghdr head; } control = { .head = { CMSG_LEN(sizeof(struct ucred)),
                                                                                              SOL_SOCKET, SCM_CREDENTIALS } };
    struct ucred *who = (struct ucred *)CMSG_DATA(&control.head);
    m.msg_control = &control;
    m.msg_controllen = sizeof control.room;
    *who = (struct ucred){ getpid(), getuid(), getgid() };
    SHOW("sendmsg with own credentials", sendmsg(fd, &m, 0));
    until("own credentials, answer", fd, 1);
    who->pid = 1;
    SHOW("sendmsg with forged credentials", sendmsg(fd, &m, 0));
    control.head.cmsg_len = CMSG_LEN(4);
    SHOW("sendmsg with short credentials", sendmsg(fd, &m, 0));
    control.head.cmsg_type = SCM_RIGHTS;
    SHOW("sendmsg with a descriptor", sendmsg(fd, &m, 0));
    control.head.cmsg_type = 99;
    SHOW("sendmsg with an unknown control message", sendmsg(fd, &m, 0));
    control.head.cmsg_len = 4000;
    SHOW("sendmsg with a control message that is too long", sendmsg(fd, &m, 0));
    control.head = (struct cmsghdr){ CMSG_LEN(4), SOL_NETLINK, 3 };
    SHOW("sendmsg with a control message of another level", sendmsg(fd, &m, 0));
    until("another level, answer", fd, 1);
    SHOW("no other answer", waiting(fd, 0));
    m.msg_controllen = 0;
    struct iovec one[2] = { { &q[0], sizeof *q }, { &q[2], sizeof *q } };
    struct mmsghdr many[2] = { { .msg_hdr = { .msg_iov = &one[0], .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &one[1], .msg_iovlen = 1 } } };
    SHOW("sendmmsg", sendmmsg(fd, many, 2, 0));
    say("sendmmsg, lengths", "%u %u", many[0].msg_len, many[1].msg_len);
    until("sendmmsg, answers", fd, 3);
    SHOW("sendto the kernel", sendto(fd, q, sizeof *q, 0, (struct sockaddr *)&kernel, sizeof kernel));
    until("sendto, answer", fd, 1);
    SHOW("sendto, short address", sendto(fd, q, sizeof *q, 0, (struct sockaddr *)&kernel, 4));
    struct sockaddr_nl other = kernel;
    other.nl_family = AF_INET;
    SHOW("sendto, AF_INET", sendto(fd, q, sizeof *q, 0, (struct sockaddr *)&other, sizeof other));
    other = kernel;
    other.nl_pid = 77777;
    SHOW("sendto a port of nobody", sendto(fd, q, sizeof *q, 0, (struct sockaddr *)&other, sizeof other));
    SHOW("send of 0 bytes", send(fd, q, 0, 0));
    SHOW("send, bad pointer", send(fd, BAD_POINTER, 32, 0));
    SHOW("send, MSG_OOB", send(fd, q, sizeof *q, MSG_OOB));
    SHOW("send, MSG_DONTWAIT", send(fd, q, sizeof *q, MSG_DONTWAIT));
    until("send, MSG_DONTWAIT, answer", fd, 1);
    static char big[2000000];
    SHOW("send of 2 MB", send(fd, big, sizeof big, 0));
    q[0].head.nlmsg_pid = 4711;
    SHOW("another nlmsg_pid", send(fd, q, sizeof *q, 0));
    until("another nlmsg_pid, answer", fd, 1);
    close(fd);
}

static void malformed_one(const char *what, int fd, const void *data, size_t len)
{
    char label[100];
    snprintf(label, sizeof label, "malformed, %s", what);
    SHOW(label, send(fd, data, len, 0));
    struct get last = get(99, 9999, 0);
    MUST(send(fd, &last, sizeof last, 0));
    snprintf(label, sizeof label, "malformed, %s, answers", what);
    until(label, fd, 99);
}

static void malformed(void)
{
    int fd = rt_socket(SOCK_RAW, 0);
    unsigned char raw[200] = { 0 };
    struct get *q = (void *)raw;
    *q = get(1, 1, NLM_F_ACK);
    malformed_one("8 bytes", fd, q, 8);
    malformed_one("15 bytes", fd, q, 15);
    q->head.nlmsg_len = 0;
    malformed_one("length 0", fd, q, sizeof *q);
    q->head.nlmsg_len = 15;
    malformed_one("length 15", fd, q, sizeof *q);
    q->head.nlmsg_len = 33;
    malformed_one("length one more", fd, q, sizeof *q);
    q->head.nlmsg_len = 0xffffffff;
    malformed_one("length -1", fd, q, sizeof *q);
    q->head.nlmsg_len = 31;
    malformed_one("length 31", fd, q, sizeof *q);
    q->head.nlmsg_len = 17;
    malformed_one("length 17", fd, q, sizeof *q);
    q->head.nlmsg_len = 16;
    malformed_one("length 16", fd, q, sizeof *q);
    *q = get(1, 1, NLM_F_ACK);
    malformed_one("bytes behind", fd, raw, sizeof *q + 5);
    q->head.nlmsg_flags = NLM_F_ACK;
    malformed_one("no NLM_F_REQUEST", fd, q, sizeof *q);
    q->head.nlmsg_flags = 0;
    malformed_one("no flags", fd, q, sizeof *q);
    static const struct { int type; const char *name; } types[] = {
        { NLMSG_NOOP, "NLMSG_NOOP" }, { NLMSG_ERROR, "NLMSG_ERROR" }, { NLMSG_DONE, "NLMSG_DONE" }, { NLMSG_OVERRUN, "NLMSG_OVERRUN" }, { 15, "type 15" },
        { 19 + 4, "type 23" }, { 27 + 4, "type 31" }, { 200, "type 200" }, { 65535, "type 65535" }, { RTM_NEWPREFIX, "NEWPREFIX" }, { RTM_GETMDB, "GETMDB" },
        { RTM_GETNSID, "GETNSID" }, { RTM_GETNETCONF, "GETNETCONF" }, { RTM_GETQDISC, "GETQDISC" } };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        *q = get(1, 1, NLM_F_ACK);
        q->head.nlmsg_type = types[i].type;
        malformed_one(types[i].name, fd, q, sizeof *q);
    }
    *q = get(1, 0, NLM_F_ACK);
    struct rtattr *a = (void *)(raw + sizeof *q);
    *a = (struct rtattr){ 3, IFLA_IFNAME };
    q->head.nlmsg_len = sizeof *q + 8;
    malformed_one("attribute of length 3", fd, q, q->head.nlmsg_len);
    a->rta_len = 0;
    malformed_one("attribute of length 0", fd, q, q->head.nlmsg_len);
    a->rta_len = 100;
    malformed_one("attribute beyond the end", fd, q, q->head.nlmsg_len);
    *a = (struct rtattr){ 8, IFLA_IFNAME };
    memcpy(a + 1, "lo\0", 4);
    q->head.nlmsg_len = sizeof *q + 10;
    malformed_one("2 bytes behind the attributes", fd, q, q->head.nlmsg_len);
    *a = (struct rtattr){ 6, IFLA_IFNAME };
    q->head.nlmsg_len = sizeof *q + 8;
    malformed_one("name without a zero", fd, q, q->head.nlmsg_len);
    *a = (struct rtattr){ 8, IFLA_IFNAME | NLA_F_NESTED };
    memcpy(a + 1, "lo\0", 4);
    malformed_one("name with NLA_F_NESTED", fd, q, q->head.nlmsg_len);
    close(fd);
}

/* What an error quotes of the request, and what changes it. */
static void acks(void)
{
    int fd = plain(SOCK_RAW), on = 1, off = 0;
    MUST(bind_to(fd, 0, 0));
    static const struct { const char *label; int ext, cap; } all[] = { { "plain", 0, 0 }, { "CAP_ACK", 0, 1 }, { "EXT_ACK", 1, 0 },
                                                                       { "both", 1, 1 } };
    for (int i = 0; i < 4; i++) {
        char label[60];
        setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, all[i].ext ? &on : &off, sizeof on);
        setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, all[i].cap ? &on : &off, sizeof on);
        for (int kind = 0; kind < 3; kind++) {
            struct { struct nlmsghdr head; struct ifinfomsg info; struct rtattr mtu; int value; } q = {
                { sizeof q, RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0 }, { .ifi_index = 1 }, { 8, IFLA_MTU }, 65536 };
            if (kind == 1)
                q.info.ifi_index = 9999;
            if (kind == 2)
                q.mtu.rta_len = 6;
            MUST(send(fd, &q, sizeof q, 0));
            ssize_t n = waiting(fd, WAIT_MS) ? recv(fd, rt_got, sizeof rt_got, 0) : -1;
            struct nlmsghdr *h = (void *)rt_got;
            snprintf(label, sizeof label, "ack %s, %s", all[i].label, kind == 0 ? "success" : kind == 1 ? "failure" : "failure with text");
            out("received=%zd len=%u type=%u flags=0x%x own_pid=%d quoted_len=%u same=%d ", n, h->nlmsg_len, h->nlmsg_type, h->nlmsg_flags,
                h->nlmsg_pid == (unsigned)getpid() || h->nlmsg_pid > 0, ((struct nlmsgerr *)NLMSG_DATA(h))->msg.nlmsg_len,
                h->nlmsg_len >= 36 + 24 && !memcmp((char *)NLMSG_DATA(h) + 20, (char *)&q + 16, 24));
            out_message(h);
            out_line(label);
        }
    }
    close(fd);
}

static void busy(void)
{
    int fd = rt_socket(SOCK_RAW, 0);
    ask_dump(fd, RTM_GETLINK, AF_UNSPEC);
    ask_dump(fd, RTM_GETADDR, AF_UNSPEC);
    int dones = 0, errors = 0;
    while (dones < 2 && !errors && waiting(fd, 500)) {
        ssize_t n = recv(fd, rt_got, sizeof rt_got, 0);
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            dones += h->nlmsg_type == NLMSG_DONE;
            errors += h->nlmsg_type == NLMSG_ERROR;
        }
    }
    say("two short dumps at once", "done=%d errors=%d", dones, errors);
    close(fd);
}

/* ---- overruns ---- */

/* More events than any queue of this program has room for. */
static void many_events(int count)
{
    for (int i = 0; i < count; i++)
        MUST(if_set_mtu("over0", 1400 + i % 2));
}

static void drained(const char *label, int fd)
{
    int some = 0;
    while (recv(fd, rt_got, sizeof rt_got, MSG_DONTWAIT) > 0)
        some = 1;
    say(label, "%s, then %s", some ? "some" : "none", errno == EAGAIN ? "EAGAIN" : errno == ENOBUFS ? "ENOBUFS" : "another error");
}

static void overrun_of(const char *what, int size)
{
    char label[80];
    int fd = plain(SOCK_RAW), on = 1, off = 0;
    struct iovec part = { rt_got, 40 };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
    MUST(bind_to(fd, 0, RTMGRP_LINK));
#define L(text) (snprintf(label, sizeof label, "%s, %s", what, text), label)
    many_events(300);
    say(L("ready"), "%d", waiting(fd, WAIT_MS));
    SHOW(L("first recv"), recv(fd, rt_got, 40, MSG_DONTWAIT));
    drained(L("the rest"), fd);
    many_events(300);
    SHOW(L("peek"), recv(fd, rt_got, 40, MSG_DONTWAIT | MSG_PEEK));
    SHOW(L("peek again"), recv(fd, rt_got, 40, MSG_DONTWAIT | MSG_PEEK));
    drained(L("the rest after the peek"), fd);
    many_events(300);
    SHOW(L("recvmsg"), recvmsg(fd, &m, MSG_DONTWAIT));
    drained(L("the rest after recvmsg"), fd);
    many_events(300);
    show_option(L("SO_ERROR"), fd, SOL_SOCKET, SO_ERROR);
    show_option(L("SO_ERROR again"), fd, SOL_SOCKET, SO_ERROR);
    drained(L("the rest after SO_ERROR"), fd);
    SHOW(L("NO_ENOBUFS on"), setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on));
    many_events(300);
    drained(L("with NO_ENOBUFS"), fd);
    many_events(300);
    SHOW(L("NO_ENOBUFS off"), setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &off, sizeof off));
    drained(L("lost before that"), fd);
    many_events(1);
    drained(L("one event"), fd);
    show_groups(L("groups"), fd);
    show_name(L("name"), fd);
#undef L
    close(fd);
}

static void overruns(void)
{
    int tun = tun_attach("over0", TUN, 0);
    overrun_of("overrun, smallest buffer", 1);
    overrun_of("overrun, 20 kB", 20000);
    overrun_of("overrun, 100 kB", 100000);
    close(tun);
}

/* ---- other families ---- */

static void generic(void)
{
    static const char *const families[] = { "nlctrl", "nosuchfamily" };
    int fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC)), on = 1;
    MUST(bind_to(fd, 0, 0));
    SHOW("generic, EXT_ACK", setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on));
    rt_generic = 1;
    for (int i = 0; i < 2; i++) {
        char label[60];
        struct genlmsghdr g = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 };
        request(GENL_ID_CTRL, NLM_F_ACK, &g, sizeof g);
        put_text(CTRL_ATTR_FAMILY_NAME, families[i]);
        rt_head->nlmsg_seq = 9;
        MUST(send(fd, rt_ask, rt_head->nlmsg_len, 0));
        collect(fd, 9);
        snprintf(label, sizeof label, "generic, %s", families[i]);
        out_line(label);
    }
    struct genlmsghdr g = { .cmd = 77, .version = 1 };
    request(GENL_ID_CTRL, NLM_F_ACK, &g, sizeof g);
    MUST(send(fd, rt_ask, rt_head->nlmsg_len, 0));
    collect(fd, 0);
    out_line("generic, unknown command");
    rt_generic = 0;
    show_option("generic, SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
    close(fd);
    fd = MUST(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_USERSOCK));
    SHOW("usersock, bind", bind_to(fd, 0, 0));
    show_option("usersock, SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
    int peer = MUST(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_USERSOCK));
    SHOW("usersock, a peer", bind_to(peer, 54321, 0));
    struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = 54321 }, from;
    socklen_t len = sizeof from;
    SHOW("usersock, to the peer", sendto(fd, "hello", 5, 0, (struct sockaddr *)&to, sizeof to));
    SHOW("usersock, from the first", recvfrom(peer, rt_got, 100, MSG_DONTWAIT, (struct sockaddr *)&from, &len));
    say("usersock, sender", "%d", from.nl_pid == (unsigned)getpid() || from.nl_pid > 0);
    close(fd);
    close(peer);
    fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    struct nlmsghdr head = { 16, 20, NLM_F_REQUEST | NLM_F_ACK, 3, 0 };
    SHOW("sock_diag, send", send(fd, &head, sizeof head, 0));
    collect(fd, 3);
    out_line("sock_diag, answer");
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    with_ipv6();
    names();
    options();
    groups();
    receiving();
    polling();
    copies();
    sending();
    malformed();
    acks();
    busy();
    overruns();
    generic();
    return 0;
}
