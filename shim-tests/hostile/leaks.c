/* leaks machine NET LIBRARY COMMAND [BEGIN]: in a network namespace of its own, whose loopback
 *   has the addresses that an isolated net leads to and others. It goes through situations and
 *   calls: for each it starts a program under the library that is shut in so and makes that call,
 *   and counts the packets that reach the namespace's network instead of the net, and the groups
 *   that the namespace joins. Its link m0 is none of the net's. One line for
 *   each: SITUATION CALL ARRIVED LINES ANSWERS. BEGIN says how the situations begin that are gone
 *   through. With LEAKS_MERGED the programs see the machine as well, and what the net's routes do
 *   not lead to counts for nothing.
 * leaks hold: makes tun0 with its addresses, prints "ready", and reads it until its input ends.
 * leaks attack SITUATION CALL: is one of those programs. A situation is WHEN:WHAT, see `attack` and
 *   `enter`. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT 7000

/* Where calls go: what the net's routes lead to, and what they do not. */
static const char *const V4[] = {"10.9.0.2", "192.0.2.7"};
static const char *const V6[] = {"fd09::2", "2001:db8::7"};

/* ---- Situations ---- */

struct forbidden {
    const char *name;
    long call;
};

static const struct forbidden FORBIDDEN[] = {
    {"openat", SYS_openat},           {"fstat", SYS_fstat},
    {"newfstatat", SYS_newfstatat},   {"statx", SYS_statx},
    {"fcntl", SYS_fcntl},             {"mmap", SYS_mmap},
    {"sendmsg", SYS_sendmsg},         {"recvmsg", SYS_recvmsg},
    {"recvfrom", SYS_recvfrom},       {"getsockopt", SYS_getsockopt},
    {"setsockopt", SYS_setsockopt},   {"getsockname", SYS_getsockname},
    {"getpeername", SYS_getpeername}, {"rt_sigprocmask", SYS_rt_sigprocmask},
    {"bind", SYS_bind},               {"ppoll", SYS_ppoll},
    {"munmap", SYS_munmap},           {"getpid", SYS_getpid},
    {"futex", SYS_futex},             {"clock_gettime", SYS_clock_gettime},
    {"connect", SYS_connect},         {"close", SYS_close},
};
enum { FORBIDDEN_CALLS = sizeof FORBIDDEN / sizeof *FORBIDDEN };

static int forbid(long call, unsigned action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Leaves so many descriptors free. */
static int leave_free(int count)
{
    struct rlimit limit;
    int first = fcntl(0, F_DUPFD, 0);
    close(first);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)(first + count);
    return setrlimit(RLIMIT_NOFILE, &limit);
}

static int landlock(void)
{
    /* All of the file system's rights of the first version, none of which is given. */
    unsigned long long handled = 0x1fff;
    int fd = (int)syscall(444, &handled, sizeof handled, 0);

    return fd < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(446, fd, 0) || close(fd);
}

/* Enters a situation. Not 0 says that the machine does not let it. */
static int enter(const char *what)
{
    char name[64];
    unsigned action = 0;

    if (!strcmp(what, "none"))
        return 0;
    if (!strncmp(what, "free", 4))
        return leave_free(atoi(what + 4));
    if (!strcmp(what, "chroot"))
        return chroot("/proc/self/fdinfo") || chdir("/");
    if (!strcmp(what, "user"))
        return setgid(65534) || setuid(65534);
    if (!strcmp(what, "landlock"))
        return landlock();
    if (sscanf(what, "eperm-%63s", name) == 1)
        action = SECCOMP_RET_ERRNO | EPERM;
    else if (sscanf(what, "enosys-%63s", name) == 1)
        action = SECCOMP_RET_ERRNO | ENOSYS;
    else if (sscanf(what, "kill-%63s", name) == 1)
        action = SECCOMP_RET_KILL_PROCESS;
    for (int i = 0; i < FORBIDDEN_CALLS && action; i++)
        if (!strcmp(FORBIDDEN[i].name, name))
            return forbid(FORBIDDEN[i].call, action);
    return -1;
}

