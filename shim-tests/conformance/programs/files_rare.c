/* Files of /sys and /proc by the rarer calls: mappings, splicing, positions, descriptors that are
   handed on, ways of opening, links of other names. */
#include "host.h"
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <ctype.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <utime.h>

#define TUN (IFF_TUN | IFF_NO_PI)
#define TAP (IFF_TAP | IFF_NO_PI)
#define NET "/sys/class/net"
#define CONF "/proc/sys/net/ipv4/conf"

static const char *const files[] = { NET "/fr0/mtu", NET "/fr0/statistics/rx_bytes", NET "/fr0/uevent", CONF "/fr0/tag",
                                     "/proc/net/dev", "/proc/net/route", "/proc/net/igmp", "/proc/net/fib_trie",
                                     "/proc/sys/net/ipv4/ip_forward", "/proc/net/dev_mcast", "/proc/net/if_inet6",
                                     "/proc/sys/net/ipv4/neigh/fr0/locktime" };
#define FILES (sizeof files / sizeof *files)

static char folder[] = "/tmp/frXXXXXX";

static void mapping(void)
{
    static const struct { const char *name; int prot, flags; size_t length, offset; } maps[] = {
        { "shared", PROT_READ, MAP_SHARED, 4096, 0 }, { "private", PROT_READ, MAP_PRIVATE, 4096, 0 },
        { "private, write", PROT_READ | PROT_WRITE, MAP_PRIVATE, 100, 0 }, { "shared, write", PROT_READ | PROT_WRITE, MAP_SHARED, 4096, 0 },
        { "length 0", PROT_READ, MAP_SHARED, 0, 0 }, { "offset 1", PROT_READ, MAP_SHARED, 4096, 1 },
        { "validated", PROT_READ, MAP_SHARED_VALIDATE, 4096, 0 }, { "exec", PROT_READ | PROT_EXEC, MAP_PRIVATE, 4096, 0 },
        { "a bad flag", PROT_READ, 0, 4096, 0 },
    };
    for (size_t i = 0; i < FILES; i++)
        for (int rw = 0; rw < 2; rw++) {
            int fd = open(files[i], rw ? O_RDWR : O_RDONLY);
            if (fd < 0)
                continue;
            for (size_t k = 0; k < sizeof maps / sizeof *maps; k++) {
                void *map = mmap(NULL, maps[k].length, maps[k].prot, maps[k].flags, fd, maps[k].offset);
                say(label("%s %d, mmap %s", files[i], rw, maps[k].name), "%s", map == MAP_FAILED ? errno_name(errno) : "0");
                long by = syscall(SYS_mmap, NULL, maps[k].length, maps[k].prot, maps[k].flags, fd, maps[k].offset);
                say(label("%s %d, syscall mmap %s", files[i], rw, maps[k].name), "%s", by == -1 ? errno_name(errno) : "0");
            }
            close(fd);
        }
    int fd = MUST(open(NET "/fr0", O_RDONLY));
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    say("mmap of a folder", "%s", map == MAP_FAILED ? errno_name(errno) : "0");
    close(fd);
    fd = MUST(open(NET "/fr0/mtu", O_WRONLY));
    map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    say("mmap of one that is only written", "%s", map == MAP_FAILED ? errno_name(errno) : "0");
    close(fd);
    fd = MUST(open(NET "/fr0/mtu", O_PATH));
    map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    say("mmap of O_PATH", "%s", map == MAP_FAILED ? errno_name(errno) : "0");
    close(fd);
}

