/* /proc/net and /proc/sys/net as far as they are about the interfaces of the program. */
#include "host.h"
#include <glob.h>
#include <limits.h>
#include <netinet/in.h>

#define TUN (IFF_TUN | IFF_NO_PI)
#define TAP (IFF_TAP | IFF_NO_PI)

static void header(const char *path)
{
    static char text[200000];
    char shown[600];
    if (slurp(path, text, sizeof text) < 0) {
        show(label("%s, header", path), -1);
        return;
    }
    for (int line = 0; line < (strstr(path, "/dev") && !strstr(path, "mcast") ? 2 : 1); line++) {
        char *end = strchr(line ? strchr(text, '\n') + 1 : text, '\n'), *from = line ? strchr(text, '\n') + 1 : text;
        say(label("%s, header %d", path, line), "'%s'", end ? escaped(shown, from, end - from) : "");
    }
}

/* The exact bytes of the first line that names the interface. */
static void exact(const char *what, const char *path, const char *name)
{
    static char text[200000];
    char shown[600], prefix[100];
    snprintf(prefix, sizeof prefix, "%s", what);
    if (slurp(path, text, sizeof text) < 0) {
        show(prefix, -1);
        return;
    }
    char *rest, *line = strtok_r(text, "\n", &rest);
    for (; line; line = strtok_r(NULL, "\n", &rest))
        if (strstr(line, name)) {
            say(prefix, "%zu '%s'", strlen(line), escaped(shown, line, strlen(line)));
            return;
        }
    say(prefix, "nothing");
}

static const struct { const char *file; unsigned hidden; } tables[] = {
    { "dev", 0 }, { "route", 0 }, { "ipv6_route", 3 << 6 }, { "if_inet6", 1 << 1 }, { "arp", 0 }, { "dev_mcast", 1 },
    { "igmp6", 1 | 1 << 3 }, { "anycast6", 1 | 1 << 3 },
};

static void by_every_name(void)
{
    static const char *const names[] = { "/proc/net", "/proc/self/net", "/proc/thread-self/net", "/proc/%d/net",
                                         "/proc/self/task/%d/net", "/proc/../proc/net", "/proc//net/." };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char folder[100], shown[100];
        snprintf(folder, sizeof folder, names[i], getpid());
        snprintf(shown, sizeof shown, "%s", strchr(names[i], '%') ? i == 3 ? "/proc/PID/net" : "/proc/self/task/PID/net" : names[i]);
        for (size_t k = 0; k < 4; k++) {
            char file[200];
            snprintf(file, sizeof file, "%s/%s", folder, tables[k].file);
            show_lines(label("%s/%s", shown, tables[k].file), file, "pn0", tables[k].hidden);
        }
        SHOW(label("%s, access", shown), access(folder, R_OK));
    }
    char text[PATH_MAX];
    ssize_t n = readlink("/proc/net", text, sizeof text);
    say("/proc/net", "%.*s", (int)n, text);
    int dir = MUST(open("/proc/net", O_RDONLY | O_DIRECTORY)), in = openat(dir, "dev", O_RDONLY);
    SHOW("openat", in >= 0);
    close(in);
    close(dir);
    SHOW("chdir", chdir("/proc/self/net"));
    show_lines("a relative name", "route", "pn0", 0);
    MUST(chdir("/"));
    static const char *const files[] = { "dev", "route", "ipv6_route", "if_inet6", "arp", "fib_trie", "fib_triestat",
                                         "dev_mcast", "igmp", "igmp6", "nothere" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct stat s;
        if (stat(label("/proc/net/%s", files[i]), &s))
            show(label("stat %s", files[i]), -1);
        else
            say(label("stat %s", files[i]), "%o size=%ld", s.st_mode, (long)s.st_size);
        if (strcmp(files[i], "fib_triestat"))
            SHOW(label("write %s", files[i]), open(label("/proc/net/%s", files[i]), O_WRONLY));
    }
}

