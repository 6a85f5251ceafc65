/* A link that goes down and up wakes nobody who waits for a packet, however he waits; the packet
   then does. */
#include "epolls.h"

#define TUN (IFF_TUN | IFF_NO_PI)
#define TURNS 200

enum how { POLL, PPOLL, SELECT, PSELECT, LEVEL, EDGE, SHOT, OUTER, READ, HOWS };
static const char *const names[] = { "poll", "ppoll", "select", "pselect", "epoll, level", "epoll, edge", "epoll, one shot",
                                     "epoll in epoll", "read" };

typedef struct {
    pthread_t thread;
    enum how how;
    int fd;
    atomic_int tid;
    int wakes, length;
} waiter;

static int woken(waiter *w, int ep)
{
    struct pollfd p = { w->fd, POLLIN, 0 };
    struct timespec ten = { 10, 0 };
    struct timeval ten_too = { 10, 0 };
    struct epoll_event e;
    fd_set set;
    FD_ZERO(&set);
    FD_SET(w->fd, &set);
    switch (w->how) {
    case POLL: return poll(&p, 1, 10000);
    case PPOLL: return ppoll(&p, 1, &ten, NULL);
    case SELECT: return select(w->fd + 1, &set, NULL, NULL, &ten_too);
    case PSELECT: return pselect(w->fd + 1, &set, NULL, NULL, &ten, NULL);
    case READ: return 1;
    default: return epoll_wait(ep, &e, 1, 10000);
    }
}

static void *wait_for_a_packet(void *arg)
{
    unsigned char data[2048];
    waiter *w = arg;
    int ep = ep_make(), outer = ep_make();
    unsigned mode = w->how == EDGE ? EPOLLET : w->how == SHOT ? EPOLLONESHOT : 0;
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, w->fd, EPOLLIN | mode, 1));
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 2));
    atomic_store(&w->tid, (int)syscall(SYS_gettid));
    do {
        if (woken(w, w->how == OUTER ? outer : ep) <= 0)
            break;
        w->wakes++;
        w->length = read(w->fd, data, sizeof data);
        if (w->length < 0 && w->how == SHOT)
            MUST(ep_ctl(ep, EPOLL_CTL_MOD, w->fd, EPOLLIN | mode, 1));
    } while (w->length < 0);
    close(ep);
    close(outer);
    return NULL;
}

/* Somebody else has asked whether he could write, and wants to hear of the link. */
static void ask_for_room(int fd)
{
    struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
    MUST(poll(&p, 1, 0));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    for (enum how how = 0; how < HOWS; how++) {
        waiter w = { .how = how };
        char label[80];
        w.fd = tun_attach("lw0", TUN, how == READ ? 0 : O_NONBLOCK);
        link_up("lw0", 0);
        if (pthread_create(&w.thread, NULL, wait_for_a_packet, &w))
            die("pthread_create");
        if (!EVENTUALLY(atomic_load(&w.tid), 2000) || !sleeps(w.tid))
            die("does not sleep");
        for (int turn = 0; turn < TURNS; turn++) {
            ask_for_room(w.fd);
            link_up("lw0", 1);
            sched_yield();
            link_up("lw0", 0);
        }
        link_up("lw0", 1);
        driver d = drv_attach("lw0");
        drv_packet(&d, 60);
        pthread_join(w.thread, NULL);
        snprintf(label, sizeof label, "%s, woken", names[how]);
        say(label, "%d", w.wakes);
        snprintf(label, sizeof label, "%s, read", names[how]);
        say(label, "%d", w.length);
        drv_detach(&d);
        close(w.fd);
    }
    return 0;
}
