/* Files of /sys and /proc as descriptors: what waits for them, what they are asked for, what they
   are named, and how the entries of folders are numbered. */
#include "host.h"
#include <limits.h>
#include <linux/fs.h>
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <wordexp.h>

#define TUN (IFF_TUN | IFF_NO_PI)
#define TAP (IFF_TAP | IFF_NO_PI)
#define NET "/sys/class/net"
#define CONF "/proc/sys/net/ipv4/conf"

static const char *const files[] = { NET "/fd0/mtu", NET "/fd0/statistics/rx_bytes", NET "/fd0/uevent", NET "/fd0/queues/rx-0/rps_cpus",
                                     CONF "/fd0/tag", CONF "/fd0/forwarding", "/proc/sys/net/ipv6/conf/fd0/mtu", "/proc/net/dev", "/proc/net/route",
                                     "/proc/net/arp", "/proc/net/igmp", "/proc/net/fib_trie", "/proc/sys/net/ipv4/ip_forward",
                                     "/proc/net/dev_mcast", "/proc/net/if_inet6", "/proc/sys/net/ipv4/neigh/fd0/locktime" };
#define FILES (sizeof files / sizeof *files)
static const char *const folders[] = { NET, NET "/fd0", NET "/fd0/statistics", NET "/fd0/queues", "/sys/devices/virtual/net", CONF, CONF "/fd0", "/proc/sys/net/ipv6/neigh/fd0" };
#define FOLDERS (sizeof folders / sizeof *folders)

/* How many files an epoll instance took, and of how many folders the numbers are others. */
static int polled, renumbered;

static char folder[] = "/tmp/fdXXXXXX";

/* A path with PID in the place of a number below /proc. */
static const char *plain(char *path)
{
    static char shown[PATH_MAX];
    if (strncmp(path, "/proc/", 6) || !isdigit(path[6]))
        return path;
    char *rest = path + 6;
    while (isdigit(*rest))
        rest++;
    snprintf(shown, sizeof shown, "/proc/PID%s", rest);
    return shown;
}

