/* driver.h - the far side of the interface, in the same process as the program under test.
 *
 * On the kernel it is an AF_PACKET socket bound to the interface (SOCK_DGRAM for a tun, SOCK_RAW
 * for a tap), under the shim the functions of memtun.h. Link state and mtu go through SIOC* on
 * an ordinary socket in both worlds. Results are 0, a length, or a negative errno. A packet that
 * drv_send() accepted is in the queue when it returns, and drv_recv() sees every packet whose
 * write() has returned. */
#ifndef DRIVER_H
#define DRIVER_H
#include "harness.h"
#include "packets.h"
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#pragma weak memtun_net_open
#pragma weak memtun_interface_open
#pragma weak memtun_interface_close
#pragma weak memtun_interface_inject
#pragma weak memtun_interface_recv
#pragma weak memtun_interface_delete
#pragma weak memtun_interface_set_name

typedef struct {
    memtun_interface *iface;
    int sock, index, tap;
} driver;

/* ---- the interface by name, the same way in both worlds ---- */

HELPER int if_request(unsigned long request, struct ifreq *ifr, const char *name)
{
    int error, result, sock = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    memset(ifr->ifr_name, 0, IFNAMSIZ);
    memcpy(ifr->ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    result = ioctl(sock, request, ifr);
    error = errno;
    close(sock);
    errno = error;
    return result;
}

HELPER int if_index(const char *name)
{
    struct ifreq ifr;
    return if_request(SIOCGIFINDEX, &ifr, name) ? 0 : ifr.ifr_ifindex;
}

HELPER int exists(const char *name) { return if_index(name) > 0; }

HELPER int if_flags(const char *name)
{
    struct ifreq ifr;
    return if_request(SIOCGIFFLAGS, &ifr, name) ? -1 : (unsigned short)ifr.ifr_flags;
}

HELPER int if_set_flags(const char *name, int flags)
{
    struct ifreq ifr = { .ifr_flags = flags };
    return if_request(SIOCSIFFLAGS, &ifr, name);
}

/* For qsort() of an array of texts. */
HELPER int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

HELPER int if_mtu(const char *name)
{
    struct ifreq ifr;
    return if_request(SIOCGIFMTU, &ifr, name) ? -1 : ifr.ifr_mtu;
}

HELPER int if_set_mtu(const char *name, int mtu)
{
    struct ifreq ifr = { .ifr_mtu = mtu };
    return if_request(SIOCSIFMTU, &ifr, name);
}

/* Link up or down, the other flags as they are. */
HELPER void link_up(const char *name, int up)
{
    int flags = if_flags(name);
    if (flags == -1 || if_set_flags(name, up ? flags | IFF_UP : flags & ~IFF_UP))
        die("link_up");
}

HELPER char *if_flag_bits(char out[200], unsigned flags)
{
    static const char *const names[] = { "UP", "BROADCAST", "DEBUG", "LOOPBACK", "POINTOPOINT", "NOTRAILERS", "RUNNING",
                                         "NOARP", "PROMISC", "ALLMULTI", "MULTICAST", "PORTSEL", "AUTOMEDIA", "DYNAMIC",
                                         NULL };
    static const unsigned values[] = { IFF_UP, IFF_BROADCAST, IFF_DEBUG, IFF_LOOPBACK, IFF_POINTOPOINT, IFF_NOTRAILERS,
                                       IFF_RUNNING, IFF_NOARP, IFF_PROMISC, IFF_ALLMULTI, IFF_MULTICAST, IFF_PORTSEL,
                                       IFF_AUTOMEDIA, IFF_DYNAMIC };
    return bits(out, flags, names, values);
}

HELPER void show_if_flags(const char *label, const char *name)
{
    char text[200];
    int flags = if_flags(name);
    if (flags == -1)
        show(label, -1);
    else
        say(label, "0x%x=%s", flags, if_flag_bits(text, flags));
}

/* ---- the program's side, in one line ---- */

HELPER int tun_set_iff(int fd, const char *name, int flags)
{
    struct ifreq ifr = { .ifr_flags = flags };
    memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ));
    return ioctl(fd, TUNSETIFF, &ifr);
}

/* An attached descriptor; the link is down. */
HELPER int tun_attach(const char *name, int iff, int open_flags)
{
    int fd = MUST(open(DEVICE, O_RDWR | open_flags));
    MUST(tun_set_iff(fd, name, iff));
    return fd;
}

/* An attached descriptor; the link is up. */
HELPER int tun_ready(const char *name, int iff, int open_flags)
{
    int fd = tun_attach(name, iff, open_flags);
    link_up(name, 1);
    return fd;
}

/* ---- the far side ---- */

