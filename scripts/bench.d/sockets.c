/* sockets wire NAME ADDRESS: a tun program, unchanged on the kernel's driver and under memtun. It
 * gives the interface an address, says "ready", and carries packets between the tunnel and
 * descriptor 3, at whose other end another one does the same.
 *
 * sockets server ADDRESS: answers what the client below asks for, on ordinary sockets. Says
 * "ready".
 *
 * sockets client KIND ADDRESS SECONDS: nanoseconds of one, on ordinary sockets.
 *
 *   bytes     a byte of a connection that sends as much as it can
 *   trip      one byte there and back over a connection
 *   connect   connect(2)
 *   udp-trip  64 bytes there and back by UDP
 *   udp-send  sendto(2) of 64 bytes, to somebody who reads them */
#include "bench.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>

enum { PORT = 8080, ECHO = 9000, SINK = 9002, SMALL = 64, MOST = 1 << 16 };
static unsigned char buffer[MOST];

static struct sockaddr_in name_of(const char *address, int port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &name.sin_addr) != 1)
        errno = EINVAL, die("%s", address);
    return name;
}

static int made(int kind)
{
    int fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    return fd;
}

static int bound(int kind, const char *address, int port)
{
    struct sockaddr_in name = name_of(address, port);
    int fd = made(kind), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0)
        die("bind %s:%d", address, port);
    return fd;
}

static void ready(void)
{
    puts("ready");
    fflush(stdout);
}

/* ---------------------------------------------------------------- the wire */

static void wire(const char *name, const char *address)
{
    kernel_without_ipv6();
    int tun = tunnel_open(name, O_NONBLOCK), fd = made(SOCK_DGRAM);
    struct ifreq request = {0};
    set_address(fd, SIOCSIFADDR, name, address);
    set_address(fd, SIOCSIFNETMASK, name, "255.255.255.0");
    put_name(&request, name);
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        die("SIOCGIFFLAGS");
    request.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        die("SIOCSIFFLAGS");
    close(fd);
    ready();
    struct pollfd ends[2] = {{.fd = tun, .events = POLLIN}, {.fd = 3, .events = POLLIN}};
    for (;;) {
        if (poll(ends, 2, -1) < 0)
            die("poll");
        for (int i = 0; ends[0].revents & POLLIN && i < 64; i++) {
            ssize_t n = read(tun, buffer, sizeof buffer);
            if (n <= 0)
                break;
            if (send(3, buffer, n, 0) < 0)
                die("wire");
        }
        for (int i = 0; ends[1].revents && i < 64; i++) {
            ssize_t n = recv(3, buffer, sizeof buffer, MSG_DONTWAIT);
            if (n == 0)
                return;
            if (n < 0)
                break;
            if (write(tun, buffer, n) != n)
                die("write");
        }
    }
}

/* ---------------------------------------------------------------- the server */

struct end {
    int fd, what; /* 0 until the first byte has come, then 'E' or 'S'; 'C' closes it */
    uint64_t bytes;
};

/* Returns whether the connection goes on. */
static int serve(struct end *end)
{
    ssize_t n = recv(end->fd, buffer, end->what ? sizeof buffer : 1, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN;
    if (n == 0) {
        if (end->what == 'S' && send(end->fd, &end->bytes, sizeof end->bytes, MSG_NOSIGNAL) < 0)
            return 0;
        return 0;
    }
    if (!end->what) {
        end->what = buffer[0];
        return end->what != 'C';
    }
    if (end->what == 'S')
        end->bytes += n;
    else if (send(end->fd, buffer, n, MSG_NOSIGNAL) != n)
        return 0;
    return 1;
}

static void server(const char *address)
{
    int listener = bound(SOCK_STREAM, address, PORT), poll = epoll_create1(EPOLL_CLOEXEC);
    static struct end fixed[3];
    int descriptors[3] = {listener, bound(SOCK_DGRAM, address, ECHO), bound(SOCK_DGRAM, address, SINK)};
    if (listen(listener, 128) < 0)
        die("listen");
    for (int i = 0; i < 3; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &fixed[i]};
        fixed[i].fd = descriptors[i];
        if (epoll_ctl(poll, EPOLL_CTL_ADD, descriptors[i], &event) < 0)
            die("epoll_ctl");
    }
    ready();
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            struct end *end = events[i].data.ptr;
            struct sockaddr_in from;
            socklen_t length = sizeof from;
            if (end == &fixed[0]) {
                struct end *new = calloc(1, sizeof *new);
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = new};
                int one = 1;
                new->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (new->fd < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, new->fd, &event) < 0)
                    die("accept");
                setsockopt(new->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            } else if (end == &fixed[1]) {
                ssize_t n = recvfrom(end->fd, buffer, sizeof buffer, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
                if (n > 0 && sendto(end->fd, buffer, n, 0, (struct sockaddr *)&from, length) < 0)
                    die("sendto");
            } else if (end == &fixed[2]) {
                for (int n = 0; n < 64 && recv(end->fd, buffer, sizeof buffer, MSG_DONTWAIT) >= 0; n++)
                    ;
            } else if (!serve(end)) {
                close(end->fd);
                free(end);
            }
        }
    }
}

