/* Descriptors that are closed or replaced without any function of libc's that could be noticed:
 * libc's own calls inside daemon(3) and its like, and system calls made by hand. Afterwards every
 * call goes to what is there; one that cannot know yet (a write that would need no kernel) does so
 * after a bounded number of tries. */
#include "driver.h"
#include <mqueue.h>
#include <pty.h>
#include <utmp.h>

#define TUN (IFF_TUN | IFF_NO_PI)
#define TRIES 600

/* A system call that no library sees. */
static long by_hand(long number, long a, long b, long c)
{
#if defined __x86_64__
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
#elif defined __aarch64__
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#endif
}

static void put_over(int from, int over) { by_hand(SYS_dup3, from, over, 0); }

/* A file of four bytes, at its beginning. */
static int file(void)
{
    int fd = MUST(memfd_create("unseen", 0));
    MUST(write(fd, "data", 4));
    MUST(lseek(fd, 0, SEEK_SET));
    return fd;
}

static const char *kind(int fd)
{
    struct stat st;
    if (fstat(fd, &st))
        return errno_name(errno);
    return S_ISREG(st.st_mode) ? "file" : S_ISFIFO(st.st_mode) ? "pipe" : S_ISCHR(st.st_mode) ? "device" : "other";
}

/* What a call does as the first one after the change. */
static void first_call(void)
{
    char b[64];
    struct ifreq ifr;
    struct iovec v = { b, sizeof b };
    int made = 0, fd;
#define OVER(label, call) do { \
        int tun_ = tun_ready("un0", TUN, O_NONBLOCK), file_ = file(); \
        put_over(file_, fd = tun_); \
        SHOW("file over a tunnel, " label, call); \
        say("then, " label, "%s exists=%d", kind(fd), exists("un0")); \
        close(fd); close(file_); made++; \
    } while (0)
    OVER("read", read(fd, b, sizeof b));
    OVER("readv", readv(fd, &v, 1));
    OVER("pread at 1", pread(fd, b, sizeof b, 1));
    OVER("read of nothing", read(fd, b, 0));
    OVER("write of nothing", write(fd, b, 0));
    OVER("write of what is no packet", write(fd, "x", 1));
    OVER("TUNGETIFF", ioctl(fd, TUNGETIFF, &ifr));
    OVER("FIONREAD", ({ int n = 0; ioctl(fd, FIONREAD, &n) ? -1 : n; }));
    OVER("F_GETFL", fcntl(fd, F_GETFL) & O_ACCMODE);
    OVER("isatty", isatty(fd));
    OVER("lseek", lseek(fd, 2, SEEK_SET));
    OVER("ftruncate", ftruncate(fd, 2));
    OVER("dup", ({ int d = dup(fd); long n = read(d, b, sizeof b); close(d); n; }));
    OVER("fdopen", ({ FILE *f = fdopen(dup(fd), "r"); long n = fread(b, 1, sizeof b, f); fclose(f); n; }));
    OVER("close", close(fd));
    say("descriptors left", "%d", dup(0) == fd);
}

static void nothing_there(void)
{
    char b[64];
    int fd = tun_ready("un1", TUN, 0);
    by_hand(SYS_close_range, fd, fd, 0);
    SHOW("closed by close_range, read", read(fd, b, sizeof b));
    fd = tun_ready("un1", TUN, 0);
    by_hand(SYS_close, fd, 0, 0);
    show_poll("closed, poll", fd, POLLIN, 0);
    SHOW("closed, close", close(fd));
    say("closed, exists", "%d", exists("un1"));
    fd = tun_ready("un1", TUN, 0);
    by_hand(SYS_close, fd, 0, 0);
    int again = tun_ready("un2", TUN, O_NONBLOCK);
    say("the next tunnel gets the number", "%d %d", again == fd, exists("un1"));
    SHOW("and is one", read(again, b, sizeof b));
    by_hand(SYS_close, fd, 0, 0);
    again = open("/proc/self/exe", O_RDONLY);
    say("the next file gets it", "%d", again == fd);
    SHOW("and is one, read", read(again, b, 4));
    close(again);
}

/* Calls that need no kernel: the number of them is bounded. */
static void in_the_end(void)
{
    unsigned char p[100];
    int fd = tun_ready("un3", TUN, O_NONBLOCK), f = file(), tries = 0;
    put_over(f, fd);
    packet(p, 60);
    while (tries++ < TRIES && write(fd, p, 60) == 60 && lseek(f, 0, SEEK_CUR) == 0)
        ;
    say("writes reach the file", "%d", lseek(f, 0, SEEK_CUR) == 60);
    say("and the tunnel is gone", "%d", exists("un3"));
    close(fd);
    close(f);
}

