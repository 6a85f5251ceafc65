/* An epoll instance that two processes have: what the one registers, changes or takes out holds for
 * the other, which waits. It is shared by a fork or by a message, before anything is registered. */
#include "epoll_roads.h"

#define TUN (IFF_TUN | IFF_NO_PI)

/* The other process does what it is told, one thing after the other. */
typedef struct {
    pid_t pid;
    int sock;
} other;

typedef struct {
    char what;
    unsigned events;
    char label[300];
} order;

enum how { FORKED, PASSED_ALONE, PASSED_WITH_TUNNEL };
static const char *const roads[] = { "forked", "passed alone", "passed with the tunnel" };

static void obey(int sock, int e, int fd)
{
    order o;
    while (read(sock, &o, sizeof o) == sizeof o) {
        if (o.what == 'w')
            ep_show_for(o.label, e, 0);
        else if (o.what == 'l')
            ep_show_for(o.label, e, 2000);
        else if (o.what == 'q')
            break;
        else
            MUST(ep_ctl(e, o.what == 'a' ? EPOLL_CTL_ADD : o.what == 'm' ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, fd, o.events, 7));
        fflush(stdout);
        MUST(write(sock, "d", 1));
    }
    fflush(stdout);
    _exit(0);
}

static void tell(other *o, char what, unsigned events, const char *text)
{
    order out = { .what = what, .events = events };
    char done;
    snprintf(out.label, sizeof out.label, "%s", text ? text : "");
    fflush(stdout);
    MUST(write(o->sock, &out, sizeof out));
    if (what != 'q' && read(o->sock, &done, 1) != 1)
        die("the other process");
}

/* The instance, the tunnel (its link is down) and the other process. */
static other share(enum how how, const char *name, int *e, int *fd)
{
    int ends[2];
    other o;
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    if (how == FORKED) {
        *e = ep_make();
        *fd = tun_attach(name, TUN, O_NONBLOCK);
        link_up(name, 0);
    }
    o.pid = child();
    o.sock = ends[0];
    if (!o.pid) {
        int got[2] = { *e, *fd };
        close(ends[0]);
        if (how != FORKED)
            receive_fds(ends[1], got, how == PASSED_ALONE ? 1 : 2);
        obey(ends[1], got[0], got[1]);
    }
    close(ends[1]);
    if (how != FORKED) {
        *e = ep_make();
        *fd = tun_attach(name, TUN, O_NONBLOCK);
        link_up(name, 0);
        send_fds(o.sock, (int[]){ *e, *fd }, how == PASSED_ALONE ? 1 : 2);
        /* It has arrived when an answer comes. */
        tell(&o, 'w', 0, label("arrived", 0, name));
    }
    return o;
}

static void part(other *o, const char *text, int e, int fd)
{
    tell(o, 'q', 0, NULL);
    say(text, "%s", finish(o->pid));
    close(o->sock);
    close(fd);
    close(e);
}

static const char *road(enum how how, const char *what)
{
    static char road_text[120];
    snprintf(road_text, sizeof road_text, "%s, %s", roads[how], what);
    return road_text;
}

/* The other one registers, this one waits; then it changes that, and takes it out. */
static void other_registers(enum how how, int mode)
{
    int e, fd;
    char name[16];
    snprintf(name, sizeof name, "eo%d%d", how, mode);
    other o = share(how, name, &e, &fd);
    const char *r = road(how, "the other registers");
    tell(&o, 'a', asked(mode), NULL);
    ep_show(label(r, mode, "down"), e);
    ep_show(label(r, mode, "down, again"), e);
    link_up(name, 1);
    ep_show(label(r, mode, "up"), e);
    link_up(name, 0);
    if (!(modes[mode].bits & EPOLLEXCLUSIVE)) {
        tell(&o, 'm', asked(mode), NULL);
        ep_show(label(r, mode, "changed, down"), e);
        link_up(name, 1);
        ep_show(label(r, mode, "changed, up"), e);
        tell(&o, 'm', EPOLLIN | modes[mode].bits, NULL);
        link_up(name, 0);
        link_up(name, 1);
        ep_show(label(r, mode, "input alone"), e);
    }
    link_up(name, 0);
    tell(&o, 'd', 0, NULL);
    ep_show(label(r, mode, "taken out, down"), e);
    link_up(name, 1);
    ep_show(label(r, mode, "taken out, up"), e);
    part(&o, label(r, mode, "ends"), e, fd);
}

