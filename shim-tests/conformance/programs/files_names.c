/* Names of /sys and /proc in calls that make, remove, change and measure: nodes, templates,
   handles, owners, times, attributes, lengths, limits; and descriptors that are opened once more by their
   name. */
#include "host.h"
#include <limits.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

#define TUN (IFF_TUN | IFF_NO_PI)
#define NET "/sys/class/net"
#define CONF "/proc/sys/net/ipv4/conf"

static const char *const all[] = {
    NET "/vn0", NET "/vn0/", NET "/vn0/mtu", NET "/vn0/type", NET "/vn0/statistics", NET "/vn0/statistics/rx_bytes", NET "/vn0/queues/rx-0/rps_cpus",
    NET "/vn0/subsystem", NET "/vn0/nothere", NET "/nothere", NET "/vn0/mtu/", "/sys/devices/virtual/net/vn0", "/sys/devices/virtual/net/vn0/mtu",
    CONF "/vn0", CONF "/vn0/tag", CONF "/vn0/nothere", CONF "/nothere", CONF "/vn0/mc_forwarding", "/proc/sys/net/ipv6/conf/vn0/mtu",
    "/proc/sys/net/ipv4/neigh/vn0", "/proc/sys/net/ipv4/neigh/vn0/locktime", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/route/flush",
    "/proc/net/dev", "/proc/net/route", "/proc/net/dev/", "/proc/net/dev/x",
};

static char folder[] = "/tmp/vnXXXXXX";
static void *volatile bad_handle = (void *)8;

/* A path of the folder that is not there. */
static const char *beside(void) { return label("%s/x", folder); }

static void making(const char *path)
{
    static const struct { const char *name; mode_t mode; } kinds[] = { { "file", S_IFREG }, { "FIFO", S_IFIFO }, { "device", S_IFCHR }, { "socket", S_IFSOCK }, { "plain", 0 } };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        SHOW(label("%s, mknod of a %s", path, kinds[i].name), mknod(path, kinds[i].mode | 0600, makedev(1, 3)));
        SHOW(label("%s, mknod of a %s in it", path, kinds[i].name), mknod(label("%s/x", path), kinds[i].mode | 0600, makedev(1, 3)));
        SHOW(label("%s, mknodat of a %s", path, kinds[i].name), mknodat(AT_FDCWD, path, kinds[i].mode | 0600, makedev(1, 3)));
    }
    SHOW(label("%s, mkfifo", path), mkfifo(path, 0600));
    SHOW(label("%s, mkfifo in it", path), mkfifo(label("%s/x", path), 0600));
    SHOW(label("%s, mkfifoat", path), mkfifoat(AT_FDCWD, path, 0600));
    char template[200];
#define TEMPLATE(text) (snprintf(template, sizeof template, text, path), template)
    SHOW(label("%s, mkstemp", path), mkstemp(TEMPLATE("%s/XXXXXX")));
    SHOW(label("%s, mkstemp beside", path), mkstemp(TEMPLATE("%sXXXXXX")));
    SHOW(label("%s, mkstemps", path), mkstemps(TEMPLATE("%s/XXXXXX.c"), 2));
    SHOW(label("%s, mkostemp", path), mkostemp(TEMPLATE("%s/XXXXXX"), O_APPEND));
    SHOW(label("%s, mkostemps", path), mkostemps(TEMPLATE("%s/XXXXXX.c"), 2, O_APPEND));
    SHOW(label("%s, mkstemp of no template", path), mkstemp(TEMPLATE("%s/XXXXX")));
    SHOW(label("%s, mkdtemp", path), mkdtemp(TEMPLATE("%s/XXXXXX")) ? 0 : -1);
    SHOW(label("%s, mkdir", path), mkdir(path, 0700));
    SHOW(label("%s, mkdir in it", path), mkdir(label("%s/x", path), 0700));
    SHOW(label("%s, rmdir", path), rmdir(path));
    SHOW(label("%s, unlink", path), unlink(path));
    SHOW(label("%s, symlink", path), symlink("x", path));
    SHOW(label("%s, symlink in it", path), symlink("x", label("%s/y", path)));
    SHOW(label("%s, link from elsewhere", path), link("/etc/passwd", label("%s/y", path)));
    SHOW(label("%s, rename", path), rename(path, label("%s9", path)));
    SHOW(label("%s, rename, no replacement", path), renameat2(AT_FDCWD, path, AT_FDCWD, label("%s9", path), RENAME_NOREPLACE));
    SHOW(label("%s, rename out", path), rename(path, beside()));
}

