/* A program that lets the kernel kill it for a system call that has to do with memory or files goes
   on writing. Its netlink socket fails where the library cannot ask any more, and does not kill it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KILLS(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static char packet[65535] = { 0x45 };

int main(int argc, char **argv)
{
    struct ifreq ifr = { .ifr_name = "box0", .ifr_flags = IFF_TUN | IFF_NO_PI };
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        KILLS(madvise), KILLS(mmap), KILLS(mremap), KILLS(munmap), KILLS(mprotect), KILLS(munlock), KILLS(brk),
        KILLS(statfs), KILLS(openat), KILLS(fstat), KILLS(fallocate), KILLS(ftruncate), KILLS(prlimit64), KILLS(getcpu),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { sizeof rules / sizeof *rules, rules };
    int by_syscall = argc > 1 && !strcmp(argv[1], "seccomp");
    alarm(20);
    int fd = open("/dev/net/tun", O_RDWR);
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct { struct nlmsghdr head; struct rtgenmsg family; } request = {
        { sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { 0 } };
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        (by_syscall ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))) {
        perror("sandbox");
        return 1;
    }
    /* Many times round the history, in all sizes. */
    for (int i = 0; i < 20000; i++) {
        size_t size = i % 100 ? 1400 : 20 + i * 3;
        if (write(fd, packet, size) != (ssize_t)size)
            return 2;
    }
    if (send(netlink, &request, sizeof request, 0) != -1 || errno != EACCES)
        return 4;
    if (recv(netlink, packet, sizeof packet, 0) != -1 || errno != EAGAIN)
        return 5;
    return write(1, "ok\n", 3) == 3 ? 0 : 3;
}
