/* What the benchmark programs share: a clock, a watchdog, and one tunnel seen from both ends.
 *
 * Every program runs unchanged on the kernel's driver (inside a fresh network namespace) and
 * under memtun. The far end of the tunnel is then a UDP socket of the kernel's, or the driver
 * interface of the preloaded library. */
#ifndef BENCH_H
#define BENCH_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "memtun.h"
#pragma weak memtun_active
#pragma weak memtun_net_open
#pragma weak memtun_interface_open
#pragma weak memtun_interface_inject
#pragma weak memtun_interface_inject_many
#pragma weak memtun_interface_recv
#pragma weak memtun_interface_recv_many
#pragma weak memtun_interface_send_udp

#define HOST_IP "10.1.2.1"
#define HOST_PORT 5000
#define PROGRAM_IP "10.1.2.9"
#define PROGRAM_PORT 7
#define HEADERS 28 /* IPv4 and UDP */

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
    int error = errno;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, ": %s\n", strerror(error));
    _exit(1);
}

static inline double clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static inline double now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

static inline int under_memtun(void) { return memtun_active && memtun_active() == 1; }

static inline void put_name(struct ifreq *request, const char *name)
{
    snprintf(request->ifr_name, IFNAMSIZ, "%.*s", IFNAMSIZ - 1, name);
}

static inline int tunnel_open(const char *name, int flags)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    put_name(&request, name);
    int fd = open("/dev/net/tun", O_RDWR | flags);
    if (fd < 0)
        die("open /dev/net/tun");
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        die("TUNSETIFF %s", name);
    return fd;
}

static inline void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd >= 0) {
        if (write(fd, text, strlen(text)) < 0)
            perror(path);
        close(fd);
    }
}

/* Without this the kernel's own IPv6 packets (router solicitation, MLD) come in between. */
static inline void kernel_without_ipv6(void)
{
    if (!under_memtun())
        write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}

static inline void set_address(int fd, unsigned long what, const char *name, const char *address)
{
    struct ifreq request = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
    put_name(&request, name);
    in->sin_family = AF_INET;
    inet_pton(AF_INET, address, &in->sin_addr);
    if (ioctl(fd, what, &request) < 0)
        die("set %s on %s", address, name);
}

static inline void set_mtu(const char *name, int mtu)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {.ifr_mtu = mtu};
    put_name(&request, name);
    if (ioctl(fd, SIOCSIFMTU, &request) < 0)
        die("set mtu of %s", name);
    close(fd);
}

/* The kernel's interface is down and has no route yet; memtun's is up. */
static inline void tunnel_up(const char *name)
{
    if (under_memtun())
        return;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {0};
    put_name(&request, name);
    set_address(fd, SIOCSIFADDR, name, HOST_IP);
    set_address(fd, SIOCSIFNETMASK, name, "255.255.255.0");
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        die("SIOCGIFFLAGS");
    request.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        die("SIOCSIFFLAGS");
    close(fd);
}

/* The far end. */
struct driver {
    memtun_interface *iface; /* NULL on the kernel */
    int udp;
    struct sockaddr_in program;
};

static inline struct driver driver_join(const char *name)
{
    struct driver d = {.udp = -1, .program = {.sin_family = AF_INET, .sin_port = htons(PROGRAM_PORT)}};
    if (under_memtun()) {
        memtun_net *net = memtun_net_open(NULL);
        if (!net)
            die("memtun_net_open");
        d.iface = memtun_interface_open(net, name, 5000);
        if (!d.iface)
            die("memtun_interface_open %s", name);
        return d;
    }
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(HOST_PORT)};
    inet_pton(AF_INET, HOST_IP, &host.sin_addr);
    inet_pton(AF_INET, PROGRAM_IP, &d.program.sin_addr);
    d.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(d.udp, (struct sockaddr *)&host, sizeof host) < 0)
        die("bind %s", HOST_IP);
    return d;
}

/* A datagram from the host to the program or back, `length` bytes with its headers. The UDP
 * checksum is left out, as IPv4 allows: then an exchange of the addresses is all that an answer
 * needs. */