HELPER driver drv_attach(const char *name)
{
    driver d = { .sock = -1 };
    struct ifreq ifr;
    d.index = if_index(name);
    MUST(if_request(SIOCGIFHWADDR, &ifr, name));
    d.tap = ifr.ifr_hwaddr.sa_family == 1;
    if (under_shim()) {
        static memtun_net *net;
        static char buf[65536];
        if (!net && !(net = memtun_net_open(NULL)))
            die("memtun_net_open");
        if (!(d.iface = memtun_interface_open(net, name, 2000)))
            die("memtun_interface_open");
        /* A socket sees what is written after it was bound; a memtun handle also what was kept from
           before. */
        for (ssize_t n = 0; n >= 0 || n == -ENOBUFS;)
            n = memtun_interface_recv(d.iface, buf, sizeof buf, NULL, 0);
    } else {
        int on = 1;
        struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = d.index };
        d.sock = MUST(socket(AF_PACKET, (d.tap ? SOCK_RAW : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
        MUST(setsockopt(d.sock, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on));
        MUST(bind(d.sock, (struct sockaddr *)&at, sizeof at));
    }
    return d;
}

HELPER void drv_detach(driver *d)
{
    if (d->iface)
        memtun_interface_close(d->iface);
    else
        close(d->sock);
}

/* A full queue drops the packet, as the network would: memtun reports what the kernel keeps to
   itself. */
HELPER int drv_send(driver *d, const void *data, size_t len, unsigned ethertype)
{
    if (d->iface) {
        int result = memtun_interface_inject(d->iface, data, len, ethertype, 0);
        return result == -EAGAIN ? 0 : result;
    }
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ethertype), .sll_ifindex = d->index };
    if (sendto(d->sock, data, len, 0, (struct sockaddr *)&to, sizeof to) >= 0)
        return 0;
    /* A pending ENETDOWN of the socket is reported once, and hides the answer. */
    if (errno == ENETDOWN && sendto(d->sock, data, len, 0, (struct sockaddr *)&to, sizeof to) >= 0)
        return 0;
    return -errno;
}

/* The usual IPv4 packet of `len` bytes. */
HELPER int drv_packet(driver *d, size_t len)
{
    static unsigned char buf[70000];
    return drv_send(d, packet(buf, len), len, ETH_P_IP);
}

HELPER ssize_t drv_recv_kernel(driver *d, void *buf, size_t len, unsigned *ethertype)
{
    struct sockaddr_ll from = { 0 };
    socklen_t from_len = sizeof from;
    ssize_t n;
    do
        n = recvfrom(d->sock, buf, len, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &from_len);
    while (n == -1 && errno == ENETDOWN);
    *ethertype = ntohs(from.sll_protocol);
    return n == -1 ? -errno : n;
}

/* An empty packet never reaches a packet socket, so it is passed over here too. */
HELPER ssize_t drv_recv_shim(driver *d, void *buf, size_t len, unsigned *ethertype)
{
    uint16_t type = 0;
    ssize_t n;
    do
        n = memtun_interface_recv(d->iface, buf, len, &type, 0);
    while (n == 0);
    *ethertype = type;
    return n;
}

/* The next packet that the program wrote; -EAGAIN when there is none. */
HELPER ssize_t drv_recv(driver *d, void *buf, size_t len, unsigned *ethertype)
{
    return d->iface ? drv_recv_shim(d, buf, len, ethertype) : drv_recv_kernel(d, buf, len, ethertype);
}

/* The same, from a program that may not have written it yet. */
HELPER ssize_t drv_wait(driver *d, void *buf, size_t len, unsigned *ethertype, int timeout_ms)
{
    ssize_t n;
    return EVENTUALLY((n = drv_recv(d, buf, len, ethertype)) != -EAGAIN, timeout_ms) ? n : -EAGAIN;
}

HELPER void show_result(const char *label, long result)
{
    if (result < 0)
        say(label, "%s", result == -EAGAIN ? "nothing" : errno_name(-result));
    else
        say(label, "%ld", result);
}

/* What the far side got from the write just done. */
HELPER void show_recv(const char *label, driver *d)
{
    static unsigned char buf[300000];
    unsigned type = 0;
    char text[160];
    ssize_t n = drv_recv(d, buf, sizeof buf, &type);
    if (n < 0)
        show_result(label, n);
    else
        say(label, "len=%zd proto=0x%04x data=%s", n, type, describe_data(text, buf, n));
}

/* `ip link del`: 0 or a negative errno. */
HELPER int drv_delete(driver *d)
{
    if (d->iface)
        return memtun_interface_delete(d->iface);
    struct { struct nlmsghdr head; struct ifinfomsg info; } ask = {
        { sizeof ask, RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0 }, { .ifi_index = d->index }
    };
    struct { struct nlmsghdr head; struct nlmsgerr error; char rest[512]; } answer;
    int sock = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    MUST(send(sock, &ask, sizeof ask, 0));
    MUST(recv(sock, &answer, sizeof answer, 0));
    close(sock);
    return answer.error.error;
}

/* `ip link set name`: 0 or a negative errno. */
HELPER int drv_rename(driver *d, const char *from, const char *to)
{
    struct ifreq ifr;
    if (d->iface)
        return memtun_interface_set_name(d->iface, to);
    snprintf(ifr.ifr_newname, IFNAMSIZ, "%s", to);
    return if_request(SIOCSIFNAME, &ifr, from) ? -errno : 0;
}

/* Reads everything that waits (O_NONBLOCK); the length tells which packet it is. */
HELPER void show_drain(const char *label, int fd)
{
    unsigned char buf[2048];
    long count = 0, first = -1, last = -1, increasing = 1;
    ssize_t n;
    while ((n = read(fd, buf, sizeof buf)) >= 0) {
        if (n <= last)
            increasing = 0;
        if (!count++)
            first = n;
        last = n;
    }
    say(label, "count=%ld first=%ld last=%ld increasing=%ld end=%s", count, first, last, increasing, errno_name(errno));
}

HELPER void show_poll(const char *label, int fd, int events, int timeout_ms)
{
    char text[160];
    struct pollfd p = { fd, events, 0 };
    int n = poll(&p, 1, timeout_ms);
    if (n < 0)
        show(label, n);
    else
        say(label, "%d revents=%s", n, poll_bits(text, (unsigned short)p.revents));
}

#define POLL_ALL (POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLRDHUP)

#endif
