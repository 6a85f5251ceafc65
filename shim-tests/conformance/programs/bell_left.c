/* What waits see of a tunnel whose last packet has just been read. Some waits are made by the system call's instruction,
 * which no library sees: after one that a library sees, and in a program that is given the descriptor, they say that there
 * is nothing. */
#include "driver.h"

#include <sys/wait.h>

#pragma weak memtun_net_set_exact_bell

#define TUN (IFF_TUN | IFF_NO_PI)

static unsigned char buf[2048];
static driver d;

/* ppoll(2) that no library sees, without waiting. */
static int unseen(int fd)
{
    struct pollfd p = { fd, POLLIN, 0 };
    struct timespec none = { 0, 0 };
#if defined __x86_64__
    long answer;
    register long mask __asm__("r10") = 0, size __asm__("r8") = 8;
    __asm__ volatile("syscall" : "=a"(answer) : "a"(SYS_ppoll), "D"(&p), "S"(1L), "d"(&none), "r"(mask), "r"(size)
                     : "rcx", "r11", "memory");
#elif defined __aarch64__
    register long number __asm__("x8") = SYS_ppoll, answer __asm__("x0") = (long)&p, count __asm__("x1") = 1,
                  time __asm__("x2") = (long)&none, mask __asm__("x3") = 0, size __asm__("x4") = 8;
    __asm__ volatile("svc 0" : "+r"(answer) : "r"(number), "r"(count), "r"(time), "r"(mask), "r"(size) : "memory");
#endif
    return answer < 0 ? (int)answer : p.revents & POLLIN;
}

/* A packet comes, and is read. */
static void empty_it(int fd)
{
    drv_packet(&d, 60);
    MUST(read(fd, buf, sizeof buf));
}

static int by_poll(int fd, int ms) { struct pollfd p = { fd, POLLIN, 0 }; return poll(&p, 1, ms); }
static int by_ppoll(int fd, int ms)
{
    struct pollfd p = { fd, POLLIN, 0 };
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    return ppoll(&p, 1, &t, NULL);
}
static int by_poll_with_pipe(int fd, int ms)
{
    int ends[2];
    MUST(pipe(ends));
    struct pollfd p[] = { { ends[0], POLLIN, 0 }, { fd, POLLIN, 0 } };
    int n = poll(p, 2, ms);
    close(ends[0]), close(ends[1]);
    return n;
}
static int by_select(int fd, int ms)
{
    fd_set set;
    struct timeval t = { ms / 1000, ms % 1000 * 1000 };
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &t);
}
static int by_pselect(int fd, int ms)
{
    fd_set set;
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return pselect(fd + 1, &set, NULL, NULL, &t, NULL);
}
static int epoll_of(int fd)
{
    struct epoll_event e = { .events = EPOLLIN };
    int epoll = MUST(epoll_create1(0));
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e));
    return epoll;
}
static int by_epoll(int fd, int ms)
{
    struct epoll_event e;
    int epoll = epoll_of(fd), n = epoll_wait(epoll, &e, 1, ms);
    close(epoll);
    return n;
}
static int by_epoll_pwait(int fd, int ms)
{
    struct epoll_event e;
    int epoll = epoll_of(fd), n = epoll_pwait(epoll, &e, 1, ms, NULL);
    close(epoll);
    return n;
}
static int by_poll_of_epoll(int fd, int ms)
{
    int epoll = epoll_of(fd), n = by_poll(epoll, ms);
    close(epoll);
    return n;
}
static int by_epoll_of_epoll(int fd, int ms)
{
    int epoll = epoll_of(fd), n = by_epoll(epoll, ms);
    close(epoll);
    return n;
}
static int by_read(int fd, int ms)
{
    (void)ms;
    return read(fd, buf, sizeof buf) < 0 && errno == EAGAIN ? 0 : 1;
}

static const struct way { const char *name; int (*wait)(int, int); } WAYS[] = {
    { "poll", by_poll }, { "ppoll", by_ppoll }, { "poll, with a pipe", by_poll_with_pipe }, { "select", by_select },
    { "pselect", by_pselect }, { "epoll_wait", by_epoll }, { "epoll_pwait", by_epoll_pwait },
    { "poll of an epoll", by_poll_of_epoll }, { "epoll of an epoll", by_epoll_of_epoll }, { "read", by_read },
};

static void every_wait(int fd)
{
    for (size_t i = 0; i < sizeof WAYS / sizeof *WAYS; i++) {
        const struct way *w = &WAYS[i];
        char label[80];
        for (int n = 1; n <= 3; n++) {
            drv_packet(&d, 60);
            snprintf(label, sizeof label, "%s, %d queued, unseen", w->name, n);
            say(label, "%d", unseen(fd));
        }
        MUST(read(fd, buf, sizeof buf)), MUST(read(fd, buf, sizeof buf));
        snprintf(label, sizeof label, "%s, one left, unseen", w->name);
        say(label, "%d", unseen(fd));
        snprintf(label, sizeof label, "%s, one left", w->name);
        if (w->wait != by_read)
            say(label, "%d", w->wait(fd, 0));
        MUST(read(fd, buf, sizeof buf));
        snprintf(label, sizeof label, "%s, none left", w->name);
        say(label, "%d", w->wait(fd, 0));
        snprintf(label, sizeof label, "%s, none left, then unseen", w->name);
        say(label, "%d", unseen(fd));
        empty_it(fd);
        double from = now();
        int n = w->wait(fd, 30);
        snprintf(label, sizeof label, "%s, none left, waits", w->name);
        say(label, "%d waited=%d", n, w->wait == by_read || now() - from >= 0.030);
        drv_packet(&d, 60);
        snprintf(label, sizeof label, "%s, and one comes, unseen", w->name);
        say(label, "%d", unseen(fd));
        MUST(read(fd, buf, sizeof buf));
    }
}

