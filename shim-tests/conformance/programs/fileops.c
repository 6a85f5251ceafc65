/* File operations that make no sense on a tun, in both states; and those that work although one
   would not think so. */
#include "driver.h"
#include <sys/file.h>
#include <sys/sendfile.h>
#include <termios.h>

static char prefix[32];

static const char *in(const char *label)
{
    static char text[128];
    snprintf(text, sizeof text, "%s, %s", label, prefix);
    return text;
}

#define EACH(label, expr) SHOW(in(label), expr)
#define MAP(label, len, flags) do { errno = 0; void *m_ = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0); \
    if (m_ == MAP_FAILED) show(in(label), -1); else say(in(label), "mapped"); } while (0)

static void positions(int fd)
{
    EACH("lseek SEEK_SET", lseek(fd, 0, SEEK_SET));
    EACH("lseek SEEK_CUR", lseek(fd, 0, SEEK_CUR));
    EACH("lseek SEEK_END", lseek(fd, 0, SEEK_END));
    EACH("lseek bad whence", lseek(fd, 0, 99));
    MAP("mmap shared", 4096, MAP_SHARED);
    MAP("mmap private", 4096, MAP_PRIVATE);
    MAP("mmap length 0", 0, MAP_SHARED);
    EACH("ftruncate", ftruncate(fd, 0));
    EACH("truncate", truncate(DEVICE, 0));
    EACH("fallocate", fallocate(fd, 0, 0, 4096));
    EACH("readahead", readahead(fd, 0, 4096));
    EACH("fsync", fsync(fd));
    EACH("fdatasync", fdatasync(fd));
    EACH("syncfs", syncfs(fd));
    EACH("sync_file_range", sync_file_range(fd, 0, 0, 0));
    SHOW_ERRNO(in("posix_fadvise"), posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
    SHOW_ERRNO(in("posix_fallocate"), posix_fallocate(fd, 0, 4096));
}

static void terminals(int fd)
{
    char name[64];
    struct termios t;
    errno = 0;
    int tty = isatty(fd);
    say(in("isatty"), "%d %s", tty, errno_name(errno));
    EACH("tcgetattr", tcgetattr(fd, &t));
    SHOW_ERRNO(in("ttyname_r"), ttyname_r(fd, name, sizeof name));
    EACH("fchdir", fchdir(fd));
    EACH("openat below", openat(fd, "x", O_RDONLY));
    EACH("getdents64", syscall(SYS_getdents64, fd, name, sizeof name));
}

static void locks_and_fcntl(int fd)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    EACH("flock", flock(fd, LOCK_EX | LOCK_NB));
    EACH("flock LOCK_UN", flock(fd, LOCK_UN));
    EACH("F_SETLK", fcntl(fd, F_SETLK, &lock));
    lock.l_type = F_UNLCK;
    EACH("F_SETLK unlock", fcntl(fd, F_SETLK, &lock));
    lock.l_type = F_WRLCK;
    EACH("F_OFD_SETLK", fcntl(fd, F_OFD_SETLK, &lock));
    lock.l_type = F_UNLCK;
    EACH("F_OFD_SETLK unlock", fcntl(fd, F_OFD_SETLK, &lock));
    EACH("F_SETLEASE", fcntl(fd, F_SETLEASE, F_RDLCK));
    EACH("F_GET_SEALS", fcntl(fd, F_GET_SEALS));
    EACH("F_GETPIPE_SZ", fcntl(fd, F_GETPIPE_SZ));
    EACH("F_SETPIPE_SZ", fcntl(fd, F_SETPIPE_SZ, 65536));
    EACH("F_NOTIFY", fcntl(fd, F_NOTIFY, DN_MODIFY));
    EACH("unknown fcntl", fcntl(fd, 9999, 0));
}

