/* waits serve: answers on port 9000 of any address, each connection and each datagram in a call
 *   that waits. It prints "ready" when both are there.
 * waits tcp|udp ADDRESS: talks to it once, and fails when nothing came back within two seconds.
 * waits many ADDRESS: sends 2,000 datagrams, and as many in signal handlers that interrupt it.
 * waits late ADDRESS: receives what a socket of its own at this address has sent that is gone.
 * waits held ADDRESS: connects, prints "ready", and waits until it is reset. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PORT 9000

static int opened(int kind)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = socket(AF_INET, kind, 0);
    if (fd < 0 || bind(fd, (void *)&any, sizeof any)) {
        perror("bind");
        exit(1);
    }
    return fd;
}

static void *echo(void *given)
{
    int fd = *(int *)given;
    char text[100];
    struct sockaddr_in from;
    for (;;) {
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(fd, text, sizeof text, 0, (void *)&from, &length);
        if (n >= 0)
            sendto(fd, text, (size_t)n, 0, (void *)&from, length);
    }
    return NULL;
}

static int serve(void)
{
    int udp = opened(SOCK_DGRAM), tcp = opened(SOCK_STREAM);
    pthread_t thread;
    if (listen(tcp, 16) || pthread_create(&thread, NULL, echo, &udp))
        return 1;
    puts("ready");
    fflush(stdout);
    for (;;) {
        int fd = accept(tcp, NULL, NULL);
        char text[100];
        if (fd < 0)
            continue;
        ssize_t n = read(fd, text, sizeof text);
        if (n > 0 && write(fd, text, (size_t)n) != n)
            perror("write");
        close(fd);
    }
}

static int sender;
static volatile int handled;

static void send_one(int number)
{
    if (number)
        handled++;
    sendto(sender, "hello", 5, 0, NULL, 0);
}

/* Each datagram is followed by a signal within some microseconds, often while it is being sent. */
static int many(int fd)
{
    sender = fd;
    signal(SIGALRM, send_one);
    for (int sent = 0; sent < 2000; sent++) {
        struct itimerval soon = {{0, 0}, {0, 1 + sent % 12}};
        setitimer(ITIMER_REAL, &soon, NULL);
        send_one(0);
        while (handled <= sent)
            ;
    }
    return 0;
}

static int late(struct sockaddr_in own)
{
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    char text[100];
    int fds[3];
    for (int at = 0; at < 3; at++) {
        own.sin_port = htons(5000 + at);
        fds[at] = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(fds[at], (void *)&own, sizeof own))
            return 2;
    }
    own.sin_port = htons(5000);
    if (sendto(fds[1], "hello", 5, 0, (void *)&own, sizeof own) != 5)
        return 3;
    close(fds[1]);
    /* One that was seen a moment ago is taken to be there; after that it is noticed to be gone. */
    own.sin_port = htons(5001);
    usleep(50000);
    sendto(fds[2], "gone", 4, 0, (void *)&own, sizeof own);
    ssize_t n = recvfrom(fds[0], text, sizeof text, MSG_DONTWAIT, (void *)&from, &length);
    return n == 5 && from.sin_port == htons(5001) ? 0 : 4;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return serve();
    int datagrams = strcmp(argv[1], "tcp") && strcmp(argv[1], "held");
    int kind = datagrams ? SOCK_DGRAM : SOCK_STREAM;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct timeval limit = {.tv_sec = 2};
    char text[100];
    int fd = socket(AF_INET, kind, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (!inet_aton(argv[2], &to.sin_addr))
        return 2;
    if (!strcmp(argv[1], "late"))
        return late(to);
    if (connect(fd, (void *)&to, sizeof to))
        return 2;
    if (!strcmp(argv[1], "many"))
        return many(fd);
    if (!strcmp(argv[1], "held")) {
        limit.tv_sec = 20;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        puts("ready");
        fflush(stdout);
        return read(fd, text, 1) == -1 && errno == ECONNRESET ? 0 : 5;
    }
    if (write(fd, "hello", 5) != 5 || read(fd, text, sizeof text) != 5)
        return 3;
    return memcmp(text, "hello", 5) ? 4 : 0;
}
