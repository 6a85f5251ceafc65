/* far_tcp.h - one end of a connection of TCP as a script: it says and expects single segments. It
 * has no window scaling, no selective acknowledgements and no timestamps, and sends nothing again,
 * because a tunnel loses nothing that has room. */
#ifndef FAR_TCP_H
#define FAR_TCP_H
#include "far.h"

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32 };

typedef struct {
    const far *f;
    char own[60], peer[60];             /* the program's address, and the one that is played */
    int own_port, peer_port;
    uint32_t seq, ack;                  /* what is sent next, and what is expected next */
    unsigned window;
    unsigned urgent;                    /* behind the next segment's first byte; 0 for none */
    int mss, said_mss, acked;           /* what the program's SYN says; whether to acknowledge what comes */
    uint32_t their_ack, their_window;   /* of the last segment that came */
} tcp;

HELPER const char *segment_bits(int flags)
{
    static const char *const names[] = { "SYN", "FIN", "RST", "ACK", "URG", NULL };
    static const unsigned values[] = { SYN, FIN, RST, ACK, URG };
    static char kept[4][60];
    static int turn;
    if (flags < 0)
        return "nothing";
    return bits(kept[turn++ % 4], flags & ~PSH, names, values);
}

HELPER void tcp_say(tcp *c, int flags, const void *data, size_t len)
{
    static __thread unsigned char p[66000];
    size_t head = flags & SYN ? 24 : 20;
    memset(p, 0, head);
    put16(p, c->peer_port);
    put16(p + 2, c->own_port);
    put32(p + 4, c->seq);
    put32(p + 8, flags & ACK ? c->ack : 0);
    p[12] = head / 4 << 4;
    p[13] = flags | (c->urgent ? URG : 0);
    put16(p + 14, c->window);
    put16(p + 18, c->urgent);
    if (flags & SYN) {
        p[20] = 2;
        p[21] = 4;
        put16(p + 22, c->said_mss);
    }
    if (len)
        memcpy(p + head, data, len);
    MUST(far_send(c->f, c->peer, c->own, IPPROTO_TCP, p, head + len, 16));
    c->seq += len + !!(flags & SYN) + !!(flags & FIN);
    c->urgent = 0;
}

HELPER void tcp_begin(tcp *c, const far *f)
{
    memset(c, 0, sizeof *c);
    c->f = f;
    c->seq = 1000;
    c->window = 65535;
    c->said_mss = 1460;
    c->acked = 1;
}

HELPER void tcp_options(tcp *c, const unsigned char *p)
{
    for (int at = 20, end = (p[12] >> 4) * 4; at < end && p[at];) {
        if (p[at] == 2)
            c->mss = get16(p + at + 2);
        at += p[at] == 1 ? 1 : p[at + 1] ? p[at + 1] : end;
    }
}

/* The next segment of this connection with something in it, in s: its flags; -1 for none in time.
   Its data is s->data. Acknowledgements alone are only noted, unless they are asked for. */
HELPER int tcp_next_of(tcp *c, seen *s, int ms, int alone)
{
    double until = now() + ms / 1e3;
    for (;;) {
        double left = until - now();
        if (!far_next(c->f, s, left > 0 ? left * 1e3 + 1 : 0))
            return -1;
        if (s->proto != IPPROTO_TCP || s->from_port != c->own_port || s->to_port != c->peer_port || strcmp(s->to, c->peer))
            continue;
        const unsigned char *p = s->data;
        int flags = p[13];
        uint32_t seq = get32(p + 4);
        s->len -= (p[12] >> 4) * 4;
        s->data += (p[12] >> 4) * 4;
        if (flags & ACK)
            c->their_ack = get32(p + 8);
        c->their_window = get16(p + 14);
        if (flags & RST)
            return flags;
        if (flags & SYN) {
            tcp_options(c, p);
            c->ack = seq + 1;
            return flags;
        }
        if (!s->len && !(flags & FIN)) {
            if (alone)
                return flags;
            continue;
        }
        int32_t old = c->ack - seq;
        if (old < 0)
            continue;
        if (old >= (int32_t)(s->len + !!(flags & FIN))) {
            if (c->acked)
                tcp_say(c, ACK, NULL, 0);
            continue;
        }
        s->data += old;
        s->len -= old;
        c->ack = seq + old + s->len + !!(flags & FIN);
        if (c->acked)
            tcp_say(c, ACK, NULL, 0);
        return flags;
    }
}

HELPER int tcp_next(tcp *c, seen *s, int ms) { return tcp_next_of(c, s, ms, 0); }

static seen tcp_seen;

/* Shows the next segment. */
HELPER int tcp_show(tcp *c, const char *what)
{
    char text[160];
    int flags = tcp_next(c, &tcp_seen, SOON);
    if (flags >= 0 && tcp_seen.len)
        say(what, "%s %s%s", segment_bits(flags), describe_data(text, tcp_seen.data, tcp_seen.len),
            tcp_seen.right ? "" : " WRONG");
    else
        say(what, "%s", segment_bits(flags));
    return flags;
}

HELPER void tcp_show_nothing(tcp *c, const char *what)
{
    int flags = tcp_next(c, &tcp_seen, NEVER);
    say(what, "%s", segment_bits(flags));
}

/* Collects this many bytes; fewer when the other end stops. */
HELPER size_t tcp_collect(tcp *c, void *data, size_t len)
{
    size_t got = 0;
    while (got < len && tcp_next(c, &tcp_seen, SOON) >= 0) {
        size_t part = tcp_seen.len < len - got ? tcp_seen.len : len - got;
        if (data)
            memcpy((char *)data + got, tcp_seen.data, part);
        got += part;
    }
    return got;
}

