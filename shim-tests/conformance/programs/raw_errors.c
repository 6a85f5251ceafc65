/* What raw sockets of IP and those of echo requests are told of errors, and what their options,
 * names and groups do. */
/* The identifiers that the kernel chooses can be any. */
#define EPHEMERAL 1
#include "error_queue.h"
#include <linux/errqueue.h>
#include <sys/epoll.h>

static far tun, tap;
static seen s;
static unsigned char buf[70000];

#ifdef V6
enum { ICMP = IPPROTO_ICMPV6, REQUEST = 128, REPLY = 129, LEVEL = IPPROTO_IPV6, RECVERR = IPV6_RECVERR,
    HOPS = IPV6_UNICAST_HOPS, GROUP_HOPS = IPV6_MULTICAST_HOPS, DISCOVER = IPV6_MTU_DISCOVER, CLASS = IPV6_TCLASS,
    HEADER = 0, INCLUDED = 36, MTU = IPV6_MTU };
#define GROUP "ff02::4321"
#else
enum { ICMP = IPPROTO_ICMP, REQUEST = 8, REPLY = 0, LEVEL = IPPROTO_IP, RECVERR = IP_RECVERR,
    HOPS = IP_TTL, GROUP_HOPS = IP_MULTICAST_TTL, DISCOVER = IP_MTU_DISCOVER, CLASS = IP_TOS, HEADER = 20,
    INCLUDED = IP_HDRINCL, MTU = IP_MTU };
#define GROUP "224.0.0.251"
#endif

static int kind;