/* Whether the trie has the lines of an address, in the notation of /proc/net/fib_trie. */
static void trie(const char *what, const char *address)
{
    static char text[200000];
    char shown[400] = "", prefix[100], wanted[40];
    int mine = 0, count = 0;
    snprintf(prefix, sizeof prefix, "%s", what);
    snprintf(wanted, sizeof wanted, "|-- %s", address);
    MUST(slurp("/proc/net/fib_trie", text, sizeof text));
    char *rest, *line = strtok_r(text, "\n", &rest);
    for (; line; line = strtok_r(NULL, "\n", &rest)) {
        char *at = strstr(line, "|-- ");
        if (at)
            count += mine = !strcmp(at, wanted);
        else if (mine && line[strspn(line, " ")] == '/')
            append(shown, sizeof shown, " [%s]", line + strspn(line, " "));
        else
            mine = 0;
    }
    say(prefix, "%d%s", count, shown);
}

static void content(void)
{
    unsigned char data[100];
    int tun = tun_attach("pc0", TUN, O_NONBLOCK), tap = tun_attach("pc1", TAP, O_NONBLOCK);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (i != 2 && i != 3 && i < 5)
            header(label("/proc/net/%s", tables[i].file));
        show_lines(label("fresh, %s", tables[i].file), label("/proc/net/%s", tables[i].file), "pc0", tables[i].hidden);
    }
    header("/proc/net/igmp");
    exact("dev line", "/proc/net/dev", "pc0");
    MUST(set_address(SIOCSIFADDR, "pc0", "10.9.0.1"));
    MUST(set_address(SIOCSIFNETMASK, "pc0", "255.255.255.0"));
    MUST(set_address(SIOCSIFADDR, "pc1", "203.0.113.1"));
    ipv6_on("pc0");
    ipv6_on("pc1");
    trie("fib_trie while down, 10.9.0.1", "10.9.0.1");
    link_up("pc0", 1);
    link_up("pc1", 1);
    ipv6_settled("pc0");
    ipv6_settled("pc1");
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        show_lines(label("up, %s", tables[i].file), label("/proc/net/%s", tables[i].file), "pc0", tables[i].hidden);
        show_lines(label("tap up, %s", tables[i].file), label("/proc/net/%s", tables[i].file), "pc1", tables[i].hidden);
    }
    exact("route line", "/proc/net/route", "pc0");
    trie("fib_trie, 10.9.0.1", "10.9.0.1");
    trie("fib_trie, 10.9.0.0", "10.9.0.0");
    trie("fib_trie, 10.9.0.255", "10.9.0.255");
    trie("fib_trie, 203.0.113.1", "203.0.113.1");
    trie("fib_trie, 203.0.113.0", "203.0.113.0");
    trie("fib_trie, 203.0.113.255", "203.0.113.255");
    driver d = drv_attach("pc0");
    MUST(write(tun, packet(data, 60), 60));
    drv_packet(&d, 80);
    MUST(read(tun, data, sizeof data));
    write(tun, "\x15", 1) == -1 ? (void)0 : die("write");
    show_lines("traffic, dev", "/proc/net/dev", "pc0", 0);
    exact("dev line of traffic", "/proc/net/dev", "pc0");
    drv_detach(&d);
    struct ifreq ifr = { .ifr_newname = "pc0123456789abc" };
    link_up("pc0", 0);
    MUST(if_request(SIOCSIFNAME, &ifr, "pc0"));
    exact("dev line of a long name", "/proc/net/dev", "pc0123456789abc");
    link_up("pc0123456789abc", 1);
    exact("route line of a long name", "/proc/net/route", "pc0123456789abc");
    ipv6_settled("pc0123456789abc");
    show_lines("igmp line of a long name", "/proc/net/igmp", "pc0123456789abc", 1);
    close(tun);
    close(tap);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        show_lines(label("gone, %s", tables[i].file), label("/proc/net/%s", tables[i].file), "pc1", tables[i].hidden);
    trie("fib_trie after all, 10.9.0.1", "10.9.0.1");
}