static void other_number(int fd)
{
    int other = MUST(dup(fd));
    empty_it(fd);
    SHOW("read by one number, poll by the other", by_poll(other, 0));
    SHOW("then unseen", unseen(fd));
    empty_it(other);
    close(other);
    SHOW("read by a number that is closed, epoll_wait", by_epoll(fd, 0));
    SHOW("by a closed number, then unseen", unseen(fd));
}

/* The poll of another process sleeps on where this one was quicker. It is stopped meanwhile, so that this one is. */
static void in_two_processes(int fd, const struct way *w)
{
    char label[80];
    int ends[2];
    MUST(pipe(ends));
    pid_t child = MUST(fork());
    if (!child) {
        double from = now();
        int n = w->wait(fd, 600);
        char full = n == 0 && now() - from >= 0.6 ? 'f' : n < 0 ? 'e' : 's';
        _exit(write(ends[1], &full, 1) != 1);
    }
    EVENTUALLY(sleeps(child), 2000);
    MUST(kill(child, SIGSTOP));
    MUST(waitpid(child, NULL, WUNTRACED));
    empty_it(fd);
    MUST(kill(child, SIGCONT));
    char full = 0;
    MUST(read(ends[0], &full, 1));
    MUST(waitpid(child, NULL, 0));
    snprintf(label, sizeof label, "%s in another process, which was slower", w->name);
    say(label, "%c", full);
    close(ends[0]), close(ends[1]);
}

static atomic_int signals;
static void count(int number) { (void)number; atomic_fetch_add(&signals, 1); }

static void edges_and_signals(void)
{
    int fd = tun_ready("bl1", TUN, O_NONBLOCK), epoll = MUST(epoll_create1(0));
    struct epoll_event e = { .events = EPOLLIN | EPOLLET };
    driver before = d;
    d = drv_attach("bl1");
    empty_it(fd);
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e));
    SHOW("edge-triggered after the last packet", epoll_wait(epoll, &e, 1, 0));
    for (int i = 0; i < 2; i++) {
        drv_packet(&d, 60);
        SHOW(i ? "second edge" : "first edge", epoll_wait(epoll, &e, 1, 1000));
    }
    MUST(read(fd, buf, sizeof buf)), MUST(read(fd, buf, sizeof buf));
    SHOW("edges read, unseen", unseen(fd));
    close(epoll);
    close(fd);
    fd = tun_ready("bl2", TUN, O_NONBLOCK);
    drv_detach(&d);
    d = drv_attach("bl2");
    struct sigaction action = { .sa_handler = count };
    MUST(sigaction(SIGIO, &action, NULL));
    empty_it(fd);
    MUST(fcntl(fd, F_SETOWN, getpid()));
    MUST(fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC));
    SHOW("O_ASYNC after the last packet, signals", atomic_load(&signals));
    empty_it(fd);
    SHOW("a packet, signals", atomic_load(&signals));
    SHOW("a packet read, unseen", unseen(fd));
    drv_detach(&d);
    d = before;
    close(fd);
}

/* The next program image sees what is true, and one that is told so keeps its bells exact. */
static void in_another_image(int fd, const char *bell, const char *label)
{
    char number[16];
    snprintf(number, sizeof number, "%d", fd);
    empty_it(fd);
    pid_t child = MUST(fork());
    if (!child) {
        if (bell)
            setenv("MEMTUN_BELL", bell, 1);
        execl("/proc/self/exe", "bell_left", "--next", number, (char *)NULL);
        _exit(127);
    }
    int status;
    MUST(waitpid(child, &status, 0));
    say(label, "%d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* The net says that bells are exact, and then that they are not. */
static void exact_in_the_net(int fd)
{
    memtun_net *net = under_shim() ? memtun_net_open(NULL) : NULL;
    empty_it(fd);
    if (net && memtun_net_set_exact_bell(net, 1))
        die("memtun_net_set_exact_bell");
    SHOW("the net's bells become exact, unseen", unseen(fd));
    empty_it(fd);
    SHOW("exact in the net, unseen", unseen(fd));
    if (net)
        memtun_net_set_exact_bell(net, 0);
    empty_it(fd);
    SHOW("lazy again, poll", by_poll(fd, 0));
}

static int next_image(int fd)
{
    int seen = unseen(fd);
    if (!getenv("MEMTUN_BELL"))
        return seen;
    d = drv_attach("bl0");
    empty_it(fd);
    return seen | unseen(fd) << 1;
}

int main(int argc, char **argv)
{
    start(argc, argv);
    if (argc > 2 && !strcmp(argv[1], "--next"))
        return next_image(atoi(argv[2]));
    unsetenv("MEMTUN_BELL");
    int fd = tun_ready("bl0", TUN, O_NONBLOCK);
    d = drv_attach("bl0");
    every_wait(fd);
    other_number(fd);
    for (size_t i = 0; i < 5; i++)
        in_two_processes(fd, &WAYS[i]);
    exact_in_the_net(fd);
    in_another_image(fd, NULL, "the next image, unseen");
    in_another_image(fd, "exact", "an exact bell in the next image, unseen");
    edges_and_signals();
    return 0;
}