static void moving(const char *file)
{
    char text[300], *name = strdup(file);
    int fd = open(file, O_RDONLY), p[2], out = MUST(open(label("%s/out", folder), O_RDWR | O_CREAT | O_TRUNC, 0600));
    if (fd < 0) {
        show(label("%s, open", name), -1);
        return;
    }
    MUST(pipe(p));
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    int whole = strstr(name, "mtu") || strstr(name, "tag");
#define LEN(n) ((n) > 0 && !whole ? 1 : (n))
    SHOW(label("%s, splice", name), LEN(splice(fd, NULL, p[1], NULL, 3000, 0)));
    SHOW(label("%s, spliced", name), LEN(read(p[0], text, sizeof text)));
    SHOW(label("%s, splice again", name), LEN(splice(fd, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK)));
    loff_t at = 0;
    SHOW(label("%s, splice at 0", name), LEN(splice(fd, &at, p[1], NULL, 2, 0)));
    say(label("%s, its offset", name), "%lld", (long long)at);
    while (read(p[0], text, sizeof text) > 0)
        ;
    SHOW(label("%s, lseek", name), lseek(fd, 0, SEEK_SET));
    SHOW(label("%s, sendfile", name), LEN(sendfile(out, fd, NULL, 4096)));
    off_t from = 0;
    SHOW(label("%s, sendfile at 0", name), LEN(sendfile(out, fd, &from, 3)));
    say(label("%s, sendfile's offset", name), "%lld", (long long)from);
    SHOW(label("%s, lseek 2", name), lseek(fd, 0, SEEK_SET));
    SHOW(label("%s, copy_file_range", name), LEN(copy_file_range(fd, NULL, out, NULL, 4096, 0)));
    SHOW(label("%s, copy_file_range into", name), copy_file_range(out, NULL, fd, NULL, 4096, 0));
    struct iovec v[2] = { { text, 1 }, { text + 1, 100 } };
    SHOW(label("%s, lseek 3", name), lseek(fd, 0, SEEK_SET));
    SHOW(label("%s, readv", name), LEN(readv(fd, v, 2)));
    SHOW(label("%s, preadv", name), LEN(preadv(fd, v, 2, 0)));
    SHOW(label("%s, preadv2", name), LEN(preadv2(fd, v, 2, 0, 0)));
    SHOW(label("%s, preadv2 at -1", name), LEN(preadv2(fd, v, 2, -1, 0)));
    SHOW(label("%s, preadv2, RWF_NOWAIT", name), LEN(preadv2(fd, v, 2, 0, RWF_NOWAIT)));
    SHOW(label("%s, preadv2, RWF_HIPRI", name), LEN(preadv2(fd, v, 2, 0, RWF_HIPRI)));
    SHOW(label("%s, syscall read", name), (lseek(fd, 0, SEEK_SET), LEN(syscall(SYS_read, fd, text, 100))));
    SHOW(label("%s, syscall pread64", name), LEN(syscall(SYS_pread64, fd, text, 100, 1)));
    SHOW(label("%s, SEEK_DATA", name), lseek(fd, 0, SEEK_DATA));
    SHOW(label("%s, SEEK_HOLE", name), lseek(fd, 0, SEEK_HOLE));
    SHOW(label("%s, SEEK_END", name), lseek(fd, 0, SEEK_END));
    SHOW(label("%s, SEEK_END -1", name), lseek(fd, -1, SEEK_END));
    SHOW(label("%s, SEEK_CUR -1", name), (lseek(fd, 0, SEEK_SET), lseek(fd, -1, SEEK_CUR)));
    SHOW(label("%s, SEEK_SET far", name), lseek(fd, 1 << 20, SEEK_SET));
    SHOW(label("%s, read far", name), read(fd, text, 10));
    SHOW(label("%s, lseek 99", name), lseek(fd, 0, 99));
    SHOW(label("%s, sync_file_range", name), sync_file_range(fd, 0, 0, 0));
    SHOW(label("%s, syncfs", name), syncfs(fd));
    SHOW(label("%s, fallocate", name), fallocate(fd, 0, 0, 10));
    SHOW(label("%s, posix_fadvise", name), posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    SHOW(label("%s, readahead", name), readahead(fd, 0, 100));
    SHOW(label("%s, flock", name), flock(fd, LOCK_EX | LOCK_NB));
    struct flock lock = { .l_type = F_RDLCK };
    SHOW(label("%s, F_SETLK", name), fcntl(fd, F_SETLK, &lock));
    SHOW(label("%s, F_SETLEASE", name), fcntl(fd, F_SETLEASE, F_RDLCK));
    fcntl(fd, F_SETLEASE, F_UNLCK);
    say(label("%s, F_GETFL", name), "%x", fcntl(fd, F_GETFL) & ~0100000);
    SHOW(label("%s, F_SETFL", name), fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND));
    int value = 0;
    SHOW(label("%s, FIONREAD", name), ioctl(fd, FIONREAD, &value));
    SHOW(label("%s, TCGETS", name), isatty(fd));
    SHOW(label("%s, ftruncate", name), ftruncate(fd, 0));
    SHOW(label("%s, truncate", name), truncate(name, 0));
    SHOW(label("%s, truncate to 5", name), truncate(name, 5));
    struct pollfd q = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDNORM };
    SHOW(label("%s, poll", name), poll(&q, 1, 0));
    say(label("%s, poll says", name), "%s", poll_bits(text, q.revents));
    fd_set r, x;
    FD_ZERO(&r);
    FD_ZERO(&x);
    FD_SET(fd, &r);
    FD_SET(fd, &x);
    SHOW(label("%s, select", name), select(fd + 1, &r, NULL, &x, &(struct timeval){ 0 }));
    struct statvfs v2;
    SHOW(label("%s, fstatvfs", name), fstatvfs(fd, &v2));
    char link[100];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, text, sizeof text);
    text[n > 0 ? n : 0] = 0;
    if (!strstr(name, "/proc/net"))
        say(label("%s, /proc/self/fd", name), "%s", text);
    struct stat a, b;
    say(label("%s, stat of /proc/self/fd", name), "%d %d", stat(link, &a), stat(name, &b) || (a.st_ino == b.st_ino && a.st_mode == b.st_mode));
    int again = open(link, O_RDONLY);
    SHOW(label("%s, reopened", name), again < 0 ? again : LEN(read(again, text, 100)));
    close(again);
    close(p[0]);
    close(p[1]);
    close(out);
    close(fd);
    free(name);
}