/* ---------------------------------------------------------------- the client */

static int connected(const struct sockaddr_in *to)
{
    int fd = made(SOCK_STREAM), one = 1;
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static double bytes(const char *address, double seconds)
{
    struct sockaddr_in to = name_of(address, PORT);
    int fd = connected(&to);
    uint64_t sent = 0, arrived = 0;
    if (send(fd, "S", 1, 0) != 1)
        die("send");
    double begin = now_ns();
    while (now_ns() - begin < seconds * 1e9) {
        ssize_t n = send(fd, buffer, sizeof buffer, 0);
        if (n <= 0)
            die("send");
        sent += n;
    }
    if (shutdown(fd, SHUT_WR) < 0)
        die("shutdown");
    if (recv(fd, &arrived, sizeof arrived, MSG_WAITALL) != sizeof arrived || arrived != sent)
        errno = EPROTO, die("%llu of %llu bytes arrived", (unsigned long long)arrived, (unsigned long long)sent);
    return (now_ns() - begin) / sent;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

/* Each of these does it once. */
static int stream, datagrams;
static struct sockaddr_in echo, sink;

static void trip(void)
{
    if (send(stream, "p", 1, 0) != 1 || recv(stream, buffer, 1, 0) != 1)
        die("trip");
}

static void prepare(void) { stream = made(SOCK_STREAM); }

static void begin(void)
{
    if (connect(stream, (const struct sockaddr *)&echo, sizeof echo) < 0)
        die("connect");
}

/* The server closes first. So nothing of a connection is under way when the next one begins, and no
 * TIME_WAIT is left here: those of a few seconds would hold half of the ports, and the kernel,
 * which tries one half before the other, would walk over all of them with each connect. */
static void end(void)
{
    if (send(stream, "C", 1, 0) != 1 || recv(stream, buffer, 1, 0) != 0)
        die("end");
    close(stream);
}

static void udp_trip(void)
{
    if (sendto(datagrams, buffer, SMALL, 0, (struct sockaddr *)&echo, sizeof echo) != SMALL)
        die("sendto");
    if (recvfrom(datagrams, buffer, sizeof buffer, 0, NULL, NULL) != SMALL)
        die("recvfrom");
}

static void udp_send(void)
{
    if (sendto(datagrams, buffer, SMALL, 0, (struct sockaddr *)&sink, sizeof sink) != SMALL)
        die("sendto");
}

/* Only `once` is measured. */
static double repeated(void (*before)(void), void (*once)(void), void (*after)(void), double seconds)
{
    enum { LIMIT = 1 << 16 };
    static double times[LIMIT];
    int count = 0;
    double begin = now_ns(), at = begin;
    while (count < LIMIT && at - begin < seconds * 1e9) {
        if (before)
            before();
        double from = now_ns();
        once();
        times[count++] = now_ns() - from;
        if (after)
            after();
        at = now_ns();
    }
    return median(times, count);
}

static double client(const char *kind, const char *address, double seconds)
{
    struct timeval limit = {.tv_sec = 5};
    echo = name_of(address, PORT), sink = name_of(address, SINK);
    if (strcmp(kind, "bytes") == 0)
        return bytes(address, seconds);
    if (strcmp(kind, "connect") == 0)
        return repeated(prepare, begin, end, seconds);
    if (strcmp(kind, "trip") == 0) {
        stream = connected(&echo);
        if (send(stream, "E", 1, 0) != 1)
            die("send");
        return repeated(NULL, trip, NULL, seconds);
    }
    echo = name_of(address, ECHO);
    datagrams = made(SOCK_DGRAM);
    setsockopt(datagrams, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (strcmp(kind, "udp-trip") == 0)
        return repeated(NULL, udp_trip, NULL, seconds);
    if (strcmp(kind, "udp-send") == 0)
        return repeated(NULL, udp_send, NULL, seconds);
    errno = EINVAL, die("%s", kind);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "wire") == 0)
        wire(argv[2], argv[3]);
    else if (argc == 3 && strcmp(argv[1], "server") == 0)
        server(argv[2]);
    else if (argc == 5 && strcmp(argv[1], "client") == 0) {
        alarm(60);
        printf("%.3f\n", client(argv[2], argv[3], atof(argv[4])));
    } else
        return 2;
    return 0;
}
