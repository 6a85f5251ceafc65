/* harness.h - what every conformance program shares: labelled lines, a watchdog, children,
 * waiting for a fact.
 *
 * A program prints lines "label: result" on standard output; a label occurs once per program and
 * has no ": ". The transcript on the kernel's driver and the one under the shim must be equal,
 * so nothing is printed that may differ between two runs (absolute interface indexes, inodes,
 * random addresses, process ids): print a predicate instead. */
#ifndef HARNESS_H
#define HARNESS_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <linux/if_tun.h>

#include "memtun.h"
#pragma weak memtun_active

#define HELPER __attribute__((unused)) static
#ifndef WATCHDOG_SECONDS
#define WATCHDOG_SECONDS 20
#endif
#define DEVICE "/dev/net/tun"

/* ---- which world ---- */

HELPER int under_shim(void) { return memtun_active && memtun_active(); }

HELPER void die(const char *what)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    _exit(99);
}

#define MUST(expr) ({ long must_ = (long)(expr); if (must_ == -1) die(#expr); must_; })

/* "--real-device" asks only whether this user may create an interface on the real driver: 0 yes, 77
   no. */
HELPER int real_device(void)
{
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    int fd = open(DEVICE, O_RDWR);
    return fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0 ? 0 : 77;
}

/* First thing in main(). SHIM_TESTS_SIDE guards against a run by hand that would touch the
   machine's own interfaces. */
HELPER void start(int argc, char **argv)
{
    const char *side = getenv("SHIM_TESTS_SIDE");
    if (argc > 1 && !strcmp(argv[1], "--real-device"))
        exit(real_device());
    if (!side || strcmp(side, under_shim() ? "shim" : "kernel")) {
        fprintf(stderr, "%s: run it through the conformance test (SHIM_TESTS_SIDE is %s, shim is %s)\n", argv[0],
                side ? side : "unset", under_shim() ? "loaded" : "not loaded");
        exit(98);
    }
    alarm(WATCHDOG_SECONDS);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

/* ---- labelled lines ---- */

HELPER const char *errno_name(int error)
{
    const char *name = strerrorname_np(error);
    return name ? name : "E?";
}

HELPER __attribute__((format(printf, 2, 3))) void say(const char *label, const char *format, ...)
{
    char line[2048];
    va_list args;
    if (strstr(label, ": ")) {
        fprintf(stderr, "label with a colon: %s\n", label);
        _exit(99);
    }
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    printf("%s: %s\n", label, line);
}

HELPER void show(const char *label, long result)
{
    if (result == -1)
        say(label, "-1 %s", errno_name(errno));
    else
        say(label, "%ld", result);
}

/* Prints a call's result with its errno: SHOW("write", write(fd, b, n)). */
#define SHOW(label, expr) do { errno = 0; long show_ = (long)(expr); show(label, show_); } while (0)
/* The same for calls that return an error number. */
#define SHOW_ERRNO(label, expr) do { int e_ = (expr); say(label, "%s", e_ ? errno_name(e_) : "0"); } while (0)

HELPER char *hex(char *out, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sprintf(out + 2 * i, "%02x", ((const unsigned char *)data)[i]);
    out[2 * len] = 0;
    return out;
}

HELPER char *describe_data(char out[160], const void *data, size_t len)
{
    uint32_t fnv = 2166136261u;
    char digits[80];
    for (size_t i = 0; i < len; i++)
        fnv = (fnv ^ ((const unsigned char *)data)[i]) * 16777619u;
    if (len <= 24)
        hex(out, data, len);
    else
        sprintf(out, "%s..(%zu bytes fnv=%08x)", hex(digits, data, 24), len, fnv);
    return out;
}

/* A read: its length and the bytes, or the error. */
HELPER void show_data(const char *label, ssize_t result, const void *data)
{
    char text[160];
    if (result < 0)
        show(label, result);
    else
        say(label, "%zd data=%s", result, describe_data(text, data, result));
}

HELPER char *bits(char *out, unsigned value, const char *const names[], const unsigned values[])
{
    *out = 0;
    for (int i = 0; names[i]; i++)
        if (value & values[i]) {
            sprintf(out + strlen(out), "%s%s", *out ? "|" : "", names[i]);
            value &= ~values[i];
        }
    if (value)
        sprintf(out + strlen(out), "%s0x%x", *out ? "|" : "", value);
    if (!*out)
        strcpy(out, "0");
    return out;
}

HELPER char *poll_bits(char out[160], unsigned events)
{
    static const char *const names[] = { "IN", "PRI", "OUT", "ERR", "HUP", "NVAL", "RDNORM", "RDBAND", "WRNORM",
                                         "WRBAND", "RDHUP", NULL };
    static const unsigned values[] = { POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDNORM, POLLRDBAND,
                                       POLLWRNORM, POLLWRBAND, POLLRDHUP };
    return bits(out, events, names, values);
}

/* ---- waiting for a fact ---- */

HELPER double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

HELPER void pause_ms(int ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000L }, left;
    while (nanosleep(&t, &left) == -1 && errno == EINTR)
        t = left;
}

