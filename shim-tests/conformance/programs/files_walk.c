/* Walking over the folders of /sys and /proc in every way that libc offers, and what stat says of
   what is found there. */
#include "host.h"
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <wordexp.h>

#define TUN (IFF_TUN | IFF_NO_PI)
#define TAP (IFF_TAP | IFF_NO_PI)
#define NET "/sys/class/net"
#define CONF "/proc/sys/net/ipv4/conf"

static char *found[2000];
static size_t count;

static void note(const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (count < 2000)
        found[count++] = strdup(text);
}

/* What was noted, sorted, in lines of their own. */
static void tell(const char *what)
{
    char prefix[120];
    snprintf(prefix, sizeof prefix, "%s", what);
    qsort(found, count, sizeof *found, by_text);
    for (size_t i = 0; i < count; i++) {
        say(label("%s, %zu", prefix, i), "%s", found[i]);
        free(found[i]);
    }
    say(label("%s, count", prefix), "%zu", count);
    count = 0;
}

static const char *fts_name(int info)
{
    static const char *const names[] = { "?", "D", "DC", "DEFAULT", "DNR", "DOT", "DP", "ERR", "F", "INIT", "NS", "NSOK",
                                         "SL", "SLNONE", "W" };
    return info >= 0 && info < 15 ? names[info] : "?";
}

static void by_fts(const char *what, const char *path, int options, const char *with)
{
    char *const paths[] = { (char *)path, NULL };
    FTS *fts = fts_open(paths, options, NULL);
    FTSENT *entry;
    if (!fts) {
        show(what, -1);
        return;
    }
    while ((entry = fts_read(fts)))
        if (!with || strstr(entry->fts_path, with)) {
            mode_t mode = options & FTS_NOSTAT || entry->fts_info == FTS_NSOK || entry->fts_info == FTS_NS ? 0 : entry->fts_statp->st_mode;
            note("%s %s %d %o %d", entry->fts_path, fts_name(entry->fts_info), entry->fts_level, mode, entry->fts_errno);
        }
    int error = errno;
    fts_close(fts);
    tell(what);
    errno = error;
}

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

/* Instructions, an order of the program's, and the list of what is in a folder. */
static void steered(void)
{
    char *const paths[] = { "/sys/class/net", CONF "/fw0", NULL };
    char text[400] = "";
    errno = 0;
    say("fts with bad options", "%s", fts_open(paths, 1 << 20, by_name) ? "opened" : errno_name(errno));
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    FTSENT *entry = fts_children(fts, 0);
    say("fts_children at first", "%s %s", entry ? entry->fts_name : "none", entry && entry->fts_link ? entry->fts_link->fts_name : "none");
    while ((entry = fts_read(fts))) {
        if (entry->fts_info == FTS_SL && !strcmp(entry->fts_name, "fw0"))
            say("fts_set to follow", "%d", fts_set(fts, entry, FTS_FOLLOW));
        if (entry->fts_info == FTS_D && !strcmp(entry->fts_name, "statistics"))
            say("fts_set to skip", "%d", fts_set(fts, entry, FTS_SKIP));
        if (entry->fts_info == FTS_D && !strcmp(entry->fts_name, "queues")) {
            FTSENT *inside = fts_children(fts, FTS_NAMEONLY);
            for (; inside; inside = inside->fts_link)
                append(text, sizeof text, "%s ", inside->fts_name);
        }
        if (entry->fts_level > 1 && strstr(entry->fts_path, "fw0"))
            note("%s %s %s", entry->fts_name, fts_name(entry->fts_info), entry->fts_parent->fts_name);
    }
    say("fts at its end", "%s", errno_name(errno));
    say("fts_children of queues", "%s", text);
    say("fts_close", "%d", fts_close(fts));
    tell("fts steered");
    char *const other[] = { "/", NULL };
    fts = fts_open(other, FTS_PHYSICAL, NULL);
    entry = fts_read(fts);
    say("fts of another tree", "%s %s", entry->fts_path, fts_name(entry->fts_info));
    fts_close(fts);
}

