/* Datagrams over a tunnel and a tap: the names of both sides, whom a connected socket hears, which
 * address a socket sends from. */
#include "far.h"

static far tun, tap;
static seen s;
static unsigned char buf[70000];

/* What comes, and from whom. */
static void receive(const char *what, int sock)
{
    name from = { .len = sizeof from.room };
    char text[160];
    struct pollfd p = { .fd = sock, .events = POLLIN };
    poll(&p, 1, SOON);
    ssize_t n = recvfrom(sock, buf, sizeof buf, MSG_DONTWAIT, &from.sa, &from.len);
    if (n < 0)
        show(what, n);
    else
        say(what, "%s from %s len=%d", describe_data(text, buf, n), shown(&from), from.len);
}

static void nothing(const char *what, int sock)
{
    struct pollfd p = { .fd = sock, .events = POLLIN };
    poll(&p, 1, NEVER);
    SHOW(what, recv(sock, buf, sizeof buf, MSG_DONTWAIT));
}

static int new_socket(void) { return MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

static void own_addresses(void)
{
    int sock = new_socket();
    SHOW("bind to the address", bind_to(sock, OWN, 5000));
    show_own("its name", sock);
    show_peer("its peer", sock);
    SHOW("sendto", send_to(sock, FAR, 9000, "hello", 5));
    show_next("packet", &tun, &s);
    far_udp(&tun, FAR, 9000, OWN, 5000, "world", 5);
    receive("answer", sock);
    far_udp(&tun, FAR2, 9001, OWN, 5000, "another", 7);
    receive("from another host", sock);
    close(sock);

    sock = new_socket();
    SHOW("bind to the second address", bind_to(sock, OWN2, 5000));
    show_own("the second address, name", sock);
    SHOW("the second address, sendto", send_to(sock, FAR, 9000, "two", 3));
    show_next("the second address, packet", &tun, &s);
    far_udp(&tun, FAR, 9000, OWN, 5000, "wrong", 5);
    nothing("what goes to the first address is not heard", sock);
    far_udp(&tun, FAR, 9000, OWN2, 5000, "right", 5);
    receive("what goes to the second is", sock);
    far_drain(&tun);
    close(sock);

    sock = new_socket();
    SHOW("bind to port 0", bind_to(sock, OWN, 0));
    show_own("port 0, name", sock);
    close(sock);
}

static void no_address(void)
{
    int sock = new_socket();
    show_own("unbound, name", sock);
    SHOW("unbound, sendto", send_to(sock, FAR, 9000, "unbound", 7));
    show_next("unbound, packet", &tun, &s);
    show_own("unbound, name then", sock);
    say("unbound, packet has its port", "%d", s.from_port == own_port(sock));
    far_udp(&tun, FAR, 9000, OWN, s.from_port, "back", 4);
    receive("unbound, answer", sock);
    far_udp(&tun, FAR2, 80, OWN2, s.from_port, "else", 4);
    receive("unbound, hears the other address, too", sock);
    SHOW("to a host on the tap", send_to(sock, TAP_FAR, 9000, "tap", 3));
    show_next("to a host on the tap, packet", &tap, &s);
    far_udp(&tap, TAP_FAR, 9000, TAP_OWN, s.from_port, "from the tap", 12);
    receive("to a host on the tap, answer", sock);
    close(sock);

    sock = new_socket();
    SHOW("wildcard", bind_to(sock, ANY, 6000));
    show_own("wildcard, name", sock);
    far_udp(&tun, FAR, 9000, OWN, 6000, "to the tunnel", 13);
    receive("wildcard, tunnel", sock);
    far_udp(&tap, TAP_FAR, 9000, TAP_OWN, 6000, "to the tap", 10);
    receive("wildcard, tap", sock);
    int other = new_socket();
    MUST(bind_to(other, LOOP, 6001));
    SHOW("wildcard, loopback, sendto", send_to(other, LOOP, 6000, "loop", 4));
    receive("wildcard, loopback", sock);
    SHOW("wildcard, to the loopback", send_to(sock, LOOP, 6001, "loop back", 9));
    receive("wildcard, from the loopback", other);
    SHOW("wildcard, to the tunnel", send_to(sock, FAR, 9000, "x", 1));
    show_next("wildcard, packet", &tun, &s);
    close(other);
    close(sock);
}

static void connected(void)
{
    int sock = new_socket();
    SHOW("connect", connect_to(sock, FAR, 9000));
    show_own("connected, name", sock);
    show_peer("connected, peer", sock);
    SHOW("connected, send", send(sock, "hello", 5, 0));
    show_next("connected, packet", &tun, &s);
    int port = s.from_port;
    SHOW("connected, write", write(sock, "by write", 8));
    show_next("connected, packet of write", &tun, &s);
    struct iovec iov[2] = { { "by ", 3 }, { "writev", 6 } };
    SHOW("connected, writev", writev(sock, iov, 2));
    show_next("connected, packet of writev", &tun, &s);
    far_udp(&tun, FAR, 9000, OWN, port, "mine", 4);
    receive("connected, from the peer", sock);
    far_udp(&tun, FAR, 9001, OWN, port, "not mine", 8);
    nothing("connected, from another port", sock);
    far_udp(&tun, FAR2, 9000, OWN, port, "not mine", 8);
    nothing("connected, from another host", sock);
    far_drain(&tun);
    far_udp(&tun, FAR, 9000, OWN, port, "read", 4);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    show_data("connected, read", read(sock, buf, sizeof buf), buf);
    SHOW("connected, sendto another", send_to(sock, FAR2, 9002, "elsewhere", 9));
    show_next("connected, packet to another", &tun, &s);
    SHOW("connect to another", connect_to(sock, FAR2, 9002));
    show_own("connected to another, name", sock);
    show_peer("connected to another, peer", sock);
    say("connected to another, same port", "%d", own_port(sock) == port);
    SHOW("connect to a host on the tap", connect_to(sock, TAP_FAR, 9000));
    show_own("connected to a host on the tap, name", sock);
    SHOW("connected to a host on the tap, send", send(sock, "tap", 3, 0));
    show_next("connected to a host on the tap, packet", &tap, &s);
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    SHOW("connect to none", connect(sock, &none, sizeof none));
    show_own("connected to none, name", sock);
    show_peer("connected to none, peer", sock);
    SHOW("connected to none, send", send(sock, "x", 1, 0));
    SHOW("connected to none, sendto", send_to(sock, FAR, 9000, "x", 1));
    show_next("connected to none, packet", &tun, &s);
    close(sock);

    sock = new_socket();
    SHOW("bound and connected, bind", bind_to(sock, OWN2, 5000));
    SHOW("bound and connected, connect", connect_to(sock, FAR, 9000));
    show_own("bound and connected, name", sock);
    SHOW("bound and connected, send", send(sock, "x", 1, 0));
    show_next("bound and connected, packet", &tun, &s);
    SHOW("bound and connected, connect to none", connect(sock, &none, sizeof none));
    show_own("bound and connected, name then", sock);
    close(sock);

    /* Two sockets of one port: the connected one has what is from its peer. */
    int first = new_socket(), second = new_socket();
    option(first, SOL_SOCKET, SO_REUSEADDR, 1);
    option(second, SOL_SOCKET, SO_REUSEADDR, 1);
    MUST(bind_to(first, OWN, 5000));
    MUST(bind_to(second, OWN, 5000));
    MUST(connect_to(second, FAR, 9000));
    far_udp(&tun, FAR, 9000, OWN, 5000, "peer", 4);
    receive("two of one port, from the peer, the connected one", second);
    far_udp(&tun, FAR, 9001, OWN, 5000, "other", 5);
    receive("two of one port, from another, the other one", first);
    nothing("two of one port, nothing more", second);
    close(first);
    close(second);

    first = new_socket();
    second = new_socket();
    MUST(bind_to(first, ANY, 5000));
    option(first, SOL_SOCKET, SO_REUSEADDR, 1);
    option(second, SOL_SOCKET, SO_REUSEADDR, 1);
    SHOW("wildcard and an address, bind", bind_to(second, OWN, 5000));
    far_udp(&tun, FAR, 9000, OWN, 5000, "first", 5);
    receive("wildcard and an address, the address", second);
    far_udp(&tun, FAR, 9000, OWN2, 5000, "second", 6);
    receive("wildcard and an address, the wildcard", first);
    close(first);
    close(second);
}

static void local(void)
{
    int a = new_socket(), b = new_socket();
    MUST(bind_to(a, OWN, 7000));
    SHOW("local, sendto", send_to(b, OWN, 7000, "local", 5));
    receive("local, what comes", a);
    show_own("local, name", b);
    SHOW("local, from one address to the other", send_to(a, OWN2, own_port(b), "back", 4));
    receive("local, on the other address", b);
    close(b);
    b = new_socket();
    SHOW("local, connect", connect_to(b, OWN, 7000));
    show_own("local, name of the connected one", b);
    show_peer("local, peer of the connected one", b);
    SHOW("local, send", send(b, "connected", 9, 0));
    receive("local, from the connected one", a);
    SHOW("local, answer", send_to(a, OWN, own_port(b), "answer", 6));
    receive("local, answer comes", b);
    SHOW("local, to a port without a socket", send_to(a, OWN, 7001, "x", 1));
    show_nothing("local, nothing in the tunnel", &tun, &s);
    close(a);
    (void)send(b, "x", 1, 0);
    SHOW("local, the other one is gone", send(b, "x", 1, 0));
    close(b);
}

/* A number that had a netlink socket before, and the other way round. */
static void numbers(void)
{
    int fd, kept[2] = { 300, 301 };
    while ((fd = MUST(dup(tun.fd))) < kept[1])
        ;
    for (int i = 0; i < 2; i++) {
        close(kept[i]);
        int route = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
        struct sockaddr_nl nl = { .nl_family = AF_NETLINK };
        if (i) {
            close(route);
            close(MUST(socket(FAMILY, SOCK_DGRAM, 0)));
            route = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
        }
        SHOW(label("netlink under number %d", i), bind(route, (struct sockaddr *)&nl, sizeof nl));
        struct { struct nlmsghdr head; struct ifinfomsg info; } ask = {
            { sizeof ask, RTM_GETLINK, NLM_F_REQUEST, 1, 0 }, { .ifi_index = if_index("tun0") } };
        SHOW(label("netlink under number %d, send", i), send(route, &ask, sizeof ask, 0));
        SHOW(label("netlink under number %d, answer", i), recv(route, buf, sizeof buf, 0) > 0);
        close(route);
        int sock = new_socket();
        say(label("the same number %d", i), "%d", sock == kept[i] && route == sock);
        MUST(bind_to(sock, OWN, 5000));
        SHOW(label("datagrams under number %d", i), send_to(sock, FAR, 9000, "x", 1));
        show_next(label("datagrams under number %d, packet", i), &tun, &s);
        close(sock);
        MUST(dup2(tun.fd, kept[i]));
    }
    for (fd = 5; fd <= kept[1]; fd++)
        if (fd != tun.fd && fd != tap.fd)
            close(fd);
}

static void beyond(void)
{
    int sock = new_socket();
    MUST(bind_to(sock, OWN, 5000));
    SHOW("without a route", send_to(sock, BEYOND, 53, "x", 1));
    SHOW("without a route, connect", connect_to(sock, BEYOND, 53));
    default_route("tun0", FAR);
    SHOW("by a router", send_to(sock, BEYOND, 53, "routed", 6));
    show_next("by a router, packet", &tun, &s);
    far_udp(&tun, BEYOND, 53, OWN, 5000, "from afar", 9);
    receive("by a router, answer", sock);
    link_up("tun0", 0);
    SHOW("the link is down, sendto", send_to(sock, FAR, 9000, "x", 1));
    link_up("tun0", 1);
    close(sock);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    tap = far_tap();
    numbers();
    own_addresses();
    no_address();
    connected();
    local();
    beyond();
    return 0;
}
