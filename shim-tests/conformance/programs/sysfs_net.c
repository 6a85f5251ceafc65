/* /sys/class/net as far as it is about the interfaces of the program: listings, links, every
   attribute, every way to get at a file. */
#include "host.h"
#include <glob.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#define TUN (IFF_TUN | IFF_NO_PI)
#define TAP (IFF_TAP | IFF_NO_PI)
#define NET "/sys/class/net"

static int compare(const void *a, const void *b) { return strcmp(a, b); }

static char type_of(int d_type)
{
    return d_type == DT_DIR ? 'd' : d_type == DT_LNK ? 'l' : d_type == DT_REG ? '-' : '?';
}

/* The names of a folder that start so, sorted, each with its type. */
static void listing(const char *what, const char *path, const char *start)
{
    static char names[200][300];
    char text[2000] = "", prefix[100];
    int n = 0;
    snprintf(prefix, sizeof prefix, "%s", what);
    DIR *dir = opendir(path);
    if (!dir) {
        show(prefix, -1);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (!strncmp(entry->d_name, start, strlen(start)) && n < 200)
            snprintf(names[n++], sizeof names[0], "%s:%c", entry->d_name, type_of(entry->d_type));
    closedir(dir);
    qsort(names, n, sizeof names[0], compare);
    for (int i = 0; i < n; i++)
        append(text, sizeof text, "%s%s", i ? " " : "", names[i]);
    say(prefix, "%d %s", n, text);
}

static void status(const char *what, const char *path)
{
    struct stat s, l;
    if (stat(path, &s) || lstat(path, &l))
        show(what, -1);
    else
        say(what, "%o size=%ld links=%ld; lstat %o size=%s", s.st_mode, (long)s.st_size,
            S_ISDIR(s.st_mode) ? -1 : (long)s.st_nlink, l.st_mode, S_ISLNK(l.st_mode) ? "link" : "same");
}

static void link_of(const char *what, const char *path)
{
    char text[PATH_MAX];
    ssize_t n = readlink(path, text, sizeof text - 1);
    if (n < 0)
        show(what, -1);
    else
        say(what, "%.*s", (int)n, text);
}

/* Attributes whose value may differ from run to run are not printed. */
static int differs(const char *name)
{
    return !strcmp(name, "ifindex") || !strcmp(name, "iflink") || !strcmp(name, "address") || !strcmp(name, "uevent");
}

static const char *const attributes[] = {
    "addr_assign_type", "addr_len", "address", "broadcast", "carrier", "carrier_changes", "carrier_down_count",
    "carrier_up_count", "dev_id", "dev_port", "dormant", "duplex", "flags", "gro_flush_timeout", "group", "ifalias",
    "ifindex", "iflink", "link_mode", "mtu", "name_assign_type", "napi_defer_hard_irqs", "netdev_group", "operstate",
    "owner", "phys_port_id", "phys_port_name", "phys_switch_id", "proto_down", "speed", "testing", "threaded",
    "tun_flags", "tx_queue_len", "type", "uevent",
};
#define ATTRIBUTES (sizeof attributes / sizeof *attributes)

static void all_of(const char *name, const char *state)
{
    for (size_t i = 0; i < ATTRIBUTES; i++)
        if (!differs(attributes[i]))
            show_file(label("%s %s, %s", name, state, attributes[i]), label(NET "/%s/%s", name, attributes[i]));
}

/* The statistics that are not 0, and how many there are. */
static void statistics(const char *what, const char *name)
{
    char text[600] = "", value[100], prefix[100];
    int n = 0;
    struct dirent **list;
    snprintf(prefix, sizeof prefix, "%s", what);
    int count = scandir(label(NET "/%s/statistics", name), &list, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (list[i]->d_name[0] != '.' &&
            slurp(label(NET "/%s/statistics/%s", name, list[i]->d_name), value, sizeof value) > 0) {
            n++;
            if (atol(value))
                append(text, sizeof text, " %s=%ld", list[i]->d_name, atol(value));
        }
        free(list[i]);
    }
    if (count >= 0)
        free(list);
    say(prefix, "%d files%s", n, text);
}

/* What only the machine's administrator may write (tx_queue_len) is not asked: in a user namespace
   the kernel refuses it even to root. */
static void writing(const char *name, int iff)
{
    static const struct { const char *file, *text; } all[] = {
        { "mtu", "1400" }, { "mtu", "1400\n" }, { "mtu", " 1401" }, { "mtu", "0x578" }, { "mtu", "02570" }, { "mtu", "67" },
        { "mtu", "99999" }, { "mtu", "-1" }, { "mtu", "14x" }, { "mtu", "" }, { "mtu", "\n" }, { "mtu", "1300 " },
        { "mtu", "1300\n\n" }, { "mtu", "99999999999999999999" }, { "mtu", "+1350" },
        { "flags", "0x1003" }, { "flags", "0x1002\n" }, { "flags", "4098" }, { "flags", "x" }, { "flags", "0x10000" },
        { "flags", "0x100000000" },
        { "dormant", "1" }, { "link_mode", "1" }, { "ifalias", "an alias" }, { "ifalias", "another\n" },
        { "ifalias", "" }, { "ifalias", "\n" }, { "netdev_group", "5" }, { "netdev_group", "x" },
        { "carrier", "0" }, { "carrier", "1" }, { "carrier", "x" }, { "proto_down", "1" }, { "proto_down", "0" },
        { "gro_flush_timeout", "1" }, { "napi_defer_hard_irqs", "1" }, { "threaded", "1" }, { "threaded", "0" },
        { "address", "02:00:00:00:00:01" }, { "tun_flags", "0x1" }, { "operstate", "up" }, { "ifindex", "5" },
        { "type", "1" }, { "owner", "0" }, { "speed", "1" }, { "duplex", "full" }, { "uevent", "x" },
        { "statistics/rx_bytes", "0" }, { "nothere", "1" }, { "queues/rx-0/rps_cpus", "0" },
        { "queues/tx-0/tx_timeout", "1" },
    };
    int fd = tun_attach(name, iff, 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char shown[80];
        escaped(shown, all[i].text, strlen(all[i].text));
        const char *path = label(NET "/%s/%s", name, all[i].file);
        show_write(label("%s, write %s '%s' (%zu)", name, all[i].file, shown, i), path, all[i].text, strlen(all[i].text));
        if (i < 30 && strcmp(all[i].file, "nothere"))
            show_file(label("%s, %s after it (%zu)", name, all[i].file, i), path);
    }
    link_up(name, 1);
    static const char *const carriers[] = { "0", "0", "1", "1\n", "2", "x" };
    for (size_t i = 0; i < sizeof carriers / sizeof *carriers; i++) {
        const char *path = label(NET "/%s/carrier", name);
        char shown[20];
        show_write(label("%s up, write carrier '%s' (%zu)", name, escaped(shown, carriers[i], strlen(carriers[i])), i), path,
                   carriers[i], strlen(carriers[i]));
        show_file(label("%s up, carrier after it (%zu)", name, i), path);
        show_file(label("%s up, changes after it (%zu)", name, i), label(NET "/%s/carrier_changes", name));
    }
    link_up(name, 0);
    /* A line without its end, in two writes: each is a value of its own. */
    int file = MUST(open(label(NET "/%s/mtu", name), O_RDWR));
    SHOW(label("%s, the first half of a value", name), write(file, "13", 2));
    SHOW(label("%s, the second half", name), write(file, "00", 2));
    SHOW(label("%s, a good value", name), pwrite(file, "1234", 4, 0));
    SHOW(label("%s, a good value at 2", name), pwrite(file, "1235", 4, 2));
    char text[100];
    SHOW(label("%s, lseek", name), lseek(file, 0, SEEK_SET));
    show_data(label("%s, read after the writes", name), read(file, text, sizeof text), text);
    close(file);
    file = MUST(open(label(NET "/%s/mtu", name), O_RDWR | O_TRUNC | O_APPEND));
    SHOW(label("%s, write with O_TRUNC and O_APPEND", name), write(file, "1500\n", 5));
    SHOW(label("%s, ftruncate", name), ftruncate(file, 0));
    close(file);
    SHOW(label("%s, O_CREAT", name), open(label(NET "/%s/new", name), O_WRONLY | O_CREAT, 0600));
    SHOW(label("%s, O_CREAT of one that is there", name), close(open(label(NET "/%s/mtu", name), O_WRONLY | O_CREAT, 0600)));
    SHOW(label("%s, O_CREAT and O_EXCL", name), open(label(NET "/%s/mtu", name), O_WRONLY | O_CREAT | O_EXCL, 0600));
    SHOW(label("%s, O_DIRECTORY of a file", name), open(label(NET "/%s/mtu", name), O_RDONLY | O_DIRECTORY));
    SHOW(label("%s, O_NOFOLLOW of the link", name), open(label(NET "/%s", name), O_RDONLY | O_NOFOLLOW));
    SHOW(label("%s, a file as a folder", name), open(label(NET "/%s/mtu/x", name), O_RDONLY));
    SHOW(label("%s, writing a folder", name), open(label(NET "/%s", name), O_WRONLY));
    SHOW(label("%s, unlink", name), unlink(label(NET "/%s/mtu", name)));
    SHOW(label("%s, mkdir", name), mkdir(label(NET "/%s/new", name), 0700));
    SHOW(label("%s, rmdir", name), rmdir(label(NET "/%s/statistics", name)));
    SHOW(label("%s, rename", name), rename(label(NET "/%s/mtu", name), label(NET "/%s/mtu2", name)));
    SHOW(label("%s, reading a folder", name), read(MUST(open(label(NET "/%s", name), O_RDONLY)), text, 10));
    close(fd);
}

static void reading(void)
{
    char text[160];
    int fd = tun_attach("sy0", TUN, 0), file = MUST(open(NET "/sy0/mtu", O_RDONLY));
    show_data("a byte", read(file, text, 1), text);
    MUST(if_set_mtu("sy0", 1234));
    show_data("the rest is of the same reading", read(file, text, 100), text);
    show_data("the end", read(file, text, 100), text);
    SHOW("lseek to 0", lseek(file, 0, SEEK_SET));
    show_data("read anew", read(file, text, 100), text);
    show_data("pread at 1", pread(file, text, 100, 1), text);
    show_data("pread at 2 of 1", pread(file, text, 1, 2), text);
    show_data("pread behind the end", pread(file, text, 100, 50), text);
    SHOW("lseek to the end", lseek(file, 0, SEEK_END));
    SHOW("lseek to 3", lseek(file, 3, SEEK_SET));
    MUST(if_set_mtu("sy0", 999));
    show_data("read from 3 when it is shorter", read(file, text, 100), text);
    int other = dup(file);
    SHOW("a dup shares the position", lseek(other, 0, SEEK_CUR));
    close(other);
    SHOW("write to a read-only one", write(file, "1", 1));
    struct stat s;
    MUST(fstat(file, &s));
    say("fstat", "%o size=%ld blocks=%ld", s.st_mode, (long)s.st_size, (long)s.st_blocks);
    struct pollfd p = { .fd = file, .events = POLLIN | POLLPRI };
    SHOW("poll", poll(&p, 1, 0));
    say("poll says", "%s", poll_bits(text, p.revents));
    struct statfs f;
    SHOW("fstatfs", fstatfs(file, &f));
    say("sysfs", "%d", (unsigned)f.f_type == 0x62656572);
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    say("mmap", "%s", map == MAP_FAILED ? errno_name(errno) : "0");
    close(file);
    FILE *stream = fopen(NET "/sy0/mtu", "r");
    int mtu = 0;
    int fields = stream ? fscanf(stream, "%d", &mtu) : -1;
    say("fscanf", "%d %d", fields, mtu);
    if (stream)
        fclose(stream);
    close(fd);
}

static void ways(void)
{
    char text[PATH_MAX], cwd[PATH_MAX];
    int fd = tun_attach("sw0", TUN, 0), tap = tun_attach("sw1", TAP, 0), dir;
    listing("listing", NET, "sw");
    listing("listing of devices", "/sys/devices/virtual/net", "sw");
    listing("listing with a slash", NET "/", "sw");
    listing("the interface", NET "/sw0", "");
    listing("the tap", NET "/sw1", "");
    listing("folder of statistics", NET "/sw0/statistics", "");
    listing("queues", NET "/sw0/queues", "");
    listing("rx queue", NET "/sw0/queues/rx-0", "");
    listing("tx queue", NET "/sw0/queues/tx-0", "");
    listing("power", NET "/sw0/power", "");
    listing("by its device", "/sys/devices/virtual/net/sw0", "a");
    listing("of none", NET "/nothere", "");
    listing("of a file", NET "/sw0/mtu", "");
    link_of("link", NET "/sw0");
    link_of("link with a slash", NET "/sw0/");
    link_of("link of a file", NET "/sw0/mtu");
    link_of("link of none", NET "/nothere");
    link_of("subsystem", NET "/sw0/subsystem");
    link_of("device", NET "/sw0/device");
    link_of("subsystem of the device", "/sys/devices/virtual/net/sw0/subsystem");
    SHOW("readlink into 5 bytes", readlink(NET "/sw0", text, 5));
    say("realpath", "%s", realpath(NET "/sw0", text) ? text : errno_name(errno));
    say("realpath of a file", "%s", realpath(NET "/sw0/statistics/../mtu", text) ? text : errno_name(errno));
    say("realpath of none", "%s", realpath(NET "/sw0/nothere", text) ? text : errno_name(errno));
    say("realpath of the subsystem", "%s", realpath(NET "/sw0/subsystem/sw1", text) ? text : errno_name(errno));
    status("stat of the folder of all", NET);
    status("stat of the link", NET "/sw0");
    status("stat of the device", "/sys/devices/virtual/net/sw0");
    status("stat of none", NET "/nothere");
    status("stat of statistics", NET "/sw0/statistics");
    status("stat of a statistic", NET "/sw0/statistics/rx_bytes");
    status("stat of a file in a file", NET "/sw0/mtu/x");
    for (size_t i = 0; i < ATTRIBUTES; i++)
        status(label("stat of %s", attributes[i]), label(NET "/sw0/%s", attributes[i]));
    struct statx x;
    SHOW("statx", statx(AT_FDCWD, NET "/sw0/mtu", 0, STATX_BASIC_STATS, &x));
    say("statx says", "%o %lld", x.stx_mode, (long long)x.stx_size);
    SHOW("access F_OK", access(NET "/sw0", F_OK));
    SHOW("access W_OK of mtu", access(NET "/sw0/mtu", W_OK));
    SHOW("access X_OK of mtu", access(NET "/sw0/mtu", X_OK));
    SHOW("access F_OK of none", access(NET "/nothere", F_OK));
    SHOW("faccessat R_OK", faccessat(AT_FDCWD, NET "/sw0/mtu", R_OK, 0));
    dir = MUST(open(NET, O_RDONLY | O_DIRECTORY));
    int in = openat(dir, "sw0/mtu", O_RDONLY);
    show_data("openat through the folder of all", read(in, text, 20), text);
    close(in);
    int inner = openat(dir, "sw0", O_RDONLY | O_DIRECTORY);
    SHOW("openat of the interface", inner >= 0);
    in = openat(inner, "type", O_RDONLY);
    show_data("openat through the interface", read(in, text, 20), text);
    close(in);
    in = openat(inner, "statistics/rx_bytes", O_RDONLY);
    show_data("openat deeper", read(in, text, 20), text);
    close(in);
    in = openat(inner, "../sw1/type", O_RDONLY);
    show_data("openat of the neighbour", read(in, text, 20), text);
    close(in);
    SHOW("openat of none", openat(inner, "nothere", O_RDONLY));
    SHOW("faccessat through the interface", faccessat(inner, "mtu", R_OK, 0));
    struct stat s;
    SHOW("fstatat", fstatat(inner, "mtu", &s, 0));
    SHOW("fstatat of the interface's descriptor", fstatat(inner, "", &s, AT_EMPTY_PATH));
    ssize_t n = readlinkat(dir, "sw0", text, sizeof text);
    say("readlinkat", "%.*s", (int)n, text);
    DIR *stream = fdopendir(inner);
    int count = 0;
    while (stream && readdir(stream))
        count++;
    rewinddir(stream);
    int again = 0;
    while (stream && readdir(stream))
        again++;
    say("fdopendir, twice the same", "%d %d", count > 30, count == again);
    closedir(stream);
    int path = MUST(open(NET "/sw0/mtu", O_PATH));
    SHOW("read of an O_PATH descriptor", read(path, text, 10));
    in = open(label("/proc/self/fd/%d", path), O_RDONLY);
    show_data("reopened through /proc/self/fd", read(in, text, 20), text);
    close(in);
    close(path);
    close(dir);
    SHOW("chdir", chdir(NET "/sw0"));
    say("getcwd", "%s", getcwd(cwd, sizeof cwd));
    show_file("a relative name", "mtu");
    show_file("a relative name up", "../sw1/type");
    SHOW("chdir to the folder of all", chdir(NET));
    show_file("a relative name down", "sw1/type");
    MUST(chdir("/"));
    glob_t g;
    SHOW("glob", glob(NET "/sw*/type", 0, NULL, &g));
    for (size_t i = 0; i < g.gl_pathc; i++)
        say(label("glob %zu", i), "%s", g.gl_pathv[i]);
    globfree(&g);
    SHOW("glob of none", glob(NET "/none*/type", 0, NULL, &g));
    show_file("through ..", NET "/../net/sw0/type");
    show_file("through //", "/sys//class/./net//sw0/type");
    show_file("through /proc/self/root", "/proc/self/root" NET "/sw0/type");
    SHOW("getxattr", getxattr(NET "/sw0/mtu", "user.x", text, 10));
    SHOW("chmod", chmod(NET "/sw0/nothere", 0600));
    int watch = inotify_init1(IN_NONBLOCK);
    SHOW("inotify_add_watch of the folder of all", inotify_add_watch(watch, NET, IN_CREATE | IN_DELETE));
    SHOW("inotify_add_watch of the interface", inotify_add_watch(watch, NET "/sw0", IN_ALL_EVENTS) > 0);
    SHOW("inotify_add_watch of a file", inotify_add_watch(watch, NET "/sw0/operstate", IN_MODIFY) > 0);
    SHOW("inotify_add_watch of none", inotify_add_watch(watch, NET "/nothere", IN_CREATE));
    close(watch);
    close(fd);
    close(tap);
}

static void going(void)
{
    char text[100];
    int fd = tun_attach("sg0", TUN, 0), mtu = MUST(open(NET "/sg0/mtu", O_RDWR)), seen = MUST(open(NET "/sg0/type", O_RDONLY));
    int dir = MUST(open(NET "/sg0", O_RDONLY | O_DIRECTORY)), stats = MUST(open(NET "/sg0/statistics", O_RDONLY));
    DIR *stream = opendir(NET "/sg0");
    show_data("open, read", read(seen, text, 1), text);
    struct ifreq ifr = { .ifr_newname = "sg9" };
    MUST(if_request(SIOCSIFNAME, &ifr, "sg0"));
    show_data("renamed, the rest", read(seen, text, 100), text);
    show_data("renamed, read anew", pread(mtu, text, 100, 0), text);
    int in = openat(dir, "mtu", O_RDONLY);
    show_data("renamed, through the folder", read(in, text, 100), text);
    close(in);
    listing("renamed, listing", NET, "sg");
    link_of("renamed, link", NET "/sg9");
    close(fd);
    show_data("deleted, read", read(seen, text, 100), text);
    show_data("deleted, pread", pread(mtu, text, 100, 0), text);
    SHOW("deleted, write", pwrite(mtu, "1400", 4, 0));
    SHOW("deleted, lseek", lseek(mtu, 0, SEEK_SET));
    SHOW("deleted, openat", openat(dir, "mtu", O_RDONLY));
    SHOW("deleted, openat of statistics", openat(stats, "rx_bytes", O_RDONLY));
    struct stat s;
    SHOW("deleted, fstat", fstat(dir, &s));
    say("deleted, links", "%ld", (long)s.st_nlink);
    int count = 0;
    errno = 0;
    while (stream && readdir(stream))
        count++;
    say("deleted, readdir", "%s", count ? "some" : "nothing");
    closedir(stream);
    SHOW("deleted, poll", poll(&(struct pollfd){ .fd = mtu, .events = POLLIN }, 1, 0));
    show_file("deleted, by name", NET "/sg9/mtu");
    fd = tun_attach("sg9", TUN, 0);
    show_data("a new one of the name, old file", pread(mtu, text, 100, 0), text);
    SHOW("a new one of the name, old folder", openat(dir, "mtu", O_RDONLY));
    show_file("a new one of the name", NET "/sg9/mtu");
    close(fd);
    close(mtu);
    close(dir);
}

/* The events of a watch as bits, each once, with the name that they are about. */
static void events(const char *what, int watch)
{
    static const char *const names[] = { "ACCESS", "MODIFY", "ATTRIB", "CLOSE_WRITE", "CLOSE_NOWRITE", "OPEN",
                                         "MOVED_FROM", "MOVED_TO", "CREATE", "DELETE", "DELETE_SELF", "MOVE_SELF",
                                         "IGNORED", NULL };
    static const unsigned values[] = { IN_ACCESS, IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_CLOSE_NOWRITE, IN_OPEN,
                                       IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF,
                                       IN_IGNORED };
    static char room[8192] __attribute__((aligned(8)));
    char text[200];
    unsigned mask = 0;
    ssize_t n = read(watch, room, sizeof room);
    for (ssize_t at = 0; at < n;) {
        struct inotify_event *event = (struct inotify_event *)(room + at);
        mask |= event->mask & ~IN_ISDIR;
        at += sizeof *event + event->len;
    }
    say(what, "%s", n > 0 ? bits(text, mask, names, values) : "nothing");
}

/* Who waits for an interface by inotify waits in vain: only what programs do to a file is told. */
static void watching(void)
{
    char text[100];
    int all = MUST(inotify_init1(IN_NONBLOCK)), file = MUST(inotify_init1(IN_NONBLOCK));
    int state = MUST(inotify_init1(IN_NONBLOCK));
    MUST(inotify_add_watch(all, NET, IN_ALL_EVENTS));
    int fd = tun_attach("sz0", TUN, 0);
    MUST(inotify_add_watch(file, NET "/sz0/mtu", IN_ALL_EVENTS));
    MUST(inotify_add_watch(state, NET "/sz0/operstate", IN_ALL_EVENTS));
    link_up("sz0", 1);
    MUST(if_set_mtu("sz0", 1400));
    events("watch of all, an interface is made", all);
    events("watch of operstate, the link goes up", state);
    events("watch of mtu, changed by a request", file);
    MUST(slurp(NET "/sz0/mtu", text, sizeof text));
    events("watch of mtu, read", file);
    MUST(spit(NET "/sz0/mtu", "1300"));
    events("watch of mtu, written", file);
    struct ifreq ifr = { .ifr_newname = "sz9" };
    MUST(if_request(SIOCSIFNAME, &ifr, "sz0"));
    events("watch of all, renamed", all);
    events("watch of mtu, renamed", file);
    close(fd);
    events("watch of all, deleted", all);
    events("watch of mtu, deleted", file);
    close(all);
    close(file);
    close(state);
}

static void made(const char *label, int fd)
{
    show(label, fd < 0 ? fd : 0);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    own_sysfs();
    int tun = tun_attach("sn0", TUN, O_NONBLOCK), tap = tun_attach("sn1", TAP, O_NONBLOCK), zero = 0;
    unsigned char data[100];
    all_of("sn0", "down");
    all_of("sn1", "down");
    MUST(if_request(SIOCGIFINDEX, &(struct ifreq){ 0 }, "sn0"));
    char text[200] = "", wanted[200];
    MUST(slurp(NET "/sn0/ifindex", text, sizeof text));
    say("ifindex", "%d", atoi(text) == if_index("sn0"));
    MUST(slurp(NET "/sn0/iflink", text, sizeof text));
    say("iflink", "%d", atoi(text) == if_index("sn0"));
    show_file("address of a tun", NET "/sn0/address");
    struct ifreq ifr;
    MUST(if_request(SIOCGIFHWADDR, &ifr, "sn1"));
    for (int i = 0; i < 6; i++)
        sprintf(wanted + 3 * i, "%02x%c", (unsigned char)ifr.ifr_hwaddr.sa_data[i], i < 5 ? ':' : '\n');
    MUST(slurp(NET "/sn1/address", text, sizeof text));
    say("address of a tap", "%d", !strcmp(text, wanted));
    snprintf(wanted, sizeof wanted, "INTERFACE=sn0\nIFINDEX=%d\n", if_index("sn0"));
    MUST(slurp(NET "/sn0/uevent", text, sizeof text));
    say("uevent", "%d", !strcmp(text, wanted));
    statistics("statistics", "sn0");
    link_up("sn0", 1);
    link_up("sn1", 1);
    all_of("sn0", "up");
    all_of("sn1", "up");
    driver d = drv_attach("sn0");
    MUST(write(tun, packet(data, 60), 60));
    drv_packet(&d, 80);
    MUST(read(tun, data, sizeof data));
    SHOW("a bad packet", write(tun, "\x15", 1));
    statistics("statistics of traffic", "sn0");
    drv_detach(&d);
    MUST(ioctl(tun, TUNSETPERSIST, 1));
    MUST(ioctl(tun, TUNSETCARRIER, &zero));
    EVENTUALLY(!(if_flags("sn0") & IFF_RUNNING), 3000);
    all_of("sn0", "persistent, without carrier");
    close(tun);
    EVENTUALLY(!(if_flags("sn0") & IFF_RUNNING), 3000);
    all_of("sn0", "detached");
    listing("queues detached", NET "/sn0/queues", "");
    for (int on = 0; on < 2; on++) {
        show_write(label("detached, write carrier %d", on), NET "/sn0/carrier", on ? "1" : "0", 1);
        show_file(label("detached, carrier after %d", on), NET "/sn0/carrier");
    }
    static const char *const names[] = { "sn0/nothing", "sn0/mtu", "nothing/mtu", "nothing" };
    int home = MUST(open(".", O_RDONLY | O_DIRECTORY)), net = MUST(open(NET, O_RDONLY | O_DIRECTORY));
    MUST(chdir(NET));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        made(label("made here, %s", names[i]), open(names[i], O_WRONLY | O_CREAT, 0600));
        made(label("made there, %s", names[i]), openat(net, names[i], O_WRONLY | O_CREAT, 0600));
        SHOW(label("a directory here, %s", names[i]), mkdir(names[i], 0700));
        SHOW(label("a directory there, %s", names[i]), mkdirat(net, names[i], 0700));
    }
    MUST(fchdir(home));
    close(net);
    close(home);
    tun = tun_attach("sn0", TUN, 0);
    MUST(ioctl(tun, TUNSETPERSIST, 0));
    MUST(ioctl(tun, TUNSETOWNER, (long)getuid()));
    MUST(ioctl(tun, TUNSETGROUP, (long)getgid()));
    MUST(slurp(NET "/sn0/owner", text, sizeof text));
    say("the owner is this user", "%d", (uid_t)atoi(text) == getuid());
    MUST(slurp(NET "/sn0/group", text, sizeof text));
    say("the group is this user's", "%d", (gid_t)atoi(text) == getgid());
    close(tun);
    close(tap);
    int first = tun_attach("sq0", TUN | IFF_MULTI_QUEUE | IFF_VNET_HDR, 0), second = tun_attach("sq0", TUN | IFF_MULTI_QUEUE | IFF_VNET_HDR, 0);
    show_file("tun_flags of a multi-queue one", NET "/sq0/tun_flags");
    listing("queues of two", NET "/sq0/queues", "");
    close(second);
    listing("queues of one", NET "/sq0/queues", "");
    close(first);
    writing("sr0", TUN);
    writing("sr1", TAP);
    reading();
    ways();
    watching();
    going();
    show_file("the device number of the driver", "/sys/class/misc/tun/dev");
    return 0;
}