static void named(const char *what, int fd)
{
    char text[PATH_MAX], line[300];
    ssize_t n = readlink(label("/proc/self/fd/%d", fd), text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    say(label("%s, readlink", what), "%s", plain(text));
    n = readlink(label("/proc/%d/fd/%d", getpid(), fd), text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    say(label("%s, readlink by the process", what), "%s", plain(text));
    n = readlink(label("/proc/thread-self/fd/%d", fd), text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    say(label("%s, readlink by the thread", what), "%s", plain(text));
    int dir = MUST(open("/proc/self/fd", O_RDONLY | O_DIRECTORY));
    n = readlinkat(dir, label("%d", fd), text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    say(label("%s, readlinkat", what), "%s", plain(text));
    close(dir);
    char *real = realpath(label("/proc/self/fd/%d", fd), NULL);
    say(label("%s, realpath", what), "%s", real ? plain(real) : errno_name(errno));
    free(real);
    FILE *info = fopen(label("/proc/self/fdinfo/%d", fd), "r");
    while (info && fgets(line, sizeof line, info))
        if (!strncmp(line, "flags", 5) || !strncmp(line, "pos", 3) || !strncmp(line, "lock", 4))
            say(label("%s, fdinfo %.3s", what, line), "%.*s", (int)strcspn(line, "\n"), line);
    if (info)
        fclose(info);
}

static void attributes(const char *what, const char *path, int fd)
{
    char text[300];
    SHOW(label("%s, flistxattr", what), flistxattr(fd, text, sizeof text));
    SHOW(label("%s, flistxattr, length", what), flistxattr(fd, NULL, 0));
    SHOW(label("%s, fgetxattr user.x", what), fgetxattr(fd, "user.x", text, sizeof text));
    SHOW(label("%s, getxattr user.x", what), getxattr(path, "user.x", text, sizeof text));
    SHOW(label("%s, fgetxattr security.selinux", what), fgetxattr(fd, "security.selinux", text, sizeof text));
    SHOW(label("%s, fgetxattr system.posix_acl_access", what), fgetxattr(fd, "system.posix_acl_access", text, sizeof text));
    SHOW(label("%s, getxattr system.posix_acl_access", what), getxattr(path, "system.posix_acl_access", text, sizeof text));
    SHOW(label("%s, fgetxattr trusted.x", what), fgetxattr(fd, "trusted.x", text, sizeof text));
    SHOW(label("%s, fgetxattr bad", what), fgetxattr(fd, "bad", text, sizeof text));
    SHOW(label("%s, fremovexattr user.x", what), fremovexattr(fd, "user.x"));
}

static void asked(const char *what, int fd)
{
    SHOW(label("%s, F_GET_SEALS", what), fcntl(fd, F_GET_SEALS));
    SHOW(label("%s, F_ADD_SEALS", what), fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    SHOW(label("%s, syscall F_GET_SEALS", what), syscall(SYS_fcntl, fd, F_GET_SEALS));
    SHOW(label("%s, F_SETFL O_DIRECT", what), fcntl(fd, F_SETFL, O_DIRECT));
    SHOW(label("%s, F_SETFL O_NOATIME", what), fcntl(fd, F_SETFL, O_NOATIME));
    say(label("%s, F_GETFL", what), "%x", fcntl(fd, F_GETFL) & ~0100000);
    SHOW(label("%s, F_SETFL 0", what), fcntl(fd, F_SETFL, 0));
    SHOW(label("%s, F_SETPIPE_SZ", what), fcntl(fd, F_SETPIPE_SZ, 4096));
    SHOW(label("%s, F_GETPIPE_SZ", what), fcntl(fd, F_GETPIPE_SZ));
    SHOW(label("%s, F_NOTIFY", what), fcntl(fd, F_NOTIFY, 0));
    SHOW(label("%s, F_GETSIG", what), fcntl(fd, F_GETSIG));
    SHOW(label("%s, fsync", what), fsync(fd));
    SHOW(label("%s, fdatasync", what), fdatasync(fd));
    int value = 0;
    struct fsxattr x;
    SHOW(label("%s, FS_IOC_GETFLAGS", what), ioctl(fd, FS_IOC_GETFLAGS, &value));
    SHOW(label("%s, FS_IOC_FSGETXATTR", what), ioctl(fd, FS_IOC_FSGETXATTR, &x));
    SHOW(label("%s, FS_IOC_GETVERSION", what), ioctl(fd, FS_IOC_GETVERSION, &value));
    SHOW(label("%s, FIGETBSZ", what), ioctl(fd, FIGETBSZ, &value) < 0 ? -1 : value);
    SHOW(label("%s, FIOQSIZE", what), ioctl(fd, FIOQSIZE, &(long long){ 0 }));
    SHOW(label("%s, FIBMAP", what), ioctl(fd, FIBMAP, &value));
    SHOW(label("%s, FICLONE", what), ioctl(fd, FICLONE, fd));
    SHOW(label("%s, fallocate, hole", what), fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1));
    SHOW(label("%s, posix_fallocate", what), posix_fallocate(fd, 0, 1));
}

static void waiting(const char *what, int fd)
{
    char text[160];
    struct epoll_event event = { .events = EPOLLIN };
    int all = MUST(epoll_create1(0)), n;
    polled += !epoll_ctl(all, EPOLL_CTL_ADD, fd, &event);
    close(all);
    n = read(fd, text, sizeof text);
    struct pollfd q = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDNORM };
    SHOW(label("%s, poll", what), poll(&q, 1, 0));
    say(label("%s, poll says", what), "%s", poll_bits(text, q.revents));
    fd_set r, w, x;
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_ZERO(&x);
    FD_SET(fd, &r);
    FD_SET(fd, &w);
    FD_SET(fd, &x);
    SHOW(label("%s, select", what), select(fd + 1, &r, &w, &x, &(struct timeval){ 0 }));
    say(label("%s, select says", what), "%d %d %d", !!FD_ISSET(fd, &r), !!FD_ISSET(fd, &w), !!FD_ISSET(fd, &x));
    SHOW(label("%s, end", what), n < 0 ? n : 0);
}

/* The number of a folder's entry is the one that stat(2) says. */
static void numbers(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) {
        say(label("%s, opendir", path), "%s", errno_name(errno));
        return;
    }
    struct dirent *entry;
    struct stat st;
    int same = 0, other = 0, kinds = 0;
    while ((entry = readdir(dir))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        if (entry->d_ino == st.st_ino)
            same++;
        else
            other++;
        kinds += entry->d_type != IFTODT(st.st_mode);
    }
    renumbered += other > 0;
    say(label("%s, kinds", path), "%d %d", same + other > 0, kinds);
    SHOW(label("%s, fsync", path), fsync(dirfd(dir)));
    int value;
    SHOW(label("%s, FS_IOC_GETFLAGS", path), ioctl(dirfd(dir), FS_IOC_GETFLAGS, &value));
    struct epoll_event event = { .events = EPOLLIN };
    int all = MUST(epoll_create1(0));
    SHOW(label("%s, EPOLL_CTL_ADD", path), epoll_ctl(all, EPOLL_CTL_ADD, dirfd(dir), &event));
    close(all);
    closedir(dir);
}

static void mounts(const char *path, const char *root)
{
    struct statx one, other;
    SHOW(label("%s, statx", path), statx(AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_MNT_ID, &one));
    SHOW(label("%s, statx of the root", path), statx(AT_FDCWD, root, 0, STATX_BASIC_STATS | STATX_MNT_ID, &other));
    say(label("%s, of one mount", path), "%d", !!(one.stx_mask & STATX_MNT_ID) && one.stx_mnt_id == other.stx_mnt_id);
    say(label("%s, of one device", path), "%d", one.stx_dev_minor == other.stx_dev_minor && one.stx_dev_major == other.stx_dev_major);
    say(label("%s, attributes", path), "%llx of %llx", (unsigned long long)one.stx_attributes & 0x3000, (unsigned long long)one.stx_attributes_mask & 0x3000);
    say(label("%s, mask", path), "%x", one.stx_mask & (STATX_BASIC_STATS | STATX_MNT_ID));
    int fd = MUST(open(path, O_RDONLY));
    struct statx by;
    SHOW(label("%s, statx of the descriptor", path), statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &by));
    say(label("%s, descriptor of one mount", path), "%d %d", by.stx_mnt_id == other.stx_mnt_id, by.stx_ino == one.stx_ino);
    say(label("%s, descriptor's attributes", path), "%llx of %llx", (unsigned long long)by.stx_attributes & 0x3000, (unsigned long long)by.stx_attributes_mask & 0x3000);
    close(fd);
}

static void words(const char *pattern)
{
    wordexp_t found;
    int rc = wordexp(pattern, &found, WRDE_NOCMD);
    say(label("wordexp of %s", pattern), "%d %zu", rc, rc ? 0 : found.we_wordc);
    for (size_t i = 0; !rc && i < found.we_wordc; i++)
        say(label("wordexp of %s, word %zu", pattern, i), "%s", found.we_wordv[i]);
    if (!rc)
        wordfree(&found);
}

static void changing(void)
{
    static const char *const all[] = { NET "/fd0", NET "/fd0/mtu", NET "/fd0/statistics", CONF "/fd0", CONF "/fd0/tag", "/proc/net/dev", "/proc/net/route",
                                       "/sys/devices/virtual/net/fd0" };
    char to[PATH_MAX];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *path = all[i];
        snprintf(to, sizeof to, "%s2", path);
        SHOW(label("rename of %s", path), rename(path, to));
        SHOW(label("rename of %s out", path), rename(path, label("%s/x", folder)));
        SHOW(label("rename onto %s", path), rename(label("%s/here", folder), path));
        SHOW(label("rename into %s2", path), rename(label("%s/here", folder), to));
        SHOW(label("renameat2 of %s, exchange", path), renameat2(AT_FDCWD, path, AT_FDCWD, label("%s/here", folder), RENAME_EXCHANGE));
        SHOW(label("link of %s", path), link(path, to));
        SHOW(label("link of %s out", path), link(path, label("%s/x", folder)));
        SHOW(label("link onto %s", path), link(label("%s/here", folder), path));
        SHOW(label("symlink onto %s", path), symlink("x", path));
        SHOW(label("symlink beside %s", path), symlink("x", to));
        SHOW(label("mkdir of %s", path), mkdir(path, 0700));
        SHOW(label("mkdir beside %s", path), mkdir(to, 0700));
        SHOW(label("unlink of %s", path), unlink(path));
        SHOW(label("unlink beside %s", path), unlink(to));
        SHOW(label("rmdir of %s", path), rmdir(path));
        SHOW(label("remove of %s", path), remove(path));
        SHOW(label("creat of %s2", path), creat(to, 0600));
    }
}

