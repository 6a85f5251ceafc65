/* open(2) of the device: flags, access modes and the errors that come before the driver is asked.
   */
#include "driver.h"
#include <sys/file.h>
#include <sys/sendfile.h>

static void try_open(const char *label, int flags)
{
    errno = 0;
    int fd = open(DEVICE, flags, 0600);
    if (fd < 0) {
        show(label, fd);
        return;
    }
    say(label, "ok getfl=0x%x getfd=%d", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
    close(fd);
}

static void path_only(void)
{
    char buf[64];
    struct stat st;
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    int fd = open(DEVICE, O_PATH);
    SHOW("O_PATH fstat", fstat(fd, &st));
    SHOW("O_PATH read", read(fd, buf, sizeof buf));
    SHOW("O_PATH ioctl", ioctl(fd, TUNSETIFF, &ifr));
    close(fd);
}

static void access_modes(void)
{
    unsigned char buf[64];
    unsigned features;
    int fd = open(DEVICE, 3);
    SHOW("mode 3 read", read(fd, buf, sizeof buf));
    SHOW("mode 3 write", write(fd, buf, sizeof buf));
    SHOW("mode 3 ioctl", ioctl(fd, TUNGETFEATURES, &features));
    close(fd);

    fd = open(DEVICE, O_RDONLY | O_NONBLOCK);
    SHOW("O_RDONLY TUNSETIFF", tun_set_iff(fd, "ro0", IFF_TUN | IFF_NO_PI));
    link_up("ro0", 1);
    driver d = drv_attach("ro0");
    SHOW("O_RDONLY write", write(fd, packet(buf, 60), 60));
    show_result("O_RDONLY send", drv_packet(&d, 60));
    show_data("O_RDONLY read", read(fd, buf, sizeof buf), buf);
    drv_detach(&d);
    close(fd);

    fd = open(DEVICE, O_WRONLY | O_NONBLOCK);
    SHOW("O_WRONLY TUNSETIFF", tun_set_iff(fd, "wo0", IFF_TUN | IFF_NO_PI));
    link_up("wo0", 1);
    d = drv_attach("wo0");
    SHOW("O_WRONLY read", read(fd, buf, sizeof buf));
    SHOW("O_WRONLY write", write(fd, packet(buf, 60), 60));
    show_recv("O_WRONLY received", &d);
    drv_detach(&d);
    close(fd);
}

/* Calls that look at the access mode before anything else. */
static void one_direction(const char *how, int mode)
{
    char buf[8] = "", what[80];
    struct iovec one = { buf, sizeof buf }, none = { buf, 0 };
    int pipe_ends[2], fd = MUST(open(DEVICE, mode | O_NONBLOCK));
    MUST(pipe2(pipe_ends, O_NONBLOCK));
#define TRY(call, expr) do { snprintf(what, sizeof what, "%s, %s", how, call); SHOW(what, expr); } while (0)
    TRY("splice from it", splice(fd, NULL, pipe_ends[1], NULL, 8, 0));
    TRY("splice to it", splice(pipe_ends[0], NULL, fd, NULL, 8, SPLICE_F_NONBLOCK));
    TRY("splice of nothing", splice(pipe_ends[0], NULL, fd, NULL, 0, SPLICE_F_NONBLOCK));
    TRY("splice to no descriptor", splice(fd, NULL, -1, NULL, 8, 0));
    TRY("tee from it", tee(fd, pipe_ends[1], 8, 0));
    TRY("tee to it", tee(pipe_ends[0], fd, 8, SPLICE_F_NONBLOCK));
    TRY("sendfile from it", sendfile(pipe_ends[1], fd, NULL, 8));
    TRY("sendfile to it", sendfile(fd, pipe_ends[0], NULL, 8));
    TRY("fallocate", fallocate(fd, 0, 0, 8));
    TRY("flock", flock(fd, LOCK_SH));
    TRY("mmap", mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
    TRY("mmap to write", mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    TRY("preadv2, unknown flag", preadv2(fd, &one, 1, -1, 0x4000));
    TRY("preadv2, unknown flag, nothing", preadv2(fd, &none, 1, -1, 0x4000));
    TRY("pwritev2, unknown flag", pwritev2(fd, &one, 1, -1, 0x4000));
    TRY("pwritev2, unknown flag, nothing", pwritev2(fd, &none, 1, -1, 0x4000));
    TRY("pwritev2, unknown flag, bad offset", pwritev2(fd, &one, 1, -2, 0x4000));
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    close(fd);
}

static void by_link(void)
{
    char path[40];
    int fd = MUST(open(DEVICE, O_RDWR)), link;
    sprintf(path, "/proc/self/fd/%d", fd);
    SHOW("O_NOFOLLOW of a descriptor's link", open(path, O_RDWR | O_NOFOLLOW));
    link = open(path, O_PATH | O_NOFOLLOW);
    struct stat st;
    say("O_PATH|O_NOFOLLOW of one", "%s", fstat(link, &st) ? "?" : S_ISLNK(st.st_mode) ? "link" : "other");
    close(link);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    try_open("O_RDWR", O_RDWR);
    try_open("O_RDONLY", O_RDONLY);
    try_open("O_WRONLY", O_WRONLY);
    try_open("O_NONBLOCK", O_RDWR | O_NONBLOCK);
    try_open("O_CLOEXEC", O_RDWR | O_CLOEXEC);
    try_open("O_CREAT", O_RDWR | O_CREAT);
    try_open("O_CREAT|O_EXCL", O_RDWR | O_CREAT | O_EXCL);
    try_open("O_EXCL", O_RDWR | O_EXCL);
    try_open("O_TRUNC", O_RDWR | O_TRUNC);
    try_open("O_APPEND", O_RDWR | O_APPEND);
    try_open("O_SYNC", O_RDWR | O_SYNC);
    try_open("O_NOFOLLOW", O_RDWR | O_NOFOLLOW);
    try_open("O_NOCTTY", O_RDWR | O_NOCTTY);
    try_open("O_ASYNC", O_RDWR | O_ASYNC);
    try_open("O_DIRECTORY", O_RDWR | O_DIRECTORY);
    try_open("O_DIRECT", O_RDWR | O_DIRECT);
    try_open("O_TMPFILE", O_RDWR | O_TMPFILE);
    try_open("O_TMPFILE to read", O_RDONLY | O_TMPFILE);
    try_open("O_DIRECTORY|O_CREAT", O_RDWR | O_DIRECTORY | O_CREAT);
    try_open("O_PATH", O_PATH);
    path_only();
    access_modes();
    one_direction("O_RDWR", O_RDWR);
    one_direction("O_RDONLY", O_RDONLY);
    one_direction("O_WRONLY", O_WRONLY);
    one_direction("mode 3", 3);
    by_link();
    return 0;
}
