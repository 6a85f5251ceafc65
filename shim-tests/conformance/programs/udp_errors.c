/* What a program learns of datagrams that did not arrive, and what the other side learns of those
 * that nobody takes. */
#include "error_queue.h"

static far tun, tap;
static seen s;
static unsigned char buf[3000];

#ifdef V6
enum { LEVEL = IPPROTO_IPV6, RECVERR = IPV6_RECVERR };
#else
enum { LEVEL = IPPROTO_IP, RECVERR = IP_RECVERR };
#endif

static int connected_to(const char *address, int port)
{
    int sock = MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    MUST(connect_to(sock, address, port));
    return sock;
}

static int connected(int port) { return connected_to(FAR, port); }

/* Sends a datagram and answers it with an error. */
static void fail(int sock, int what)
{
    far_drain(&tun);
    (void)send(sock, "lost", 4, 0);
    if (!far_next(&tun, &s, SOON))
        die("no datagram");
    far_unreachable(&tun, &s, what);
}

static int failed(int sock) { return EVENTUALLY(now_events(sock, POLLIN) & POLLERR, SOON); }

/* One entry of the error queue, if it comes by then. */
static void show_queue_by(const char *what, int sock, int by)
{
    char control[500], line[500] = "";
    struct iovec iov = { buf, 100 };
    name to = { .len = 0 };
    struct msghdr m = { .msg_name = &to.sa, .msg_namelen = sizeof to.room, .msg_iov = &iov, .msg_iovlen = 1,
                        .msg_control = control, .msg_controllen = sizeof control };
    ssize_t n;
    (void)EVENTUALLY((n = recvmsg(sock, &m, MSG_ERRQUEUE)) >= 0 || errno != EAGAIN, by);
    if (n < 0) {
        show(what, n);
        return;
    }
    to.len = m.msg_namelen;
    tell_errors(&m, line, sizeof line);
    say(what, "%zd '%.*s' to %s flags=0x%x%s", n, (int)n, buf, shown(&to), m.msg_flags, line);
}

static void show_queue(const char *what, int sock) { show_queue_by(what, sock, 0); }

