/* packets KIND LENGTH SECONDS: nanoseconds per packet through one tunnel, on the kernel or under
 * memtun. packets KIND LENGTH COUNTx: the same for so many packets (and warming up), to have
 * their instructions counted.
 *
 *   bulk         32 packets in, then 32 read
 *   bulk-many    the same, the 32 injected by one call
 *   bulk-udp     the same, the driver's side building the headers and checksums
 *   bulk-edge    the same on a descriptor registered edge-triggered, read until EAGAIN
 *   bulk-out     32 packets written, then 32 received
 *   bulk-out-many  the same, received by one call
 *   single       one packet in, one read
 *   single-poll  one packet in, poll, one read
 *   roundtrip    a second process, blocked in read, answers each packet; both on one CPU
 *   roundtrip-2  the same on two CPUs
 *   bell         no packet: one byte into a FIFO and out again, which is what wakes a reader
 *   bell-poll    the same with poll in between
 *   bell-trip    a byte to a second process and one back, both asleep in poll; on one CPU */
#include "bench.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { BULK = 32, CHUNK = 256, MOST = 1 << 16 };
static const char NAME[] = "bench0";

struct bench {
    struct driver driver;
    int tun, epoll, bell, back;
    size_t length;
    unsigned char to_program[MOST], from_program[MOST], buffer[MOST];
};

static void bulk(struct bench *b)
{
    for (int i = 0; i < BULK; i++)
        driver_send(&b->driver, b->to_program, b->length);
    for (int i = 0; i < BULK; i++)
        tunnel_read(b->tun, b->buffer, sizeof b->buffer, b->length);
}

static void bulk_many(struct bench *b)
{
    driver_send_many(&b->driver, b->to_program, b->length, BULK);
    for (int i = 0; i < BULK; i++)
        tunnel_read(b->tun, b->buffer, sizeof b->buffer, b->length);
}

static void bulk_udp(struct bench *b)
{
    for (int i = 0; i < BULK; i++)
        driver_send_udp(&b->driver, b->to_program, b->length);
    for (int i = 0; i < BULK; i++)
        tunnel_read(b->tun, b->buffer, sizeof b->buffer, b->length);
}

static void bulk_edge(struct bench *b)
{
    struct epoll_event event;
    for (int i = 0; i < BULK; i++)
        driver_send(&b->driver, b->to_program, b->length);
    if (epoll_wait(b->epoll, &event, 1, 5000) != 1)
        die("epoll_wait");
    for (int i = 0; i < BULK; i++)
        tunnel_read(b->tun, b->buffer, sizeof b->buffer, b->length);
    if (read(b->tun, b->buffer, sizeof b->buffer) != -1 || errno != EAGAIN)
        die("read of an empty queue");
}

static void bulk_out(struct bench *b)
{
    for (int i = 0; i < BULK; i++)
        if (write(b->tun, b->from_program, b->length) != (ssize_t)b->length)
            die("write");
    for (int i = 0; i < BULK; i++)
        driver_receive(&b->driver, b->buffer, sizeof b->buffer, b->length);
}

static void bulk_out_many(struct bench *b)
{
    static unsigned char room[BULK * MOST];
    for (int i = 0; i < BULK; i++)
        if (write(b->tun, b->from_program, b->length) != (ssize_t)b->length)
            die("write");
    driver_receive_many(&b->driver, room, sizeof room, b->length, BULK);
}

static void single(struct bench *b)
{
    driver_send(&b->driver, b->to_program, b->length);
    tunnel_read(b->tun, b->buffer, sizeof b->buffer, b->length);
}

static void single_poll(struct bench *b)
{
    struct pollfd readable = {.fd = b->tun, .events = POLLIN};
    driver_send(&b->driver, b->to_program, b->length);
    if (poll(&readable, 1, 5000) != 1)
        die("poll");
    tunnel_read(b->tun, b->buffer, sizeof b->buffer, b->length);
}

static void roundtrip(struct bench *b)
{
    driver_send(&b->driver, b->to_program, b->length);
    driver_receive(&b->driver, b->buffer, sizeof b->buffer, b->length);
}

static void bell(struct bench *b)
{
    if (write(b->bell, "", 1) != 1 || read(b->bell, b->buffer, 1) != 1)
        die("bell");
}

static void bell_poll(struct bench *b)
{
    struct pollfd readable = {.fd = b->bell, .events = POLLIN};
    if (write(b->bell, "", 1) != 1 || poll(&readable, 1, 5000) != 1 || read(b->bell, b->buffer, 1) != 1)
        die("bell");
}

static void take(int bell, void *buffer)
{
    struct pollfd readable = {.fd = bell, .events = POLLIN};
    if (poll(&readable, 1, 5000) != 1 || read(bell, buffer, 1) != 1)
        die("bell");
}

static void bell_trip(struct bench *b)
{
    if (write(b->bell, "", 1) != 1)
        die("bell");
    take(b->back, b->buffer);
}

static int open_fifo(void)
{
    char shm[] = "/dev/shm/memtun-bench-XXXXXX", tmp[] = "/tmp/memtun-bench-XXXXXX", path[64];
    char *directory = mkdtemp(shm) ? shm : mkdtemp(tmp);
    if (!directory)
        die("mkdtemp");
    snprintf(path, sizeof path, "%s/bell", directory);
    int fd = mkfifo(path, 0600) < 0 ? -1 : open(path, O_RDWR);
    if (fd < 0)
        die("%s", path);
    unlink(path);
    rmdir(directory);
    return fd;
}

