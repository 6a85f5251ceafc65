/* forger.c PORT - without the library: sends forged messages of rtnetlink to a port until it is
 * killed. It says "ready" when the first thousand have been sent. */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char forged[40000];
    struct nlmsghdr *head = (struct nlmsghdr *)forged;
    struct sockaddr_nl to = { .nl_family = AF_NETLINK };
    const size_t lengths[] = { sizeof forged, 1000, 100, 36, 16, 5, 1 };
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 2 || fd < 0)
        return 1;
    to.nl_pid = (unsigned)strtoul(argv[1], NULL, 10);
    memset(forged, 0x66, sizeof forged);
    for (unsigned long i = 0;; i++) {
        size_t length = lengths[i % 7];
        head->nlmsg_len = (unsigned)length;
        head->nlmsg_type = i & 1 ? RTM_NEWLINK : NLMSG_ERROR;
        head->nlmsg_seq = (unsigned)(i % 200);
        head->nlmsg_pid = to.nl_pid;
        int flags = i & 2 ? MSG_DONTWAIT : 0;
        if (sendto(fd, forged, length, flags, (struct sockaddr *)&to, sizeof to) < 0 && errno != EAGAIN
            && errno != ECONNREFUSED) {
            printf("send: %d\n", errno);
            return 1;
        }
        if (i == 1000)
            puts("ready");
    }
}
