/* What the kernel knows of a netlink socket beside its messages: options that want a privilege or
 * mean nothing, the filter that is read back, connections, several dumps in one request, and how
 * poll and epoll show that an event was lost. */
#include "rtnl.h"
#include <linux/filter.h>
#include <sys/epoll.h>

static int plain(void)
{
    int fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    return fd;
}

static const char *named(const char *format, ...)
{
    static char text[4][120];
    static int next;
    char *to = text[next++ % 4];
    va_list args;
    va_start(args, format);
    vsnprintf(to, sizeof *text, format, args);
    va_end(args);
    return to;
}

static void get_option(const char *what, int fd, int level, int option)
{
    int value = -77;
    socklen_t length = sizeof value;
    if (getsockopt(fd, level, option, &value, &length))
        show(what, -1);
    else
        say(what, "%d length=%u", value, length);
}

/* ---- options ---- */

static const struct { const char *name; int level, option; } noted[] = {
    { "SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT }, { "SO_MARK", SOL_SOCKET, SO_MARK }, { "SO_PRIORITY", SOL_SOCKET, SO_PRIORITY },
    { "NETLINK_LISTEN_ALL_NSID", SOL_NETLINK, NETLINK_LISTEN_ALL_NSID }, { "NETLINK_BROADCAST_ERROR", SOL_NETLINK, NETLINK_BROADCAST_ERROR },
    { "NETLINK_NO_ENOBUFS", SOL_NETLINK, NETLINK_NO_ENOBUFS }, { "SO_PASSCRED", SOL_SOCKET, SO_PASSCRED },
    { "SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP }, { "SO_SNDLOWAT", SOL_SOCKET, SO_SNDLOWAT }, { "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE },
    { "SO_INCOMING_CPU", SOL_SOCKET, SO_INCOMING_CPU }, { "SO_RXQ_OVFL", SOL_SOCKET, SO_RXQ_OVFL }, { "SO_PEEK_OFF", SOL_SOCKET, SO_PEEK_OFF },
    { "SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE }, { "SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT }, { "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF },
    { "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF }, { "SO_ATTACH_BPF", SOL_SOCKET, SO_ATTACH_BPF }, { "SO_DETACH_FILTER", SOL_SOCKET, SO_DETACH_FILTER } };

static void options(void)
{
    static const int values[] = { 1, 0, -1, 2, 7, 100000 };
    for (size_t i = 0; i < sizeof noted / sizeof *noted; i++) {
        int fd = plain();
        get_option(named("%s, new", noted[i].name), fd, noted[i].level, noted[i].option);
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            SHOW(named("%s, set %d", noted[i].name, values[v]), setsockopt(fd, noted[i].level, noted[i].option, &values[v], sizeof(int)));
            get_option(named("%s, after %d", noted[i].name, values[v]), fd, noted[i].level, noted[i].option);
        }
        SHOW(named("%s, short", noted[i].name), setsockopt(fd, noted[i].level, noted[i].option, &values[0], 1));
        SHOW(named("%s, bad pointer", noted[i].name), setsockopt(fd, noted[i].level, noted[i].option, BAD_POINTER, sizeof(int)));
        get_option(named("%s, at last", noted[i].name), fd, noted[i].level, noted[i].option);
        close(fd);
    }
    int fd = plain(), mark = 1234, copy = MUST(dup(fd));
    SHOW("a mark", setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark));
    get_option("the mark of a copy", copy, SOL_SOCKET, SO_MARK);
    get_option("the low water of a copy", copy, SOL_SOCKET, SO_RCVLOWAT);
    unsigned char one = 0xee;
    socklen_t length = 1;
    SHOW("the mark, one byte", getsockopt(fd, SOL_SOCKET, SO_MARK, &one, &length));
    say("the mark, one byte, then", "0x%x length=%u", one, length);
    uint32_t memory[9] = { 0 };
    length = sizeof memory;
    SHOW("SO_MEMINFO", getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length));
    say("memory of options", "%u length=%u", memory[6], length);
    close(fd);
    close(copy);
}

/* ---- the filter ---- */

static void show_filter(const char *what, int fd, unsigned room)
{
    struct sock_filter code[64];
    socklen_t length = room;
    memset(code, 0xee, sizeof code);
    if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, code, &length)) {
        show(what, -1);
        return;
    }
    out("length=%u", length);
    for (unsigned i = 0; i < length && i < room; i++)
        out(" %x,%u,%u,%x", code[i].code, code[i].jt, code[i].jf, code[i].k);
    out_line(what);
}