static const char *wanted;

static int each_nftw(const char *path, const struct stat *st, int type, struct FTW *at)
{
    if (!wanted || strstr(path, wanted))
        note("%s %d base=%d level=%d %o", path, type, at->base, at->level, st->st_mode);
    return 0;
}

static int each_ftw(const char *path, const struct stat *st, int type)
{
    if (!wanted || strstr(path, wanted))
        note("%s %d %o", path, type, st->st_mode);
    return 0;
}

static int chooses(const struct dirent *entry) { return !strncmp(entry->d_name, "fw", 2); }

static void close_dir(void *dir) { closedir(dir); }
static void *open_dir(const char *path)
{
    note("opendir %s", path);
    return opendir(path);
}
static int look(const char *path, struct stat *st)
{
    note("stat %s", path);
    return stat(path, st);
}
static int look_at(const char *path, struct stat *st)
{
    note("lstat %s", path);
    return lstat(path, st);
}
static int complains(const char *path, int error)
{
    note("cannot %s %d", path, error);
    return 0;
}

static void globbing(const char *what, const char *pattern, int flags)
{
    char prefix[120];
    snprintf(prefix, sizeof prefix, "%s", what);
    glob_t g = { .gl_closedir = close_dir, .gl_readdir = (struct dirent *(*)(void *))readdir,
                 .gl_opendir = open_dir, .gl_stat = look, .gl_lstat = look_at };
    int result = glob(pattern, flags, complains, &g);
    say(label("%s, result", prefix), "%d", result);
    for (size_t i = 0; !result && i < g.gl_pathc; i++)
        say(label("%s, path %zu", prefix, i), "%s", g.gl_pathv[i]);
    if (!result)
        globfree(&g);
    tell(prefix);
}

static void words(const char *what, const char *text)
{
    char prefix[120];
    snprintf(prefix, sizeof prefix, "%s", what);
    wordexp_t w;
    int result = wordexp(text, &w, 0);
    say(label("%s, result", prefix), "%d", result);
    for (size_t i = 0; !result && i < w.we_wordc; i++)
        say(label("%s, word %zu", prefix, i), "%s", w.we_wordv[i]);
    if (!result)
        wordfree(&w);
}

static void positions(const char *what, const char *path)
{
    char prefix[120], names[200][256];
    long places[200];
    int n = 0, wrong = 0;
    snprintf(prefix, sizeof prefix, "%s", what);
    DIR *dir = opendir(path);
    struct dirent *entry;
    if (!dir) {
        show(prefix, -1);
        return;
    }
    for (;;) {
        places[n] = telldir(dir);
        if (n >= 199 || !(entry = readdir(dir)))
            break;
        snprintf(names[n++], 256, "%s", entry->d_name);
    }
    for (int i = n - 1; i >= 0; i--) {
        seekdir(dir, places[i]);
        entry = readdir(dir);
        wrong += !entry || strcmp(entry->d_name, names[i]);
    }
    seekdir(dir, places[n]);
    int at_end = !readdir(dir);
    rewinddir(dir);
    entry = readdir(dir);
    say(prefix, "more than 2: %d, first '%s', wrong %d, end %d, rewound %d", n > 2, names[0], wrong, at_end,
        entry && !strcmp(entry->d_name, names[0]));
    int fd = dirfd(dir);
    char raw[32768];
    SHOW(label("%s, lseek to 0", prefix), lseek(fd, 0, SEEK_SET));
    long got = syscall(SYS_getdents64, fd, raw, sizeof raw);
    int entries = 0, types = 0;
    for (long at = 0; at < got;) {
        struct dirent64 *one = (struct dirent64 *)(raw + at);
        entries++;
        types += one->d_type != DT_UNKNOWN;
        at += one->d_reclen;
    }
    say(label("%s, getdents64", prefix), "all: %d types: %d", entries == n, types == entries);
    SHOW(label("%s, getdents64 at the end", prefix), syscall(SYS_getdents64, fd, raw, sizeof raw));
    SHOW(label("%s, getdents64 into 10 bytes", prefix), (lseek(fd, 0, SEEK_SET), syscall(SYS_getdents64, fd, raw, 10)));
    closedir(dir);
}

