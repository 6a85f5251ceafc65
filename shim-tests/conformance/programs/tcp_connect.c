/* Connections that a program makes through a tunnel: taken, refused, pending, refused late,
 * unreachable, seen by poll and epoll. */
#include "far_tcp.h"
#include <sys/time.h>

static far tun;
static tcp c;

static int new_socket(int flags) { return MUST(socket(FAMILY, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)); }

static void show_events(const char *what, int ep)
{
    struct epoll_event e = { 0 };
    char text[160];
    int n = epoll_wait(ep, &e, 1, NEVER);
    say(what, "%d %s", n, n == 1 ? poll_bits(text, e.events) : "none");
}

/* The events of an epoll as soon as they have what is expected. */
static void show_events_with(const char *what, int ep, unsigned with)
{
    struct epoll_event e = { 0 };
    char text[160];
    int n = epoll_wait(ep, &e, 1, SOON);
    /* On the way to an end a socket can have told of less. */
    if (n == 1 && (e.events & with) != with)
        n = epoll_wait(ep, &e, 1, SOON);
    say(what, "%d %s", n, n == 1 ? poll_bits(text, e.events) : "none");
}

static const rule rules[] = {
    { 80, TAKES, 0 }, { 81, TAKES, 30 }, { 1, REFUSES, 0 }, { 2, REFUSES, 30 }, { 3, HAS_NO_HOST, 0 },
    { 4, HAS_NO_HOST, 30 }, { 5, HAS_NO_PORT, 0 }, { 6, FORBIDS, 0 }, { 99, IS_SILENT, 0 }, { 0 },
};

/* A connection within the machine that was refused after the call is told by the next call, also
 * where that is to another host. */
static void refused_elsewhere(int asks)
{
    const char *what = asks ? "refused by the loopback and asked" : "refused by the loopback";
    int sock = new_socket(SOCK_NONBLOCK);
    SHOW(label("%s, connect", what), connect_to(sock, LOOP, 5009));
    (void)EVENTUALLY(now_events(sock, POLLHUP) & POLLHUP, SOON);
    if (asks)
        show_error(label("%s, SO_ERROR", what), sock);
    SHOW(label("%s, connect out", what), connect_to(sock, FAR, 99));
    close(sock);
}

static void on_alarm(int number) { (void)number; }

static void blocking(void)
{
    static host h;
    host_start(&h, &tun, rules);
    int sock = new_socket(0);
    SHOW("blocking", connect_to(sock, FAR, 80));
    show_own("blocking, name", sock);
    show_peer("blocking, peer", sock);
    SHOW("blocking, connect again", connect_to(sock, FAR, 80));
    SHOW("blocking, connect elsewhere", connect_to(sock, FAR, 81));
    SHOW("blocking, bind then", bind_to(sock, OWN, 0));
    SHOW("blocking, listen then", listen(sock, 1));
    show_state("blocking, poll", sock, POLLOUT);
    show_error("blocking, SO_ERROR", sock);
    SHOW("blocking, send", send(sock, "x", 1, 0));
    close(sock);
    sock = new_socket(0);
    SHOW("blocking, a late answer", connect_to(sock, FAR, 81));
    close(sock);
    static const struct { const char *what; int port; } refusals[] = {
        { "refused", 1 }, { "refused late", 2 }, { "no host", 3 }, { "no host, late", 4 }, { "no port", 5 },
        { "forbidden", 6 },
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const char *what = refusals[i].what;
        sock = new_socket(0);
        SHOW(label("%s", what), connect_to(sock, FAR, refusals[i].port));
        show_state(label("%s, poll", what), sock, POLLHUP);
        show_error(label("%s, SO_ERROR", what), sock);
        show_own(label("%s, name", what), sock);
        show_peer(label("%s, peer", what), sock);
        SHOW(label("%s, send", what), send(sock, "x", 1, 0));
        SHOW(label("%s, recv", what), recv(sock, &(char){ 0 }, 1, MSG_DONTWAIT));
        SHOW(label("%s, connect to another port", what), connect_to(sock, FAR, 80));
        show_peer(label("%s, peer then", what), sock);
        close(sock);
    }
    struct timeval limit = { .tv_usec = 50000 };
    sock = new_socket(0);
    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    SHOW("silent, with SO_SNDTIMEO", connect_to(sock, FAR, 99));
    SHOW("silent, again", connect_to(sock, FAR, 99));
    close(sock);
    struct sigaction act = { .sa_handler = on_alarm }, before;
    sigaction(SIGALRM, &act, &before);
    unsigned left = alarm(0);
    struct itimerval timer = { .it_value.tv_usec = 100000, .it_interval.tv_usec = 100000 }, off = { 0 };
    sock = new_socket(0);
    setitimer(ITIMER_REAL, &timer, NULL);
    SHOW("silent, with a signal", connect_to(sock, FAR, 99));
    setitimer(ITIMER_REAL, &off, NULL);
    sigaction(SIGALRM, &before, NULL);
    alarm(left);
    close(sock);
    sock = new_socket(0);
    SHOW("bound to the second address, bind", bind_to(sock, OWN2, 0));
    SHOW("bound to the second address", connect_to(sock, FAR, 80));
    show_own("bound to the second address, name", sock);
    close(sock);
    sock = new_socket(0);
    SHOW("bound to a port, bind", bind_to(sock, ANY, 5555));
    SHOW("bound to a port", connect_to(sock, FAR, 80));
    show_own("bound to a port, name", sock);
    close(sock);
    sock = new_socket(0);
    SHOW("no route", connect_to(sock, BEYOND, 80));
    show_error("no route, SO_ERROR", sock);
    SHOW("no route, then there is one", connect_to(sock, FAR, 80));
    close(sock);
    host_end(&h);
    far_drain(&tun);
}