static void attach(const char *what, int fd, struct sock_filter *code, unsigned count)
{
    struct sock_fprog program = { count, code };
    SHOW(what, setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    for (unsigned room = 0; room < 3; room++)
        show_filter(named("%s, read with room for %u", what, room ? room == 1 ? count - 1 : 60 : 0), fd, room ? room == 1 ? count - 1 : 60 : 0);
}

static void filters(void)
{
    int fd = plain(), one = 1, mark = 99, zero = 0;
    show_filter("no filter, no room", fd, 0);
    show_filter("no filter", fd, 4);
    SHOW("filter, mark before it", setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark));
    struct sock_filter all[] = { { BPF_RET | BPF_K, 0, 0, 0xffff }, { BPF_RET | BPF_K, 0, 0, 0 } };
    attach("a filter", fd, all, 2);
    get_option("filter, mark with it", fd, SOL_SOCKET, SO_MARK);
    struct sock_filter some[] = { { BPF_LD | BPF_H | BPF_ABS, 0, 0, 4 }, { BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0x1000 }, { BPF_JMP | BPF_JA, 0, 0, 3 },
                                  { BPF_LD | BPF_W | BPF_LEN, 0, 0, 0 }, { BPF_LDX | BPF_W | BPF_LEN, 0, 0, 0 }, { BPF_RET | BPF_A, 0, 0, 0 },
                                  { BPF_ST, 0, 0, 15 }, { BPF_LD | BPF_MEM, 0, 0, 15 }, { BPF_RET | BPF_K, 0, 0, 0 } };
    attach("another", fd, some, 9);
    SHOW("detach", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero));
    show_filter("detached", fd, 60);
    get_option("filter, mark after it", fd, SOL_SOCKET, SO_MARK);
    SHOW("lock", setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof one));
    struct sock_fprog program = { 1, all };
    SHOW("attach, locked", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    SHOW("detach, locked", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero));
    SHOW("unlock", setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &zero, sizeof zero));
    int fds[2];
    MUST(pipe(fds));
    SHOW("BPF of a pipe", setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, fds, sizeof *fds));
    close(fds[0]);
    close(fds[1]);
    close(fd);
}

/* ---- connections ---- */

static int connect_to(int fd, int family, unsigned port, unsigned groups)
{
    struct sockaddr_nl at = { .nl_family = family, .nl_pid = port, .nl_groups = groups };
    return connect(fd, (struct sockaddr *)&at, sizeof at);
}

struct get { struct nlmsghdr head; struct ifinfomsg info; };

static struct get get(unsigned seq, int flags)
{
    return (struct get){ { sizeof(struct get), RTM_GETLINK, NLM_F_REQUEST | flags, seq, 0 }, { .ifi_index = 1 } };
}

static void asks(const char *what, int fd)
{
    static unsigned seq = 100;
    struct get q = get(++seq, 0);
    SHOW(named("%s, send", what), send(fd, &q, sizeof q, 0));
    if (!rt_ready(fd, 0)) {
        say(named("%s, answer", what), "none");
        return;
    }
    ssize_t n = recv(fd, rt_got, sizeof rt_got, MSG_DONTWAIT);
    struct nlmsghdr *h = (void *)rt_got;
    say(named("%s, answer", what), "%s type=%u own=%d", n > 0 ? "some" : "none", h->nlmsg_type, h->nlmsg_seq == seq);
}

static void peer(const char *what, int fd)
{
    struct sockaddr_nl at = { 0 };
    socklen_t length = sizeof at;
    MUST(getpeername(fd, (struct sockaddr *)&at, &length));
    say(what, "%s", at.nl_pid == 0 ? "the kernel" : at.nl_pid == 54321 ? "54321" : "another");
}

