/* Signal-driven input through duplicates, with other owners, and when another process deletes the
   interface. */
#include "driver.h"
#include <sys/resource.h>

static unsigned char buf[2048];
static sigset_t both;
static int tun, copy;

static const char *number(int fd)
{
    return fd == tun ? "first" : fd == copy ? "copy" : "other";
}

/* The pending signals, in a line. */
static void show_signals(const char *label, int wait_ms)
{
    char line[800] = "", band[160];
    siginfo_t info;
    struct timespec t = { 0, wait_ms * 1000000L };
    int n;
    while ((n = sigtimedwait(&both, &info, &t)) != -1) {
        char *end = line + strlen(line);
        if (n == SIGIO && info.si_code == SI_KERNEL)
            sprintf(end, " SIGIO");
        else
            sprintf(end, " %s %s band=%s fd=%s", n == SIGIO ? "SIGIO" : "RT",
                    info.si_code == POLL_IN ? "POLL_IN" : info.si_code == POLL_OUT ? "POLL_OUT" : "other",
                    poll_bits(band, info.si_band), number(info.si_fd));
        t.tv_nsec = 0;
    }
    say(label, "%s", *line ? line + 1 : "none");
}

static void asynchronous(int fd, int on)
{
    int flags = fcntl(fd, F_GETFL);
    MUST(fcntl(fd, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC));
}

/* A packet, what it signals, and what reading it through `fd` signals. */
static void packet_in(const char *what, driver *d, int fd)
{
    char label[100];
    drv_packet(d, 60);
    snprintf(label, sizeof label, "%s, a packet", what);
    show_signals(label, 20);
    if (fd < 0)
        return;
    snprintf(label, sizeof label, "%s, read", what);
    SHOW(label, read(fd, buf, sizeof buf));
    snprintf(label, sizeof label, "%s, signals of the read", what);
    show_signals(label, 5);
}

