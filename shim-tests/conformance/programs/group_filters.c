/* All sources of a group at once (MCAST_MSFILTER, and IP_MSFILTER of old), how many there may be,
 * who hears a group that he has not joined (IP_MULTICAST_ALL), and the same of raw sockets. */
#define WATCHDOG_SECONDS 60
#include "far.h"

#ifndef V6
#define GROUP "232.1.2.3"
#define GROUP2 "239.9.9.9"
#define NAMED "10.30.%d.%d"
#define LEVEL IPPROTO_IP
#define ALL_GROUPS IP_MULTICAST_ALL
#else
#define GROUP "ff35::7:3"
#define GROUP2 "ff05::9:9"
#define NAMED "fd30::%d:%d"
#define LEVEL IPPROTO_IPV6
#define ALL_GROUPS IPV6_MULTICAST_ALL
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif
enum { PORT = 5000, PROTOCOL = 200, BLOCK = 43, UNBLOCK, JOIN = 42, LEAVE = 45, JOIN_SOURCE = 46, LEAVE_SOURCE,
    FILTER = 48, INCLUDE = 1, EXCLUDE = 0, HEAD = 144, MOST = 70 };

static far tun;

/* struct group_filter. */
typedef struct {
    uint32_t index, pad;
    struct sockaddr_storage group;
    uint32_t mode, count;
    struct sockaddr_storage sources[MOST];
} filter;

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

static filter about(const char *group, int mode)
{
    filter f;
    memset(&f, 0, sizeof f);
    f.index = if_index("tun0");
    f.mode = mode;
    name of = any_name(group, 0);
    memcpy(&f.group, &of.room, sizeof of.room);
    return f;
}

static void put(filter *f, const char *source)
{
    name of = any_name(source, 0);
    memcpy(&f->sources[f->count++], &of.room, sizeof of.room);
}

static int set(int sock, const filter *f) { return setsockopt(sock, LEVEL, FILTER, f, HEAD + f->count * 128); }

/* The filter of a group, of which there is room for some sources. */
static void get(const char *what, int sock, const char *group, int room)
{
    filter f = about(group, 7);
    f.count = room;
    socklen_t len = HEAD + room * 128;
    errno = 0;
    if (getsockopt(sock, LEVEL, FILTER, &f, &len)) {
        show(label("%s, got", what), -1);
        return;
    }
    char line[600] = "", address[60];
    for (int i = 0; i < room && i < (int)f.count && i < 5; i++) {
        name *n = (name *)&f.sources[i];
        inet_ntop(FAMILY, FAMILY == AF_INET ? (void *)&n->in.sin_addr : (void *)&n->in6.sin6_addr, address, sizeof address);
        append(line, sizeof line, " %s%s", n->sa.sa_family == FAMILY ? "" : "family? ", address);
    }
    say(label("%s, got", what), "len=%d mode=%u count=%u:%s", (int)len, f.mode, f.count, line);
}

/* Which of two sources a socket hears. */
static void heard(const char *what, int sock, const char *group)
{
    far_heard(&tun, what, sock, group, IPPROTO_UDP, PORT);
}

static void heard_raw(const char *what, int sock, const char *group)
{
    far_heard(&tun, what, sock, group, PROTOCOL, 0);
}

static int member(void)
{
    int sock = MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    option(sock, SOL_SOCKET, SO_REUSEADDR, 1);
    MUST(bind_to(sock, ANY, PORT));
    return sock;
}

static int raw(void) { return MUST(socket(FAMILY, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, PROTOCOL)); }