static void connected_sockets(void)
{
    int sock = connected(7);
    fail(sock, NO_PORT);
    failed(sock);
    show_state("no port, poll", sock, POLLERR);
    SHOW("no port, recv", recv(sock, buf, 10, 0));
    SHOW("no port, recv again", recv(sock, buf, 10, 0));
    show_state("no port, poll then", sock, 0);
    fail(sock, NO_PORT);
    failed(sock);
    SHOW("no port, send", send(sock, "x", 1, 0));
    SHOW("no port, send again", send(sock, "x", 1, 0));
    fail(sock, NO_PORT);
    failed(sock);
    show_error("no port, SO_ERROR", sock);
    show_error("no port, SO_ERROR again", sock);
    fail(sock, NO_PORT);
    failed(sock);
    SHOW("no port, write", write(sock, "x", 1));
    fail(sock, NO_PORT);
    failed(sock);
    SHOW("no port, read", read(sock, buf, 1));
    fail(sock, NO_PORT);
    failed(sock);
    SHOW("no port, sendto another", send_to(sock, FAR2, 9000, "x", 1));
    fail(sock, NO_PORT);
    failed(sock);
    SHOW("no port, connect", connect_to(sock, FAR, 7));
    SHOW("no port, recv after connect", recv(sock, buf, 1, 0));
    SHOW("MSG_ERRQUEUE without IP_RECVERR", recv(sock, buf, 1, MSG_ERRQUEUE));
    fail(sock, NO_PORT);
    failed(sock);
    struct msghdr m = { .msg_iov = &(struct iovec){ "x", 1 }, .msg_iovlen = 1 };
    SHOW("no port, sendmsg", sendmsg(sock, &m, 0));
    fail(sock, NO_PORT);
    failed(sock);
    struct mmsghdr all[2] = { { .msg_hdr = m }, { .msg_hdr = m } };
    SHOW("no port, sendmmsg", sendmmsg(sock, all, 2, 0));
    /* Data that is there is read behind the error. */
    far_drain(&tun);
    far_udp(&tun, FAR, 7, OWN, own_port(sock), "data", 4);
    (void)EVENTUALLY(now_events(sock, POLLIN) & POLLIN, SOON);
    fail(sock, NO_PORT);
    failed(sock);
    show_state("data and an error, poll", sock, POLLERR | POLLIN);
    SHOW("data and an error, recv", recv(sock, buf, 10, 0));
    SHOW("data and an error, recv again", recv(sock, buf, 10, 0));
    int ep = MUST(epoll_create1(0));
    struct epoll_event e = { .events = EPOLLIN | EPOLLET };
    char text[160];
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, sock, &e));
    fail(sock, NO_PORT);
    int n = epoll_wait(ep, &e, 1, SOON);
    say("epoll edge", "%d %s", n, n == 1 ? poll_bits(text, e.events) : "none");
    SHOW("epoll edge, recv", recv(sock, buf, 10, 0));
    fail(sock, NO_PORT);
    n = epoll_wait(ep, &e, 1, SOON);
    say("epoll edge, another", "%d %s", n, n == 1 ? poll_bits(text, e.events) : "none");
    SHOW("epoll edge, nothing more", epoll_wait(ep, &e, 1, 0));
    show_error("epoll edge, error", sock);
    e.events = EPOLLOUT;
    MUST(epoll_ctl(ep, EPOLL_CTL_MOD, sock, &e));
    fail(sock, NO_PORT);
    failed(sock);
    n = epoll_wait(ep, &e, 1, SOON);
    say("epoll of room only", "%d %s", n, n == 1 ? poll_bits(text, e.events) : "none");
    show_error("epoll of room only, error", sock);
    n = epoll_wait(ep, &e, 1, SOON);
    say("epoll of room only, then", "%d %s", n, n == 1 ? poll_bits(text, e.events) : "none");
    close(ep);
    fail(sock, NO_PORT);
    failed(sock);
    fd_set r, w, x;
    FD_ZERO(&r);
    FD_SET(sock, &r);
    w = x = r;
    struct timeval now_ = { 0 };
    n = select(sock + 1, &r, &w, &x, &now_);
    say("select", "%d r=%d w=%d x=%d", n, !!FD_ISSET(sock, &r), !!FD_ISSET(sock, &w), !!FD_ISSET(sock, &x));
    close(sock);

    static const struct { const char *what; int how; } all_errors[] = {
        { "no host", NO_HOST }, { "no route", NO_ROUTE }, { "forbidden", FORBIDDEN }, { "expired", EXPIRED },
        { "no protocol", NO_PROTOCOL },
    };
    for (size_t i = 0; i < sizeof all_errors / sizeof *all_errors; i++) {
        sock = connected(100 + i);
        fail(sock, all_errors[i].how);
        (void)EVENTUALLY(now_events(sock, POLLIN) & POLLERR, NEVER);
        show_state(label("%s, poll", all_errors[i].what), sock, 0);
        show_error(label("%s, SO_ERROR", all_errors[i].what), sock);
        close(sock);
    }
}

