/* The generic FIO* requests and descriptor flags: they never reach the driver, so they work in
   every state. */
#include "driver.h"
#include <linux/fs.h>

static void generic(const char *state, int fd)
{
    char label[64];
    int on = 1, off = 0, size = 0;
#define STEP(name, expr) do { snprintf(label, sizeof label, "%s, %s", name, state); SHOW(label, expr); } while (0)
    STEP("FIONBIO 1", ioctl(fd, FIONBIO, &on));
    STEP("O_NONBLOCK is set", !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
    STEP("FIONBIO 0", ioctl(fd, FIONBIO, &off));
    STEP("O_NONBLOCK is clear", !(fcntl(fd, F_GETFL) & O_NONBLOCK));
    STEP("FIOASYNC 1", ioctl(fd, FIOASYNC, &on));
    STEP("O_ASYNC is set", !!(fcntl(fd, F_GETFL) & O_ASYNC));
    STEP("the owner is this process", fcntl(fd, F_GETOWN) == getpid());
    STEP("FIOASYNC 0", ioctl(fd, FIOASYNC, &off));
    STEP("O_ASYNC is clear", !(fcntl(fd, F_GETFL) & O_ASYNC));
    STEP("FIOCLEX", ioctl(fd, FIOCLEX));
    STEP("FD_CLOEXEC is set", fcntl(fd, F_GETFD));
    STEP("FIONCLEX", ioctl(fd, FIONCLEX));
    STEP("FD_CLOEXEC is clear", fcntl(fd, F_GETFD));
    STEP("F_SETFD", fcntl(fd, F_SETFD, FD_CLOEXEC));
    STEP("F_GETFD", fcntl(fd, F_GETFD));
    STEP("F_SETFD 0", fcntl(fd, F_SETFD, 0));
    STEP("FIOQSIZE", ioctl(fd, FIOQSIZE, &size));
    STEP("FIGETBSZ", ioctl(fd, FIGETBSZ, &size));
    STEP("FICLONE", ioctl(fd, FICLONE, 0));
}

static void duplicates(int fd)
{
    struct ifreq ifr;
    int copy = fcntl(fd, F_DUPFD, 100), hole = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    say("F_DUPFD 100", "%d %d", copy, fcntl(copy, F_GETFD));
    say("F_DUPFD_CLOEXEC 100", "%d %d", hole, fcntl(hole, F_GETFD));
    SHOW("TUNGETIFF on the copy", ioctl(copy, TUNGETIFF, &ifr));
    SHOW("dup3 to itself", dup3(copy, copy, 0));
    SHOW("dup2 to itself", dup2(copy, copy));
    SHOW("dup3 O_CLOEXEC", dup3(fd, 120, O_CLOEXEC));
    SHOW("its FD_CLOEXEC", fcntl(120, F_GETFD));
    SHOW("close of a copy", close(copy));
    SHOW("TUNGETIFF on a closed copy", ioctl(copy, TUNGETIFF, &ifr));
    SHOW("read on a closed copy", read(copy, &ifr, sizeof ifr));
    SHOW("write on a closed copy", write(copy, &ifr, sizeof ifr));
    SHOW("close again", close(copy));
    SHOW("TUNGETIFF on another copy", ioctl(120, TUNGETIFF, &ifr));
    SHOW("TUNGETIFF on the original", ioctl(fd, TUNGETIFF, &ifr));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR));
    generic("unattached", fd);
    MUST(tun_set_iff(fd, "fio0", IFF_TUN | IFF_NO_PI));
    generic("attached", fd);
    link_up("fio0", 1);
    generic("up", fd);
    duplicates(fd);
    return 0;
}
