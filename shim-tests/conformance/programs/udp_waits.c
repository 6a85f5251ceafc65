/* Who sleeps on a socket of UDP and asks for nothing to read is woken by an error all the same, and
 * by nothing else. */
#include "far.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

static far tun;
static seen s;
static unsigned char buf[3000];

#ifdef V6
enum { LEVEL = IPPROTO_IPV6, RECVERR = IPV6_RECVERR };
#else
enum { LEVEL = IPPROTO_IP, RECVERR = IP_RECVERR };
#endif

static int connected(int port)
{
    int sock = MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    MUST(connect_to(sock, FAR, port));
    return sock;
}

/* Sends a datagram, which the far host has then. */
static void lose(int sock)
{
    far_drain(&tun);
    (void)send(sock, "lost", 4, 0);
    if (!far_next(&tun, &s, SOON))
        die("no datagram");
}

/* Answers it with an error. */
static void refuse(void) { far_unreachable(&tun, &s, NO_PORT); }

static void fail(int sock)
{
    lose(sock);
    refuse();
}

/* Lets something come that can be read. */
static void speak(int sock, int port) { far_udp(&tun, FAR, port, OWN, own_port(sock), "data", 4); }

/* A wait of another thread. */
typedef struct {
    int kind, fd, events, other;
    int n, told;
    atomic_int tid, done;
    pthread_t thread;
} waiter;

enum { POLL, PPOLL, EPOLL, EPOLL_P };

static void *waits(void *arg)
{
    waiter *w = arg;
    struct pollfd p[2] = { { .fd = w->fd, .events = w->events }, { .fd = w->other, .events = POLLIN } };
    struct epoll_event e = { 0 };
    struct timespec time = { SOON / 1000, 0 };
    atomic_store(&w->tid, gettid());
    switch (w->kind) {
    case POLL: w->n = poll(p, 2, SOON); break;
    case PPOLL: w->n = ppoll(p, 2, &time, NULL); break;
    case EPOLL: w->n = epoll_wait(w->fd, &e, 1, SOON); break;
    default: w->n = epoll_pwait(w->fd, &e, 1, SOON, NULL);
    }
    w->told = w->kind < EPOLL ? p[0].revents : (int)e.events;
    atomic_store(&w->done, 1);
    return NULL;
}

static void begin(waiter *w)
{
    w->other = -1;
    atomic_init(&w->tid, 0);
    atomic_init(&w->done, 0);
    if (pthread_create(&w->thread, NULL, waits, w))
        die("thread");
    if (!EVENTUALLY(atomic_load(&w->tid), SOON) || !(sleeps(w->tid) || atomic_load(&w->done)))
        die("no sleeper");
}

static void show_woken(const char *what, waiter *w)
{
    char text[160];
    pthread_join(w->thread, NULL);
    say(what, "%d %s", w->n, poll_bits(text, w->told));
}

