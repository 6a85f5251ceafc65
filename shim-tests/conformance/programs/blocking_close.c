/* What happens to a call that waits when the descriptor is closed or the interface is deleted. */
#include "driver.h"

/* Long enough that close() and what is asked after it fall into the wait. */
#define WAIT_MS 1500

typedef struct { pthread_t thread; int fd, epoll, result, revents; atomic_int tid, done; } waiter;

static void *poller(void *arg)
{
    waiter *w = arg;
    struct pollfd p = { w->fd, POLLIN, 0 };
    atomic_store(&w->tid, (int)syscall(SYS_gettid));
    w->result = poll(&p, 1, WAIT_MS);
    w->revents = p.revents;
    atomic_store(&w->done, 1);
    return NULL;
}

static void *epoller(void *arg)
{
    waiter *w = arg;
    struct epoll_event e;
    atomic_store(&w->tid, (int)syscall(SYS_gettid));
    w->result = epoll_wait(w->epoll, &e, 1, WAIT_MS);
    atomic_store(&w->done, 1);
    return NULL;
}

static void begin(waiter *w, void *(*run)(void *))
{
    if (pthread_create(&w->thread, NULL, run, w))
        die("pthread_create");
    EVENTUALLY(w->tid, 2000);
    sleeps(w->tid);
}

static void closed_under_read(void)
{
    reader r;
    int fd = tun_ready("bc0", IFF_TUN | IFF_NO_PI, 0);
    driver d = drv_attach("bc0");
    reader_start(&r, fd, 2048);
    SHOW("close under a blocked read", close(fd));
    reader_show(&r, "the read", 30);
    say("the interface exists", "%d", exists("bc0"));
    drv_packet(&d, 60);
    reader_show(&r, "a packet", 5000);
    reader_join(&r);
    say("the interface exists after it", "%d", exists("bc0"));
    drv_detach(&d);
}

static void closed_under_poll(void)
{
    char text[160];
    waiter w = { .fd = tun_ready("bc1", IFF_TUN | IFF_NO_PI, 0) };
    begin(&w, poller);
    close(w.fd);
    say("close under poll", "done=%d exists=%d", w.done, exists("bc1"));
    pthread_join(w.thread, NULL);
    say("poll returned", "%d revents=%s", w.result, poll_bits(text, w.revents));
    say("exists after poll", "%d", exists("bc1"));
}

static void closed_under_epoll(void)
{
    waiter w = { .fd = tun_ready("bc2", IFF_TUN | IFF_NO_PI, 0), .epoll = MUST(epoll_create1(EPOLL_CLOEXEC)) };
    struct epoll_event e = { .events = EPOLLIN };
    MUST(epoll_ctl(w.epoll, EPOLL_CTL_ADD, w.fd, &e));
    begin(&w, epoller);
    close(w.fd);
    say("close under epoll_wait", "done=%d exists=%d", w.done, exists("bc2"));
    pthread_join(w.thread, NULL);
    say("epoll_wait returned", "%d", w.result);
    close(w.epoll);
}

static void deleted_under_read(void)
{
    reader r;
    unsigned char buf[64];
    int fd = tun_ready("bc3", IFF_TUN | IFF_NO_PI, 0);
    driver d = drv_attach("bc3");
    reader_start(&r, fd, 2048);
    show_result("delete under a blocked read", drv_delete(&d));
    reader_show(&r, "that read", 5000);
    reader_join(&r);
    SHOW("the next read", read(fd, buf, sizeof buf));
    drv_detach(&d);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    closed_under_read();
    closed_under_poll();
    closed_under_epoll();
    deleted_under_read();
    return 0;
}