/* Another descriptor keeps the tunnel; the number that is a file now gets no byte of anybody's. */
static void rung_elsewhere(void)
{
    unsigned char b[100];
    int fd = tun_ready("un4", TUN, O_NONBLOCK), copy = dup(fd), f = file();
    driver d = drv_attach("un4");
    put_over(f, copy);
    for (int i = 0; i < 3; i++)
        drv_packet(&d, 60);
    say("the file after three packets", "size=%ld at=%ld", (long)lseek(f, 0, SEEK_END), (long)lseek(f, 0, SEEK_SET));
    show_poll("the tunnel", fd, POLLIN, 0);
    SHOW("a packet", read(fd, b, sizeof b));
    SHOW("another", read(fd, b, sizeof b));
    SHOW("the last", read(fd, b, sizeof b));
    SHOW("no more", read(fd, b, sizeof b));
    SHOW("the file", read(copy, b, sizeof b));
    close(copy);
    int tries = 0;
    packet(b, 60);
    put_over(f, copy = MUST(dup(fd)));
    while (tries++ < TRIES && write(copy, b, 60) == 60 && lseek(f, 0, SEEK_CUR) == 0)
        ;
    say("writes reach the file beside a living tunnel", "%d exists=%d", lseek(f, 0, SEEK_CUR) == 60, exists("un4"));
    close(copy);
    close(f);
    close(fd);
    drv_detach(&d);
}

static void sleeping(void)
{
    int fd = tun_ready("un5", TUN, 0), ends[2];
    reader r;
    MUST(pipe(ends));
    put_over(ends[0], fd);
    reader_start(&r, fd, 64);
    MUST(write(ends[1], "pipe", 4));
    reader_show(&r, "a read that waits for the pipe", 2000);
    reader_join(&r);
    close(ends[1]);
    char c;
    SHOW("its end", read(fd, &c, 1));
    close(fd);
    close(ends[0]);
}

static void children(void)
{
    char b[64];
    int fd = tun_ready("un6", TUN, O_NONBLOCK), f = file();
    pid_t pid = child();
    if (!pid) {
        put_over(f, fd);
        pid_t grandchild = child();
        if (!grandchild)
            _exit(write(fd, "12345", 5) != 5 || lseek(f, 0, SEEK_END) != 5);
        finish(grandchild);
        _exit(read(fd, b, sizeof b) != 0);
    }
    say("a child and its child", "%s", finish(pid));
    say("here", "%s exists=%d", kind(fd), exists("un6"));
    SHOW("here, read", read(fd, b, sizeof b));
    close(fd);
    close(f);
}

/* What libc replaces by itself. */
static void by_libc(void)
{
    char b[64];
    gate done;
    struct ifreq ifr;
    int out = MUST(fcntl(1, F_DUPFD, 50)), fd, status;
    gate_make(&done);
    pid_t pid = child();
    if (!pid) {
        close(0);
        fd = tun_ready("un7", TUN, O_NONBLOCK);
        dup2(fd, 2);
        int answer = daemon(1, 0);
        long n = read(0, b, sizeof b), w = write(0, "0", 1), e = write(2, "2", 1);
        dprintf(out, "daemon: %d fd=%d %s read=%ld write=%ld,%ld TUNGETIFF=%d exists=%d\n", answer, fd, kind(0), n, w, e,
                ioctl(2, TUNGETIFF, &ifr), !EVENTUALLY(!exists("un7"), 2000));
        gate_open(&done);
        _exit(0);
    }
    gate_wait(&done);
    finish(pid);
    fd = tun_ready("un8", TUN, O_NONBLOCK);
    SHOW("login_tty of a tunnel", login_tty(fd));
    say("after login_tty", "%d", ioctl(fd, TUNGETIFF, &ifr));
    int terminal;
    pid = forkpty(&terminal, NULL, NULL, NULL);
    if (!pid) {
        /* The tunnel is still one, 0 to 2 are a terminal. */
        int before = ioctl(fd, TUNGETIFF, &ifr);
        _exit(before || !isatty(0) || ioctl(0, TUNGETIFF, &ifr) != -1 ? 1 : 0);
    }
    waitpid(pid, &status, 0);
    say("forkpty", "%d", WEXITSTATUS(status));
    close(terminal);
    int zero = dup(0);
    dup2(fd, 0);
    pid = forkpty(&terminal, NULL, NULL, NULL);
    if (!pid) {
        int first = ioctl(0, TUNGETIFF, &ifr), error = errno;
        _exit(first != -1 || error != ENOTTY || !isatty(0) || write(0, "x", 1) != 1);
    }
    waitpid(pid, &status, 0);
    say("forkpty where 0 is a tunnel", "%d", WEXITSTATUS(status));
    close(terminal);
    say("here 0 is one", "%d", ioctl(0, TUNGETIFF, &ifr));
    SHOW("mq_close of a copy", mq_close(0));
    SHOW("and read", read(0, b, sizeof b));
    dup2(zero, 0);
    SHOW("mq_close of the tunnel", mq_close(fd));
    say("exists after mq_close", "%d", exists("un8"));
    FILE *f = fdopen(tun_ready("un9", TUN, O_NONBLOCK), "r+");
    fd = fileno(f);
    f = freopen("/proc/self/exe", "r", f);
    say("freopen of a stream", "%d", f && fileno(f) == fd ? 1 : f != NULL);
    say("reads the file", "%zu exists=%d", fread(b, 1, 4, f), exists("un9"));
    fclose(f);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    first_call();
    nothing_there();
    in_the_end();
    rung_elsewhere();
    sleeping();
    children();
    by_libc();
    return 0;
}