static void shells(void)
{
    static const char *const scripts[] = {
        "sed -i s/0/1/ " CONF "/fd0/tag; echo $?; cat " CONF "/fd0/tag", 
        "sed -i.bak s/0/1/ /proc/sys/net/ipv4/ip_forward; echo $?", "perl -pi -e s/0/1/ " CONF "/fd0/tag; echo $?",
        "mktemp -p " NET "/fd0; echo $?", "set -C; echo 1 > " CONF "/fd0/tag; echo $?; set +C; echo 3 > " CONF "/fd0/tag; cat " CONF "/fd0/tag",
        "mv -f " NET "/fd0/mtu $D/mtu 2>&1; echo $?; cat $D/mtu; rm -f $D/mtu", "cp $D/here " NET "/fd0/mtu; echo $?", "cp --remove-destination $D/here " NET "/fd0/mtu; echo $?",
        "cp -p " NET "/fd0/mtu $D/c && cat $D/c; rm -f $D/c", "cp -a " NET "/fd0/queues $D/q; find $D/q | sort; rm -rf $D/q",
        "cp /proc/net/route $D/r && wc -l < $D/r; rm -f $D/r", "ln " NET "/fd0/mtu $D/l; echo $?", "shred -n 1 " NET "/fd0/mtu 2>&1 | head -1", "truncate -s 0 " CONF "/fd0/tag; echo $?",
        "file -b " NET "/fd0/mtu 2>/dev/null || true", "split -l 1 /proc/net/route $D/s. && ls $D | grep -c s.; rm -f $D/s.*", "readlink /proc/self/fd/0 < " NET "/fd0/mtu",
        "readlink -f /dev/stdin < " CONF "/fd0/tag", "sync " NET "/fd0/mtu; echo $?", "sync -d " CONF "/fd0/tag; echo $?", "sync -f " NET "/fd0/mtu; echo $?", "getfacl " NET "/fd0/mtu 2>/dev/null | head -5",
        "lsattr " NET "/fd0/mtu 2>&1 | head -2", "cat " NET "/fd0/{mtu,type}", "paste " NET "/fd0/mtu " NET "/fd0/type", "timeout 5 tail -n +1 " NET "/fd0/mtu " NET "/fd0/type",
        "mapfile -t x < /proc/net/route; echo ${#x[@]}", "while read -r a; do echo $a; done < " CONF "/fd0/tag", "IFS= read -r -d '' x < " CONF "/fd0/tag; echo \"$x\"", "comm -12 " NET "/fd0/type " NET "/fd0/type",
    };
    setenv("D", folder, 1);
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        char all[3000], *at;
        run_script(scripts[i], folder, all, sizeof all);
        /* Names that were drawn. */
        for (at = all; (at = strstr(at, "/sed")); at += 4)
            for (char *drawn = at + 4; isalnum(*drawn); drawn++)
                *drawn = 'X';
        for (at = all; (at = strstr(at, "tmp.")); at += 4)
            for (char *drawn = at + 4; isalnum(*drawn); drawn++)
                *drawn = 'X';
        int line = 0;
        for (at = strtok(all, "\n"); at; at = strtok(NULL, "\n"))
            say(label("script %zu, line %d", i, ++line), "%s", at);
    }
}

