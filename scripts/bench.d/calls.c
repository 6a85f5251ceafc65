/* calls OPERATION COUNT [tunnel]: COUNT calls on a descriptor that is not a tunnel, for counting
 * their instructions. With `tunnel`, one is open at the time. Prints whether memtun is there. */
#include "bench.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

/* A socket of UDP on the loopback that sends to itself. */
static int datagrams(struct sockaddr_in *name)
{
    socklen_t length = sizeof *name;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (struct sockaddr *)name, sizeof *name) || getsockname(fd, (struct sockaddr *)name, &length))
        die("a socket");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    alarm(120);
    long count = atol(argv[2]);
    char byte = 0;
    if (argc > 3)
        tunnel_open("bench0", 0);
    int fd = open(strcmp(argv[1], "write") == 0 ? "/dev/null" : "/dev/zero", O_RDWR);
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    if (fd < 0)
        die("open");
    if (strcmp(argv[1], "read") == 0) {
        for (long i = 0; i < count; i++)
            if (read(fd, &byte, 1) != 1)
                die("read");
    } else if (strcmp(argv[1], "write") == 0) {
        for (long i = 0; i < count; i++)
            if (write(fd, &byte, 1) != 1)
                die("write");
    } else if (strcmp(argv[1], "poll") == 0) {
        for (long i = 0; i < count; i++)
            if (poll(&readable, 1, 0) != 1)
                die("poll");
    } else if (strcmp(argv[1], "connect") == 0) {
        struct sockaddr_in name;
        int socket = datagrams(&name);
        for (long i = 0; i < count; i++)
            if (connect(socket, (struct sockaddr *)&name, sizeof name))
                die("connect");
    } else if (strcmp(argv[1], "sendto") == 0) {
        struct sockaddr_in name;
        int socket = datagrams(&name);
        for (long i = 0; i < count; i++)
            if (sendto(socket, &byte, 1, 0, (struct sockaddr *)&name, sizeof name) != 1)
                die("sendto");
    } else if (strcmp(argv[1], "recvfrom") == 0) {
        struct sockaddr_in name;
        int socket = datagrams(&name);
        if (sendto(socket, &byte, 1, 0, (struct sockaddr *)&name, sizeof name) != 1)
            die("sendto");
        for (long i = 0; i < count; i++) {
            socklen_t length = sizeof name;
            if (recvfrom(socket, &byte, 1, MSG_PEEK, (struct sockaddr *)&name, &length) != 1)
                die("recvfrom");
        }
    } else
        return 2;
    printf("%s\n", under_memtun() ? "memtun" : "no memtun");
    return 0;
}
