/* Segments with options, one by one, to and from one connection, for programs that look at what
 * stands on the wire. */
#pragma once
#include "far_tcp.h"

static far tun;
static int far_port = 30000, next_port = 8100;
static char filled[3000] __attribute__((unused)), room[10] __attribute__((unused));

/* ---- segments with options ---- */

typedef struct { unsigned char bytes[40]; size_t len; } options;

HELPER void add(options *o, int count, ...)
{
    va_list list;
    va_start(list, count);
    while (count-- > 0)
        o->bytes[o->len++] = va_arg(list, int);
    va_end(list);
}

HELPER void add_mss(options *o, int mss) { add(o, 4, 2, 4, mss >> 8, mss & 255); }
HELPER void add_sack(options *o) { add(o, 4, 1, 1, 4, 2); }
HELPER void add_scale(options *o, int shift) { add(o, 4, 1, 3, 3, shift); }
HELPER void add_stamp(options *o, uint32_t value, uint32_t heard)
{
    add(o, 4, 1, 1, 8, 10);
    put32(o->bytes + o->len, value);
    put32(o->bytes + o->len + 4, heard);
    o->len += 8;
}

HELPER void say_with(tcp *c, int flags, const options *o, const void *data, size_t len)
{
    static unsigned char p[4000];
    size_t head = 20 + (o ? o->len : 0);
    memset(p, 0, 20);
    put16(p, c->peer_port);
    put16(p + 2, c->own_port);
    put32(p + 4, c->seq);
    put32(p + 8, flags & ACK ? c->ack : 0);
    p[12] = head / 4 << 4;
    p[13] = flags;
    put16(p + 14, c->window);
    if (o)
        memcpy(p + 20, o->bytes, o->len);
    if (len)
        memcpy(p + head, data, len);
    MUST(far_send(c->f, c->peer, c->own, IPPROTO_TCP, p, head + len, 16));
    c->seq += len + !!(flags & SYN) + !!(flags & FIN);
}

/* The next segment of the connection, whatever it is: its header, NULL for none. */
HELPER const unsigned char *raw_next(tcp *c, int ms)
{
    double until = now() + ms / 1e3;
    for (;;) {
        double left = (until - now()) * 1e3;
        if (!far_next(c->f, &tcp_seen, left > 0 ? left + 1 : 0))
            return NULL;
        if (tcp_seen.proto == IPPROTO_TCP && tcp_seen.from_port == c->own_port && tcp_seen.to_port == c->peer_port)
            return tcp_seen.data;
    }
}

static uint32_t their_clock, their_heard __attribute__((unused));

/* The options of a segment by their names; timestamps are only noted. */
HELPER const char *shown_options(const unsigned char *p)
{
    static char text[200];
    char *to = text + sprintf(text, "<");
    for (int at = 20, end = (p[12] >> 4) * 4; at < end && p[at];) {
        int kind = p[at], len = kind == 1 ? 1 : p[at + 1];
        to += sprintf(to, "%s", at == 20 ? "" : ",");
        if (kind == 1)
            to += sprintf(to, "nop");
        else if (kind == 2)
            to += sprintf(to, "mss %d", get16(p + at + 2));
        else if (kind == 3)
            to += sprintf(to, "wscale %d", p[at + 2]);
        else if (kind == 4)
            to += sprintf(to, "sackOK");
        else if (kind == 5)
            to += sprintf(to, "sack of %d", (len - 2) / 8);
        else if (kind == 8) {
            their_clock = get32(p + at + 2);
            their_heard = get32(p + at + 6);
            to += sprintf(to, "TS ecr %u", their_heard);
        } else
            to += sprintf(to, "%d", kind);
        at += len ? len : 40;
    }
    sprintf(to, ">");
    return text;
}