/* Options that are set before, and read after. */
static void options(void)
{
    static const struct { const char *what; int level, option, value; } all[] = {
        { "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1 }, { "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1 },
        { "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 30 }, { "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 7 },
        { "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 3 }, { "TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 9000 },
        { "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 100000 }, { "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 90000 },
        { "SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 3 }, { "TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, 2 },
        { "SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 5 }, { "TCP_CORK", IPPROTO_TCP, TCP_CORK, 1 },
        { "TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 1 }, { "TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, 600 },
    };
    static const rule takes[] = { { 80, TAKES, 0 }, { 0 } };
    static host h;
    host_start(&h, &tun, takes);
    int sock = new_socket(0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        SHOW(label("set %s", all[i].what), option(sock, all[i].level, all[i].option, all[i].value));
    SHOW("connect with options", connect_to(sock, FAR, 80));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].option != TCP_QUICKACK)
            SHOW(label("%s then", all[i].what), option_of(sock, all[i].level, all[i].option));
    SHOW("SO_DOMAIN", option_of(sock, SOL_SOCKET, SO_DOMAIN) == FAMILY);
    SHOW("SO_TYPE", option_of(sock, SOL_SOCKET, SO_TYPE));
    SHOW("SO_PROTOCOL", option_of(sock, SOL_SOCKET, SO_PROTOCOL));
    SHOW("SO_ACCEPTCONN", option_of(sock, SOL_SOCKET, SO_ACCEPTCONN));
    close(sock);
    host_end(&h);
    far_drain(&tun);
    sock = new_socket(SOCK_NONBLOCK);
    (void)connect_to(sock, FAR, 80);
    say("the SYN says an MSS", "%d", tcp_await(&c, &tun, 80, SOON) ? c.mss : -1);
    c.said_mss = 1000;
    tcp_take(&c);
    show_state("an MSS of 1000 comes", sock, POLLOUT);
    SHOW("an MSS of 1000, TCP_MAXSEG", option_of(sock, IPPROTO_TCP, TCP_MAXSEG));
    static char much[3000];
    SHOW("3000 bytes", send(sock, much, sizeof much, 0));
    size_t longest = 0, got = 0;
    while (got < sizeof much && tcp_next(&c, &tcp_seen, SOON) >= 0) {
        got += tcp_seen.len;
        longest = tcp_seen.len > longest ? tcp_seen.len : longest;
    }
    say("the longest segment", "%zu", longest);
    close(sock);
    tcp_show(&c, "closed");
    tcp_say(&c, FIN | ACK, NULL, 0);
}

