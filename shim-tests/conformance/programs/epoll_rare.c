/* Epoll where a registration is not on the ready list when something happens, and where its number
 * is closed: who asked for what when the interface is deleted, a single shot that was fired, the
 * number taken by another file, edges through a nested instance. */
#include "epolls.h"

#define TUN (IFF_TUN | IFF_NO_PI)

static const struct { const char *name; unsigned bits; } asked[] = {
    { "IN", EPOLLIN },
    { "OUT", EPOLLOUT },
    { "nothing", 0 },
    { "PRI", EPOLLPRI },
    { "RDNORM and WRNORM", EPOLLRDNORM | EPOLLWRNORM },
    { "IN and OUT, one shot", EPOLLIN | EPOLLOUT | EPOLLONESHOT },
    { "OUT, one shot", EPOLLOUT | EPOLLONESHOT },
    { "OUT, edge", EPOLLOUT | EPOLLET },
    { "OUT, edge, one shot", EPOLLOUT | EPOLLET | EPOLLONESHOT },
    { "OUT, exclusive", EPOLLOUT | EPOLLEXCLUSIVE },
    { "IN, exclusive", EPOLLIN | EPOLLEXCLUSIVE },
};
#define ASKED (sizeof asked / sizeof *asked)

static const char *label(const char *road, int i, const char *when)
{
    static char text[160];
    snprintf(text, sizeof text, "%s, %s, %s", road, asked[i].name, when);
    return text;
}

static void deleted(const char *road, int i, int up, int waits_before)
{
    int ep = ep_make(), outer = ep_make(), fd = tun_attach("ex0", TUN, O_NONBLOCK);
    driver d = drv_attach("ex0");
    if (up)
        link_up("ex0", 1);
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, asked[i].bits, 7));
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 8));
    if (waits_before)
        ep_show(label(road, i, "before"), ep);
    MUST(drv_delete(&d));
    show_poll(label(road, i, "poll"), ep, POLLIN, 0);
    ep_show(label(road, i, "nested"), outer);
    ep_show(label(road, i, "deleted"), ep);
    ep_show(label(road, i, "deleted, again"), ep);
    drv_detach(&d);
    if (!waits_before) {
        close(fd);
        close(ep);
        close(outer);
        return;
    }
    /* The descriptor may have another interface, and its registration lives on. */
    MUST(tun_set_iff(fd, "ex1", TUN));
    link_up("ex1", 1);
    ep_show(label(road, i, "attached again"), ep);
    d = drv_attach("ex1");
    drv_packet(&d, 60);
    ep_show(label(road, i, "a packet"), ep);
    drv_detach(&d);
    close(fd);
    close(ep);
    close(outer);
}

/* The number that was registered is closed while another is left, and free or another file's when
   the link comes up. */
static void closed(const char *road, unsigned bits, int taken)
{
    char text[160];
    int ep = ep_make(), fd = tun_attach("ex2", TUN, O_NONBLOCK), other = MUST(fcntl(fd, F_DUPFD_CLOEXEC, 100)), file = -1;
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, bits, 7));
    snprintf(text, sizeof text, "%s, down", road);
    ep_show(text, ep);
    close(fd);
    if (taken && (file = MUST(open("/dev/null", O_RDONLY | O_CLOEXEC))) != fd)
        die("the number");
    link_up("ex2", 1);
    snprintf(text, sizeof text, "%s, up", road);
    ep_show(text, ep);
    snprintf(text, sizeof text, "%s, up, again", road);
    ep_show(text, ep);
    driver d = drv_attach("ex2");
    drv_packet(&d, 60);
    snprintf(text, sizeof text, "%s, a packet", road);
    ep_show(text, ep);
    drv_detach(&d);
    if (!taken) {
        link_up("ex2", 0);
        snprintf(text, sizeof text, "%s, down with the packet", road);
        ep_show(text, ep);
        MUST(read(other, buf, sizeof buf));
        snprintf(text, sizeof text, "%s, down without one", road);
        ep_show(text, ep);
        /* The number is the same tunnel's once more: the registration is the old one. */
        MUST(dup2(other, fd));
        snprintf(text, sizeof text, "%s, added again", road);
        SHOW(text, ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 9));
        if (!(bits & EPOLLEXCLUSIVE)) {
            snprintf(text, sizeof text, "%s, modified", road);
            SHOW(text, ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT, 9));
        }
        link_up("ex2", 1);
        snprintf(text, sizeof text, "%s, up once more", road);
        ep_show(text, ep);
        close(fd);
    } else
        close(file);
    close(other);
    close(ep);
}