static void connections(void)
{
    int fd = plain();
    asks("unconnected", fd);
    SHOW("connect to the kernel", connect_to(fd, AF_NETLINK, 0, 0));
    asks("connected to the kernel", fd);
    SHOW("connect to a group", connect_to(fd, AF_NETLINK, 0, 1));
    asks("connected to a group", fd);
    SHOW("connect to a port", connect_to(fd, AF_NETLINK, 54321, 0));
    peer("peer, a port", fd);
    asks("connected to a port", fd);
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    struct get q = get(1, 0);
    SHOW("connected to a port, to the kernel", sendto(fd, &q, sizeof q, 0, (struct sockaddr *)&kernel, sizeof kernel));
    SHOW("connect back", connect_to(fd, AF_NETLINK, 0, 0));
    peer("peer, back", fd);
    while (recv(fd, rt_got, sizeof rt_got, MSG_DONTWAIT) > 0)
        ;
    asks("connected back", fd);
    SHOW("connect to a port again", connect_to(fd, AF_NETLINK, 54321, 0));
    SHOW("connect, AF_UNSPEC", connect_to(fd, AF_UNSPEC, 0, 0));
    peer("peer, AF_UNSPEC", fd);
    asks("AF_UNSPEC", fd);
    SHOW("connect, short", connect(fd, (struct sockaddr *)&kernel, 6));
    asks("after a short one", fd);
    close(fd);
}

/* ---- several dumps in one request ---- */

static void dumps(const char *what, const int *types, int count)
{
    int fd = plain(), ends = 0;
    struct { struct nlmsghdr head; struct ifinfomsg info; } q[4] = { 0 };
    for (int i = 0; i < count; i++)
        q[i].head = (struct nlmsghdr){ sizeof *q, types[i] & 0xff, NLM_F_REQUEST | (types[i] & 0x100 ? NLM_F_ACK : NLM_F_DUMP), i + 1, 0 };
    for (int i = 0; i < count; i++)
        q[i].info.ifi_index = types[i] & 0x100 ? 9999 : 0;
    MUST(send(fd, q, sizeof *q * count, 0));
    while (ends < count && rt_ready(fd, 300)) {
        ssize_t n = recv(fd, rt_got, sizeof rt_got, 0);
        int last = -1;
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            int kind = h->nlmsg_seq << 16 | h->nlmsg_type;
            ends += h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
            if (kind != last)
                out("%u:%u%s ", h->nlmsg_seq, h->nlmsg_type, h->nlmsg_type == NLMSG_ERROR ? strerrorname_np(-*(int *)NLMSG_DATA(h)) ?: "0" : "");
            last = kind;
        }
        out("| ");
    }
    out_line(what);
    close(fd);
}

/* ---- what was lost ---- */

static void events(int count)
{
    for (int i = 0; i < count; i++)
        MUST(if_set_mtu("opt0", 1400 + i % 2));
}