/* ---- Calls ---- */

static struct sockaddr_storage name_of(const char *address, int port)
{
    struct sockaddr_storage name = {0};
    struct sockaddr_in *v4 = (void *)&name;
    struct sockaddr_in6 *v6 = (void *)&name;

    if (strchr(address, ':')) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        inet_pton(AF_INET6, address, &v6->sin6_addr);
    } else {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        inet_pton(AF_INET, address, &v4->sin_addr);
    }
    return name;
}

static socklen_t length_of(const struct sockaddr_storage *name)
{
    return name->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* A call, with the socket that it needs. */
struct call {
    const char *name;
    int kind, protocol;
    /* Is the socket of AF_INET6, and are the destinations? */
    int v6, to_v6;
    long (*make)(int fd, const struct sockaddr *to, socklen_t length);
};

static long tcp(int fd, const struct sockaddr *to, socklen_t length)
{
    return connect(fd, to, length);
}

static long tcp_by_number(int fd, const struct sockaddr *to, socklen_t length)
{
    return syscall(SYS_connect, fd, to, length);
}

static long udp(int fd, const struct sockaddr *to, socklen_t length)
{
    if (connect(fd, to, length))
        return -1;
    if (send(fd, "send", 4, 0) < 0)
        return -1;
    return write(fd, "write", 5);
}

static long by_sendto(int fd, const struct sockaddr *to, socklen_t length)
{
    return sendto(fd, "sendto", 6, 0, to, length);
}

static long by_number(int fd, const struct sockaddr *to, socklen_t length)
{
    return syscall(SYS_sendto, fd, "sendto", 6, 0, to, length);
}

static struct mmsghdr message_to(const struct sockaddr *to, socklen_t length, struct iovec *part)
{
    struct mmsghdr message = {0};
    *part = (struct iovec){"message", 7};
    message.msg_hdr.msg_name = (void *)to;
    message.msg_hdr.msg_namelen = length;
    message.msg_hdr.msg_iov = part;
    message.msg_hdr.msg_iovlen = 1;
    return message;
}

static long by_sendmsg(int fd, const struct sockaddr *to, socklen_t length)
{
    struct iovec part;
    struct mmsghdr message = message_to(to, length, &part);
    return sendmsg(fd, &message.msg_hdr, 0);
}

static long by_sendmmsg(int fd, const struct sockaddr *to, socklen_t length)
{
    struct iovec part;
    struct mmsghdr message = message_to(to, length, &part);
    return sendmmsg(fd, &message, 1, 0);
}

static long early(int fd, const struct sockaddr *to, socklen_t length)
{
    return sendto(fd, "early", 5, MSG_FASTOPEN, to, length);
}

static long early_message(int fd, const struct sockaddr *to, socklen_t length)
{
    struct iovec part;
    struct mmsghdr message = message_to(to, length, &part);
    return sendmsg(fd, &message.msg_hdr, MSG_FASTOPEN);
}

/* An echo request, with the header that a socket of SOCK_RAW sends as it is. */
static long echo(int fd, const struct sockaddr *to, socklen_t length)
{
    unsigned char request[8] = {8, 0, 0xf7, 0xff, 0, 0, 0, 0};
    return sendto(fd, request, sizeof request, 0, to, length);
}

/* A packet past IP, to the only interface. */
static long frame(int fd, const struct sockaddr *to, socklen_t length)
{
    unsigned char packet[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1};
    struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};

    (void)length;
    link.sll_ifindex = 1;
    link.sll_halen = 6;
    memcpy(packet + 12, "\x0a\x09\x00\x02", 4);
    memcpy(packet + 16, &((const struct sockaddr_in *)to)->sin_addr, 4);
    return sendto(fd, packet, sizeof packet, 0, (void *)&link, sizeof link);
}

