/* What a look at an instance does to what stands on its ready list: looked at while there is no
 * room it leaves the list, and comes back with the link; what nobody has looked at stays there,
 * also when the interface is deleted. */
#include "epoll_roads.h"

#define TUN (IFF_TUN | IFF_NO_PI)

static void show_select(const char *text, int fd)
{
    fd_set set;
    struct timeval t = { 0, 0 };
    FD_ZERO(&set);
    FD_SET(fd, &set);
    SHOW(text, select(fd + 1, &set, NULL, NULL, &t));
}

/* A single shot of the outer instance is not fired by an inner one that has nothing. */
static void outer_shot(int mode)
{
    static const unsigned outers[] = { EPOLLONESHOT, EPOLLET | EPOLLONESHOT, EPOLLET };
    for (int i = 0; i < 3; i++) {
        char road[60];
        int inner = ep_make(), outer = ep_make(), fd = tun_ready("el0", TUN, O_NONBLOCK);
        sprintf(road, "outer%s%s", outers[i] & EPOLLET ? " edge" : "", outers[i] & EPOLLONESHOT ? " one shot" : "");
        MUST(ep_ctl(inner, EPOLL_CTL_ADD, fd, EPOLLOUT | modes[mode].bits, 7));
        MUST(ep_ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN | outers[i], 8));
        link_up("el0", 0);
        ep_show(label(road, mode, "down"), outer);
        show_poll(label(road, mode, "down, poll"), outer, POLLIN, 0);
        show_select(label(road, mode, "down, select"), outer);
        link_up("el0", 1);
        ep_show(label(road, mode, "up"), outer);
        ep_show(label(road, mode, "up, again"), outer);
        ep_show(label(road, mode, "up, inner"), inner);
        close(fd);
        close(inner);
        close(outer);
    }
}

/* Somebody sleeps on an instance whose event is not so any more. */
static void sleeps_on_false(int mode)
{
    static const char *const hows[] = { "epoll_wait of the outer", "poll of the outer", "select of the outer" };
    for (int how = 0; how < 3; how++) {
        int inner = ep_make(), outer = ep_make(), fd = tun_ready("el1", TUN, O_NONBLOCK);
        sleeper s;
        MUST(ep_ctl(inner, EPOLL_CTL_ADD, fd, EPOLLOUT | modes[mode].bits, 7));
        MUST(ep_ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLET | EPOLLONESHOT, 8));
        link_up("el1", 0);
        sleep_in(&s, how, outer);
        say(label(hows[how], mode, "sleeps"), "%d", sleeps(s.tid) && !atomic_load(&s.done));
        link_up("el1", 1);
        pthread_join(s.thread, NULL);
        say(label(hows[how], mode, "up"), "%s", s.text);
        close(fd);
        close(inner);
        close(outer);
    }
}

/* A single shot that was fired, of an instance that has an error to tell. */
static void fired_outer(void)
{
    int inner = ep_make(), outer = ep_make(), fd = tun_ready("el2", TUN, O_NONBLOCK);
    driver d = drv_attach("el2");
    MUST(ep_ctl(inner, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT, 7));
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLONESHOT, 8));
    MUST(drv_delete(&d));
    ep_show("deleted, outer", outer);
    ep_show("deleted, outer again", outer);
    show_poll("deleted, poll of outer", outer, POLLIN, 0);
    show_select("deleted, select of outer", outer);
    show_poll("deleted, poll of inner", inner, POLLIN, 0);
    drv_detach(&d);
    close(fd);
    close(inner);
    close(outer);
}

/* Who waits for room alone is not woken by the deletion, and hears of it where the link has come up
 * before. */
static void deleted(int mode)
{
    static const char *const courses[] = { "down", "up", "up, looked at", "up and down", "down, looked at", "looked at, up",
                                           "looked at, up and down, looked at" };
    static const char *const steps[] = { "", "u", "ul", "ud", "l", "lu", "ludl" };
    for (int i = 0; i < 7; i++) {
        int e = ep_make(), fd = tun_attach("el3", TUN, O_NONBLOCK);
        struct epoll_event event;
        char road[80];
        driver d = drv_attach("el3");
        link_up("el3", 0);
        MUST(ep_ctl(e, EPOLL_CTL_ADD, fd, EPOLLOUT | modes[mode].bits, 7));
        for (const char *s = steps[i]; *s; s++)
            if (*s == 'l')
                MUST(epoll_wait(e, &event, 1, 0));
            else
                link_up("el3", *s == 'u');
        MUST(drv_delete(&d));
        sprintf(road, "deleted after %s", courses[i]);
        show_poll(label(road, mode, "poll"), e, POLLIN, 0);
        ep_show(label(road, mode, "wait"), e);
        ep_show(label(road, mode, "again"), e);
        drv_detach(&d);
        close(fd);
        close(e);
    }
}

/* A look at other descriptors is none at the tunnel. */
static void others(void)
{
    int e = ep_make(), other = ep_make(), fd = tun_ready("el4", TUN, O_NONBLOCK);
    MUST(dup2(other, 300));
    MUST(ep_ctl(e, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, 7));
    ep_show("the edge is taken", e);
    link_up("el4", 0);
    show_select("select of another", 300);
    show_poll("poll of another", other, POLLIN, 0);
    link_up("el4", 1);
    ep_show("nobody has looked at it", e);
    link_up("el4", 0);
    show_poll("poll of itself", fd, POLLOUT, 0);
    link_up("el4", 1);
    ep_show("somebody has", e);
    close(fd);
    close(e);
    close(other);
    close(300);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    /* Exclusive registrations cannot be those of an inner instance. */
    for (int mode = 0; mode < 4; mode++) {
        outer_shot(mode);
        sleeps_on_false(mode);
        deleted(mode);
    }
    fired_outer();
    others();
    return 0;
}