static inline void make_packet(unsigned char *packet, size_t length, int to_program)
{
    const char *source = to_program ? HOST_IP : PROGRAM_IP, *target = to_program ? PROGRAM_IP : HOST_IP;
    unsigned ports[2] = {to_program ? HOST_PORT : PROGRAM_PORT, to_program ? PROGRAM_PORT : HOST_PORT};
    unsigned char header[HEADERS] = {0x45, 0, length >> 8, length, 0, 1, 0x40, 0, 64, 17};
    unsigned sum = 0;
    inet_pton(AF_INET, source, header + 12);
    inet_pton(AF_INET, target, header + 16);
    for (int i = 0; i < 20; i += 2)
        sum += header[i] << 8 | header[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~(sum + (sum >> 16));
    header[10] = sum >> 8, header[11] = sum;
    for (int i = 0; i < 2; i++)
        header[20 + 2 * i] = ports[i] >> 8, header[21 + 2 * i] = ports[i];
    header[24] = (length - 20) >> 8, header[25] = length - 20;
    memset(packet, 'x', length);
    memcpy(packet, header, sizeof header);
}

static inline void driver_send(struct driver *d, const unsigned char *packet, size_t length)
{
    if (d->iface) {
        int result = memtun_interface_inject(d->iface, packet, length, 0, 5000);
        if (result < 0)
            errno = -result, die("memtun_interface_inject");
    } else if (sendto(d->udp, packet + HEADERS, length - HEADERS, 0, (struct sockaddr *)&d->program,
                      sizeof d->program) < 0)
        die("sendto");
}

/* The same from a payload, so that memtun too has the headers to build and the checksums to
   compute. */
static inline void driver_send_udp(struct driver *d, const unsigned char *packet, size_t length)
{
    if (!d->iface) {
        driver_send(d, packet, length);
        return;
    }
    int result = memtun_interface_send_udp(d->iface, HOST_IP, HOST_PORT, PROGRAM_IP, PROGRAM_PORT, packet + HEADERS,
                                 length - HEADERS, 5000);
    if (result < 0)
        errno = -result, die("memtun_interface_send_udp");
}

static inline void driver_receive(struct driver *d, unsigned char *buffer, size_t size, size_t length)
{
    ssize_t got;
    if (d->iface) {
        got = memtun_interface_recv(d->iface, buffer, size, NULL, 5000);
        if (got < 0)
            errno = -got, die("memtun_interface_recv");
    } else {
        got = recv(d->udp, buffer, size, 0);
        if (got < 0)
            die("recv");
        got += HEADERS;
    }
    if ((size_t)got != length)
        errno = EPROTO, die("received %zd bytes, not %zu", got, length);
}

/* The same packet `count` times, by one call where the side has one. */
static inline void driver_send_many(struct driver *d, const unsigned char *packet, size_t length, int count)
{
    struct iovec frames[64];
    for (int i = 0; i < count; i++) {
        if (!d->iface)
            driver_send(d, packet, length);
        frames[i] = (struct iovec){(void *)packet, length};
    }
    int result = d->iface ? memtun_interface_inject_many(d->iface, frames, count, 0, NULL, 5000) : 0;
    if (result < 0)
        errno = -result, die("memtun_interface_inject_many");
}

static inline void driver_receive_many(struct driver *d, unsigned char *buffer, size_t size, size_t length, int count)
{
    memtun_packet packets[64];
    for (int got = 0; got < count;) {
        if (!d->iface) {
            driver_receive(d, buffer, size, length);
            got++;
            continue;
        }
        ssize_t more = memtun_interface_recv_many(d->iface, buffer, size, packets, count - got, 5000);
        if (more < 0)
            errno = -more, die("memtun_interface_recv_many");
        got += more;
    }
}

static inline void tunnel_read(int fd, unsigned char *buffer, size_t size, size_t length)
{
    ssize_t got = read(fd, buffer, size);
    if (got < 0)
        die("read");
    if ((size_t)got != length)
        errno = EPROTO, die("read %zd bytes, not %zu", got, length);
}
#endif