static void lost(void)
{
    int fd = plain(), other = plain(), smallest = 1, on = 1, off = 0, ep = MUST(epoll_create1(EPOLL_CLOEXEC));
    struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
    struct epoll_event e = { .events = EPOLLIN, .data.u64 = 0x1234567812345678 }, got[2];
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof smallest));
    MUST(bind(fd, (struct sockaddr *)&at, sizeof at));
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    e.data.u64 = 7;
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, other, &e));
    show_poll("nothing heard", fd, POLL_ALL, 0);
    events(1);
    rt_ready(fd, WAIT_MS);
    show_poll("one heard", fd, POLL_ALL, 0);
    events(300);
    for (int i = 0; i < 2; i++) {
        show_poll(named("lost, poll %d", i), fd, POLL_ALL, 0);
        show_poll(named("lost, poll for input %d", i), fd, POLLIN, 0);
        int n = epoll_wait(ep, got, 2, 0);
        say(named("lost, epoll %d", i), "%d events=0x%x data=%d", n, n > 0 ? got[0].events : 0, n > 0 && got[0].data.u64 == 0x1234567812345678);
    }
    fd_set in, out_, x;
    FD_ZERO(&in);
    FD_SET(fd, &in);
    out_ = x = in;
    int n = select(fd + 1, &in, &out_, &x, &(struct timeval){ 0 });
    say("lost, select", "%d %d %d %d", n, FD_ISSET(fd, &in), FD_ISSET(fd, &out_), FD_ISSET(fd, &x));
    SHOW("lost, recv", recv(fd, rt_got, 40, MSG_DONTWAIT));
    show_poll("told, poll", fd, POLL_ALL, 0);
    n = epoll_wait(ep, got, 2, 0);
    say("told, epoll", "%d events=0x%x", n, n > 0 ? got[0].events : 0);
    while (recv(fd, rt_got, sizeof rt_got, MSG_DONTWAIT) > 0)
        ;
    show_poll("drained, poll", fd, POLL_ALL, 0);
    events(300);
    show_poll("lost again, poll", fd, POLL_ALL, 0);
    get_option("lost again, SO_ERROR", fd, SOL_SOCKET, SO_ERROR);
    show_poll("SO_ERROR taken, poll", fd, POLL_ALL, 0);
    while (recv(fd, rt_got, sizeof rt_got, MSG_DONTWAIT) > 0)
        ;
    MUST(setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on));
    events(300);
    show_poll("not wanted, poll", fd, POLL_ALL, 0);
    n = epoll_wait(ep, got, 2, 0);
    say("not wanted, epoll", "%d events=0x%x", n, n > 0 ? got[0].events : 0);
    while (recv(fd, rt_got, sizeof rt_got, MSG_DONTWAIT) > 0)
        ;
    MUST(setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &off, sizeof off));
    int copy = MUST(dup(fd));
    close(fd);
    events(300);
    show_poll("a copy, poll", copy, POLL_ALL, 0);
    pid_t pid = child();
    if (!pid) {
        struct pollfd p = { copy, POLLIN, 0 };
        poll(&p, 1, 0);
        _exit(p.revents & POLLERR ? 0 : 1);
    }
    say("a child, poll", "%s", finish(pid));
    close(copy);
    close(other);
    close(ep);
}

/* ---- other calls ---- */

static void calls(void)
{
    int fd = plain();
    struct get q = get(1, 0);
    struct timespec soon = { 0, 20000000 };
    struct iovec part = { rt_got, sizeof rt_got };
    struct mmsghdr many[2] = { { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } } };
    MUST(send(fd, &q, sizeof q, 0));
    SHOW("recvmmsg with MSG_WAITFORONE", recvmmsg(fd, many, 2, MSG_WAITFORONE, &soon));
    MUST(send(fd, &q, sizeof q, 0));
    SHOW("recvmmsg with a time that is over", recvmmsg(fd, many, 2, MSG_DONTWAIT, &(struct timespec){ 0 }));
    SHOW("recvmmsg with a bad time", recvmmsg(fd, many, 2, MSG_DONTWAIT, &(struct timespec){ 0, -1 }));
    part = (struct iovec){ &q, sizeof q };
    SHOW("sendmmsg of 2", sendmmsg(fd, many, 2, 0));
    say("sendmmsg, lengths", "%u %u", many[0].msg_len, many[1].msg_len);
    SHOW("its first answer", recv(fd, rt_got, sizeof rt_got, MSG_WAITALL) > 0);
    SHOW("its second answer", recv(fd, rt_got, sizeof rt_got, MSG_WAITALL | MSG_TRUNC) > 0);
    SHOW("read of 0 bytes", read(fd, rt_got, 0));
    SHOW("write of 0 bytes", write(fd, &q, 0));
    SHOW("recv, MSG_OOB", recv(fd, rt_got, 100, MSG_OOB | MSG_DONTWAIT));
    SHOW("recv, MSG_ERRQUEUE", recv(fd, rt_got, 100, MSG_ERRQUEUE | MSG_DONTWAIT) > 0);
    while (recv(fd, rt_got, sizeof rt_got, MSG_DONTWAIT) > 0)
        ;
    static const unsigned long requests[] = { 0x541b /* FIONREAD */, 0x5411 /* TIOCOUTQ */, 0x8905 /* SIOCATMARK */, 0x8906 /* SIOCGSTAMP */,
                                              0x5421 /* FIONBIO */, 0x5452 /* FIOASYNC */, 0x8903 /* FIOGETOWN */, 0x89e0 };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        int value[8] = { 0 };
        SHOW(named("request 0x%lx", requests[i]), ioctl(fd, requests[i], value));
    }
    for (int i = 0; i < 4; i++) {
        struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = i == 1 ? 54321 : 0, .nl_groups = i == 2 ? 1 : i == 3 ? 0x80000000 : 0 };
        SHOW(named("sendto, way %d", i), sendto(fd, &q, sizeof q, 0, (struct sockaddr *)&to, sizeof to));
        SHOW(named("sendto, way %d, answer", i), recv(fd, rt_got, sizeof rt_got, MSG_DONTWAIT) > 0);
    }
    close(fd);
}

