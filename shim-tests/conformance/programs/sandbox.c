/* Programs that forbid themselves every system call but those that the driver needs: the strict
 * mode, and filters that kill or refuse. Nothing else may be needed once the tunnel is there. */
#include "driver.h"
#include <stddef.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

enum kind { STRICT, KILLS, REFUSES, KINDS };
static const char *const kinds[] = { "strict mode", "a filter that kills", "a filter that refuses" };

#define ALLOW(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void enter(enum kind kind)
{
    unsigned action = kind == KILLS ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | ENOTUNIQ;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_readv), ALLOW(SYS_writev), ALLOW(SYS_ppoll), ALLOW(SYS_epoll_pwait),
#ifdef SYS_poll
        ALLOW(SYS_poll), ALLOW(SYS_epoll_wait),
#endif
        ALLOW(SYS_close), ALLOW(SYS_exit), ALLOW(SYS_exit_group), ALLOW(SYS_rt_sigreturn),
        BPF_STMT(BPF_RET | BPF_K, action),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (kind == STRICT)
        MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
    else if (kind == KILLS)
        MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
    else
        MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

/* ---- inside ---- */

static int out, epoll;
static unsigned char buf[4096];
static void *volatile nowhere = BAD_POINTER;

static void tell(const char *what, long result)
{
    char text[80];
    int n = result == -1 ? snprintf(text, sizeof text, "%s -1 %s, ", what, errno_name(errno))
                         : snprintf(text, sizeof text, "%s %ld, ", what, result);
    if (write(out, text, n) != n)
        syscall(SYS_exit, 9);
}

static void read_and_write(int fd)
{
    ssize_t n = read(fd, buf, sizeof buf);
    tell("read", n);
    tell("write", write(fd, buf, n > 0 ? n : 60));
}

static void drain(int fd)
{
    for (int i = 0; i < 4; i++)
        tell("read", read(fd, buf, sizeof buf));
    for (int i = 0; i < 2; i++)
        tell("write", write(fd, buf, 60));
}

static void take_three(int fd)
{
    for (int i = 0; i < 3; i++)
        tell("read", read(fd, buf, sizeof buf));
    tell("write", write(fd, buf, 60));
}

static void bad_pointers(int fd)
{
    tell("write of a bad pointer", write(fd, nowhere, 60));
    tell("read into one", read(fd, nowhere, 60));
    tell("read", read(fd, buf, sizeof buf));
    tell("write", write(fd, buf, 60));
}

static void write_much(int fd)
{
    long done = 0;
    for (int i = 0; i < 12000; i++)
        done += write(fd, buf, 1400) == 1400;
    tell("written", done);
}

static void vectors(int fd)
{
    struct iovec v[2] = { { buf, 20 }, { buf + 100, 1000 } };
    tell("readv", readv(fd, v, 2));
    v[1].iov_len = 40;
    tell("writev", writev(fd, v, 2));
}

static void waits(int fd)
{
    struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
    struct timespec second = { 1, 0 };
    struct epoll_event event = { 0 };
    tell("poll", poll(&p, 1, 1000));
    tell("revents", p.revents);
    tell("ppoll", ppoll(&p, 1, &second, NULL));
    tell("epoll_wait", epoll_wait(epoll, &event, 1, 1000));
    tell("events", event.events);
    tell("read", read(fd, buf, sizeof buf));
    tell("poll", poll(&p, 1, 1000));
    tell("revents", p.revents);
    p.events = POLLIN;
    tell("poll of an empty queue", poll(&p, 1, 0));
}

static void waits_down(int fd)
{
    struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
    tell("poll", poll(&p, 1, 30));
    tell("write", write(fd, buf, 60));
}

static void closes(int fd)
{
    tell("write", write(fd, buf, 60));
    tell("close", close(fd));
    tell("write", write(fd, buf, 60));
    tell("close", close(fd));
}

/* ---- outside ---- */

struct arrangement {
    const char *label;
    void (*inside)(int);
    int iff, flags, packets_before, packet_after, down, vnet, unheard;
};

static void *wait_for_packet(void *at)
{
    driver *d = at;
    static char room[65536];
    long n;
    if (d->iface)
        n = memtun_interface_recv(d->iface, room, sizeof room, NULL, 5000);
    else {
        struct pollfd p = { d->sock, POLLIN, 0 };
        poll(&p, 1, 5000);
        /* The interface may be gone already, which the socket tells once. */
        do
            n = recv(d->sock, room, sizeof room, MSG_DONTWAIT);
        while (n == -1 && errno == ENETDOWN);
    }
    return (void *)n;
}

