/* device_packets.h - packets that are read and written by every name of the calls, packets from the
 * far side, and calls that move bytes inside the kernel. */
#ifndef DEVICE_PACKETS_H
#define DEVICE_PACKETS_H
#include "device.h"

static int would_block(int fd) { return fd >= 0 && !(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_PATH)); }
static int ready(int fd, int ev)
{
    struct pollfd p = { fd, ev, 0 };
    return poll(&p, 1, 0) == 1 && (p.revents & (ev | POLLNVAL));
}

static void do_read(void)
{
    int s = any(), fd = fds[s];
    if (would_block(fd) && !ready(fd, POLLIN)) {
        what("read of %d would block", s);
        answer("-");
        return;
    }
    size_t len = ONE_OF(0, 1, 3, 4, 8, 10, 14, 20, 28, 60, 100, 2000, 2000, 2000, 2000, 2000, 70000);
    ssize_t n;
    memset(buf, 0xee, 2100);
    switch (draw(9)) {
    default:
        what("read %d %zu", s, len);
        n = read(fd, buf, len);
        break;
    case 1: {
        size_t a = draw(30);
        struct iovec v[3] = { { buf, a }, { buf + a, 0 }, { buf + a, len } };
        what("readv %d %zu+%zu", s, a, len);
        n = readv(fd, v, ONE_OF(3, 3, 3, 1, 0));
        break;
    }
    case 2:
        what("pread %d %zu", s, len);
        n = pread(fd, buf, len, ONE_OF(0, 5, -1));
        break;
    case 3: {
        struct iovec v = { buf, len };
        int f = ONE_OF(0, RWF_NOWAIT, RWF_HIPRI, RWF_APPEND, 0x200);
        what("preadv2 %d %zu 0x%x", s, len, f);
        n = preadv2(fd, &v, 1, ONE_OF(-1, 0), f);
        break;
    }
    case 4: {
        struct iovec v = { buf, len };
        what("preadv %d %zu", s, len);
        n = preadv(fd, &v, 1, 0);
        break;
    }
    case 5:
        what("read bad %d %zu", s, len);
        n = read(fd, BAD_POINTER, len);
        if (n > 0)
            n = -2;
        break;
    }
    if (n >= 0 && n < (ssize_t)len && n < 2000 && buf[n] != 0xee) {
        answer("%zd and more", n);
        return;
    }
    answer_data(n, buf);
}

static size_t make_packet(unsigned char *p, int tap, unsigned *type)
{
    size_t len = ONE_OF(60, 28, 100, 300, 1000, 1500, 40, 600), at = 0;
    int v6 = one_in(4);
    if (tap) {
        frame(p, 14, one_in(2) ? NULL : ONE_OF("\2\7\0\0\0\7", "\1\0\x5e\0\0\1", "\2\2\2\2\2\2"),
              v6 ? ETH_P_IPV6 : ETH_P_IP);
        at = 14;
    }
    if (v6) {
        packet6(p + at);
        len = 60;
        *type = ETH_P_IPV6;
    } else {
        if (one_in(4) && len >= 60)
            tcp4(p + at, len);
        else
            udp4(p + at, len, 2000 + draw(5));
        *type = ETH_P_IP;
    }
    if (one_in(12)) {
        p[at] = draw(256);
    }
    if (one_in(12)) {
        len = draw(30);
    }
    return at + len;
}

static int is_tap(int fd, int *front, char *name)
{
    struct ifreq ifr;
    int v = 0;
    *front = 0;
    *name = 0;
    if (ioctl(fd, TUNGETIFF, &ifr))
        return 0;
    if (!(ifr.ifr_flags & IFF_NO_PI))
        *front += 4;
    if (ifr.ifr_flags & IFF_VNET_HDR) {
        ioctl(fd, TUNGETVNETHDRSZ, &v);
        *front += v;
    }
    strcpy(name, ifr.ifr_name);
    return !!(ifr.ifr_flags & IFF_TAP);
}

