/* Every option of sockets of TCP, of UDP and raw ones: what getsockopt(2) says of it with several
 * lengths, and what setsockopt(2) makes of several values. What the machine decides (sizes of
 * buffers, control of congestion, what netfilter and IPsec have), what is chosen at random and what
 * only an administrator of the machine may set is not asked for. */
#define WATCHDOG_SECONDS 60
#include "far_tcp.h"

enum { MOST = 100 };
static far tun;
static tcp peer;
static int port = 7000;

static const struct { const char *name; int level; } levels[] = {
    { "SOCKET", SOL_SOCKET }, { "IP", IPPROTO_IP }, { "IPV6", IPPROTO_IPV6 }, { "TCP", IPPROTO_TCP },
    { "UDP", IPPROTO_UDP }, { "ICMPV6", IPPROTO_ICMPV6 }, { "RAW", 255 },
};

enum { UNBOUND, BOUND, CONNECTED, LISTENING, ACCEPTED };
static const char *const states[] = { "unbound", "bound", "connected", "listening", "accepted" };

static int make(int type, int state)
{
    if (state == ACCEPTED) {
        int from = listener(OWN, ++port, 5);
        tcp_dial(&peer, &tun, FAR, 4000, OWN, port, SOON);
        int sock = accepted(from, NULL);
        close(from);
        return sock;
    }
    int protocol = type != SOCK_RAW ? 0 : FAMILY == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    int sock = MUST(socket(FAMILY, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
    if (state == UNBOUND)
        return sock;
    MUST(bind_to(sock, OWN, type == SOCK_RAW ? 0 : ++port));
    if (state == LISTENING)
        MUST(listen(sock, 5));
    if (state == CONNECTED && connect_to(sock, FAR, 9000)) {
        if (errno != EINPROGRESS || !tcp_await(&peer, &tun, 9000, SOON))
            die("connect");
        tcp_take(&peer);
        (void)EVENTUALLY(now_events(sock, POLLOUT) & POLLOUT, SOON);
    }
    return sock;
}

static void finish_with(int sock)
{
    close(sock);
    far_drain(&tun);
}

static const char *told(int sock, int level, int option, int room)
{
    static char kept[8][60];
    static int turn;
    unsigned char value[160];
    socklen_t len = room;
    char *text = kept[turn++ % 8];
    memset(value, 0xaa, sizeof value);
    if (getsockopt(sock, level, option, value, &len)) {
        snprintf(text, sizeof kept[0], "%s", errno_name(errno));
        return text;
    }
    hex(text, value, len > 12 ? 12 : len);
    sprintf(text + strlen(text), "/%d", (int)len);
    for (size_t i = len; i < sizeof value; i++)
        if (value[i] != 0xaa) {
            strcat(text, " and more");
            break;
        }
    return text;
}

static int among(int number, const int *list)
{
    for (; *list >= 0; list++)
        if (number == *list)
            return 1;
    return 0;
}

static int is_left_out(int type, int state, int level, int option)
{
    static const int general[] = { SO_SNDBUF, SO_RCVBUF, SO_PRIORITY, SO_PEERCRED, SO_INCOMING_CPU, 50, 51, 52, 55, 56, SO_COOKIE,
                                   71, 76, 77, SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_LOCK_FILTER, SO_BUSY_POLL, 69, -1 };
    static const int v4[] = { IP_OPTIONS, IP_ROUTER_ALERT, 16, 17, IP_TRANSPARENT, IP_MSFILTER, 48, 64, 65, 66, 67, 83, 96, 97, 98, 99, 100, -1 };
    static const int v6[] = { 1, 34, 35, 48, 54, 55, 57, 59, 64, 65, 66, 67, 68, 69, 72, 75, -1 };
    static const int of_tcp[] = { TCP_INFO, TCP_CONGESTION, TCP_TIMESTAMP, 19, TCP_CC_INFO, TCP_ULP, 33, 35, 42, 44, 45, 46, -1 };
    if (among(option, level == SOL_SOCKET ? general : level == IPPROTO_IP ? v4 : level == IPPROTO_IPV6 ? v6 : of_tcp))
        return level == SOL_SOCKET || level == IPPROTO_IP || level == IPPROTO_IPV6 || level == IPPROTO_TCP;
    /* The carrier of a connection of IPv6 is one of IPv4 in some ways. */
    if (FAMILY == AF_INET6 && state == ACCEPTED)
        return (level == IPPROTO_IP && option == IP_MULTICAST_TTL) ||
               (level == IPPROTO_IPV6 && (option == IPV6_MULTICAST_IF || option == IPV6_V6ONLY));
    /* Of ICMPv6 the place of the checksum is known, and another one is not kept. */
    return type == SOCK_RAW && level == 255 && option == 7;
}

static uint32_t mixed(uint32_t hash, const char *text)
{
    while (*text)
        hash = (hash ^ (unsigned char)*text++) * 16777619u;
    return hash;
}

static void ask_all(const char *what, int type, int state)
{
    static const int rooms[] = { 4, 3, 2, 1, 0, 64, -1 };
    int sock = make(type, state);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        for (int option = 0; option <= MOST; option++) {
            int level = levels[i].level;
            const char *whole = told(sock, level, option, 160);
            if (is_left_out(type, state, level, option) || !strcmp(whole, "ENOPROTOOPT"))
                continue;
            uint32_t others = 2166136261u;
            for (size_t j = 0; j < sizeof rooms / sizeof *rooms; j++)
                others = mixed(others, told(sock, level, option, rooms[j]));
            if (strcmp(whole, "EOPNOTSUPP"))
                say(label("%s %s, %s %d", what, states[state], levels[i].name, option), "%s, shorter %08x", whole, others);
        }
    finish_with(sock);
}

static void set_all(const char *what, int type, int state)
{
    /* No interface has one of these for its index but the loopback. */
    static const int values[] = { 0, 1, -1, 100, 1000, 70000, 0x7fffffff };
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        int sock = make(type, state), level = levels[i].level, none = 0;
        for (int option = 0; option <= MOST; option++) {
            char line[300] = "";
            uint32_t then = 2166136261u;
            int all_unknown = 1;
            if (is_left_out(type, state, level, option))
                continue;
            for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
                int result = setsockopt(sock, level, option, &values[j], sizeof values[j]);
                all_unknown &= result && errno == ENOPROTOOPT;
                append(line, sizeof line, "%s ", result ? errno_name(errno) : "ok");
                then = mixed(then, told(sock, level, option, 64));
            }
            for (int len = 1; len >= 0; len--) {
                int result = setsockopt(sock, level, option, &values[1], len);
                append(line, sizeof line, "%s ", result ? errno_name(errno) : "ok");
                then = mixed(then, told(sock, level, option, 64));
            }
            if (!all_unknown)
                say(label("%s %s, set %s %d", what, states[state], levels[i].name, option), "%sthen %08x", line, then);
            (void)!setsockopt(sock, level, option, &none, sizeof none);
        }
        finish_with(sock);
    }
}