static const struct kind {
    const char *name;
    void (*step)(struct bench *);
    int packets, cpus; /* cpus: 0 for one process */
} KINDS[] = {
    {"bulk", bulk, BULK, 0},           {"bulk-udp", bulk_udp, BULK, 0},
    {"bulk-edge", bulk_edge, BULK, 0}, {"bulk-out", bulk_out, BULK, 0},
    {"bulk-many", bulk_many, BULK, 0}, {"bulk-out-many", bulk_out_many, BULK, 0},
    {"single", single, 1, 0},          {"single-poll", single_poll, 1, 0},
    {"roundtrip", roundtrip, 1, 1},    {"roundtrip-2", roundtrip, 1, 2},
    {"bell", bell, 1, 0},              {"bell-poll", bell_poll, 1, 0},
    {"bell-trip", bell_trip, 1, 1},
};

/* The n-th CPU of those we may use. */
static void pin(int n)
{
    cpu_set_t allowed, one;
    CPU_ZERO(&one);
    sched_getaffinity(0, sizeof allowed, &allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && n-- == 0) {
            CPU_SET(cpu, &one);
            if (sched_setaffinity(0, sizeof one, &one) < 0)
                die("sched_setaffinity");
            return;
        }
    errno = ENOENT, die("not enough CPUs");
}

static void swap(unsigned char *a, unsigned char *b, size_t n)
{
    unsigned char kept[4];
    memcpy(kept, a, n), memcpy(a, b, n), memcpy(b, kept, n);
}

static void answer(struct bench *b, int ready, int cpu)
{
    unsigned char packet[2048];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(cpu);
    if (b->bell) {
        if (write(ready, "", 1) != 1)
            die("pipe");
        for (;;) {
            alarm(30);
            struct pollfd readable = {.fd = b->bell, .events = POLLIN};
            if (poll(&readable, 1, -1) != 1 || read(b->bell, packet, 1) != 1 || write(b->back, "", 1) != 1)
                die("bell");
        }
    }
    int tun = tunnel_open(NAME, 0);
    tunnel_up(NAME);
    if (write(ready, "", 1) != 1)
        die("pipe");
    for (;;) {
        ssize_t length = read(tun, packet, sizeof packet);
        if (length < HEADERS)
            die("read");
        swap(packet + 12, packet + 16, 4);
        swap(packet + 20, packet + 22, 2);
        if (write(tun, packet, length) != length)
            die("write");
    }
}

/* For so long, or until so many packets have passed if that is not 0. One process alone is measured
 * by its CPU time, which others on the machine disturb less; two wait for each other, and for them
 * the wall clock counts. */
static double measure(struct bench *b, const struct kind *kind, double seconds, long count)
{
    clockid_t clock = kind->cpus ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID;
    double begin = clock_ns(clock), wall = now_ns(), passed;
    long packets = 0;
    do {
        for (int i = 0; i < CHUNK; i += kind->packets)
            kind->step(b);
        packets += CHUNK;
        passed = clock_ns(clock) - begin;
    } while (count ? packets < count : passed < seconds * 1e9 && now_ns() - wall < 2 * seconds * 1e9);
    return passed / packets;
}

int main(int argc, char **argv)
{
    static struct bench b;
    const struct kind *kind = KINDS, *end = KINDS + sizeof KINDS / sizeof *KINDS;
    pid_t child = 0;

    if (argc != 4)
        return 2;
    while (kind < end && strcmp(kind->name, argv[1]) != 0)
        kind++;
    if (kind == end)
        return 2;
    alarm(30);
    b.length = atoi(argv[2]);
    if (b.length < HEADERS || b.length > MOST)
        return 2;
    double seconds = atof(argv[3]);
    long count = strchr(argv[3], 'x') ? atol(argv[3]) : 0;
    make_packet(b.to_program, b.length, 1);
    make_packet(b.from_program, b.length, 0);
    kernel_without_ipv6();

    if (strncmp(kind->name, "bell", 4) == 0) {
        b.bell = open_fifo();
        b.back = open_fifo();
    }
    if (kind->cpus) {
        int ready[2];
        char byte;
        if (pipe(ready) < 0)
            die("pipe");
        child = fork();
        if (child == 0)
            answer(&b, ready[1], kind->cpus - 1);
        close(ready[1]);
        pin(0);
        if (read(ready[0], &byte, 1) != 1)
            _exit(1); /* it has said why */
    } else if (!b.bell) {
        b.tun = tunnel_open(NAME, strcmp(kind->name, "bulk-edge") == 0 ? O_NONBLOCK : 0);
        tunnel_up(NAME);
        if (b.length > 1500)
            set_mtu(NAME, b.length);
    }
    if (!b.bell)
        b.driver = driver_join(NAME);
    if (strcmp(kind->name, "bulk-edge") == 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET};
        b.epoll = epoll_create1(0);
        if (epoll_ctl(b.epoll, EPOLL_CTL_ADD, b.tun, &event) < 0)
            die("epoll_ctl");
    }

    /* First touch of buffers and rings is not what is asked. */
    measure(&b, kind, seconds / 5, count ? 1 : 0);
    printf("%.1f\n", measure(&b, kind, seconds, count));
    if (child) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    return 0;
}
