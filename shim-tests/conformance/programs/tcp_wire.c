/* What segments look like on the wire, one by one: options of each SYN and of what answers it,
 * timestamps, short segments that wait, options of sockets that segments show, and what answers
 * segments that do not fit. */
#include "far_tcp.h"

static far tun;
static int far_port = 30000, next_port = 8100;
static char filled[3000], room[10];

/* ---- segments with options ---- */

typedef struct { unsigned char bytes[40]; size_t len; } options;

static void add(options *o, int count, ...)
{
    va_list list;
    va_start(list, count);
    while (count-- > 0)
        o->bytes[o->len++] = va_arg(list, int);
    va_end(list);
}

static void add_mss(options *o, int mss) { add(o, 4, 2, 4, mss >> 8, mss & 255); }
static void add_sack(options *o) { add(o, 4, 1, 1, 4, 2); }
static void add_scale(options *o, int shift) { add(o, 4, 1, 3, 3, shift); }
static void add_stamp(options *o, uint32_t value, uint32_t heard)
{
    add(o, 4, 1, 1, 8, 10);
    put32(o->bytes + o->len, value);
    put32(o->bytes + o->len + 4, heard);
    o->len += 8;
}

static void say_with(tcp *c, int flags, const options *o, const void *data, size_t len)
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
static const unsigned char *raw_next(tcp *c, int ms)
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

static uint32_t their_clock, their_heard;

/* The options of a segment by their names; timestamps are only noted. */
static const char *shown_options(const unsigned char *p)
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
static int see(tcp *c, const char *what)
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
static void see_none(tcp *c, const char *what)
{
    const unsigned char *p;
    do
        p = raw_next(c, NEVER);
    while (p && (int32_t)(get32(p + 4) - c->ack) < 0);
    say(what, "%s", p ? segment_bits(p[13]) : "nothing");
}

/* ---- both ways to a connection ---- */

static void meet(tcp *c, int from)
{
    tcp_begin(c, &tun);
    strcpy(c->own, OWN);
    strcpy(c->peer, FAR);
    c->own_port = from;
    first_far = c->seq;
}

/* The other side connects with these options in its SYN. */
static int server_with(tcp *c, int sock, const char *what, const options *o, const options *then)
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
static int client_with(tcp *c, int sock, const char *what, const options *o)
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

