/* Multicast groups of sockets: what routers are told of them, and which packets reach their
   members. A report may come twice, and at any time, so that each is shown once. */
#define WATCHDOG_SECONDS 60
#include "wire.h"
#include <netinet/in.h>

static wire w;
static pkt p;

#define OWN "10.9.0.1"
#define OWN6 "fd09::1"

/* The records of a report as `type group`, without those of groups that each link has. */
static void records(char *text, size_t room, const unsigned char *b, int v6)
{
    char group[64];
    int count = b[6] << 8 | b[7], size = v6 ? 16 : 4;
    for (const unsigned char *at = b + 8; count-- > 0; at += 4 + size)
        append(text, room, " %d %s", at[0], address_text(group, at + 4, v6));
}

/* What is said of a group within some time, each once. */
static void told(const char *what, const char *group, int ms)
{
    static unsigned char f[70100];
    static char seen[20][200];
    int count = 0;
    char prefix[100];
    double until = now() + ms / 1e3;
    snprintf(prefix, sizeof prefix, "%s", what);
    while (now() < until) {
        char line[200] = "", from[64], to[64];
        ssize_t n = read(w.fd, f, sizeof f);
        if (n <= 0) {
            pause_ms(5);
            continue;
        }
        int six = f[0] >> 4 == 6;
        const unsigned char *b = six ? f + 48 : f + (f[0] & 15) * 4;
        if (six ? f[6] != 0 || b[0] < 130 : f[9] != 2)
            continue;
        append(line, sizeof line, "%s > %s hops %d class %02x%s type %02x", six ? "own" : address_text(from, f + 12, 0),
               address_text(to, f + (six ? 24 : 16), six), six ? f[7] : f[8], six ? 0 : f[1],
               !six && (f[6] & 0x40) ? " DF" : "", b[0]);
        if (b[0] == 0x22 || b[0] == 143)
            records(line, sizeof line, b, six);
        if (!strstr(line, group))
            continue;
        int known = 0;
        for (int i = 0; i < count; i++)
            known |= !strcmp(seen[i], line);
        if (!known && count < 20)
            strcpy(seen[count++], line);
    }
    for (int i = 0; i < count; i++)
        say(label("%s, %d", prefix, i + 1), "%s", seen[i]);
    if (!count)
        say(prefix, "nothing");
}

static void receives(const char *what, int sock, const char *from, const char *to)
{
    char data[100] = "";
    struct pollfd q = { sock, POLLIN, 0 };
    send_packet(&w, udp(&p, from, to, 1000, 5555, 8));
    if (poll(&q, 1, strcmp(to, "239.1.2.4") && strcmp(to, "ff05::8") ? 3000 : 300) == 1)
        say(what, "%zd", recv(sock, data, sizeof data, 0));
    else
        say(what, "nothing");
}

/* A query for all groups, or for one; `version` 2 or 3 of IGMP. */
static void query(const char *to, const char *group, int version)
{
    unsigned char body[12] = { 0x11, 1 };
    inet_pton(AF_INET, group, body + 4);
    begin(&p, "10.9.0.2", to, 2);
    p.bytes[8] = 1;
    add(&p, body, version == 3 ? 12 : 8);
    finish_sum(&p, 20, 2, 0);
    put(&w, p.bytes, p.len);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    w = wire_ready("gr0", 0, OWN, "255.255.255.0", OWN6);
    int four = MUST(socket(AF_INET, SOCK_DGRAM, 0)), six = MUST(socket(AF_INET6, SOCK_DGRAM, 0)), on = 1;
    MUST(setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
    struct sockaddr_in at4 = { .sin_family = AF_INET, .sin_port = htons(5555) };
    struct sockaddr_in6 at6 = { .sin6_family = AF_INET6, .sin6_port = htons(5555) };
    MUST(bind(four, (struct sockaddr *)&at4, sizeof at4));
    MUST(bind(six, (struct sockaddr *)&at6, sizeof at6));
    struct ip_mreqn group = { .imr_ifindex = if_index("gr0") };
    struct ipv6_mreq group6 = { .ipv6mr_interface = if_index("gr0") };
    inet_pton(AF_INET, "239.1.2.3", &group.imr_multiaddr);
    inet_pton(AF_INET6, "ff05::7", &group6.ipv6mr_multiaddr);
    SHOW("join", setsockopt(four, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
    told("joined", "239.1.2.3", 1500);
    receives("a datagram for the group", four, "10.9.0.2", "239.1.2.3");
    receives("a datagram for another group", four, "10.9.0.2", "239.1.2.4");
    query("224.0.0.1", "0.0.0.0", 3);
    told("asked for all groups", "239.1.2.3", 1000);
    SHOW("leave", setsockopt(four, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group));
    told("left", "239.1.2.3", 1500);
    SHOW("join by IPv6", setsockopt(six, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group6, sizeof group6));
    told("joined by IPv6", "ff05::7", 1500);
    receives("a datagram for the group by IPv6", six, "fd09::2", "ff05::7");
    receives("a datagram for another group by IPv6", six, "fd09::2", "ff05::8");
    SHOW("leave by IPv6", setsockopt(six, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &group6, sizeof group6));
    told("left by IPv6", "ff05::7", 1500);
    return 0;
}
