/* Calls on a tunnel that are run one instruction at a time (the trap flag of x86-64), with
 * something in between that a program may do there. Usage: steps MODE CALL [STRIDE]
 *
 *   MODE  a handler at each instruction:
 *         w writes on another tunnel   o opens, attaches, writes and closes another
 *         at one instruction after another, each in a new call:
 *         j siglongjmp out   k SIGKILL (in a child)   e exec (in a child)
 *         v SIGKILL (in a vfork child)   r fork, and the child returns from the handler
 *   CALL  w write   r read   a open, attach, close
 *   STRIDE  only every so many instructions
 *
 * After each the tunnels are used again, by this process and by another one: that must work at
 * once. */
#define _GNU_SOURCE
#define MEMTUN_WEAK
#include "memtun.h"
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char mode, call;
static long stride = 1, step, target;
static int tunnel, other, failures;
static pid_t returned;
static sigjmp_buf out;

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int attach(const char *name)
{
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    strcpy(ifr.ifr_name, name);
    if (fd >= 0 && ioctl(fd, TUNSETIFF, &ifr)) {
        int e = errno;
        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

static void failed(const char *what)
{
    if (failures++ < 10)
        fprintf(stderr, "steps %c %c, instruction %ld: %s: %s\n", mode, call, mode == 'w' || mode == 'o' ? step : target, what, strerror(errno));
}

static int writes(int fd)
{
    static const char packet[100] = { 0x45 };
    return write(fd, packet, sizeof packet) == sizeof packet;
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    int e = errno, stop = 0;
    long at = step++;
    /* The kernel's clock in user space begins anew when a tick comes, and each round would take
       longer than that. */
    unsigned long here = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP], clock = getauxval(AT_SYSINFO_EHDR);
    if ((mode == 'w' || mode == 'o') && here - clock < 4 * 4096)
        return;
    if (mode == 'w' && at % stride == 0 && !writes(other))
        failed("write on another tunnel");
    if (mode == 'o' && at % stride == 0) {
        int fd = attach("handler");
        if (fd < 0)
            failed("attach another tunnel");
        else if (!writes(fd) || close(fd))
            failed("write and close another tunnel");
    }
    if (at == target && mode == 'j')
        siglongjmp(out, 1);
    if (at == target && (mode == 'k' || mode == 'v'))
        kill(getpid(), SIGKILL);
    if (at == target && mode == 'e')
        execl("/bin/true", "true", (char *)NULL);
    if (at == target && mode == 'r') {
        returned = fork();
        stop = 1;
    }
    if (stop)
        ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~0x100;
    errno = e;
}

/* The call, instruction by instruction. */
static __attribute__((noinline)) void stepped(void)
{
    static char packet[2000];
    int fd;
    step = 0;
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
    switch (call) {
    case 'w': writes(tunnel); break;
    case 'r': if (read(tunnel, packet, sizeof packet) < 0) break; break;
    case 'a':
        fd = attach("again");
        if (fd >= 0)
            close(fd);
        break;
    }
    __asm__ volatile("pushfq; andq $-257, (%%rsp); popfq" ::: "memory", "cc");
}

/* A read says EAGAIN also when there is nothing, so the descriptor tells of the queue: a driver of
   our own fills it. */
static int can_be_read(void)
{
    static memtun_interface *driver;
    char packet[100] = { 0x45 };
    if (!driver)
        driver = memtun_interface_open(memtun_net_open(NULL), "stepped", 1000);
    while (read(tunnel, packet, sizeof packet) > 0)
        ;
    return memtun_interface_inject(driver, packet, sizeof packet, 0, 0) == 0 && read(tunnel, packet, sizeof packet) == sizeof packet;
}

static void expect_soon(const char *who)
{
    long begun = now_ms();
    int fd;
    /* A vfork child has its parent's thread for its own. Who comes back to a lock of its own is
     * taken for a handler, and is refused for a second. */
    while (mode == 'v' && now_ms() - begun < 1500 && (!writes(tunnel) || !can_be_read()))
        ;
    if (mode == 'v')
        begun = now_ms();
    if (!writes(tunnel))
        failed(who);
    if (!can_be_read())
        failed(who);
    /* An interface of a call that was left by a jump is still attached: its descriptor was never
       given to anybody. */
    if (call == 'a' && mode != 'j') {
        fd = attach("again");
        if (fd < 0)
            failed(who);
        close(fd);
    }
    if (now_ms() - begun > 150) {
        fprintf(stderr, "%ld ms\n", now_ms() - begun);
        failed(who);
    }
}

/* The same from frames that are deep down. */
static __attribute__((noinline)) void expect_soon_below(const char *who)
{
    volatile char *room = alloca(64 << 10);
    room[0] = 1;
    expect_soon(who);
}

static void at_one_instruction(void)
{
    int status;
    volatile pid_t pid = 0;
    switch (mode) {
    case 'j':
        if (sigsetjmp(out, 1) == 0)
            stepped();
        __asm__ volatile("pushfq; andq $-257, (%%rsp); popfq" ::: "memory", "cc");
        break;
    case 'k':
    case 'e':
        pid = fork();
        break;
    case 'v':
        pid = vfork();
        break;
    case 'r':
        returned = -1;
        pid_t parent = getpid();
        stepped();
        if (getpid() != parent) {
            expect_soon("a child that returned from the handler");
            _exit(failures != 0);
        }
        pid = returned;
        break;
    }
    if (mode != 'j' && mode != 'r' && pid == 0) {
        stepped();
        _exit(0);
    }
    if (mode != 'j' && pid > 0) {
        waitpid(pid, &status, 0);
        if (mode == 'r' && status != 0)
            failed("the child");
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(100);
    mode = argv[1][0];
    call = argv[2][0];
    if (argc > 3)
        stride = atol(argv[3]);
    tunnel = attach("stepped");
    other = attach("other");
    if (tunnel < 0 || other < 0)
        return 3;
    struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
    sigaction(SIGTRAP, &action, NULL);
    target = -1;
    if (mode == 'w' || mode == 'o') {
        stepped();
        expect_soon("afterwards");
        printf("%ld instructions, %d failures\n", step, failures);
        return failures != 0 || step < 100;
    }
    /* How many there are: they are more when something was left behind, which is then found by the
       call's own length. */
    char wanted = mode;
    mode = 0;
    stepped();
    long count = step;
    mode = wanted;
    for (target = 0; target < count && failures < 10; target += stride) {
        at_one_instruction();
        expect_soon("afterwards");
        expect_soon_below("afterwards, deep down");
        if (target % 8 == 0) {
            int status;
            pid_t pid = fork();
            if (pid == 0) {
                expect_soon("another process afterwards");
                _exit(failures != 0);
            }
            waitpid(pid, &status, 0);
            failures += status != 0;
        }
    }
    printf("%ld instructions, %d failures\n", count, failures);
    return failures != 0 || count < 100;
}