static void filters(const char *kind, int sock, void (*hears)(const char *, int, const char *))
{
    filter f = about(GROUP, INCLUDE);
    put(&f, FAR);
    SHOW(label("%s, a filter, not joined", kind), set(sock, &f));
    get(label("%s, not joined", kind), sock, GROUP, 3);
    f.count = 0;
    SHOW(label("%s, nothing included, not joined", kind), set(sock, &f));
    SHOW(label("%s, join", kind), of_group(sock, JOIN, GROUP, NULL));
    get(label("%s, joined", kind), sock, GROUP, 3);
    put(&f, FAR2);
    put(&f, BEYOND);
    put(&f, FAR);
    SHOW(label("%s, three included", kind), set(sock, &f));
    get(label("%s, three included", kind), sock, GROUP, 3);
    get(label("%s, three included, less room", kind), sock, GROUP, 2);
    get(label("%s, three included, no room", kind), sock, GROUP, 0);
    get(label("%s, three included, much room", kind), sock, GROUP, 6);
    f = about(GROUP, EXCLUDE);
    put(&f, FAR2);
    SHOW(label("%s, one excluded", kind), set(sock, &f));
    hears(label("%s, one excluded", kind), sock, GROUP);
    get(label("%s, one excluded", kind), sock, GROUP, 3);
    SHOW(label("%s, block another", kind), of_group(sock, BLOCK, GROUP, FAR));
    get(label("%s, another blocked", kind), sock, GROUP, 3);
    hears(label("%s, both blocked", kind), sock, GROUP);
    SHOW(label("%s, join a source", kind), of_group(sock, JOIN_SOURCE, GROUP, FAR));
    f = about(GROUP, INCLUDE);
    put(&f, FAR2);
    SHOW(label("%s, one included", kind), set(sock, &f));
    hears(label("%s, one included", kind), sock, GROUP);
    SHOW(label("%s, join another source", kind), of_group(sock, JOIN_SOURCE, GROUP, FAR));
    get(label("%s, two included", kind), sock, GROUP, 3);
    SHOW(label("%s, short of a source", kind), setsockopt(sock, LEVEL, FILTER, &f, HEAD + 100));
    SHOW(label("%s, short of the head", kind), setsockopt(sock, LEVEL, FILTER, &f, HEAD - 4));
    socklen_t len = HEAD - 4;
    SHOW(label("%s, asked with little room", kind), getsockopt(sock, LEVEL, FILTER, &f, &len));
    f.mode = 2;
    SHOW(label("%s, no such mode", kind), set(sock, &f));
    f = about(OWN, INCLUDE);
    put(&f, FAR);
    SHOW(label("%s, no group", kind), set(sock, &f));
    f = about(GROUP, INCLUDE);
    f.index = 999;
    put(&f, FAR);
    SHOW(label("%s, no interface", kind), set(sock, &f));
    f = about(GROUP, INCLUDE);
    SHOW(label("%s, nothing included", kind), set(sock, &f));
    get(label("%s, left", kind), sock, GROUP, 3);
    hears(label("%s, left", kind), sock, GROUP);
    SHOW(label("%s, leave", kind), of_group(sock, LEAVE, GROUP, NULL));
    close(sock);
}

/* Sources one by one on a raw socket. */
static void sources(void)
{
    int sock = raw();
    SHOW("alone, leave a source, not joined", of_group(sock, LEAVE_SOURCE, GROUP, FAR));
    SHOW("alone, join a source", of_group(sock, JOIN_SOURCE, GROUP, FAR));
    heard_raw("alone, join a source", sock, GROUP);
    SHOW("alone, join it again", of_group(sock, JOIN_SOURCE, GROUP, FAR));
    SHOW("alone, join the group", of_group(sock, JOIN, GROUP, NULL));
    SHOW("alone, leave the source", of_group(sock, LEAVE_SOURCE, GROUP, FAR));
    heard_raw("alone, leave the source", sock, GROUP);
    SHOW("alone, leave what is left", of_group(sock, LEAVE, GROUP, NULL));
    SHOW("alone, join the group anew", of_group(sock, JOIN, GROUP, NULL));
    SHOW("alone, block", of_group(sock, BLOCK, GROUP, FAR));
    heard_raw("alone, block", sock, GROUP);
    SHOW("alone, unblock", of_group(sock, UNBLOCK, GROUP, FAR));
    heard_raw("alone, unblock", sock, GROUP);
    close(sock);
}

static const char *source(int number)
{
    static char text[60];
    snprintf(text, sizeof text, NAMED, number / 100 + 1, number % 100 + 1);
    return text;
}

/* One too many. */
static void limits(void)
{
    for (int is_raw = 0; is_raw < 2; is_raw++) {
        int sock = is_raw ? raw() : member(), fits = 0, error = 0;
        const char *kind = is_raw ? "raw" : "udp";
        while (fits < MOST && !error) {
            error = of_group(sock, JOIN_SOURCE, GROUP, source(fits)) ? errno : 0;
            fits += !error;
        }
        say(label("%s, sources one by one", kind), "%d, then %s", fits, errno_name(error));
        SHOW(label("%s, all of them left", kind), of_group(sock, LEAVE, GROUP, NULL));
        MUST(of_group(sock, JOIN, GROUP, NULL));
        static filter f;
        for (f = about(GROUP, INCLUDE), fits = error = 0; fits < MOST && !error;) {
            put(&f, source(fits));
            error = set(sock, &f) ? errno : 0;
            fits += !error;
        }
        say(label("%s, sources at once", kind), "%d, then %s", fits, errno_name(error));
        get(label("%s, sources at once", kind), sock, GROUP, 1);
        close(sock);
    }
}

