/* Random calls on tunnels and their interfaces: open(2) with all its flags, TUNSETIFF and what
 * belongs to it, requests on sockets, every name of read and write, waits, copies, forks.
 *
 * Left out is what differs by its nature: packets where several queues are attached, whose hash is
 * the kernel's own, locks of files, which are those of the device's one file, O_PATH, the carrier,
 * and requests that want a permission of the machine. */
#include "device_packets.h"
#include "device_requests.h"

static void do_open(void)
{
    int flags = one_in(6) ? ONE_OF(O_RDONLY, O_WRONLY, 3) : O_RDWR;
    char path[100];
    if (!one_in(5))
        flags |= O_NONBLOCK;
    if (one_in(4))
        flags |= O_CLOEXEC;
    if (one_in(6))
        flags |= ONE_OF(O_APPEND, O_TRUNC, O_CREAT, O_CREAT | O_EXCL, O_DIRECTORY, O_ASYNC, O_DIRECT, O_NOFOLLOW,
                        O_NOATIME, O_SYNC, O_DSYNC, O_TMPFILE, O_NOCTTY);
    int how = draw(10), of = any();
    if (how == 0)
        sprintf(path, "/proc/self/fd/%d", fds[of]);
    else if (how == 1)
        sprintf(path, "/dev/fd/%d", fds[of]);
    else if (how == 2)
        strcpy(path, "/dev//net/./tun");
    else if (how == 3)
        sprintf(path, "/proc/%d/fd/%d", getpid(), fds[of]);
    else
        strcpy(path, DEVICE);
    int s = free_slot();
    if (how == 0 || how == 1 || how == 3)
        what("open %s of slot %d %s", how == 0 ? "self/fd" : how == 1 ? "/dev/fd" : "/proc/N/fd", of, ofl(flags));
    else
        what("open %s %s", path, ofl(flags));
    put(s, open(path, flags, 0600));
}

static void do_setiff(void)
{
    int s = any();
    const char *name = PICK(names);
    int flags = one_in(3) ? IFF_TAP : IFF_TUN;
    if (one_in(12))
        flags = ONE_OF(0, 3, 0x8000, IFF_TUN | 4, IFF_TUN | 8, IFF_TAP | 0x200);
    if (!one_in(4))
        flags |= IFF_NO_PI;
    if (one_in(4))
        flags |= IFF_VNET_HDR;
    if (has_queues() && one_in(2))
        flags |= IFF_MULTI_QUEUE;
    if (one_in(6))
        flags |= IFF_ONE_QUEUE;
    if (one_in(6))
        flags |= IFF_TUN_EXCL;
    struct ifreq ifr = { .ifr_flags = flags };
    strcpy(ifr.ifr_name, name);
    if (one_in(30)) {
        memset(ifr.ifr_name, 'x', IFNAMSIZ);
        name = "long";
    } else if (one_in(30)) {
        strcpy(ifr.ifr_name, name = ONE_OF("a/b", "..", "fz%s", "a b", "fz%d%d", "fz%", "lo", "."));
    }
    what("TUNSETIFF slot %d '%s' 0x%x", s, name, flags);
    int r = ioctl(fds[s], TUNSETIFF, &ifr);
    if (r)
        answer_result(r);
    else
        answer("0 '%.16s' 0x%x", ifr.ifr_name, (unsigned short)ifr.ifr_flags);
}

static void do_dup(void)
{
    int s = any(), to = free_slot(), fd;
    if (fds[s] < 0)
        return;
    switch (draw(6)) {
    case 0:
        what("dup %d", s);
        fd = dup(fds[s]);
        break;
    case 1:
        what("fcntl DUPFD %d", s);
        fd = fcntl(fds[s], F_DUPFD, 30);
        break;
    case 2:
        what("fcntl DUPFD_CLOEXEC %d", s);
        fd = fcntl(fds[s], F_DUPFD_CLOEXEC, 40);
        break;
    case 3: {
        int t = any();
        what("dup2 %d onto %d", s, t);
        fd = dup2(fds[s], fds[t]);
        answer("%d", fd == fds[t]);
        return;
    }
    case 4: {
        int t = any(), f = ONE_OF(0, O_CLOEXEC, 1);
        what("dup3 %d onto %d 0x%x", s, t, f);
        fd = dup3(fds[s], fds[t], f);
        if (fd < 0)
            answer_result(fd);
        else
            answer("%d", fd == fds[t]);
        return;
    }
    default:
        what("dup2 %d to new", s);
        fd = dup2(fds[s], 100 + to);
        break;
    }
    put(to, fd);
}

