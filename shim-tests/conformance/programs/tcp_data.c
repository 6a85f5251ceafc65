/* What goes over a connection through a tunnel, and how it ends: data both ways, looks at the
 * queues, half closes, resets, lingering, what poll says of each. */
#include "far_tcp.h"
#include <sys/sendfile.h>
#include <sys/time.h>
#include <linux/sockios.h>

static far tun;
static char buf[1 << 20];

/* A connection that the program made. */
static int client(tcp *c, int flags)
{
    static int port = 8000;
    int sock = MUST(socket(FAMILY, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    (void)connect_to(sock, FAR, ++port);
    if (!tcp_await(c, &tun, port, SOON))
        die("no SYN");
    tcp_take(c);
    if (!EVENTUALLY(now_events(sock, POLLOUT), SOON))
        die("not connected");
    if (!(flags & SOCK_NONBLOCK))
        fcntl(sock, F_SETFL, 0);
    return sock;
}

/* A connection that the other side made. */
static int server(tcp *c)
{
    static int port = 20000;
    int sock = listener(OWN, 7000, 5);
    if (tcp_dial(c, &tun, FAR, ++port, OWN, 7000, SOON) != (SYN | ACK))
        die("no SYN|ACK");
    int got = accepted(sock, NULL);
    close(sock);
    return got;
}

static int queue(int sock, unsigned long request)
{
    int n = -1;
    return ioctl(sock, request, &n) ? -1 : n;
}

static void receive(const char *what, int sock, int flags)
{
    ssize_t n = recv(sock, buf, sizeof buf, flags);
    show_data(what, n, buf);
}

static int state_of(int sock)
{
    struct tcp_info info = { 0 };
    socklen_t len = sizeof info;
    return getsockopt(sock, IPPROTO_TCP, TCP_INFO, &info, &len) ? -1 : info.tcpi_state;
}

static void data(void)
{
    static tcp c;
    for (int role = 0; role < 2; role++) {
        const char *who = role ? "server" : "client";
        int sock = role ? server(&c) : client(&c, 0);
        SHOW(label("%s, TCP_INFO state", who), state_of(sock));
        SHOW(label("%s, FIONREAD", who), queue(sock, FIONREAD));
        SHOW(label("%s, SIOCOUTQ", who), queue(sock, SIOCOUTQ));
        SHOW(label("%s, send", who), send(sock, "ping", 4, 0));
        tcp_show(&c, label("%s, what comes", who));
        tcp_say(&c, ACK | PSH, "abcdef", 6);
        (void)has_bytes(sock, 6);
        SHOW(label("%s, FIONREAD then", who), queue(sock, FIONREAD));
        show_state(label("%s, poll", who), sock, POLLIN);
        receive(label("%s, PEEK", who), sock, MSG_PEEK);
        SHOW(label("%s, PEEK of 3", who), recv(sock, buf, 3, MSG_PEEK));
        SHOW(label("%s, recv of 2", who), recv(sock, buf, 2, 0));
        SHOW(label("%s, FIONREAD of the rest", who), queue(sock, FIONREAD));
        SHOW(label("%s, TRUNC of 2", who), recv(sock, NULL, 2, MSG_TRUNC));
        receive(label("%s, the rest", who), sock, 0);
        receive(label("%s, nothing", who), sock, MSG_DONTWAIT);
        SHOW(label("%s, SIOCOUTQ when idle", who), (EVENTUALLY(!queue(sock, SIOCOUTQ), SOON), queue(sock, SIOCOUTQ)));
        struct iovec iov[2] = { { "one ", 4 }, { "two", 3 } };
        SHOW(label("%s, writev", who), writev(sock, iov, 2));
        say(label("%s, writev comes", who), "%.*s", (int)tcp_collect(&c, buf, 7), buf);
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
        SHOW(label("%s, sendmsg", who), sendmsg(sock, &m, MSG_NOSIGNAL));
        say(label("%s, sendmsg comes", who), "%.*s", (int)tcp_collect(&c, buf, 7), buf);
        name n = any_name(FAR2, 1);
        SHOW(label("%s, sendto another name", who), sendto(sock, "to", 2, 0, &n.sa, n.len));
        say(label("%s, sendto comes", who), "%.*s", (int)tcp_collect(&c, buf, 2), buf);
        tcp_say(&c, ACK | PSH, "named", 5);
        (void)has_bytes(sock, 5);
        n.len = sizeof n.room;
        SHOW(label("%s, recvfrom", who), recvfrom(sock, buf, 5, 0, &n.sa, &n.len));
        say(label("%s, recvfrom, length of the name", who), "%d", n.len);
        SHOW(label("%s, an empty send", who), send(sock, "", 0, 0));
        SHOW(label("%s, MSG_MORE", who), send(sock, "first ", 6, MSG_MORE));
        SHOW(label("%s, behind it", who), send(sock, "second", 6, 0));
        tcp_show(&c, label("%s, they come as one", who));
        /* Corked. */
        option(sock, IPPROTO_TCP, TCP_CORK, 1);
        (void)send(sock, "corked ", 7, 0);
        (void)send(sock, "together", 8, 0);
        option(sock, IPPROTO_TCP, TCP_CORK, 0);
        tcp_show(&c, label("%s, uncorked", who));
        close(sock);
        tcp_show(&c, label("%s, closed", who));
        tcp_say(&c, FIN | ACK, NULL, 0);
        tcp_show_nothing(&c, label("%s, nothing more", who));
    }
}

static void bulk(void)
{
    static tcp c;
    enum { MUCH = 3000000 };
    int file = MUST(memfd_create("much", MFD_CLOEXEC));
    MUST(ftruncate(file, MUCH));
    for (int i = 0; i < MUCH; i += 50000) {
        memset(buf, i / 50000 + 1, 50000);
        MUST(pwrite(file, buf, 50000, i));
    }
    int sock = client(&c, SOCK_NONBLOCK);
    off_t at = 0;
    size_t got = 0;
    int right = 1;
    double until = now() + 8;
    while (got < MUCH && now() < until) {
        if (at < MUCH)
            (void)sendfile(sock, file, &at, MUCH - at);
        while (got < MUCH && tcp_next(&c, &tcp_seen, at < MUCH ? 0 : SOON) >= 0) {
            for (size_t i = 0; i < tcp_seen.len; i += 10)
                right &= tcp_seen.data[i] == (got + i) / 50000 + 1;
            got += tcp_seen.len;
        }
    }
    say("sendfile", "%ld, came %zu, right %d", (long)at, got, right);
    int p[2];
    MUST(pipe(p));
    MUST(write(p[1], "through a pipe", 14));
    SHOW("splice out", splice(p[0], NULL, sock, NULL, 14, 0));
    say("splice comes", "%.*s", (int)tcp_collect(&c, buf, 14), buf);
    tcp_say(&c, ACK | PSH, "into a pipe", 11);
    (void)has_bytes(sock, 11);
    SHOW("splice in", splice(sock, NULL, p[1], NULL, 11, 0));
    show_data("splice, in the pipe", read(p[0], buf, 20), buf);
    close(p[0]);
    close(p[1]);
    close(file);
    /* The other side sends as much as the window allows, and nobody reads. */
    size_t sent = 0, read_bytes = 0;
    int full = 0;
    static char block[1400];
    c.their_window = 65535;
    while (!full && sent < 50000000) {
        uint32_t under_way = c.seq - c.their_ack;
        if (under_way + sizeof block > c.their_window) {
            if (tcp_next_of(&c, &tcp_seen, 300, 1) < 0)
                full = 1;
            continue;
        }
        memset(block, sent / sizeof block, sizeof block);
        tcp_say(&c, ACK, block, sizeof block);
        sent += sizeof block;
        while (tcp_next_of(&c, &tcp_seen, 0, 1) >= 0)
            ;
    }
    say("a reader that does not read closes the window", "%d, more than 30000 bytes %d", full, sent > 30000);
    right = 1;
    until = now() + 8;
    while (read_bytes < sent && now() < until) {
        ssize_t n = recv(sock, buf, sizeof buf, MSG_DONTWAIT);
        if (n <= 0) {
            while (tcp_next_of(&c, &tcp_seen, 1, 1) >= 0)
                ;
            continue;
        }
        for (ssize_t i = 0; i < n; i += 100)
            right &= (unsigned char)buf[i] == (unsigned char)((read_bytes + i) / sizeof block);
        read_bytes += n;
    }
    say("what was sent is read", "%d, right %d", read_bytes == sent, right);
    int opened = EVENTUALLY((tcp_next_of(&c, &tcp_seen, 1, 1), c.their_window > 30000 && c.their_ack == c.seq), SOON);
    say("the window is open again", "%d", opened);
    /* The program sends, and the other side does not acknowledge. */
    c.acked = 0;
    c.window = 0;
    sent = 0;
    /* What the socket holds may move on for a while: it is full when it still is after a wait. */
    for (int waited = 0; sent < 50000000;) {
        ssize_t n = send(sock, buf, 100000, 0);
        if (n > 0)
            sent += n, waited = 0;
        else if (waited++)
            break;
        else
            poll(&(struct pollfd){ sock, POLLOUT, 0 }, 1, 300);
    }
    SHOW("a writer that is not heard", send(sock, buf, 1, 0));
    show_state("its poll", sock, 0);
    say("its queue is not empty", "%d", queue(sock, SIOCOUTQ) > 0);
    close(sock);
    c.seq = c.their_ack;
    tcp_say(&c, RST, NULL, 0);
    far_drain(&tun);
}

static void half(void)
{
    static tcp c;
    int sock = client(&c, 0);
    SHOW("half, send", send(sock, "last", 4, 0));
    SHOW("half, SHUT_WR", shutdown(sock, SHUT_WR));
    size_t n = tcp_collect(&c, buf, 4);
    say("half, comes", "%.*s", (int)n, buf);
    SHOW("half, send then", send(sock, "x", 1, 0));
    show_state("half, poll", sock, POLLOUT);
    /* The FIN stands in the segment of the data or in one of its own. */
    (void)tcp_next(&c, &tcp_seen, NEVER);
    SHOW("half, state is FIN_WAIT2", EVENTUALLY(state_of(sock) == 5, SOON));
    tcp_say(&c, ACK | PSH, "still", 5);
    (void)has_bytes(sock, 5);
    receive("half, data from there", sock, 0);
    tcp_say(&c, FIN | ACK, "bye", 3);
    show_state("half, the other half, poll", sock, POLLIN | POLLRDHUP | POLLHUP);
    receive("half, last data", sock, 0);
    receive("half, then", sock, 0);
    receive("half, and again", sock, 0);
    show_error("half, SO_ERROR", sock);
    show_peer("half, peer", sock);
    close(sock);
    tcp_show_nothing(&c, "half, closed");

    sock = client(&c, 0);
    tcp_say(&c, FIN | ACK, "head", 4);
    show_state("the other half first, poll", sock, POLLIN | POLLRDHUP);
    receive("the other half first, data", sock, 0);
    receive("the other half first, end", sock, 0);
    SHOW("the other half first, state is CLOSE_WAIT", state_of(sock));
    SHOW("the other half first, send", send(sock, "more", 4, 0));
    tcp_show(&c, "the other half first, comes");
    SHOW("the other half first, send again", send(sock, "and more", 8, 0));
    tcp_show(&c, "the other half first, comes again");
    show_state("the other half first, poll then", sock, POLLOUT);
    SHOW("the other half first, SHUT_WR", shutdown(sock, SHUT_WR));
    tcp_show(&c, "the other half first, FIN");
    show_state("the other half first, both, poll", sock, POLLHUP);
    SHOW("the other half first, getpeername", EVENTUALLY(peer_name(sock).len == 0, SOON));
    close(sock);

    sock = client(&c, 0);
    SHOW("SHUT_RD", shutdown(sock, SHUT_RD));
    show_state("SHUT_RD, poll", sock, POLLIN | POLLRDHUP);
    receive("SHUT_RD, recv", sock, 0);
    SHOW("SHUT_RD, send", send(sock, "hello", 5, 0));
    tcp_show(&c, "SHUT_RD, comes");
    tcp_say(&c, ACK | PSH, "data", 4);
    (void)has_bytes(sock, 4);
    receive("SHUT_RD, data is read", sock, 0);
    SHOW("SHUT_RDWR", shutdown(sock, SHUT_RDWR));
    tcp_show(&c, "SHUT_RDWR, comes");
    show_state("SHUT_RDWR, poll", sock, POLLHUP);
    SHOW("SHUT_RDWR, send", send(sock, "x", 1, 0));
    SHOW("SHUT_RDWR, again", shutdown(sock, SHUT_RDWR));
    SHOW("shutdown of a wrong kind", shutdown(sock, 9));
    close(sock);
    tcp_say(&c, FIN | ACK, NULL, 0);
    far_drain(&tun);
}

/* Connects, says something, and closes with SO_LINGER of 0 before anybody has looked. */
static void *abrupt(void *given)
{
    struct linger now_linger = { 1, 0 };
    int sock = MUST(socket(FAMILY, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!connect_to(sock, FAR, *(int *)given)) {
        (void)send(sock, "last words", 10, 0);
        setsockopt(sock, SOL_SOCKET, SO_LINGER, &now_linger, sizeof now_linger);
    }
    close(sock);
    return NULL;
}

static void hurried(void)
{
    enum { TIMES = 20 };
    int heard = 0, reset = 0, got = 0, failed = 0;
    tcp c;
    for (int i = 0; i < TIMES; i++) {
        int port = 9000 + i;
        pthread_t thread;
        MUST(-pthread_create(&thread, NULL, abrupt, &port));
        if (!tcp_await(&c, &tun, port, SOON))
            die("no SYN");
        tcp_take(&c);
        heard += tcp_next(&c, &tcp_seen, SOON) >= 0 && tcp_seen.len == 10;
        int flags = tcp_next(&c, &tcp_seen, SOON);
        reset += flags >= 0 && flags & RST;
        pthread_join(thread, NULL);
        far_drain(&tun);
    }
    say("said and reset at once", "heard %d, reset %d", heard, reset);
    int sock = listener(OWN, 7001, TIMES);
    for (int i = 0; i < TIMES; i++) {
        if (tcp_dial(&c, &tun, FAR, 21000 + i, OWN, 7001, SOON) != (SYN | ACK))
            die("no SYN|ACK");
        tcp_say(&c, ACK | PSH, "and gone", 8);
        tcp_say(&c, RST, NULL, 0);
        int peer = accepted(sock, NULL);
        got += recv(peer, buf, 100, 0) == 8;
        failed += recv(peer, buf, 100, 0) == -1 && errno == ECONNRESET;
        close(peer);
        far_drain(&tun);
    }
    close(sock);
    say("heard and reset at once", "read %d, reset %d", got, failed);
}

/* The other side plays its part in an end that the program begins: its port is in TIME_WAIT. */
static void end_of(tcp *c, int sock)
{
    close(sock);
    if (!(tcp_next(c, &tcp_seen, SOON) & FIN))
        die("no FIN");
    tcp_say(c, FIN | ACK, NULL, 0);
    if (tcp_next_of(c, &tcp_seen, SOON, 1) < 0)
        die("no last ACK");
}

/* Ports that connections in TIME_WAIT have are not chosen again. */
static void chosen(void)
{
    enum { PORTS = 4, FIRST = 40000 };
    MUST(spit("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003"));
    int taken = 0, in_range = 0;
    tcp c;
    for (int i = 0; i <= PORTS; i++) {
        int sock = MUST(socket(FAMILY, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (i == PORTS) {
            SHOW("all ports in TIME_WAIT, connect", connect_to(sock, FAR, 9900));
            close(sock);
            break;
        }
        (void)connect_to(sock, FAR, 9900);
        if (!tcp_await(&c, &tun, 9900, SOON))
            die("no SYN");
        tcp_take(&c);
        (void)EVENTUALLY(now_events(sock, POLLOUT), SOON);
        taken |= 1 << (c.own_port - FIRST);
        in_range += c.own_port >= FIRST && c.own_port < FIRST + PORTS;
        end_of(&c, sock);
    }
    say("ports that were chosen", "%d in the range, set %x", in_range, taken);
    MUST(spit("/proc/sys/net/ipv4/ip_local_port_range", "32768 60999"));
}

/* Listeners that share a port share what comes. */
static void shared(void)
{
    enum { COUNT = 3, TIMES = 60 };
    int socks[COUNT], each = 0, all = 0;
    tcp c;
    for (int i = 0; i < COUNT; i++) {
        socks[i] = MUST(socket(FAMILY, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        option(socks[i], SOL_SOCKET, SO_REUSEPORT, 1);
        MUST(bind_to(socks[i], ANY, 7300));
        MUST(listen(socks[i], TIMES));
    }
    for (int i = 0; i < TIMES; i++)
        if (tcp_dial(&c, &tun, FAR, 22000 + i, OWN, 7300, SOON) != (SYN | ACK))
            die("no SYN|ACK");
    double until = now() + SOON / 1e3;
    int got[COUNT] = { 0 };
    while (all < TIMES && now() < until)
        for (int i = 0; i < COUNT; i++)
            for (int peer; (peer = accept4(socks[i], NULL, NULL, SOCK_CLOEXEC)) >= 0; all++) {
                got[i]++;
                close(peer);
            }
    for (int i = 0; i < COUNT; i++) {
        each += got[i] > 0;
        close(socks[i]);
    }
    say("listeners that share a port", "%d of %d, %d have some", all, TIMES, each);
    far_drain(&tun);
}

static void resets(void)
{
    static tcp c;
    int sock = client(&c, 0);
    tcp_say(&c, RST | ACK, NULL, 0);
    show_state("reset, poll", sock, POLLHUP | POLLERR);
    receive("reset, recv", sock, 0);
    receive("reset, recv again", sock, 0);
    SHOW("reset, send", send(sock, "x", 1, 0));
    show_peer("reset, peer", sock);
    show_own("reset, name", sock);
    close(sock);

    sock = server(&c);
    tcp_say(&c, RST | ACK, NULL, 0);
    (void)EVENTUALLY(now_events(sock, POLLHUP) & POLLHUP, SOON);
    show_error("reset, SO_ERROR", sock);
    show_error("reset, SO_ERROR again", sock);
    show_state("reset, poll after SO_ERROR", sock, POLLHUP);
    receive("reset, recv after SO_ERROR", sock, 0);
    close(sock);

    sock = client(&c, 0);
    tcp_say(&c, RST | ACK, NULL, 0);
    (void)EVENTUALLY(now_events(sock, POLLHUP) & POLLHUP, SOON);
    SHOW("reset, send first", send(sock, "x", 1, 0));
    SHOW("reset, send second", send(sock, "x", 1, 0));
    SHOW("reset, write third", write(sock, "x", 1));
    close(sock);

    sock = client(&c, 0);
    tcp_say(&c, ACK | PSH, "data", 4);
    tcp_say(&c, RST | ACK, NULL, 0);
    (void)EVENTUALLY(now_events(sock, POLLHUP) & POLLHUP, SOON);
    receive("data then reset, recv", sock, 0);
    receive("data then reset, recv again", sock, 0);
    receive("data then reset, and again", sock, 0);
    close(sock);

    sock = client(&c, 0);
    tcp_say(&c, FIN | ACK, "data", 4);
    (void)EVENTUALLY(now_events(sock, POLLRDHUP) & POLLRDHUP, SOON);
    SHOW("sent behind an end", send(sock, "x", 1, 0));
    tcp_show(&c, "sent behind an end, comes");
    tcp_say(&c, RST | ACK, NULL, 0);
    show_state("sent behind an end and reset, poll", sock, POLLHUP);
    receive("sent behind an end and reset, data", sock, 0);
    SHOW("sent behind an end and reset, send", send(sock, "x", 1, 0));
    show_error("sent behind an end and reset, SO_ERROR", sock);
    close(sock);

    /* What the other side sees. */
    sock = client(&c, 0);
    tcp_say(&c, ACK | PSH, "unread", 6);
    (void)has_bytes(sock, 6);
    close(sock);
    tcp_show(&c, "closed with unread data");

    struct linger now_linger = { 1, 0 };
    sock = client(&c, 0);
    SHOW("SO_LINGER of 0", setsockopt(sock, SOL_SOCKET, SO_LINGER, &now_linger, sizeof now_linger));
    close(sock);
    tcp_show(&c, "closed with SO_LINGER of 0");

    /* Before anybody can have looked at the connection. */
    static host h;
    static const rule takes[] = { { 8500, TAKES, 0 }, { 0 } };
    enum { TIMES = 30 };
    host_start(&h, &tun, takes);
    int made = 0;
    for (int i = 0; i < TIMES; i++) {
        sock = MUST(socket(FAMILY, SOCK_STREAM | SOCK_CLOEXEC, 0));
        setsockopt(sock, SOL_SOCKET, SO_LINGER, &now_linger, sizeof now_linger);
        made += connect_to(sock, FAR, 8500) == 0;
        close(sock);
    }
    say("connected and closed at once with SO_LINGER of 0", "%d, resets %s", made,
        EVENTUALLY(atomic_load(&h.resets) == TIMES, SOON) ? "of all" : "of some");
    host_end(&h);
    far_drain(&tun);

    struct linger long_linger = { 1, 1 };
    sock = client(&c, 0);
    setsockopt(sock, SOL_SOCKET, SO_LINGER, &long_linger, sizeof long_linger);
    (void)send(sock, "lingers", 7, 0);
    close(sock);
    size_t n = tcp_collect(&c, buf, 7);
    say("closed with SO_LINGER of 1", "%.*s", (int)n, buf);
    far_drain(&tun);

    sock = client(&c, 0);
    close(sock);
    tcp_show(&c, "closed");
    tcp_say(&c, ACK | PSH, "late", 4);
    tcp_show(&c, "data for a closed socket");

    sock = client(&c, 0);
    tcp cut = c;
    cut.seq += 5000000;
    tcp_say(&cut, RST, NULL, 0);
    tcp_show_nothing(&c, "a reset out of the window");
    SHOW("after a reset out of the window, send", send(sock, "fine", 4, 0));
    tcp_show(&c, "after it, what comes");
    /* An error of ICMP does not end what is connected. */
    far_unreachable(&tun, &tcp_seen, NO_HOST);
    SHOW("after no host, send", send(sock, "still", 5, 0));
    tcp_show(&c, "after no host, what comes");
    show_error("after no host, SO_ERROR", sock);
    close(sock);
    far_drain(&tun);
}

static void urgent(void)
{
    static tcp c;
    int sock = client(&c, 0);
    SHOW("MSG_OOB", send(sock, "!", 1, MSG_OOB));
    tcp_show(&c, "MSG_OOB, comes");
    c.urgent = 3;
    tcp_say(&c, ACK | PSH, "abc", 3);
    show_state("urgent, poll", sock, POLLPRI | POLLIN);
    (void)has_bytes(sock, 2);
    SHOW("urgent, at the mark", queue(sock, SIOCATMARK));
    receive("urgent, recv", sock, 0);
    SHOW("urgent, at the mark then", queue(sock, SIOCATMARK));
    receive("urgent, MSG_OOB", sock, MSG_OOB);
    receive("urgent, MSG_OOB again", sock, MSG_OOB);
    close(sock);
    far_drain(&tun);
    sock = client(&c, 0);
    option(sock, SOL_SOCKET, SO_OOBINLINE, 1);
    c.urgent = 3;
    tcp_say(&c, ACK | PSH, "abcd", 4);
    (void)has_bytes(sock, 4);
    receive("inline, recv", sock, 0);
    receive("inline, recv behind the mark", sock, MSG_DONTWAIT);
    close(sock);
    far_drain(&tun);
}

static void waits(void)
{
    static tcp c;
    int sock = client(&c, SOCK_NONBLOCK), ep = MUST(epoll_create1(0));
    struct timeval limit = { .tv_usec = 30000 };
    struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET };
    char text[160];
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, sock, &e));
    SHOW("edge, nothing", epoll_wait(ep, &e, 1, 0));
    for (int i = 0; i < 3; i++) {
        tcp_say(&c, ACK | PSH, "data", 4);
        int got = epoll_wait(ep, &e, 1, SOON);
        say(label("edge, data %d", i), "%d %s", got, got == 1 ? poll_bits(text, e.events) : "none");
    }
    SHOW("edge, nothing new", epoll_wait(ep, &e, 1, 0));
    (void)has_bytes(sock, 12);
    receive("edge, all of it", sock, 0);
    tcp_say(&c, FIN | ACK, NULL, 0);
    int got = epoll_wait(ep, &e, 1, SOON);
    say("edge, the end", "%d %s", got, got == 1 ? poll_bits(text, e.events) : "none");
    close(ep);
    close(sock);
    far_drain(&tun);
    sock = client(&c, 0);
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    receive("SO_RCVTIMEO", sock, 0);
    tcp_say(&c, ACK | PSH, "123", 3);
    (void)has_bytes(sock, 3);
    receive("WAITALL of more than there is", sock, MSG_WAITALL);
    option(sock, SOL_SOCKET, SO_RCVLOWAT, 4);
    tcp_say(&c, ACK | PSH, "456", 3);
    (void)has_bytes(sock, 3);
    SHOW("below SO_RCVLOWAT, poll", now_events(sock, POLLIN));
    tcp_say(&c, ACK | PSH, "789", 3);
    (void)has_bytes(sock, 6);
    SHOW("above SO_RCVLOWAT, poll", now_events(sock, POLLIN));
    reader r;
    receive("above SO_RCVLOWAT, recv", sock, 0);
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 0 }, sizeof limit);
    option(sock, SOL_SOCKET, SO_RCVLOWAT, 1);
    reader_start(&r, sock, 100);
    tcp_say(&c, ACK | PSH, "awaited", 7);
    reader_show(&r, "a blocking read", SOON);
    reader_join(&r);
    reader_start(&r, sock, 100);
    shutdown(sock, SHUT_RD);
    reader_show(&r, "a blocking read that is shut down", SOON);
    reader_join(&r);
    close(sock);
    far_drain(&tun);
    /* Keepalive is seen on the wire. */
    sock = client(&c, 0);
    option(sock, IPPROTO_TCP, TCP_KEEPIDLE, 1);
    option(sock, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    option(sock, IPPROTO_TCP, TCP_KEEPCNT, 1);
    SHOW("SO_KEEPALIVE", option(sock, SOL_SOCKET, SO_KEEPALIVE, 1));
    far_drain(&tun);
    int flags = tcp_next_of(&c, &tcp_seen, 2500, 1);
    say("a probe", "%s", segment_bits(flags));
    tcp_say(&c, ACK, NULL, 0);
    show_state("answered, poll", sock, POLLOUT);
    /* The next one is not answered. */
    (void)EVENTUALLY(now_events(sock, POLLHUP), 5000);
    show_state("not answered, poll", sock, POLLHUP);
    show_error("not answered, SO_ERROR", sock);
    close(sock);
    far_drain(&tun);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    data();
    bulk();
    half();
    resets();
    hurried();
    shared();
    chosen();
    urgent();
    waits();
    return 0;
}
