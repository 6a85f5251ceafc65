/* What may be written into files of /sys and /proc, and how: values of all shapes, several numbers
   of which some are wrong, sets, keys, positions, long texts, dprintf and streams; and the settings
   that only the first network namespace has. */
#include "host.h"
#include <sys/uio.h>

#define TUN (IFF_TUN | IFF_NO_PI)
#define LINK "/sys/class/net/va0"
#define CONF "/proc/sys/net/ipv4/conf/va0"
#define NET "/proc/sys/net/"

static void *volatile bad_pointer = (void *)8;

static const char *const files[] = {
    LINK "/mtu", LINK "/flags", LINK "/netdev_group", LINK "/ifalias", LINK "/proto_down", LINK "/carrier", LINK "/threaded", LINK "/uevent",
    LINK "/gro_flush_timeout", "/sys/class/net/lo/mtu", "/sys/class/net/lo/carrier", "/sys/class/net/lo/proto_down", CONF "/tag", CONF "/forwarding",
    "/proc/sys/net/ipv6/conf/va0/hop_limit", "/proc/sys/net/ipv6/conf/va0/addr_gen_mode", "/proc/sys/net/ipv6/conf/va0/mtu",
    "/proc/sys/net/ipv4/neigh/va0/locktime", "/proc/sys/net/ipv6/neigh/va0/gc_stale_time", NET "ipv4/ip_forward", NET "ipv4/ip_default_ttl",
    NET "ipv4/ip_local_port_range", NET "ipv4/tcp_rmem", NET "ipv4/tcp_wmem", NET "ipv4/ip_local_reserved_ports", NET "ipv4/tcp_fastopen_key",
    NET "ipv4/ipfrag_high_thresh", NET "ipv4/ipfrag_low_thresh", NET "ipv6/ip6frag_high_thresh", NET "ipv6/icmp/ratemask", NET "ipv6/bindv6only",
    NET "ipv4/ip_unprivileged_port_start", NET "ipv4/tcp_keepalive_time", NET "core/somaxconn", NET "ipv4/icmp_ratelimit",
};

#define TEXT(text) { text, sizeof text - 1 }
static const struct { const char *text; size_t length; } values[] = {
    TEXT("0"), TEXT("1"), TEXT("1\n"), TEXT("1\n\n"), TEXT("1\0"), TEXT("\0""1"), TEXT("1\0002"), TEXT("1 "), TEXT(" 1"), TEXT("\t1"), TEXT("\n1"), TEXT("1x"),
    TEXT("0x1f"), TEXT("010"), TEXT("08"), TEXT("-1"), TEXT("+1"), TEXT("--1"), TEXT("+"), TEXT("-"), TEXT(" "), TEXT("\n"), TEXT("\0"), TEXT("1 2"),
    TEXT("1  2"), TEXT("1\t2\n"), TEXT("1,2"), TEXT("1 2 3"), TEXT("1 2 3 4"), TEXT("2 1"), TEXT("1 x"), TEXT("1 -2"), TEXT("7 8 x"), TEXT("1 2 3x"),
    TEXT("4096 131072 x"), TEXT("100 200\n"), TEXT("32768 60999\n"), TEXT("00000000000000000000000000001"), TEXT("99999999999999999999999999"),
    TEXT("4294967296"), TEXT("4294967295"), TEXT("2147483648"), TEXT("18446744073709551615"), TEXT("18446744073709551616"),
    TEXT("-9223372036854775808"), TEXT("1.5"), TEXT("1e3"), TEXT("on"), TEXT("1-2"), TEXT("5-3"), TEXT("80,443,100-102\n"), TEXT("102,100,101"),
    TEXT("0-65535"), TEXT("65535"), TEXT("65536"), TEXT("255"), TEXT("256"), TEXT("1,"), TEXT(",1"), TEXT("1-"), TEXT("1-2-3"), TEXT("1\n3"), TEXT("fe80::1"),
    TEXT("1-2-3-4"), TEXT("1-2-3-4 x"), TEXT("1-2-3-4,a-b-c-d\n"), TEXT("00000001-00000002-00000003-00000004"), TEXT("1-2-3-4,"), TEXT("1000"), TEXT("70000"),
    TEXT("4194304"), TEXT("3145728"),
};

/* What a write has returned, and what the file holds then. */
static void holds(const char *what, const char *path, long answer)
{
    char text[300], shown[600];
    int error = errno;
    ssize_t n = slurp(path, text, sizeof text);
    const char *held = n < 0 ? errno_name(errno) : escaped(shown, text, n);
    if (answer < 0)
        say(what, "-1 %s '%s'", errno_name(error), held);
    else
        say(what, "%ld '%s'", answer, held);
}

static void at(const char *what, const char *path, int fd)
{
    say(label("%s, %s is at", path, what), "%ld", (long)lseek(fd, 0, SEEK_CUR));
}

static void every_value(const char *path)
{
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char shown[200];
        int fd = MUST(open(path, O_WRONLY));
        long n = write(fd, values[i].text, values[i].length);
        int error = errno;
        if (strstr(path, "/va0/flags"))
            link_up("va0", 0);
        errno = error;
        holds(label("%s gets '%s'", path, escaped(shown, values[i].text, values[i].length)), path, n);
        close(fd);
    }
}

