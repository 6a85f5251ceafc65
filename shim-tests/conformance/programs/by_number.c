/* Calls by number, through libc's syscall(): what has a hook by its name has it by its number too.
   */
#include "driver.h"
#include <linux/aio_abi.h>

#define TUN (IFF_TUN | IFF_NO_PI)

static unsigned char b[4096];

/* Sends a descriptor to itself through a socket, and receives it by number. */
static int received(int fd, int many)
{
    union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = { 0 };
    struct iovec v = { b, 1 };
    struct mmsghdr m = { .msg_hdr = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control,
                                      .msg_controllen = sizeof control } };
    int ends[2], got;
    struct cmsghdr *h = CMSG_FIRSTHDR(&m.msg_hdr);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(h), &fd, sizeof fd);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    MUST(syscall(SYS_sendmsg, ends[0], &m.msg_hdr, 0));
    close(fd);
    MUST(many ? syscall(SYS_recvmmsg, ends[1], &m, 1, 0, NULL) : syscall(SYS_recvmsg, ends[1], &m.msg_hdr, 0));
    memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m.msg_hdr)), sizeof got);
    close(ends[0]);
    close(ends[1]);
    return got;
}

static void descriptors_received(driver *d, int many)
{
    struct stat st;
    char label[64];
    int fd = received(tun_ready("bn0", TUN, O_NONBLOCK), many);
    *d = drv_attach("bn0");
    drv_packet(d, 60);
    snprintf(label, sizeof label, "received by %s, read", many ? "recvmmsg" : "recvmsg");
    SHOW(label, syscall(SYS_read, fd, b, sizeof b));
    snprintf(label, sizeof label, "received by %s, is a device", many ? "recvmmsg" : "recvmsg");
    say(label, "%d", !syscall(SYS_fstat, fd, &st) && S_ISCHR(st.st_mode));
    drv_detach(d);
    close(fd);
}

static void transfers(int fd)
{
    int ends[2], file = MUST(open("/proc/self/exe", O_RDONLY));
    struct iovec v = { b, 9 };
    MUST(pipe2(ends, O_NONBLOCK));
    SHOW("splice from", syscall(SYS_splice, fd, NULL, ends[1], NULL, 9, 0));
    MUST(write(ends[1], "123456789", 9));
    SHOW("splice to", syscall(SYS_splice, ends[0], NULL, fd, NULL, 9, 0));
    SHOW("tee from", syscall(SYS_tee, fd, ends[1], 9, 0));
    SHOW("tee to", syscall(SYS_tee, ends[0], fd, 9, 0));
    SHOW("vmsplice", syscall(SYS_vmsplice, fd, &v, 1, 0));
    SHOW("sendfile to", syscall(SYS_sendfile, fd, file, NULL, 3));
    SHOW("sendfile from", syscall(SYS_sendfile, ends[1], fd, NULL, 3));
    SHOW("copy_file_range", syscall(SYS_copy_file_range, file, NULL, fd, NULL, 3, 0));
    SHOW("fallocate", syscall(SYS_fallocate, fd, 0, 0L, 9L));
    SHOW("fadvise64", syscall(SYS_fadvise64, fd, 0L, 0L, POSIX_FADV_DONTNEED));
    SHOW("ftruncate", syscall(SYS_ftruncate, fd, 0L));
    SHOW("truncate", syscall(SYS_truncate, DEVICE, 0L));
    show_poll("nothing came in", fd, POLLIN, 0);
    close(file);
    close(ends[0]);
    close(ends[1]);
}

static void show_time(const char *label, struct timespec t)
{
    say(label, "%s", t.tv_sec == 5 ? "untouched" : t.tv_sec == 4 ? "less" : "another");
}

static void waits(int fd, driver *d)
{
    struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
    struct timespec t = { 5, 0 }, none = { 0, 0 };
    struct timeval tv = { 0, 0 };
    sigset_t empty;
    struct { const void *set; size_t size; } both = { &empty, 8 }, odd = { &empty, 3 };
    fd_set r, w;
    char text[160];
    sigemptyset(&empty);
#define SETS() do { FD_ZERO(&r); FD_ZERO(&w); FD_SET(fd, &r); FD_SET(fd, &w); } while (0)
#define POLLED(label, call) do { errno = 0; p.revents = 0; long n_ = call; \
        if (n_ < 0) show(label, n_); else say(label, "%ld %s", n_, poll_bits(text, (unsigned short)p.revents)); } while (0)