/* A name, whose only nameserver is 192.0.2.7. */
static long name(int fd, const struct sockaddr *to, socklen_t length)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    (void)fd, (void)to, (void)length;
    int error = getaddrinfo("name.example", "80", &hints, &found);
    errno = error ? ENXIO : 0;
    return error ? -1 : 0;
}

/* The same, which libc asks for in a thread of its own. */
static long name_later(int fd, const struct sockaddr *to, socklen_t length)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct gaicb lookup = {.ar_name = "name.example", .ar_request = &hints}, *all[] = {&lookup};
    const struct gaicb *waits[] = {&lookup};
    (void)fd, (void)to, (void)length;
    if (getaddrinfo_a(GAI_NOWAIT, all, 1, NULL))
        return errno = ENXIO, -1;
    while (gai_error(&lookup) == EAI_INPROGRESS)
        gai_suspend(waits, 1, NULL);
    errno = ENXIO;
    return gai_error(&lookup) ? -1 : 0;
}

/* Serves on any address, while the machine connects to it from its network. */
static long serve(int fd, const struct sockaddr *to, socklen_t length)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    char byte = 0;
    (void)to, (void)length;

    if (bind(fd, (void *)&any, sizeof any) || listen(fd, 4))
        return -1;
    if (write(3, "L", 1) != 1 || read(4, &byte, 1) != 1)
        return -1;
    return accept(fd, NULL, NULL);
}

/* The same on a port that listen(2) chooses, which nobody needs to be told. */
static long listens(int fd, const struct sockaddr *to, socklen_t length)
{
    struct sockaddr_in own;
    socklen_t room = sizeof own;
    (void)to, (void)length;
    if (listen(fd, 4))
        return -1;
    if (write(3, "L", 1) != 1)
        return -1;
    return getsockname(fd, (void *)&own, &room);
}

/* A group and how it is joined. */
#define GROUP "239.9.9.9"
#define GROUP6 "ff05::99"

struct joining {
    int failed, succeeded;
};

static void join_by(struct joining *all, int fd, int level, int option, const void *value,
                    size_t length)
{
    if (setsockopt(fd, level, option, value, (socklen_t)length))
        all->failed = errno;
    else
        all->succeeded++;
}

/* Joins by names, which is not forbidden to a socket of TCP either. */
static void join_by_names(struct joining *all, int fd, int level, const char *group,
                          const char *source)
{
    struct group_req one = {(uint32_t)atoi(getenv("LINK")), name_of(group, 0)};
    struct group_source_req two = {one.gr_interface, one.gr_group, name_of(source, 0)};
    int tcp = socket(level == IPPROTO_IP ? AF_INET : AF_INET6, SOCK_STREAM, 0);

    join_by(all, fd, level, MCAST_JOIN_GROUP, &one, sizeof one);
    join_by(all, tcp, level, MCAST_JOIN_GROUP, &one, sizeof one);
    /* A socket joins a group at a link once. */
    setsockopt(fd, level, MCAST_LEAVE_GROUP, &one, sizeof one);
    join_by(all, fd, level, MCAST_JOIN_SOURCE_GROUP, &two, sizeof two);
}

/* Has the machine look which groups it has joined. */
static long joined(const struct joining *all)
{
    char byte;
    if (write(3, "J", 1) != 1 || read(4, &byte, 1) != 1)
        _exit(9);
    errno = all->failed;
    return all->succeeded ? all->succeeded : -1;
}

