/* An epoll instance by any road: another descriptor of it, a child, a message, another epoll, poll
 * and select; registered while the link is down, before somebody waits or while somebody sleeps; in
 * every mode. */
#include "epoll_roads.h"

#define TUN (IFF_TUN | IFF_NO_PI)

/* The waits of one side, in turn with the far side's doings. */
static void down_and_up(const char *road, int mode, int registers, int waits)
{
    int fd = tun_attach("er0", TUN, O_NONBLOCK);
    link_up("er0", 0);
    MUST(ep_ctl(registers, EPOLL_CTL_ADD, fd, asked(mode), 7));
    ep_show(label(road, mode, "down"), waits);
    ep_show(label(road, mode, "down, again"), waits);
    link_up("er0", 1);
    ep_show(label(road, mode, "up"), waits);
    ep_show(label(road, mode, "up, again"), waits);
    driver d = drv_attach("er0");
    drv_packet(&d, 60);
    ep_show(label(road, mode, "a packet"), waits);
    drv_detach(&d);
    link_up("er0", 0);
    ep_show(label(road, mode, "down with a packet"), waits);
    MUST(read(fd, buf, sizeof buf));
    ep_show(label(road, mode, "down, read"), waits);
    link_up("er0", 1);
    ep_show(label(road, mode, "up once more"), waits);
    close(fd);
    close(registers);
    if (waits != registers)
        close(waits);
}

static void copies(int mode)
{
    int e = ep_make();
    down_and_up("one descriptor", mode, e, e);
    e = ep_make();
    down_and_up("the copy waits", mode, e, MUST(fcntl(e, F_DUPFD_CLOEXEC, 3)));
    e = ep_make();
    down_and_up("the copy registers", mode, MUST(fcntl(e, F_DUPFD_CLOEXEC, 3)), e);
    e = ep_make();
    int other = MUST(dup(e)), third = MUST(dup2(other, 200));
    close(other);
    down_and_up("a copy of a copy waits", mode, e, third);
    /* Numbers that were another instance's. */
    e = ep_make();
    other = MUST(dup(e));
    close(e);
    e = ep_make();
    down_and_up("the number was another's", mode, other, other);
    close(e);
}

static void nested(int mode)
{
    int inner = ep_make(), outer = ep_make(), top = ep_make(), fd = tun_attach("er1", TUN, O_NONBLOCK);
    link_up("er1", 0);
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 8));
    MUST(ep_ctl(top, EPOLL_CTL_ADD, outer, EPOLLIN, 9));
    MUST(ep_ctl(inner, EPOLL_CTL_ADD, fd, asked(mode), 7));
    ep_show(label("nested", mode, "down, outer"), outer);
    ep_show(label("nested", mode, "down, top"), top);
    show_poll(label("nested", mode, "down, poll of inner"), inner, POLLIN, 0);
    show_poll(label("nested", mode, "down, poll of top"), top, POLLIN, 0);
    link_up("er1", 1);
    ep_show(label("nested", mode, "up, top"), top);
    ep_show(label("nested", mode, "up, outer"), outer);
    show_poll(label("nested", mode, "up, poll of outer"), outer, POLLIN, 0);
    ep_show(label("nested", mode, "up, inner"), inner);
    close(fd);
    close(inner);
    close(outer);
    close(top);
}

/* Somebody sleeps in the wait while another thread registers, and the link comes up. */
static void sleepers(int mode)
{
    static const char *const hows[] = { "epoll_wait", "poll of it", "select of it", "epoll_wait on the outer one" };
    char road[80];
    for (int how = 0; how < 4; how++) {
        int e = ep_make(), copy = MUST(dup(e)), outer = ep_make(), fd = tun_attach("er2", TUN, O_NONBLOCK);
        sleeper s;
        link_up("er2", 0);
        MUST(ep_ctl(outer, EPOLL_CTL_ADD, e, EPOLLIN, 8));
        sleep_in(&s, how == 3 ? 0 : how, how == 3 ? outer : e);
        MUST(ep_ctl(copy, EPOLL_CTL_ADD, fd, asked(mode), 7));
        sprintf(road, "asleep in %s", hows[how]);
        say(label(road, mode, "goes on sleeping"), "%d", sleeps(s.tid) && !atomic_load(&s.done));
        link_up("er2", 1);
        pthread_join(s.thread, NULL);
        say(label(road, mode, "up"), "%s", s.text);
        close(fd);
        close(e);
        close(copy);
        close(outer);
    }
}