static void do_poll(void)
{
    char t[8][160];
    int s = any(), fd = fds[s], n;
    switch (draw(5)) {
    case 0: {
        struct pollfd p[N];
        char all[600] = "";
        for (int i = 0; i < N; i++)
            p[i] = (struct pollfd){ fds[i], i & 1 ? POLL_ALL : POLLIN | POLLOUT, 0 };
        what("poll all");
        n = poll(p, N, 0);
        for (int i = 0; i < N; i++) {
            sprintf(all + strlen(all), " %s", poll_bits(t[i], (unsigned short)p[i].revents));
        }
        answer("%d%s", n, all);
        return;
    }
    case 1: {
        struct pollfd p = { fd, ONE_OF(POLLIN, POLLOUT, 0, POLL_ALL), 0 };
        struct timespec ts = { 0, 0 };
        what("ppoll %d %x", s, p.events);
        n = ppoll(&p, 1, &ts, NULL);
        answer("%d %s", n, poll_bits(t[0], (unsigned short)p.revents));
        return;
    }
    case 2: {
        fd_set r, w, e;
        FD_ZERO(&r);
        FD_ZERO(&w);
        FD_ZERO(&e);
        if (fd < 0)
            return;
        FD_SET(fd, &r);
        FD_SET(fd, &w);
        FD_SET(fd, &e);
        struct timeval tv = { 0, 0 };
        what("select %d", s);
        n = select(fd + 1, &r, &w, &e, &tv);
        if (n < 0)
            answer_result(n);
        else
            answer("%d r=%d w=%d e=%d", n, !!FD_ISSET(fd, &r), !!FD_ISSET(fd, &w), !!FD_ISSET(fd, &e));
        return;
    }
    default: {
        struct epoll_event ev[16];
        what("epoll_wait");
        n = epoll_wait(ep, ev, 16, 0);
        char all[1000] = "";
        for (int id = 0; id < N * 100; id++)
            for (int i = 0; i < n; i++)
                if ((int)ev[i].data.u64 == id)
                    sprintf(all + strlen(all), " %d=%s", id, poll_bits(t[0], ev[i].events));
        answer("%d%s", n, all);
        return;
    }
    }
}

static void do_epctl(void)
{
    int s = any(), fd = fds[s], op = ONE_OF(EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL);
    struct epoll_event ev = { ONE_OF(EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT, 0, EPOLLIN | EPOLLRDNORM | EPOLLWRNORM) |
                                  ONE_OF(0, 0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT, EPOLLEXCLUSIVE,
                                         EPOLLET | EPOLLEXCLUSIVE),
                              { .u64 = s } };
    what("epoll_ctl %s slot %d 0x%x", op == 1 ? "ADD" : op == 2 ? "DEL" : "MOD", s, ev.events);
    answer_result(epoll_ctl(ep, op, fd, &ev));
}

