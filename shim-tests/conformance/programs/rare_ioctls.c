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

static void bpf(int fd)
{
    int none = -1, closed = 900, other = fd;
    SHOW("TUNSETSTEERINGEBPF -1", ioctl(fd, TUNSETSTEERINGEBPF, &none));
    SHOW("TUNSETSTEERINGEBPF closed descriptor", ioctl(fd, TUNSETSTEERINGEBPF, &closed));
    SHOW("TUNSETSTEERINGEBPF not a program", ioctl(fd, TUNSETSTEERINGEBPF, &other));
    SHOW("TUNSETFILTEREBPF -1", ioctl(fd, TUNSETFILTEREBPF, &none));
    SHOW("TUNSETFILTEREBPF closed descriptor", ioctl(fd, TUNSETFILTEREBPF, &closed));
    SHOW("TUNSETFILTEREBPF not a program", ioctl(fd, TUNSETFILTEREBPF, &other));
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
static void full(int fd)
{
    struct rlimit before, none;
    MUST(getrlimit(RLIMIT_NOFILE, &before));
    none = before;
    none.rlim_cur = fd + 1;
    MUST(setrlimit(RLIMIT_NOFILE, &none));
    SHOW("SIOCGSKNS at RLIMIT_NOFILE", ioctl(fd, SIOCGSKNS, 0));
    MUST(setrlimit(RLIMIT_NOFILE, &before));
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
    bpf(fd);
    space("TUNGETDEVNETNS", fd, TUNGETDEVNETNS, NULL);
    space("TUNGETDEVNETNS, bad pointer", fd, TUNGETDEVNETNS, BAD_POINTER);
    space("SIOCGSKNS", fd, SIOCGSKNS, NULL);
    full(fd);
    return 0;
}
