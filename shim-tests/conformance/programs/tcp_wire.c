/* What segments look like on the wire, one by one: options of each SYN and of what answers it,
 * timestamps, short segments that wait, options of sockets that segments show, and what answers
 * segments that do not fit. */
#include "segments.h"

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

/* Ends out of order, and what a program is told at once. */
static void ends(void)
{
    static tcp c;
    options o = none, sacks = none;
    add_mss(&o, 1000);
    sacks = o;
    add_sack(&sacks);
    int sock = listener(OWN, 7100, 5);
    for (int early = 0; early < 2; early++) {
        const char *what = early ? "an end with data beyond a gap" : "an end beyond a gap";
        int got = server_with(&c, sock, what, &sacks, &none);
        c.seq += early ? 90 : 100;
        say_with(&c, FIN | ACK, NULL, filled, early ? 10 : 0);
        see(&c, label("%s, is answered", what));
        uint32_t block = get32(tcp_seen.data + 24) - first_far, to = get32(tcp_seen.data + 28) - first_far;
        say(label("%s, block", what), "%u:%u", block, to);
        c.seq -= 101;
        say_with(&c, ACK, NULL, filled, 100);
        see(&c, label("%s, the rest", what));
        c.seq++;
        SHOW(label("%s, read", what), EVENTUALLY(read(got, filled, 200), SOON));
        SHOW(label("%s, the end", what), EVENTUALLY(read(got, filled, 200) == 0, SOON));
        reset(got);
        see(&c, label("%s, reset", what));
    }
    int got = server_with(&c, sock, "not acknowledged", &o, &none), rest;
    SHOW("not acknowledged, write", write(got, filled, 700));
    SHOW("not acknowledged, write more", write(got, filled, 60));
    see(&c, "not acknowledged, data");
    SHOW("SIOCOUTQ", ioctl(got, TIOCOUTQ, &rest));
    show("not acknowledged", rest);
    SHOW("SIOCOUTQNSD", ioctl(got, 0x894b, &rest));
    show("not sent", rest);
    say_with(&c, ACK, NULL, NULL, 0);
    see(&c, "acknowledged, the rest");
    say_with(&c, ACK, NULL, NULL, 0);
    SHOW("SIOCOUTQ then", ioctl(got, TIOCOUTQ, &rest));
    show("all acknowledged", rest);
    say_with(&c, RST, NULL, NULL, 0);
    SHOW("SO_ERROR right after a reset", option_of(got, SOL_SOCKET, SO_ERROR));
    SHOW("write after that", write(got, filled, 10));
    close(got);
    got = server_with(&c, sock, "reset", &o, &none);
    say_with(&c, RST, NULL, NULL, 0);
    SHOW("write right after a reset", write(got, filled, 10));
    close(got);
    got = server_with(&c, sock, "reset then", &o, &none);
    say_with(&c, RST, NULL, NULL, 0);
    SHOW("shutdown right after a reset", shutdown(got, SHUT_WR));
    close(got);
    got = server_with(&c, sock, "two at once", &o, &none);
    fcntl(got, F_SETFL, O_NONBLOCK);
    struct iovec whole = { filled, 100 };
    struct msghdr message = { .msg_iov = &whole, .msg_iovlen = 1 };
    for (int how = 0; how < 4; how++) {
        say_with(&c, ACK, NULL, filled, 10);
        say_with(&c, ACK, NULL, filled, 20);
        ssize_t n = how == 0 ? read(got, filled, 100) : how == 1 ? recv(got, filled, 100, 0) : how == 2 ? readv(got, &whole, 1)
            : recvmsg(got, &message, 0);
        show(label("two at once, read by %d", how), n);
    }
    reset(got);
    close(sock);
    int made = fresh();
    (void)connect_to(made, FAR, ++next_port);
    if (!tcp_await(&c, &tun, next_port, SOON))
        die("no SYN");
    say_with(&c, RST | ACK, NULL, NULL, 0);
    SHOW("read right after a refusal", read(made, filled, 10));
    close(made);
    made = fresh();
    (void)connect_to(made, FAR, ++next_port);
    if (!tcp_await(&c, &tun, next_port, SOON))
        die("no SYN");
    say_with(&c, RST | ACK, NULL, NULL, 0);
    SHOW("SO_ERROR right after a refusal", option_of(made, SOL_SOCKET, SO_ERROR));
    close(made);
    made = fresh();
    (void)connect_to(made, FAR, ++next_port);
    if (!tcp_await(&c, &tun, next_port, SOON))
        die("no SYN");
    say_with(&c, SYN | ACK, &o, NULL, 0);
    SHOW("connect right after the answer", connect_to(made, FAR, next_port));
    SHOW("connect once more", connect_to(made, FAR, next_port));
    far_drain(&tun);
    reset(made);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    set_defaults();
    handshakes();
    odd();
    stamps();
    short_ones();
    misfits();
    headers();
    ends();
    return 0;
}