static void do_fcntl(void)
{
    int s = any(), fd = fds[s], r;
    switch (draw(14)) {
    case 0:
        what("GETFL %d", s);
        r = fcntl(fd, F_GETFL);
        if (r >= 0) {
            answer("%s", ofl(r & ~O_LARGEFILE));
            return;
        }
        break;
    case 1: {
        int f = ONE_OF(0, O_NONBLOCK, O_NONBLOCK, O_NONBLOCK, O_NONBLOCK | O_APPEND, O_NONBLOCK | O_ASYNC,
                       O_NONBLOCK | O_DIRECT, O_NONBLOCK | O_NOATIME, O_NONBLOCK | O_RDWR);
        what("SETFL %d %s", s, ofl(f));
        r = fcntl(fd, F_SETFL, f);
        break;
    }
    case 2:
        what("GETFD %d", s);
        r = fcntl(fd, F_GETFD);
        break;
    case 3: {
        int f = ONE_OF(0, 1, 2);
        what("SETFD %d %d", s, f);
        r = fcntl(fd, F_SETFD, f);
        break;
    }
    case 4: {
        int p = ONE_OF(0, 1, 1);
        what("SETOWN %d %d", s, p);
        r = fcntl(fd, F_SETOWN, p ? getpid() : 0);
        break;
    }
    case 5:
        what("GETOWN %d", s);
        r = fcntl(fd, F_GETOWN);
        if (r > 0) {
            answer("%s", r == getpid() ? "me" : "other");
            return;
        }
        break;
    case 6: {
        int g = ONE_OF(0, SIGRTMIN, SIGIO, 99);
        what("SETSIG %d %d", s, g == 99 ? 99 : g);
        r = fcntl(fd, F_SETSIG, g);
        break;
    }
    case 7:
        what("GETSIG %d", s);
        r = fcntl(fd, F_GETSIG);
        break;
    case 10: {
        int c = ONE_OF(F_GETPIPE_SZ, F_SETPIPE_SZ, F_GETLEASE, F_SETLEASE, F_NOTIFY, F_GET_SEALS, 1024 + 11, 1024 + 12,
                       1036, 999, F_GETOWN_EX);
        uint64_t v[2] = { 0 };
        what("fcntl %d cmd %d", s, c);
        r = fcntl(fd, c, c == F_GETOWN_EX || c > 1034 ? (long)v : 0L);
        break;
    }
    default:
        what("isatty %d", s);
        r = isatty(fd);
        break;
    }
    answer_result(r);
}

static void do_stat(void)
{
    int s = any(), fd = fds[s], r;
    char path[64], link[200];
    switch (draw(14)) {
    case 0: {
        struct stat st;
        what("fstat %d", s);
        r = fstat(fd, &st);
        if (!r) {
            answer("0 mode=%o rdev=%d:%d size=%ld nlink=%ld blk=%ld", st.st_mode & S_IFMT, major(st.st_rdev),
                   minor(st.st_rdev), (long)st.st_size, (long)st.st_nlink, (long)st.st_blocks);
            return;
        }
        break;
    }
    case 1: {
        sprintf(path, "/proc/self/fd/%d", fd);
        what("readlink %d", s);
        r = readlink(path, link, sizeof link - 1);
        if (r >= 0) {
            link[r] = 0;
            answer("%s", link);
            return;
        }
        break;
    }
    case 2: {
        sprintf(path, "/proc/self/fd/%d", fd);
        struct stat st;
        what("stat proc %d", s);
        r = stat(path, &st);
        if (!r) {
            answer("0 mode=%o rdev=%d:%d", st.st_mode & S_IFMT, major(st.st_rdev), minor(st.st_rdev));
            return;
        }
        break;
    }
    case 3: {
        off_t o = lseek(fd, ONE_OF(0, 5, -1), ONE_OF(SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, 99));
        what("lseek %d", s);
        answer_result(o);
        return;
    }
    case 4: {
        what("mmap %d", s);
        void *p = mmap(NULL, 4096, PROT_READ, ONE_OF(MAP_SHARED, MAP_PRIVATE), fd, 0);
        answer_result(p == MAP_FAILED ? -1 : 0);
        return;
    }
    case 5:
        what("fsync %d", s);
        r = fsync(fd);
        break;
    case 6:
        what("fdatasync %d", s);
        r = fdatasync(fd);
        break;
    case 7:
        what("ftruncate %d", s);
        r = ftruncate(fd, 10);
        break;
    case 8:
        what("fallocate %d", s);
        r = fallocate(fd, 0, 0, 10);
        break;
    case 9: {
        what("posix_fadvise %d", s);
        r = posix_fadvise(fd, 0, 0, 0);
        break;
    }
    case 10: {
        struct statfs f;
        what("fstatfs %d", s);
        r = fstatfs(fd, &f);
        if (!r) {
            answer("0 type=%lx", (long)f.f_type);
            return;
        }
        break;
    }
    case 11: {
        struct statx x;
        what("statx %d", s);
        r = statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &x);
        if (!r) {
            answer("0 mode=%o %d:%d", x.stx_mode & S_IFMT, x.stx_rdev_major, x.stx_rdev_minor);
            return;
        }
        break;
    }
    case 12: {
        socklen_t l = sizeof r;
        what("getsockopt %d", s);
        r = getsockopt(fd, SOL_SOCKET, SO_TYPE, &r, &l);
        break;
    }
    default: {
        what("recv/send %d", s);
        r = one_in(2) ? recv(fd, buf, 10, MSG_DONTWAIT) : send(fd, buf, 10, MSG_DONTWAIT);
        break;
    }
    }
    answer_result(r);
}