int main(int argc, char **argv)
{
    start_files(argc, argv, "fd9");
    MUST(chdir("/"));
    MUST(mkdtemp(folder));
    close(MUST(creat(label("%s/here", folder), 0600)));
    int tun = tun_attach("fd0", TUN, 0), tap = tun_attach("fd1", TAP, 0);
    MUST(set_address(SIOCSIFADDR, "fd0", "10.9.0.1"));
    link_up("fd0", 1);
    for (size_t i = 0; i < FILES; i++) {
        int fd = MUST(open(files[i], O_RDONLY));
        named(files[i], fd);
        waiting(files[i], fd);
        attributes(files[i], files[i], fd);
        asked(files[i], fd);
        close(fd);
        fd = open(files[i], O_RDWR);
        if (fd >= 0) {
            char both[100];
            snprintf(both, sizeof both, "%s, read and written", files[i]);
            named(both, fd);
            asked(both, fd);
            close(fd);
        }
        fd = MUST(open(files[i], O_PATH));
        char only[100];
        snprintf(only, sizeof only, "%s, O_PATH", files[i]);
        named(only, fd);
        SHOW(label("%s, fsync", only), fsync(fd));
        SHOW(label("%s, F_GET_SEALS", only), fcntl(fd, F_GET_SEALS));
        close(fd);
        mounts(files[i], strncmp(files[i], "/sys", 4) ? "/proc" : "/sys");
    }
    for (size_t i = 0; i < FOLDERS; i++) {
        int fd = MUST(open(folders[i], O_RDONLY | O_DIRECTORY));
        named(folders[i], fd);
        attributes(folders[i], folders[i], fd);
        close(fd);
        numbers(folders[i]);
        mounts(folders[i], strncmp(folders[i], "/sys", 4) ? "/proc" : "/sys");
    }
    words(NET "/fd0/mtu");
    words("/sys/class/net/nothere*");
    say("files that epoll takes", "%d", polled);
    say("folders whose entries have other numbers than the files", "%d", renumbered);
    changing();
    shells();
    close(tun);
    close(tap);
    unlink(label("%s/here", folder));
    rmdir(folder);
    return 0;
}
