/* The scope in a name of IPv6 (sin6_scope_id) counts for addresses that mean something on one
 * link only, and for no others. And what goes by IPv4 on a socket of IPv6 has the options of
 * IPv4. */
#define V6
#define WATCHDOG_SECONDS 60
#include "far.h"

#define LINK_OWN "fe80::1"
#define LINK_FAR "fe80::2"
#define GROUP "ff02::7:7"
#define GROUP4 "239.3.3.3"

static far tun;
static int links[3];
static const char *const link_names[] = { "no link", "its link", "another link" };

static name scoped(const char *address, int port, int scope)
{
    name n = any_name(address, port);
    n.in6.sin6_scope_id = scope;
    return n;
}

static int socket_of(int kind)
{
    return MUST(socket(AF_INET6, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, kind == SOCK_RAW ? 200 : 0));
}

/* What a socket of one kind says to each name with each scope. */
static void calls(const char *what, int kind)
{
    static const char *const all[] = { OWN, LINK_OWN, FAR, LINK_FAR, GROUP };
    for (int to = 0; to < 5; to++)
        for (int i = 0; i < 3; i++) {
            name n = scoped(all[to], kind == SOCK_RAW ? 0 : 5000 + kind, links[i]);
            if (to < 2) {
                int sock = socket_of(kind);
                SHOW(label("%s bound to %s, %s", what, all[to], link_names[i]), bind(sock, &n.sa, n.len));
                close(sock);
            }
            /* Another link has no neighbour that answers. */
            if (kind == SOCK_STREAM)
                continue;
            int sock = socket_of(kind);
            SHOW(label("%s to %s, %s", what, all[to], link_names[i]), sendto(sock, "x", 1, 0, &n.sa, n.len));
            close(sock);
            sock = socket_of(kind);
            SHOW(label("%s connected to %s, %s", what, all[to], link_names[i]), connect(sock, &n.sa, n.len));
            SHOW(label("%s sent to %s, %s", what, all[to], link_names[i]), send(sock, "y", 1, 0));
            close(sock);
        }
}

/* A request to itself is answered, with a scope that means nothing. */
static void echo(void)
{
    unsigned char p[64] = { 128, 0, 0, 0, 1, 2, 3, 4 };
    int sock = MUST(socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
    name n = scoped(OWN, 0, links[1]);
    SHOW("echo, bound", bind(sock, &n.sa, n.len));
    SHOW("echo, sent", sendto(sock, p, 24, 0, &n.sa, n.len));
    for (int i = 0; i < 2; i++) {
        (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
        ssize_t got = recv(sock, p, sizeof p, MSG_DONTWAIT);
        say(label("echo, message %d", i + 1), "%zd type %d", got, got > 0 ? p[0] : -1);
    }
    close(sock);
}

/* Which packet leaves. */
static void leaves(const char *what)
{
    static seen s;
    /* What MLD and IGMP say in between is not meant. */
    while (far_next(&tun, &s, SOON) && s.proto != IPPROTO_UDP)
        ;
    if (s.proto == IPPROTO_UDP)
        say(label("%s, leaves", what), "%s to %s ttl %d class %d", s.v6 ? "IPv6" : "IPv4", s.to, s.ttl, s.tos);
    else
        say(label("%s, leaves", what), "nothing");
    s.proto = 0;
}

static void by_v4(void)
{
    int sock = socket_of(SOCK_DGRAM);
    struct ip_mreqn by = { .imr_ifindex = if_index("tun0") };
    name group = any_name("::ffff:" GROUP4, 7000), group6 = any_name("ff05::9", 7000), one = any_name("::ffff:10.9.0.2", 7000);
    MUST(bind_to(sock, "::", 7000));
    MUST(option(sock, IPPROTO_IPV6, IPV6_V6ONLY, 0) + 1);
    SHOW("mapped group, no interface", sendto(sock, "a", 1, 0, &group.sa, group.len));
    SHOW("IPV6_MULTICAST_IF", option(sock, IPPROTO_IPV6, IPV6_MULTICAST_IF, by.imr_ifindex));
    SHOW("mapped group, that of IPv6", sendto(sock, "a", 1, 0, &group.sa, group.len));
    SHOW("IP_MULTICAST_IF", setsockopt(sock, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by));
    SHOW("IP_MULTICAST_TTL", option(sock, IPPROTO_IP, IP_MULTICAST_TTL, 7));
    SHOW("IPV6_MULTICAST_HOPS", option(sock, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 9));
    SHOW("IP_TTL", option(sock, IPPROTO_IP, IP_TTL, 17));
    SHOW("IPV6_UNICAST_HOPS", option(sock, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 19));
    SHOW("IP_TOS", option(sock, IPPROTO_IP, IP_TOS, 8));
    SHOW("IPV6_TCLASS", option(sock, IPPROTO_IPV6, IPV6_TCLASS, 12));
    SHOW("mapped group", sendto(sock, "a", 1, 0, &group.sa, group.len));
    leaves("mapped group");
    SHOW("group", sendto(sock, "a", 1, 0, &group6.sa, group6.len));
    leaves("group");
    SHOW("mapped", sendto(sock, "a", 1, 0, &one.sa, one.len));
    leaves("mapped");
    SHOW("connected", connect(sock, &one.sa, one.len));
    SHOW("sent", send(sock, "a", 1, 0));
    leaves("sent");
    close(sock);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    MUST(add_address6("tun0", LINK_OWN, 64));
    ipv6_settled("tun0");
    links[1] = if_index("tun0");
    links[2] = 1;
    calls("raw", SOCK_RAW);
    calls("udp", SOCK_DGRAM);
    calls("tcp", SOCK_STREAM);
    echo();
    far_drain(&tun);
    by_v4();
    return 0;
}