static void try(const struct arrangement *what, enum kind kind)
{
    int text[2], go[2];
    char label[100], told[1000] = "", byte;
    size_t length = 0;
    ssize_t n;
    void *received;
    pthread_t receiver;
    MUST(pipe(text));
    MUST(pipe(go));
    pid_t pid = child();
    if (!pid) {
        int size = 12, fd = tun_attach("sx0", what->iff, what->flags);
        struct epoll_event event = { .events = EPOLLIN };
        if (what->vnet)
            MUST(ioctl(fd, TUNSETVNETHDRSZ, &size));
        link_up("sx0", !what->down);
        epoll = MUST(epoll_create1(0));
        MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
        memset(buf, 0, sizeof buf);
        buf[what->vnet] = 0x45;
        out = text[1];
        MUST(write(out, "!", 1));
        MUST(read(go[0], &byte, 1));
        enter(kind);
        what->inside(fd);
        syscall(SYS_exit, 0);
    }
    close(text[1]);
    MUST(read(text[0], &byte, 1));
    driver d = drv_attach("sx0");
    for (int i = 0; i < what->packets_before; i++)
        drv_packet(&d, 60 + i);
    if (!what->unheard)
        pthread_create(&receiver, NULL, wait_for_packet, &d);
    sleeps(pid);
    MUST(write(go[1], "!", 1));
    if (what->packet_after) {
        sleeps(pid);
        drv_packet(&d, 90);
    }
    while ((n = read(text[0], told + length, sizeof told - 1 - length)) > 0)
        length += n;
    const char *end = finish(pid);
    snprintf(label, sizeof label, "%s, %s", what->label, kinds[kind]);
    say(label, "%s%s", told, end);
    if (!what->unheard) {
        pthread_join(receiver, &received);
        snprintf(label, sizeof label, "%s, %s, received", what->label, kinds[kind]);
        say(label, "%ld", (long)received);
    }
    drv_detach(&d);
    snprintf(label, sizeof label, "%s, %s, it is gone", what->label, kinds[kind]);
    say(label, "%d", EVENTUALLY(!exists("sx0"), 2000));
    close(text[0]);
    close(go[0]);
    close(go[1]);
}

int main(int argc, char **argv)
{
    static const int plain = IFF_TUN | IFF_NO_PI;
    static const struct arrangement all[] = {
        { "a packet waits", read_and_write, .iff = plain, .packets_before = 1 },
        { "a packet waits, O_NONBLOCK", read_and_write, .iff = plain, .flags = O_NONBLOCK, .packets_before = 1 },
        { "three packets, O_NONBLOCK", drain, .iff = plain, .flags = O_NONBLOCK, .packets_before = 3 },
        { "three packets", take_three, .iff = plain, .packets_before = 3 },
        { "nothing waits, O_NONBLOCK", read_and_write, .iff = plain, .flags = O_NONBLOCK },
        { "a reader that is woken", read_and_write, .iff = plain, .packet_after = 1 },
        { "a reader that is woken again", take_three, .iff = plain, .packets_before = 2, .packet_after = 1 },
        { "packet information", read_and_write, .iff = IFF_TUN, .packets_before = 1 },
        { "vnet header", read_and_write, .iff = plain | IFF_VNET_HDR, .packets_before = 1, .vnet = 12 },
        { "tap", read_and_write, .iff = IFF_TAP | IFF_NO_PI, .packets_before = 1 },
        { "tap with both headers", read_and_write, .iff = IFF_TAP | IFF_VNET_HDR, .packets_before = 1, .vnet = 12 },
        { "bad pointers", bad_pointers, .iff = plain, .packets_before = 2 },
        { "many packets", write_much, .iff = plain, .unheard = 1 },
    };
    static const struct arrangement more[] = {
        { "vectors", vectors, .iff = plain, .packets_before = 1 },
        { "poll and its relatives", waits, .iff = plain, .packets_before = 1, .unheard = 1 },
        { "poll of a link that is down", waits_down, .iff = plain, .down = 1, .unheard = 1 },
        { "close", closes, .iff = plain },
    };
    start(argc, argv);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (enum kind kind = STRICT; kind < KINDS; kind++)
            try(&all[i], kind);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        for (enum kind kind = KILLS; kind < KINDS; kind++)
            try(&more[i], kind);
    return 0;
}
