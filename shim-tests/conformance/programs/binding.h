/* binding.h - who may have an address and port while another has one: the same for datagrams and
 * connections, which define TYPE. */
#ifndef BINDING_H
#define BINDING_H
#include "far.h"
#include <sys/resource.h>

/* What a socket is before it is bound. */
enum { PLAIN, REUSEADDR, REUSEPORT, BOTH };
static const char *const option_names[] = { "plain", "REUSEADDR", "REUSEPORT", "both" };

static int socket_with(int family, int options)
{
    int sock = MUST(socket(family, TYPE | SOCK_CLOEXEC, 0));
    if (options & REUSEADDR)
        option(sock, SOL_SOCKET, SO_REUSEADDR, 1);
    if (options & REUSEPORT)
        option(sock, SOL_SOCKET, SO_REUSEPORT, 1);
    return sock;
}

static const char *bound(int sock, const char *address, int port)
{
    return bind_to(sock, address, port) ? errno_name(errno) : "ok";
}

/* One line for each pair of addresses: all pairs of options. */
static void matrix(const char *first, const char *second)
{
    char line[600] = "";
    for (int a = PLAIN; a <= BOTH; a++)
        for (int b = PLAIN; b <= BOTH; b++) {
            int one = socket_with(FAMILY, a), two = socket_with(FAMILY, b);
            MUST(bind_to(one, first, 5000));
            append(line, sizeof line, "%s%s/%s=%s", *line ? " " : "", option_names[a], option_names[b],
                   bound(two, second, 5000));
            close(two);
            close(one);
        }
    say(label("%s, then %s", first, second), "%s", line);
}