static void do_close(void)
{
    int s = any();
    if (fds[s] < 0)
        return;
    if (one_in(4)) {
        what("close_range %d", s);
        answer_result(close_range(fds[s], fds[s], one_in(4) ? CLOSE_RANGE_CLOEXEC : 0));
        if (fcntl(fds[s], F_GETFD) >= 0)
            return;
    } else {
        what("close %d", s);
        answer_result(close(fds[s]));
    }
    if (!one_in(10))
        fds[s] = -1;
}

static void do_fork(void)
{
    int s = any(), fd = fds[s];
    if (fd < 0)
        return;
    int how = draw(4);
    int p[2];
    MUST(pipe(p));
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        alarm(10);
        if (how == 0) {
            what("child reads %d", s);
            if (!would_block(fd))
                answer_data(read(fd, buf, sizeof buf), buf);
        } else if (how == 1) {
            what("child GETIFF %d", s);
            struct ifreq ifr;
            int r = ioctl(fd, TUNGETIFF, &ifr);
            if (r)
                answer_result(r);
            else
                answer("0 '%.16s' 0x%x", ifr.ifr_name, (unsigned short)ifr.ifr_flags);
        } else if (how == 2) {
            what("child SETIFF %d", s);
            answer_result(tun_set_iff(fd, "fz1", IFF_TUN | IFF_NO_PI));
        } else {
            close(p[1]);
            (void)!read(p[0], buf, 1);
            what("child later closes %d", s);
            answer_result(close(fd));
        }
        fflush(stdout);
        _exit(0);
    }
    if (how == 3) {
        close(fd);
        fds[s] = -1;
        what("interfaces after close while child holds");
        answer("%d %d", exists("fz0"), exists("fz1"));
    }
    close(p[0]);
    close(p[1]);
    what("child");
    answer("%s", finish(pid));
    what("interfaces");
    answer("%d %d", exists("fz0"), exists("fz1"));
}

static void signals(void)
{
    sigset_t set;
    siginfo_t info;
    struct timespec none = { 0, 0 };
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigaddset(&set, SIGRTMIN);
    int r;
    while ((r = sigtimedwait(&set, &info, &none)) > 0) {
        int slot = -1;
        for (int i = 0; i < N; i++)
            if (fds[i] >= 0 && fds[i] == info.si_fd)
                slot = i;
        what("  signal");
        answer("%s code=%d band=%lx slot=%d", r == SIGIO ? "SIGIO" : "RT", info.si_code,
               r == SIGIO && info.si_code == 128 ? 0 : (long)info.si_band,
               r == SIGIO && info.si_code == 128 ? 0 : slot);
    }
}

static void step(void)
{
    static int opened;
    if (opened < 2) {
        opened++;
        do_open();
        if (fds[any()] >= 0)
            do_setiff();
        return;
    }
    switch (draw(30)) {
    case 0:
    case 1:
        do_open();
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        do_setiff();
        break;
    case 6:
    case 7:
    case 8:
        do_ioctl();
        break;
    case 9:
    case 10:
    case 11:
    case 12:
        do_sioc();
        break;
    case 13:
        do_dup();
        break;
    case 14:
    case 15:
    case 16:
        do_read();
        break;
    case 17:
    case 18:
        do_write();
        break;
    case 19:
    case 20:
    case 21:
        do_inject();
        break;
    case 22:
        do_poll();
        break;
    case 23:
        do_epctl();
        break;
    case 24:
        do_poll();
        break;
    case 25:
        do_fcntl();
        break;
    case 26:
        do_stat();
        break;
    case 27:
        do_splice();
        break;
    case 28:
        do_close();
        break;
    case 29:
        do_fork();
        break;
    }
    signals();
}

