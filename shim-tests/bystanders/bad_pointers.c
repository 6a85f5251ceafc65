/* A bad pointer is EFAULT from the kernel, also where a page was good a moment ago. Rust's standard
 * library asks statx(0, NULL, 0, mask, NULL) on purpose. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static void say(const char *what, long result)
{
    printf("%s: %ld %s\n", what, result, result < 0 ? strerror(errno) : "");
    errno = 0;
}

static void all(const char *when, char *path, int fd)
{
    struct stat st;

    printf("%s\n", when);
    say("open", open(path, O_RDONLY | O_CLOEXEC) < 0 ? -1 : 0);
    say("openat", openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC) < 0 ? -1 : 0);
    say("stat", stat(path, &st));
    say("fstatat", fstatat(AT_FDCWD, path, &st, 0));
    say("statx", statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, (struct statx *)(path + 8)));
    say("access", access(path, R_OK));
    say("read", read(fd, path, 16));
    say("readv", readv(fd, (struct iovec *)path, 1) < 0 ? -1 : 0);
    say("write", write(fd, path, 16));
    say("ioctl", ioctl(fd, FIONREAD, path));
    say("poll", poll((struct pollfd *)path, 1, 0) < 0 ? -1 : 0);
    say("sendmsg", sendmsg(fd, (struct msghdr *)path, 0));
    say("pipe", pipe2((int *)path, O_CLOEXEC));
}

int main(void)
{
    int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    say("the probe of Rust", syscall(SYS_statx, 0, NULL, 0, STATX_BASIC_STATS, NULL));
    say("statx", statx(0, NULL, 0, STATX_BASIC_STATS, NULL));
    strcpy(page, "/dev/null");
    say("a good page", access(page, R_OK));
    say("a good page", read(fd, page + 100, 16));
    munmap(page, 4096);
    all("unmapped", page, fd);
    all("kernel space", (char *)-4096L, fd);
    all("page zero", (char *)16, fd);
    return 0;
}
