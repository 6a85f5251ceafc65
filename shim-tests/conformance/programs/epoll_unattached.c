/* An epoll registration made before TUNSETIFF has no wait queue: it is looked at while it is on
 * epoll's ready list (where POLLERR has put it), and when that look finds nothing, no packet ever
 * wakes it again. EPOLL_CTL_MOD is one more look; only EPOLL_CTL_DEL and ADD give it a life. */
#include "epolls.h"

static char label[100];
static const char *kind;
#define STEP(what) (snprintf(label, sizeof label, "%s, %s", kind, what), label)

/* Attached and looked at while down: the registration leaves the ready list. */
static void looked_at_while_down(const char *name, unsigned trigger)
{
    int ep = ep_make(), fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    kind = trigger ? "ET" : "LT";
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | trigger, 7));
    ep_show(STEP("unattached"), ep);
    ep_show(STEP("unattached, again"), ep);
    MUST(tun_set_iff(fd, name, IFF_TUN | IFF_NO_PI));
    ep_show(STEP("attached"), ep);
    link_up(name, 1);
    driver d = drv_attach(name);
    drv_packet(&d, 60);
    show_poll(STEP("poll says"), fd, POLL_ALL, 0);
    ep_show(STEP("a packet"), ep);
    ep_show_for(STEP("even after a while"), ep, 50);
    drv_packet(&d, 61);
    ep_show(STEP("another packet"), ep);
    SHOW(STEP("MOD"), ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | trigger, 8));
    ep_show(STEP("seen by MOD"), ep);
    ep_show(STEP("seen by MOD, again"), ep);
    show_drain(STEP("drained"), fd);
    ep_show(STEP("empty"), ep);
    drv_packet(&d, 62);
    ep_show(STEP("a packet after MOD"), ep);
    MUST(ep_ctl(ep, EPOLL_CTL_DEL, fd, 0, 0));
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | trigger, 9));
    ep_show(STEP("DEL and ADD"), ep);
    show_drain(STEP("drained again"), fd);
    ep_show(STEP("empty again"), ep);
    drv_packet(&d, 63);
    ep_show(STEP("a packet after ADD"), ep);
    drv_detach(&d);
    close(ep);
    close(fd);
}

/* Nobody waits between TUNSETIFF and the first packet: the registration is still on the ready list.
   */
static void not_looked_at(const char *name, unsigned trigger, int wait_before)
{
    int ep = ep_make(), fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    kind = trigger ? (wait_before ? "ET, one wait before" : "ET, no wait") : wait_before ? "LT, one wait before" : "LT, no wait";
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | trigger, 7));
    if (wait_before)
        ep_show(STEP("unattached"), ep);
    MUST(tun_set_iff(fd, name, IFF_TUN | IFF_NO_PI));
    link_up(name, 1);
    driver d = drv_attach(name);
    drv_packet(&d, 60);
    ep_show(STEP("a packet"), ep);
    ep_show(STEP("again"), ep);
    show_drain(STEP("drained"), fd);
    ep_show(STEP("empty"), ep);
    drv_packet(&d, 61);
    ep_show(STEP("the next packet"), ep);
    drv_detach(&d);
    close(ep);
    close(fd);
}

/* A registration through a dup made before is as dead; one made after attaching is alive beside it.
   */
static void two_instances(void)
{
    int early = ep_make(), late = ep_make(), fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    MUST(ep_ctl(early, EPOLL_CTL_ADD, dup(fd), EPOLLIN, 1));
    MUST(tun_set_iff(fd, "eu6", IFF_TUN | IFF_NO_PI));
    ep_show("early, attached", early);
    link_up("eu6", 1);
    MUST(ep_ctl(late, EPOLL_CTL_ADD, fd, EPOLLIN, 2));
    driver d = drv_attach("eu6");
    drv_packet(&d, 60);
    ep_show("early, a packet", early);
    ep_show("late, a packet", late);
    drv_detach(&d);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    looked_at_while_down("eu0", 0);
    looked_at_while_down("eu1", EPOLLET);
    not_looked_at("eu2", 0, 1);
    not_looked_at("eu3", 0, 0);
    not_looked_at("eu4", EPOLLET, 1);
    not_looked_at("eu5", EPOLLET, 0);
    two_instances();
    return 0;
}