/* 1 as soon as the condition holds, 0 when it does not within ms. */
#define EVENTUALLY(condition, ms) ({ \
    double until_ = now() + (ms) / 1e3; \
    int ok_; \
    while (!(ok_ = !!(condition)) && now() < until_) { \
        pause_ms(1); \
    } \
    ok_; })

HELPER char task_state(const char *path)
{
    char text[512] = "", *after;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    after = n > 0 ? strrchr(text, ')') : NULL;
    return after ? after[2] : 0;
}

/* Waits until the task sleeps in the kernel, seen several times in a row. */
HELPER int sleeps(pid_t tid)
{
    char path[64];
    int in_a_row = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", tid);
    return EVENTUALLY((in_a_row = task_state(path) == 'S' ? in_a_row + 1 : 0) >= 5, 2000);
}

/* ---- children ---- */

/* fork() whose child has its own watchdog and does not outlive its parent. */
HELPER pid_t child(void)
{
    pid_t parent = getpid(), pid;
    fflush(stdout);
    pid = MUST(fork());
    if (!pid) {
        alarm(WATCHDOG_SECONDS);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(97);
    }
    return pid;
}

HELPER const char *finish(pid_t pid)
{
    static char text[40];
    int status;
    MUST(waitpid(pid, &status, 0));
    if (WIFSIGNALED(status))
        sprintf(text, "signal %s", sigabbrev_np(WTERMSIG(status)));
    else
        sprintf(text, "exit %d", WEXITSTATUS(status));
    return text;
}

/* One byte from one process to another: who waits reads it. */
typedef struct { int end[2]; } gate;
HELPER void gate_make(gate *g) { MUST(pipe2(g->end, O_CLOEXEC)); }
HELPER void gate_open(gate *g) { MUST(write(g->end[1], "x", 1)); }
HELPER void gate_wait(gate *g) { char c; if (read(g->end[0], &c, 1) != 1) die("gate"); }

/* ---- a read in another thread ---- */

typedef struct {
    pthread_t thread;
    int fd;
    size_t len;
    atomic_int tid, done;
    ssize_t result;
    int error;
    unsigned char data[4096];
} reader;

HELPER void *reader_main(void *arg)
{
    reader *r = arg;
    atomic_store(&r->tid, (int)syscall(SYS_gettid));
    errno = 0;
    r->result = read(r->fd, r->data, r->len);
    r->error = errno;
    atomic_store(&r->done, 1);
    return NULL;
}

HELPER void reader_start(reader *r, int fd, size_t len)
{
    memset(r, 0, sizeof *r);
    r->fd = fd;
    r->len = len;
    if (pthread_create(&r->thread, NULL, reader_main, r))
        die("pthread_create");
    if (!EVENTUALLY(atomic_load(&r->tid), 2000) || !(sleeps(r->tid) || atomic_load(&r->done)))
        die("reader neither blocks nor returns");
}

/* "still blocked" when nothing ended the read within a while that would have been plenty. */
HELPER void reader_show(reader *r, const char *label, int wait_ms)
{
    if (!EVENTUALLY(atomic_load(&r->done), wait_ms)) {
        say(label, "still blocked");
        return;
    }
    errno = r->error;
    show_data(label, r->result, r->data);
}

HELPER void reader_join(reader *r)
{
    if (pthread_join(r->thread, NULL))
        die("pthread_join");
}

/* ---- bad memory ---- */

#define BAD_POINTER ((void *)8)

HELPER int page_size(void) { return sysconf(_SC_PAGESIZE); }

/* A buffer of which only the first `usable` bytes exist; behind them is unmapped memory. */
HELPER unsigned char *edge(size_t usable)
{
    unsigned char *p = mmap(NULL, 2 * page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        die("mmap");
    MUST(munmap(p + page_size(), page_size()));
    return p + page_size() - usable;
}

#endif