/* Whether a socket that has not joined a group hears what comes for it. */
static void all_groups(void)
{
    int one = member(), two = member(), three = raw(), four = raw();
    say("all groups, at first", "%d", option_of(two, LEVEL, ALL_GROUPS));
    SHOW("all groups, 2", option(two, LEVEL, ALL_GROUPS, 2));
    MUST(of_group(one, JOIN, GROUP2, NULL));
    MUST(of_group(three, JOIN, GROUP2, NULL));
    char bytes[100];
    for (int on = 1; on >= 0; on--) {
        SHOW(label("all groups, %d", on), option(two, LEVEL, ALL_GROUPS, on));
        SHOW(label("all groups, %d, of another", on), option(four, LEVEL, ALL_GROUPS, on));
        say(label("all groups, now %d", on), "%d", option_of(two, LEVEL, ALL_GROUPS));
        far_udp(&tun, FAR, 9000, GROUP2, PORT, "abc", 3);
        far_send(&tun, FAR, GROUP2, PROTOCOL, "abcd", 4, -1);
        (void)EVENTUALLY(now_events(one, POLLIN), SOON);
        (void)EVENTUALLY(now_events(three, POLLIN), SOON);
        SHOW(label("all groups, %d, who has joined", on), recv(one, bytes, sizeof bytes, MSG_DONTWAIT));
        SHOW(label("all groups, %d, who has not", on), recv(two, bytes, sizeof bytes, MSG_DONTWAIT));
        SHOW(label("all groups, %d, raw, joined", on), recv(three, bytes, sizeof bytes, MSG_DONTWAIT));
        SHOW(label("all groups, %d, raw, not joined", on), recv(four, bytes, sizeof bytes, MSG_DONTWAIT));
    }
    SHOW("it joins", of_group(two, JOIN, GROUP2, NULL));
    far_udp(&tun, FAR, 9000, GROUP2, PORT, "abc", 3);
    (void)EVENTUALLY(now_events(two, POLLIN), SOON);
    SHOW("then it hears", recv(two, bytes, sizeof bytes, MSG_DONTWAIT));
    int late = MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    option(late, SOL_SOCKET, SO_REUSEADDR, 1);
    SHOW("all groups, before it has a name", option(late, LEVEL, ALL_GROUPS, 0));
    MUST(bind_to(late, ANY, PORT));
    far_udp(&tun, FAR, 9000, GROUP2, PORT, "abc", 3);
    (void)EVENTUALLY(now_events(two, POLLIN), SOON);
    SHOW("that one", recv(late, bytes, sizeof bytes, MSG_DONTWAIT));
    far_udp(&tun, FAR, 9000, OWN, PORT, "abcde", 5);
    (void)EVENTUALLY(now_events(late, POLLIN), SOON);
    SHOW("what is not for a group", recv(late, bytes, sizeof bytes, MSG_DONTWAIT));
    close(one), close(two), close(three), close(four), close(late);
}

#ifndef V6
/* struct ip_msfilter, which knows IPv4 only. */
static void of_old(void)
{
    struct { struct in_addr group, at; uint32_t mode, count; struct in_addr sources[12]; } f = { .mode = INCLUDE };
    int sock = member();
    socklen_t len;
    char line[100] = "";
    inet_pton(AF_INET, GROUP, &f.group);
    inet_pton(AF_INET, OWN, &f.at);
    MUST(of_group(sock, JOIN, GROUP, NULL));
    f.count = 1;
    inet_pton(AF_INET, FAR2, &f.sources[0]);
    SHOW("IP_MSFILTER", setsockopt(sock, IPPROTO_IP, IP_MSFILTER, &f, 20));
    heard("IP_MSFILTER", sock, GROUP);
    SHOW("IP_MSFILTER, short", setsockopt(sock, IPPROTO_IP, IP_MSFILTER, &f, 18));
    SHOW("IP_MSFILTER, shorter", setsockopt(sock, IPPROTO_IP, IP_MSFILTER, &f, 15));
    f.count = 11;
    SHOW("IP_MSFILTER, too many", setsockopt(sock, IPPROTO_IP, IP_MSFILTER, &f, 16 + 44));
    f.count = 3, f.mode = 9, len = 28;
    SHOW("IP_MSFILTER, got", getsockopt(sock, IPPROTO_IP, IP_MSFILTER, &f, &len));
    inet_ntop(AF_INET, &f.sources[0], line, sizeof line);
    say("IP_MSFILTER, it says", "len=%d mode=%u count=%u %s", (int)len, f.mode, f.count, line);
    f.count = 0, f.mode = INCLUDE, len = 16;
    SHOW("IP_MSFILTER, left", setsockopt(sock, IPPROTO_IP, IP_MSFILTER, &f, 16));
    SHOW("IP_MSFILTER, got when left", getsockopt(sock, IPPROTO_IP, IP_MSFILTER, &f, &len));
    close(sock);
}
#endif

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
#ifdef V6
    MUST(add_address6("tun0", "fe80::1", 64));
    ipv6_settled("tun0");
#endif
    filters("udp", member(), heard);
    filters("raw", raw(), heard_raw);
    sources();
    limits();
    all_groups();
#ifndef V6
    of_old();
#endif
    return 0;
}