static void every_way(const char *path)
{
    static char big[70000];
    char text[300];
    int fd = MUST(open(path, O_RDWR));
    holds(label("%s, nothing", path), path, write(fd, "", 0));
    holds(label("%s, pwrite", path), path, pwrite(fd, "1", 1, 0));
    holds(label("%s, pwrite at 1", path), path, pwrite(fd, "3", 1, 1));
    holds(label("%s, pwrite at -1", path), path, pwrite(fd, "3", 1, -1));
    holds(label("%s, pwrite at 5000", path), path, pwrite(fd, "3", 1, 5000));
    lseek(fd, 0, SEEK_SET);
    struct iovec parts[] = { { "1", 1 }, { "0\n", 2 } };
    holds(label("%s, writev", path), path, writev(fd, parts, 2));
    at("writev", path, fd);
    holds(label("%s, write behind it", path), path, write(fd, "2", 1));
    at("write", path, fd);
    lseek(fd, 0, SEEK_SET);
    holds(label("%s, dprintf", path), path, dprintf(fd, "%d\n", 1));
    holds(label("%s, dprintf of two", path), path, dprintf(fd, "%d %d\n", 1, 2));
    lseek(fd, 0, SEEK_SET);
    memset(big, '1', sizeof big);
    holds(label("%s, 4096 digits", path), path, write(fd, big, 4096));
    lseek(fd, 0, SEEK_SET);
    memset(big, ' ', sizeof big);
    big[4090] = '1';
    holds(label("%s, blanks in front", path), path, write(fd, big, 4091));
    lseek(fd, 0, SEEK_SET);
    big[300] = '1';
    holds(label("%s, 70000 bytes", path), path, write(fd, big, sizeof big));
    lseek(fd, 0, SEEK_SET);
    holds(label("%s, a bad pointer", path), path, write(fd, bad_pointer, 2));
    lseek(fd, 0, SEEK_SET);
    ssize_t n = read(fd, text, 1);
    SHOW(label("%s, read of a byte", path), n);
    holds(label("%s, write behind the read", path), path, write(fd, "1", 1));
    close(fd);
    fd = MUST(open(path, O_WRONLY | O_APPEND));
    holds(label("%s, append", path), path, write(fd, "1", 1));
    at("append", path, fd);
    holds(label("%s, append again", path), path, write(fd, "0", 1));
    close(fd);
    fd = MUST(open(path, O_WRONLY | O_TRUNC));
    holds(label("%s, O_TRUNC", path), path, 0);
    close(fd);
    FILE *stream = fopen(path, "w");
    fprintf(stream, "1");
    holds(label("%s, fclose", path), path, fclose(stream));
}

static void first_namespace(void)
{
    static const char *const all[] = { "core/busy_poll", "core/default_qdisc", "core/netdev_max_backlog", "core/rmem_max", "core/wmem_default", "core/somaxconn",
                                       "ipv4/tcp_mem", "ipv4/udp_mem", "ipv4/route/gc_timeout", "ipv4/route/max_size", "ipv4/tcp_allowed_congestion_control",
                                       "ipv4/inet_peer_maxttl", "ipv6/mld_max_msf", "ipv4/tcp_fastopen_key", "ipv4/tcp_max_orphans" };
    struct stat st;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *path = label(NET "%s", all[i]);
        SHOW(label("stat of %s", all[i]), stat(path, &st));
        say(label("mode of %s", all[i]), "%o", errno == ENOENT ? 0 : st.st_mode);
        SHOW(label("access of %s", all[i]), access(path, W_OK));
        int fd = open(path, O_WRONLY);
        SHOW(label("open of %s", all[i]), fd < 0 ? fd : 0);
        close(fd);
        fd = open(path, O_RDONLY);
        SHOW(label("reading open of %s", all[i]), fd < 0 ? fd : 0);
        close(fd);
        errno = 0;
    }
    static const char *const folders[] = { "core", "ipv4", "ipv4/route", "ipv6" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        DIR *dir = opendir(label(NET "%s", folders[i]));
        struct dirent *entry;
        int firsts = 0, others = 0;
        while ((entry = readdir(dir))) {
            for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
                const char *name = strrchr(all[k], '/') + 1;
                firsts += !strcmp(entry->d_name, name) && strcmp(name, "somaxconn") && strcmp(name, "tcp_fastopen_key") && strcmp(name, "rmem_max") &&
                          strcmp(name, "wmem_default") && strcmp(name, "tcp_allowed_congestion_control");
            }
            others += strstr("somaxconn conf neigh icmp min_pmtu ip_default_ttl", entry->d_name) && entry->d_name[0] != '.';
        }
        say(label("entries of %s", folders[i]), "%d %d", firsts, others);
        int fd = dirfd(dir);
        SHOW(label("faccessat below %s", folders[i]), faccessat(fd, "../ipv4/ip_default_ttl", R_OK, 0));
        SHOW(label("faccessat of the first's below %s", folders[i]), faccessat(fd, "../ipv4/tcp_mem", R_OK, 0));
        closedir(dir);
    }
}

int main(int argc, char **argv)
{
    start_files(argc, argv, "va9");
    int tun = tun_attach("va0", TUN, 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char before[300], *path = strdup(files[i]);
        MUST(strstr(path, "lo/carrier") || strstr(path, "va0/carrier") ? 0 : slurp(path, before, sizeof before));
        every_value(path);
        if (!strstr(path, "carrier"))
            spit(path, before);
        /* Behind an offset of a key the kernel looks at what happened to be in its buffer. */
        if (!strstr(path, "_key"))
            every_way(path);
        if (!strstr(path, "carrier"))
            spit(path, before);
        free(path);
    }
    first_namespace();
    close(tun);
    return 0;
}