static void queues(void)
{
    int sock = connected(7);
    SHOW("RECVERR", option(sock, LEVEL, RECVERR, 1));
    SHOW("RECVERR is read", option_of(sock, LEVEL, RECVERR));
    SHOW("queue, nothing", recv(sock, buf, 1, MSG_ERRQUEUE));
    static const struct { const char *what; int how; } all[] = {
        { "no port", NO_PORT }, { "no host", NO_HOST }, { "no route", NO_ROUTE }, { "forbidden", FORBIDDEN },
        { "expired", EXPIRED }, { "no protocol", NO_PROTOCOL },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        fail(sock, all[i].how);
        failed(sock);
        show_state(label("queue, %s, poll", all[i].what), sock, POLLERR);
        show_queue(label("queue, %s", all[i].what), sock);
        show_queue(label("queue, %s, more", all[i].what), sock);
        show_state(label("queue, %s, poll then", all[i].what), sock, 0);
        show_error(label("queue, %s, SO_ERROR", all[i].what), sock);
    }
    fail(sock, NO_PORT);
    failed(sock);
    SHOW("queue, recv tells it", recv(sock, buf, 1, 0));
    show_queue("queue, and it is in the queue", sock);
    SHOW("queue, recv then", recv(sock, buf, 1, 0));
    fail(sock, TOO_BIG);
    failed(sock);
    show_queue("queue, too big", sock);
    show_error("queue, too big, SO_ERROR", sock);
    close(sock);

    /* A socket that is not connected. */
    sock = MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    MUST(bind_to(sock, OWN, 5000));
    send_to(sock, FAR, 7, "lost", 4);
    far_next(&tun, &s, SOON);
    far_unreachable(&tun, &s, NO_PORT);
    (void)EVENTUALLY(now_events(sock, POLLIN), NEVER);
    show_state("unconnected, poll", sock, 0);
    SHOW("unconnected, recv", recv(sock, buf, 1, 0));
    show_error("unconnected, SO_ERROR", sock);
    option(sock, LEVEL, RECVERR, 1);
    SHOW("unconnected, RECVERR, sendto", send_to(sock, FAR, 7, "first", 5));
    far_next(&tun, &s, SOON);
    far_unreachable(&tun, &s, NO_PORT);
    failed(sock);
    SHOW("unconnected, RECVERR, sendto another", send_to(sock, FAR2, 8, "second", 6));
    SHOW("unconnected, RECVERR, sendto another again", send_to(sock, FAR2, 8, "second", 6));
    far_next(&tun, &s, SOON);
    far_unreachable(&tun, &s, NO_PORT);
    failed(sock);
    show_state("unconnected, RECVERR, poll", sock, POLLERR);
    show_queue("unconnected, first", sock);
    show_queue_by("unconnected, second", sock, SOON);
    show_queue("unconnected, no more", sock);
    show_error("unconnected, SO_ERROR then", sock);
    close(sock);
}

static void forged(void)
{
    int sock = connected(7), port = own_port(sock);
    /* About a datagram that nobody sent. */
    far_drain(&tun);
    (void)send(sock, "lost", 4, 0);
    far_next(&tun, &s, SOON);
    unsigned char *p = (unsigned char *)s.ip + IP_LEN;
    put16(p + 2, 8);
    far_unreachable(&tun, &s, NO_PORT);
    put16(p + 2, 7);
    put16(p, port == 50000 ? 50001 : 50000);
    far_unreachable(&tun, &s, NO_PORT);
    (void)EVENTUALLY(now_events(sock, POLLIN) & POLLERR, NEVER);
    show_error("errors about others", sock);
    put16(p, port);
    far_unreachable(&tun, &s, NO_PORT);
    failed(sock);
    show_error("an error about it", sock);
    close(sock);
}

static void mtu(void)
{
    int sock = connected_to(FAR2, 9000), level = LEVEL;
#ifdef V6
    int mtu = IPV6_MTU, discover = IPV6_MTU_DISCOVER, want = IPV6_PMTUDISC_DO;
#else
    int mtu = IP_MTU, discover = IP_MTU_DISCOVER, want = IP_PMTUDISC_DO;
#endif
    enum { BIG = 1400 };
    option(sock, level, discover, want);
    SHOW("IP_MTU", option_of(sock, level, mtu));
    memset(buf, 'b', BIG);
    SHOW("1400 bytes", send(sock, buf, BIG, 0));
    far_next(&tun, &s, SOON);
    far_unreachable(&tun, &s, TOO_BIG);
    failed(sock);
    show_error("too big, SO_ERROR", sock);
    SHOW("IP_MTU then", (EVENTUALLY(option_of(sock, level, mtu) == 1300, SOON), option_of(sock, level, mtu)));
    SHOW("1400 bytes then", send(sock, buf, BIG, 0));
    SHOW("1200 bytes", send(sock, buf, 1200, 0));
    far_drain(&tun);
    close(sock);
    /* Who does not ask for it gets fragments. */
    sock = connected_to(FAR2, 9000);
    SHOW("another socket, 1400 bytes", send(sock, buf, BIG, 0));
    int count = 0;
    while (far_next(&tun, &s, count ? NEVER : SOON)) {
        count++;
        if (!s.more)
            break;
    }
    say("another socket, packets", "%d", count);
    close(sock);
}

