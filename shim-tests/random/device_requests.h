/* device_requests.h - ioctl(2) on tunnels, and on sockets about their interfaces. */
#ifndef DEVICE_REQUESTS_H
#define DEVICE_REQUESTS_H
#include "device.h"

static void do_ioctl(void)
{
    int s = any(), fd = fds[s], r, v;
    unsigned long val;
    struct ifreq ifr;
    memset(&ifr, 0, sizeof ifr);
    switch (draw(26)) {
    case 0:
        v = 0;
        what("GETSNDBUF %d", s);
        r = ioctl(fd, TUNGETSNDBUF, &v);
        break;
    case 1:
        v = ONE_OF(0, -1, 1, 100, 4096, 1 << 20, 0x7fffffff);
        what("SETSNDBUF %d %d", s, v);
        r = ioctl(fd, TUNSETSNDBUF, &v);
        break;
    case 2:
        v = 0;
        what("GETVNETHDRSZ %d", s);
        r = ioctl(fd, TUNGETVNETHDRSZ, &v);
        break;
    case 3:
        v = ONE_OF(0, 9, 10, 12, 20, 24, 24, 30, -1, 65536, 1000);
        what("SETVNETHDRSZ %d %d", s, v);
        r = ioctl(fd, TUNSETVNETHDRSZ, &v);
        break;
    case 4:
        v = ONE_OF(0, 1, -1, 2);
        what("SETVNETLE %d %d", s, v);
        r = ioctl(fd, TUNSETVNETLE, &v);
        break;
    case 5:
        v = 7;
        what("GETVNETLE %d", s);
        r = ioctl(fd, TUNGETVNETLE, &v);
        break;
    case 6:
        v = ONE_OF(0, 1);
        what("SETVNETBE %d %d", s, v);
        r = ioctl(fd, TUNSETVNETBE, &v);
        break;
    case 7:
        v = 7;
        what("GETVNETBE %d", s);
        r = ioctl(fd, TUNGETVNETBE, &v);
        break;
    case 8:
        val = one_in(2) ? (int)draw(128) : ONE_OF(0, 1, 3, 7, 0x1f, 0x61);
        v = 0;
        what("SETOFFLOAD %d 0x%lx", s, val);
        r = ioctl(fd, TUNSETOFFLOAD, val);
        break;
    case 9: {
        struct {
            unsigned short flags, count;
            unsigned char a[4][6];
        } f = { ONE_OF(0, 0, 1, 2),
                ONE_OF(0, 1, 2, 4),
                { { 2, 0, 0, 0, 0, 7 }, { 1, 0, 0x5e, 0, 0, 1 }, { 1, 2, 3, 4, 5, 6 }, { 2, 2, 2, 2, 2, 2 } } };
        v = 0;
        what("SETTXFILTER %d flags=%d count=%d", s, f.flags, f.count);
        r = ioctl(fd, TUNSETTXFILTER, &f);
        break;
    }
    case 10:
        if (!has_queues())
            return;
        val = ONE_OF(1, 512, 0, 65534, 65535, 778, 70000);
        v = 0;
        what("SETLINK %d %lu", s, val);
        r = ioctl(fd, TUNSETLINK, val);
        break;
    case 11:
        val = ONE_OF(0, -1);
        v = 0;
        what("SETOWNER %d %ld", s, val);
        r = ioctl(fd, TUNSETOWNER, val);
        break;
    case 12:
        val = ONE_OF(0, -1);
        v = 0;
        what("SETGROUP %d %ld", s, val);
        r = ioctl(fd, TUNSETGROUP, val);
        break;
    case 13:
        val = ONE_OF(0, 1, 5);
        v = 0;
        what("SETDEBUG %d %ld", s, val);
        r = ioctl(fd, TUNSETDEBUG, val);
        break;
    case 14:
        val = ONE_OF(0, 1, 5);
        v = 0;
        what("SETNOCSUM %d %ld", s, val);
        r = ioctl(fd, TUNSETNOCSUM, val);
        break;
    case 15:
        v = ONE_OF(0, 0, 1000 + 7, -1);
        what("SETIFINDEX %d %d", s, v);
        r = ioctl(fd, TUNSETIFINDEX, &v);
        break;
    case 16:
    case 17: {
        ifr.ifr_flags = ONE_OF(IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE, IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE, IFF_ATTACH_QUEUE,
                               IFF_DETACH_QUEUE, IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE, 0,
                               IFF_ATTACH_QUEUE | IFF_DETACH_QUEUE, IFF_TUN);
        v = 0;
        what("SETQUEUE %d 0x%x", s, (unsigned short)ifr.ifr_flags);
        r = ioctl(fd, TUNSETQUEUE, &ifr);
        break;
    }
    case 18:
    case 19:
        what("GETIFF %d", s);
        r = ioctl(fd, TUNGETIFF, &ifr);
        if (!r) {
            answer("0 '%.16s' 0x%x", ifr.ifr_name, (unsigned short)ifr.ifr_flags);
            return;
        }
        v = 0;
        break;
    case 20:
        val = ONE_OF(0, 0, 1, 1, 5);
        v = 0;
        what("SETPERSIST %d %ld", s, val);
        r = ioctl(fd, TUNSETPERSIST, val);
        break;
    case 21:
        v = ONE_OF(-1, -1, 99, 0);
        what("SETSTEERING %d %d", s, v);
        r = ioctl(fd, TUNSETSTEERINGEBPF, &v);
        break;
    case 22:
        v = ONE_OF(-1, -1, 99, 0);
        what("SETFILTER %d %d", s, v);
        r = ioctl(fd, TUNSETFILTEREBPF, &v);
        break;
    case 23: {
        v = 0;
        what("GETFEATURES %d", s);
        r = ioctl(fd, TUNGETFEATURES, &v);
        break;
    }
    case 24: {
        struct sock_filter code[2] = { { 0x06, 0, 0, ONE_OF(0, 0xffff, 20) }, { 0x06, 0, 0, 0 } };
        struct sock_fprog prog = { ONE_OF(1, 1, 0, 2), code };
        v = 0;
        if (one_in(3)) {
            what("DETACHFILTER %d", s);
            r = ioctl(fd, TUNDETACHFILTER, &prog);
        } else {
            what("ATTACHFILTER %d len=%d ret=%d", s, prog.len, code[0].k);
            r = ioctl(fd, TUNATTACHFILTER, &prog);
        }
        break;
    }
    default: {
        unsigned long req =
            ONE_OF(FIONREAD, FIONBIO, FIOASYNC, TIOCOUTQ, FIOCLEX, FIONCLEX, 0x54e4, 0x54c8, FIOQSIZE,
                   0x5401 /* TCGETS */, 0x8901, 0x8904, 0x660b, 0x1 /* FIBMAP */, 0x2, 0x1260 /* BLKGETSIZE */);
        v = ONE_OF(0, 1);
        if (req == FIONBIO)
            v = 1;
        what("ioctl %d 0x%lx %d", s, req, v);
        r = ioctl(fd, req, &v);
    }
    }
    if (r)
        answer_result(r);
    else
        answer("0 v=%d", v);
}