/* Reads a file in pieces and says whether they make the whole. */
static void pieces(const char *file, size_t size)
{
    static char whole[200000], all[200000];
    size_t len = 0;
    ssize_t n, total = slurp(file, whole, sizeof whole);
    int fd = MUST(open(file, O_RDONLY));
    while ((n = read(fd, all + len, size)) > 0)
        len += n;
    close(fd);
    say(label("%s in pieces of %zu", file, size), "%d", total == (ssize_t)len && !memcmp(whole, all, len));
}

static void reading(void)
{
    static char whole[200000], text[200000];
    void *volatile nowhere = BAD_POINTER;
    int tun = tun_with("pr0", IFF_TUN, "10.9.0.1", "255.255.255.0"), tap = tun_attach("pr1", TAP, 0);
    static const char *const files[] = { "/proc/net/dev", "/proc/net/route", "/proc/net/if_inet6", "/proc/net/arp" };
    static const size_t sizes[] = { 1, 7, 128, 1000 };
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++)
            pieces(files[i], sizes[k]);
    ssize_t total = slurp("/proc/net/route", whole, sizeof whole);
    int fd = MUST(open("/proc/net/route", O_RDONLY));
    SHOW("read of nothing", read(fd, text, 0));
    SHOW("read at a bad pointer", read(fd, nowhere, 10));
    SHOW("lseek SEEK_END", lseek(fd, 0, SEEK_END));
    SHOW("lseek to 128", lseek(fd, 128, SEEK_SET));
    ssize_t n = read(fd, text, sizeof text);
    say("from 128", "%d", n == total - 128 && !memcmp(text, whole + 128, n));
    SHOW("the end", read(fd, text, sizeof text));
    SHOW("lseek back", lseek(fd, 0, SEEK_SET));
    n = read(fd, text, sizeof text);
    say("read anew", "%d", n == total && !memcmp(text, whole, n));
    n = pread(fd, text, 50, 130);
    say("pread", "%d", n == 50 && !memcmp(text, whole + 130, 50));
    SHOW("pread behind the end", pread(fd, text, 50, 100000));
    SHOW("lseek negative", lseek(fd, -1, SEEK_SET));
    struct pollfd p = { .fd = fd, .events = POLLIN | POLLPRI };
    SHOW("poll", poll(&p, 1, 0));
    say("poll says", "%s", poll_bits(text, p.revents));
    SHOW("write", write(fd, "x", 1));
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    say("mmap", "%s", map == MAP_FAILED ? errno_name(errno) : "0");
    SHOW("FIONREAD", ioctl(fd, FIONREAD, &n));
    struct stat s;
    MUST(fstat(fd, &s));
    say("fstat", "%o size=%ld", s.st_mode, (long)s.st_size);
    close(fd);
    /* What changes between open and read, and between two reads. */
    fd = MUST(open("/proc/net/dev", O_RDONLY));
    struct ifreq ifr = { .ifr_newname = "pr9" };
    MUST(if_request(SIOCSIFNAME, &ifr, "pr1"));
    n = read(fd, text, sizeof text - 1);
    text[n] = 0;
    say("renamed after open", "old=%d new=%d", !!strstr(text, "pr1:"), !!strstr(text, "pr9:"));
    strcpy(ifr.ifr_newname, "pr1");
    MUST(if_request(SIOCSIFNAME, &ifr, "pr9"));
    SHOW("back at 0", lseek(fd, 0, SEEK_SET));
    n = read(fd, text, sizeof text - 1);
    text[n] = 0;
    say("renamed after the first read", "old=%d new=%d", !!strstr(text, "pr9:"), !!strstr(text, "pr1:"));
    close(fd);
    fd = MUST(open("/proc/net/route", O_RDONLY));
    close(tun);
    n = read(fd, text, sizeof text - 1);
    text[n] = 0;
    say("deleted after open", "%d", !!strstr(text, "pr0"));
    close(fd);
    close(tap);
}