static int new_socket(int protocol)
{
    return MUST(socket(FAMILY, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
}

static const char *named(const char *what)
{
    static char text[400];
    snprintf(text, sizeof text, "%s, %s", kind == SOCK_RAW ? "raw" : "ping", what);
    return text;
}

static size_t request(unsigned char *p, int number)
{
    memset(p, 0, 12);
    p[0] = REQUEST;
    put16(p + 4, 0x1111);
    put16(p + 6, number);
    memcpy(p + 8, "data", 4);
    return 12;
}

/* Sends a request, and lets an error come back. */
static void fail(int sock, int error)
{
    unsigned char p[20];
    size_t len = request(p, 1);
    far_drain(&tun);
    if (send_to(sock, FAR, 0, p, len) < 0 && send_to(sock, FAR, 0, p, len) < 0)
        show(named("not sent"), -1);
    else if (far_next(&tun, &s, SOON))
        far_unreachable(&tun, &s, error);
    else
        say(named("not sent"), "no packet");
}

static void queue(const char *what, int sock, int by)
{
    char control[300], line[300] = "";
    name to = { .len = sizeof to.room };
    struct iovec iov = { buf, sizeof buf };
    struct msghdr m = { .msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
        .msg_controllen = sizeof control };
    ssize_t n = -1;
    (void)EVENTUALLY((n = recvmsg(sock, &m, MSG_ERRQUEUE)) >= 0 || errno != EAGAIN, by);
    if (n < 0) {
        show(named(what), n);
        return;
    }
    to.len = m.msg_namelen;
    tell_errors(&m, line, sizeof line);
    say(named(what), "%zd type %d to %s flags=0x%x%s", n, n ? buf[0] : -1, shown(&to), m.msg_flags, line);
}

static void errors(void)
{
    static const struct { const char *what; int how; } all[] = {
        { "no port", NO_PORT }, { "no host", NO_HOST }, { "forbidden", FORBIDDEN }, { "no route", NO_ROUTE },
        { "too big", TOO_BIG }, { "expired", EXPIRED }, { "no protocol", NO_PROTOCOL },
    };
    char text[160];
    int sock = new_socket(ICMP);
    /* Who has not asked hears nothing. */
    fail(sock, NO_PORT);
    (void)EVENTUALLY(now_events(sock, POLLERR) & POLLERR, NEVER);
    if (kind == SOCK_DGRAM)
        show_state(named("nobody has asked, poll"), sock, 0);
    SHOW(named("nobody has asked, SO_ERROR"), option_of(sock, SOL_SOCKET, SO_ERROR));
    queue("nobody has asked, queue", sock, 0);
    close(sock);
    sock = new_socket(ICMP);
    SHOW(named("connected"), connect_to(sock, FAR, 0));
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].how == TOO_BIG)
            continue;
        fail(sock, all[i].how);
        (void)EVENTUALLY(now_events(sock, POLLERR) & POLLERR, NEVER);
        snprintf(text, sizeof text, "connected, %s, SO_ERROR", all[i].what);
        SHOW(named(text), option_of(sock, SOL_SOCKET, SO_ERROR));
    }
    close(sock);
    sock = new_socket(ICMP);
    SHOW(named("asks"), option(sock, LEVEL, RECVERR, 1));
    SHOW(named("has asked"), option_of(sock, LEVEL, RECVERR));
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        fail(sock, all[i].how);
        queue(all[i].what, sock, SOON);
        snprintf(text, sizeof text, "%s, SO_ERROR then", all[i].what);
        SHOW(named(text), option_of(sock, SOL_SOCKET, SO_ERROR));
    }
    close(sock);
    /* A raw socket hears of what it has sent itself, too, so the rest is about the other kind. */
    if (kind == SOCK_RAW)
        return;
    sock = new_socket(ICMP);
    MUST(option(sock, LEVEL, RECVERR, 1));
    fail(sock, NO_HOST);
    show_state(named("an error, poll"), sock, POLLERR);
    SHOW(named("an error, recv"), recv(sock, buf, 100, 0));
    SHOW(named("an error, recv again"), recv(sock, buf, 100, 0));
    show_state(named("an element, poll"), sock, POLLERR);
    fail(sock, EXPIRED);
    (void)EVENTUALLY(now_events(sock, POLLERR) & POLLERR, SOON);
    queue("first element", sock, SOON);
    show_state(named("second element, poll"), sock, POLLERR);
    SHOW(named("second element, SO_ERROR"), option_of(sock, SOL_SOCKET, SO_ERROR));
    queue("second element", sock, SOON);
    queue("no element", sock, 0);
    show_state(named("no element, poll"), sock, 0);
    fail(sock, NO_HOST);
    (void)EVENTUALLY(now_events(sock, POLLERR) & POLLERR, SOON);
    unsigned char p[20];
    SHOW(named("an error, sendto"), send_to(sock, FAR, 0, p, request(p, 2)));
    SHOW(named("an error, sendto again"), send_to(sock, FAR, 0, p, request(p, 3)));
    queue("sendto, element", sock, SOON);
    far_drain(&tun);
    int ep = MUST(epoll_create1(EPOLL_CLOEXEC));
    struct epoll_event e = { .events = EPOLLIN | EPOLLET };
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, sock, &e));
    fail(sock, NO_PORT);
    int n = epoll_wait(ep, &e, 1, SOON);
    say(named("epoll edge"), "%d %s", n, n == 1 ? poll_bits(text, e.events) : "none");
    SHOW(named("epoll edge, nothing more"), epoll_wait(ep, &e, 1, 0));
    queue("epoll edge, element", sock, SOON);
    close(ep);
    SHOW(named("asks no more"), option(sock, LEVEL, RECVERR, 0));
    close(sock);
}

static void too_long(void)
{
    int sock = new_socket(ICMP);
    MUST(option(sock, LEVEL, RECVERR, 1));
    SHOW(named("MTU_DISCOVER"), option_of(sock, LEVEL, DISCOVER));
    SHOW(named("MTU_DISCOVER, wrong"), option(sock, LEVEL, DISCOVER, 6));
    SHOW(named("MTU_DISCOVER, do"), option(sock, LEVEL, DISCOVER, IP_PMTUDISC_DO));
    memset(buf, 0, 3000);
    request(buf, 9);
    SHOW(named("too long"), send_to(sock, FAR, 0, buf, 3000));
    show_state(named("too long, poll"), sock, POLLERR);
    SHOW(named("too long, recv"), recv(sock, buf, 100, 0));
    queue("too long, element", sock, SOON);
    show_state(named("too long, poll then"), sock, 0);
    SHOW(named("MTU_DISCOVER, dont"), option(sock, LEVEL, DISCOVER, IP_PMTUDISC_DONT));
    request(buf, 9);
    far_drain(&tun);
    SHOW(named("in pieces"), send_to(sock, FAR, 0, buf, 3000));
    int parts = 0;
    while (far_next(&tun, &s, parts ? NEVER : SOON) && ++parts && s.more)
        ;
    say(named("in pieces, packets"), "%d", parts);
    SHOW(named("far too long"), send_to(sock, FAR, 0, buf, 70000));
    SHOW(named("MTU, not connected"), option_of(sock, LEVEL, MTU));
    MUST(connect_to(sock, FAR, 0));
    SHOW(named("MTU"), option_of(sock, LEVEL, MTU));
    close(sock);
}

