/* Files of /sys and /proc that an epoll instance, poll and select wait for. */
#include "host.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#define TUN (IFF_TUN | IFF_NO_PI)
#define NET "/sys/class/net"
#define CONF "/proc/sys/net/ipv4/conf"

static const char *const files[] = { NET "/ve0/mtu", NET "/ve0/statistics/rx_bytes", NET "/ve0/uevent", CONF "/ve0/tag", "/proc/net/dev", "/proc/net/route",
                                     "/proc/sys/net/ipv4/ip_forward", "/proc/net/if_inet6" };

static void wait_for(const char *what, int all)
{
    struct epoll_event events[4];
    char text[160];
    int n = epoll_wait(all, events, 4, 0);
    SHOW(label("%s, waited", what), n);
    for (int i = 0; i < n; i++)
        say(label("%s, event %d", what, i), "%s of %x", poll_bits(text, events[i].events), (unsigned)events[i].data.u64);
}

static void each(const char *path)
{
    static const struct { const char *name; unsigned events; } asked[] = { { "in", EPOLLIN }, { "out", EPOLLOUT }, { "pri", EPOLLPRI }, { "nothing", 0 },
                                                                           { "all", EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDNORM | EPOLLWRNORM | EPOLLRDHUP },
                                                                           { "edges", EPOLLIN | EPOLLPRI | EPOLLET } };
    char text[200], what[100];
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        int all = MUST(epoll_create1(0)), fd = MUST(open(path, O_RDONLY));
        struct epoll_event event = { .events = asked[i].events, .data.u64 = 0x77 };
        snprintf(what, sizeof what, "%s, %s", path, asked[i].name);
        SHOW(label("%s, MOD before", what), epoll_ctl(all, EPOLL_CTL_MOD, fd, &event));
        SHOW(label("%s, DEL before", what), epoll_ctl(all, EPOLL_CTL_DEL, fd, NULL));
        SHOW(label("%s, ADD", what), epoll_ctl(all, EPOLL_CTL_ADD, fd, &event));
        SHOW(label("%s, ADD again", what), epoll_ctl(all, EPOLL_CTL_ADD, fd, &event));
        wait_for(label("%s, fresh", what), all);
        wait_for(label("%s, fresh again", what), all);
        (void)!read(fd, text, sizeof text);
        wait_for(label("%s, read", what), all);
        event.events = EPOLLIN | EPOLLPRI | EPOLLONESHOT;
        event.data.u64 = 0x99;
        SHOW(label("%s, MOD", what), epoll_ctl(all, EPOLL_CTL_MOD, fd, &event));
        wait_for(label("%s, once", what), all);
        wait_for(label("%s, twice", what), all);
        SHOW(label("%s, DEL", what), epoll_ctl(all, EPOLL_CTL_DEL, fd, NULL));
        wait_for(label("%s, after DEL", what), all);
        SHOW(label("%s, ADD anew", what), epoll_ctl(all, EPOLL_CTL_ADD, fd, &event));
        SHOW(label("%s, close", what), close(fd));
        wait_for(label("%s, closed", what), all);
        fd = MUST(open(path, O_RDONLY));
        (void)!read(fd, text, sizeof text);
        event.events = EPOLLIN | EPOLLPRI;
        SHOW(label("%s, ADD of one that was read", what), epoll_ctl(all, EPOLL_CTL_ADD, fd, &event));
        wait_for(label("%s, one that was read", what), all);
        SHOW(label("%s, a bad pointer", what), epoll_ctl(all, EPOLL_CTL_MOD, fd, NULL));
        SHOW(label("%s, a bad operation", what), epoll_ctl(all, 9, fd, &event));
        SHOW(label("%s, not an instance", what), epoll_ctl(fd, EPOLL_CTL_ADD, fd, &event));
        close(fd);
        close(all);
    }
}

