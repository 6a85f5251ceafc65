/* growth WHAT N COUNT: COUNT operations where there are N of something, for counting the
 * instructions of `measured` alone (callgrind's --toggle-collect). Prints how many times it ran.
 *
 *   inject       N tunnels in the process: one packet into the last, one read
 *   nothing      N tunnels registered in one epoll instance: epoll_wait(2), nothing is ready
 *   nothing-ready  the same, one tunnel has a packet
 *   register     the same: one tunnel is taken out and put in again
 *   poll         N tunnels in the process: poll(2) of one, which is not ready
 *   open         N tunnels in the process: one more is opened, attached and closed
 *   queues       one interface of N queues: one packet in, one read
 *   queues-out   the same: one packet written
 *   subscribers  N subscribers that do not read: one packet written
 *   faults       N faults that do not strike: one packet in, one read
 *   faults-out   the same: one packet written
 *   capture      somebody captures (the caller sees to that) or not: one packet in, one read
 *   capture-out  the same: one packet written */
#include "bench.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#pragma weak memtun_net_fault
#pragma weak memtun_subscriber_open

static struct {
    struct driver driver;
    memtun_net *net;
    int tun, epoll;
    unsigned char to_program[64], from_program[64], buffer[2048];
} b;

static int starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static void inject(void)
{
    struct pollfd readable = {.fd = b.tun, .events = POLLIN};
    driver_send(&b.driver, b.to_program, sizeof b.to_program);
    /* poll because another queue may get the packet of a flow that is not known. */
    if (poll(&readable, 1, 0) == 1)
        tunnel_read(b.tun, b.buffer, sizeof b.buffer, sizeof b.to_program);
}

static void inject_and_read(void)
{
    driver_send(&b.driver, b.to_program, sizeof b.to_program);
    tunnel_read(b.tun, b.buffer, sizeof b.buffer, sizeof b.to_program);
}

static void write_one(void)
{
    if (write(b.tun, b.from_program, sizeof b.from_program) != sizeof b.from_program)
        die("write");
}

static void nothing(void)
{
    struct epoll_event found;
    if (epoll_wait(b.epoll, &found, 1, 0) != 0)
        die("epoll_wait");
}

static void ready(void)
{
    struct epoll_event found;
    if (epoll_wait(b.epoll, &found, 1, 0) != 1)
        die("epoll_wait");
}

static void enter(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(b.epoll, EPOLL_CTL_ADD, b.tun, &event))
        die("epoll_ctl");
}

static void reenter(void)
{
    if (epoll_ctl(b.epoll, EPOLL_CTL_DEL, b.tun, NULL))
        die("epoll_ctl");
    enter();
}

static void poll_one(void)
{
    struct pollfd readable = {.fd = b.tun, .events = POLLIN};
    if (poll(&readable, 1, 0) != 0)
        die("poll");
}

static void open_one(void) { close(tunnel_open("onemore", 0)); }

/* The function whose instructions are counted. */
__attribute__((noinline)) void measured(void (*step)(void), long count)
{
    while (count-- > 0)
        step();
}

static int open_numbered(int number, int flags)
{
    char name[IFNAMSIZ];
    snprintf(name, sizeof name, "bench%hd", (short)number);
    return tunnel_open(name, flags);
}

static int open_queue(void)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE};
    put_name(&request, "bench0");
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
        die("TUNSETIFF of a queue");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    alarm(300);
    const char *what = argv[1];
    int n = atoi(argv[2]);
    long count = atol(argv[3]);
    int registered = starts(what, "nothing") || starts(what, "register");
    int tunnels = registered || starts(what, "inject") || starts(what, "poll") || starts(what, "open") ? n : 1;
    int out = strstr(what, "-out") != NULL || starts(what, "subscribers");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    make_packet(b.to_program, sizeof b.to_program, 1);
    make_packet(b.from_program, sizeof b.from_program, 0);

    b.epoll = epoll_create1(0);
    if (starts(what, "queues")) {
        tunnels = 1;
        b.tun = open_queue();
        for (int i = 1; i < n; i++)
            open_queue();
    } else
        for (int i = 0; i < tunnels; i++) {
            b.tun = open_numbered(i, O_NONBLOCK);
            if (registered)
                enter();
        }
    char last[IFNAMSIZ];
    snprintf(last, sizeof last, "bench%hd", (short)(tunnels - 1));
    b.driver = driver_join(last);
    b.net = memtun_net_open(NULL);
    for (int i = 0; i < n && starts(what, "subscribers"); i++)
        if (!memtun_subscriber_open(b.driver.iface))
            die("memtun_subscriber_open");
    for (int i = 0; i < n && starts(what, "faults"); i++) {
        char fault[64];
        snprintf(fault, sizeof fault, "%s=EINTR@%d", out ? "write" : "read", 1000000000 + i);
        if (memtun_net_fault(b.net, fault))
            errno = EINVAL, die("memtun_net_fault %s", fault);
    }
    if (starts(what, "queues"))
        write_one(); /* its flow is this queue's from now on */

    void (*step)(void) = out ? write_one
        : strcmp(what, "nothing-ready") == 0 ? ready
        : starts(what, "nothing") ? nothing
        : starts(what, "register") ? reenter
        : starts(what, "poll") ? poll_one
        : starts(what, "open") ? open_one
        : starts(what, "queues") ? inject
        : inject_and_read;
    if (step == ready)
        driver_send(&b.driver, b.to_program, sizeof b.to_program);
    /* What is made at the first time is not what is asked. */
    for (int i = 0; i < 16; i++)
        step();
    measured(step, count);
    printf("%ld\n", count);
    return 0;
}