/* Joins at an address and at a link of the machine's. */
static long join(int fd, const struct sockaddr *to, socklen_t length)
{
    struct joining all = {0, 0};
    struct ip_mreqn one = {.imr_address = ((const struct sockaddr_in *)to)->sin_addr};
    struct ip_mreq_source two = {.imr_interface = one.imr_address};
    (void)length;

    inet_pton(AF_INET, GROUP, &one.imr_multiaddr);
    two.imr_multiaddr = one.imr_multiaddr;
    inet_pton(AF_INET, "10.9.0.3", &two.imr_sourceaddr);
    join_by(&all, fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &one, sizeof(struct ip_mreq));
    setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &one, sizeof(struct ip_mreq));
    join_by(&all, fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &two, sizeof two);
    one.imr_ifindex = atoi(getenv("LINK"));
    join_by(&all, fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &one, sizeof one);
    setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &one, sizeof one);
    join_by_names(&all, fd, IPPROTO_IP, GROUP, "10.9.0.3");
    return joined(&all);
}

static long join6(int fd, const struct sockaddr *to, socklen_t length)
{
    struct joining all = {0, 0};
    struct ipv6_mreq one = {.ipv6mr_interface = (unsigned)atoi(getenv("LINK"))};
    (void)length;

    one.ipv6mr_multiaddr = ((const struct sockaddr_in6 *)to)->sin6_addr;
    join_by(&all, fd, IPPROTO_IPV6, IPV6_JOIN_ANYCAST, &one, sizeof one);
    inet_pton(AF_INET6, GROUP6, &one.ipv6mr_multiaddr);
    join_by(&all, fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &one, sizeof one);
    setsockopt(fd, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &one, sizeof one);
    join_by_names(&all, fd, IPPROTO_IPV6, GROUP6, "fd09::3");
    return joined(&all);
}

static const struct call CALLS[] = {
    {"tcp", SOCK_STREAM, 0, 0, 0, tcp},
    {"tcp-number", SOCK_STREAM, 0, 0, 0, tcp_by_number},
    {"tcp6", SOCK_STREAM, 0, 1, 1, tcp},
    {"tcp-early", SOCK_STREAM, 0, 0, 0, early},
    {"tcp-early-message", SOCK_STREAM, 0, 0, 0, early_message},
    {"udp", SOCK_DGRAM, 0, 0, 0, udp},
    {"udp6", SOCK_DGRAM, 0, 1, 1, udp},
    {"sendto", SOCK_DGRAM, 0, 0, 0, by_sendto},
    {"sendto-number", SOCK_DGRAM, 0, 0, 0, by_number},
    {"sendto6", SOCK_DGRAM, 0, 1, 1, by_sendto},
    {"sendto-mapped", SOCK_DGRAM, 0, 1, 0, by_sendto},
    {"sendmsg", SOCK_DGRAM, 0, 0, 0, by_sendmsg},
    {"sendmmsg", SOCK_DGRAM, 0, 0, 0, by_sendmmsg},
    {"ping", SOCK_DGRAM, IPPROTO_ICMP, 0, 0, echo},
    {"raw", SOCK_RAW, IPPROTO_ICMP, 0, 0, echo},
    {"packet", SOCK_DGRAM, -1, 0, 0, frame},
    {"name", SOCK_DGRAM, 0, 0, 0, name},
    {"name-later", SOCK_DGRAM, 0, 0, 0, name_later},
    {"serve", SOCK_STREAM, 0, 0, 0, serve},
    {"listen", SOCK_STREAM, 0, 0, 0, listens},
    {"join", SOCK_DGRAM, 0, 0, 0, join},
    {"join6", SOCK_DGRAM, 0, 1, 1, join6},
};
enum { NUMBER_OF_CALLS = sizeof CALLS / sizeof *CALLS };

static int made(const struct call *call)
{
    int kind = call->kind | SOCK_NONBLOCK;
    if (call->protocol < 0)
        return socket(AF_PACKET, kind, htons(ETH_P_IP));
    return socket(call->v6 ? AF_INET6 : AF_INET, kind, call->protocol);
}

/* Says what a call has answered, by a write that every sandbox here allows. */
static void say(const char *text)
{
    if (write(1, text, strlen(text)) < 0)
        _exit(9);
}