/* The same in poll and select, which do not wait as long as a file says that it has changed. */
static void polls(const char *path)
{
    static const struct { const char *name; short events; } asked[] = { { "in", POLLIN }, { "pri", POLLPRI }, { "nothing", 0 }, { "out", POLLOUT | POLLWRNORM },
                                                                        { "all", POLLIN | POLLOUT | POLLPRI | POLLRDNORM } };
    char text[200], what[100];
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        for (int how = 0; how < 3; how++) {
            int fd = MUST(open(path, O_RDONLY));
            struct pollfd p[2] = { { .fd = fd, .events = asked[i].events }, { .fd = -1 } };
            struct timespec none = { 0 };
            snprintf(what, sizeof what, "%s, %s, %d", path, asked[i].name, how);
            for (int reads = 0; reads < 2; reads++) {
                SHOW(label("%s, poll, read %d", what, reads), how == 2 ? ppoll(p, 2, &none, NULL) : how ? poll(p, 1, 0) : syscall(SYS_poll, p, 2, 0));
                say(label("%s, poll says, read %d", what, reads), "%s", poll_bits(text, p[0].revents));
                fd_set r, w, x;
                FD_ZERO(&r);
                FD_ZERO(&w);
                FD_ZERO(&x);
                if (asked[i].events & POLLIN)
                    FD_SET(fd, &r);
                if (asked[i].events & POLLOUT)
                    FD_SET(fd, &w);
                if (asked[i].events & POLLPRI)
                    FD_SET(fd, &x);
                SHOW(label("%s, select, read %d", what, reads), how == 2 ? pselect(fd + 1, &r, &w, &x, &none, NULL) : select(fd + 1, &r, &w, &x, &(struct timeval){ 0 }));
                say(label("%s, select says, read %d", what, reads), "%d %d %d", !!FD_ISSET(fd, &r), !!FD_ISSET(fd, &w), !!FD_ISSET(fd, &x));
                (void)!read(fd, text, sizeof text);
            }
            close(fd);
        }
    /* Without a limit, because it does not wait. */
    if (strncmp(path, "/sys", 4))
        return;
    int fd = MUST(open(path, O_RDONLY));
    struct pollfd p = { .fd = fd, .events = POLLPRI };
    SHOW(label("%s, poll without a limit", path), poll(&p, 1, -1));
    fd_set x;
    FD_ZERO(&x);
    FD_SET(fd, &x);
    SHOW(label("%s, select without a limit", path), select(fd + 1, NULL, NULL, &x, NULL));
    FILE *stream = fdopen(fd, "r");
    SHOW(label("%s, a line", path), fgets(text, sizeof text, stream) ? 0 : -1);
    SHOW(label("%s, poll behind a stream", path), poll(&p, 1, 0));
    fclose(stream);
}

static void together(void)
{
    int all = MUST(epoll_create1(0)), other = MUST(epoll_create1(0)), one = MUST(open(files[0], O_RDWR)), two = MUST(open(files[3], O_RDONLY));
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = 1 };
    SHOW("the first", epoll_ctl(all, EPOLL_CTL_ADD, one, &event));
    event.data.u64 = 2;
    SHOW("the second", epoll_ctl(all, EPOLL_CTL_ADD, two, &event));
    SHOW("the second in another", epoll_ctl(other, EPOLL_CTL_ADD, two, &event));
    struct epoll_event events[4];
    SHOW("both", epoll_wait(all, events, 4, 0));
    SHOW("the other", epoll_wait(other, events, 4, 0));
    SHOW("DEL of the second", epoll_ctl(all, EPOLL_CTL_DEL, two, NULL));
    SHOW("one", epoll_wait(all, events, 4, 0));
    SHOW("the other still", epoll_wait(other, events, 4, 0));
    int only = MUST(open(files[0], O_PATH)), dir = MUST(open(NET "/ve0", O_RDONLY | O_DIRECTORY));
    SHOW("ADD of O_PATH", epoll_ctl(all, EPOLL_CTL_ADD, only, &event));
    SHOW("ADD of a folder", epoll_ctl(all, EPOLL_CTL_ADD, dir, &event));
    SHOW("syscall ADD", syscall(SYS_epoll_ctl, all, EPOLL_CTL_ADD, two, &event));
    SHOW("both again", epoll_wait(all, events, 4, 0));
    SHOW("replaced", dup2(dir, two) == two ? 0 : -1);
    SHOW("one again", epoll_wait(all, events, 4, 0));
    SHOW("the other has none", epoll_wait(other, events, 4, 0));
    pid_t pid = child();
    if (!pid)
        _exit(epoll_wait(all, events, 4, 0));
    int status;
    MUST(waitpid(pid, &status, 0));
    SHOW("in a child", WEXITSTATUS(status));
    close(only);
    close(dir);
    close(one);
    close(two);
    close(all);
    close(other);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    own_sysfs();
    close(tun_attach("ve9", TUN, 0));
    spit("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    int tun = tun_attach("ve0", TUN, 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        each(files[i]), polls(files[i]);
    together();
    close(tun);
    return 0;
}