static void duplicates(int signum)
{
    char what[60];
    const char *kind = signum ? "F_SETSIG" : "SIGIO";
    tun = tun_ready("sd0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("sd0");
    if (signum)
        MUST(fcntl(tun, F_SETSIG, signum));
    asynchronous(tun, 1);
    close(dup(tun));
#define WHAT(text) (snprintf(what, sizeof what, "%s, %s", kind, text), what)
    packet_in(WHAT("after close(dup)"), &d, tun);
    copy = MUST(dup(tun));
    packet_in(WHAT("with a copy"), &d, copy);
    packet_in(WHAT("again"), &d, tun);
    packet_in(WHAT("and again"), &d, -1);
    SHOW(WHAT("drained through the copy"), read(copy, buf, sizeof buf));
    show_signals(WHAT("draining"), 5);
    asynchronous(copy, 1);
    packet_in(WHAT("O_ASYNC set again through the copy"), &d, tun);
    asynchronous(copy, 0);
    packet_in(WHAT("O_ASYNC taken back through the copy"), &d, copy);
    asynchronous(copy, 1);
    packet_in(WHAT("set through the copy"), &d, tun);
    close(copy);
    packet_in(WHAT("the copy closed"), &d, tun);
    packet_in(WHAT("the copy closed, again"), &d, tun);
    show_result(WHAT("deleted here"), drv_delete(&d));
    show_signals(WHAT("signals of that"), 20);
    SHOW(WHAT("read"), read(tun, buf, sizeof buf));
    show_poll(WHAT("poll"), tun, POLL_ALL, 0);
    drv_detach(&d);
    close(tun);
    copy = -1;
}

/* The owner as fcntl tells it, before and after a packet came and went. */
static void show_owner(const char *what, int fd, driver *d)
{
    char label[100];
    struct f_owner_ex owner = { -1, -1 };
    for (int i = 0; i < 2; i++) {
        int me = getpid(), got;
        MUST(fcntl(fd, F_GETOWN_EX, &owner));
        got = fcntl(fd, F_GETOWN);
        snprintf(label, sizeof label, "%s, owner %s", what, i ? "afterwards" : "before");
        say(label, "type=%d %s %s signal=%d", owner.type, owner.pid == me ? "me" : owner.pid == getpgrp() ? "group" : owner.pid ? "other" : "none",
            got == me ? "me" : got == -getpgrp() ? "group" : got ? "other" : "none", fcntl(fd, F_GETSIG));
        if (!i)
            packet_in(what, d, fd);
    }
}

static void owners(void)
{
    tun = tun_ready("so0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("so0");
    setpgid(0, 0);
    asynchronous(tun, 1);
    show_owner("by itself", tun, &d);
    MUST(fcntl(tun, F_SETOWN, -getpgrp()));
    show_owner("the group", tun, &d);
    struct f_owner_ex thread = { F_OWNER_TID, getpid() };
    MUST(fcntl(tun, F_SETOWN_EX, &thread));
    show_owner("the thread", tun, &d);
    MUST(fcntl(tun, F_SETOWN, 0));
    show_owner("nobody", tun, &d);
    asynchronous(tun, 1);
    show_owner("O_ASYNC again without an owner", tun, &d);
    asynchronous(tun, 0);
    asynchronous(tun, 1);
    show_owner("O_ASYNC off and on", tun, &d);
    pid_t gone = child();
    if (!gone)
        _exit(0);
    MUST(fcntl(tun, F_SETOWN, gone));
    finish(gone);
    show_owner("a process that ended", tun, &d);
    drv_detach(&d);
    close(tun);
}

/* A process that knows nothing of the descriptor deletes the interface when the gate opens. */
static pid_t deleter(const char *name, gate *go)
{
    gate_make(go);
    pid_t pid = child();
    if (!pid) {
        gate_wait(go);
        driver d = drv_attach(name);
        _exit(drv_delete(&d) ? 1 : 0);
    }
    return pid;
}

static void deleted_by_another(int signum)
{
    gate go;
    char what[60];
    const char *kind = signum ? "F_SETSIG" : "SIGIO";
    pid_t pid = deleter("sx0", &go);
    tun = tun_ready("sx0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    if (signum)
        MUST(fcntl(tun, F_SETSIG, signum));
    asynchronous(tun, 1);
    gate_open(&go);
    say(WHAT("another process deletes"), "%s", finish(pid));
    show_signals(WHAT("signals"), 50);
    show_poll(WHAT("poll after that"), tun, POLL_ALL, 0);
    SHOW(WHAT("read after that"), read(tun, buf, sizeof buf));
    SHOW(WHAT("attached again"), tun_set_iff(tun, "sx1", IFF_TUN | IFF_NO_PI));
    link_up("sx1", 1);
    driver d = drv_attach("sx1");
    show_signals(WHAT("before a packet"), 5);
    packet_in(WHAT("once more"), &d, tun);
    drv_detach(&d);
    close(tun);
}
#undef WHAT
#define WHAT(text) (snprintf(what, sizeof what, "%s, %s", kinds[kind], text), what)

typedef struct {
    int fd, kind;
    atomic_int tid, done;
    char answer[100];
} sleeper;

static void *sleep_on(void *arg)
{
    sleeper *s = arg;
    struct pollfd p = { s->fd, POLLIN, 0 };
    fd_set set;
    struct epoll_event e = { .events = EPOLLIN };
    char text[160];
    int n, ep = epoll_create1(0);
    atomic_store(&s->tid, (int)syscall(SYS_gettid));
    switch (s->kind) {
    case 0:
        n = read(s->fd, buf, sizeof buf);
        sprintf(s->answer, "%d %s", n, n == -1 ? errno_name(errno) : "");
        break;
    case 1:
        n = poll(&p, 1, 5000);
        sprintf(s->answer, "%d %s", n, poll_bits(text, p.revents));
        break;
    case 2:
        FD_ZERO(&set);
        FD_SET(s->fd, &set);
        struct timeval t = { 5, 0 };
        n = select(s->fd + 1, &set, NULL, NULL, &t);
        sprintf(s->answer, "%d %d", n, !!FD_ISSET(s->fd, &set));
        break;
    default:
        epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &e);
        n = epoll_wait(ep, &e, 1, 5000);
        sprintf(s->answer, "%d 0x%x", n, n == 1 ? e.events : 0);
    }
    close(ep);
    atomic_store(&s->done, 1);
    return NULL;
}

/* Whoever sleeps on the descriptor is woken all the same. */
static void sleepers(void)
{
    static const char *const kinds[] = { "read", "poll", "select", "epoll" };
    for (int kind = 0; kind < 4; kind++) {
        char what[60];
        pthread_t thread;
        gate go;
        pid_t pid = deleter("sw0", &go);
        tun = tun_ready("sw0", IFF_TUN | IFF_NO_PI, 0);
        asynchronous(tun, 1);
        sleeper s = { .fd = tun, .kind = kind };
        pthread_create(&thread, NULL, sleep_on, &s);
        if (!EVENTUALLY(atomic_load(&s.tid), 2000) || !sleeps(s.tid))
            die("sleeper");
        gate_open(&go);
        say(WHAT("deleted"), "%s", finish(pid));
        say(WHAT("woken"), "%d", EVENTUALLY(atomic_load(&s.done), 4000));
        pthread_join(thread, NULL);
        say(WHAT("answer"), "%s", s.answer);
        show_signals(WHAT("signals"), 5);
        close(tun);
    }
}

/* A packet ends a blocking read: one signal, that of the packet. */
static void blocking_read(void)
{
    pthread_t thread;
    tun = tun_ready("sb0", IFF_TUN | IFF_NO_PI, 0);
    driver d = drv_attach("sb0");
    MUST(fcntl(tun, F_SETSIG, SIGRTMIN));
    asynchronous(tun, 1);
    sleeper s = { .fd = tun, .kind = 0 };
    pthread_create(&thread, NULL, sleep_on, &s);
    if (!EVENTUALLY(atomic_load(&s.tid), 2000) || !sleeps(s.tid))
        die("sleeper");
    drv_packet(&d, 60);
    pthread_join(thread, NULL);
    say("a packet for a blocking read", "%s", s.answer);
    show_signals("its signals", 5);
    drv_detach(&d);
    close(tun);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    sigemptyset(&both);
    sigaddset(&both, SIGIO);
    sigaddset(&both, SIGRTMIN);
    MUST(sigprocmask(SIG_BLOCK, &both, NULL));
    duplicates(0);
    duplicates(SIGRTMIN);
    deleted_by_another(0);
    deleted_by_another(SIGRTMIN);
    sleepers();
    blocking_read();
    owners();
    return 0;
}