static void changing(const char *path)
{
    struct { unsigned bytes; int type; char handle[128]; } handle = { .bytes = 128 };
    int mount;
    SHOW(label("%s, handle", path), name_to_handle_at(AT_FDCWD, path, (struct file_handle *)&handle, &mount, 0));
    SHOW(label("%s, handle, followed", path), name_to_handle_at(AT_FDCWD, path, (struct file_handle *)&handle, &mount, AT_SYMLINK_FOLLOW));
    SHOW(label("%s, handle, bad flag", path), name_to_handle_at(AT_FDCWD, path, (struct file_handle *)&handle, &mount, 1));
    SHOW(label("%s, handle, bad pointer", path), name_to_handle_at(AT_FDCWD, path, bad_handle, &mount, 0));
    struct stat st;
    mode_t mode = stat(path, &st) ? 0600 : st.st_mode & 07777;
    /* The folder of all is the machine's. */
    if (!strstr(path, "subsystem")) {
        SHOW(label("%s, chmod", path), chmod(path, mode));
        SHOW(label("%s, fchmodat", path), fchmodat(AT_FDCWD, path, mode, 0));
        SHOW(label("%s, syscall fchmodat2", path), syscall(452, AT_FDCWD, path, mode, 0));
    }
    SHOW(label("%s, fchmodat, not followed", path), fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW));
    SHOW(label("%s, chown", path), chown(path, -1, -1));
    SHOW(label("%s, lchown", path), lchown(path, -1, -1));
    SHOW(label("%s, fchownat", path), fchownat(AT_FDCWD, path, -1, -1, AT_SYMLINK_NOFOLLOW));
    SHOW(label("%s, chown to me", path), strstr(path, "/sys/") == path ? 0 : chown(path, getuid(), -1));
    SHOW(label("%s, utimes", path), utimes(path, NULL));
    SHOW(label("%s, utime", path), utime(path, NULL));
    SHOW(label("%s, lutimes", path), lutimes(path, NULL));
    SHOW(label("%s, futimesat", path), futimesat(AT_FDCWD, path, NULL));
    struct timespec omitted[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } }, one[2] = { { 0, UTIME_OMIT }, { 0, UTIME_NOW } };
    SHOW(label("%s, utimensat of nothing", path), utimensat(AT_FDCWD, path, omitted, 0));
    SHOW(label("%s, utimensat of one", path), utimensat(AT_FDCWD, path, one, 0));
    static const char *const names[] = { "user.x", "trusted.x", "security.x", "system.x", "other.x", "x", "" };
    char value[10];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        SHOW(label("%s, setxattr of '%s'", path, names[i]), setxattr(path, names[i], "1", 1, 0));
        SHOW(label("%s, lsetxattr of '%s'", path, names[i]), lsetxattr(path, names[i], "1", 1, 0));
        SHOW(label("%s, removexattr of '%s'", path, names[i]), removexattr(path, names[i]));
        SHOW(label("%s, lremovexattr of '%s'", path, names[i]), lremovexattr(path, names[i]));
        SHOW(label("%s, getxattr of '%s'", path, names[i]), getxattr(path, names[i], value, sizeof value));
        SHOW(label("%s, lgetxattr of '%s'", path, names[i]), lgetxattr(path, names[i], value, sizeof value));
    }
    SHOW(label("%s, truncate", path), truncate(path, 0));
    SHOW(label("%s, truncate to 5", path), truncate(path, 5));
    SHOW(label("%s, truncate to -1", path), truncate(path, -1));
    static const struct { const char *name; int value; } limits[] = {
        { "NAME_MAX", _PC_NAME_MAX }, { "PATH_MAX", _PC_PATH_MAX }, { "LINK_MAX", _PC_LINK_MAX }, { "PIPE_BUF", _PC_PIPE_BUF },
        { "CHOWN_RESTRICTED", _PC_CHOWN_RESTRICTED }, { "NO_TRUNC", _PC_NO_TRUNC }, { "FILESIZEBITS", _PC_FILESIZEBITS }, { "2_SYMLINKS", _PC_2_SYMLINKS },
        { "ALLOC_SIZE_MIN", _PC_ALLOC_SIZE_MIN }, { "REC_XFER_ALIGN", _PC_REC_XFER_ALIGN }, { "REC_MIN_XFER_SIZE", _PC_REC_MIN_XFER_SIZE },
        { "SYNC_IO", _PC_SYNC_IO }, { "ASYNC_IO", _PC_ASYNC_IO }, { "MAX_CANON", _PC_MAX_CANON }, { "none", 999 },
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        SHOW(label("%s, pathconf of %s", path, limits[i].name), (errno = 0, pathconf(path, limits[i].value)));
}

