/* poll(2) in every state of the descriptor, and what wakes a poll that waits. */
#include "driver.h"

static unsigned char buf[2048];

typedef struct { pthread_t thread; int fd, events, timeout, result, revents; double waited; atomic_int tid, done; } waiter;

static void *wait_in_poll(void *arg)
{
    waiter *w = arg;
    struct pollfd p = { w->fd, w->events, 0 };
    double from = now();
    atomic_store(&w->tid, (int)syscall(SYS_gettid));
    w->result = poll(&p, 1, w->timeout);
    w->revents = p.revents;
    w->waited = now() - from;
    atomic_store(&w->done, 1);
    return NULL;
}

static void begin(waiter *w, int fd, int events, int timeout)
{
    *w = (waiter){ .fd = fd, .events = events, .timeout = timeout };
    if (pthread_create(&w->thread, NULL, wait_in_poll, w))
        die("pthread_create");
    EVENTUALLY(w->tid, 2000);
    sleeps(w->tid);
}

static void end(waiter *w, const char *label)
{
    char text[160];
    pthread_join(w->thread, NULL);
    say(label, "%d revents=%s waited_full=%d", w->result, poll_bits(text, w->revents), w->waited >= w->timeout / 1e3);
}

static void states(void)
{
    int fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    show_poll("unattached", fd, POLL_ALL, 0);
    show_poll("unattached, no events asked", fd, 0, 0);
    show_poll("unattached, waits for nothing", fd, POLLIN, 5000);
    MUST(tun_set_iff(fd, "po0", IFF_TUN | IFF_NO_PI));
    show_poll("down", fd, POLL_ALL, 0);
    show_poll("down, no events asked", fd, 0, 0);
    show_poll("down, POLLOUT waits", fd, POLLOUT, 20);
    link_up("po0", 1);
    show_poll("up", fd, POLL_ALL, 0);
    show_poll("up, IN", fd, POLLIN, 0);
    show_poll("up, no events asked", fd, 0, 0);
    driver d = drv_attach("po0");
    drv_packet(&d, 60);
    show_poll("a packet", fd, POLL_ALL, 0);
    show_poll("a packet, IN", fd, POLLIN, 0);
    show_poll("a packet, OUT", fd, POLLOUT, 0);
    show_poll("a packet, RDNORM", fd, POLLRDNORM, 0);
    show_poll("a packet, never PRI, RDBAND, WRBAND, RDHUP", fd, POLLPRI | POLLRDBAND | POLLWRBAND | POLLRDHUP, 0);
    drv_packet(&d, 61);
    MUST(read(fd, buf, sizeof buf));
    show_poll("one of two read", fd, POLLIN, 0);
    MUST(read(fd, buf, sizeof buf));
    show_poll("both read", fd, POLLIN, 0);
    drv_packet(&d, 60);
    link_up("po0", 0);
    show_poll("down with a packet", fd, POLL_ALL, 0);
    MUST(read(fd, buf, sizeof buf));
    show_poll("down, read", fd, POLL_ALL, 0);
    show_result("delete", drv_delete(&d));
    show_poll("deleted", fd, POLL_ALL, 0);
    close(fd);
    show_poll("closed", fd, POLL_ALL, 0);
    drv_detach(&d);
}

static void send_buffer(void)
{
    int fd = tun_ready("po1", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    for (int size = 1; size <= 4; size++) {
        char label[40];
        MUST(ioctl(fd, TUNSETSNDBUF, &size));
        snprintf(label, sizeof label, "TUNSETSNDBUF %d", size);
        show_poll(label, fd, POLL_ALL, 0);
    }
    close(fd);
}

static void access_modes(void)
{
    int fd = MUST(open(DEVICE, O_RDONLY));
    MUST(tun_set_iff(fd, "po2", IFF_TUN | IFF_NO_PI));
    link_up("po2", 1);
    driver d = drv_attach("po2");
    drv_packet(&d, 60);
    show_poll("O_RDONLY", fd, POLL_ALL, 0);
    drv_detach(&d);
    close(fd);
    fd = MUST(open(DEVICE, O_WRONLY));
    MUST(tun_set_iff(fd, "po3", IFF_TUN | IFF_NO_PI));
    link_up("po3", 1);
    d = drv_attach("po3");
    drv_packet(&d, 60);
    show_poll("O_WRONLY", fd, POLL_ALL, 0);
    drv_detach(&d);
    close(fd);
}

static void wake_ups(void)
{
    waiter w;
    int fd = tun_ready("po4", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("po4");
    begin(&w, fd, POLLIN, 5000);
    drv_packet(&d, 60);
    end(&w, "woken by a packet");
    MUST(read(fd, buf, sizeof buf));
    begin(&w, fd, POLLIN, 100);
    MUST(write(fd, packet(buf, 60), 60));
    link_up("po4", 0);
    end(&w, "not by a write, not by link down");
    begin(&w, fd, POLLOUT, 5000);
    link_up("po4", 1);
    end(&w, "OUT by link up");
    begin(&w, fd, POLLIN, 100);
    link_up("po4", 0);
    link_up("po4", 1);
    end(&w, "IN not by link up");
    begin(&w, fd, POLLIN, 5000);
    show_result("delete while polled", drv_delete(&d));
    end(&w, "woken by deletion");
    drv_detach(&d);
    close(fd);
}

/* Two interfaces and a pipe in one poll. */
static void several(void)
{
    int pipes[2], a = tun_ready("po5", IFF_TUN | IFF_NO_PI, O_NONBLOCK), b = tun_ready("po6", IFF_TAP | IFF_NO_PI, O_NONBLOCK);
    driver da = drv_attach("po5"), db = drv_attach("po6");
    MUST(pipe(pipes));
    struct pollfd p[] = { { a, POLLIN, 0 }, { b, POLLIN, 0 }, { pipes[0], POLLIN, 0 }, { -1, POLLIN, 0 }, { b, POLLOUT, 0 } };
    struct timespec none = { 0, 0 };
    int n = poll(p, 5, 0);
    say("several, idle", "%d %d%d%d%d%d", n, !!p[0].revents, !!p[1].revents, !!p[2].revents, !!p[3].revents, !!p[4].revents);
    drv_send(&db, frame(buf, 60, NULL, 0x88b5), 60, 0x88b5);
    MUST(write(pipes[1], "x", 1));
    n = poll(p, 5, 1000);
    say("several, tap and pipe", "%d %d%d%d%d%d", n, !!p[0].revents, !!p[1].revents, !!p[2].revents, !!p[3].revents, !!p[4].revents);
    drv_packet(&da, 60);
    n = ppoll(p, 5, &none, NULL);
    say("several, ppoll", "%d %d%d%d%d%d", n, !!p[0].revents, !!p[1].revents, !!p[2].revents, !!p[3].revents, !!p[4].revents);
    drv_detach(&da);
    drv_detach(&db);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    states();
    send_buffer();
    access_modes();
    wake_ups();
    several();
    return 0;
}