static void do_sioc(void)
{
    struct ifreq ifr;
    memset(&ifr, 0, sizeof ifr);
    const char *name = PICK(exact);
    strcpy(ifr.ifr_name, name);
    int s = any(), fd = one_in(4) ? fds[s] : sock;
    char on[16];
    if (fd == sock)
        strcpy(on, "sock");
    else
        sprintf(on, "slot %d", s);
    int r;
    switch (draw(16)) {
    case 0:
        what("GIFFLAGS %s %s", on, name);
        r = ioctl(fd, SIOCGIFFLAGS, &ifr);
        if (!r) {
            answer("0x%x", (unsigned short)ifr.ifr_flags & ~IFF_RUNNING);
            return;
        }
        break;
    case 1:
    case 2:
    case 3:
    case 4: {
        int set = one_in(4) ? 0 : IFF_UP;
        if (one_in(4))
            set |= ONE_OF(IFF_PROMISC, IFF_ALLMULTI, IFF_MULTICAST, IFF_NOARP, IFF_DEBUG, IFF_BROADCAST,
                          IFF_POINTOPOINT, IFF_DYNAMIC, IFF_PORTSEL, IFF_NOTRAILERS);
        ifr.ifr_flags = set;
        what("SIFFLAGS %s %s 0x%x", on, name, set);
        r = ioctl(fd, SIOCSIFFLAGS, &ifr);
        break;
    }
    case 5:
        what("GIFMTU %s %s", on, name);
        r = ioctl(fd, SIOCGIFMTU, &ifr);
        if (!r) {
            answer("%d", ifr.ifr_mtu);
            return;
        }
        break;
    case 6:
        ifr.ifr_mtu = ONE_OF(68, 67, 1280, 1500, 9000, 65535, 65536, 65521, 0, -1, 100);
        what("SIFMTU %s %s %d", on, name, ifr.ifr_mtu);
        r = ioctl(fd, SIOCSIFMTU, &ifr);
        break;
    case 7:
        what("GIFHWADDR %s %s", on, name);
        r = ioctl(fd, SIOCGIFHWADDR, &ifr);
        if (!r) {
            char t[40];
            answer("%d %s", ifr.ifr_hwaddr.sa_family,
                   !memcmp(ifr.ifr_hwaddr.sa_data + 1, "\7\0\0\0", 4) ? hex(t, ifr.ifr_hwaddr.sa_data, 14) : "other");
            return;
        }
        break;
    case 8:
        ifr.ifr_hwaddr.sa_family = ONE_OF(1, 1, 1, 0, 512, 65534);
        memcpy(ifr.ifr_hwaddr.sa_data, ONE_OF("\2\7\0\0\0\7", "\1\7\0\0\0\7", "\0\7\0\0\0\0", "\2\7\0\0\0\10"), 6);
        char t[40];
        what("SIFHWADDR %s %s %d %s", on, name, ifr.ifr_hwaddr.sa_family, hex(t, ifr.ifr_hwaddr.sa_data, 6));
        r = ioctl(fd, SIOCSIFHWADDR, &ifr);
        break;
    case 9:
        what("GIFTXQLEN %s %s", on, name);
        r = ioctl(fd, SIOCGIFTXQLEN, &ifr);
        if (!r) {
            answer("%d", ifr.ifr_qlen);
            return;
        }
        break;
    case 11:
        what("GIFMAP %s %s", on, name);
        r = ioctl(fd, SIOCGIFMAP, &ifr);
        if (!r) {
            answer("%lx %lx %x %x %x", ifr.ifr_map.mem_start, ifr.ifr_map.mem_end, ifr.ifr_map.base_addr,
                   ifr.ifr_map.irq, ifr.ifr_map.port);
            return;
        }
        break;
    case 12: {
        const char *to = ONE_OF("fz0", "fz1", "fz2", "fz3", "", "a/b");
        strcpy(ifr.ifr_newname, to);
        what("SIFNAME %s %s to '%s'", on, name, to);
        r = ioctl(fd, SIOCSIFNAME, &ifr);
        break;
    }
    case 13:
        what("GIFINDEX %s %s", on, name);
        r = ioctl(fd, SIOCGIFINDEX, &ifr);
        break;
    case 14: {
        struct ethtool_value e = { ONE_OF(ETHTOOL_GLINK, ETHTOOL_GMSGLVL, ETHTOOL_GGRO, ETHTOOL_GTSO, ETHTOOL_GTXCSUM,
                                          ETHTOOL_GRXCSUM, ETHTOOL_GSG, ETHTOOL_GUFO, ETHTOOL_GGSO, ETHTOOL_GFLAGS,
                                          ETHTOOL_GWOL, ETHTOOL_NWAY_RST),
                                   0 };
        ifr.ifr_data = (void *)&e;
        what("ETHTOOL 0x%x %s %s", e.cmd, on, name);
        r = ioctl(fd, SIOCETHTOOL, &ifr);
        if (!r && e.cmd != ETHTOOL_GLINK) {
            answer("0x%x", e.data);
            return;
        }
        break;
    }
    default: {
        if (!exists(name))
            return;
        unsigned long req =
            ONE_OF(SIOCGIFMETRIC, SIOCSIFMETRIC, SIOCGIFMEM, SIOCSIFMEM, SIOCGIFSLAVE, SIOCSIFSLAVE, SIOCADDMULTI,
                   SIOCDELMULTI, SIOCGIFBR, SIOCGIFENCAP, SIOCGIFPFLAGS, SIOCSIFBR, SIOCGMIIPHY,
                   SIOCSHWTSTAMP, SIOCGHWTSTAMP, SIOCSIFHWBROADCAST);
        ifr.ifr_hwaddr.sa_family = ONE_OF(0, 1);
        memcpy(ifr.ifr_hwaddr.sa_data, "\1\0\x5e\0\0\5", 6);
        what("SIOC 0x%lx %s %s %d", req, on, name, ifr.ifr_hwaddr.sa_family);
        r = ioctl(fd, req, &ifr);
    }
    }
    answer_result(r);
}

#endif