/* Somebody sleeps in the wait while another thread reads the last packet and registers after it. */
static void read_before(int mode)
{
    static const char *const hows[] = { "epoll_wait", "poll of it", "select of it", "epoll_wait on the outer one" };
    char road[80];
    unsigned in = EPOLLIN | modes[mode].bits;
    for (int how = 0; how < 4; how++) {
        int e = ep_make(), outer = ep_make(), fd = tun_ready("er7", TUN, O_NONBLOCK);
        driver d = drv_attach("er7");
        sleeper s;
        MUST(ep_ctl(outer, EPOLL_CTL_ADD, e, EPOLLIN | (modes[mode].bits & (EPOLLET | EPOLLONESHOT)), 8));
        sleep_in(&s, how == 3 ? 0 : how, how == 3 ? outer : e);
        drv_packet(&d, 60);
        MUST(read(fd, buf, sizeof buf));
        MUST(ep_ctl(e, EPOLL_CTL_ADD, fd, in, 7));
        sprintf(road, "the last packet read, asleep in %s", hows[how]);
        say(label(road, mode, "goes on sleeping"), "%d", sleeps(s.tid) && !atomic_load(&s.done));
        drv_packet(&d, 61);
        pthread_join(s.thread, NULL);
        say(label(road, mode, "another packet"), "%s", s.text);
        MUST(read(fd, buf, sizeof buf));
        if (!(modes[mode].bits & EPOLLEXCLUSIVE))
            MUST(ep_ctl(e, EPOLL_CTL_MOD, fd, in, 7));
        ep_show(label(road, mode, "read and asked anew"), e);
        drv_packet(&d, 62);
        ep_show(label(road, mode, "a third packet"), e);
        drv_detach(&d);
        close(fd);
        close(e);
        close(outer);
    }
}

/* In a child that has inherited both descriptors. */
static void inherited(int mode)
{
    gate told, heard;
    int e = ep_make(), fd = tun_attach("er3", TUN, O_NONBLOCK);
    gate_make(&told);
    gate_make(&heard);
    link_up("er3", 0);
    MUST(ep_ctl(e, EPOLL_CTL_ADD, fd, asked(mode), 7));
    pid_t pid = child();
    if (!pid) {
        ep_show(label("inherited", mode, "down"), e);
        gate_open(&told);
        gate_wait(&heard);
        ep_show(label("inherited", mode, "up"), e);
        fflush(stdout);
        _exit(0);
    }
    gate_wait(&told);
    link_up("er3", 1);
    gate_open(&heard);
    say(label("inherited", mode, "child"), "%s", finish(pid));
    close(fd);
    close(e);
}

/* In a process that had neither and gets both, or the epoll alone, in a message. */
static void passed(int mode, int both)
{
    const char *road = both ? "passed with the tunnel" : "passed alone";
    int ends[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    gate told, heard;
    gate_make(&told);
    gate_make(&heard);
    pid_t pid = child();
    if (!pid) {
        int got[2], spare = open("/dev/null", O_RDONLY);
        MUST(dup2(spare, 90));
        receive_fds(ends[1], got, both ? 2 : 1);
        ep_show_for(label(road, mode, "down"), got[0], 50);
        gate_open(&told);
        gate_wait(&heard);
        ep_show_for(label(road, mode, "up"), got[0], 2000);
        fflush(stdout);
        _exit(0);
    }
    int e = ep_make(), fd = tun_attach("er4", TUN, O_NONBLOCK), both_fds[2] = { e, fd };
    link_up("er4", 0);
    MUST(ep_ctl(e, EPOLL_CTL_ADD, fd, asked(mode), 7));
    send_fds(ends[0], both_fds, both ? 2 : 1);
    gate_wait(&told);
    link_up("er4", 1);
    gate_open(&heard);
    say(label(road, mode, "child"), "%s", finish(pid));
    close(fd);
    close(e);
    close(ends[0]);
    close(ends[1]);
}

/* The next program image waits. */
static void exec_side(const char *mode, int e)
{
    int m = atoi(mode);
    ep_show(label("over exec", m, "down"), e);
    link_up("er5", 1);
    ep_show(label("over exec", m, "up"), e);
}

static void over_exec(int mode, const char *self)
{
    char digits[2][12];
    int e = MUST(epoll_create1(0)), fd = tun_attach("er5", TUN, O_NONBLOCK);
    link_up("er5", 0);
    MUST(ep_ctl(e, EPOLL_CTL_ADD, fd, asked(mode), 7));
    ep_show(label("over exec", mode, "down, before"), e);
    pid_t pid = child();
    if (!pid) {
        sprintf(digits[0], "%d", mode);
        sprintf(digits[1], "%d", e);
        execv(self, (char *[]){ (char *)self, "--over-exec", digits[0], digits[1], NULL });
        _exit(96);
    }
    say(label("over exec", mode, "child"), "%s", finish(pid));
    close(fd);
    close(e);
}

/* The registered number is closed, and the tunnel lives on. */
static void number_closed(int mode)
{
    int e = ep_make(), fd = tun_attach("er6", TUN, O_NONBLOCK), other = MUST(dup(fd));
    link_up("er6", 0);
    MUST(ep_ctl(e, EPOLL_CTL_ADD, other, asked(mode), 7));
    close(other);
    ep_show_for(label("the number is closed", mode, "down"), e, 50);
    link_up("er6", 1);
    ep_show_for(label("the number is closed", mode, "up"), e, 2000);
    close(fd);
    close(e);
}

int main(int argc, char **argv)
{
    if (argc > 3 && !strcmp(argv[1], "--over-exec")) {
        char *plain[] = { argv[0], NULL };
        start(1, plain);
        exec_side(argv[2], atoi(argv[3]));
        return 0;
    }
    start(argc, argv);
    for (int mode = 0; mode < (int)MODES; mode++) {
        copies(mode);
        nested(mode);
        inherited(mode);
        over_exec(mode, "/proc/self/exe");
        passed(mode, 1);
        passed(mode, 0);
        number_closed(mode);
        sleepers(mode);
        read_before(mode);
    }
    return 0;
}
