/* Requests that few programs make: eBPF, namespaces. */
#include "driver.h"
#include <sched.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>
#include <sys/resource.h>
#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif
#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif

/* A descriptor in place of an eBPF program. */
static void program(const char *name, const char *what, int fd, unsigned long request, int given)
{
    char label[100];
    snprintf(label, sizeof label, "%s %s", name, what);
    SHOW(label, ioctl(fd, request, &given));
}

static void bpf(const char *name, int fd, unsigned long request)
{
    char label[100];
    void *volatile nowhere = NULL;
    int file = MUST(open("/dev/zero", O_RDWR)), path = MUST(open("/dev/zero", O_PATH)), pipes[2], unattached;
    MUST(pipe(pipes));
    unattached = MUST(open(DEVICE, O_RDWR));
    int sock = MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), map = MUST(epoll_create1(0));
    program(name, "-1", fd, request, -1);
    program(name, "-1 again", fd, request, -1);
    program(name, "-2", fd, request, -2);
    program(name, "INT_MIN", fd, request, -0x7fffffff - 1);
    program(name, "INT_MAX", fd, request, 0x7fffffff);
    program(name, "closed descriptor", fd, request, 900);
    program(name, "tunnel itself", fd, request, fd);
    program(name, "another tunnel", fd, request, unattached);
    program(name, "file", fd, request, file);
    program(name, "file, opened as a path", fd, request, path);
    program(name, "pipe", fd, request, pipes[0]);
    program(name, "socket", fd, request, sock);
    program(name, "epoll", fd, request, map);
    snprintf(label, sizeof label, "%s NULL", name);
    SHOW(label, ioctl(fd, request, nowhere));
    snprintf(label, sizeof label, "%s bad pointer", name);
    SHOW(label, ioctl(fd, request, BAD_POINTER));
    snprintf(label, sizeof label, "%s cut", name);
    SHOW(label, ioctl(fd, request, edge(3)));
    close(file);
    close(path);
    close(pipes[0]);
    close(pipes[1]);
    close(unattached);
    close(sock);
    close(map);
}

/* A request that returns a descriptor of the network namespace; the kernel asks for privileges that
   a user may lack. */
