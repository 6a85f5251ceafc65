/* Groups of which a socket hears some sources only: which calls succeed, whose datagrams arrive,
 * and what routers are told. A report may come twice, so that each is shown once. */
#define WATCHDOG_SECONDS 60
#include "far.h"

#ifndef V6
#define GROUP "232.1.2.3"
#define LEVEL IPPROTO_IP
#else
#define GROUP "ff35::7:3"
#define LEVEL IPPROTO_IPV6
#endif
enum { PORT = 5000, BLOCK = 43, UNBLOCK, JOIN = 42, LEAVE = 45, JOIN_SOURCE = 46, LEAVE_SOURCE };

static far tun;

/* A call about a group, of one source or of all. */
static int of_group(int sock, int what, const char *group, const char *source)
{
    struct { uint32_t index; struct sockaddr_storage group, source; } request = { .index = if_index("tun0") };
    name of = any_name(group, 0);
    memcpy(&request.group, &of.room, sizeof of.room);
    if (!source)
        return setsockopt(sock, LEVEL, what, &request, 136);
    name from = any_name(source, 0);
    memcpy(&request.source, &from.room, sizeof from.room);
    return setsockopt(sock, LEVEL, what, &request, 264);
}

/* What routers are told of the group, each record once. */
static void reports(const char *what)
{
    static unsigned char p[70000];
    static char seen[20][300];
    int count = 0, size = ADDRESS;
    double until = now() + 0.4;
    while (now() < until) {
        ssize_t n = read(tun.fd, p, sizeof p);
        if (n <= 0) {
            pause_ms(5);
            continue;
        }
        const unsigned char *b = p[0] >> 4 == 6 ? p + 48 : p + (p[0] & 15) * 4;
        if (p[0] >> 4 == 6 ? p[6] || b[0] != 143 : p[9] != 2 || b[0] != 0x22)
            continue;
        int records = get16(b + 6);
        for (const unsigned char *at = b + 8; records-- > 0;) {
            int sources = get16(at + 2);
            char line[300], address[60];
            inet_ntop(FAMILY, at + 4, address, sizeof address);
            snprintf(line, sizeof line, "type %d %s", at[0], address);
            char found[20][60];
            for (int i = 0; i < sources && i < 20; i++)
                inet_ntop(FAMILY, at + 4 + size * (i + 1), found[i], sizeof found[i]);
            qsort(found, sources < 20 ? sources : 20, sizeof *found, (int (*)(const void *, const void *))strcmp);
            for (int i = 0; i < sources && i < 20; i++)
                append(line, sizeof line, " %s", found[i]);
            at += 4 + size * (sources + 1);
            int known = strcmp(address, GROUP) != 0;
            for (int i = 0; i < count; i++)
                known |= !strcmp(seen[i], line);
            if (!known && count < 20)
                strcpy(seen[count++], line);
        }
    }
    qsort(seen, count, sizeof *seen, (int (*)(const void *, const void *))strcmp);
    char all[1000] = "";
    for (int i = 0; i < count; i++)
        append(all, sizeof all, "%s%s", i ? ", " : "", seen[i]);
    say(label("%s, told", what), "%s", count ? all : "nothing");
}

static void heard(const char *what, int sock)
{
    far_heard(&tun, what, sock, GROUP, IPPROTO_UDP, PORT);
}

static int member(void)
{
    int sock = MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    option(sock, SOL_SOCKET, SO_REUSEADDR, 1);
    MUST(bind_to(sock, ANY, PORT));
    return sock;
}

#define DO(what, ...) do { SHOW(what, __VA_ARGS__); reports(what); } while (0)

static void included(void)
{
    int sock = member();
    SHOW("leave a source, not joined", of_group(sock, LEAVE_SOURCE, GROUP, FAR));
    SHOW("block, not joined", of_group(sock, BLOCK, GROUP, FAR));
    DO("join a source", of_group(sock, JOIN_SOURCE, GROUP, FAR));
    heard("join a source", sock);
    SHOW("join it again", of_group(sock, JOIN_SOURCE, GROUP, FAR));
    SHOW("block, included", of_group(sock, BLOCK, GROUP, FAR));
    SHOW("join the group, included", of_group(sock, JOIN, GROUP, NULL));
    DO("join another source", of_group(sock, JOIN_SOURCE, GROUP, FAR2));
    heard("join another source", sock);
    SHOW("leave a third source", of_group(sock, LEAVE_SOURCE, GROUP, BEYOND));
    DO("leave a source", of_group(sock, LEAVE_SOURCE, GROUP, FAR));
    heard("leave a source", sock);
    DO("leave the last source", of_group(sock, LEAVE_SOURCE, GROUP, FAR2));
    heard("leave the last source", sock);
    SHOW("leave what is left", of_group(sock, LEAVE, GROUP, NULL));
    close(sock);
}