static void options(void)
{
    static const struct { const char *what; int option; } all[] = {
        { "hops", HOPS }, { "hops to groups", GROUP_HOPS }, { "class", CLASS },
    };
    static const int values[] = { -1, 0, 1, 255, 256 };
    int sock = new_socket(ICMP);
    char text[100];
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        for (unsigned k = 0; k < sizeof values / sizeof *values; k++) {
            snprintf(text, sizeof text, "%s %d", all[i].what, values[k]);
            SHOW(named(text), option(sock, LEVEL, all[i].option, values[k]));
            snprintf(text, sizeof text, "%s %d, then", all[i].what, values[k]);
            SHOW(named(text), option_of(sock, LEVEL, all[i].option));
        }
    SHOW(named("SO_REUSEADDR"), option_of(sock, SOL_SOCKET, SO_REUSEADDR));
    SHOW(named("the header is included"), option(sock, LEVEL, INCLUDED, 0));
    SHOW(named("SO_MARK"), option(sock, SOL_SOCKET, SO_MARK, 7));
    SHOW(named("SO_MARK, then"), option_of(sock, SOL_SOCKET, SO_MARK));
    close(sock);
    sock = new_socket(ICMP);
    SHOW(named("with hops"), option(sock, LEVEL, HOPS, 5));
    SHOW(named("with a class"), option(sock, LEVEL, CLASS, 8));
    unsigned char p[20];
    far_drain(&tun);
    SHOW(named("with options"), send_to(sock, FAR, 0, p, request(p, 1)));
    if (far_next(&tun, &s, SOON))
        say(named("with options, packet"), "%s->%s ttl=%d tos=%d", s.from, s.to, s.ttl, s.tos);
    close(sock);
}

static void names(void)
{
    int sock = new_socket(ICMP), other = new_socket(ICMP);
    SHOW(named("bind to a foreign address"), bind_to(sock, FAR, 0));
    SHOW(named("bind"), bind_to(sock, OWN2, 1234));
    SHOW(named("bind again"), bind_to(sock, OWN2, 1235));
    if (kind == SOCK_DGRAM) {
        SHOW(named("not shared"), option(other, SOL_SOCKET, SO_REUSEADDR, 0));
        SHOW(named("bind to the same"), bind_to(other, OWN2, 1234));
        SHOW(named("bind to another"), bind_to(other, OWN2, 1233));
        SHOW(named("another, identifier"), own_port(other));
    }
    SHOW(named("connect"), connect_to(sock, FAR, 77));
    show_peer(named("connected, peer"), sock);
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    SHOW(named("disconnect"), connect(sock, &none, sizeof none));
    show_peer(named("disconnected, peer"), sock);
    if (kind == SOCK_DGRAM)
        SHOW(named("disconnected, identifier"), own_port(sock));
    SHOW(named("FIONREAD"), ioctl(sock, FIONREAD, &(int){ 0 }));
    SHOW(named("TIOCOUTQ"), ioctl(sock, TIOCOUTQ, &(int){ 0 }));
    SHOW(named("SIOCATMARK"), ioctl(sock, 0x8905, &(int){ 0 }));
    SHOW(named("SIOCPROTOPRIVATE"), ioctl(sock, 0x89e0, &(int){ 0 }));
    SHOW(named("shutdown of nothing that is"), shutdown(sock, 9));
    SHOW(named("shutdown"), shutdown(sock, SHUT_RDWR));
    name n = any_name(FAR, 0);
    SHOW(named("connect by a short name"), connect(sock, &n.sa, 4));
    close(sock);
    close(other);
}

