/* asker INDEX A B: gives an interface the address 10.1.A.B/32 over rtnetlink. The exit status is 0
 * when that was acknowledged, 1 with the error number on standard error when it was refused, and 2
 * when this program saw anything of the process that was started for it. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t children;

static void child(int signal) {
    (void)signal;
    children++;
}

static int fail(const char *what, int error) {
    fprintf(stderr, "asker: %s: %s\n", what, strerror(error));
    return 1;
}

int main(int argc, char **argv) {
    struct {
        struct nlmsghdr head;
        struct ifaddrmsg address;
        struct rtattr local;
        unsigned char bytes[4];
    } request = {0};
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[4096];
    } answer;
    struct sigaction action = {.sa_handler = child};
    int fd, highest;

    if (argc != 4)
        return 2;
    sigaction(SIGCHLD, &action, NULL);
    highest = dup(0);
    close(highest);
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return fail("socket", errno);
    request.head.nlmsg_len = sizeof(request);
    request.head.nlmsg_type = RTM_NEWADDR;
    request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    request.address.ifa_family = AF_INET;
    request.address.ifa_prefixlen = 32;
    request.address.ifa_index = (unsigned)atoi(argv[1]);
    request.local.rta_len = RTA_LENGTH(4);
    request.local.rta_type = IFA_LOCAL;
    request.bytes[0] = 10;
    request.bytes[1] = 1;
    request.bytes[2] = (unsigned char)atoi(argv[2]);
    request.bytes[3] = (unsigned char)atoi(argv[3]);
    if (send(fd, &request, sizeof(request), 0) != (ssize_t)sizeof(request))
        return fail("send", errno);
    if (recv(fd, &answer, sizeof(answer), 0) < (ssize_t)(sizeof(answer.head) + sizeof(int)))
        return fail("recv", errno);
    if (answer.head.nlmsg_type != NLMSG_ERROR)
        return fail("answer", EPROTO);
    if (answer.error.error)
        return fail("refused", -answer.error.error);
    close(fd);
    if (children || waitpid(-1, NULL, WNOHANG | __WALL) != -1 || errno != ECHILD) {
        fprintf(stderr, "asker: there is a child\n");
        return 2;
    }
    if (dup(0) != highest) {
        fprintf(stderr, "asker: there is another descriptor\n");
        return 2;
    }
    return 0;
}
