/* What random sequences of calls on sockets of datagrams have found: ports of calls that fail,
 * options that want a permission, a socket that was shut, and the MTU of a path when its link is
 * another one. */
#include "far.h"

static far tun;

static int new_socket(void) { return MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

/* A connect(2) that finds no way has given the socket a port. */
static void failed(const char *to, const char *what)
{
    int sock = new_socket();
    SHOW(label("%s, connect", what), connect_to(sock, to, 5000));
    show_own(label("%s, name", what), sock);
    SHOW(label("%s, bind then", what), bind_to(sock, OWN, 5000));
    close(sock);
}

static void numbers(void)
{
    static const struct { const char *what; int option, value, told; } all[] = {
        { "priority 6", SO_PRIORITY, 6, SO_PRIORITY },  { "priority 7", SO_PRIORITY, 7, SO_PRIORITY },
        { "priority 0", SO_PRIORITY, 0, SO_PRIORITY },  { "mark", SO_MARK, 5, SO_MARK }, { "mark 0", SO_MARK, 0, SO_MARK },
        { "interface -1", SO_BINDTOIFINDEX, -1, SO_BINDTOIFINDEX },
    };
    int sock = new_socket();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        SHOW(all[i].what, option(sock, SOL_SOCKET, all[i].option, all[i].value));
        say(label("%s, told", all[i].what), "%d", option_of(sock, SOL_SOCKET, all[i].told));
    }
    close(sock);
}

static void shut(void)
{
    char text[160];
    int sock = new_socket();
    SHOW("shut, unconnected", shutdown(sock, SHUT_RD));
    say("shut, unconnected, poll", "%s", poll_bits(text, now_events(sock, POLL_ALL)));
    close(sock);
    sock = new_socket();
    MUST(connect_to(sock, FAR, 5000));
    SHOW("shut, connected", shutdown(sock, SHUT_RD));
    say("shut, connected, poll", "%s", poll_bits(text, now_events(sock, POLL_ALL)));
    close(sock);
}

static void say_smaller(void)
{
    unsigned char p[600] = { FAMILY == AF_INET6 ? 2 : 3, FAMILY == AF_INET6 ? 0 : 4 };
    int sock = new_socket();
    MUST(connect_to(sock, FAR, 5000));
    MUST(send(sock, "x", 1, 0));
    (void)EVENTUALLY(now_events(tun.fd, POLLIN), SOON);
    ssize_t n = read(tun.fd, p + 8, 500);
    if (FAMILY == AF_INET6)
        put32(p + 4, 1300);
    else
        put16(p + 6, 600);
    MUST(far_send(&tun, FAR, OWN, FAMILY == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, p, 8 + n, 2));
    close(sock);
}

static int path_mtu(void)
{
    int sock = new_socket(), mtu;
    MUST(connect_to(sock, FAR, 5000));
    mtu = FAMILY == AF_INET6 ? option_of(sock, IPPROTO_IPV6, IPV6_MTU) : option_of(sock, IPPROTO_IP, IP_MTU);
    close(sock);
    return mtu;
}

static void another_link(void)
{
    say_smaller();
    int smaller = FAMILY == AF_INET6 ? 1300 : 600;
    say("the path is told to be smaller", "%d", EVENTUALLY(path_mtu() == smaller, SOON));
    close(tun.fd);
    tun = far_up("tun0", OWN, OWN2, FAR, IFF_TUN);
    say("the path by another link", "%d", path_mtu());
}

static ssize_t send_with(int sock, const char *to, int level, int type, int value, int flags)
{
    unsigned char control[CMSG_SPACE(sizeof(int))] = { 0 };
    name n = any_name(to ? to : FAR, 5000);
    struct iovec v = { "told", 4 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
    if (to) {
        m.msg_name = &n.room;
        m.msg_namelen = n.len;
    }
    struct cmsghdr *h = (void *)control;
    *h = (struct cmsghdr) { .cmsg_level = level, .cmsg_type = type };
    h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &value, sizeof value);
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    return sendmsg(sock, &m, flags);
}

static void show_out(const char *what)
{
    static seen s;
    show_next(what, &tun, &s);
}

/* What is wrong with a call that sends, where several things are. */
static void order(void)
{
    int level = FAMILY == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP, class = FAMILY == AF_INET6 ? IPV6_TCLASS : IP_TOS;
    int sock = new_socket();
    SHOW("a wrong message to nobody", send_with(sock, NULL, level, class, 256, 0));
    close(sock);
    sock = new_socket();
    SHOW("a wrong message", send_with(sock, FAR, level, class, 256, 0));
    show_own("a wrong message, name", sock);
    SHOW("a wrong message, bind then", bind_to(sock, OWN, 5000));
    SHOW("nothing but a look", send_with(sock, FAR, level, class, 8, 0x10 /* MSG_PROBE */));
    SHOW("another after it", send_with(sock, FAR, level, class, 8, 0));
    show_out("what has come out of both");
    far_drain(&tun);
    close(sock);
    sock = new_socket();
    SHOW("shut, which is not connected", shutdown(sock, SHUT_WR));
    SHOW("shut, connect", connect_to(sock, FAR, 5000));
    SHOW("shut, send", send(sock, "x", 1, MSG_NOSIGNAL));
    SHOW("shut, send to another", send_with(sock, FAR, level, class, 8, 0));
    SHOW("shut, send to nowhere", send_with(sock, FAMILY == AF_INET6 ? "fd30::1" : "192.0.2.1", level, class, 8, 0));
    close(sock);
}