static void answer(long result)
{
    say(result >= 0 ? "done " : strerrorname_np(errno));
    say(" ");
}

static void make(const struct call *call, int fd, int which)
{
    const char *address = (call->to_v6 ? V6 : V4)[which];
    struct sockaddr_storage to = name_of(address, PORT);
    struct sockaddr_in6 *v6 = (void *)&to;

    if (call->v6 && !call->to_v6) {
        char mapped[64];
        snprintf(mapped, sizeof mapped, "::ffff:%s", address);
        to = name_of(mapped, PORT);
        (void)v6;
    }
    if (fd < 0)
        fd = made(call);
    answer(fd < 0 ? -1 : call->make(fd, (void *)&to, length_of(&to)));
}

static void make_all(const struct call *call, const int *fds)
{
    for (int which = 0; which < 2; which++)
        make(call, fds ? fds[which] : -1, which);
}

static void *in_thread(void *call)
{
    make_all(call, NULL);
    return NULL;
}

/* A system call that no hook sees. */
static long unseen(long number, long a, long b, long c)
{
    long answer;
#ifdef __x86_64__
    __asm__ volatile("syscall" : "=a"(answer) : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
#else
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b,
                  x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    answer = x0;
#endif
    return answer;
}

static const struct call *called(const char *name)
{
    for (int i = 0; i < NUMBER_OF_CALLS; i++)
        if (!strcmp(CALLS[i].name, name))
            return &CALLS[i];
    return NULL;
}

static int attack(char **words)
{
    char *what = words[0], *where = strchr(what, ':');
    const struct call *const call = called(words[1]);
    int fds[2];

    if (!call || !where)
        return 8;
    *where++ = 0;
    /* When the situation is entered, and who makes the call. */
    if (!strcmp(what, "first")) {
        if (enter(where))
            return say("unable"), 0;
        make_all(call, NULL);
    } else if (!strcmp(what, "made") || !strcmp(what, "used")) {
        for (int i = 0; i < 2; i++)
            fds[i] = made(call);
        if (!strcmp(what, "used")) {
            struct sockaddr_storage to = name_of(V4[0], PORT);
            int fd = socket(AF_INET, SOCK_DGRAM, 0);
            if (connect(fd, (void *)&to, length_of(&to)))
                perror("the first connect");
            close(fd);
        }
        if (enter(where))
            return say("unable"), 0;
        make_all(call, fds);
    } else if (!strcmp(what, "exec")) {
        if (enter(where))
            return say("unable"), 0;
        char *again[] = {"leaks", "attack", "first:none", words[1], NULL};
        execv("/proc/self/exe", again);
        say("unable");
    } else if (!strcmp(what, "fork")) {
        if (enter(where))
            return say("unable"), 0;
        if (fork() == 0) {
            make_all(call, NULL);
            _exit(0);
        }
        wait(NULL);
    } else if (!strcmp(what, "vfork")) {
        /* The child shuts itself in, and shares its memory with one that is not. */
        if (vfork() == 0) {
            if (enter(where))
                say("unable");
            else
                make_all(call, NULL);
            _exit(0);
        }
        wait(NULL);
    } else if (!strcmp(what, "thread")) {
        pthread_t thread;
        if (enter(where) || pthread_create(&thread, NULL, in_thread, (void *)call))
            return say("unable"), 0;
        pthread_join(thread, NULL);
    } else if (!strcmp(what, "unseen")) {
        int family = call->v6 ? AF_INET6 : AF_INET, kind = call->kind | SOCK_NONBLOCK;
        if (call->protocol < 0 || enter(where))
            return say("unable"), 0;
        for (int i = 0; i < 2; i++)
            fds[i] = (int)unseen(SYS_socket, family, kind, call->protocol);
        if (fds[0] < 0 || fds[1] < 0)
            return say("unable"), 0;
        make_all(call, fds);
    } else if (!strcmp(what, "passed")) {
        /* Made unseen in another process, and passed on. */
        int pair[2], family = call->v6 ? AF_INET6 : AF_INET;
        if (call->protocol < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
            return say("unable"), 0;
        for (int i = 0; i < 2; i++) {
            int fd = (int)unseen(SYS_socket, family, call->kind | SOCK_NONBLOCK, call->protocol);
            union {
                char bytes[CMSG_SPACE(sizeof fd)];
                struct cmsghdr head;
            } control = {0};
            char byte = 0;
            struct iovec part = {&byte, 1};
            struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1,
                                     .msg_control = &control, .msg_controllen = sizeof control};
            if (fd < 0)
                return say("unable"), 0;
            control.head = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
            memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
            if (sendmsg(pair[0], &message, 0) < 0)
                return say("unable"), 0;
            unseen(SYS_close, fd, 0, 0);
            message.msg_controllen = sizeof control;
            if (recvmsg(pair[1], &message, 0) < 0)
                return say("unable"), 0;
            memcpy(&fds[i], CMSG_DATA(&control.head), sizeof fd);
        }
        if (enter(where))
            return say("unable"), 0;
        make_all(call, fds);
    } else
        return 8;
    return 0;
}

/* ---- The net ---- */

static int hold(void)
{
    struct ifreq request = {.ifr_name = "tun0"};
    struct sockaddr_in *v4 = (void *)&request.ifr_addr;
    int tun = open("/dev/net/tun", O_RDWR), ip = socket(AF_INET, SOCK_DGRAM, 0);
    int ip6 = socket(AF_INET6, SOCK_DGRAM, 0);
    struct {
        struct in6_addr address;
        uint32_t prefix;
        int index;
    } six = {.prefix = 64};
    char packet[2048];

    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (tun < 0 || ioctl(tun, TUNSETIFF, &request))
        return perror("tun0"), 1;
    *v4 = (struct sockaddr_in){.sin_family = AF_INET};
    inet_pton(AF_INET, "10.9.0.1", &v4->sin_addr);
    if (ioctl(ip, SIOCSIFADDR, &request))
        return perror("SIOCSIFADDR"), 1;
    inet_pton(AF_INET, "255.255.255.0", &v4->sin_addr);
    if (ioctl(ip, SIOCSIFNETMASK, &request))
        return perror("SIOCSIFNETMASK"), 1;
    request.ifr_flags = IFF_UP;
    if (ioctl(ip, SIOCSIFFLAGS, &request))
        return perror("SIOCSIFFLAGS"), 1;
    six.index = (int)if_nametoindex("tun0");
    inet_pton(AF_INET6, "fd09::1", &six.address);
    if (ioctl(ip6, SIOCSIFADDR, &six))
        return perror("SIOCSIFADDR of IPv6"), 1;
    puts("ready");
    fflush(stdout);
    /* What comes is read, so that the queue has room. */
    struct pollfd fds[] = {{tun, POLLIN, 0}, {0, POLLIN, 0}};
    while (poll(fds, 2, -1) > 0 && !fds[1].revents)
        if (read(tun, packet, sizeof packet) < 0)
            return perror("read"), 1;
    return 0;
}

/* ---- The machine ---- */

static const char *library, *net, *command;
static int merged;

/* Is this where the net's routes lead to? */
static int is_routed(const unsigned char *address)
{
    return !memcmp(address, "\x0a\x09", 2) || !memcmp(address, "\xfd\x09", 2);
}

/* Number of packets that have been sent to the machine's network since the last time. */
static int arrived(int watcher)
{
    int count = 0;
    for (;;) {
        unsigned char packet[64];
        struct sockaddr_ll from;
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(watcher, packet, sizeof packet, MSG_DONTWAIT, (void *)&from, &length);
        if (n < 0)
            return count;
        if (from.sll_pkttype != PACKET_OUTGOING)
            continue;
        switch (ntohs(from.sll_protocol)) {
        case ETH_P_IP:
            count += n >= 20 && packet[16] != 127 && (!merged || is_routed(packet + 16));
            break;
        case ETH_P_IPV6:
            /* Not what a kernel says of its own groups. */
            count += n >= 40 && packet[24] != 0xff && memcmp(packet + 24, &in6addr_loopback, 16)
                && (!merged || is_routed(packet + 24));
            break;
        }
    }
}


/* Becomes a program under the library. */
static void become(char **words)
{
    char entries[6][512];
    char *environment[] = {entries[0], entries[1], entries[2], entries[3], entries[4], entries[5],
                           "PATH=/usr/bin:/bin", "LANG=C", NULL};
    snprintf(entries[0], sizeof entries[0], "LD_PRELOAD=%s", library);
    snprintf(entries[1], sizeof entries[1], "MEMTUN_NET=%s", net);
    snprintf(entries[2], sizeof entries[2], "MEMTUN_COMMAND=%s", command);
    snprintf(entries[3], sizeof entries[3], "MEMTUN_LOG=warn");
    snprintf(entries[4], sizeof entries[4], "MEMTUN_HOST=%s", merged ? "merged" : "isolated");
    snprintf(entries[5], sizeof entries[5], "LINK=%u", if_nametoindex("m0"));
    execve("/proc/self/exe", words, environment);
    _exit(7);
}

/* Number of lines of a file in which this stands. */
static int lines_with(const char *path, const char *text)
{
    FILE *file = fopen(path, "r");
    char line[256];
    int count = 0;

    while (file && fgets(line, sizeof line, file))
        count += strstr(line, text) != NULL;
    if (file)
        fclose(file);
    return count;
}

/* Number of times that the machine has joined a group for a program. */
static int joined_by_machine(void)
{
    struct in_addr group;
    char text[16];

    inet_pton(AF_INET, GROUP, &group);
    snprintf(text, sizeof text, "%08X", group.s_addr);
    return lines_with("/proc/net/igmp", text)
        + lines_with("/proc/net/igmp6", "ff050000000000000000000000000099")
        + lines_with("/proc/net/anycast6", "");
}

/* Connects to the server from the machine's network. */
static void visit(void)
{
    struct sockaddr_storage to = name_of(V4[1], PORT);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int failed = connect(fd, (void *)&to, length_of(&to));
    (void)failed;
    close(fd);
}

static void attempt(int watcher, const char *situation, const char *call)
{
    int out[2], err[2], to_us[2], to_it[2], status;
    char text[1024] = "", said[4096] = "", byte;
    size_t got = 0, heard = 0;
    int lines = 0, visits = 0;

    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) || pipe2(to_us, O_CLOEXEC) || pipe2(to_it, O_CLOEXEC))
        exit(1);
    arrived(watcher);
    pid_t child = fork();
    if (child == 0) {
        char *words[] = {"leaks", "attack", (char *)situation, (char *)call, NULL};
        dup2(out[1], 1);
        dup2(err[1], 2);
        int us = fcntl(to_us[1], F_DUPFD, 20), it = fcntl(to_it[0], F_DUPFD, 20);
        dup2(us, 3);
        dup2(it, 4);
        close_range(5, ~0u, 0);
        alarm(10);
        become(words);
    }
    close(out[1]), close(err[1]), close(to_us[1]), close(to_it[0]);
    struct pollfd fds[] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}, {to_us[0], POLLIN, 0}};
    int open_ends = 3, before = 0;
    while (open_ends > 0 && poll(fds, 3, 15000) > 0) {
        for (int i = 0; i < 3; i++) {
            ssize_t n = 0;
            if (!fds[i].revents)
                continue;
            if (i == 0)
                n = read(out[0], text + got, sizeof text - 1 - got), got += n > 0 ? (size_t)n : 0;
            else if (i == 1)
                n = read(err[0], said + heard, sizeof said - 1 - heard), heard += n > 0 ? (size_t)n : 0;
            else if ((n = read(to_us[0], &byte, 1)) > 0 && byte == 'J') {
                before += joined_by_machine();
                if (write(to_it[1], "J", 1) < 0)
                    n = 0;
            } else if (n > 0) {
                before += arrived(watcher);
                visits++;
                visit();
                arrived(watcher);
                if (write(to_it[1], "V", 1) < 0)
                    n = 0;
            }
            if (n <= 0)
                fds[i].fd = -1, open_ends--;
        }
    }
    waitpid(child, &status, 0);
    text[got] = said[heard] = 0;
    for (char *at = said; (at = strstr(at, "memtun")); at++)
        lines++;
    int count = before + arrived(watcher);
    /* Who accepts what came from the machine's network would answer there. What the visit itself
     * has sent counts for nothing. */
    if (visits)
        count = before + (!strcmp(call, "serve") && !strncmp(text, "done", 4));
    printf("%s %s %d %d %s", situation, call, count, lines, text);
    if (!WIFEXITED(status))
        printf("signal-%d", WTERMSIG(status));
    puts("");
    if (getenv("LEAKS_SHOW"))
        fputs(said, stdout);
    fflush(stdout);
    close(out[0]), close(err[0]), close(to_us[0]), close(to_it[1]);
}

