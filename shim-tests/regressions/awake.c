/* Signals that come while a wait is awake, before it sleeps (MEMTUN_BUSY_POLL): they do what they
   do to a wait that sleeps. The thread that waits is on one processor, and the packets come from
   another one. That it is awake shows in its mask: signals are held back meanwhile.
   awake WAIT CASE prints how the wait was when the signal came, and what became of it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../src/shim/memtun.h"

#pragma weak memtun_net_open
#pragma weak memtun_interface_open
#pragma weak memtun_interface_inject

enum { READ, POLL, SELECT, EPOLL };
static const char *const NAMES[] = { "read", "poll", "select", "epoll_wait" };

static int fd, epoll, how, result, error, handled, cleaned, in_time;
static volatile int thread_id, is_off;
static pthread_barrier_t begun;
static memtun_interface *interface;

static void handler(int signal) { (void)signal, handled++; }
static void cleanup(void *unused) { (void)unused, cleaned++; }

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void must(int good, const char *what)
{
    if (!good)
        perror(what), exit(1);
}

static void pin(int which)
{
    static cpu_set_t allowed;
    cpu_set_t one;
    if (!CPU_COUNT(&allowed))
        sched_getaffinity(0, sizeof allowed, &allowed);
    if (CPU_COUNT(&allowed) < 2)
        return;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && which-- == 0)
            CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static int wait_for_packet(int ms)
{
    struct pollfd readable = { .fd = fd, .events = POLLIN };
    struct timeval time = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
    struct epoll_event event;
    fd_set set;
    char packet[2000];
    FD_ZERO(&set);
    FD_SET(fd, &set);
    switch (how) {
    case READ: return read(fd, packet, sizeof packet);
    case POLL: return poll(&readable, 1, ms);
    case SELECT: return select(fd + 1, &set, NULL, NULL, ms < 0 ? NULL : &time);
    default: return epoll_wait(epoll, &event, 1, ms);
    }
}

static void *wait_thread(void *argument)
{
    int ms = (long)argument;
    pin(0);
    thread_id = syscall(SYS_gettid);
    pthread_cleanup_push(cleanup, NULL);
    pthread_barrier_wait(&begun);
    double begin = now();
    is_off = 1;
    result = wait_for_packet(ms);
    error = errno;
    is_off = 2;
    in_time = ms < 0 || now() - begin >= ms / 1e3;
    pthread_cleanup_pop(0);
    return NULL;
}

/* Is the thread in its wait, awake or asleep? It sleeps nowhere else once it is off. */
static const char *waits(void)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/status", thread_id);
    FILE *status = fopen(path, "r");
    const char *found = NULL;
    if (is_off == 2)
        found = "over";
    while (is_off == 1 && status && fgets(line, sizeof line, status)) {
        if (strncmp(line, "State:\tS", 8) == 0)
            found = "asleep";
        if (strncmp(line, "SigBlk:", 7) == 0 && strtoull(line + 7, NULL, 16) >> (SIGUSR1 - 1) & 1)
            found = "awake";
    }
    if (status)
        fclose(status);
    return found;
}

static void inject(void)
{
    static const unsigned char packet[64] = { 0x45, 0, 0, 64 };
    must(memtun_interface_inject(interface, packet, sizeof packet, 0, 5000) == 0, "inject");
}

/* The program has read all, and the last packet came from this processor. */
static pthread_t begin(int ms)
{
    char packet[2000];
    pthread_t thread;
    inject();
    must(read(fd, packet, sizeof packet) > 0, "read");
    handled = cleaned = result = error = 0;
    pthread_barrier_init(&begun, NULL, 2);
    must(pthread_create(&thread, NULL, wait_thread, (void *)(long)ms) == 0, "pthread_create");
    pthread_barrier_wait(&begun);
    const char *found;
    while (!(found = waits()))
        ;
    printf("%s: ", found);
    return thread;
}

static const char *said(void) { return result < 0 ? strerrorname_np(error) : "ready"; }

int main(int argc, char **argv)
{
    must(argc == 3, "awake WAIT CASE");
    struct ifreq request = { .ifr_name = "awake0", .ifr_flags = IFF_TUN | IFF_NO_PI };
    fd = open("/dev/net/tun", O_RDWR);
    must(fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0, "TUNSETIFF");
    interface = memtun_interface_open(memtun_net_open(NULL), "awake0", 5000);
    must(interface != NULL, "memtun_interface_open");
    epoll = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN };
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    alarm(20);
    pin(1);
    while (strcmp(argv[1], NAMES[how]))
        how++;
    const char *what = argv[2];
    int restarts = !strcmp(what, "restart"), ignored = !strcmp(what, "ignored");
    struct sigaction action = { .sa_handler = ignored ? SIG_IGN : handler, .sa_flags = restarts ? SA_RESTART : 0 };
    sigaction(SIGUSR1, &action, NULL);
    int timed = !strcmp(what, "time"), cancels = !strcmp(what, "cancel");
    pthread_t thread = begin(timed ? 30 : -1);
    void *end;
    if (cancels)
        pthread_cancel(thread);
    else if (!timed)
        pthread_kill(thread, SIGUSR1);
    if (ignored || (how == READ && restarts))
        inject();
    pthread_join(thread, &end);
    if (cancels)
        printf("%s, %d cleaned\n", end == PTHREAD_CANCELED ? "cancelled" : said(), cleaned);
    else if (timed)
        printf("%d, %s\n", result, in_time ? "not too early" : "too early");
    else
        printf("%s, %d handled\n", said(), handled);
    return 0;
}