static void pending(void)
{
    int sock = new_socket(SOCK_NONBLOCK);
    show_state("not connected, poll", sock, POLLHUP);
    SHOW("not connected, send", send(sock, "x", 1, 0));
    SHOW("not connected, recv", recv(sock, &(char){ 0 }, 1, 0));
    int other = new_socket(SOCK_NONBLOCK);
    SHOW("not connected, shutdown", shutdown(other, SHUT_RDWR));
    show_state("not connected and shut down, poll", other, POLLHUP);
    close(other);
    SHOW("pending", connect_to(sock, FAR, 80));
    say("pending, SYN", "%d", tcp_await(&c, &tun, 80, SOON));
    show_own("pending, name", sock);
    show_peer("pending, peer", sock);
    SHOW("pending, connect again", connect_to(sock, FAR, 80));
    show_state("pending, poll", sock, 0);
    show_error("pending, SO_ERROR", sock);
    SHOW("pending, send", send(sock, "x", 1, 0));
    SHOW("pending, recv", recv(sock, &(char){ 0 }, 1, 0));
    pause_ms(20);
    show_state("pending, poll later", sock, 0);
    tcp_take(&c);
    show_state("taken, poll", sock, POLLOUT);
    show_error("taken, SO_ERROR", sock);
    SHOW("taken, connect again", connect_to(sock, FAR, 80));
    SHOW("taken, connect once more", connect_to(sock, FAR, 80));
    show_peer("taken, peer", sock);
    SHOW("taken, send", send(sock, "hello", 5, 0));
    tcp_show(&c, "taken, what comes");
    SHOW("taken, disconnect", connect(sock, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)));
    tcp_show(&c, "disconnected, what comes");
    show_own("disconnected, name", sock);
    show_peer("disconnected, peer", sock);
    SHOW("disconnected, connect", connect_to(sock, FAR, 82));
    say("disconnected, SYN", "%d", tcp_await(&c, &tun, 82, SOON));
    tcp_take(&c);
    show_state("disconnected and taken, poll", sock, POLLOUT);
    show_peer("disconnected and taken, peer", sock);
    close(sock);
    tcp_show(&c, "closed without a byte");
    tcp_say(&c, FIN | ACK, NULL, 0);

    sock = new_socket(SOCK_NONBLOCK);
    SHOW("disconnected while pending, connect", connect_to(sock, FAR, 83));
    say("disconnected while pending, SYN", "%d", tcp_await(&c, &tun, 83, SOON));
    SHOW("disconnected while pending", connect(sock, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)));
    show_state("disconnected while pending, poll", sock, POLLHUP);
    show_error("disconnected while pending, SO_ERROR", sock);
    show_own("disconnected while pending, name", sock);
    tcp_take(&c);
    tcp_show(&c, "disconnected while pending, an answer to the answer");
    SHOW("disconnected while pending, connect then", connect_to(sock, FAR, 84));
    say("disconnected while pending, SYN then", "%d", tcp_await(&c, &tun, 84, SOON));
    close(sock);
    tcp_take(&c);
    tcp_show(&c, "closed while pending, an answer to the answer");

    sock = new_socket(SOCK_NONBLOCK);
    SHOW("dup made before, connect", connect_to(sock, FAR, 85));
    int copy = MUST(dup(sock));
    say("dup made before, SYN", "%d", tcp_await(&c, &tun, 85, SOON));
    tcp_take(&c);
    show_state("dup made before, poll", copy, POLLOUT);
    show_peer("dup made before, peer", copy);
    close(sock);
    SHOW("dup made before, send", send(copy, "by the copy", 11, 0));
    tcp_show(&c, "dup made before, what comes");
    close(copy);
    tcp_show(&c, "dup made before, closed");
    tcp_say(&c, FIN | ACK, NULL, 0);
}