#ifdef V6
/* Sockets of IPv4 and IPv6 with one port. */
static void families(void)
{
    static const struct { const char *first, *second; int only1, only2; } all[] = {
        { "::", "0.0.0.0", 0, 0 }, { "::", "0.0.0.0", 1, 0 }, { "0.0.0.0", "::", 0, 0 }, { "0.0.0.0", "::", 0, 1 },
        { "::", "10.9.0.1", 0, 0 }, { "::", "10.9.0.1", 1, 0 }, { "10.9.0.1", "::", 0, 0 }, { "10.9.0.1", "::", 0, 1 },
        { "::ffff:10.9.0.1", "10.9.0.1", 0, 0 }, { "10.9.0.1", "::ffff:10.9.0.1", 0, 0 },
        { "::ffff:0.0.0.0", "10.9.0.1", 0, 0 }, { "::ffff:10.9.0.1", "10.9.0.3", 0, 0 },
        { "::", "::ffff:10.9.0.1", 0, 0 }, { "::", "::ffff:10.9.0.1", 1, 0 }, { "::", "::ffff:10.9.0.1", 0, 1 },
        { OWN, "10.9.0.1", 0, 0 }, { "10.9.0.1", OWN, 0, 0 }, { "::", "::", 1, 0 }, { "::", "::", 1, 1 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int one = socket_with(strchr(all[i].first, ':') ? AF_INET6 : AF_INET, PLAIN);
        int two = socket_with(strchr(all[i].second, ':') ? AF_INET6 : AF_INET, PLAIN);
        if (all[i].only1)
            option(one, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        if (all[i].only2)
            option(two, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        const char *first = bound(one, all[i].first, 5000);
        say(label("families, %s%s, then %s%s", all[i].only1 ? "only " : "", all[i].first, all[i].only2 ? "only " : "",
                  all[i].second), "%s %s", first, bound(two, all[i].second, 5000));
        close(one);
        close(two);
    }
    int sock = socket_with(AF_INET6, PLAIN);
    MUST(bind_to(sock, "::ffff:0.0.0.0", 5000));
    show_own("any address of IPv4, name", sock);
    close(sock);
    sock = socket_with(AF_INET6, PLAIN);
    SHOW("V6ONLY by default", option_of(sock, IPPROTO_IPV6, IPV6_V6ONLY));
    MUST(bind_to(sock, "::", 0));
    SHOW("V6ONLY after bind", option(sock, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    SHOW("an address of IPv4 for a socket of IPv6", bind_to(sock, "10.9.0.1", 0));
    close(sock);
    sock = socket_with(AF_INET6, PLAIN);
    name n = any_name("10.9.0.1", 0);
    SHOW("a name of IPv4 for a socket of IPv6", bind(sock, &n.sa, n.len));
    SHOW("a name of IPv4, long enough", bind(sock, &n.sa, sizeof n.in6));
    close(sock);
    sock = socket_with(AF_INET6, PLAIN);
    SHOW("fe80 without a link", bind_to(sock, "fe80::1", 0));
    MUST(add_address6("tun0", "fe80::1", 64));
    n = any_name("fe80::1", 5000);
    n.in6.sin6_scope_id = if_index("tun0");
    ipv6_settled("tun0");
    SHOW("fe80 with its link", bind(sock, &n.sa, n.len));
    show_own("fe80, name", sock);
    close(sock);
    sock = socket_with(AF_INET6, PLAIN);
    n.in6.sin6_scope_id = if_index("lo");
    SHOW("fe80 with another link", bind(sock, &n.sa, n.len));
    close(sock);
}
#endif

static void single(void)
{
    int sock = socket_with(FAMILY, PLAIN);
    SHOW("a foreign address", bind_to(sock, FAR, 5000));
    SHOW("an address behind a route only", bind_to(sock, BEYOND, 5000));
    show_own("not bound, name", sock);
    SHOW("then an own one", bind_to(sock, OWN, 5000));
    SHOW("bind again", bind_to(sock, OWN, 5001));
    SHOW("bind again to any", bind_to(sock, ANY, 0));
    show_own("bound once, name", sock);
    close(sock);
    sock = socket_with(FAMILY, PLAIN);
    SHOW("after close, the port is free", bind_to(sock, OWN, 5000));
    close(sock);
    sock = socket_with(FAMILY, PLAIN);
    SHOW("port 80", bind_to(sock, OWN, 80));
    show_own("port 80, name", sock);
    int other = socket_with(FAMILY, PLAIN);
    SHOW("port 80 twice", bind_to(other, OWN, 80));
    SHOW("port 80 of all", bind_to(other, ANY, 80));
    SHOW("port 80 of another address", bind_to(other, OWN2, 80));
    close(other);
    close(sock);
    sock = socket_with(FAMILY, PLAIN);
    SHOW("port 53 of all", bind_to(sock, ANY, 53));
    show_own("port 53 of all, name", sock);
    close(sock);
    sock = socket_with(FAMILY, PLAIN);
    SHOW("port 65535", bind_to(sock, OWN, 65535));
    close(sock);

    /* Ports that the kernel chooses. */
    int socks[20], right = 1, different = 1;
    for (int i = 0; i < 20; i++) {
        socks[i] = socket_with(FAMILY, PLAIN);
        MUST(bind_to(socks[i], i % 2 ? OWN : ANY, 0));
        int port = own_port(socks[i]);
        right &= port >= 32768 && port <= 60999;
        for (int j = 0; j < i; j++)
            different &= own_port(socks[j]) != port;
    }
    say("port 0, in the range", "%d, different %d", right, different);
    for (int i = 0; i < 20; i++)
        close(socks[i]);
    if (spit("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003") < 0)
        die("ip_local_port_range");
    for (int i = 0; i < 5; i++) {
        socks[i] = socket_with(FAMILY, PLAIN);
        int result = bind_to(socks[i], OWN, 0);
        say(label("port 0, number %d of a range of 4", i), "%s",
            result ? errno_name(errno) : own_port(socks[i]) >= 40000 && own_port(socks[i]) <= 40003 ? "ok" : "outside");
    }
    for (int i = 0; i < 5; i++)
        close(socks[i]);
    spit("/proc/sys/net/ipv4/ip_local_port_range", "32768 60999");

    name n = any_name(OWN, 5000);
    sock = socket_with(FAMILY, PLAIN);
    SHOW("a name that is too short", bind(sock, &n.sa, n.len - 5));
    SHOW("a bad pointer", bind(sock, BAD_POINTER, n.len));
    n.sa.sa_family = AF_UNIX;
    SHOW("another family", bind(sock, &n.sa, n.len));
    n = any_name(ANY, 5000);
    n.sa.sa_family = AF_UNSPEC;
    SHOW("no family", bind(sock, &n.sa, n.len));
    close(sock);

    /* Bound to an interface, which separates ports. */
    sock = socket_with(FAMILY, PLAIN);
    other = socket_with(FAMILY, PLAIN);
    SHOW("SO_BINDTODEVICE", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "tun0", 5));
    char device[IFNAMSIZ] = "";
    socklen_t len = sizeof device;
    SHOW("SO_BINDTODEVICE is read", getsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, device, &len));
    say("SO_BINDTODEVICE, name", "'%s' %d", device, len);
    SHOW("SO_BINDTODEVICE, other", setsockopt(other, SOL_SOCKET, SO_BINDTODEVICE, "tap0", 5));
    SHOW("SO_BINDTODEVICE, none", setsockopt(other, SOL_SOCKET, SO_BINDTODEVICE, "none0", 6));
    SHOW("on one device", bind_to(sock, ANY, 5000));
    SHOW("on the other device", bind_to(other, ANY, 5000));
    int third = socket_with(FAMILY, PLAIN);
    SHOW("on no device", bind_to(third, ANY, 5000));
    close(third);
    close(other);
    close(sock);
    sock = socket_with(FAMILY, PLAIN);
    MUST(setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "tap0", 5));
    SHOW("another device's address", bind_to(sock, OWN, 5000));
    close(sock);

    sock = socket_with(FAMILY, PLAIN);
    SHOW("freebind, set", option(sock, FAMILY == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP, FAMILY == AF_INET6 ? 78 : IP_FREEBIND, 1));
    SHOW("freebind, a foreign address", bind_to(sock, BEYOND, 5000));
    show_own("freebind, name", sock);
    close(sock);
    if (TYPE == SOCK_DGRAM) {
        sock = socket_with(FAMILY, PLAIN);
        SHOW("a group", bind_to(sock, FAMILY == AF_INET6 ? "ff05::7" : "239.1.2.3", 5000));
        show_own("a group, name", sock);
        close(sock);
        if (FAMILY == AF_INET) {
            sock = socket_with(FAMILY, PLAIN);
            SHOW("the broadcast address", bind_to(sock, "10.9.0.255", 5000));
            close(sock);
            sock = socket_with(FAMILY, PLAIN);
            SHOW("the broadcast address of all", bind_to(sock, "255.255.255.255", 5000));
            close(sock);
        }
    }
}

/* Who asks for no port gets one when it connects. */
static void no_port(void)
{
    if (TYPE != SOCK_STREAM)
        return;
    int sock = socket_with(FAMILY, PLAIN);
    SHOW("BIND_ADDRESS_NO_PORT", option(sock, IPPROTO_IP, 24, 1));
    SHOW("no port, bind", bind_to(sock, OWN, 0));
    show_own("no port, name", sock);
    SHOW("no port, connect", connect_to(sock, OWN, 9));
    close(sock);
    sock = socket_with(FAMILY, PLAIN);
    option(sock, IPPROTO_IP, 24, 1);
    SHOW("no port wanted, bind to one", bind_to(sock, OWN, 5007));
    show_own("no port wanted, name", sock);
    close(sock);
    sock = socket_with(FAMILY, PLAIN);
    option(sock, IPPROTO_IP, 24, 1);
    MUST(bind_to(sock, OWN, 0));
    SHOW("no port, listen", listen(sock, 1));
    show_own("no port, listening, name", sock);
    close(sock);
}

/* Many sockets of datagrams that share one port. */
static void crowd(void)
{
    if (TYPE != SOCK_DGRAM)
        return;
    enum { MANY = 3800 };
    static int socks[MANY];
    struct rlimit limit;
    MUST(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    const char *how = "ok";
    for (int i = 0; i < MANY; i++) {
        socks[i] = socket_with(FAMILY, REUSEADDR);
        const char *one = bound(socks[i], OWN, 5000);
        how = strcmp(one, "ok") ? one : how;
    }
    say("many with one port", "%s", how);
    for (int i = 0; i < MANY; i++)
        close(socks[i]);
}

/* An address that goes away with its link, or stays. */
static void link_down(void)
{
    int sock = socket_with(FAMILY, PLAIN), other = socket_with(FAMILY, PLAIN);
    MUST(bind_to(sock, OWN, 5000));
    link_up("tun0", 0);
    show_own("the link is down, name", sock);
    SHOW("the link is down, bind", bind_to(other, OWN, 5001));
    close(other);
    close(sock);
}

int main(int argc, char **argv)
{
    (void)far_start(argc, argv);
    (void)far_tap();
#ifdef V6
    add_address("tun0", "10.9.0.1");
    add_address("tun0:1", "10.9.0.3");
#endif
    matrix(OWN, OWN);
    matrix(OWN, OWN2);
    matrix(OWN, ANY);
    matrix(ANY, OWN);
    matrix(ANY, ANY);
    matrix(ANY, LOOP);
    matrix(LOOP, OWN);
    single();
    no_port();
#ifdef V6
    families();
#endif
    crowd();
    link_down();
    return 0;
}

#endif