static void opened(const char *what, int fd)
{
    if (fd < 0)
        show(what, -1);
    else
        say(what, "0");
}

static void opening(void)
{
    static const struct { const char *name; int flags; } ways[] = {
        { "O_RDWR", O_RDWR }, { "O_WRONLY", O_WRONLY }, { "O_RDONLY|O_TRUNC", O_TRUNC }, { "O_RDWR|O_TRUNC", O_RDWR | O_TRUNC },
        { "O_WRONLY|O_APPEND", O_WRONLY | O_APPEND }, { "O_CREAT", O_CREAT }, { "O_CREAT|O_EXCL", O_CREAT | O_EXCL | O_WRONLY },
        { "O_DIRECTORY", O_DIRECTORY }, { "O_NOFOLLOW", O_NOFOLLOW }, { "O_PATH", O_PATH }, { "O_PATH|O_NOFOLLOW", O_PATH | O_NOFOLLOW },
        { "O_PATH|O_DIRECTORY", O_PATH | O_DIRECTORY }, { "O_TMPFILE", O_TMPFILE | O_RDWR }, { "O_DIRECT", O_DIRECT },
        { "O_NOATIME", O_NOATIME }, { "O_ACCMODE", 3 }, { "O_SYNC", O_SYNC | O_RDONLY }, { "O_NONBLOCK", O_NONBLOCK },
        { "O_DIRECTORY|O_CREAT", O_DIRECTORY | O_CREAT },
    };
    static const char *const paths[] = { NET "/fr0", NET "/fr0/", NET "/fr0/mtu", NET "/fr0/type", NET "/fr0/mtu/", NET "/fr0/nothere",
                                         NET "/nothere", NET "/fr0/statistics", CONF "/fr0/tag", CONF "/fr0", CONF "/fr0/mc_forwarding",
                                         "/proc/net/dev", "/proc/sys/net/ipv4/route/flush", NET "/fr0/subsystem", NET "/fr0/mtu/x" };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
            int fd = open(paths[i], ways[k].flags, 0600);
            opened(label("open of %s, %s", paths[i], ways[k].name), fd);
            close(fd);
            if (k < 8) {
                struct open_how how = { .flags = ways[k].flags, .mode = ways[k].flags & O_CREAT ? 0600 : 0 };
                fd = syscall(SYS_openat2, AT_FDCWD, paths[i], &how, sizeof how);
                opened(label("openat2 of %s, %s", paths[i], ways[k].name), fd);
                close(fd);
            }
        }
    static const struct { const char *name; unsigned long long resolve; } resolves[] = {
        { "RESOLVE_NO_SYMLINKS", RESOLVE_NO_SYMLINKS }, { "RESOLVE_NO_MAGICLINKS", RESOLVE_NO_MAGICLINKS },
        { "RESOLVE_BENEATH", RESOLVE_BENEATH }, { "RESOLVE_IN_ROOT", RESOLVE_IN_ROOT }, { "a bad one", 1 << 20 },
    };
    int dir = MUST(open(NET, O_RDONLY | O_DIRECTORY)), in = MUST(open(NET "/fr0", O_RDONLY | O_DIRECTORY));
    for (size_t i = 0; i < sizeof resolves / sizeof *resolves; i++) {
        struct open_how how = { .flags = O_RDONLY, .resolve = resolves[i].resolve };
        int fd = syscall(SYS_openat2, AT_FDCWD, NET "/fr0/mtu", &how, sizeof how);
        opened(label("openat2, %s", resolves[i].name), fd);
        close(fd);
        fd = syscall(SYS_openat2, dir, "fr0/mtu", &how, sizeof how);
        opened(label("openat2 below the class, %s", resolves[i].name), fd);
        close(fd);
        fd = syscall(SYS_openat2, in, "mtu", &how, sizeof how);
        opened(label("openat2 below the interface, %s", resolves[i].name), fd);
        close(fd);
        fd = syscall(SYS_openat2, in, "../fr1/mtu", &how, sizeof how);
        opened(label("openat2 out of the interface, %s", resolves[i].name), fd);
        close(fd);
    }
    struct open_how how = { .flags = O_RDONLY };
    SHOW("openat2, too short", syscall(SYS_openat2, AT_FDCWD, NET "/fr0/mtu", &how, 8));
    struct { struct open_how how; char more[40]; } larger = { .how = how };
    int fd = syscall(SYS_openat2, AT_FDCWD, NET "/fr0/mtu", &larger, sizeof larger);
    opened("openat2, a larger one", fd);
    close(fd);
    larger.more[20] = 1;
    SHOW("openat2, a larger one that is not empty", syscall(SYS_openat2, AT_FDCWD, NET "/fr0/mtu", &larger, sizeof larger));
    close(dir);
    close(in);
    /* Who may what. */
    for (int i = 0; i < 2; i++) {
        static const char *const all[] = { NET "/fr0", NET "/fr0/mtu", NET "/fr0/type", CONF "/fr0/tag", CONF "/fr0", "/proc/net/dev",
                                           CONF "/fr0/mc_forwarding", "/proc/sys/net/ipv6/conf/fr0/stable_secret", NET "/nothere",
                                           "/proc/sys/net/ipv4/route/flush", NET };
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            for (int mode = 0; mode < 8; mode++) {
                int flags = i ? AT_EACCESS | AT_SYMLINK_NOFOLLOW : 0;
                SHOW(label("faccessat of %s, %d, %d", all[k], mode, i), faccessat(AT_FDCWD, all[k], mode, flags));
                SHOW(label("faccessat2 of %s, %d, %d", all[k], mode, i), syscall(SYS_faccessat2, AT_FDCWD, all[k], mode, flags));
            }
    }
    SHOW("euidaccess", euidaccess(NET "/fr0/mtu", W_OK));
    SHOW("access with bad bits", access(NET "/fr0/mtu", 8));
    SHOW("utimes", utime(NET "/fr0/type", NULL));
    SHOW("utimensat of a setting", utimensat(AT_FDCWD, CONF "/fr0/tag", NULL, 0));
    SHOW("symlink into", symlink("x", NET "/fr0/x"));
    SHOW("symlink into the class", symlink("x", NET "/x"));
    SHOW("rename of the interface", rename(NET "/fr0", NET "/fr9"));
    SHOW("mkdir in the class", mkdir(NET "/fr9", 0755));
    SHOW("rmdir of the interface", rmdir("/sys/devices/virtual/net/fr0"));
    SHOW("unlink of the interface", unlink(NET "/fr0"));
    SHOW("mkfifo in the settings", mkfifo(CONF "/fr0/x", 0600));
    SHOW("link of a setting", link(CONF "/fr0/tag", CONF "/fr0/tag2"));
}

