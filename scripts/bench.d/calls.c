/* calls OPERATION COUNT [tunnel]: COUNT calls on a descriptor that is not a tunnel, for counting
 * their instructions. With `tunnel`, one is open at the time. Prints whether memtun is there. */
#include "bench.h"

#include <poll.h>

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
    } else if (strcmp(argv[1], "connect") == 0 || strcmp(argv[1], "sendto") == 0 ||
               strcmp(argv[1], "recvfrom") == 0) {
        /* To itself: what has no room is dropped, and what is only looked at stays. */
        struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, name;
        socklen_t length = sizeof self;
        int own = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(own, (struct sockaddr *)&self, sizeof self) < 0)
            die("bind");
        getsockname(own, (struct sockaddr *)&self, &length);
        if (sendto(own, &byte, 1, 0, (struct sockaddr *)&self, sizeof self) != 1)
            die("sendto");
        for (long i = 0; i < count; i++) {
            length = sizeof name;
            if (argv[1][0] == 'c' ? connect(own, (struct sockaddr *)&self, sizeof self) < 0
                : argv[1][0] == 's'
                    ? sendto(own, &byte, 1, 0, (struct sockaddr *)&self, sizeof self) != 1
                    : recvfrom(own, &byte, 1, MSG_PEEK, (struct sockaddr *)&name, &length) != 1)
                die("%s", argv[1]);
        }
    } else
        return 2;
    printf("%s\n", under_memtun() ? "memtun" : "no memtun");
    return 0;
}