static int machine(const char *only)
{
    static char situations[600][40];
    int count = 0, watcher = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
    int from_it[2], to_it[2];
    char said[6];
    const char *const first[] = {"none", "free1", "free2", "free3", "chroot", "user", "landlock"};
    const char *const actions[] = {"eperm", "enosys", "kill"};
    const char *const ways[] = {"first", "made", "used", "exec", "fork",
                                "vfork", "thread", "unseen", "passed"};

    if (watcher < 0 || pipe2(from_it, O_CLOEXEC) || pipe2(to_it, O_CLOEXEC))
        return perror("machine"), 1;
    /* Nor does the machine join a group while the net has no address yet. */
    for (int c = 0; c < NUMBER_OF_CALLS; c++)
        if (!merged && !strncmp(CALLS[c].name, "join", 4))
            attempt(watcher, "first:none", CALLS[c].name);
    pid_t holder = fork();
    if (holder == 0) {
        char *words[] = {"leaks", "hold", NULL};
        dup2(to_it[0], 0);
        dup2(from_it[1], 1);
        become(words);
    }
    close(to_it[0]), close(from_it[1]);
    if (read(from_it[0], said, 6) != 6)
        return fputs("there is no net\n", stderr), 1;
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        for (size_t i = 0; i < sizeof first / sizeof *first; i++)
            sprintf(situations[count++], "%s:%s", ways[w], first[i]);
        /* What forbids in another way is tried where a program begins so. */
        for (int a = 0; a < (w == 0 ? 3 : 1); a++)
            for (int i = 0; i < FORBIDDEN_CALLS; i++)
                sprintf(situations[count++], "%s:%s-%s", ways[w], actions[a], FORBIDDEN[i].name);
    }
    for (int i = 0; i < count; i++)
        for (int c = 0; c < NUMBER_OF_CALLS; c++)
            if (!only || !strncmp(situations[i], only, strlen(only)))
                attempt(watcher, situations[i], CALLS[c].name);
    close(to_it[1]);
    waitpid(holder, NULL, 0);
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && !strcmp(argv[1], "hold"))
        return hold();
    if (argc == 4 && !strcmp(argv[1], "attack"))
        return attack(argv + 2);
    if (argc < 5 || strcmp(argv[1], "machine"))
        return 8;
    net = argv[2], library = argv[3], command = argv[4];
    merged = getenv("LEAKS_MERGED") != NULL;
    return machine(argc > 5 ? argv[5] : NULL);
}