/* Waits for the SYN of a program that connects to this port; 0 when none comes. */
HELPER int tcp_await(tcp *c, const far *f, int port, int ms)
{
    double until = now() + ms / 1e3;
    tcp_begin(c, f);
    while (far_next(f, &tcp_seen, (until - now()) * 1e3 > 0 ? (until - now()) * 1e3 + 1 : 0))
        if (tcp_seen.proto == IPPROTO_TCP && tcp_seen.to_port == port && (tcp_seen.data[13] & 63) == SYN) {
            strcpy(c->own, tcp_seen.from);
            strcpy(c->peer, tcp_seen.to);
            c->own_port = tcp_seen.from_port;
            c->peer_port = port;
            c->ack = get32(tcp_seen.data + 4) + 1;
            tcp_options(c, tcp_seen.data);
            return 1;
        }
    return 0;
}

HELPER void tcp_take(tcp *c) { tcp_say(c, SYN | ACK, NULL, 0); }

/* Refuses what tcp_await saw. */
HELPER void tcp_refuse(tcp *c)
{
    c->seq = 0;
    tcp_say(c, RST | ACK, NULL, 0);
}

/* The other side connects: sends the SYN and returns what comes back; an answer is acknowledged. */
HELPER int tcp_dial(tcp *c, const far *f, const char *from, int from_port, const char *to, int to_port, int ms)
{
    tcp_begin(c, f);
    strcpy(c->own, to);
    strcpy(c->peer, from);
    c->own_port = to_port;
    c->peer_port = from_port;
    tcp_say(c, SYN, NULL, 0);
    int flags = tcp_next(c, &tcp_seen, ms);
    if (flags == (SYN | ACK))
        tcp_say(c, ACK, NULL, 0);
    return flags;
}

/* A listener. */
HELPER int listener(const char *address, int port, int backlog)
{
    int sock = MUST(socket(strchr(address, ':') ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    option(sock, SOL_SOCKET, SO_REUSEADDR, 1);
    MUST(bind_to(sock, address, port));
    MUST(listen(sock, backlog));
    return sock;
}

/* The next connection of a listener, as soon as it is there; -1 when none comes. */
HELPER int accepted(int sock, name *peer)
{
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    if (peer)
        peer->len = sizeof peer->room;
    return accept4(sock, peer ? &peer->sa : NULL, peer ? &peer->len : NULL, SOCK_CLOEXEC);
}

/* Whether bytes are there to be read. */
HELPER int has_bytes(int sock, int count)
{
    int n = 0;
    return EVENTUALLY(ioctl(sock, FIONREAD, &n) || n >= count, SOON);
}

/* ---- another host that answers by itself, in a thread, for calls that block ---- */

enum { TAKES, REFUSES, IS_SILENT, HAS_NO_HOST, HAS_NO_PORT, FORBIDS };

/* What it does with connections to its ports, and after how long. */
typedef struct { int port, what, after_ms; } rule;

typedef struct {
    const far *f;
    const rule *rules;
    pthread_t thread;
    atomic_int stop;
    tcp of[64];
    int count;
    atomic_int resets;
    seen s;
} host;

HELPER void host_segment(host *h)
{
    seen *s = &h->s;
    const unsigned char *p = s->data;
    int flags = p[13];
    tcp *c = NULL;
    for (int i = 0; i < h->count; i++)
        if (h->of[i].own_port == s->from_port && h->of[i].peer_port == s->to_port)
            c = &h->of[i];
    if (flags & SYN) {
        const rule *r = h->rules;
        while (r->port && r->port != s->to_port)
            r++;
        if (!r->port || r->what == IS_SILENT)
            return;
        pause_ms(r->after_ms);
        if (r->what >= HAS_NO_HOST) {
            far_unreachable(h->f, s, r->what == HAS_NO_HOST ? NO_HOST : r->what == FORBIDS ? FORBIDDEN : NO_PORT);
            return;
        }
        c = &h->of[h->count++ % 64];
        tcp_begin(c, h->f);
        strcpy(c->own, s->from);
        strcpy(c->peer, s->to);
        c->own_port = s->from_port;
        c->peer_port = s->to_port;
        c->ack = get32(p + 4) + 1;
        if (r->what == REFUSES)
            tcp_refuse(c);
        else
            tcp_take(c);
        return;
    }
    if (c && flags & RST)
        atomic_fetch_add(&h->resets, 1);
    if (!c || flags & RST)
        return;
    size_t len = s->len - (p[12] >> 4) * 4;
    if ((len || flags & FIN) && get32(p + 4) == c->ack) {
        c->ack += len + !!(flags & FIN);
        tcp_say(c, flags & FIN ? FIN | ACK : ACK, NULL, 0);
    }
}

HELPER void *host_main(void *arg)
{
    host *h = arg;
    while (!atomic_load(&h->stop))
        if (far_next(h->f, &h->s, 10) && h->s.proto == IPPROTO_TCP)
            host_segment(h);
    return NULL;
}

HELPER void host_start(host *h, const far *f, const rule *rules)
{
    memset(h, 0, sizeof *h);
    h->f = f;
    h->rules = rules;
    if (pthread_create(&h->thread, NULL, host_main, h))
        die("pthread_create");
}

HELPER void host_end(host *h)
{
    atomic_store(&h->stop, 1);
    pthread_join(h->thread, NULL);
}

#endif
