/* What /proc says of a tunnel's descriptor, by every road to it. */
#include "driver.h"
#include <linux/openat2.h>
#include <sys/file.h>

static char text[2000];

static int slurp(int fd)
{
    ssize_t n, len = 0;
    if (fd < 0)
        return -1;
    while ((n = read(fd, text + len, sizeof text - 1 - len)) > 0)
        len += n;
    text[len] = 0;
    close(fd);
    return 0;
}

/* The lines, with what differs from run to run as a predicate. */
static void show_info(const char *label, int result, int tun)
{
    char out[500] = "", *line, *rest = text;
    struct stat st = { 0 };
    if (result < 0) {
        show(label, result);
        return;
    }
    if (tun >= 0)
        MUST(fstat(tun, &st));
    while ((line = strsep(&rest, "\n")) && *line) {
        char *end = out + strlen(out), *value = strchr(line, '\t');
        *value++ = 0;
        if (!strcmp(line, "ino:"))
            sprintf(end, " ino=%d", tun < 0 || strtoull(value, NULL, 10) == st.st_ino);
        else if (!strcmp(line, "mnt_id:"))
            sprintf(end, " mnt_id");
        else
            sprintf(end, " %s%s", line, value);
    }
    say(label, "%s", out + 1);
}

static void roads(int fd)
{
    char path[100], name[20];
    int dir, link;
    sprintf(name, "%d", fd);
#define PATH(...) (snprintf(path, sizeof path, __VA_ARGS__), path)
    show_info("/proc/self", slurp(open(PATH("/proc/self/fdinfo/%d", fd), O_RDONLY)), fd);
    show_info("/proc/PID", slurp(open(PATH("/proc/%d/fdinfo/%d", getpid(), fd), O_RDONLY | O_CLOEXEC)), fd);
    show_info("/proc/thread-self", slurp(open(PATH("/proc/thread-self/fdinfo/%d", fd), O_RDONLY)), fd);
    show_info("/proc/self/task/TID", slurp(open(PATH("/proc/self/task/%d/fdinfo/%d", getpid(), fd), O_RDONLY)), fd);
    show_info("//proc/./self", slurp(open(PATH("//proc/./self//fdinfo/%d", fd), O_RDONLY)), fd);
    show_info("/dev/fd/../fdinfo", slurp(open(PATH("/dev/fd/../fdinfo/%d", fd), O_RDONLY)), fd);
    show_info("/proc/self/root", slurp(open(PATH("/proc/self/root/proc/self/fdinfo/%d", fd), O_RDONLY)), fd);
    dir = MUST(open("/proc/self/fdinfo", O_RDONLY | O_DIRECTORY));
    show_info("openat a directory", slurp(openat(dir, name, O_RDONLY)), fd);
    close(dir);
    dir = MUST(open("/proc/self", O_PATH | O_DIRECTORY));
    show_info("openat above", slurp(openat(dir, PATH("fdinfo/%d", fd), O_RDONLY)), fd);
    MUST(fchdir(dir));
    close(dir);
    show_info("relative", slurp(open(PATH("fdinfo/%d", fd), O_RDONLY)), fd);
    MUST(chdir("/proc/self/fdinfo"));
    show_info("relative, the number", slurp(open(name, O_RDONLY)), fd);
    MUST(chdir("/"));
    struct open_how how = { .flags = O_RDONLY };
    show_info("openat2", slurp(syscall(SYS_openat2, AT_FDCWD, PATH("/proc/self/fdinfo/%d", fd), &how, sizeof how)), fd);
    SHOW("openat2 of a closed number", syscall(SYS_openat2, AT_FDCWD, "/proc/self/fdinfo/900", &how, sizeof how));
    show_info("syscall(SYS_openat)", slurp(syscall(SYS_openat, AT_FDCWD, PATH("/proc/self/fdinfo/%d", fd), O_RDONLY)), fd);
    link = open(PATH("/proc/self/fdinfo/%d", fd), O_RDONLY);
    say("number and close-on-exec", "%d %d", link == fd + 1, fcntl(link, F_GETFD));
    close(link);
    FILE *file = fopen(PATH("/proc/self/fdinfo/%d", fd), "re");
    say("fopen, close-on-exec", "%d", fcntl(fileno(file), F_GETFD));
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    show_info("fopen", 0, fd);
    fclose(file);
    SHOW("a closed number", open("/proc/self/fdinfo/900", O_RDONLY));
}

int main(int argc, char **argv)
{
    char path[60];
    static unsigned char buf[200];
    int ends[2], fd = -1;
    gate ready, go;
    start(argc, argv);
    fd = MUST(open(DEVICE, O_RDWR));
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    show_info("unattached", slurp(open(path, O_RDONLY)), fd);
    MUST(tun_set_iff(fd, "fi0", IFF_TUN | IFF_NO_PI));
    link_up("fi0", 1);
    roads(fd);
    driver d = drv_attach("fi0");
    drv_packet(&d, 77);
    SHOW("read", read(fd, buf, sizeof buf));
    show_info("after a read", slurp(open(path, O_RDONLY)), fd);
    MUST(fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND));
    show_info("with O_NONBLOCK and O_APPEND", slurp(open(path, O_RDONLY)), fd);
    MUST(fcntl(fd, F_SETFD, FD_CLOEXEC));
    show_info("with close-on-exec", slurp(open(path, O_RDONLY)), fd);
    show_result("rename", (link_up("fi0", 0), drv_rename(&d, "fi0", "fi7")));
    show_info("renamed", slurp(open(path, O_RDONLY)), fd);

    /* Another process's. */
    gate_make(&ready);
    gate_make(&go);
    pid_t pid = child();
    if (!pid) {
        int own = open(DEVICE, O_RDONLY);
        tun_set_iff(own, "fi1", IFF_TAP | IFF_NO_PI);
        dup2(own, 77);
        gate_open(&ready);
        gate_wait(&go);
        _exit(0);
    }
    gate_wait(&ready);
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", pid, fd);
    show_info("inherited by a child", slurp(open(path, O_RDONLY)), fd);
    snprintf(path, sizeof path, "/proc/%d/fdinfo/77", pid);
    show_info("a child's own", slurp(open(path, O_RDONLY)), fd);
    gate_open(&go);
    finish(pid);

    int one = MUST(open(DEVICE, O_WRONLY | O_SYNC | O_CLOEXEC));
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", one);
    show_info("O_WRONLY, O_SYNC", slurp(open(path, O_RDONLY)), one);
    close(one);
    /* Files that are none. */
    MUST(pipe(ends));
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", ends[0]);
    show_info("a pipe", slurp(open(path, O_RDONLY)), ends[0]);
    int file = MUST(open("/tmp", O_RDWR | O_TMPFILE, 0600));
    MUST(flock(file, LOCK_SH));
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", file);
    MUST(slurp(open(path, O_RDONLY)));
    say("a file with a lock", "%s", strstr(text, "FLOCK  ADVISORY  READ") ? "shows it" : text);
    drv_detach(&d);
    return 0;
}
