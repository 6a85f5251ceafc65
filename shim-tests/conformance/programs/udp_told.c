/* What a program says with a datagram, by control messages of IPv4 and of IPv6: which of them count
 * for a destination, and what is wrong with them. */
#include "far.h"

typedef struct { const char *what; int level, type, size; unsigned char value[20]; } said;

static far tun;
static seen s;

#ifdef V6
static const char *const PLACES[] = { OWN, "::ffff:10.9.0.1", "::1", "::ffff:127.0.0.1", FAR, "::ffff:10.9.0.9", NULL };
static const char *const OWNS[] = { NULL, OWN, "::1", NULL };
#else
static const char *const PLACES[] = { OWN, "127.0.0.1", FAR, NULL };
static const char *const OWNS[] = { NULL, OWN, NULL };
#endif

#define OWN4 0, 0, 0, 0, 10, 9, 0, 1, 0, 0, 0, 0
#define NONE4 0, 0, 0, 0, 10, 77, 0, 1, 0, 0, 0, 0

static const said ALL[] = {
    { "TTL", IPPROTO_IP, IP_TTL, 4, { 9 } },
    { "TTL 0", IPPROTO_IP, IP_TTL, 4, { 0 } },
    { "a short TTL", IPPROTO_IP, IP_TTL, 2, { 9 } },
    { "a long TTL", IPPROTO_IP, IP_TTL, 8, { 9 } },
    { "TOS", IPPROTO_IP, IP_TOS, 4, { 16 } },
    { "TOS of a byte", IPPROTO_IP, IP_TOS, 1, { 16 } },
    { "TOS -1", IPPROTO_IP, IP_TOS, 4, { 255, 255, 255, 255 } },
    { "PKTINFO", IPPROTO_IP, IP_PKTINFO, 12, { OWN4 } },
    { "PKTINFO of nobody", IPPROTO_IP, IP_PKTINFO, 12, { NONE4 } },
    { "a short PKTINFO", IPPROTO_IP, IP_PKTINFO, 8, { OWN4 } },
    { "a long PKTINFO", IPPROTO_IP, IP_PKTINFO, 16, { OWN4 } },
    { "HOPLIMIT", IPPROTO_IPV6, IPV6_HOPLIMIT, 4, { 9 } },
    { "HOPLIMIT 256", IPPROTO_IPV6, IPV6_HOPLIMIT, 4, { 0, 1 } },
    { "TCLASS", IPPROTO_IPV6, IPV6_TCLASS, 4, { 16 } },
    { "TCLASS -1", IPPROTO_IPV6, IPV6_TCLASS, 4, { 255, 255, 255, 255 } },
    { "TCLASS of a byte", IPPROTO_IPV6, IPV6_TCLASS, 1, { 16 } },
    { "PKTINFO of IPv6", IPPROTO_IPV6, IPV6_PKTINFO, 20, { 0xfd, 9, [15] = 1 } },
    { "PKTINFO of IPv6, nobody", IPPROTO_IPV6, IPV6_PKTINFO, 20, { 0xfd, 9, [15] = 0x77 } },
    { "PKTINFO of IPv6, any", IPPROTO_IPV6, IPV6_PKTINFO, 20, { 0 } },
    { "PKTINFO of IPv6, the loopback", IPPROTO_IPV6, IPV6_PKTINFO, 20, { [15] = 1 } },
    { "PKTINFO of IPv6, mapped", IPPROTO_IPV6, IPV6_PKTINFO, 20, { [10] = 255, 255, 10, 9, 0, 1 } },
    { "PKTINFO of IPv6, mapped any", IPPROTO_IPV6, IPV6_PKTINFO, 20, { [10] = 255, 255 } },
    { "a short PKTINFO of IPv6", IPPROTO_IPV6, IPV6_PKTINFO, 16, { 0xfd, 9, [15] = 1 } },
    { "the old PKTINFO of IPv6", IPPROTO_IPV6, IPV6_2292PKTINFO, 20, { 0xfd, 9, [15] = 1 } },
    { "PKTINFO of IPv6, at the loopback", IPPROTO_IPV6, IPV6_PKTINFO, 20, { 0xfd, 9, [15] = 1, 1 } },
    { "an unknown message of IPv4", IPPROTO_IP, 99, 4, { 1 } },
    { "an unknown message of IPv6", IPPROTO_IPV6, 99, 4, { 1 } },
    { "an unknown message of UDP", IPPROTO_UDP, 99, 4, { 1 } },
    { "an unknown message of sockets", SOL_SOCKET, 99, 4, { 1 } },
    { "a message of another protocol", IPPROTO_TCP, 99, 4, { 1 } },
};

/* A source that is of the loopback where the other end is of the net, or the other way round, does
 * not go with a socket that is connected. */
static int is_carried(const char *place, const said *about, int connects)
{
    if (!connects)
        return 1;
    if (!strcmp(place, OWN))
        return !strstr(about->what, "the loopback");
    return (strcmp(place, "::1") && !strstr(place, "127.0.0.1")) || !strstr(about->what, "PKTINFO");
}

static void tell(const char *own, const char *place, const said *about, int connects)
{
    char what[120], control[CMSG_SPACE(64)] = { 0 }, text[8], from[80] = "";
    snprintf(what, sizeof what, "%s, from %s to %s%s", about->what, own ? own : "none", place, connects ? ", connected" : "");
    int sock = MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)), hears = MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    name n = any_name(place, 0), sender = { .len = sizeof sender.room };
    int here = !bind(hears, &n.sa, n.len);
    if (here)
        MUST(getsockname(hears, &n.sa, &n.len));
    else
        n = any_name(place, 9000);
    if (own)
        MUST(bind_to(sock, own, 0));
    if (connects && connect(sock, &n.sa, n.len)) {
        close(sock);
        close(hears);
        return;
    }
    struct iovec iov = { "told", 4 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(about->size) };
    if (!connects) {
        m.msg_name = &n.sa;
        m.msg_namelen = n.len;
    }
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = about->level;
    h->cmsg_type = about->type;
    h->cmsg_len = CMSG_LEN(about->size);
    memcpy(CMSG_DATA(h), about->value, about->size);
    ssize_t sent = sendmsg(sock, &m, 0);
    say(what, "%s", sent == 4 ? "sent" : strerror(errno));
    struct pollfd p = { .fd = hears, .events = POLLIN };
    if (sent == 4 && here && poll(&p, 1, NEVER) == 1 && recvfrom(hears, text, sizeof text, 0, &sender.sa, &sender.len) == 4) {
        inet_ntop(FAMILY, FAMILY == AF_INET6 ? (void *)&sender.in6.sin6_addr : (void *)&sender.in.sin_addr, from, sizeof from);
        say(label("%s, heard from", what), "%s", from);
    } else if (sent == 4 && !here) {
        show_next(label("%s, packet", what), &tun, &s);
    }
    close(sock);
    close(hears);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    far_drain(&tun);
    for (int o = 0; !o || OWNS[o]; o++)
        for (int p = 0; PLACES[p]; p++)
            for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++)
                for (int connects = 0; connects < 2; connects++)
                    if (is_carried(PLACES[p], &ALL[i], connects))
                        tell(OWNS[o], PLACES[p], &ALL[i], connects);
    return 0;
}