/* Two names of one thing have the same inode, and what stat says. */
static void statuses(void)
{
    static const char *const pairs[][2] = {
        { NET "/fw0", "/sys/devices/virtual/net/fw0" }, { NET "/fw0/mtu", "/sys/devices/virtual/net/fw0/mtu" },
        { "/proc/net/dev", "/proc/self/net/dev" }, { NET "/fw0/subsystem", NET },
        { NET "/fw0/statistics/..", NET "/fw0" }, { CONF "/fw0/..", CONF },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct stat a, b;
        if (stat(pairs[i][0], &a) || stat(pairs[i][1], &b))
            show(label("%s and %s", pairs[i][0], pairs[i][1]), -1);
        else
            say(label("%s and %s", pairs[i][0], pairs[i][1]), "same %d", a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    }
    static const char *const files[] = { NET, NET "/fw0", NET "/fw0/", NET "/fw0/mtu", NET "/fw0/queues", NET "/fw0/queues/rx-0",
                                         NET "/fw0/statistics", NET "/fw0/power", NET "/fw0/uevent", NET "/fw0/subsystem",
                                         CONF, CONF "/fw0", CONF "/fw0/forwarding", "/proc/sys/net/ipv6/conf/fw0/stable_secret",
                                         "/proc/sys/net/ipv4/neigh/fw0", "/proc/net/dev", "/proc/net/route", "/proc/net",
                                         "/proc/sys/net/ipv4/route/flush", "/proc/sys/net/ipv4/ip_forward",
                                         "/sys/devices/virtual/net", "/proc/net/fib_trie", "/proc/net/if_inet6" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct stat s, f, root;
        struct statx x;
        int fd = open(files[i], O_PATH);
        if (lstat(files[i], &s) || statx(AT_FDCWD, files[i], AT_SYMLINK_NOFOLLOW, STATX_ALL, &x)) {
            show(label("%s, status", files[i]), -1);
            continue;
        }
        stat(!strncmp(files[i], "/sys", 4) ? "/sys" : "/proc", &root);
        int dir = S_ISDIR(s.st_mode);
        say(label("%s, status", files[i]), "%o links=%s size=%ld blocks=%ld blksize=%ld uid=%d gid=%d times equal %d%d",
            s.st_mode, dir ? "?" : label("%ld", (long)s.st_nlink), (long)s.st_size, (long)s.st_blocks, (long)s.st_blksize,
            s.st_uid, s.st_gid, s.st_mtime == s.st_ctime,
            !strstr(files[i], "fw0") || labs(s.st_atime - s.st_mtime) < 60);
        say(label("%s, statx", files[i]), "mask=%x attr=%llx size=%lld blksize=%u dev %d", x.stx_mask & 0xfff,
            (unsigned long long)x.stx_attributes & ~0x2000ull, (long long)x.stx_size, x.stx_blksize,
            x.stx_dev_major == 0);
        if (!fstat(fd, &f))
            say(label("%s, fstat of O_PATH", files[i]), "%o", f.st_mode);
        else
            show(label("%s, fstat of O_PATH", files[i]), -1);
        if (!S_ISLNK(s.st_mode) && strcmp(files[i], "/proc/net/"))
            say(label("%s, fstat is stat", files[i]), "ino %d mode %d size %d links %d blksize %d", f.st_ino == s.st_ino,
                f.st_mode == s.st_mode, f.st_size == s.st_size, f.st_nlink == s.st_nlink, f.st_blksize == s.st_blksize);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    start(argc, argv);
    own_sysfs();
    plain_sysctls();
    int tun = tun_attach("fw0", TUN, 0), tap = tun_attach("fw1", TAP, 0);
    by_fts("fts of the class", NET, FTS_PHYSICAL, "fw");
    by_fts("fts of the class, logical", NET, FTS_LOGICAL | FTS_NOCHDIR, "class/net/fw1/q");
    by_fts("fts of a link, seen through", NET "/fw0", FTS_COMFOLLOW | FTS_PHYSICAL, NULL);
    by_fts("fts without chdir", NET "/fw0/", FTS_PHYSICAL | FTS_NOCHDIR, "queues");
    by_fts("fts without stat", "/sys/devices/virtual/net/fw1", FTS_PHYSICAL | FTS_NOSTAT, "queues");
    by_fts("fts of the device", "/sys/devices/virtual/net/fw1", FTS_PHYSICAL | FTS_SEEDOT | FTS_XDEV, "fw1/power");
    by_fts("fts of the settings", CONF, FTS_PHYSICAL, "fw0");
    by_fts("fts of the settings of v6", "/proc/sys/net/ipv6/conf", FTS_PHYSICAL | FTS_NOCHDIR, "fw0/a");
    by_fts("fts of a file", NET "/fw0/mtu", FTS_PHYSICAL, NULL);
    by_fts("fts of none", NET "/nothere", FTS_PHYSICAL, NULL);
    steered();
    wanted = "fw0";
    SHOW("nftw of the class", nftw(NET, each_nftw, 10, FTW_PHYS));
    tell("nftw of the class found");
    SHOW("nftw of a link", nftw(NET "/fw0", each_nftw, 10, 0));
    tell("nftw of a link found");
    wanted = "fw0/que";
    SHOW("nftw with chdir", nftw("/sys/devices/virtual/net", each_nftw, 3, FTW_PHYS | FTW_CHDIR | FTW_DEPTH));
    tell("nftw with chdir found");
    wanted = "fw0";
    SHOW("ftw of the settings", ftw(CONF "/fw0", each_ftw, 10));
    tell("ftw of the settings found");
    SHOW("ftw of none", ftw(CONF "/nothere", each_ftw, 10));
    struct dirent **list;
    static const char *const folders[] = { NET, CONF, "/proc/sys/net/ipv6/neigh", "/sys/devices/virtual/net" };
    for (size_t i = 0; i < 4; i++) {
        int n = scandir(folders[i], &list, chooses, alphasort);
        say(label("scandir of %s", folders[i]), "%d %s %s", n, n > 0 ? list[0]->d_name : "", n > 1 ? list[1]->d_name : "");
        int dir = open("/", O_RDONLY);
        n = scandirat(dir, folders[i] + 1, &list, chooses, versionsort);
        say(label("scandirat of %s", folders[i]), "%d %s", n, n > 0 ? list[0]->d_name : "");
        close(dir);
    }
    globbing("glob with functions", NET "/fw*/mtu", GLOB_ALTDIRFUNC);
    globbing("glob with functions of all", CONF "/fw[01]/arp_i*", GLOB_ALTDIRFUNC);
    globbing("glob with marks", NET "/fw*", GLOB_MARK);
    globbing("glob of folders", NET "/fw0/*", GLOB_ONLYDIR);
    globbing("glob of braces", NET "/{fw0,fw1}/{mtu,type}", GLOB_BRACE);
    globbing("glob of none, no check", NET "/no*/mtu", GLOB_NOCHECK);
    globbing("glob of none, errors", NET "/no*/mtu", GLOB_ERR);
    globbing("glob of the class", "/sys/class/ne[t]/fw0/ty*", 0);
    globbing("glob of every", "/s*s/c*s/n*t/f*0/t*e", 0);
    globbing("glob of settings", "/proc/sys/net/ipv?/*/fw0/*solicit", 0);
    words("wordexp of a command", "$(cat " NET "/fw0/type)");
    words("wordexp of none", NET "/no*/type");
    positions("positions of the class", NET);
    positions("positions of the interface", NET "/fw0");
    positions("positions of the settings", CONF);
    positions("positions of a link's settings", CONF "/fw0");
    statuses();
    close(tun);
    close(tap);
    return 0;
}
