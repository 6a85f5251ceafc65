/* What the device node and a descriptor look like: stat, access, /proc, directory listings. */
#include "driver.h"
#include <glob.h>
#include <sys/sysmacros.h>

static void show_stat(const char *label, int result, const struct stat *st)
{
    if (result)
        show(label, result);
    else
        say(label, "%s rdev=%u:%u nlink=%lu size=%ld blocks=%ld blksize=%ld", S_ISCHR(st->st_mode) ? "chr" : "other",
            major(st->st_rdev), minor(st->st_rdev), (unsigned long)st->st_nlink, (long)st->st_size, (long)st->st_blocks,
            (long)st->st_blksize);
}

static void stats(int fd, int other)
{
    struct stat path, a, b;
    struct statx sx;
    show_stat("stat", stat(DEVICE, &path), &path);
    show_stat("lstat", lstat(DEVICE, &a), &a);
    show_stat("fstatat", fstatat(AT_FDCWD, DEVICE, &a, 0), &a);
    show_stat("fstat", fstat(fd, &a), &a);
    show_stat("fstat of the second", fstat(other, &b), &b);
    show_stat("fstatat AT_EMPTY_PATH", fstatat(fd, "", &b, AT_EMPTY_PATH), &b);
    say("same inode", "%d %d", path.st_ino == a.st_ino && path.st_dev == a.st_dev, a.st_ino == b.st_ino);
    if (statx(AT_FDCWD, DEVICE, 0, STATX_BASIC_STATS, &sx))
        show("statx", -1);
    else
        say("statx", "%s rdev=%u:%u", S_ISCHR(sx.stx_mode) ? "chr" : "other", sx.stx_rdev_major, sx.stx_rdev_minor);
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx))
        show("statx of the descriptor", -1);
    else
        say("statx of the descriptor", "%s rdev=%u:%u", S_ISCHR(sx.stx_mode) ? "chr" : "other", sx.stx_rdev_major,
            sx.stx_rdev_minor);
}

static void names(void)
{
    char buf[4096];
    int entries = 0, type = 0;
    DIR *dir = opendir("/dev/net");
    struct dirent *e;
    SHOW("access R_OK|W_OK", access(DEVICE, R_OK | W_OK));
    SHOW("access F_OK", access(DEVICE, F_OK));
    SHOW("access X_OK", access(DEVICE, X_OK));
    SHOW("access bad mode", access(DEVICE, 99));
    SHOW("faccessat", faccessat(AT_FDCWD, DEVICE, R_OK, AT_EACCESS));
    SHOW("euidaccess", euidaccess(DEVICE, R_OK | W_OK));
    SHOW("readlink", readlink(DEVICE, buf, sizeof buf));
    say("realpath", "%s", realpath(DEVICE, buf) ? buf : errno_name(errno));
    while (dir && (e = readdir(dir)))
        if (!strcmp(e->d_name, "tun"))
            entries++, type = e->d_type;
    if (dir)
        closedir(dir);
    say("readdir", "entries=%d d_type=%s", entries, type == DT_CHR ? "CHR" : "other");
    glob_t found = { 0 };
    int result = glob("/dev/net/t*n", 0, NULL, &found);
    say("glob", "%d %zu", result, found.gl_pathc);
    globfree(&found);
}

static void fdinfo(const char *label, int fd)
{
    char path[64], line[256], pos[64] = "?", flags[64] = "?", iff[64] = "?";
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        sscanf(line, "pos: %63s", pos);
        sscanf(line, "flags: %63s", flags);
        if (!strncmp(line, "iff:", 4))
            snprintf(iff, sizeof iff, "'%.*s'", (int)strcspn(line + 4, "\n"), line + 4);
    }
    if (f)
        fclose(f);
    say(label, "pos=%s flags=%s iff=%s", pos, flags, iff);
}

int main(int argc, char **argv)
{
    unsigned char buf[128];
    char link[64], target[256] = "";
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR)), other = MUST(open(DEVICE, O_RDWR));
    stats(fd, other);
    names();
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    MUST(readlink(link, target, sizeof target - 1));
    say("link in /proc/self/fd", "%s", target);
    fdinfo("fdinfo unattached", fd);
    tun_set_iff(fd, "id0", IFF_TUN | IFF_NO_PI);
    fdinfo("fdinfo attached", fd);
    link_up("id0", 1);
    driver d = drv_attach("id0");
    drv_packet(&d, 60);
    SHOW("read", read(fd, buf, sizeof buf));
    fdinfo("fdinfo after reading 60 bytes", fd);
    return 0;
}