static void transfers(int fd)
{
    int pipes[2], other[2], file = MUST(open("/dev/zero", O_RDWR));
    MUST(pipe2(pipes, O_NONBLOCK));
    MUST(pipe2(other, O_NONBLOCK));
    MUST(write(pipes[1], "x", 1));
    EACH("splice from it", splice(fd, NULL, pipes[1], NULL, 60, SPLICE_F_NONBLOCK));
    EACH("splice to it", splice(pipes[0], NULL, fd, NULL, 60, SPLICE_F_NONBLOCK));
    EACH("tee from it", tee(fd, other[1], 60, SPLICE_F_NONBLOCK));
    EACH("tee to it", tee(pipes[0], fd, 60, SPLICE_F_NONBLOCK));
    EACH("sendfile from it", sendfile(other[1], fd, NULL, 60));
    EACH("sendfile to it", sendfile(fd, file, NULL, 60));
    EACH("copy_file_range", copy_file_range(fd, NULL, file, NULL, 60, 0));
    EACH("vmsplice", vmsplice(fd, &(struct iovec){ prefix, 1 }, 1, SPLICE_F_NONBLOCK));
    close(pipes[0]), close(pipes[1]), close(other[0]), close(other[1]), close(file);
}

static void status_flags(int fd)
{
    int copy = dup(fd), old = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
    say(in("F_SETFL O_NONBLOCK"), "0x%x", fcntl(fd, F_GETFL));
    fcntl(fd, F_SETFL, O_APPEND);
    say(in("F_SETFL O_APPEND"), "0x%x", fcntl(fd, F_GETFL));
    EACH("F_SETFL O_DIRECT", fcntl(fd, F_SETFL, O_DIRECT));
    fcntl(copy, F_SETFL, O_NONBLOCK);
    say(in("O_NONBLOCK through a dup"), "0x%x", fcntl(fd, F_GETFL));
    fcntl(fd, F_SETFL, O_ASYNC);
    say(in("F_SETFL O_ASYNC"), "0x%x", fcntl(fd, F_GETFL));
    fcntl(fd, F_SETFL, old);
    say(in("F_SETFL restored"), "0x%x", fcntl(fd, F_GETFL));
    close(copy);
}

static void with_offsets(int fd)
{
    unsigned char buf[128];
    struct iovec v = { buf, sizeof buf };
    link_up("ops0", 1);
    driver d = drv_attach("ops0");
    EACH("preadv2 RWF_NOWAIT, empty queue", preadv2(fd, &v, 1, -1, RWF_NOWAIT));
    EACH("preadv2 unknown flag", preadv2(fd, &v, 1, -1, 0x40000000));
    drv_packet(&d, 60);
    show_data(in("preadv2 RWF_NOWAIT, a packet"), preadv2(fd, &v, 1, -1, RWF_NOWAIT), buf);
    drv_packet(&d, 60);
    show_data(in("pread with an offset"), pread(fd, buf, sizeof buf, 1000), buf);
    drv_packet(&d, 61);
    show_data(in("preadv with an offset"), preadv(fd, &v, 1, 5), buf);
    EACH("pread negative offset", pread(fd, buf, sizeof buf, -5));
    EACH("pwrite with an offset", pwrite(fd, packet(buf, 60), 60, 77));
    show_recv(in("received"), &d);
    EACH("pwrite negative offset", pwrite(fd, buf, 60, -5));
    v.iov_len = 60;
    EACH("pwritev with an offset", pwritev(fd, &v, 1, 99));
    EACH("pwritev2", pwritev2(fd, &v, 1, -1, 0));
    EACH("pwritev2 unknown flag", pwritev2(fd, &v, 1, -1, 0x40000000));
    drv_detach(&d);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR));
    for (int attached = 0; attached < 2; attached++) {
        strcpy(prefix, attached ? "attached" : "unattached");
        if (attached)
            MUST(tun_set_iff(fd, "ops0", IFF_TUN | IFF_NO_PI));
        positions(fd);
        terminals(fd);
        locks_and_fcntl(fd);
        transfers(fd);
        status_flags(fd);
    }
    with_offsets(fd);
    return 0;
}
