/* A tun program for the stress test: reads numbered packets from its interface, marks each in a
 * shared file, answers some, and forks readers that share the queue and end in every way. Usage:
 * worker INTERFACE MARKS SEED */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned char *marks;
static size_t marks_size;

static void fail(const char *what)
{
    fprintf(stderr, "worker: %s: %s\n", what, strerror(errno));
    _exit(3);
}

/* Dies with its parent, also when that died before it could be asked for. */
static void die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
}

/* Reads until `left` packets have been seen; for ever when negative. */
static void serve(int fd, long left)
{
    unsigned char packet[2048];
    while (left != 0) {
        ssize_t n = read(fd, packet, sizeof packet);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            struct pollfd p = { fd, POLLIN, 0 };
            poll(&p, 1, -1);
            continue;
        }
        if (n < 0)
            fail("read");
        uint32_t number;
        if (n < 8)
            fail("a packet that nobody sent");
        memcpy(&number, packet + 4, 4);
        if (number >= marks_size)
            fail("a number that nobody sent");
        /* A torn packet would show here: every byte behind the number is its low byte. */
        for (ssize_t i = 8; i < n; i++)
            if (packet[i] != (unsigned char)number)
                fail("a torn packet");
        __atomic_fetch_add(&marks[number], 1, __ATOMIC_RELAXED);
        if (number % 7 == 0 && write(fd, packet, n) != n)
            fail("write");
        if (left > 0)
            left--;
    }
}

int main(int argc, char **argv)
{
    if (argc == 5) { /* after exec: the descriptor came along */
        marks_size = 0;
        return ioctl(atoi(argv[4]), TUNGETIFF, &(struct ifreq){ 0 }) == 0 ? 0 : 4;
    }
    if (argc != 4)
        return 2;
    die_with(getppid());
    srandom(atoi(argv[3]));
    int marks_fd = open(argv[2], O_RDWR);
    struct stat st;
    if (marks_fd < 0 || fstat(marks_fd, &st))
        fail(argv[2]);
    marks_size = st.st_size;
    marks = mmap(NULL, marks_size, PROT_READ | PROT_WRITE, MAP_SHARED, marks_fd, 0);
    close(marks_fd);
    if (marks == MAP_FAILED)
        fail("mmap");
    int fd = open("/dev/net/tun", O_RDWR | (random() % 2 ? O_NONBLOCK : 0));
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    strncpy(ifr.ifr_name, argv[1], IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr))
        fail("TUNSETIFF");
    signal(SIGCHLD, SIG_DFL);
    for (;;) {
        serve(fd, 1 + random() % 200);
        pid_t parent = getpid();
        pid_t pid = fork();
        if (pid < 0)
            fail("fork");
        if (pid == 0) {
            die_with(parent);
            if (random() % 4 == 0) {
                char number[12];
                snprintf(number, sizeof number, "%d", fd);
                execl(argv[0], argv[0], "-", "-", "-", number, (char *)NULL);
                _exit(5);
            }
            long packets = random() % 50;
            if (random() % 3 == 0)
                serve(dup(fd), packets);
            else
                serve(fd, packets);
            switch (random() % 3) {
            case 0:
                exit(0);
            case 1:
                _exit(0);
            default:
                kill(getpid(), SIGKILL);
            }
        }
        int status;
        while (waitpid(-1, &status, random() % 2 ? WNOHANG : 0) > 0)
            if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
                _exit(WEXITSTATUS(status));
    }
}
