/* Connections that come through a tunnel and a tap: names of both sides, backlog, wildcard and own
 * addresses, what is refused, what ends before it is accepted. */
#include "far_tcp.h"

static far tun, tap;

static int dial(tcp *c, int from_port, const char *to, int to_port)
{
    return tcp_dial(c, &tun, FAR, from_port, to, to_port, SOON);
}

static void show_accepted(const char *what, int sock)
{
    name peer;
    int got = accepted(sock, &peer);
    if (got < 0) {
        show(what, got);
        return;
    }
    name own = own_name(got), again = peer_name(got);
    say(what, "%s from %s len=%d, getpeername the same %d", shown(&own), shown(&peer), peer.len,
        again.len == peer.len && !memcmp(&again.sa, &peer.sa, peer.len));
    close(got);
}

static void names(void)
{
    tcp c;
    int sock = listener(OWN, 8080, 10);
    show_own("listener, name", sock);
    show_state("listener, poll", sock, 0);
    SHOW("listener, accept", accept(sock, NULL, NULL));
    SHOW("listener, SO_ACCEPTCONN", option_of(sock, SOL_SOCKET, SO_ACCEPTCONN));
    SHOW("listener, send", send(sock, "x", 1, 0));
    SHOW("listener, recv", recv(sock, &(char){ 0 }, 1, 0));
    say("SYN", "%s", segment_bits(dial(&c, 4001, OWN, 8080)));
    say("its MSS", "%d", c.mss);
    show_state("listener, poll then", sock, POLLIN);
    name peer;
    int got = accepted(sock, &peer);
    say("accept", "%s len=%d", shown(&peer), peer.len);
    show_own("accepted, name", got);
    show_peer("accepted, peer", got);
    show_state("accepted, poll", got, POLLOUT);
    SHOW("accepted, flags", fcntl(got, F_GETFL) & O_NONBLOCK);
    SHOW("accepted, SO_ACCEPTCONN", option_of(got, SOL_SOCKET, SO_ACCEPTCONN));
    SHOW("accepted, send", send(got, "welcome", 7, 0));
    tcp_show(&c, "what comes");
    tcp_say(&c, ACK | PSH, "thanks", 6);
    if (has_bytes(got, 6)) {
        char text[10];
        show_data("accepted, recv", recv(got, text, sizeof text, 0), text);
    }
    close(got);
    tcp_show(&c, "closed");
    tcp_say(&c, FIN | ACK, NULL, 0);

    say("SYN with data behind it", "%s", segment_bits(dial(&c, 4002, OWN, 8080)));
    tcp_say(&c, ACK | PSH, "early", 5);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    got = accept4(sock, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    SHOW("accept4, flags", fcntl(got, F_GETFL) & O_NONBLOCK);
    SHOW("accept4, descriptor flags", fcntl(got, F_GETFD));
    if (has_bytes(got, 5)) {
        char text[10];
        show_data("accept4, recv", recv(got, text, sizeof text, 0), text);
    }
    close(got);
    tcp_show(&c, "closed, too");
    tcp_say(&c, FIN | ACK, NULL, 0);
    SHOW("accept4, wrong flags", accept4(sock, NULL, NULL, 1));

    say("name cut, SYN", "%s", segment_bits(dial(&c, 4003, OWN, 8080)));
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    unsigned char cut[4] = { 0 };
    socklen_t len = 4;
    char text[20];
    got = accept(sock, (struct sockaddr *)cut, &len);
    say("name cut", "%d len=%d %s", got >= 0, len, hex(text, cut + 2, 2));
    len = 4;
    SHOW("getpeername cut", getpeername(got, (struct sockaddr *)cut, &len));
    say("getpeername cut, then", "len=%d %s", len, hex(text, cut + 2, 2));
    close(got);
    far_drain(&tun);

    say("to the second address", "%s", segment_bits(dial(&c, 4004, OWN2, 8080)));
    say("to another port", "%s", segment_bits(dial(&c, 4005, OWN, 8081)));
    close(sock);
    say("to the listener that is gone", "%s", segment_bits(dial(&c, 4006, OWN, 8080)));
    sock = MUST(socket(FAMILY, SOCK_STREAM, 0));
    SHOW("bind behind connections that were closed here", bind_to(sock, OWN, 8080));
    SHOW("SO_REUSEADDR", option(sock, SOL_SOCKET, SO_REUSEADDR, 1));
    SHOW("bind with it", bind_to(sock, OWN, 8080));
    say("to a socket that does not listen", "%s", segment_bits(dial(&c, 4007, OWN, 8080)));
    close(sock);
    tcp_begin(&c, &tun);
    strcpy(c.own, OWN);
    strcpy(c.peer, FAR);
    c.own_port = 8080;
    c.peer_port = 4008;
    tcp_say(&c, ACK, "x", 1);
    tcp_show(&c, "a segment of no connection");
    tcp_say(&c, RST, NULL, 0);
    tcp_show_nothing(&c, "a reset of no connection");
    tcp_say(&c, FIN | ACK, NULL, 0);
    tcp_show(&c, "an end of no connection");
}

static void wildcards(void)
{
    tcp c;
    int sock = listener(ANY, 8080, 10);
    show_own("wildcard, name", sock);
    say("wildcard, to the address", "%s", segment_bits(dial(&c, 4101, OWN, 8080)));
    show_accepted("wildcard, from the tunnel", sock);
    say("wildcard, to the second address", "%s", segment_bits(dial(&c, 4102, OWN2, 8080)));
    show_accepted("wildcard, on the second address", sock);
    say("wildcard, from the tap", "%s",
        segment_bits(tcp_dial(&c, &tap, TAP_FAR, 4103, TAP_OWN, 8080, SOON)));
    show_accepted("wildcard, on the tap", sock);
    say("wildcard, to the tap's address by the tunnel", "%s", segment_bits(dial(&c, 4104, TAP_OWN, 8080)));
    show_accepted("wildcard, to the tap's address", sock);
    int client = MUST(socket(FAMILY, SOCK_STREAM, 0));
    SHOW("wildcard, connect by the loopback", connect_to(client, LOOP, 8080));
    show_accepted("wildcard, from the loopback", sock);
    close(client);
    client = MUST(socket(FAMILY, SOCK_STREAM, 0));
    SHOW("wildcard, connect to the own address", connect_to(client, OWN, 8080));
    show_own("own address, name of the client", client);
    show_peer("own address, peer of the client", client);
    show_accepted("wildcard, from the own address", sock);
    close(client);
    client = MUST(socket(FAMILY, SOCK_STREAM, 0));
    MUST(bind_to(client, OWN2, 0));
    SHOW("wildcard, connect from the second to the tap's", connect_to(client, TAP_OWN, 8080));
    show_accepted("wildcard, from the second to the tap's", sock);
    close(client);
    close(sock);
    client = MUST(socket(FAMILY, SOCK_STREAM, 0));
    SHOW("own address, nobody listens", connect_to(client, OWN, 8080));
    close(client);
    far_drain(&tun);
    far_drain(&tap);

    /* A listener of one address beside that of all. */
    sock = MUST(socket(FAMILY, SOCK_STREAM | SOCK_NONBLOCK, 0));
    int special = MUST(socket(FAMILY, SOCK_STREAM | SOCK_NONBLOCK, 0));
    option(sock, SOL_SOCKET, SO_REUSEPORT, 1);
    option(special, SOL_SOCKET, SO_REUSEPORT, 1);
    option(sock, SOL_SOCKET, SO_REUSEADDR, 1);
    option(special, SOL_SOCKET, SO_REUSEADDR, 1);
    MUST(bind_to(sock, ANY, 8080));
    SHOW("one address beside all", bind_to(special, OWN, 8080));
    MUST(listen(sock, 5));
    SHOW("one address beside all, listen", listen(special, 5));
    dial(&c, 4105, OWN, 8080);
    show_accepted("one address beside all, the address", special);
    dial(&c, 4106, OWN2, 8080);
    show_accepted("one address beside all, another address", sock);
    close(special);
    close(sock);
    far_drain(&tun);

    /* A listener that nobody bound. */
    sock = MUST(socket(FAMILY, SOCK_STREAM | SOCK_NONBLOCK, 0));
    SHOW("unbound, listen", listen(sock, 1));
    show_own("unbound, name", sock);
    say("unbound, SYN", "%s", segment_bits(dial(&c, 4107, OWN, own_port(sock))));
    name peer;
    int got = accepted(sock, &peer);
    say("unbound, accept", "%d %s", got >= 0, shown(&peer));
    close(got);
    close(sock);
    far_drain(&tun);
}

static void backlog(void)
{
    static tcp c[6];
    int sock = listener(OWN, 8080, 1), taken = 0;
    for (int i = 0; i < 6; i++)
        taken += tcp_dial(&c[i], &tun, FAR, 4201 + i, OWN, 8080, taken >= 2 ? NEVER : SOON) == (SYN | ACK);
    say("a backlog of 1 takes", "%d", taken);
    int got = 0;
    for (int one; got < 6 && (one = accept(sock, NULL, NULL)) >= 0; close(one))
        got++;
    say("accepted of them", "%d", got);
    close(sock);
    far_drain(&tun);
    sock = listener(OWN, 8080, 128);
    static tcp many[100];
    taken = 0;
    for (int i = 0; i < 100; i++)
        taken += tcp_dial(&many[i], &tun, FAR, 4301 + i, OWN, 8080, SOON) == (SYN | ACK);
    say("a backlog of 128, taken of 100", "%d", taken);
    static int socks[100];
    int right = 0;
    for (int i = 0; i < 100; i++) {
        name peer;
        socks[i] = accepted(sock, &peer);
        right += socks[i] >= 0 && port_of(&peer) == 4301 + i;
    }
    say("accepted in their order", "%d", right);
    for (int i = 0; i < 100; i++)
        close(socks[i]);
    SHOW("listen again", listen(sock, 3));
    tcp last;
    dial(&last, 4401, OWN, 8080);
    show_accepted("listen again, accept", sock);
    far_drain(&tun);
    dial(&last, 4402, OWN, 8080);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    close(sock);
    tcp_show(&last, "listener closed with a connection that was not accepted");
    far_drain(&tun);
}

static void ends_early(void)
{
    tcp c;
    char buf[10];
    int sock = listener(OWN, 8080, 5);
    dial(&c, 4501, OWN, 8080);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    c.seq = c.their_ack;
    tcp_say(&c, RST, NULL, 0);
    pause_ms(20);
    int got = accepted(sock, NULL);
    say("reset before accept", "%d", got >= 0);
    show_state("reset before accept, poll", got, POLLHUP | POLLERR);
    show_peer("reset before accept, peer", got);
    SHOW("reset before accept, recv", recv(got, buf, 1, MSG_DONTWAIT));
    SHOW("reset before accept, recv again", recv(got, buf, 1, MSG_DONTWAIT));
    close(got);
    dial(&c, 4502, OWN, 8080);
    tcp_say(&c, FIN | ACK, "last", 4);
    got = accepted(sock, NULL);
    show_state("ended before accept, poll", got, POLLIN | POLLRDHUP);
    show_data("ended before accept, recv", recv(got, buf, 10, 0), buf);
    SHOW("ended before accept, recv again", recv(got, buf, 10, 0));
    SHOW("ended before accept, send", send(got, "answer", 6, 0));
    tcp_show(&c, "ended before accept, what comes");
    close(got);
    tcp_show(&c, "ended before accept, closed");
    close(sock);
    far_drain(&tun);
    /* Only half a handshake. */
    sock = listener(OWN, 8080, 5);
    tcp_begin(&c, &tun);
    strcpy(c.own, OWN);
    strcpy(c.peer, FAR);
    c.own_port = 8080;
    c.peer_port = 4503;
    tcp_say(&c, SYN, NULL, 0);
    tcp_show(&c, "half a handshake");
    tcp_say(&c, RST, NULL, 0);
    pause_ms(20);
    got = accept(sock, NULL, NULL);
    say("reset before it was whole, accept", "%s", got < 0 ? errno_name(errno) : "a socket");
    if (got >= 0)
        close(got);
    close(sock);
    far_drain(&tun);
}

static void shut(void)
{
    tcp c;
    int sock = listener(OWN, 8080, 5);
    SHOW("shutdown of a listener", shutdown(sock, SHUT_RD));
    show_state("listener shut down, poll", sock, 0);
    SHOW("listener shut down, accept", accept(sock, NULL, NULL));
    say("listener shut down, SYN", "%s", segment_bits(dial(&c, 4601, OWN, 8080)));
    SHOW("listener shut down, listen", listen(sock, 5));
    say("listening again, SYN", "%s", segment_bits(dial(&c, 4602, OWN, 8080)));
    show_accepted("listening again, accept", sock);
    close(sock);
    far_drain(&tun);
    /* accept(2) that waits, and poll. */
    sock = listener(OWN, 8080, 5);
    fcntl(sock, F_SETFL, 0);
    struct timeval limit = { .tv_usec = 30000 };
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    SHOW("accept with SO_RCVTIMEO", accept(sock, NULL, NULL));
    int ep = MUST(epoll_create1(0));
    struct epoll_event e = { .events = EPOLLIN | EPOLLET };
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, sock, &e));
    for (int i = 0; i < 2; i++) {
        dial(&c, 4610 + i, OWN, 8080);
        SHOW(label("edge on a listener, connection %d", i), epoll_wait(ep, &e, 1, SOON));
    }
    SHOW("edge on a listener, nothing more", epoll_wait(ep, &e, 1, 0));
    close(ep);
    close(sock);
    far_drain(&tun);
}

