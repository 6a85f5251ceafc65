/* lwip_echo - lwIP behind a tap, which is there already: echo services of TCP and UDP on port 7, a
 * server of HTTP on port 80, and lwIP's automatic answers to pings. What is asked for by `get` is
 * asked of servers of HTTP, as /big.
 * usage: lwip_echo TAP ADDRESS MASK [get ADDRESS:PORT...] */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <lwip/netif.h>
#include <lwip/sockets.h>
#include <lwip/sys.h>
#include <lwip/tcpip.h>
#include <netif/tapif.h>

#define MUCH 5000000

static struct netif tap;
static ip4_addr_t address, mask, gateway;
static sys_sem_t begun;

static void begin(void *unused)
{
    (void)unused;
    netif_add(&tap, &address, &mask, &gateway, NULL, tapif_init, tcpip_input);
    netif_set_default(&tap);
    netif_set_up(&tap);
    sys_sem_signal(&begun);
}

static int service(int kind, int port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = lwip_socket(AF_INET, kind, 0);
    if (fd < 0 || lwip_bind(fd, (void *)&at, sizeof at) || (kind == SOCK_STREAM && lwip_listen(fd, 8))) {
        fprintf(stderr, "port %d\n", port);
        exit(1);
    }
    return fd;
}

static int say(int fd, const char *what, size_t count)
{
    while (count) {
        int given = lwip_send(fd, what, count < 30000 ? count : 30000, 0);
        if (given <= 0)
            return 0;
        what += given;
        count -= given;
    }
    return 1;
}

static void echo(void *connection)
{
    char buffer[4096];
    int fd = (intptr_t)connection, count;
    while ((count = lwip_recv(fd, buffer, sizeof buffer, 0)) > 0 && say(fd, buffer, count))
        ;
    lwip_close(fd);
}

static void give(void *connection)
{
    static char much[MUCH];
    char buffer[4096], *end = buffer;
    int fd = (intptr_t)connection, count;
    while (end < buffer + sizeof buffer - 1 && (count = lwip_recv(fd, end, buffer + sizeof buffer - 1 - end, 0)) > 0) {
        *(end += count) = 0;
        if (!strstr(buffer, "\r\n\r\n"))
            continue;
        sprintf(buffer, "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n", MUCH);
        for (int i = 0; i < MUCH; i++)
            much[i] = i % 251;
        if (say(fd, buffer, strlen(buffer)))
            say(fd, much, MUCH);
        break;
    }
    lwip_close(fd);
}

static void serve(void *service)
{
    int listener = (intptr_t)service, fd;
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    lwip_getsockname(listener, (void *)&own, &size);
    while ((fd = lwip_accept(listener, NULL, NULL)) >= 0)
        sys_thread_new("one", own.sin_port == htons(7) ? echo : give, (void *)(intptr_t)fd, 65536, 3);
}

static void datagrams(void *service)
{
    char buffer[4096];
    int fd = (intptr_t)service;
    struct sockaddr_in from;
    for (;;) {
        socklen_t size = sizeof from;
        int count = lwip_recvfrom(fd, buffer, sizeof buffer, 0, (void *)&from, &size);
        if (count >= 0)
            lwip_sendto(fd, buffer, count, 0, (void *)&from, size);
    }
}

static void ask(char *of)
{
    static char got[30000000];
    struct sockaddr_in to = { .sin_family = AF_INET };
    char *port = strchr(of, ':'), *body, *asks = "GET /big HTTP/1.0\r\n\r\n";
    size_t all = 0;
    uint32_t sum = 0;
    int count, fd = lwip_socket(AF_INET, SOCK_STREAM, 0);
    *port++ = 0;
    to.sin_port = htons(atoi(port));
    inet_pton(AF_INET, of, &to.sin_addr);
    if (lwip_connect(fd, (void *)&to, sizeof to)) {
        printf("refused\n");
        lwip_close(fd);
        return;
    }
    say(fd, asks, strlen(asks));
    while (all < sizeof got && (count = lwip_recv(fd, got + all, sizeof got - all, 0)) > 0)
        all += count;
    lwip_close(fd);
    body = memmem(got, all, "\r\n\r\n", 4);
    body = body ? body + 4 : got;
    for (char *byte = body; byte < got + all; byte++)
        sum = sum * 31 + (unsigned char)*byte;
    printf("got %zu bytes, sum %u\n", (size_t)(got + all - body), sum);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: lwip_echo TAP ADDRESS MASK [get ADDRESS:PORT...]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    setenv("PRECONFIGURED_TAPIF", argv[1], 1);
    ip4addr_aton(argv[2], &address);
    ip4addr_aton(argv[3], &mask);
    sys_sem_new(&begun, 0);
    tcpip_init(begin, NULL);
    sys_sem_wait(&begun);
    sys_thread_new("datagrams", datagrams, (void *)(intptr_t)service(SOCK_DGRAM, 7), 65536, 3);
    sys_thread_new("echo", serve, (void *)(intptr_t)service(SOCK_STREAM, 7), 65536, 3);
    sys_thread_new("give", serve, (void *)(intptr_t)service(SOCK_STREAM, 80), 65536, 3);
    printf("serving\n");
    for (int i = 5; i < argc; i++)
        ask(argv[i]);
    for (;;)
        sys_msleep(1000);
}
