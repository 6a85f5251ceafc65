/* waits OPERATION TUNNELS COUNT: COUNT waits in a program with so many tunnels, for counting their
 * instructions. All tunnels are registered in one epoll instance, but for `poll`.
 *
 *   nothing   epoll_wait(2) when nothing is ready
 *   ready     epoll_wait(2) when one tunnel is
 *   register  one tunnel is taken out and put in again
 *   poll      poll(2) of one tunnel among those that are open, when it is not ready */
#include "bench.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>

static int add(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    alarm(300);
    const char *operation = argv[1];
    int tunnels = atoi(argv[2]);
    long count = atol(argv[3]);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        die("setrlimit");
    int polls = strcmp(operation, "poll") == 0;
    int epoll = epoll_create1(0), last = -1;
    for (int i = 0; i < tunnels; i++) {
        char name[IFNAMSIZ];
        snprintf(name, sizeof name, "bench%hd", (short)i);
        last = tunnel_open(name, O_NONBLOCK);
        if (!polls && add(epoll, last))
            die("epoll_ctl");
    }
    if (strcmp(operation, "ready") == 0) {
        memtun_net *net = memtun_net_open(NULL);
        char name[IFNAMSIZ];
        snprintf(name, sizeof name, "bench%hd", (short)(tunnels - 1));
        memtun_interface *interface = memtun_interface_open(net, name, 5000);
        unsigned char packet[64] = {0x45, 0, 0, 64};
        if (!interface || memtun_interface_inject(interface, packet, sizeof packet, 0, 1000))
            die("inject");
    }
    struct epoll_event found;
    struct pollfd one = {.fd = last, .events = POLLIN};
    for (long i = 0; i < count; i++) {
        if (polls) {
            if (poll(&one, 1, 0) != 0)
                die("poll");
        } else if (strcmp(operation, "register") == 0) {
            if (epoll_ctl(epoll, EPOLL_CTL_DEL, last, NULL) || add(epoll, last))
                die("epoll_ctl");
        } else if (epoll_wait(epoll, &found, 1, 0) != (strcmp(operation, "ready") == 0)) {
            die("epoll_wait");
        }
    }
    return 0;
}