/* Requests for what no device of a net has. */
static void missing(void)
{
    enum { GETDCB = 78, SETDCB = 79 };
    static const struct { int type, command; const char *name; } all[] = { { GETDCB, 0, NULL }, { GETDCB, 1, NULL }, { GETDCB, 1, "opt0" },
        { GETDCB, 1, "none" }, { GETDCB, 2, "opt0" }, { GETDCB, 21, "lo" }, { GETDCB, 27, "lo" }, { GETDCB, 28, "lo" }, { GETDCB, 255, NULL },
        { SETDCB, 0, NULL }, { SETDCB, 1, "opt0" }, { SETDCB, 2, "none" } };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        unsigned char head[4] = { 0, all[i].command };
        request(all[i].type, NLM_F_ACK, head, sizeof head);
        if (all[i].name)
            put_text(1, all[i].name);
        ask(named("DCB %d, command %d, %s", all[i].type, all[i].command, all[i].name ?: "nobody"));
    }
    unsigned char head[4] = { 0, 1 };
    request(GETDCB, NLM_F_ACK, head, sizeof head);
    put_text(1, "a name that is too long");
    ask("DCB, a long name");
    request(GETDCB, NLM_F_ACK, head, sizeof head);
    put(2, "", 0);
    ask("DCB, an empty state");
    request(GETDCB, NLM_F_ACK, head, 2);
    ask("DCB, a short header");
    request(GETDCB, NLM_F_DUMP, head, sizeof head);
    ask("DCB, a list");
    struct { uint8_t family; uint32_t index; } port = { AF_BRIDGE, if_nametoindex("opt0") };
    for (int unknown = 0; unknown < 2; unknown++) {
        request(RTM_DELMDB, NLM_F_ACK | 0x200 /* NLM_F_BULK */, &port, sizeof port);
        if (unknown)
            put_u32(7, 1);
        ask(named("all groups of a bridge, %d", unknown));
    }
}

int main(int argc, char **argv)
{
    start(argc, argv);
    with_ipv6();
    int tun = tun_attach("opt0", TUN, 0);
    options();
    filters();
    connections();
    dumps("two of links", (int[]){ RTM_GETLINK, RTM_GETLINK }, 2);
    dumps("links and addresses", (int[]){ RTM_GETLINK, RTM_GETADDR }, 2);
    dumps("links, an error, links", (int[]){ RTM_GETLINK, RTM_GETLINK | 0x100, RTM_GETLINK }, 3);
    dumps("rules twice", (int[]){ RTM_GETRULE, RTM_GETRULE }, 2);
    dumps("labels twice", (int[]){ RTM_GETADDRLABEL, RTM_GETADDRLABEL }, 2);
    dumps("neighbours twice", (int[]){ RTM_GETNEIGH, RTM_GETNEIGH }, 2);
    dumps("an error and links", (int[]){ RTM_GETLINK | 0x100, RTM_GETLINK }, 2);
    lost();
    calls();
    rt_start();
    missing();
    close(tun);
    return 0;
}