/* ---- /proc/sys/net ---- */

static void tree(const char *name)
{
    static const char *const folders[] = { "ipv4/conf", "ipv4/neigh", "ipv6/conf", "ipv6/neigh" };
    for (size_t i = 0; i < 4; i++) {
        struct dirent **list;
        char path[100], text[2000] = "";
        snprintf(path, sizeof path, "/proc/sys/net/%s/%s", folders[i], name);
        int n = scandir(path, &list, NULL, alphasort), shown = 0;
        for (int k = 0; k < n; k++) {
            if (list[k]->d_name[0] != '.') {
                append(text, sizeof text, "%s%s", shown++ ? " " : "", list[k]->d_name);
                if (strcmp(list[k]->d_name, "stable_secret"))
                    show_file(label("%s/NAME/%s", folders[i], list[k]->d_name), label("%s/%s", path, list[k]->d_name));
            }
            free(list[k]);
        }
        if (n >= 0)
            free(list);
        say(label("%s/NAME", folders[i]), "%d %s", shown, text);
    }
    show_file("stable_secret", label("/proc/sys/net/ipv6/conf/%s/stable_secret", name));
}

static void writing(const char *name)
{
    static const struct { const char *file, *text; } all[] = {
        { "ipv4/conf/%s/rp_filter", "1" }, { "ipv4/conf/%s/rp_filter", "2\n" }, { "ipv4/conf/%s/rp_filter", " 1" },
        { "ipv4/conf/%s/rp_filter", "x" }, { "ipv4/conf/%s/rp_filter", "" }, { "ipv4/conf/%s/rp_filter", "\n" },
        { "ipv4/conf/%s/rp_filter", "1 2" }, { "ipv4/conf/%s/rp_filter", "0x2" }, { "ipv4/conf/%s/rp_filter", "-1" },
        { "ipv4/conf/%s/rp_filter", "3000000000" }, { "ipv4/conf/%s/rp_filter", "1x" }, { "ipv4/conf/%s/rp_filter", "010" },
        { "ipv4/conf/%s/forwarding", "1" }, { "ipv4/conf/%s/forwarding", "7" }, { "ipv4/conf/%s/forwarding", "0" },
        { "ipv4/conf/%s/mc_forwarding", "1" }, { "ipv4/conf/%s/proxy_arp", "1" }, { "ipv4/conf/%s/accept_local", "5" },
        { "ipv4/conf/%s/promote_secondaries", "1" }, { "ipv4/conf/%s/arp_ignore", "2" }, { "ipv4/conf/%s/tag", "-5" },
        { "ipv4/conf/%s/medium_id", "77" }, { "ipv4/conf/%s/nothere", "1" }, { "ipv4/conf/%s/log_martians", "1" },
        { "ipv4/neigh/%s/gc_stale_time", "30" }, { "ipv4/neigh/%s/base_reachable_time_ms", "1000" },
        { "ipv4/neigh/%s/base_reachable_time", "20" }, { "ipv4/neigh/%s/unres_qlen", "5" }, { "ipv4/neigh/%s/locktime", "x" },
        { "ipv4/neigh/%s/mcast_solicit", "-1" }, { "ipv4/neigh/%s/proxy_delay", "200" },
        { "ipv6/conf/%s/disable_ipv6", "0" }, { "ipv6/conf/%s/disable_ipv6", "2" }, { "ipv6/conf/%s/accept_ra", "2" },
        { "ipv6/conf/%s/forwarding", "1" }, { "ipv6/conf/%s/forwarding", "0" }, { "ipv6/conf/%s/mtu", "1279" },
        { "ipv6/conf/%s/mtu", "1280" }, { "ipv6/conf/%s/mtu", "1501" }, { "ipv6/conf/%s/addr_gen_mode", "1" },
        { "ipv6/conf/%s/addr_gen_mode", "4" }, { "ipv6/conf/%s/hop_limit", "64" }, { "ipv6/conf/%s/hop_limit", "256" },
        { "ipv6/conf/%s/use_tempaddr", "2" }, { "ipv6/conf/%s/proxy_ndp", "1" },
        { "ipv6/conf/%s/stable_secret", "2001:db8::1" }, { "ipv6/conf/%s/stable_secret", "x" },
        { "ipv6/neigh/%s/retrans_time_ms", "500" }, { "ipv6/neigh/%s/gc_stale_time", "-1" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[200], shown[80], file[100];
        snprintf(file, sizeof file, all[i].file, name);
        snprintf(path, sizeof path, "/proc/sys/net/%s", file);
        escaped(shown, all[i].text, strlen(all[i].text));
        show_write(label("%s write '%s' (%zu)", file, shown, i), path, all[i].text, strlen(all[i].text));
        show_file(label("%s after it (%zu)", file, i), path);
    }
    /* A value in two writes, and at a place that is not the beginning. */
    char path[200], text[100];
    snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/arp_announce", name);
    int fd = MUST(open(path, O_RDWR));
    SHOW("the first write", write(fd, "1", 1));
    SHOW("the second write", write(fd, "2", 1));
    show_file("the first counts", path);
    SHOW("pwrite at 0", pwrite(fd, "2", 1, 0));
    show_file("after pwrite at 0", path);
    SHOW("pwrite at 1", pwrite(fd, "0", 1, 1));
    SHOW("lseek", lseek(fd, 0, SEEK_SET));
    show_data("read a byte", read(fd, text, 1), text);
    show_data("read the rest", read(fd, text, 10), text);
    SHOW("lseek again", lseek(fd, 0, SEEK_SET));
    show_data("read all", read(fd, text, 10), text);
    SHOW("ftruncate", ftruncate(fd, 0));
    close(fd);
    struct stat s;
    MUST(stat(path, &s));
    say("stat", "%o size=%ld", s.st_mode, (long)s.st_size);
    MUST(stat(label("/proc/sys/net/ipv4/conf/%s", name), &s));
    say("stat of the folder", "%o", s.st_mode);
    SHOW("access R_OK", access(path, R_OK));
    SHOW("open with O_CREAT", open(label("/proc/sys/net/ipv4/conf/%s/new", name), O_WRONLY | O_CREAT, 0600));
    SHOW("mkdir", mkdir(label("/proc/sys/net/ipv4/conf/%s/new", name), 0700));
    SHOW("unlink", unlink(path));
    glob_t g;
    SHOW("glob", glob(label("/proc/sys/net/ipv?/conf/%s/forwarding", name), 0, NULL, &g));
    for (size_t i = 0; i < g.gl_pathc; i++)
        say(label("glob %zu", i), "%s", g.gl_pathv[i]);
    globfree(&g);
}

static void forwarding(void)
{
    static const char *const seen[] = { "ipv4/ip_forward", "ipv4/conf/all/forwarding", "ipv4/conf/default/forwarding",
                                        "ipv4/conf/pf0/forwarding", "ipv4/conf/pf1/forwarding",
                                        "ipv6/conf/all/forwarding", "ipv6/conf/default/forwarding",
                                        "ipv6/conf/pf0/forwarding" };
    static const struct { const char *file, *text; } steps[] = {
        { "ipv4/ip_forward", "0" }, { "ipv6/conf/all/forwarding", "0" }, { "ipv4/conf/pf0/forwarding", "1" },
        { "ipv4/ip_forward", "1" }, { "ipv4/conf/pf0/forwarding", "0" }, { "ipv4/ip_forward", "1" },
        { "ipv4/conf/all/forwarding", "0" }, { "ipv4/conf/default/forwarding", "1" }, { "ipv4/ip_forward", "2" },
        { "ipv4/ip_forward", "x" }, { "ipv6/conf/all/forwarding", "1" }, { "ipv6/conf/pf0/forwarding", "0" },
        { "ipv6/conf/all/forwarding", "0" }, { "ipv4/ip_forward", "0" },
    };
    int tun = tun_attach("pf0", TUN, 0), other = tun_attach("pf1", TUN, 0);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        char text[300] = "", value[20];
        show_write(label("step %zu, %s '%s'", i, steps[i].file, steps[i].text), label("/proc/sys/net/%s", steps[i].file),
                   steps[i].text, strlen(steps[i].text));
        for (size_t k = 0; k < sizeof seen / sizeof *seen; k++) {
            ssize_t n = slurp(label("/proc/sys/net/%s", seen[k]), value, sizeof value);
            append(text, sizeof text, "%s%.*s", k ? " " : "", n > 0 ? (int)n - 1 : 1, n > 0 ? value : "?");
        }
        say(label("step %zu, forwarding", i), "%s", text);
    }
    close(tun);
    int fresh = tun_attach("pf2", TUN, 0);
    show_file("a new one takes the default", "/proc/sys/net/ipv4/conf/pf2/forwarding");
    close(fresh);
    close(other);
}