static void reopened(const char *path, int flags)
{
    char what[160], text[100], shown[200];
    snprintf(what, sizeof what, "%s, opened by %#x", path, flags);
    int fd = open(path, flags);
    if (fd < 0) {
        show(what, -1);
        return;
    }
    struct stat st;
    MUST(fstat(fd, &st));
    mode_t mode = st.st_mode & 07777;
    SHOW(label("%s, fchmod", what), fchmod(fd, mode));
    SHOW(label("%s, fchown", what), fchown(fd, -1, -1));
    SHOW(label("%s, futimens", what), futimens(fd, NULL));
    SHOW(label("%s, fsetxattr user.x", what), fsetxattr(fd, "user.x", "1", 1, 0));
    SHOW(label("%s, fsetxattr trusted.x", what), fsetxattr(fd, "trusted.x", "1", 1, 0));
    struct { unsigned bytes; int type; char handle[128]; } handle = { .bytes = 128 };
    int mount;
    SHOW(label("%s, handle", what), name_to_handle_at(fd, "", (struct file_handle *)&handle, &mount, AT_EMPTY_PATH));
    MUST(fstat(fd, &st));
    say(label("%s, mode", what), "%o", st.st_mode);
    static const int ways[] = { O_RDONLY, O_WRONLY, O_RDWR };
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) {
            int again = open(label(k ? "/dev/fd/%d" : "/proc/self/fd/%d", fd), ways[i]);
            show(label("%s, again by %d, name %d", what, ways[i], k), again < 0 ? again : 0);
            if (again < 0)
                continue;
            if (i != 1) {
                ssize_t n = read(again, text, sizeof text);
                if (strstr(path, "/proc/net"))
                    say(label("%s, read by %d, name %d", what, ways[i], k), "%d", n > 0);
                else
                    say(label("%s, read by %d, name %d", what, ways[i], k), "'%s'", n < 0 ? errno_name(errno) : escaped(shown, text, n));
            }
            if (i && strstr(path, "mtu")) {
                SHOW(label("%s, written by %d, name %d", what, ways[i], k), pwrite(again, "1400\n", 5, 0));
                show_file(label("%s, then %d, name %d", what, ways[i], k), path);
                spit(path, "1500");
            }
            close(again);
        }
    close(fd);
}

int main(int argc, char **argv)
{
    start_files(argc, argv, "vn9");
    MUST(mkdtemp(folder));
    int tun = tun_attach("vn0", TUN, 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        making(all[i]);
        changing(all[i]);
    }
    static const char *const files[] = { NET "/vn0/mtu", NET "/vn0/type", CONF "/vn0/tag", "/proc/sys/net/ipv4/ip_forward", CONF "/vn0/mc_forwarding", "/proc/net/route" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        reopened(files[i], O_RDONLY);
        if (i != 1 && i < 4) {
            reopened(files[i], O_WRONLY);
            reopened(files[i], O_RDWR);
        }
    }
    close(tun);
    rmdir(folder);
    return 0;
}
