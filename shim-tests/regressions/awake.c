/* Signals that come while a wait is awake, before it sleeps (MEMTUN_BUSY_POLL): they do what they
   do to a wait that sleeps. A process waits on one processor, and the packets come from another one
   on another processor. That it is awake shows in the time for which it has run.
   awake WAIT CASE prints how the wait was when the signal came, and what became of it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../src/shim/memtun.h"

#pragma weak memtun_net_open
#pragma weak memtun_interface_open
#pragma weak memtun_interface_inject

enum { READ, POLL, SELECT, EPOLL };
static const char *const NAMES[] = { "read", "poll", "select", "epoll_wait" };

static int fd, epoll, how;
static const char *what;
static memtun_interface *interface;

/* What the process that waits shows to the other one. */
static volatile struct {
    int is_off, result, error, handled, cleaned, in_time;
} *shown;

static void handler(int signal) { (void)signal, shown->handled++; }
static void cleanup(void *unused) { (void)unused, shown->cleaned++; }

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

static int is(const char *name) { return strcmp(what, name) == 0; }

static void *wait_thread(void *unused)
{
    int ms = is("time") ? 30 : -1;
    (void)unused;
    pin(0);
    pthread_cleanup_push(cleanup, NULL);
    double begin = now();
    shown->is_off = 1;
    shown->result = wait_for_packet(ms);
    shown->error = errno;
    shown->in_time = ms < 0 || now() - begin >= ms / 1e3;
    shown->is_off = 2;
    pthread_cleanup_pop(0);
    return NULL;
}

static void *idle_thread(void *begun)
{
    pthread_barrier_wait(begun);
    for (;;)
        pause();
    return NULL;
}

/* A sandbox that the library does not see being entered: a system call ends the process by which
   signals are held back. */
static void enter_sandbox(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { sizeof rules / sizeof *rules, rules };
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    long answer;
#if defined __x86_64__
    __asm__ volatile("syscall" : "=a"(answer)
        : "0"(SYS_seccomp), "D"(SECCOMP_SET_MODE_FILTER), "S"(0), "d"(&filter) : "rcx", "r11", "memory");
#elif defined __aarch64__
    register long x8 __asm__("x8") = SYS_seccomp, x0 __asm__("x0") = SECCOMP_SET_MODE_FILTER, x1 __asm__("x1") = 0;
    register void *x2 __asm__("x2") = &filter;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    answer = x0;
#endif
    must(answer == 0, "seccomp");
}

/* The process that waits. It has read all before. */
static void waiter(void)
{
    char packet[2000];
    struct epoll_event event = { .events = EPOLLIN };
    pthread_barrier_t begun;
    pthread_t thread;
    void *end;
    alarm(20);
    epoll = epoll_create1(0);
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    must(read(fd, packet, sizeof packet) > 0, "read");
    if (is("threads")) {
        pthread_barrier_init(&begun, NULL, 2);
        must(pthread_create(&thread, NULL, idle_thread, &begun) == 0, "pthread_create");
        pthread_barrier_wait(&begun);
    }
    if (is("cancel")) {
        must(pthread_create(&thread, NULL, wait_thread, NULL) == 0, "pthread_create");
        must(read(0, packet, 1) == 1, "read of the word to cancel");
        pthread_cancel(thread);
        pthread_join(thread, &end);
        shown->result = end == PTHREAD_CANCELED;
    } else {
        if (is("sandbox"))
            enter_sandbox();
        wait_thread(NULL);
    }
    _exit(0);
}

/* Is a thread of this process in its wait, awake or asleep? Who waits for a lock or a page sleeps,
   too, so it counts only if it is found so again and again. */
static const char *waits(pid_t pid)
{
    enum { OFTEN = 2000 };
    static int times;
    char path[64], line[512], state = 0;
    long ticks = 0, more = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    int is_off = shown->is_off, is_any = 0, is_awake = 0;
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/stat", pid, task->d_name);
        FILE *stat = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (!stat)
            continue;
        /* In hundredths of a second: who goes to sleep at once does not run for so long. */
        if (fgets(line, sizeof line, stat) && strrchr(line, ')')
            && sscanf(strrchr(line, ')') + 2, "%c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &state, &ticks, &more) == 3) {
            is_any |= state != 'S';
            is_awake |= state == 'R' && ticks + more >= 5;
        }
        fclose(stat);
    }
    if (tasks)
        closedir(tasks);
    if (is_off != 1)
        return is_off ? "over" : NULL;
    times = is_any ? 0 : times + 1;
    return is_awake ? "awake" : times < OFTEN ? NULL : "asleep";
}

static void inject(void)
{
    static const unsigned char packet[64] = { 0x45, 0, 0, 64 };
    must(memtun_interface_inject(interface, packet, sizeof packet, 0, 5000) == 0, "inject");
}

static const char *said(void) { return shown->result < 0 ? strerrorname_np(shown->error) : "ready"; }

int main(int argc, char **argv)
{
    int word[2];
    must(argc == 3, "awake WAIT CASE");
    what = argv[2];
    while (strcmp(argv[1], NAMES[how]))
        how++;
    shown = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shown != MAP_FAILED && pipe(word) == 0, "mmap or pipe");
    struct ifreq request = { .ifr_name = "awake0", .ifr_flags = IFF_TUN | IFF_NO_PI };
    fd = open("/dev/net/tun", O_RDWR);
    must(fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0, "TUNSETIFF");
    interface = memtun_interface_open(memtun_net_open(NULL), "awake0", 5000);
    must(interface != NULL, "memtun_interface_open");
    alarm(20);
    pin(1);
    struct sigaction action = { .sa_handler = is("ignored") ? SIG_IGN : handler, .sa_flags = is("restart") ? SA_RESTART : 0 };
    int unhandled = is("cancel") || is("time") || is("sandbox");
    if (!unhandled)
        sigaction(SIGUSR1, &action, NULL);
    inject();
    pid_t pid = fork();
    if (pid == 0) {
        dup2(word[0], 0);
        waiter();
    }
    const char *found;
    while (!(found = waits(pid)))
        ;
    printf("%s: ", found);
    if (is("cancel"))
        must(write(word[1], "c", 1) == 1, "write");
    else if (!unhandled)
        kill(pid, SIGUSR1);
    if (is("ignored") || is("sandbox") || (how == READ && is("restart")))
        inject();
    int status;
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    if (status)
        printf("status %d, ", status);
    if (is("cancel"))
        printf("%s, %d cleaned\n", shown->result ? "cancelled" : said(), shown->cleaned);
    else if (is("time"))
        printf("%d, %s\n", shown->result, shown->in_time ? "not too early" : "too early");
    else
        printf("%s, %d handled\n", said(), shown->handled);
    return 0;
}