/* What the other side learns. */
static void told(void)
{
    static const char *const quotes[] = { "hello", "", "a longer text that is quoted in the error" };
    char text[160];
    for (int i = 0; i < 3; i++) {
        far_udp(&tun, FAR, 9000 + i, OWN, 4999, quotes[i], strlen(quotes[i]));
        if (!far_next(&tun, &s, SOON)) {
            say(label("closed port, %d", i), "no packet");
            continue;
        }
        size_t quoted = s.len - 8;
        say(label("closed port, %d", i), "%s->%s proto=%d type=%d code=%d right=%d tos=%d quotes %zu bytes, ports %u %u, %s",
            s.from, s.to, s.proto, s.data[0], s.data[1], s.right, s.tos, quoted, get16(s.data + 8 + IP_LEN),
            get16(s.data + 8 + IP_LEN + 2), describe_data(text, s.data + 8 + IP_LEN + 8, quoted - IP_LEN - 8));
    }
    far_udp(&tun, FAR, 9000, OWN2, 4999, "x", 1);
    if (far_next(&tun, &s, SOON))
        say("closed port of the second address", "from %s", s.from);
    far_udp(&tap, TAP_FAR, 9000, TAP_OWN, 4999, "x", 1);
    if (far_next(&tap, &s, SOON))
        say("closed port on the tap", "from %s type=%d code=%d", s.from, s.data[0], s.data[1]);
    else
        say("closed port on the tap", "no packet");
    unsigned char p[20] = "some protocol";
    far_send(&tun, FAR, OWN, 200, p, 13, -1);
    if (far_next(&tun, &s, SOON))
        say("unknown protocol", "type=%d code=%d pointer=%u", s.data[0], s.data[1], get32(s.data + 4));
    else
        say("unknown protocol", "no packet");
#ifndef V6
    far_udp(&tap, TAP_FAR, 9000, "10.9.1.255", 4999, "x", 1);
    show_nothing("closed port by broadcast", &tap, &s);
#else
    far_udp(&tap, TAP_FAR, 9000, "ff02::1", 4999, "x", 1);
    show_nothing("closed port of all nodes", &tap, &s);
#endif
    far_udp(&tun, FAR, 9000, FAR2, 4999, "x", 1);
    show_nothing("a packet for another host", &tun, &s);
    far_udp(&tun, FAR, 9000, BEYOND, 4999, "x", 1);
    show_nothing("a packet for another network", &tun, &s);
    /* Echo. */
    unsigned char echo[64] = { ECHO_REQUEST, 0, 0, 0, 0x12, 0x34, 0, 7 };
    for (int i = 8; i < 64; i++)
        echo[i] = i;
    far_send(&tun, FAR, OWN, FAMILY == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, echo, 64, 2);
    show_next("echo", &tun, &s);
    far_ttl = 1;
    far_tos = 0x10;
    far_send(&tun, FAR, OWN2, FAMILY == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, echo, 64, 2);
    show_next("echo of the second address, ttl 1", &tun, &s);
    far_ttl = 64;
    far_tos = 0;
    far_send(&tap, TAP_FAR, TAP_OWN, FAMILY == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, echo, 64, 2);
    show_next("echo on the tap", &tap, &s);
    echo[2] ^= 1;
    far_send(&tun, FAR, OWN, FAMILY == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, echo, 64, -1);
    show_nothing("echo with a wrong checksum", &tun, &s);
    far_send(&tun, FAR, FAR2, FAMILY == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, echo, 64, 2);
    show_nothing("echo for another host", &tun, &s);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    tap = far_tap();
    connected_sockets();
    queues();
    forged();
    mtu();
    told();
    return 0;
}