static void do_write(void)
{
    int s = any(), fd = fds[s], front;
    char name[IFNAMSIZ];
    if (fd < 0)
        return;
    int tap = is_tap(fd, &front, name);
    unsigned type;
    ssize_t n;
    memset(out, 0, 4000);
    if (front > 2000)
        front = 0;
    size_t len = front + make_packet(out + front, tap, &type);
    if (front >= 4)
        put16(out + 2, type);
    if (front >= 10 && one_in(2)) {
        int at = front % 10 == 4 ? 4 : 0;
        if (front == 24)
            at = 0;
        struct virtio_net_hdr h = { ONE_OF(0, 1, 2),         ONE_OF(0, 1, 3, 4, 5, 0x80, 0x21),
                                    ONE_OF(0, 28, 40, 2000), ONE_OF(0, 100, 1400),
                                    ONE_OF(0, 20, 34, 40),   ONE_OF(0, 6, 16) };
        memcpy(out + at, &h, sizeof h);
    }
    if (one_in(16))
        len = draw(len + 1);
    driver d = { .sock = -1 };
    int have = *name && exists(name) && !has_queues();
    if (have)
        d = drv_attach(name);
    if (would_block(fd) && !ready(fd, POLLOUT)) {
        what("write of %d would block", s);
        answer("-");
        goto done;
    }
    switch (draw(8)) {
    default:
        what("write %d %zu", s, len);
        n = write(fd, out, len);
        break;
    case 1: {
        size_t a = draw(len + 1);
        struct iovec v[3] = { { out, a }, { out + a, 0 }, { out + a, len - a } };
        what("writev %d %zu+%zu", s, a, len - a);
        n = writev(fd, v, 3);
        break;
    }
    case 2:
        what("pwrite %d %zu", s, len);
        n = pwrite(fd, out, len, ONE_OF(0, 5, -1));
        break;
    case 3: {
        struct iovec v = { out, len };
        int f = ONE_OF(0, RWF_NOWAIT, RWF_HIPRI, RWF_APPEND, RWF_SYNC, RWF_DSYNC, 0x200);
        what("pwritev2 %d %zu 0x%x", s, len, f);
        n = pwritev2(fd, &v, 1, ONE_OF(-1, 0), f);
        break;
    }
    case 4:
        what("write bad %d %zu", s, len);
        n = write(fd, BAD_POINTER, len);
        break;
    }
    answer_data(n, out);
    if (have) {
        what("  seen");
        unsigned type = 0;
        char text[200];
        ssize_t m = drv_recv(&d, buf, sizeof buf, &type);
        if (m < 0)
            answer("%s", errno_name(-m));
        else
            answer("len=%zd proto=0x%04x data=%s", m, type, describe_data(text, buf, m));
    }
done:
    if (have)
        drv_detach(&d);
}

static void do_inject(void)
{
    if (has_queues())
        return;
    const char *name = PICK(exact);
    unsigned type;
    int count = one_in(6) ? 1 + draw(4) : 1;
    if (!exists(name))
        return;
    driver d = drv_attach(name);
    for (int i = 0; i < count; i++) {
        memset(out, 0, 2000);
        size_t len = make_packet(out, d.tap, &type);
        what("inject %d of %s %zu", i, name, len);
        int r = drv_send(&d, out, len, type);
        /* That a packet is dropped for want of a queue or of room, the kernel keeps to itself. */
        answer("%s", !r || r == -ENOTCONN || r == -ENOBUFS ? "0" : errno_name(-r));
    }
    drv_detach(&d);
}

static void do_splice(void)
{
    int s = any(), fd = fds[s];
    ssize_t n;
    if (would_block(fd))
        return;
    switch (draw(8)) {
    case 0:
        what("sendfile from %d", s);
        n = sendfile(tmp, fd, NULL, 100);
        break;
    case 1: {
        off_t o = 0;
        what("sendfile to %d", s);
        n = sendfile(fd, tmp, &o, 100);
        break;
    }
    case 2:
        what("splice %d to pipe", s);
        n = splice(fd, NULL, pipes[1], NULL, 2000, SPLICE_F_NONBLOCK);
        break;
    case 3:
        (void)!write(pipes[1], udp4(out, 60, 2000), 60);
        what("splice pipe to %d", s);
        n = splice(pipes[0], NULL, fd, NULL, ONE_OF(60, 30, 100), SPLICE_F_NONBLOCK);
        break;
    case 4:
        what("tee %d", s);
        n = one_in(2) ? tee(fd, pipes[1], 100, SPLICE_F_NONBLOCK) : tee(pipes[0], fd, 100, SPLICE_F_NONBLOCK);
        break;
    case 5:
        what("copy_file_range from %d", s);
        n = copy_file_range(fd, NULL, tmp, NULL, 100, 0);
        break;
    case 6:
        what("copy_file_range to %d", s);
        n = copy_file_range(tmp, NULL, fd, NULL, 100, 0);
        break;
    default: {
        struct iovec v = { out, 60 };
        what("vmsplice %d", s);
        n = vmsplice(fd, &v, 1, SPLICE_F_NONBLOCK);
        break;
    }
    }
    answer_result(n);
    n = read(pipes[0], buf, sizeof buf);
    what("  in the pipe");
    answer_data(n, buf);
}

#endif