/* A socket that was connected in the net connects to the machine's loopback, and back. */
static void between(void)
{
    const char *lo = FAMILY == AF_INET6 ? "::1" : "127.0.0.1", *any = FAMILY == AF_INET6 ? "::" : "0.0.0.0";
    int level = FAMILY == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP, class = FAMILY == AF_INET6 ? IPV6_TCLASS : IP_TOS;
    int sock = new_socket(), other;
    MUST(connect_to(sock, FAR, 5000));
    SHOW("connect to the loopback then", connect_to(sock, lo, 5001));
    show_peer("the loopback then, peer", sock);
    show_own("the loopback then, name", sock);
    SHOW("the loopback then, send to far", send_with(sock, FAR, level, class, 8, 0));
    show_out("the loopback then, out");
    SHOW("connect back", connect_to(sock, FAR, 5000));
    show_peer("back, peer", sock);
    SHOW("connect to any then", connect_to(sock, any, 5001));
    show_peer("any then, peer", sock);
    show_own("any then, name", sock);
    close(sock);
    sock = new_socket();
    MUST(connect_to(sock, lo, 5000));
    other = new_socket();
    MUST(bind_to(other, any, 5000));
    MUST(connect_to(other, FAR, 5001));
    show_peer("the loopback, whose port another one has, peer", sock);
    close(other);
    close(sock);
    sock = new_socket();
    SHOW("a port by sending", send_with(sock, FAR, level, class, 8, 0));
    show_out("a port by sending, out");
    SHOW("a port, connect to the loopback", connect_to(sock, lo, 5000));
    if (FAMILY == AF_INET)
        SHOW("a port, connect to far", connect_to(sock, FAR, 5000));
    close(sock);
}

#ifndef V6
/* A socket that is bound to an address of all sends from one of its own. */
static void of_all(void)
{
    static const char *const all[] = { "10.9.0.255", "255.255.255.255", "224.0.0.9" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int sock = new_socket();
        MUST(bind_to(sock, all[i], 5000));
        SHOW(label("%s, send", all[i]), send_with(sock, "10.9.0.2", IPPROTO_IP, IP_TTL, 3, 0));
        show_out(label("%s, out", all[i]));
        SHOW(label("%s, connect", all[i]), connect_to(sock, "10.9.0.2", 5001));
        SHOW(label("%s, send connected", all[i]), send(sock, "all", 3, 0));
        show_out(label("%s, out connected", all[i]));
        SHOW(label("%s, connect here", all[i]), connect_to(sock, "10.9.0.1", 5001));
        close(sock);
    }
}

#else
/* A socket of IPv6 that has an address because it is connected sends by IPv4 as well. */
static void mapped(void)
{
    static const struct { const char *first, *what; } firsts[] = { { FAR, "connected" }, { OWN, "connected here" } };
    static const struct { const char *to, *what; } all[] = { { "::ffff:10.9.0.2", "far" }, { "::ffff:10.9.0.1", "here" }, { "::1", "loopback" } };
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++)
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) {
            char what[60];
            snprintf(what, sizeof what, "%s, then %s", firsts[i].what, all[j].what);
            int sock = new_socket();
            MUST(connect_to(sock, firsts[i].first, 5000));
            SHOW(label("%s, send", what), send_with(sock, all[j].to, IPPROTO_IP, IP_TTL, 7, 0));
            SHOW(label("%s, connect", what), connect_to(sock, all[j].to, 5001));
            show_own(label("%s, name", what), sock);
            show_peer(label("%s, peer", what), sock);
            if (j == 0)
                show_out(label("%s, out", what));
            close(sock);
        }
    int sock = new_socket();
    MUST(bind_to(sock, OWN, 5000));
    SHOW("bound, connect to a mapped one", connect_to(sock, "::ffff:10.9.0.2", 5000));
    SHOW("bound, connect to any mapped", connect_to(sock, "::ffff:0.0.0.0", 5000));
    close(sock);
    sock = new_socket();
    MUST(connect_to(sock, "::1", 5000));
    SHOW("connected to the loopback, send to a mapped one", send_with(sock, "::ffff:10.9.0.2", IPPROTO_IP, IP_TTL, 9, 0));
    show_out("connected to the loopback, out");
    close(sock);
    sock = new_socket();
    MUST(send_with(sock, FAR, IPPROTO_IPV6, IPV6_TCLASS, 8, 0));
    show_out("a port by sending, out again");
    SHOW("a port by sending, loopback", connect_to(sock, "::1", 5000));
    SHOW("a port by sending, loopback, then by IPv4", connect_to(sock, "::ffff:10.9.0.2", 5000));
    close(sock);
    sock = new_socket();
    MUST(connect_to(sock, FAR, 5000));
    MUST(connect(sock, &(struct sockaddr) { .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)));
    SHOW("disconnected, connect to the loopback", connect_to(sock, "::1", 5000));
    close(sock);
    sock = new_socket();
    MUST(connect_to(sock, "::ffff:10.9.0.2", 5000));
    SHOW("mapped, connect by IPv6", connect_to(sock, FAR, 5000));
    SHOW("mapped, connect by IPv6 to nowhere", connect_to(sock, "fd30::1", 5000));
    SHOW("urgent by IPv4", send_with(sock, "::ffff:10.9.0.2", IPPROTO_IP, IP_TTL, 7, MSG_OOB));
    close(sock);
}
#endif

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
#ifdef V6
    add_address("tun0", "10.9.0.1");
#endif
    failed(FAMILY == AF_INET6 ? "fd30::1" : "192.0.2.1", "no way");
    if (FAMILY == AF_INET)
        failed("10.9.0.255", "broadcast");
    numbers();
    shut();
    order();
    between();
#ifdef V6
    mapped();
#else
    of_all();
#endif
    another_link();
    return 0;
}
