/* A program that does one thing with tunnels over and over until somebody kills it. Usage: peer
 * PATTERN INTERFACE
 *
 * Every call is timed: one that takes longer than PEER_LIMIT_MS (default 3000) is said on
 * standard error and ends the program with status 9. Nothing here blocks by itself: the tunnels
 * are O_NONBLOCK. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *interface;
static char **arguments;
static long limit_ms = 3000;

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void check(const char *call, long begun)
{
    long time = now_ms() - begun;
    if (time <= limit_ms)
        return;
    fprintf(stderr, "SLOW: %s took %ld ms\n", call, time);
    _exit(9);
}

#define TIMED(call) ({ long begun = now_ms(); __auto_type answer = (call); int e = errno; check(#call, begun); errno = e; answer; })

static int attach(int flags)
{
    int fd = TIMED(open("/dev/net/tun", O_RDWR | O_NONBLOCK));
    if (fd < 0)
        return -1;
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI | flags };
    strncpy(ifr.ifr_name, interface, IFNAMSIZ - 1);
    if (TIMED(ioctl(fd, TUNSETIFF, &ifr)) < 0) {
        TIMED(close(fd));
        return -1;
    }
    return fd;
}

static void leave(int fd)
{
    if (fd >= 0)
        TIMED(close(fd));
}

static void talk(int fd, int times)
{
    char out[1600] = { 0x45 }, in[1600];
    for (int i = 0; i < times; i++) {
        TIMED(write(fd, out, 100 + i % 1400));
        TIMED(read(fd, in, sizeof in));
    }
}

static void *talk_for_ever(void *fd)
{
    for (;;)
        talk((long)fd, 1000);
    return NULL;
}

static void queues(void)
{
    int fds[8];
    for (int i = 0; i < 8; i++)
        fds[i] = attach(IFF_MULTI_QUEUE);
    struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };
    TIMED(ioctl(fds[2], TUNSETQUEUE, &ifr));
    talk(fds[4], 50);
    ifr.ifr_flags = IFF_ATTACH_QUEUE;
    TIMED(ioctl(fds[2], TUNSETQUEUE, &ifr));
    for (int i = 0; i < 8; i++)
        leave(fds[i]);
}

static void persistent(void)
{
    int fd = attach(0);
    TIMED(ioctl(fd, TUNSETPERSIST, 1));
    leave(fd);
    fd = attach(0);
    TIMED(ioctl(fd, TUNSETPERSIST, 0));
    leave(fd);
}

static void children(void)
{
    int fd = attach(0);
    for (int i = 0; i < 3; i++) {
        if (fork() != 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        talk(fd, 20);
        if (i == 0)
            _exit(0);
        if (i == 1)
            kill(getpid(), SIGKILL);
        exit(0);
    }
    int status;
    while (wait(&status) > 0)
        if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
            _exit(WEXITSTATUS(status));
    leave(fd);
}

static void execute(void)
{
    int fd = attach(0);
    if (fd < 0)
        return;
    fcntl(fd, F_SETFD, 0);
    char number[12];
    snprintf(number, sizeof number, "%d", fd);
    execv("/proc/self/exe", (char *[]){ arguments[0], arguments[1], arguments[2], number, NULL });
}

static void traffic(void)
{
    int fd = attach(0);
    talk(fd, 2000);
    leave(fd);
}

static void threads(void)
{
    int fd = attach(0);
    if (fd < 0)
        return;
    pthread_t thread;
    for (int i = 0; i < 3; i++)
        pthread_create(&thread, NULL, talk_for_ever, (void *)(long)fd);
    talk_for_ever((void *)(long)fd);
}

static void link_settings(void)
{
    int fd = attach(0), s = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq ifr = { 0 };
    strncpy(ifr.ifr_name, interface, IFNAMSIZ - 1);
    for (int i = 0; i < 50; i++) {
        ifr.ifr_flags = i & 1 ? IFF_UP : 0;
        TIMED(ioctl(s, SIOCSIFFLAGS, &ifr));
        ifr.ifr_mtu = 600 + i;
        TIMED(ioctl(s, SIOCSIFMTU, &ifr));
        ifr.ifr_qlen = i + 1;
        TIMED(ioctl(s, SIOCSIFTXQLEN, &ifr));
        TIMED(poll(&(struct pollfd){ fd, POLLIN | POLLOUT, 0 }, 1, 0));
    }
    close(s);
    leave(fd);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    arguments = argv;
    interface = argv[2];
    if (getenv("PEER_LIMIT_MS"))
        limit_ms = atol(getenv("PEER_LIMIT_MS"));
    if (argc > 3) { /* after exec: the descriptor came along */
        talk(atoi(argv[3]), 20);
        execv("/proc/self/exe", (char *[]){ argv[0], argv[1], argv[2], NULL });
        return 3;
    }
    for (;;)
        switch (argv[1][0]) {
        case 'o': leave(TIMED(open("/dev/net/tun", O_RDWR))); break;
        case 'a': leave(attach(0)); break;
        case 'm': queues(); break;
        case 'p': persistent(); break;
        case 'f': children(); break;
        case 'x': execute(); break;
        case 'w': traffic(); break;
        case 't': threads(); break;
        case 'l': link_settings(); break;
        default: return 2;
        }
}