/* The same places by links of other names, and from folders far above. */
static void otherwise(void)
{
    char text[300], path[PATH_MAX], name[100];
    struct stat a, b;
    int root = MUST(open("/", O_RDONLY | O_DIRECTORY)), sys = MUST(open("/sys", O_RDONLY | O_DIRECTORY)),
        proc = MUST(open("/proc", O_RDONLY)), class = MUST(open("/sys/class", O_RDONLY));
    static const struct { int from; const char *path; } all[] = {
        { 0, "sys/class/net/fr0/mtu" }, { 1, "class/net/fr0/mtu" }, { 2, "net/dev" }, { 2, "self/net/route" },
        { 2, "sys/net/ipv4/conf/fr0/tag" }, { 3, "net/fr0/mtu" }, { 0, "proc/sys/net/ipv4/ip_forward" }, { 3, "net/fr0" }, { 3, "net" },
        { 1, "devices/virtual/net/fr0/mtu" }, { 1, "devices/virtual/net/fr0" }, { 2, "sys/net/ipv4/conf/fr0" }, { 0, "sys/class/net/nothere" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int from = all[i].from == 0 ? root : all[i].from == 1 ? sys : all[i].from == 2 ? proc : class;
        snprintf(name, sizeof name, "%s from %d", all[i].path, all[i].from);
        int fd = openat(from, all[i].path, O_RDONLY);
        SHOW(label("openat of %s", name), fd < 0 ? fd : 0);
        if (fd >= 0) {
            ssize_t n = read(fd, text, 100);
            SHOW(label("read of %s", name), n > 0 ? 1 : n);
            close(fd);
        }
        SHOW(label("fstatat of %s", name), fstatat(from, all[i].path, &a, 0));
        SHOW(label("faccessat of %s", name), faccessat(from, all[i].path, R_OK, 0));
        ssize_t n = readlinkat(from, all[i].path, text, sizeof text);
        say(label("readlinkat of %s", name), "%.*s", n < 0 ? 100 : (int)n, n < 0 ? errno_name(errno) : text);
        struct statx x;
        SHOW(label("statx of %s", name), statx(from, all[i].path, 0, STATX_ALL, &x));
    }
    close(root);
    close(sys);
    close(proc);
    close(class);
    static const char *const links[][2] = {
        { "net", NET }, { "fr0", NET "/fr0" }, { "mtu", NET "/fr0/mtu" }, { "tag", CONF "/fr0/tag" }, { "conf", CONF },
        { "sys", "/sys" }, { "procnet", "/proc/net" }, { "route", "/proc/net/route" },
    };
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        MUST(symlink(links[i][1], label("%s/%s", folder, links[i][0])));
    static const char *const through[] = { "net", "net/fr0", "net/fr0/mtu", "fr0", "fr0/mtu", "mtu", "tag", "conf", "conf/fr0/tag",
                                           "sys/class/net/fr0", "sys/class/net", "procnet", "procnet/dev", "route", "net/nothere" };
    for (size_t i = 0; i < sizeof through / sizeof *through; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, through[i]);
        snprintf(name, sizeof name, "through %s", through[i]);
        int fd = open(path, O_RDONLY);
        SHOW(label("%s, open", name), fd < 0 ? fd : 0);
        ssize_t n = fd < 0 ? 0 : read(fd, text, 100);
        SHOW(label("%s, read", name), n > 0 ? 1 : n);
        close(fd);
        int ok = stat(path, &a);
        SHOW(label("%s, stat", name), ok);
        say(label("%s, mode", name), "%o size=%ld blksize=%ld", ok ? 0 : a.st_mode, ok ? 0 : (long)a.st_size, ok ? 0 : (long)a.st_blksize);
        SHOW(label("%s, access", name), access(path, R_OK));
        char real[PATH_MAX];
        say(label("%s, realpath", name), "%s", realpath(path, real) ? strncmp(real, "/proc/", 6) || !isdigit(real[6]) ? real : "/proc/PID" : errno_name(errno));
        DIR *dir = opendir(path);
        struct dirent *entry;
        int found = 0;
        while (dir && (entry = readdir(dir)))
            found += !strncmp(entry->d_name, "fr0", 3) || !strcmp(entry->d_name, "mtu");
        say(label("%s, opendir", name), "%s %d", dir ? "yes" : errno_name(errno), found);
        if (dir)
            closedir(dir);
        SHOW(label("%s, chdir", name), chdir(path));
        say(label("%s, getcwd", name), "%s", getcwd(real, sizeof real) ? strncmp(real, "/proc/", 6) || !isdigit(real[6]) ? real : "/proc/PID" : errno_name(errno));
        MUST(chdir("/"));
    }
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        unlink(label("%s/%s", folder, links[i][0]));
    /* The working directory far above. */
    MUST(chdir("/sys"));
    show_file("from /sys", "class/net/fr0/mtu");
    SHOW("stat from /sys", stat("class/net/fr0", &a));
    MUST(chdir("class"));
    show_file("from /sys/class", "net/fr0/mtu");
    MUST(chdir("net"));
    show_file("from /sys/class/net", "fr0/mtu");
    MUST(chdir("fr0"));
    show_file("from /sys/class/net/fr0", "statistics/rx_bytes");
    say("getcwd there", "%s", getcwd(path, sizeof path));
    MUST(chdir(".."));
    say("getcwd above", "%s", getcwd(path, sizeof path));
    SHOW("stat of ..", stat("..", &a));
    SHOW("stat of /sys/devices/virtual", stat("/sys/devices/virtual", &b));
    say("they are the same", "%d", a.st_ino == b.st_ino);
    MUST(chdir("../../.."));
    say("getcwd far above", "%s", getcwd(path, sizeof path));
    MUST(chdir("/proc/sys/net/ipv4"));
    show_file("from the settings", "conf/fr0/tag");
    MUST(chdir("conf/fr0"));
    show_file("from a link's settings", "../../../ipv6/conf/fr0/forwarding");
    MUST(chdir("/proc/self/net"));
    SHOW("stat from /proc/self/net", stat("dev", &a));
    MUST(chdir("/"));
}

