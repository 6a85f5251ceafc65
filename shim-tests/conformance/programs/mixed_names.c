/* Addresses of the loopback, of the net and of any, and those mapped into IPv6, mixed: one socket
 * is bound to one of them, another one to another, and sends or connects to a third. */
#include "far_tcp.h"

static far tun;

#ifdef V6
static const char *const SERVERS[] = { "0.0.0.0", "::", "fd09::1", "::1", "only ::", NULL };
static const char *const CLIENTS[] = { "fd09::1", "::1", "::ffff:0.0.0.0", "::ffff:127.0.0.1", NULL };
static const char *const PLACES[] = { "fd09::1", "::1", "::", "::ffff:127.0.0.1", NULL };
#else
static const char *const SERVERS[] = { "0.0.0.0", "10.9.0.1", "127.0.0.1", "::", "::ffff:10.9.0.1", NULL };
static const char *const CLIENTS[] = { "10.9.0.1", "127.0.0.1", "127.0.0.2", "::ffff:0.0.0.0", "::ffff:127.0.0.1", NULL };
static const char *const PLACES[] = { "10.9.0.1", "127.0.0.1", "::ffff:10.9.0.1", "::ffff:127.0.0.1", NULL };
#endif

static int is_v6(const char *address)
{
    return strchr(address, ':') != NULL;
}

/* Does a connect hang, because ::1 hears nothing of a refusal by the net's address? */
static int hangs(int kind, const char *server, const char *client, const char *place)
{
    return kind == SOCK_STREAM && !strcmp(client, "::1") && !strcmp(place, "fd09::1") && (!strcmp(server, "0.0.0.0") || !strcmp(server, "::1"));
}

/* "only" hears nothing of IPv4. */
static name named(const char *address, int at)
{
    if (!strncmp(address, "only ", 5))
        address += 5;
    name n = { .len = is_v6(address) ? sizeof n.in6 : sizeof n.in };
    n.sa.sa_family = is_v6(address) ? AF_INET6 : AF_INET;
    MUST(inet_pton(n.sa.sa_family, address, is_v6(address) ? (void *)&n.in6.sin6_addr : (void *)&n.in.sin_addr));
    n.in.sin_port = htons(at);
    return n;
}

static const char *address_of(int sock, int own)
{
    static char kept[2][80];
    name n = { .len = sizeof n.room };
    if ((own ? getsockname : getpeername)(sock, &n.sa, &n.len))
        return "none";
    return inet_ntop(n.sa.sa_family, n.sa.sa_family == AF_INET6 ? (void *)&n.in6.sin6_addr : (void *)&n.in.sin_addr, kept[own], 80);
}

static void show_mixed(int kind, const char *server, const char *client, const char *place)
{
    char what[120], text[8], seen[80] = "";
    snprintf(what, sizeof what, "%s at %s, from %s to %s", kind == SOCK_STREAM ? "stream" : "datagram", server, client, place);
    name at = named(server, 0), bound = named(client, 0), from = { .len = sizeof from.room };
    int hears = MUST(socket(at.sa.sa_family, kind, 0)), sock = MUST(socket(bound.sa.sa_family, kind | SOCK_NONBLOCK, 0));
    if (!strncmp(server, "only", 4))
        MUST(setsockopt(hears, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int)));
    MUST(bind(hears, &at.sa, at.len));
    MUST(getsockname(hears, &at.sa, &at.len));
    name there = named(place, ntohs(at.in.sin_port));
    MUST(bind(sock, &bound.sa, bound.len));
    if (kind == SOCK_STREAM)
        MUST(listen(hears, 5));
    int done = connect(sock, &there.sa, there.len) && errno != EINPROGRESS ? errno : 0;
    say(label("%s, connect", what), "%s", strerror(done));
    /* Which name is left to one that was refused is another subject. */
    if (strcmp(address_of(sock, 0), "none"))
        say(label("%s, names", what), "%s, %s", address_of(sock, 1), address_of(sock, 0));
    struct pollfd p = { .fd = hears, .events = POLLIN };
    if (!done && kind == SOCK_DGRAM)
        SHOW(label("%s, send", what), send(sock, "hello", 5, 0));
    if (!done && poll(&p, 1, NEVER) == 1) {
        int taken = kind == SOCK_STREAM ? accept(hears, &from.sa, &from.len) : (int)recvfrom(hears, text, sizeof text, 0, &from.sa, &from.len);
        inet_ntop(from.sa.sa_family, from.sa.sa_family == AF_INET6 ? (void *)&from.in6.sin6_addr : (void *)&from.in.sin_addr, seen, sizeof seen);
        say(label("%s, heard from", what), "%s", seen);
        if (kind == SOCK_STREAM) {
            say(label("%s, taken", what), "%s, %s", address_of(taken, 1), address_of(taken, 0));
            close(taken);
        } else {
            p.fd = sock;
            SHOW(label("%s, answer", what), sendto(hears, "answer", 6, 0, &from.sa, from.len));
            say(label("%s, answered", what), "%d", poll(&p, 1, NEVER) == 1 && recv(sock, text, sizeof text, 0) == 6);
        }
    } else {
        say(label("%s, heard", what), "nothing");
    }
    close(sock);
    close(hears);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    for (int kind = SOCK_STREAM; kind <= SOCK_DGRAM; kind++)
        for (int s = 0; SERVERS[s]; s++)
            for (int c = 0; CLIENTS[c]; c++)
                for (int p = 0; PLACES[p]; p++)
                    if (is_v6(CLIENTS[c]) == is_v6(PLACES[p]) && !hangs(kind, SERVERS[s], CLIENTS[c], PLACES[p]))
                        show_mixed(kind, SERVERS[s], CLIENTS[c], PLACES[p]);
    return 0;
}