/* The other way round. */
static void other_waits(enum how how, int mode)
{
    int e, fd;
    char name[16], text[300];
    snprintf(name, sizeof name, "ew%d%d", how, mode);
    other o = share(how, name, &e, &fd);
    const char *r = road(how, "the other waits");
    MUST(ep_ctl(e, EPOLL_CTL_ADD, fd, asked(mode), 7));
    tell(&o, 'w', 0, label(r, mode, "down"));
    tell(&o, 'w', 0, label(r, mode, "down, again"));
    link_up(name, 1);
    /* Who does not hold the tunnel looks every few milliseconds. */
    tell(&o, how == PASSED_ALONE ? 'l' : 'w', 0, label(r, mode, "up"));
    link_up(name, 0);
    if (!(modes[mode].bits & EPOLLEXCLUSIVE)) {
        MUST(ep_ctl(e, EPOLL_CTL_MOD, fd, asked(mode), 7));
        tell(&o, 'w', 0, label(r, mode, "changed, down"));
        link_up(name, 1);
        tell(&o, how == PASSED_ALONE ? 'l' : 'w', 0, label(r, mode, "changed, up"));
    }
    link_up(name, 0);
    MUST(ep_ctl(e, EPOLL_CTL_DEL, fd, 0, 0));
    tell(&o, 'w', 0, label(r, mode, "taken out, down"));
    link_up(name, 1);
    tell(&o, 'w', 0, label(r, mode, "taken out, up"));
    snprintf(text, sizeof text, "%s", label(r, mode, "ends"));
    part(&o, text, e, fd);
}

/* Both wait in turn: a single shot that the one got is fired for the other, too, and so is an edge.
 * */
static void both_wait(enum how how, int mode)
{
    int e, fd;
    char name[16];
    snprintf(name, sizeof name, "eb%d%d", how, mode);
    other o = share(how, name, &e, &fd);
    const char *r = road(how, "both wait");
    MUST(ep_ctl(e, EPOLL_CTL_ADD, fd, asked(mode), 7));
    ep_show(label(r, mode, "down, this one"), e);
    tell(&o, 'w', 0, label(r, mode, "down, the other"));
    link_up(name, 1);
    ep_show(label(r, mode, "up, this one"), e);
    tell(&o, 'w', 0, label(r, mode, "up, the other"));
    link_up(name, 0);
    ep_show(label(r, mode, "down again, this one"), e);
    tell(&o, 'w', 0, label(r, mode, "down again, the other"));
    link_up(name, 1);
    tell(&o, 'w', 0, label(r, mode, "up again, the other"));
    ep_show(label(r, mode, "up again, this one"), e);
    part(&o, label(r, mode, "both end"), e, fd);
}

/* This one sleeps while the other registers. */
static void asleep(enum how how, int mode)
{
    static const char *const hows[] = { "epoll_wait", "poll", "select" };
    char text[80], name[16];
    for (int wait = 0; wait < 3; wait++) {
        int e, fd;
        sleeper s;
        snprintf(name, sizeof name, "es%d%d%d", how, mode, wait);
        other o = share(how, name, &e, &fd);
        snprintf(text, sizeof text, "%s, asleep in %s", roads[how], hows[wait]);
        sleep_in(&s, wait, e);
        tell(&o, 'a', asked(mode), NULL);
        say(label(text, mode, "goes on sleeping"), "%d", sleeps(s.tid) && !atomic_load(&s.done));
        link_up(name, 1);
        pthread_join(s.thread, NULL);
        say(label(text, mode, "up"), "%s", s.text);
        part(&o, label(text, mode, "ends"), e, fd);
    }
}

int main(int argc, char **argv)
{
    start(argc, argv);
    for (int mode = 0; mode < (int)MODES; mode++) {
        for (int how = FORKED; how <= PASSED_WITH_TUNNEL; how++) {
            other_waits(how, mode);
            if (how == PASSED_ALONE)
                continue;
            other_registers(how, mode);
            both_wait(how, mode);
            asleep(how, mode);
        }
    }
    return 0;
}
