/* The many spellings of the device's path, and the calls that open it. */
#include "driver.h"
#include <linux/openat2.h>

/* A tunnel answers TUNGETFEATURES; its name in /proc is always the device's. */
static void identify(const char *label, int fd)
{
    char link[64], target[256] = "";
    unsigned features = 0;
    if (fd < 0) {
        show(label, fd);
        return;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, target, sizeof target - 1) < 0)
        snprintf(target, sizeof target, "-1 %s", errno_name(errno));
    say(label, "ok link=%s tun=%s", target, ioctl(fd, TUNGETFEATURES, &features) ? "no" : "yes");
    close(fd);
}

#define OPENED(label, expr) do { errno = 0; identify(label, expr); } while (0)

static void from_directories(void)
{
    int here = MUST(open(".", O_RDONLY | O_DIRECTORY)), dir;
    MUST(chdir("/dev"));
    OPENED("relative from /dev", open("net/tun", O_RDWR));
    MUST(chdir("/dev/net"));
    OPENED("relative from /dev/net", open("tun", O_RDWR));
    OPENED("relative ./tun", open("./tun", O_RDWR));
    OPENED("relative ../net/tun", open("../net/tun", O_RDWR));
    MUST(fchdir(here));
    dir = MUST(open("/dev/net", O_RDONLY | O_DIRECTORY));
    OPENED("openat in /dev/net", openat(dir, "tun", O_RDWR));
    OPENED("openat -1 absolute", openat(-1, DEVICE, O_RDWR));
    OPENED("openat -1 relative", openat(-1, "tun", O_RDWR));
    OPENED("openat AT_FDCWD", openat(AT_FDCWD, DEVICE, O_RDWR));
    struct open_how how = { .flags = O_RDWR };
    OPENED("openat2", syscall(SYS_openat2, dir, "tun", &how, sizeof how));
    OPENED("syscall openat", syscall(SYS_openat, AT_FDCWD, DEVICE, O_RDWR));
    close(dir);
    close(here);
}

static void through_links(void)
{
    char dir[] = "/tmp/shim-tests-XXXXXX", file[64], net[80];
    if (!mkdtemp(dir))
        die("mkdtemp");
    snprintf(file, sizeof file, "%s/link", dir);
    MUST(symlink(DEVICE, file));
    OPENED("symlink to the file", open(file, O_RDWR));
    OPENED("symlink O_NOFOLLOW", open(file, O_RDWR | O_NOFOLLOW));
    unlink(file);
    MUST(symlink("/dev", file));
    snprintf(net, sizeof net, "%s/net/tun", file);
    OPENED("symlink to /dev", open(net, O_RDWR));
    unlink(file);
    rmdir(dir);
}

static void reopened(void)
{
    char path[64];
    struct ifreq ifr;
    int fd = tun_attach("re0", IFF_TUN | IFF_NO_PI, 0), again;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    again = open(path, O_RDWR);
    say("open of /proc/self/fd", "%s", again >= 0 ? "ok" : errno_name(errno));
    SHOW("its TUNGETIFF", ioctl(again, TUNGETIFF, &ifr));
    SHOW("TUNGETIFF of the first", ioctl(fd, TUNGETIFF, &ifr));
    close(again);
    close(fd);
}

int main(int argc, char **argv)
{
    char *volatile nowhere = NULL;
    start(argc, argv);
    OPENED("plain", open(DEVICE, O_RDWR));
    OPENED("double slashes", open("//dev//net//tun", O_RDWR));
    OPENED("dot dot", open("/dev/net/../net/tun", O_RDWR));
    OPENED("dot", open("/dev/./net/./tun", O_RDWR));
    OPENED("/proc/self/root", open("/proc/self/root/dev/net/tun", O_RDWR));
    OPENED("trailing slash", open("/dev/net/tun/", O_RDWR));
    OPENED("a path below", open("/dev/net/tun/x", O_RDWR));
    OPENED("trailing dot", open("/dev/net/tun/.", O_RDWR));
    OPENED("missing name", open("/dev/net/tunnel", O_RDWR));
    OPENED("prefix", open("/dev/net/tu", O_RDWR));
    OPENED("empty", open("", O_RDWR));
    OPENED("NULL", open(nowhere, O_RDWR));
    OPENED("creat", creat(DEVICE, 0600));
    from_directories();
    through_links();
    FILE *file = fopen(DEVICE, "r+");
    say("fopen r+", "%s", file ? "ok" : errno_name(errno));
    if (file) {
        OPENED("its fileno", dup(fileno(file)));
        fclose(file);
    }
    reopened();
    return 0;
}
