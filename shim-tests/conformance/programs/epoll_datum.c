/* Descriptors of other kinds with the datum of a tunnel in one epoll instance, a tunnel whose
 * numbers are closed here while another process holds it, and waits that a signal handler jumps
 * out of. */
#include "driver.h"

#include <setjmp.h>
#include <sys/eventfd.h>
#include <sys/time.h>

static unsigned char buf[2048];
static driver d;

static void empty(int fd)
{
    while (read(fd, buf, sizeof buf) > 0)
        ;
}

static void told(const char *label, int epoll, int ms)
{
    struct epoll_event e = { 0 };
    int n = epoll_wait(epoll, &e, 1, ms);
    say(label, "%d IN=%d", n, n > 0 && e.events & EPOLLIN);
}

static void add(int epoll, int fd, unsigned events)
{
    struct epoll_event e = { .events = events, .data.u64 = 7 };
    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e));
}

static void same_datum(int fd, unsigned of_tunnel, unsigned of_other, const char *name)
{
    char label[80];
    eventfd_t value;
    int epoll = MUST(epoll_create1(0)), other = MUST(eventfd(0, EFD_NONBLOCK));
    empty(fd);
    add(epoll, fd, of_tunnel);
    add(epoll, other, of_other);
    MUST(eventfd_write(other, 1));
    snprintf(label, sizeof label, "%s, the other's event", name);
    told(label, epoll, 1000);
    MUST(eventfd_read(other, &value));
    drv_packet(&d, 60);
    snprintf(label, sizeof label, "%s, then a packet", name);
    told(label, epoll, 1000);
    MUST(read(fd, buf, sizeof buf));
    snprintf(label, sizeof label, "%s, then nothing", name);
    told(label, epoll, 20);
    close(epoll);
    close(other);
}

/* Both are ready, and what is reported of one is not taken for the other's. */
static void both_ready(int fd, unsigned of_tunnel, unsigned of_other, const char *name)
{
    char label[80];
    int epoll = MUST(epoll_create1(0)), other = MUST(eventfd(1, EFD_NONBLOCK));
    empty(fd);
    add(epoll, other, of_other);
    add(epoll, fd, of_tunnel);
    drv_packet(&d, 60);
    snprintf(label, sizeof label, "%s, both ready", name);
    told(label, epoll, 1000);
    snprintf(label, sizeof label, "%s, the second event", name);
    told(label, epoll, 1000);
    snprintf(label, sizeof label, "%s, the third event", name);
    told(label, epoll, 20);
    MUST(read(fd, buf, sizeof buf));
    close(epoll);
    close(other);
}

/* Waits that another process's number keeps alive, and this process has none. */
static void closed_here(void)
{
    int fd = tun_ready("ed1", IFF_TUN | IFF_NO_PI, O_NONBLOCK), epoll = MUST(epoll_create1(0));
    driver before = d;
    d = drv_attach("ed1");
    empty(fd);
    add(epoll, fd, EPOLLIN);
    pid_t holder = child();
    if (!holder)
        for (;;)
            pause();
    drv_packet(&d, 60);
    MUST(read(fd, buf, sizeof buf));
    close(fd);
    told("closed here after the last packet", epoll, 20);
    told("and again", epoll, 20);
    MUST(kill(holder, SIGKILL));
    MUST(waitpid(holder, NULL, 0));
    drv_detach(&d);
    d = before;
    close(epoll);
}

static sigjmp_buf back;
static volatile sig_atomic_t waits;

static void jump(int number)
{
    (void)number;
    if (waits) {
        waits = 0;
        siglongjmp(back, 1);
    }
}

static int descriptors(void)
{
    int n = 0;
    DIR *list = opendir("/proc/self/fd");
    while (readdir(list))
        n++;
    closedir(list);
    return n;
}

static void wait_once(int way, int fd, int epoll)
{
    struct pollfd p = { fd, POLLIN, 0 };
    struct epoll_event e;
    struct timeval t = { 0, 200000 };
    fd_set reads;
    FD_ZERO(&reads);
    FD_SET(fd, &reads);
    switch (way) {
    case 0: poll(&p, 1, 200); break;
    case 1: select(fd + 1, &reads, NULL, NULL, &t); break;
    default: epoll_wait(epoll, &e, 1, 200);
    }
}

static void jumps_out(void)
{
    static const char *const WAYS[] = { "poll", "select", "epoll_wait" };
    int fd = tun_attach("ed2", IFF_TUN | IFF_NO_PI, 0), epoll = MUST(epoll_create1(0));
    struct sigaction action = { .sa_handler = jump };
    MUST(sigaction(SIGALRM, &action, NULL));
    add(epoll, fd, EPOLLIN | EPOLLOUT);
    for (volatile int way = 0; way < 3; way++) {
        volatile int before = descriptors();
        for (volatile int i = 0; i < 50; i++) {
            struct itimerval soon = { .it_value = { 0, 1000 } };
            if (!sigsetjmp(back, 1)) {
                waits = 1;
                MUST(setitimer(ITIMER_REAL, &soon, NULL));
                wait_once(way, fd, epoll);
                waits = 0;
            }
        }
        wait_once(way, fd, epoll);
        say(WAYS[way], "after 50 jumps out of it: %d descriptors more", descriptors() - before);
    }
    close(epoll);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = tun_ready("ed0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    d = drv_attach("ed0");
    same_datum(fd, EPOLLIN, EPOLLIN, "LT and LT");
    same_datum(fd, EPOLLIN, EPOLLIN | EPOLLET, "LT and ET");
    same_datum(fd, EPOLLIN, EPOLLIN | EPOLLONESHOT, "LT and a shot");
    same_datum(fd, EPOLLIN | EPOLLET, EPOLLIN, "ET and LT");
    same_datum(fd, EPOLLIN | EPOLLONESHOT, EPOLLIN | EPOLLET, "a shot and ET");
    both_ready(fd, EPOLLIN | EPOLLONESHOT, EPOLLIN, "a shot and LT");
    both_ready(fd, EPOLLIN | EPOLLONESHOT, EPOLLIN | EPOLLONESHOT, "a shot and a shot");
    both_ready(fd, EPOLLIN | EPOLLET | EPOLLONESHOT, EPOLLIN | EPOLLET, "an edge's shot and ET");
    closed_here();
    jumps_out();
    return 0;
}