static void refused(void)
{
    for (int late = 0; late < 2; late++) {
        const char *what = late ? "refused later" : "refused";
        int sock = new_socket(SOCK_NONBLOCK);
        SHOW(label("non-blocking, %s", what), connect_to(sock, FAR, 1));
        say(label("non-blocking, %s, SYN", what), "%d", tcp_await(&c, &tun, 1, SOON));
        if (late)
            pause_ms(30);
        tcp_refuse(&c);
        (void)EVENTUALLY(now_events(sock, POLLIN | POLLOUT | POLLRDHUP), SOON);
        show_state(label("non-blocking, %s, poll", what), sock, 0);
        show_error(label("non-blocking, %s, SO_ERROR", what), sock);
        show_error(label("non-blocking, %s, SO_ERROR again", what), sock);
        SHOW(label("non-blocking, %s, recv", what), recv(sock, &(char){ 0 }, 1, 0));
        SHOW(label("non-blocking, %s, connect", what), connect_to(sock, FAR, 1));
        SHOW(label("non-blocking, %s, connect again", what), connect_to(sock, FAR, 1));
        say(label("non-blocking, %s, SYN again", what), "%d", tcp_await(&c, &tun, 1, SOON));
        tcp_refuse(&c);
        show_state(label("non-blocking, %s, poll again", what), sock, POLLHUP);
        SHOW(label("non-blocking, %s, connect tells it", what), connect_to(sock, FAR, 1));
        close(sock);
    }
    static const struct { const char *what; int how; } all[] = {
        { "no host", NO_HOST }, { "no port", NO_PORT }, { "no route", NO_ROUTE }, { "forbidden", FORBIDDEN },
        { "expired", EXPIRED }, { "no protocol", NO_PROTOCOL },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *what = all[i].what;
        int sock = new_socket(SOCK_NONBLOCK);
        (void)connect_to(sock, FAR, 200 + i);
        if (!tcp_await(&c, &tun, 200 + i, SOON))
            die("no SYN");
        far_unreachable(&tun, &tcp_seen, all[i].how);
        (void)EVENTUALLY(now_events(sock, POLLIN | POLLOUT | POLLRDHUP), all[i].how == EXPIRED ? NEVER : SOON);
        show_state(label("non-blocking, %s, poll", what), sock, 0);
        show_error(label("non-blocking, %s, SO_ERROR", what), sock);
        close(sock);
        far_drain(&tun);
    }
}

static void epolls(void)
{
    static const struct { const char *what; unsigned flags; } all[] = {
        { "level", 0 }, { "edge", EPOLLET }, { "oneshot", EPOLLONESHOT }, { "edge oneshot", EPOLLET | EPOLLONESHOT },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int refuse = 0; refuse < 2; refuse++) {
            char what[80];
            snprintf(what, sizeof what, "epoll %s, %s", all[i].what, refuse ? "refused" : "taken");
            int sock = new_socket(SOCK_NONBLOCK), ep = MUST(epoll_create1(EPOLL_CLOEXEC));
            struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | all[i].flags };
            MUST(epoll_ctl(ep, EPOLL_CTL_ADD, sock, &e));
            show_events(label("%s, before", what), ep);
            if (all[i].flags & EPOLLONESHOT)
                MUST(epoll_ctl(ep, EPOLL_CTL_MOD, sock, &e));
            show_events(label("%s, before, again", what), ep);
            if (all[i].flags & EPOLLONESHOT)
                MUST(epoll_ctl(ep, EPOLL_CTL_MOD, sock, &e));
            (void)connect_to(sock, FAR, 80);
            if (!tcp_await(&c, &tun, 80, SOON))
                die("no SYN");
            if (!(all[i].flags & EPOLLONESHOT))
                show_events(label("%s, pending", what), ep);
            else
                MUST(epoll_ctl(ep, EPOLL_CTL_MOD, sock, &e));
            if (refuse)
                tcp_refuse(&c);
            else
                tcp_take(&c);
            show_events_with(label("%s, then", what), ep, refuse ? EPOLLHUP : EPOLLOUT);
            show_events(label("%s, then, again", what), ep);
            show_error(label("%s, SO_ERROR", what), sock);
            if (!refuse) {
                tcp_say(&c, ACK | PSH, "data", 4);
                if (all[i].flags & EPOLLONESHOT)
                    MUST(epoll_ctl(ep, EPOLL_CTL_MOD, sock, &e));
                if (has_bytes(sock, 4))
                    show_events(label("%s, data", what), ep);
            }
            close(ep);
            close(sock);
            far_drain(&tun);
        }
}

static void wrong(void)
{
    int sock = new_socket(SOCK_NONBLOCK);
    name n = any_name(FAR, 80);
    SHOW("a name of 2 bytes", connect(sock, &n.sa, 1));
    SHOW("a name that is too short", connect(sock, &n.sa, n.len - 5));
    SHOW("a bad pointer", connect(sock, BAD_POINTER, n.len));
    n.sa.sa_family = AF_UNIX;
    SHOW("another family", connect(sock, &n.sa, n.len));
    SHOW("a negative length", connect(sock, &n.sa, -1));
    SHOW("listening, then connect", listen(sock, 1));
    SHOW("connect of a listener", connect_to(sock, FAR, 80));
    close(sock);
    far_drain(&tun);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    blocking();
    refused_elsewhere(0);
    refused_elsewhere(1);
    options();
    pending();
    refused();
    epolls();
    wrong();
    return 0;
}