#ifdef V6
static int reusing(int family)
{
    int sock = MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    option(sock, SOL_SOCKET, SO_REUSEADDR, 1);
    return sock;
}

/* Connections of IPv4 on a socket of IPv6. */
static void dual(void)
{
    tcp c;
    add_address("tun0", "10.9.0.1");
    int sock = listener("::", 8080, 5);
    SHOW("dual, V6ONLY", option_of(sock, IPPROTO_IPV6, IPV6_V6ONLY));
    say("dual, SYN of IPv4", "%s", segment_bits(tcp_dial(&c, &tun, "10.9.0.2", 4701, "10.9.0.1", 8080, SOON)));
    show_accepted("dual, from IPv4", sock);
    say("dual, SYN of IPv6", "%s", segment_bits(dial(&c, 4702, OWN, 8080)));
    show_accepted("dual, from IPv6", sock);
    close(sock);
    sock = reusing(AF_INET6);
    SHOW("V6ONLY, set", option(sock, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    MUST(bind_to(sock, "::", 8080));
    MUST(listen(sock, 5));
    SHOW("V6ONLY, value", option_of(sock, IPPROTO_IPV6, IPV6_V6ONLY));
    say("V6ONLY, SYN of IPv4", "%s", segment_bits(tcp_dial(&c, &tun, "10.9.0.2", 4703, "10.9.0.1", 8080, SOON)));
    say("V6ONLY, SYN of IPv6", "%s", segment_bits(dial(&c, 4704, OWN, 8080)));
    show_accepted("V6ONLY, from IPv6", sock);
    int four = reusing(AF_INET);
    SHOW("V6ONLY, a socket of IPv4 beside it", bind_to(four, "0.0.0.0", 8080));
    SHOW("V6ONLY, it listens", listen(four, 5));
    say("both, SYN of IPv4", "%s", segment_bits(tcp_dial(&c, &tun, "10.9.0.2", 4705, "10.9.0.1", 8080, SOON)));
    show_accepted("both, from IPv4", four);
    say("both, SYN of IPv6", "%s", segment_bits(dial(&c, 4706, OWN, 8080)));
    show_accepted("both, from IPv6", sock);
    close(four);
    close(sock);
    sock = reusing(AF_INET6);
    SHOW("V6ONLY on an address, set", option(sock, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    SHOW("V6ONLY on an address, bind", bind_to(sock, OWN, 8080));
    MUST(listen(sock, 5));
    SHOW("V6ONLY on an address, value", option_of(sock, IPPROTO_IPV6, IPV6_V6ONLY));
    say("V6ONLY on an address, SYN", "%s", segment_bits(dial(&c, 4707, OWN, 8080)));
    show_accepted("V6ONLY on an address, accept", sock);
    close(sock);
    sock = reusing(AF_INET6);
    SHOW("an address of IPv6, bind", bind_to(sock, OWN, 8080));
    SHOW("an address of IPv6, V6ONLY", option_of(sock, IPPROTO_IPV6, IPV6_V6ONLY));
    close(sock);
    sock = reusing(AF_INET6);
    SHOW("mapped, bind", bind_to(sock, "::ffff:10.9.0.1", 8080));
    SHOW("mapped, V6ONLY", option_of(sock, IPPROTO_IPV6, IPV6_V6ONLY));
    show_own("mapped, name", sock);
    MUST(listen(sock, 5));
    say("mapped, SYN of IPv4", "%s", segment_bits(tcp_dial(&c, &tun, "10.9.0.2", 4708, "10.9.0.1", 8080, SOON)));
    show_accepted("mapped, accept", sock);
    close(sock);
    sock = reusing(AF_INET6);
    SHOW("mapped, connect", connect_to(sock, "::ffff:10.9.0.2", 80));
    say("mapped, its SYN", "%d", tcp_await(&c, &tun, 80, SOON));
    say("mapped, its packet", "%s->%s", tcp_seen.from, tcp_seen.to);
    tcp_take(&c);
    show_state("mapped, poll", sock, POLLOUT);
    show_own("mapped, name of the client", sock);
    show_peer("mapped, peer of the client", sock);
    close(sock);
    far_drain(&tun);
}
#endif

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    tap = far_tap();
    names();
    wildcards();
    backlog();
    ends_early();
    shut();
#ifdef V6
    dual();
#endif
    return 0;
}
