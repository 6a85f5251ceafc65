/* What is easily forgotten of an epoll instance: numbers that are closed and used again, one datum
 * for several, edges and single shots over a link that goes down, calls that fail, tunnels that
 * only others hold. */
#include "epolls.h"
#include <sys/eventfd.h>

#define TUN (IFF_TUN | IFF_NO_PI)

static int tunnel_down(const char *name)
{
    int fd = tun_attach(name, TUN, O_NONBLOCK);
    link_up(name, 0);
    return fd;
}

/* The number of an instance in which a tunnel was registered becomes another descriptor's. */
static void closed_number(const char *label, int attached, int copy_lives)
{
    int fd = attached ? tunnel_down("eo0") : MUST(open(DEVICE, O_RDWR | O_NONBLOCK)), ep = ep_make();
    int copy = copy_lives ? MUST(fcntl(ep, F_DUPFD_CLOEXEC, 100)) : -1;
    char text[100];
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT, 1));
    close(ep);
    int other = MUST(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    sprintf(text, "%s, the same number", label);
    say(text, "%d", other == ep);
    sprintf(text, "%s, poll of what is there now", label);
    show_poll(text, other, POLLIN | POLLOUT, 0);
    fd_set r, w;
    struct timeval none = { 0, 0 };
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_SET(other, &r);
    FD_SET(other, &w);
    sprintf(text, "%s, select of it", label);
    int n = select(other + 1, &r, &w, NULL, &none);
    say(text, "%d %d %d", n, !!FD_ISSET(other, &r), !!FD_ISSET(other, &w));
    close(other);
    if (copy >= 0) {
        sprintf(text, "%s, the copy", label);
        ep_show(text, copy);
        close(copy);
    }
    close(fd);
}

static void one_datum(const char *label, unsigned mode)
{
    int fd = tunnel_down("eo1"), ep = ep_make(), other = MUST(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    char text[100];
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | mode, 5));
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, other, EPOLLOUT | mode, 5));
    struct epoll_event e[4];
    int n = epoll_wait(ep, e, 4, 0);
    sprintf(text, "%s, the other one has room", label);
    say(text, "%d", n > 0 && e[0].events == EPOLLOUT);
    close(other);
    close(fd);
    close(ep);
}

static void edges(void)
{
    int fd = tun_ready("eo2", TUN, O_NONBLOCK), ep = ep_make();
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1));
    link_up("eo2", 0);
    ep_show("an edge not taken, the link went down", ep);
    link_up("eo2", 1);
    ep_show("and up", ep);
    close(fd);
    close(ep);
}

static void one_shots(const char *label, unsigned mode)
{
    int fd = tunnel_down("eo3"), ep = ep_make();
    char text[100];
    link_up("eo3", 1);
    driver d = drv_attach("eo3");
    drv_packet(&d, 60);
    link_up("eo3", 0);
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLONESHOT | mode, 1));
    sprintf(text, "%s, a packet while the link is down", label);
    ep_show(text, ep);
    link_up("eo3", 1);
    sprintf(text, "%s, spent, the link comes up", label);
    ep_show(text, ep);
    MUST(ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLONESHOT | mode, 2));
    sprintf(text, "%s, armed again", label);
    ep_show(text, ep);
    drv_detach(&d);
    close(fd);
    close(ep);
}

static void failed_calls(void)
{
    int fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK)), ep = ep_make();
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT, 1));
    ep_show("unattached, one shot", ep);
    SHOW("ADD again", ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT, 1));
    ep_show("is spent all the same", ep);
    close(fd);
    fd = tun_attach("eo4", TUN, O_NONBLOCK);
    SHOW("EXCLUSIVE with RDHUP", ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP | EPOLLEXCLUSIVE, 1));
    SHOW("EXCLUSIVE with PRI", ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLPRI | EPOLLEXCLUSIVE, 1));
    SHOW("EXCLUSIVE", ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLEXCLUSIVE, 1));
    SHOW("MOD of it", ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 1));
    SHOW("MOD of it to EXCLUSIVE", ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLEXCLUSIVE, 1));
    link_up("eo4", 0);
    ep_show("down", ep);
    SHOW("MOD of it, down", ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 1));
    close(fd);
    close(ep);
}

static int sleeping_in;
static char woken[100];

static void *sleeper(void *tid)
{
    struct epoll_event e = { 0 };
    char text[160];
    atomic_store((atomic_int *)tid, (int)syscall(SYS_gettid));
    int n = epoll_wait(sleeping_in, &e, 1, 3000);
    sprintf(woken, "%d %s", n, poll_bits(text, e.events));
    return NULL;
}

static void unattached_while_somebody_sleeps(void)
{
    pthread_t thread;
    atomic_int tid = 0;
    int fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    sleeping_in = ep_make();
    if (pthread_create(&thread, NULL, sleeper, &tid) || !EVENTUALLY(atomic_load(&tid), 2000) || !sleeps(tid))
        die("does not sleep");
    MUST(ep_ctl(sleeping_in, EPOLL_CTL_ADD, fd, EPOLLIN, 1));
    pthread_join(thread, NULL);
    say("unattached, registered while somebody sleeps", "%s", woken);
    close(fd);
    close(sleeping_in);
}

static void held_by_a_child(void)
{
    gate done;
    int fd = tunnel_down("eo5"), ep = ep_make();
    gate_make(&done);
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT, 1));
    pid_t pid = child();
    if (!pid) {
        gate_wait(&done);
        _exit(0);
    }
    close(fd);
    ep_show("only a child holds it, down", ep);
    show_poll("only a child holds it, poll", ep, POLLIN, 0);
    link_up("eo5", 1);
    ep_show_for("only a child holds it, up", ep, 2000);
    gate_open(&done);
    say("the child", "%s", finish(pid));
    ep_show("nobody holds it", ep);
    close(ep);
}

static void inner_by_a_closed_number(void)
{
    int fd = tunnel_down("eo6"), inner = ep_make(), outer = ep_make(), copy = MUST(dup(inner));
    MUST(ep_ctl(inner, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT, 1));
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, copy, EPOLLIN, 2));
    close(copy);
    int other = MUST(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    ep_show("the inner one's number is another's, down", outer);
    link_up("eo6", 1);
    ep_show("the inner one's number is another's, up", outer);
    close(other);
    close(fd);
    close(inner);
    close(outer);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    closed_number("down", 1, 0);
    closed_number("down, a copy lives", 1, 1);
    closed_number("unattached", 0, 0);
    one_datum("one datum, level", 0);
    one_datum("one datum, edge", EPOLLET);
    edges();
    one_shots("level", 0);
    one_shots("edge", EPOLLET);
    failed_calls();
    unattached_while_somebody_sleeps();
    held_by_a_child();
    inner_by_a_closed_number();
    return 0;
}
