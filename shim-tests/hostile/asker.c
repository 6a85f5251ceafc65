/* asker INDEX A B [FORBIDDEN]: gives an interface the address 10.1.A.B/32 over rtnetlink. The exit
 * status is 0 when that was acknowledged, 1 with the error number on standard error when it was
 * refused, and 2 when this program saw anything of the process that was started for it. Before it
 * asks, it forbids itself to make processes (spawn) or sockets (socket), on pain of death, or it
 * executes itself with a filter by which making processes fails with EPERM (inherited), or
 * connect(2) with ENOSYS (unconnected). */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

#define IS(call, action) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, action)

static int forbid(const char *what, char **argv) {
    int unconnected = !strcmp(what, "unconnected"), inherited = unconnected || !strcmp(what, "inherited");
    unsigned action = inherited ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_KILL_PROCESS;
    struct sock_filter spawn[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        IS(clone, action), IS(clone3, action), IS(execve, inherited ? SECCOMP_RET_ALLOW : action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_filter sockets[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        IS(socket, action), IS(connect, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_filter connects[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        IS(connect, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof(spawn) / sizeof(*spawn), spawn};
    if (!strcmp(what, "socket"))
        filter = (struct sock_fprog){sizeof(sockets) / sizeof(*sockets), sockets};
    if (unconnected)
        filter = (struct sock_fprog){sizeof(connects) / sizeof(*connects), connects};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
        return fail("seccomp", errno);
    if (inherited) {
        argv[4] = NULL;
        execv(argv[0], argv);
        return fail("execv", errno);
    }
    return 0;
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

    if (argc != 4 && argc != 5)
        return 2;
    sigaction(SIGCHLD, &action, NULL);
    highest = dup(0);
    close(highest);
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return fail("socket", errno);
    if (argc == 5 && forbid(argv[4], argv))
        return 1;
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