/* Sizes that follow from those of packets, in what the kernel counts for one. */
static void sizes(void)
{
    for (int state = CONNECTED; state <= ACCEPTED; state += ACCEPTED - CONNECTED) {
        int sock = make(SOCK_STREAM, state), buffer = option_of(sock, SOL_SOCKET, SO_SNDBUF);
        /* Two windows of ten segments, or three. */
        say(label("send buffer, %s", states[state]), "%d %d", buffer % (10 * 2304), buffer / 23040 == 2 || buffer / 23040 == 3);
        option(sock, SOL_SOCKET, SO_SNDBUF, 100000);
        SHOW(label("send buffer, %s, set", states[state]), option_of(sock, SOL_SOCKET, SO_SNDBUF));
        finish_with(sock);
    }
    for (int state = UNBOUND; state <= CONNECTED; state++) {
        struct { struct sockaddr_in6 name; uint32_t mtu; } info = { .mtu = 7 };
        int sock = make(SOCK_DGRAM, state);
        socklen_t len = sizeof info;
        SHOW(label("IPV6_PATHMTU, %s", states[state]), getsockopt(sock, IPPROTO_IPV6, 61, &info, &len));
        say(label("IPV6_PATHMTU, %s, value", states[state]), "%u %d", info.mtu, len);
        close(sock);
    }
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    for (int state = UNBOUND; state <= ACCEPTED; state++) {
        ask_all("stream", SOCK_STREAM, state);
        if (state <= CONNECTED) {
            ask_all("dgram", SOCK_DGRAM, state);
            ask_all("raw", SOCK_RAW, state);
        }
    }
    set_all("stream", SOCK_STREAM, UNBOUND);
    set_all("stream", SOCK_STREAM, CONNECTED);
    set_all("stream", SOCK_STREAM, LISTENING);
    set_all("dgram", SOCK_DGRAM, UNBOUND);
    set_all("dgram", SOCK_DGRAM, CONNECTED);
    set_all("raw", SOCK_RAW, UNBOUND);
    sizes();
    return 0;
}