static int fresh(void) { return MUST(socket(FAMILY, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

/* Ends a connection with a reset. */
static void reset(int sock)
{
    struct linger at_once = { 1, 0 };
    MUST(setsockopt(sock, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    close(sock);
}

static void set(const char *name, const char *value)
{
    if (spit(label("/proc/sys/net/ipv4/%s", name), value) < 0)
        die(name);
}

static int info(int sock, size_t at)
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

static void handshakes(void)
{
    static tcp c;
    int sock = listener(OWN, 7100, 5);
    for (int bits = 0; bits < 8; bits++) {
        options o = none, then = none;
        add_mss(&o, 1000);
        if (bits & 1)
            add_sack(&o);
        if (bits & 2) {
            add_stamp(&o, 700, 0);
            add_stamp(&then, 701, 0);
        }
        if (bits & 4)
            add_scale(&o, 7);
        char what[60];
        snprintf(what, sizeof what, "SYN with%s%s%s", bits & 1 ? " sackOK" : "", bits & 2 ? " TS" : "", bits & 4 ? " wscale" : "");
        int got = server_with(&c, sock, what, &o, &then);
        SHOW(label("%s, send", what), send(got, filled, 2 * info(got, 16), 0));
        see(&c, label("%s, data", what));
        see(&c, label("%s, more", what));
        say_with(&c, ACK, &then, NULL, 0);
        SHOW(label("%s, TCP_MAXSEG", what), option_of(got, IPPROTO_TCP, TCP_MAXSEG));
        SHOW(label("%s, options of TCP_INFO", what), info(got, 5) & 7);
        SHOW(label("%s, snd_mss of TCP_INFO", what), info(got, 16));
        reset(got);
        see(&c, label("%s, reset", what));
    }
    static const char *const settings[] = { "tcp_timestamps", "tcp_sack", "tcp_window_scaling", NULL };
    for (const char *const *name = settings; *name; name++) {
        set(*name, "0");
        options o = none;
        add_mss(&o, 1000);
        int made = client_with(&c, fresh(), label("%s 0", *name), &o);
        reset(made);
        see(&c, label("%s 0, reset", *name));
        set(*name, "1");
    }
    set("tcp_rmem", "4096 131072 6291456");
    options o = none;
    add_mss(&o, 1000);
    int made = client_with(&c, fresh(), "a smaller tcp_rmem", &o);
    reset(made);
    see(&c, "a smaller tcp_rmem, reset");
    set("tcp_rmem", "4096 540000 15728640");
    made = fresh();
    option(made, IPPROTO_TCP, TCP_MAXSEG, 600);
    made = client_with(&c, made, "TCP_MAXSEG of 600", &o);
    (void)send(made, filled, 1000, 0);
    see(&c, "TCP_MAXSEG of 600, data");
    see(&c, "TCP_MAXSEG of 600, the rest");
    close(made);
    far_drain(&tun);
    close(sock);
}

/* Options that are no options, and flags that mean nothing, where a socket listens and where none
 * does. */
static void odd(void)
{
    static tcp c;
    int sock = listener(OWN, 7100, 5);
    static const struct { const char *what; options o; } wrong[] = {
        { "an mss of length 0", { { 2, 0, 4, 0 }, 4 } },
        { "an mss of length 3", { { 2, 3, 4, 1, 1, 3, 3, 7 }, 8 } },
        { "a scale of length 4", { { 3, 4, 7, 0, 2, 4, 3, 232 }, 8 } },
        { "a stamp beyond the header", { { 2, 4, 3, 232, 1, 1, 8, 10 }, 8 } },
        { "a stamp of length 6", { { 2, 4, 3, 232, 8, 6, 0, 0, 0, 0, 1, 1 }, 12 } },
        { "unknown ones", { { 200, 2, 201, 4, 9, 9, 2, 4, 3, 232, 253, 2 }, 12 } },
        { "an end and more", { { 2, 4, 3, 232, 0, 3, 3, 7 }, 8 } },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        meet(&c, 7100);
        c.peer_port = ++far_port;
        say_with(&c, SYN, &wrong[i].o, NULL, 0);
        see(&c, wrong[i].what);
        say_with(&c, RST, NULL, NULL, 0);
    }
    static const struct { const char *what; int flags; } flags[] = {
        { "no flag", 0 }, { "FIN", FIN }, { "PSH", 8 }, { "SYN|FIN", SYN | FIN },
        { "SYN|RST", SYN | RST }, { "ACK", ACK }, { "SYN|ACK", SYN | ACK }, { "FIN|ACK", FIN | ACK },
    };
    for (int port = 7100; port < 7102; port++)
        for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
            const char *where = port == 7100 ? "listener" : "nobody";
            meet(&c, port);
            c.peer_port = ++far_port;
            say_with(&c, flags[i].flags, NULL, NULL, 0);
            const unsigned char *p = raw_next(&c, NEVER);
            say(label("%s, %s", where, flags[i].what), "%s", p ? segment_bits(p[13]) : "nothing");
        }
    close(sock);
}

static void stamps(void)
{
    static tcp c;
    options o = none, then = none, old = none, later = none;
    add_mss(&o, 1000);
    add_sack(&o);
    add_stamp(&o, 700, 0);
    add_stamp(&then, 800, 0);
    add_stamp(&old, 600, 0);
    add_stamp(&later, 900, 0);
    int sock = listener(OWN, 7100, 5);
    int got = server_with(&c, sock, "with timestamps", &o, &then);
    say_with(&c, ACK, &old, "old", 3);
    see(&c, "an old segment");
    c.seq -= 3;
    say_with(&c, ACK, &later, "new", 3);
    see(&c, "a later one");
    SHOW("it alone is read", (has_bytes(got, 3), recv(got, room, 10, 0)));
    say_with(&c, ACK, NULL, "bare", 4);
    see(&c, "one without a timestamp");
    c.seq += 100;
    say_with(&c, ACK, &later, "ahead", 5);
    see(&c, "one beyond a gap");
    c.seq -= 105;
    say_with(&c, ACK, &later, filled, 100);
    see(&c, "the gap");
    c.seq += 5;
    SHOW("shut down", shutdown(got, SHUT_WR));
    see(&c, "the end");
    say_with(&c, FIN | ACK, &later, NULL, 0);
    see(&c, "the other end");
    say_with(&c, FIN | ACK, &later, NULL, 0);
    see(&c, "the other end again");
    close(got);
    close(sock);
    far_drain(&tun);
}

static void short_ones(void)
{
    static tcp c;
    options o = none;
    add_mss(&o, 1000);
    int sock = client_with(&c, fresh(), "Nagle", &o);
    (void)send(sock, "first", 5, 0);
    see(&c, "Nagle, the first");
    (void)send(sock, "second", 6, 0);
    (void)send(sock, "third", 5, 0);
    see_none(&c, "Nagle, the second waits");
    say_with(&c, ACK, NULL, NULL, 0);
    see(&c, "Nagle, together when the first is there");
    (void)send(sock, "fourth", 6, 0);
    see_none(&c, "Nagle, the fourth waits");
    option(sock, IPPROTO_TCP, TCP_NODELAY, 1);
    see(&c, "TCP_NODELAY, it leaves");
    (void)send(sock, "fifth", 5, 0);
    see(&c, "TCP_NODELAY, the fifth");
    say_with(&c, ACK, NULL, NULL, 0);
    close(sock);
    far_drain(&tun);
    sock = fresh();
    option(sock, IPPROTO_TCP, TCP_NODELAY, 1);
    sock = client_with(&c, sock, "set before", &o);
    for (int i = 0; i < 3; i++) {
        (void)send(sock, "piece", 5, 0);
        see(&c, label("set before, piece %d", i + 1));
    }
    close(sock);
    far_drain(&tun);
}

static void misfits(void)
{
    static tcp c;
    options o = none;
    add_mss(&o, 1000);
    int sock = client_with(&c, fresh(), "misfits", &o);
    uint32_t seq = c.seq, ack = c.ack;
    c.ack = ack + 1;
    say_with(&c, ACK, NULL, NULL, 0);
    see(&c, "an acknowledgement of what was not sent");
    pause_ms(600);
    c.ack = ack;
    c.seq = seq - 1;
    say_with(&c, ACK, NULL, NULL, 0);
    see(&c, "a question whether it is still there");
    pause_ms(600);
    c.seq = seq + 10;
    say_with(&c, RST, NULL, NULL, 0);
    see(&c, "a reset inside the window");
    c.seq = seq + 10000000;
    say_with(&c, RST, NULL, NULL, 0);
    see_none(&c, "a reset outside");
    pause_ms(600);
    c.seq = seq;
    say_with(&c, SYN, NULL, NULL, 0);
    see(&c, "a SYN");
    c.seq = seq;
    say_with(&c, 0, NULL, "flags", 5);
    see_none(&c, "no flags");
    c.seq = seq;
    say_with(&c, RST, NULL, NULL, 0);
    SHOW("the very reset, recv", (EVENTUALLY(now_events(sock, POLLIN), SOON), recv(sock, room, 10, 0)));
    say_with(&c, ACK, NULL, NULL, 0);
    see(&c, "what comes after it");
    close(sock);
    int before = listener(OWN, 7100, 5);
    meet(&c, 7100);
    c.peer_port = ++far_port;
    say_with(&c, SYN, &o, NULL, 0);
    see(&c, "not accepted yet, answer");
    SHOW("not accepted yet", accept4(before, NULL, NULL, 0));
    c.seq++;
    say_with(&c, RST, NULL, NULL, 0);
    see(&c, "a reset that is not quite right");
    c.seq--;
    say_with(&c, ACK, NULL, NULL, 0);
    SHOW("the answer's answer", (sock = accepted(before, NULL)) >= 0);
    reset(sock);
    see(&c, "reset");
    close(before);
    far_drain(&tun);
}

static void headers(void)
{
    static tcp c;
    options o = none;
    add_mss(&o, 1000);
    int sock = fresh();
#ifdef V6
    option(sock, IPPROTO_IPV6, IPV6_TCLASS, 0x48);
    option(sock, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9);
#else
    option(sock, IPPROTO_IP, IP_TOS, 0x48);
    option(sock, IPPROTO_IP, IP_TTL, 9);
#endif
    sock = client_with(&c, sock, "headers", &o);
    say("headers, hop limit and class", "%d %#x", tcp_seen.ttl, tcp_seen.tos);
#ifdef V6
    option(sock, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 33);
#else
    option(sock, IPPROTO_IP, IP_TTL, 33);
#endif
    (void)send(sock, "data", 4, 0);
    see(&c, "headers, data");
    say("headers, hop limit and class then", "%d %#x", tcp_seen.ttl, tcp_seen.tos);
    close(sock);
    far_drain(&tun);
}

/* Data in a SYN: cookies that are asked for, right and wrong, and what is done before the SYN is
 * answered for good. */
static void early(void)
{
    static const char hello[] = "hello";
    static tcp c;
    set("tcp_fastopen", "3");
    set("tcp_fastopen_key", "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4");
    int sock = listener(OWN, 7100, 5);
    options asks = none, also = none, with = none, wrong = none;
    add_mss(&asks, 1000);
    with = wrong = also = asks;
    add(&asks, 4, 34, 2, 1, 1);
    add(&also, 4, 254, 4, 0xf9, 0x89);
    add(&wrong, 12, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1);
    struct { const char *name; const options *syn; } told[] = {
        { "no TCP_FASTOPEN", &asks }, { "a cookie is asked for", &asks }, { "asked for as an experiment", &also },
        { "no option", &with }, { "a wrong cookie", &wrong },
    };
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        if (i == 1)
            option(sock, IPPROTO_TCP, TCP_FASTOPEN, 5);
        meet(&c, 7100);
        c.peer_port = ++far_port;
        say_with(&c, SYN, told[i].syn, hello, 5);
        see(&c, label("%s, answer", told[i].name));
        SHOW(label("%s, accept", told[i].name), accept(sock, NULL, NULL));
        say_with(&c, RST, NULL, NULL, 0);
    }
    for (int trusts = 0; trusts < 2; trusts++) {
        const char *what = trusts ? "no cookie is needed" : "the right cookie";
        options o = none;
        add_mss(&o, 1000);
        if (trusts)
            set("tcp_fastopen", "515");
        else {
            /* It is the same each time, as long as the addresses and the key are. */
            meet(&c, 7100);
            c.peer_port = ++far_port;
            say_with(&c, SYN, &asks, NULL, 0);
            see(&c, "asked for without data, answer");
            add(&o, 2, 34, 10);
            for (const unsigned char *at = tcp_seen.data + 20; at < tcp_seen.data + 50; at++)
                if (at[0] == 34 && at[1] == 10)
                    memcpy(o.bytes + o.len, at + 2, 8);
            o.len += 8;
            add(&o, 2, 1, 1);
            say_with(&c, RST, NULL, NULL, 0);
        }
        meet(&c, 7100);
        c.peer_port = ++far_port;
        say_with(&c, SYN, &o, hello, 5);
        see(&c, label("%s, answer", what));
        int got = accepted(sock, NULL);
        SHOW(label("%s, state", what), info(got, 0));
        SHOW(label("%s, options", what), info(got, 5) & 32);
        SHOW(label("%s, read", what), read(got, room, 10));
        SHOW(label("%s, write", what), write(got, hello, 5));
        see(&c, label("%s, data", what));
        say_with(&c, ACK, NULL, NULL, 0);
        see_none(&c, label("%s, more", what));
        SHOW(label("%s, state then", what), info(got, 0));
        reset(got);
        see(&c, label("%s, reset", what));
    }
    /* A reset leaves what the program may accept. */
    options o = none;
    add_mss(&o, 1000);
    meet(&c, 7100);
    c.peer_port = ++far_port;
    say_with(&c, SYN, &o, hello, 5);
    see(&c, "reset before accept, answer");
    say_with(&c, RST, NULL, NULL, 0);
    int got = accepted(sock, NULL);
    SHOW("reset before accept, read", read(got, room, 10));
    SHOW("reset before accept, read again", read(got, room, 10));
    close(got);
    close(sock);
    set("tcp_fastopen", "1");
    for (int how = 0; how < 3; how++) {
        const char *what = how == 0 ? "sendto" : how == 1 ? "sendmsg" : "TCP_FASTOPEN_CONNECT";
        int made = fresh();
        name to = any_name(FAR, ++next_port);
        struct iovec one = { filled, 5 };
        struct msghdr message = { .msg_name = &to.sa, .msg_namelen = to.len, .msg_iov = &one, .msg_iovlen = 1 };
        if (how == 0)
            SHOW("sendto with MSG_FASTOPEN", sendto(made, filled, 5, MSG_FASTOPEN, &to.sa, to.len));
        else if (how == 1)
            SHOW("sendmsg with MSG_FASTOPEN", sendmsg(made, &message, MSG_FASTOPEN));
        else {
            option(made, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
            SHOW("connect with TCP_FASTOPEN_CONNECT", connect(made, &to.sa, to.len));
        }
        if (!tcp_await(&c, &tun, next_port, SOON))
            die("no SYN");
        first_own = get32(tcp_seen.data + 4);
        first_far = c.seq;
        /* Who answers without a cookie is asked by the other option next. */
        if (how != 1)
            say(label("%s, SYN", what), "%zu %s", tcp_seen.len - (tcp_seen.data[12] >> 4) * 4, shown_options(tcp_seen.data));
        SHOW(label("%s, again", what), sendto(made, filled, 5, MSG_FASTOPEN, &to.sa, to.len));
        say_with(&c, SYN | ACK, &o, NULL, 0);
        see(&c, label("%s, third", what));
        (void)EVENTUALLY(now_events(made, POLLOUT), SOON);
        ssize_t sent = sendto(made, filled, 5, MSG_FASTOPEN, &to.sa, to.len);
        show(label("%s, when connected", what), sent);
        if (sent == 5)
            see(&c, label("%s, its data", what));
        SHOW(label("%s, TCP_FASTOPEN_CONNECT", what), option_of(made, IPPROTO_TCP, TCP_FASTOPEN_CONNECT));
        SHOW(label("%s, send", what), send(made, hello, 5, 0));
        see(&c, label("%s, data", what));
        reset(made);
        see(&c, label("%s, reset", what));
    }
    far_drain(&tun);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    set("tcp_rmem", "4096 540000 15728640");
    set("tcp_timestamps", "1");
    set("tcp_sack", "1");
    set("tcp_window_scaling", "1");
    set("tcp_ecn", "0");
    /* What is late is not sent again before 200 ms. */
    set("tcp_early_retrans", "0");
    handshakes();
    odd();
    stamps();
    short_ones();
    misfits();
    headers();
    early();
    return 0;
}
