/* Calls of libc that are made of others inside it, on a descriptor and on the path of a tunnel:
 * terminals, owners, times, file systems, and what a device is not. */
#include "driver.h"
#include <dirent.h>
#include <execinfo.h>
#include <termios.h>
#include <utime.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/xattr.h>

#define TUN (IFF_TUN | IFF_NO_PI)

static const char *state;
static char b[200];

static const char *label(const char *name)
{
    static char text[100];
    snprintf(text, sizeof text, "%s, %s", name, state);
    return text;
}

#define CALL(expr) SHOW(label(#expr), expr)
#define NUMBER(expr) SHOW_ERRNO(label(#expr), expr)
#define POINTER(expr) do { errno = 0; void *p_ = (void *)(expr); say(label(#expr), "%s", p_ ? "found" : errno_name(errno)); } while (0)

static void terminals(int fd)
{
    struct termios t = { 0 };
    CALL(isatty(fd));
    say(label("errno of isatty"), "%s", errno_name(errno));
    CALL(tcgetattr(fd, &t));
    CALL(tcsetattr(fd, TCSANOW, &t));
    CALL(tcsetattr(fd, TCSAFLUSH, &t));
    CALL(tcsetattr(fd, 77, &t));
    CALL(tcdrain(fd));
    CALL(tcflush(fd, TCIOFLUSH));
    CALL(tcflow(fd, TCOON));
    CALL(tcflow(fd, 99));
    CALL(tcsendbreak(fd, 0));
    CALL(tcsendbreak(fd, 5));
    CALL(tcgetpgrp(fd));
    CALL(tcsetpgrp(fd, getpid()));
    CALL(tcgetsid(fd));
    POINTER(ttyname(fd));
    NUMBER(ttyname_r(fd, b, sizeof b));
    NUMBER(ttyname_r(fd, b, 2));
    POINTER(ptsname(fd));
    NUMBER(ptsname_r(fd, b, sizeof b));
    CALL(grantpt(fd));
    CALL(unlockpt(fd));
    CALL(sockatmark(fd));
}

static void kinds(int fd)
{
    eventfd_t value = 0;
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };
    CALL(isfdtype(fd, S_IFCHR));
    CALL(isfdtype(fd, S_IFIFO));
    CALL(eventfd_read(fd, &value));
    CALL(eventfd_write(fd, 1));
    CALL(fchdir(fd));
    POINTER(fdopendir(fd));
    CALL(getdents64(fd, b, sizeof b));
    CALL(lockf(fd, F_TLOCK, 0));
    CALL(lockf(fd, F_TEST, 0));
    CALL(lockf(fd, F_ULOCK, 0));
    CALL(readahead(fd, 0, 9));
    CALL(sync_file_range(fd, 0, 1, 0));
    CALL(syncfs(fd));
    CALL(fdatasync(fd));
    CALL(fsync(fd));
    CALL(fpathconf(fd, _PC_PIPE_BUF));
    CALL(fpathconf(fd, _PC_NAME_MAX));
    CALL(fpathconf(fd, _PC_LINK_MAX));
    CALL(fpathconf(fd, _PC_ASYNC_IO));
    CALL(fpathconf(fd, _PC_SYNC_IO));
    NUMBER(posix_fallocate(fd, 0, 1));
    NUMBER(posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
    CALL(fgetxattr(fd, "user.x", b, 9));
    CALL(fsetxattr(fd, "user.x", b, 1, 0));
    CALL(fremovexattr(fd, "user.x"));
    CALL(futimens(fd, NULL));
    CALL(futimens(fd, times));
    CALL(syscall(SYS_utimensat, fd, NULL, NULL, 0));
    CALL(fchown(fd, -1, -1));
    CALL(fchownat(fd, "", -1, -1, AT_EMPTY_PATH));
    char *const args[] = { "x", NULL };
    CALL(fexecve(fd, args, args));
}

/* Changes that change nothing, for on the kernel it is the machine's own device. Under the shim the
 * bell must not become one that nobody can join. */
static void modes(int fd)
{
    struct stat st;
    MUST(fstat(fd, &st));
    CALL(fchmod(fd, st.st_mode & 07777));
    CALL(chmod(DEVICE, st.st_mode & 07777));
    CALL(fchmodat(AT_FDCWD, DEVICE, st.st_mode & 07777, 0));
    if (under_shim())
        MUST(fchmod(fd, 0));
    pid_t pid = child();
    if (!pid) {
        const char *const args[] = { "sh", "-c", "test -c /dev/fd/9", NULL };
        dup2(fd, 9);
        execv("/bin/sh", (char *const *)args);
        _exit(96);
    }
    say("another program finds the device", "%s", finish(pid));
}

static void file_systems(int fd)
{
    struct statfs by_path, by_fd;
    struct statvfs vfs;
    CALL(fstatfs(fd, &by_fd));
    CALL(statfs(DEVICE, &by_path));
    say(label("the same file system"), "%d", by_path.f_type == by_fd.f_type && by_path.f_bsize == by_fd.f_bsize);
    CALL(fstatvfs(fd, &vfs));
    CALL(statvfs(DEVICE, &vfs));
}

static void paths(void)
{
    state = "path";
    char *found = realpath("/dev/../dev/net/./tun", NULL);
    say("realpath", "%s", found ? found : errno_name(errno));
    free(found);
    found = canonicalize_file_name(DEVICE);
    say("canonicalize_file_name", "%s", found ? found : errno_name(errno));
    free(found);
    POINTER(opendir(DEVICE));
    CALL(chdir(DEVICE));
    CALL(utime(DEVICE, NULL));
    CALL(utimes(DEVICE, NULL));
    CALL(lutimes(DEVICE, NULL));
    CALL(utimensat(AT_FDCWD, DEVICE, NULL, 0));
    CALL(chown(DEVICE, -1, -1));
    CALL(lchown(DEVICE, -1, -1));
    CALL(fchownat(AT_FDCWD, DEVICE, -1, -1, 0));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    state = "unattached";
    terminals(fd);
    kinds(fd);
    MUST(tun_set_iff(fd, "ow0", TUN));
    link_up("ow0", 1);
    state = "attached";
    terminals(fd);
    kinds(fd);
    file_systems(fd);
    modes(fd);
    show_poll("nothing came in", fd, POLLIN, 0);
    paths();
    return 0;
}
