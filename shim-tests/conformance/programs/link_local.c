/* The host talks to itself by an address of a link, whose name has an interface; and what that
 * number of a name means for other addresses: nothing. */
#define V6
#include "far_tcp.h"

#define OWN_LINK "fe80::9:1"

static far tun;

static name linked(const char *address, int port, int scope)
{
    name n = any_name(address, port);
    n.in6.sin6_scope_id = scope;
    return n;
}

static int bound(int type, const name *n)
{
    int sock = MUST(socket(AF_INET6, type, 0));
    MUST(bind(sock, &n->sa, n->len));
    return sock;
}

/* A connection and a datagram to a socket of this host that is bound to a name. */
static void show_ways(const char *means, name at_any, name to_any)
{
    /* A port of its own, because the one before is in TIME_WAIT. */
    static int port = 7000;
    char what[60];
    name *at = &at_any, *to = &to_any;
    snprintf(what, sizeof what, "%s", means);
    at->in6.sin6_port = to->in6.sin6_port = htons(port++);
    int listening = bound(SOCK_STREAM, at), sock = MUST(socket(AF_INET6, SOCK_STREAM, 0));
    MUST(listen(listening, 5));
    show_own(label("%s, listens", what), listening);
    SHOW(label("%s, connect", what), connect(sock, &to->sa, to->len));
    show_own(label("%s, its own name", what), sock);
    show_peer(label("%s, its peer", what), sock);
    struct pollfd p = { .fd = listening, .events = POLLIN };
    if (poll(&p, 1, SOON) == 1) {
        name from = { .len = sizeof from.room };
        int taken = MUST(accept(listening, &from.sa, &from.len));
        say(label("%s, accepted from", what), "%s", shown(&from));
        show_own(label("%s, accepted by", what), taken);
        close(taken);
    }
    close(sock);
    close(listening);

    char text[8] = "";
    int hears = bound(SOCK_DGRAM, at);
    sock = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    SHOW(label("%s, sendto", what), sendto(sock, "hello", 5, 0, &to->sa, to->len));
    p.fd = hears;
    if (poll(&p, 1, SOON) == 1) {
        name from = { .len = sizeof from.room };
        ssize_t n = recvfrom(hears, text, sizeof text, 0, &from.sa, &from.len);
        show_data(label("%s, received", what), n, text);
        say(label("%s, received from", what), "%s", shown(&from));
        SHOW(label("%s, answered", what), sendto(hears, "answer", 6, 0, &from.sa, from.len));
        p.fd = sock;
        SHOW(label("%s, the answer is there", what), poll(&p, 1, SOON));
    }
    close(sock);
    sock = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    SHOW(label("%s, connect of datagrams", what), connect(sock, &to->sa, to->len));
    show_own(label("%s, that one's own name", what), sock);
    show_peer(label("%s, that one's peer", what), sock);
    SHOW(label("%s, send", what), send(sock, "again", 5, 0));
    p.fd = hears;
    SHOW(label("%s, that is there", what), poll(&p, 1, SOON));
    close(sock);
    close(hears);
    far_drain(&tun);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    MUST(add_address6("tun0", OWN_LINK, 64));
    ipv6_settled("tun0");
    int link = if_nametoindex("tun0");
    name at = linked(OWN_LINK, 7000, link), to = at;
    show_ways("link", at, to);
    at = linked(ANY, 7000, 0);
    show_ways("link, any", at, to);
    name global = linked(OWN, 7000, 0);
    int scopes[] = { 0, link, 1, 4711 };
    static const char *const NAMES[] = { "no number", "the link's number", "lo's number", "a number of nobody" };
    for (int i = 0; i < 4; i++) {
        to = linked(OWN, 7000, scopes[i]);
        show_ways(label("global, %s", NAMES[i]), global, to);
        to = linked(FAR, 7001, scopes[i]);
        int sock = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
        SHOW(label("far, %s, connect", NAMES[i]), connect(sock, &to.sa, to.len));
        show_peer(label("far, %s, peer", NAMES[i]), sock);
        close(sock);
        sock = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
        SHOW(label("far, %s, sendto", NAMES[i]), sendto(sock, "hello", 5, 0, &to.sa, to.len));
        close(sock);
        far_drain(&tun);
    }
    int sock = MUST(socket(AF_INET6, SOCK_STREAM, 0));
    to = linked(OWN_LINK, 7000, 0);
    SHOW("link, no number, connect", connect(sock, &to.sa, to.len));
    to = linked(OWN_LINK, 7000, link);
    SHOW("link, nobody listens, connect", connect(sock, &to.sa, to.len));
    return 0;
}