static void handing(void)
{
    char text[300];
    int fd = MUST(open(NET "/fr0/mtu", O_RDWR));
    gate go;
    gate_make(&go);
    pid_t pid = child();
    if (!pid) {
        show_data("child reads", read(fd, text, 2), text);
        SHOW("child writes", pwrite(fd, "1401", 4, 0));
        _exit(0);
    }
    say("child", "%s", finish(pid));
    show_data("parent goes on", read(fd, text, 10), text);
    show_file("what the child wrote", NET "/fr0/mtu");
    int other = dup(fd), high = fcntl(fd, F_DUPFD_CLOEXEC, 200);
    SHOW("dup, lseek", lseek(other, 0, SEEK_SET));
    show_data("F_DUPFD, read", read(high, text, 10), text);
    SHOW("dup2", dup2(high, 100) == 100);
    SHOW("write by the copy", pwrite(100, "1402", 4, 0));
    show_file("what the copy wrote", NET "/fr0/mtu");
    close(other);
    close(high);
    close(100);
    close(fd);
    static const char *const scripts[] = {
        "read x < " NET "/fr0/mtu; echo got $x", "exec 3<> " NET "/fr0/mtu; read -u 3 x; echo got $x; echo 1403 >&3; cat " NET "/fr0/mtu",
        "exec 3> " NET "/fr0/mtu; echo 1404 >&3; echo 1405 >&3; cat " NET "/fr0/mtu", "cat < " NET "/fr0/mtu", "x=$(< " NET "/fr0/mtu); echo got $x",
        "while read a b; do case $a in fr0:) echo line;; esac; done < /proc/net/dev", "exec 4< " NET "/fr0/mtu; cat <&4; cat <&4; echo end",
        "cd " NET "/fr0 && pwd && cat mtu && cd .. && pwd && cd -P fr0 && pwd && cat mtu && ls -d ../fr1", "cd " NET "/fr0; cat ../fr1/mtu; echo $?",
        "for f in " NET "/fr*; do echo $f ${f##*/}; done", "[ -e " NET "/fr0 ] && [ -d " NET "/fr0 ] && [ -L " NET "/fr0 ] && [ -w " NET "/fr0/mtu ] && echo yes",
        "[ -e " NET "/nothere ] || echo no", "[ -r " NET "/fr0/type -a ! -x " NET "/fr0/type ] && echo readable", "echo 1406 | tee " NET "/fr0/mtu",
        "echo 99999 > " NET "/fr0/mtu; echo $?", "printf 1407 > " NET "/fr0/mtu && cat " NET "/fr0/mtu", "echo 1 >> " CONF "/fr0/tag; echo $?; cat " CONF "/fr0/tag",
        "echo x > " CONF "/fr0/tag; echo $?", "dd if=" NET "/fr0/mtu bs=1 count=2 status=none; echo", "dd if=" CONF "/fr0/tag bs=1 status=none | od -c | head -2",
        "head -c 3 " NET "/fr0/mtu; echo", "tail -n 1 " NET "/fr0/mtu", "tail -c 3 " NET "/fr0/mtu", "wc -c < " NET "/fr0/mtu", "cmp " NET "/fr0/mtu " NET "/fr0/mtu; echo $?",
        "grep -r . " NET "/fr0/queues 2>&1 | sort", "grep -rl 1407 " NET "/fr0/ 2>/dev/null | sort", "grep -s . " NET "/fr0/* 2>/dev/null | grep -v 'ifindex\\|iflink\\|uevent\\|address' | head -40",
        "find " NET "/ -name 'fr*' | sort", "find " NET "/fr0/ -maxdepth 1 | sort", "find -L " NET "/fr0/queues -type f | sort", "find /sys/class -maxdepth 2 -path '*net/fr*' | sort",
        "find " CONF " -path '*fr0/arp*' | sort", "find " NET "/fr0 -follow -maxdepth 1 -name 'm*'", "find /sys/devices/virtual/net -name rx_bytes -path '*fr*' | sort",
        "find " NET "/ -lname '*fr0' -printf '%p %l %y %Y\\n'", "ls " NET " | grep fr", "ls -l " NET "/ | grep fr | sed 's/.* \\//\\//; s/.*[0-9] //'", "ls -lR " NET "/fr0/statistics/ | wc -l",
        "ls -d " NET "/fr0/*/ | cat", "ls -F " NET "/fr0/ | head -3", "ls -1U " NET "/fr0/power | sort", "ls -L " NET "/fr0 | wc -l", "ls " NET "/nothere; echo $?",
        "stat -c '%n %F %a %s %h %U' " NET "/fr0/mtu " NET "/fr0 " CONF "/fr0/tag", "stat -f -c %T " NET "/fr0/mtu " CONF "/fr0", "stat -L -c %F " NET "/fr0",
        "du -s " NET "/fr0/ | cut -f1", "du -a " NET "/fr0/queues | cut -f2 | sort", "readlink " NET "/fr0", "readlink -f " NET "/fr0/mtu", "readlink -e " NET "/fr0/nothere; echo $?",
        "realpath " NET "/fr0", "realpath --relative-to=/sys " NET "/fr0", "basename $(readlink -f " NET "/fr0)", "test -ef 2>/dev/null; [ " NET "/fr0 -ef /sys/devices/virtual/net/fr0 ] && echo one",
        "cat /proc/self/net/dev | grep -c fr0", "cat /proc/net/dev | grep -o 'fr[01]'", "awk -F: '/fr0/ { print $1 }' /proc/net/dev", "sed -n 's/^ *\\(fr[01]\\):.*/\\1/p' /proc/net/dev",
        "tar cf - -C /sys/class/net fr0/ 2>/dev/null | tar tf - | head -100 | sort | head -20", "tar cf - " NET "/fr0/mtu 2>/dev/null | tar xOf - | head -c 10",
        "cp " NET "/fr0/mtu /proc/self/fd/1", "cp -r " NET "/fr0/statistics $D/copy && ls $D/copy | wc -l; cat $D/copy/rx_bytes; rm -rf $D/copy", "cp -L $D/none x 2>/dev/null; echo $?",
        "diff " NET "/fr0/type " NET "/fr1/type; echo $?", "sort " NET "/fr0/mtu", "od -An -c " NET "/fr0/mtu", "xargs < " NET "/fr0/mtu", "rm -f " NET "/fr0/mtu; echo $?", "touch " NET "/fr0/mtu; echo $?",
        "touch " NET "/fr0/new; echo $?", "mkdir " NET "/new; echo $?", "chmod 600 " NET "/fr0/mtu; echo $?", "ln -s x " NET "/x; echo $?", "mv " NET "/fr0 " NET "/fr9; echo $?",
        "install -m 600 " NET "/fr0/mtu $D/inst; cat $D/inst; rm -f $D/inst", "sysctl -n net.ipv4.conf.fr0.tag", "sysctl -w net.ipv4.conf.fr0.tag=7", "sysctl net.ipv4.conf.fr0.nothere; echo $?", "sysctl -a 2>/dev/null | grep -c '^net.ipv4.conf.fr0'",
        "sysctl -a 2>/dev/null | grep '^net.ipv6.neigh.fr0' | head -5", "sysctl -q -w net.ipv4.conf.fr0.rp_filter=2; cat " CONF "/fr0/rp_filter", "sysctl net/ipv4/conf/fr0/rp_filter", "echo net.ipv4.conf.fr0.tag=9 | sysctl -p -",
        "sysctl -e -w net.ipv4.conf.fr0.nothere=1; echo $?", "sysctl net.ipv4.conf.fr0.stable 2>&1; sysctl -w net.ipv4.conf.fr0.tag=x; echo $?",
    };
    setenv("D", folder, 1);
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        char all[3000], shown[6000];
        run_script(scripts[i], folder, all, sizeof all);
        char what[20];
        snprintf(what, sizeof what, "script %zu", i);
        say(what, "%s", escaped(shown, all, strlen(all)));
    }
}

int main(int argc, char **argv)
{
    start_files(argc, argv, "fr9");
    MUST(chdir("/"));
    MUST(mkdtemp(folder));
    int tun = tun_attach("fr0", TUN, 0), tap = tun_attach("fr1", TAP, 0);
    MUST(set_address(SIOCSIFADDR, "fr0", "10.9.0.1"));
    link_up("fr0", 1);
    mapping();
    for (size_t i = 0; i < FILES; i++)
        moving(files[i]);
    opening();
    otherwise();
    handing();
    close(tun);
    close(tap);
    unlink(label("%s/out", folder));
    rmdir(folder);
    return 0;
}