#define SELECTED(label, call) do { errno = 0; SETS(); long n_ = call; \
        if (n_ < 0) show(label, n_); else say(label, "%ld r=%d w=%d", n_, !!FD_ISSET(fd, &r), !!FD_ISSET(fd, &w)); } while (0)
    for (int up = 1; up >= 0; up--) {
        char label[64];
        link_up("bn1", up);
#define L(name) (snprintf(label, sizeof label, "%s, link %s", name, up ? "up" : "down"), label)
#ifdef SYS_poll
        POLLED(L("poll"), syscall(SYS_poll, &p, 1, 0));
        SELECTED(L("select"), syscall(SYS_select, fd + 1, &r, &w, NULL, &tv));
#endif
        POLLED(L("ppoll"), syscall(SYS_ppoll, &p, 1, &none, &empty, 8));
        POLLED(L("ppoll, bad size"), syscall(SYS_ppoll, &p, 1, &none, &empty, 3));
        SELECTED(L("pselect6"), syscall(SYS_pselect6, fd + 1, &r, &w, NULL, &none, &both));
        SELECTED(L("pselect6, bad size"), syscall(SYS_pselect6, fd + 1, &r, &w, NULL, &none, &odd));
        SELECTED(L("pselect6, no mask"), syscall(SYS_pselect6, fd + 1, &r, &w, NULL, &none, NULL));
    }
    link_up("bn1", 1);
    t = (struct timespec){ 5, 0 };
    POLLED("ppoll with time", syscall(SYS_ppoll, &p, 1, &t, NULL, 8));
    show_time("its time", t);
    t = (struct timespec){ 5, 0 };
    SELECTED("pselect6 with time", syscall(SYS_pselect6, fd + 1, &r, &w, NULL, &t, NULL));
    show_time("its time, pselect6", t);

    struct epoll_event e = { EPOLLIN | EPOLLET, { .fd = fd } };
    int ep = MUST(syscall(SYS_epoll_create1, 0));
    SHOW("epoll_ctl", syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd, &e));
    drv_packet(d, 60);
    SHOW("epoll_pwait", syscall(SYS_epoll_pwait, ep, &e, 1, 1000, NULL, 8));
    SHOW("epoll_pwait, no new edge", syscall(SYS_epoll_pwait, ep, &e, 1, 0, NULL, 8));
    drv_packet(d, 60);
    SHOW("epoll_pwait2, a new edge", syscall(SYS_epoll_pwait2, ep, &e, 1, &t, &empty, 8));
    SHOW("epoll_pwait2, bad size", syscall(SYS_epoll_pwait2, ep, &e, 1, &t, &empty, 3));
#ifdef SYS_epoll_wait
    drv_packet(d, 60);
    SHOW("epoll_wait, a new edge", syscall(SYS_epoll_wait, ep, &e, 1, 1000));
#endif
    close(ep);
    while (read(fd, b, sizeof b) > 0)
        ;
}

static void the_rest(int fd)
{
    struct statx x;
    unsigned char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW("statx of the path", syscall(SYS_statx, AT_FDCWD, DEVICE, 0, STATX_TYPE, &x) ? -1 : S_ISCHR(x.stx_mode));
    SHOW("faccessat2", syscall(SYS_faccessat2, AT_FDCWD, DEVICE, R_OK | W_OK, 0));
    SHOW("mknodat", syscall(SYS_mknodat, AT_FDCWD, DEVICE, S_IFIFO | 0600, 0));
#ifdef SYS_mknod
    SHOW("mknod", syscall(SYS_mknod, DEVICE, S_IFIFO | 0600, 0));
#endif
    packet(page, 60);
    SHOW("write from a page", syscall(SYS_write, fd, page, 60));
    MUST(syscall(SYS_mprotect, page, 4096, PROT_NONE));
    SHOW("write from a protected page", syscall(SYS_write, fd, page, 60));
    MUST(syscall(SYS_munmap, page, 8192));
    SHOW("write from no page", syscall(SYS_write, fd, page, 60));
    SHOW("flock", syscall(SYS_flock, fd, LOCK_EX | LOCK_NB));
    pid_t pid = child();
    if (!pid) {
        const char *const args[] = { "true", NULL }, *const environment[] = { NULL };
        syscall(SYS_execveat, AT_FDCWD, "/bin/true", args, environment, 0);
        _exit(96);
    }
    say("execveat", "%s", finish(pid));
}

/* The kernel's own asynchronous I/O: memtun does not have it, and says so. */
static void io(int fd)
{
    aio_context_t context = 0;
    struct iocb request = { .aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (uintptr_t)b,
                            .aio_nbytes = 60 };
    struct iocb *requests[] = { &request };
    int ends[2];
    MUST(syscall(SYS_io_setup, 2, &context));
    packet(b, 60);
    SHOW("io_submit of a tunnel", syscall(SYS_io_submit, context, 1, requests));
    MUST(pipe(ends));
    request.aio_fildes = ends[1];
    SHOW("io_submit of another", syscall(SYS_io_submit, context, 1, requests));
    SHOW("io_submit of none", syscall(SYS_io_submit, context, 0, requests));
    syscall(SYS_io_destroy, context);
    show_poll("nothing came in by io_submit", fd, POLLIN, 0);
}

int main(int argc, char **argv)
{
    driver d;
    start(argc, argv);
    descriptors_received(&d, 0);
    descriptors_received(&d, 1);
    int fd = tun_ready("bn1", TUN, O_NONBLOCK);
    d = drv_attach("bn1");
    transfers(fd);
    waits(fd, &d);
    the_rest(fd);
    io(fd);
    SHOW("close_range", syscall(SYS_close_range, fd, fd, 0));
    say("exists", "%d", exists("bn1"));
    pid_t pid = child();
    if (!pid) {
        tun_ready("bn2", TUN, 0);
        syscall(SYS_exit_group, 7);
    }
    say("exit_group", "%s exists=%d", finish(pid), exists("bn2"));
    return 0;
}