static void excluded(void)
{
    int sock = member();
    DO("join", of_group(sock, JOIN, GROUP, NULL));
    heard("join", sock);
    SHOW("unblock, nothing blocked", of_group(sock, UNBLOCK, GROUP, FAR));
    DO("block", of_group(sock, BLOCK, GROUP, FAR));
    heard("block", sock);
    SHOW("block again", of_group(sock, BLOCK, GROUP, FAR));
    SHOW("join a source, excluded", of_group(sock, JOIN_SOURCE, GROUP, FAR));
    DO("unblock", of_group(sock, UNBLOCK, GROUP, FAR));
    heard("unblock", sock);
    DO("from all to one source", of_group(sock, JOIN_SOURCE, GROUP, FAR));
    heard("from all to one source", sock);
    DO("leave the group", of_group(sock, LEAVE, GROUP, NULL));
    close(sock);
}

/* Two sockets, of which each hears its own. */
static void both(void)
{
    int one = member(), two = member();
    DO("the first joins a source", of_group(one, JOIN_SOURCE, GROUP, FAR));
    DO("the second joins all", of_group(two, JOIN, GROUP, NULL));
    far_udp(&tun, FAR2, 9000, GROUP, PORT, "z", 1);
    char byte = 0;
    (void)EVENTUALLY(now_events(two, POLLIN), SOON);
    SHOW("the second hears another source", recv(two, &byte, 1, MSG_DONTWAIT));
    SHOW("the first does not", recv(one, &byte, 1, MSG_DONTWAIT));
    DO("the second blocks the source", of_group(two, BLOCK, GROUP, FAR));
    DO("the second blocks another one", of_group(two, BLOCK, GROUP, FAR2));
    DO("the second leaves", of_group(two, LEAVE, GROUP, NULL));
    DO("the first leaves", of_group(one, LEAVE, GROUP, NULL));
    close(one);
    close(two);
}

#ifndef V6
/* The names of old, which know IPv4 only. */
static void of_old(void)
{
    int sock = member();
    struct ip_mreq_source of = { 0 };
    inet_pton(AF_INET, GROUP, &of.imr_multiaddr);
    inet_pton(AF_INET, OWN, &of.imr_interface);
    inet_pton(AF_INET, FAR, &of.imr_sourceaddr);
    DO("IP_ADD_SOURCE_MEMBERSHIP", setsockopt(sock, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &of, sizeof of));
    heard("IP_ADD_SOURCE_MEMBERSHIP", sock);
    SHOW("IP_BLOCK_SOURCE", setsockopt(sock, IPPROTO_IP, IP_BLOCK_SOURCE, &of, sizeof of));
    SHOW("a value that is too short", setsockopt(sock, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &of, 8));
    DO("IP_DROP_SOURCE_MEMBERSHIP", setsockopt(sock, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &of, sizeof of));
    inet_pton(AF_INET, "0.0.0.0", &of.imr_interface);
    SHOW("without an interface", setsockopt(sock, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &of, sizeof of));
    inet_pton(AF_INET, OWN2, &of.imr_multiaddr);
    inet_pton(AF_INET, OWN, &of.imr_interface);
    SHOW("no group", setsockopt(sock, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &of, sizeof of));
    close(sock);
}
#endif

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    /* What is told again comes soon, and not behind the next step. */
    sysctl("ipv4", "tun0", "igmpv3_unsolicited_report_interval", "10");
    sysctl("ipv6", "tun0", "mldv2_unsolicited_report_interval", "10");
#ifdef V6
    /* Reports have an address of the link. */
    MUST(add_address6("tun0", "fe80::1", 64));
    ipv6_settled("tun0");
#endif
    reports("at first");
    included();
    excluded();
    both();
#ifndef V6
    of_old();
#endif
    return 0;
}