static void groups(void)
{
    int sock = new_socket(ICMP);
    char text[160];
    name group = any_name(GROUP, 0);
#ifdef V6
    struct ipv6_mreq join = { .ipv6mr_multiaddr = group.in6.sin6_addr, .ipv6mr_interface = if_index("tun0") };
    enum { JOIN = IPV6_ADD_MEMBERSHIP, LEAVE = IPV6_DROP_MEMBERSHIP };
#else
    struct ip_mreqn join = { .imr_multiaddr = group.in.sin_addr, .imr_ifindex = if_index("tun0") };
    enum { JOIN = IP_ADD_MEMBERSHIP, LEAVE = IP_DROP_MEMBERSHIP };
#endif
    SHOW(named("leave, not joined"), setsockopt(sock, LEVEL, LEAVE, &join, sizeof join));
    SHOW(named("join"), setsockopt(sock, LEVEL, JOIN, &join, sizeof join));
    SHOW(named("join again"), setsockopt(sock, LEVEL, JOIN, &join, sizeof join));
    if (kind == SOCK_RAW) {
        unsigned char p[20];
        size_t len = request(p, 4);
        p[0] = REPLY;
        far_send(&tun, FAR, GROUP, ICMP, p, len, 2);
        ssize_t n = -1;
        (void)EVENTUALLY((n = recv(sock, buf, sizeof buf, 0)) >= 0 && buf[HEADER] == REPLY, SOON);
        say(named("heard"), "%zd %s", n, n < HEADER ? "" : describe_data(text, buf + HEADER + 8, n - HEADER - 8));
    }
    SHOW(named("leave"), setsockopt(sock, LEVEL, LEAVE, &join, sizeof join));
    SHOW(named("leave again"), setsockopt(sock, LEVEL, LEAVE, &join, sizeof join));
    close(sock);
}

/* As many buffers as a call may have. */
static void buffers(void)
{
    static struct iovec all[1025];
    int header = kind == SOCK_RAW ? HEADER : 0;
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        all[i] = (struct iovec){ buf + i, 1 };
    unsigned char p[1024];
    int sock = new_socket(ICMP);
    memset(p, 0, sizeof p);
    size_t len = request(p, 3);
    for (; len < 900; len++)
        p[len] = len % 251;
    far_drain(&tun);
    static const int counts[] = { 1, 64, 65, 200, 1024, 1025 };
    for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
        char text[60];
        MUST(send_to(sock, FAR, 0, p, len));
        if (!far_next(&tun, &s, SOON)) {
            say(named("buffers"), "no packet");
            break;
        }
        unsigned char answer[1024];
        memcpy(answer, s.data, s.len);
        answer[0] = REPLY;
        char from[60], to[60];
        strcpy(from, s.to), strcpy(to, s.from);
        far_send(&tun, from, to, ICMP, answer, s.len, 2);
        (void)EVENTUALLY(now_events(sock, POLLIN) & POLLIN, SOON);
        memset(buf, 0, sizeof buf);
        struct msghdr m = { .msg_iov = all, .msg_iovlen = counts[i] };
        snprintf(text, sizeof text, "%d buffers", counts[i]);
        ssize_t n = recvmsg(sock, &m, 0);
        if (n < 0)
            show(named(text), n);
        else
            say(named(text), "%zd flags=0x%x right=%d", n, m.msg_flags,
                n < header + 13 || !memcmp(buf + header + 12, p + 12, n - header - 12));
    }
    close(sock);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    tap = far_tap();
    spit("/proc/sys/net/ipv4/ping_group_range", "0 0");
    static const int kinds[] = { SOCK_DGRAM, SOCK_RAW };
    for (int i = 0; i < 2; i++) {
        kind = kinds[i];
        errors();
        too_long();
        options();
        names();
        groups();
        buffers();
    }
    return 0;
}