static void polls(void)
{
    static const struct { const char *what; int kind, events; } all[] = {
        { "nothing", POLL, 0 }, { "urgent data", POLL, POLLPRI }, { "its end", POLL, POLLRDHUP },
        { "nothing, ppoll", PPOLL, 0 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int sock = connected(100 + i);
        waiter w = { .kind = all[i].kind, .fd = sock, .events = all[i].events };
        begin(&w);
        fail(sock);
        show_woken(label("poll of %s", all[i].what), &w);
        show_error(label("poll of %s, error", all[i].what), sock);
        begin(&w);
        speak(sock, 100 + i);
        say(label("poll of %s, data", all[i].what), "%d", EVENTUALLY(atomic_load(&w.done), NEVER));
        fail(sock);
        show_woken(label("poll of %s, data and an error", all[i].what), &w);
        show_error(label("poll of %s, data, error", all[i].what), sock);
        SHOW(label("poll of %s, recv", all[i].what), recv(sock, buf, 10, 0));
        SHOW(label("poll of %s, recv again", all[i].what), recv(sock, buf, 10, 0));
        close(sock);
    }
}

static void show_wait(const char *what, int ep)
{
    char text[160];
    struct epoll_event e = { 0 };
    int n = epoll_wait(ep, &e, 1, 0);
    say(what, "%d %s", n, n > 0 ? poll_bits(text, e.events) : "none");
}

static void epolls(void)
{
    static const struct { const char *what; int kind; unsigned events; } all[] = {
        { "nothing", EPOLL, 0 }, { "nothing, pwait", EPOLL_P, 0 }, { "urgent data", EPOLL, EPOLLPRI },
        { "nothing, edges", EPOLL, EPOLLET }, { "room, edges", EPOLL, EPOLLOUT | EPOLLET },
        { "room, edges, pwait", EPOLL_P, EPOLLOUT | EPOLLET },
        { "nothing, once", EPOLL, EPOLLONESHOT }, { "its end, edges", EPOLL, EPOLLRDHUP | EPOLLET },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int port = 200 + i, sock = connected(port), ep = MUST(epoll_create1(EPOLL_CLOEXEC));
        struct epoll_event e = { .events = all[i].events, .data.u64 = 0x1234567890 };
        const char *what = all[i].what;
        waiter w = { .kind = all[i].kind, .fd = ep };
        MUST(epoll_ctl(ep, EPOLL_CTL_ADD, sock, &e));
        show_wait(label("epoll of %s", what), ep);
        lose(sock);
        /* What is sent makes room, which is an edge. */
        (void)epoll_wait(ep, &e, 1, 0);
        begin(&w);
        speak(sock, port);
        say(label("epoll of %s, data", what), "%d", EVENTUALLY(atomic_load(&w.done), NEVER));
        refuse();
        show_woken(label("epoll of %s, error", what), &w);
        show_wait(label("epoll of %s, after it", what), ep);
        show_error(label("epoll of %s, the error", what), sock);
        show_wait(label("epoll of %s, error taken", what), ep);
        SHOW(label("epoll of %s, recv", what), recv(sock, buf, 10, 0));
        SHOW(label("epoll of %s, recv again", what), recv(sock, buf, 10, 0));
        /* An error that waits already. */
        fail(sock);
        (void)EVENTUALLY(now_events(sock, POLLIN) & POLLERR, SOON);
        e = (struct epoll_event){ .events = all[i].events, .data.u64 = 0x1234567890 };
        MUST(epoll_ctl(ep, EPOLL_CTL_MOD, sock, &e));
        show_wait(label("epoll of %s, changed with an error", what), ep);
        show_error(label("epoll of %s, its error", what), sock);
        e.events = EPOLLIN;
        MUST(epoll_ctl(ep, EPOLL_CTL_MOD, sock, &e));
        show_wait(label("epoll of %s, changed to data", what), ep);
        speak(sock, port);
        (void)EVENTUALLY(now_events(sock, POLLIN) & POLLIN, SOON);
        show_wait(label("epoll of %s, data as asked", what), ep);
        close(sock);
        close(ep);
    }
}

/* A queue of errors shows as long as something is in it. */
static void queues(void)
{
    int sock = connected(300), ep = MUST(epoll_create1(EPOLL_CLOEXEC));
    MUST(option(sock, LEVEL, RECVERR, 1));
    struct epoll_event e = { .events = 0 };
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, sock, &e));
    waiter w = { .kind = EPOLL, .fd = ep };
    begin(&w);
    fail(sock);
    show_woken("queue", &w);
    show_wait("queue, again", ep);
    show_error("queue, the error", sock);
    show_wait("queue, the error taken", ep);
    SHOW("queue, recv", recv(sock, buf, 10, MSG_ERRQUEUE));
    show_wait("queue, empty", ep);
    close(sock);
    close(ep);
}

/* An error that was told, and whose queue is gone, wakes nobody any more. */
static void forgotten(void)
{
    int sock = connected(301);
    MUST(option(sock, LEVEL, RECVERR, 1));
    fail(sock);
    say("forgotten, there", "%d", EVENTUALLY(now_events(sock, 0) & POLLERR, SOON));
    SHOW("forgotten, send", send(sock, "lost", 4, 0));
    MUST(option(sock, LEVEL, RECVERR, 0));
    waiter w = { .kind = POLL, .fd = sock, .events = POLLIN };
    begin(&w);
    speak(sock, 301);
    show_woken("forgotten, data", &w);
    close(sock);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    polls();
    epolls();
    queues();
    forgotten();
    return 0;
}