/* A nested instance that is registered edge-triggered: each packet is told, also one behind
   another. */
static void nested_edges(const char *road, int added_first)
{
    char text[160];
    int inner = ep_make(), middle = ep_make(), outer = ep_make(), fd = tun_ready("ex3", TUN, O_NONBLOCK);
    driver d = drv_attach("ex3");
    if (added_first)
        MUST(ep_ctl(inner, EPOLL_CTL_ADD, fd, EPOLLIN, 7));
    MUST(ep_ctl(middle, EPOLL_CTL_ADD, inner, EPOLLIN, 8));
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, middle, EPOLLIN | EPOLLET, 9));
    if (!added_first)
        MUST(ep_ctl(inner, EPOLL_CTL_ADD, fd, EPOLLIN, 7));
    for (int i = 0; i < 3; i++) {
        drv_packet(&d, 60);
        snprintf(text, sizeof text, "%s, packet %d", road, i);
        ep_show(text, outer);
        snprintf(text, sizeof text, "%s, packet %d, again", road, i);
        ep_show(text, outer);
    }
    drv_detach(&d);
    close(fd);
    close(inner);
    close(middle);
    close(outer);
}

/* A refused registration is no look: nobody is woken for room that nobody was told is not there. */
static void refused(void)
{
    int ep = ep_make(), fd = tun_ready("ex4", TUN, O_NONBLOCK);
    MUST(ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 7));
    ep_show("refused, up", ep);
    link_up("ex4", 0);
    SHOW("refused, the second registration", ep_ctl(ep, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 7));
    link_up("ex4", 1);
    ep_show("refused, up again", ep);
    link_up("ex4", 0);
    SHOW("looked at, modified", ep_ctl(ep, EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLET, 7));
    link_up("ex4", 1);
    ep_show("looked at, up again", ep);
    close(fd);
    close(ep);
}

/* What only the library knows is an edge once, and a single shot once, in an instance around it. */
static void nested_deletion(const char *road, unsigned bits)
{
    char text[160];
    int inner = ep_make(), outer = ep_make(), fd = tun_ready("ex5", TUN, O_NONBLOCK);
    driver d = drv_attach("ex5");
    MUST(ep_ctl(inner, EPOLL_CTL_ADD, fd, EPOLLIN, 7));
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN | bits, 8));
    MUST(drv_delete(&d));
    drv_detach(&d);
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "deleted in a nested instance, %s, %d", road, i);
        ep_show(text, outer);
    }
    close(fd);
    close(inner);
    close(outer);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    for (int i = 0; i < (int)ASKED; i++) {
        deleted("up and looked at", i, 1, 1);
        if (asked[i].bits & EPOLLOUT) {
            deleted("up", i, 1, 0);
            deleted("down and looked at", i, 0, 1);
        }
        deleted("down", i, 0, 0);
    }
    closed("number free, level", EPOLLIN | EPOLLOUT, 0);
    closed("number free, edge", EPOLLIN | EPOLLOUT | EPOLLET, 0);
    closed("number free, one shot", EPOLLIN | EPOLLOUT | EPOLLONESHOT, 0);
    closed("number free, exclusive", EPOLLIN | EPOLLOUT | EPOLLEXCLUSIVE, 0);
    closed("number taken, level", EPOLLIN | EPOLLOUT, 1);
    closed("number taken, edge", EPOLLIN | EPOLLOUT | EPOLLET, 1);
    closed("number taken, one shot", EPOLLIN | EPOLLOUT | EPOLLONESHOT, 1);
    closed("number taken, exclusive", EPOLLIN | EPOLLOUT | EPOLLEXCLUSIVE, 1);
    nested_edges("nested edges", 1);
    nested_edges("nested edges, the tunnel added last", 0);
    refused();
    nested_deletion("level", 0);
    nested_deletion("edge", EPOLLET);
    nested_deletion("one shot", EPOLLONESHOT);
    return 0;
}
