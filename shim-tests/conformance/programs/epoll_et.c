/* Edge-triggered epoll: every packet is an edge, and the edge carries what is true at the time. */
#include "epolls.h"

#define EDGE (EP_ALL | EPOLLET)

static void edges(void)
{
    int ep = ep_make(), fd = tun_attach("ee0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EDGE, 7));
    ep_show("down", ep);
    link_up("ee0", 1);
    ep_show("link up", ep);
    ep_show("then silence", ep);
    driver d = drv_attach("ee0");
    drv_packet(&d, 60);
    ep_show("first packet", ep);
    ep_show("first packet, once", ep);
    drv_packet(&d, 61);
    ep_show("second packet, nothing was drained", ep);
    ep_show("second packet, once", ep);
    MUST(read(fd, buf, sizeof buf));
    ep_show("reading one of two makes no edge", ep);
    MUST(read(fd, buf, sizeof buf));
    ep_show("reading the last makes no edge", ep);
    drv_packet(&d, 60);
    drv_packet(&d, 61);
    ep_show("two packets before the wait", ep);
    ep_show("are one event", ep);
    MUST(read(fd, buf, sizeof buf));
    MUST(read(fd, buf, sizeof buf));
    drv_packet(&d, 60);
    MUST(read(fd, buf, sizeof buf));
    ep_show("a packet read before the wait", ep);
    MUST(write(fd, packet(buf, 60), 60));
    ep_show("a write makes no edge", ep);
    SHOW("draining read on empty", read(fd, buf, sizeof buf));
    ep_show("EAGAIN makes no edge", ep);
    drv_packet(&d, 60);
    ep_show("a packet after EAGAIN", ep);
    drv_detach(&d);
    close(ep);
    close(fd);
}

static void link_state(void)
{
    int ep = ep_make(), fd = tun_ready("ee1", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EDGE, 7));
    ep_show("registered while up", ep);
    link_up("ee1", 0);
    ep_show("down makes no edge, and was polled", ep);
    show_poll("polled while down", fd, POLL_ALL, 0);
    link_up("ee1", 1);
    ep_show("up after it was polled while down", ep);
    link_up("ee1", 0);
    link_up("ee1", 1);
    ep_show("up when nobody polled it while down", ep);
    close(ep);
    close(fd);
}

static void registrations(void)
{
    int ep = ep_make(), fd = tun_ready("ee2", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("ee2");
    drv_packet(&d, 60);
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 7));
    ep_show("a packet was waiting", ep);
    ep_show("once", ep);
    SHOW("MOD", ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET, 9));
    ep_show("MOD arms again", ep);
    MUST(read(fd, buf, sizeof buf));
    SHOW("MOD when empty", ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET, 10));
    ep_show("nothing", ep);
    drv_packet(&d, 60);
    ep_show_for("a packet, IN only", ep, 5000);
    SHOW("MOD one shot", ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET | EPOLLONESHOT, 11));
    ep_show("one shot edge", ep);
    drv_packet(&d, 61);
    ep_show("one shot is spent", ep);
    drv_detach(&d);
    close(ep);
    close(fd);
}

/* One description, two epoll instances and a level-triggered one beside them. */
static void several(void)
{
    int a = ep_make(), b = ep_make(), level = ep_make(), fd = tun_ready("ee3", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("ee3");
    MUST(ep_ctl(a, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 1));
    MUST(ep_ctl(b, EPOLL_CTL_ADD, dup(fd), EPOLLIN | EPOLLET, 2));
    MUST(ep_ctl(level, EPOLL_CTL_ADD, fd, EPOLLIN, 3));
    for (int i = 0; i < 2; i++) {
        drv_packet(&d, 60 + i);
        ep_show(i ? "second packet, a" : "first packet, a", a);
        ep_show(i ? "second packet, b" : "first packet, b", b);
        ep_show(i ? "second packet, level" : "first packet, level", level);
    }
    show_drain("both are there", fd);
    ep_show("drained, level", level);
    drv_detach(&d);
}

static void many_edges(void)
{
    int ep = ep_make(), fd = tun_ready("ee4", IFF_TUN | IFF_NO_PI, O_NONBLOCK), seen = 0;
    driver d = drv_attach("ee4");
    struct epoll_event e;
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 1));
    for (int i = 0; i < 200; i++) {
        drv_packet(&d, 60 + i);
        seen += epoll_wait(ep, &e, 1, 0);
    }
    say("200 packets undrained, edges", "%d", seen);
    show_drain("200 packets undrained, kept", fd);
    drv_detach(&d);
}

static void deleted(void)
{
    int ep = ep_make(), fd = tun_ready("ee5", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("ee5");
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EDGE, 7));
    ep_show("before deletion", ep);
    show_result("delete", drv_delete(&d));
    ep_show("deleted", ep);
    ep_show("deleted, once", ep);
    drv_detach(&d);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    edges();
    link_state();
    registrations();
    several();
    many_edges();
    deleted();
    return 0;
}