static void going(void)
{
    int tun = tun_attach("pg0", TUN, 0), file = MUST(open("/proc/sys/net/ipv4/conf/pg0/rp_filter", O_RDWR));
    int dir = MUST(open("/proc/sys/net/ipv4/conf/pg0", O_RDONLY | O_DIRECTORY));
    char text[100];
    MUST(write(file, "1", 1));
    struct ifreq ifr = { .ifr_newname = "pg9" };
    MUST(if_request(SIOCSIFNAME, &ifr, "pg0"));
    show_data("renamed, an open file", pread(file, text, 100, 0), text);
    SHOW("renamed, an open folder", openat(dir, "rp_filter", O_RDONLY));
    show_file("renamed, the new name", "/proc/sys/net/ipv4/conf/pg9/rp_filter");
    show_file("renamed, the old name", "/proc/sys/net/ipv4/conf/pg0/rp_filter");
    close(file);
    file = MUST(open("/proc/sys/net/ipv4/conf/pg9/rp_filter", O_RDWR));
    close(tun);
    show_data("deleted, an open file", pread(file, text, 100, 0), text);
    SHOW("deleted, writing it", pwrite(file, "1", 1, 0));
    SHOW("deleted, the folder", access("/proc/sys/net/ipv4/conf/pg9", F_OK));
    tun = tun_attach("pg9", TUN, 0);
    show_file("a new one starts anew", "/proc/sys/net/ipv4/conf/pg9/rp_filter");
    close(tun);
    close(file);
    close(dir);
    tun = tun_attach("pg.5", TUN, 0);
    show_file("a name with a dot", "/proc/sys/net/ipv4/conf/pg.5/rp_filter");
    close(tun);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    /* IPv6 is off for new interfaces, as in the namespace in which this runs on the kernel. */
    close(tun_attach("pn9", TUN, 0));
    spit("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    plain_sysctls();
    int tun = tun_with("pn0", IFF_TUN, "10.9.0.1", "255.255.255.0");
    ipv6_on("pn0");
    ipv6_settled("pn0");
    by_every_name();
    close(tun);
    content();
    reading();
    spit("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0");
    tun = tun_attach("ps0", TUN, 0);
    tree("ps0");
    writing("ps0");
    close(tun);
    int tap = tun_attach("ps1", TAP, 0);
    show_file("accept_dad of a tap", "/proc/sys/net/ipv6/conf/ps1/accept_dad");
    close(tap);
    forwarding();
    going();
    return 0;
}
