/* Level-triggered epoll, EPOLLONESHOT, duplicates, nesting. */
#include "epolls.h"

static void levels(void)
{
    int ep = ep_make(), fd = tun_attach("el0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    SHOW("MOD before ADD", ep_ctl(ep, EPOLL_CTL_MOD, fd, EP_ALL, 7));
    SHOW("ADD", ep_ctl(ep, EPOLL_CTL_ADD, fd, EP_ALL, 7));
    SHOW("ADD twice", ep_ctl(ep, EPOLL_CTL_ADD, fd, EP_ALL, 7));
    ep_show("down", ep);
    link_up("el0", 1);
    ep_show("up", ep);
    ep_show("up, again", ep);
    driver d = drv_attach("el0");
    drv_packet(&d, 60);
    ep_show("a packet", ep);
    ep_show("a packet, again", ep);
    MUST(read(fd, buf, sizeof buf));
    ep_show("read", ep);
    SHOW("MOD to IN", ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 8));
    ep_show("IN only, empty", ep);
    drv_packet(&d, 60);
    drv_packet(&d, 61);
    ep_show_for("IN only, two packets", ep, 5000);
    MUST(read(fd, buf, sizeof buf));
    ep_show("one read", ep);
    MUST(read(fd, buf, sizeof buf));
    ep_show("both read", ep);
    SHOW("MOD to no events", ep_ctl(ep, EPOLL_CTL_MOD, fd, 0, 9));
    drv_packet(&d, 60);
    ep_show("no events asked", ep);
    SHOW("MOD to IN with a packet there", ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 10));
    ep_show("it is reported", ep);
    link_up("el0", 0);
    ep_show("down with a packet", ep);
    MUST(read(fd, buf, sizeof buf));
    ep_show("down, read", ep);
    SHOW("DEL", ep_ctl(ep, EPOLL_CTL_DEL, fd, 0, 0));
    SHOW("DEL again", ep_ctl(ep, EPOLL_CTL_DEL, fd, 0, 0));
    drv_detach(&d);
    close(ep);
    close(fd);
}

static void one_shot(void)
{
    int ep = ep_make(), fd = tun_ready("el1", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("el1");
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT, 7));
    drv_packet(&d, 60);
    ep_show("one shot, first packet", ep);
    drv_packet(&d, 61);
    ep_show("one shot, second packet", ep);
    SHOW("one shot, MOD", ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 10));
    ep_show("one shot, after MOD", ep);
    ep_show("one shot, spent", ep);
    drv_detach(&d);
    close(ep);
    close(fd);
}

static void duplicates(void)
{
    int ep = ep_make(), fd = tun_ready("el2", IFF_TUN | IFF_NO_PI, O_NONBLOCK), a = dup(fd), b = dup(fd);
    driver d = drv_attach("el2");
    struct epoll_event e[8];
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1));
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, a, EPOLLIN, 2));
    drv_packet(&d, 60);
    SHOW("fd and dup are both reported", epoll_wait(ep, e, 8, 0));
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, b, EPOLLIN, 3));
    close(a);
    SHOW("closing a dup leaves its entry", epoll_wait(ep, e, 8, 0));
    close(b);
    close(fd);
    say("the interface does not live by epoll", "%d", exists("el2"));
    SHOW("the entries are gone with the last descriptor", epoll_wait(ep, e, 8, 0));
    drv_detach(&d);
    close(ep);
}

static void nested(void)
{
    int inner = ep_make(), outer = ep_make(), fd = tun_ready("el3", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("el3");
    MUST(ep_ctl(inner, EPOLL_CTL_ADD, fd, EPOLLIN, 1));
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 7));
    ep_show("nested, empty", outer);
    drv_packet(&d, 60);
    ep_show("nested, a packet", outer);
    show_poll("poll of the epoll", inner, POLLIN, 0);
    drv_detach(&d);
    close(inner);
    close(outer);
    close(fd);
}

static void deleted(void)
{
    int ep = ep_make(), fd = tun_ready("el4", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("el4");
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 7));
    ep_show("before deletion", ep);
    show_result("delete", drv_delete(&d));
    ep_show("deleted", ep);
    ep_show("deleted, again", ep);
    drv_detach(&d);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    levels();
    one_shot();
    duplicates();
    nested();
    deleted();
    return 0;
}
