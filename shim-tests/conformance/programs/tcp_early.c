/* What the first segments of a connection may do beside what they must: data in a SYN, and marks of
 * routers, which its flags ask for. */
#include "segments.h"

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

/* ---- marks of routers that tell of congestion ---- */

enum { ECE = 0x40, CWR = 0x80, CAPABLE = 2, CONGESTED = 3 };

/* What the next segment says of it. */
static void see_marks(tcp *c, const char *what)
{
    const unsigned char *p = raw_next(c, SOON);
    if (!p) {
        say(what, "nothing");
        return;
    }
    int flags = p[13];
    uint32_t seq = get32(p + 4);
    size_t len = tcp_seen.len - (p[12] >> 4) * 4;
    if (flags & SYN)
        first_own = seq;
    say(what, "%s%s%s %u+%zu mark %d", segment_bits(flags), flags & ECE ? " ECE" : "", flags & CWR ? " CWR" : "",
        seq - first_own, len, tcp_seen.tos & 3);
    c->ack = seq + len + !!(flags & (SYN | FIN));
}

/* A segment with this mark. */
static void say_marked(tcp *c, int flags, int mark, const options *o, const void *data, size_t len)
{
    far_tos = mark;
    say_with(c, flags, o, data, len);
    far_tos = 0;
}

static int agreed(int sock) { return info(sock, 5) & 24; }

static void marks(void)
{
    static tcp c;
    options o = none;
    add_mss(&o, 1000);
    static const char *const settings[] = { "0", "1", "2" };
    struct { const char *name; int flags, mark; } asked[] = {
        { "asked", ECE | CWR, 0 }, { "half asked", ECE, 0 }, { "asked by a marked SYN", ECE | CWR, CAPABLE },
    };
    for (int at = 0; at < 3; at++) {
        set("tcp_ecn", settings[at]);
        int sock = listener(OWN, 7100, 5);
        for (int how = 0; how < 3; how++) {
            char what[80];
            snprintf(what, sizeof what, "tcp_ecn %s, %s", settings[at], asked[how].name);
            meet(&c, 7100);
            c.peer_port = ++far_port;
            say_marked(&c, SYN | asked[how].flags, asked[how].mark, &o, NULL, 0);
            see_marks(&c, label("%s, answer", what));
            say_with(&c, ACK, NULL, NULL, 0);
            int got = accepted(sock, NULL);
            SHOW(label("%s, TCP_INFO", what), agreed(got));
            say_marked(&c, ACK, CONGESTED, NULL, "data", 4);
            see_marks(&c, label("%s, data is answered", what));
            SHOW(label("%s, send", what), send(got, filled, 100, 0));
            see_marks(&c, label("%s, data", what));
            say_marked(&c, ACK | CWR, CAPABLE, NULL, "data", 4);
            see_marks(&c, label("%s, more data is answered", what));
            SHOW(label("%s, TCP_INFO then", what), agreed(got));
            say_with(&c, ACK | ECE, NULL, NULL, 0);
            SHOW(label("%s, send again", what), send(got, filled, 100, 0));
            see_marks(&c, label("%s, data then", what));
            say_with(&c, ACK, NULL, NULL, 0);
            reset(got);
            see_marks(&c, label("%s, reset", what));
        }
        close(sock);
        static const int answers[] = { 0, ECE };
        for (int how = 0; how < 2; how++) {
            char what[80];
            snprintf(what, sizeof what, "tcp_ecn %s, connect, answer %d", settings[at], how);
            int made = fresh();
            (void)connect_to(made, FAR, ++next_port);
            if (!tcp_await(&c, &tun, next_port, SOON))
                die("no SYN");
            first_own = get32(tcp_seen.data + 4);
            first_far = c.seq;
            SHOW(label("%s, flags of the SYN", what), tcp_seen.data[13] & (ECE | CWR));
            say_with(&c, SYN | ACK | answers[how], &o, NULL, 0);
            see_marks(&c, label("%s, third", what));
            (void)EVENTUALLY(now_events(made, POLLOUT), SOON);
            SHOW(label("%s, TCP_INFO", what), agreed(made));
            SHOW(label("%s, send", what), send(made, filled, 100, 0));
            see_marks(&c, label("%s, data", what));
            see_marks(&c, label("%s, data is sent again", what));
            reset(made);
            see_marks(&c, label("%s, reset", what));
        }
    }
    set("tcp_ecn", "0");
    far_drain(&tun);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    set_defaults();
    early();
    marks();
    return 0;
}