/* Shows the next segment with its options, numbers counted from the first ones. */
static uint32_t first_own, first_far;
HELPER int see(tcp *c, const char *what)
{
    const unsigned char *p = raw_next(c, SOON);
    if (!p) {
        say(what, "nothing");
        return 0;
    }
    int flags = p[13], head = (p[12] >> 4) * 4;
    uint32_t seq = get32(p + 4);
    size_t len = tcp_seen.len - head;
    if (flags & SYN)
        first_own = seq;
    say(what, "%s %u+%zu%s %s", segment_bits(flags), seq - first_own, len,
        flags & ACK ? label(" ack %u", get32(p + 8) - first_far) : "", shown_options(p));
    c->ack = seq + len + !!(flags & (SYN | FIN));
    return flags;
}

/* Shows that nothing comes but what is sent again on a slow machine. */
HELPER void see_none(tcp *c, const char *what)
{
    const unsigned char *p;
    do
        p = raw_next(c, NEVER);
    while (p && (int32_t)(get32(p + 4) - c->ack) < 0);
    say(what, "%s", p ? segment_bits(p[13]) : "nothing");
}

/* ---- both ways to a connection ---- */

HELPER void meet(tcp *c, int from)
{
    tcp_begin(c, &tun);
    strcpy(c->own, OWN);
    strcpy(c->peer, FAR);
    c->own_port = from;
    first_far = c->seq;
}

/* The other side connects with these options in its SYN. */
HELPER int server_with(tcp *c, int sock, const char *what, const options *o, const options *then)
{
    meet(c, 7100);
    c->peer_port = ++far_port;
    say_with(c, SYN, o, NULL, 0);
    see(c, label("%s, answer", what));
    options stamped = *then;
    if (stamped.len == 12)
        put32(stamped.bytes + 8, their_clock);
    say_with(c, ACK, &stamped, NULL, 0);
    return accepted(sock, NULL);
}

/* The program connects, and these options answer its SYN. */
HELPER int client_with(tcp *c, int sock, const char *what, const options *o)
{
    (void)connect_to(sock, FAR, ++next_port);
    if (!tcp_await(c, &tun, next_port, SOON))
        die("no SYN");
    first_own = get32(tcp_seen.data + 4);
    first_far = c->seq;
    say(label("%s, SYN", what), "%s", shown_options(tcp_seen.data));
    options answer = *o;
    for (size_t at = 0; at + 12 <= answer.len; at++)
        if (answer.bytes[at] == 8 && answer.bytes[at + 1] == 10)
            put32(answer.bytes + at + 6, their_clock);
    say_with(c, SYN | ACK, &answer, NULL, 0);
    see(c, label("%s, third", what));
    (void)EVENTUALLY(now_events(sock, POLLOUT), SOON);
    fcntl(sock, F_SETFL, 0);
    return sock;
}

HELPER int fresh(void) { return MUST(socket(FAMILY, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

/* Ends a connection with a reset. */
HELPER void reset(int sock)
{
    struct linger at_once = { 1, 0 };
    MUST(setsockopt(sock, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    close(sock);
}

HELPER void set(const char *name, const char *value)
{
    if (spit(label("/proc/sys/net/ipv4/%s", name), value) < 0)
        die(name);
}

/* What the scripts begin with, whatever the machine is set to. */
HELPER void set_defaults(void)
{
    set("tcp_rmem", "4096 540000 15728640");
    set("tcp_timestamps", "1");
    set("tcp_sack", "1");
    set("tcp_window_scaling", "1");
    set("tcp_ecn", "0");
    /* What is late is not sent again before 200 ms. */
    set("tcp_early_retrans", "0");
}

HELPER int info(int sock, size_t at)
{
    static unsigned char bytes[300];
    socklen_t len = sizeof bytes;
    memset(bytes, 0, sizeof bytes);
    if (getsockopt(sock, IPPROTO_TCP, TCP_INFO, bytes, &len))
        return -1;
    int word;
    memcpy(&word, bytes + at, 4);
    return at < 8 ? bytes[at] : word;
}

static const options none;