static void space(const char *label, int fd, unsigned long request, void *argument)
{
    char link[64], target[100] = "";
    struct stat a, b;
    int got = ioctl(fd, request, argument);
    if (got < 0) {
        show(label, got);
        return;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", got);
    if (readlink(link, target, sizeof target - 1) < 0)
        die("readlink");
    MUST(fstat(got, &a));
    MUST(stat("/proc/self/ns/net", &b));
    say(label, "same_as_self=%d cloexec=%d mode=%d link_prefix=%.4s type=%d next=%d", a.st_ino == b.st_ino && a.st_dev == b.st_dev,
        fcntl(got, F_GETFD), fcntl(got, F_GETFL) & O_ACCMODE, target, ioctl(got, NS_GET_NSTYPE) == CLONE_NEWNET, got == fd + 1);
    close(got);
}

/* There is no number left for the descriptor. */
static void full(int fd, const char *name, unsigned long request)
{
    struct rlimit before, none;
    MUST(getrlimit(RLIMIT_NOFILE, &before));
    none = before;
    none.rlim_cur = fd + 1;
    MUST(setrlimit(RLIMIT_NOFILE, &none));
    char label[60];
    snprintf(label, sizeof label, "%s at RLIMIT_NOFILE", name);
    SHOW(label, ioctl(fd, request, 0));
    MUST(setrlimit(RLIMIT_NOFILE, &before));
}

/* What the descriptor of the namespace is. */
static void file(int fd)
{
    struct stat st;
    char c;
    int got = ioctl(fd, TUNGETDEVNETNS, 0), again = ioctl(fd, SIOCGSKNS, 0);
    if (got < 0 || again < 0)
        die("a namespace");
    MUST(fstat(got, &st));
    say("fstat", "mode=%o size=%ld links=%ld", st.st_mode, (long)st.st_size, (long)st.st_nlink);
    SHOW("F_GETFL", fcntl(got, F_GETFL) & ~O_LARGEFILE & ~0100000);
    SHOW("F_GETFD", fcntl(got, F_GETFD));
    SHOW("read of it", read(got, &c, 1));
    SHOW("write to it", write(got, "x", 1));
    SHOW("lseek in it", lseek(got, 0, SEEK_CUR));
    SHOW("mmap of it", (long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, got, 0) == -1 ? -1 : 0);
    show_poll("poll of it", got, POLL_ALL, 0);
    SHOW("TUNGETIFF of it", ioctl(got, TUNGETIFF, &st));
    SHOW("NS_GET_PARENT of it", ioctl(got, NS_GET_PARENT));
    say("the two", "different numbers %d", got != again);
    close(got);
    close(again);
}

/* ---- TUNSETLINK: how long the hardware address is ---- */

/* What SIOCGIFHWADDR changes: its type, and how many bytes of the address.
 * It is asked over two fillings, because a random address may hold the byte of one. */
static void address(char *text, int fd)
{
    struct ifreq over[2];
    int last = 13, set = 0;
    for (int i = 0; i < 2; i++) {
        memset(&over[i], i ? 0x11 : 0xee, sizeof over[i]);
        if (ioctl(fd, SIOCGIFHWADDR, &over[i])) {
            strcpy(text, errno_name(errno));
            return;
        }
    }
    while (last >= 0 && over[0].ifr_hwaddr.sa_data[last] != over[1].ifr_hwaddr.sa_data[last])
        last--;
    for (int i = 0; i <= last; i++)
        set |= over[0].ifr_hwaddr.sa_data[i];
    sprintf(text, "%d%s", last + 1, set ? "" : " zeroes");
}

static void types(void)
{
    static const char *const mac = "\x02\x11\x22\x33\x44\x55";
    int fds[2] = { tun_attach("ra1", IFF_TUN | IFF_NO_PI, 0), tun_attach("ra2", IFF_TAP | IFF_NO_PI, 0) };
    for (int tap = 0; tap < 2; tap++) {
        char before[40] = "", text[40], label[100];
        int begin = 0;
        for (int type = 0; type <= 0x10000; type++) {
            *text = 0;
            if (type < 0x10000 && ioctl(fds[tap], TUNSETLINK, type) == 0)
                address(text, fds[tap]);
            if (type && strcmp(text, before)) {
                snprintf(label, sizeof label, "%s of type %d to %d", tap ? "tap" : "tun", begin, type - 1);
                say(label, "%s", before);
                begin = type;
            }
            strcpy(before, text);
        }
    }
    for (int tap = 0; tap < 2; tap++) {
        static const int some[] = { 1, 65534, 778, 801, 824, 0, 6, 773, 0x10001, -1 };
        for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
            struct ifreq ifr = { 0 };
            char label[60], text[100];
            snprintf(label, sizeof label, "%s, TUNSETLINK %d", tap ? "tap" : "tun", some[i]);
            SHOW(label, ioctl(fds[tap], TUNSETLINK, some[i]));
            ifr.ifr_hwaddr.sa_family = some[i];
            memcpy(ifr.ifr_hwaddr.sa_data, mac, 6);
            ifr.ifr_hwaddr.sa_data[5] = i;
            snprintf(text, sizeof text, "%s, SIOCSIFHWADDR", label);
            SHOW(text, ioctl(fds[tap], SIOCSIFHWADDR, &ifr));
            ifr.ifr_hwaddr.sa_data[0] = 1;
            snprintf(text, sizeof text, "%s, SIOCSIFHWADDR of a group", label);
            SHOW(text, ioctl(fds[tap], SIOCSIFHWADDR, &ifr));
            ifr.ifr_hwaddr.sa_family = some[i] + 1;
            snprintf(text, sizeof text, "%s, SIOCSIFHWADDR of another type", label);
            SHOW(text, ioctl(fds[tap], SIOCSIFHWADDR, &ifr));
            memset(&ifr, 0xee, sizeof ifr);
            ioctl(fds[tap], SIOCGIFHWADDR, &ifr);
            snprintf(text, sizeof text, "%s, address", label);
            char digits[40];
            say(text, "%d %s", ifr.ifr_hwaddr.sa_family, hex(digits, ifr.ifr_hwaddr.sa_data, 14));
        }
        close(fds[tap]);
    }
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR));
    SHOW("TUNGETDEVNETNS unattached", ioctl(fd, TUNGETDEVNETNS, 0));
    space("SIOCGSKNS unattached", fd, SIOCGSKNS, NULL);
    space("SIOCGSKNS unattached, bad pointer", fd, SIOCGSKNS, BAD_POINTER);
    SHOW("TUNSETSTEERINGEBPF unattached", ioctl(fd, TUNSETSTEERINGEBPF, &fd));
    MUST(tun_set_iff(fd, "ra0", IFF_TUN | IFF_NO_PI));
    bpf("TUNSETSTEERINGEBPF", fd, TUNSETSTEERINGEBPF);
    bpf("TUNSETFILTEREBPF", fd, TUNSETFILTEREBPF);
    space("TUNGETDEVNETNS", fd, TUNGETDEVNETNS, NULL);
    space("TUNGETDEVNETNS, bad pointer", fd, TUNGETDEVNETNS, BAD_POINTER);
    space("SIOCGSKNS", fd, SIOCGSKNS, NULL);
    full(fd, "SIOCGSKNS", SIOCGSKNS);
    full(fd, "TUNGETDEVNETNS", TUNGETDEVNETNS);
    file(fd);
    types();
    int tap = tun_attach("ra3", IFF_TAP | IFF_NO_PI, 0);
    bpf("TUNSETSTEERINGEBPF of a tap", tap, TUNSETSTEERINGEBPF);
    bpf("TUNSETFILTEREBPF of a tap", tap, TUNSETFILTEREBPF);
    space("TUNGETDEVNETNS of a tap", tap, TUNGETDEVNETNS, NULL);
    return 0;
}
