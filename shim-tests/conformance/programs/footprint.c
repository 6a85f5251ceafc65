/* Side effects: a tunnel costs one descriptor and nothing else that the process could notice. */
#include "driver.h"
#include <sys/resource.h>

static int count(const char *path)
{
    int n = 0;
    DIR *dir = opendir(path);
    while (dir && readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static int lowest_free(void)
{
    int fd = MUST(dup(0));
    close(fd);
    return fd;
}

static void nofile(void)
{
    struct rlimit old, tight;
    int fd;
    MUST(getrlimit(RLIMIT_NOFILE, &old));
    tight = old;
    tight.rlim_cur = lowest_free() + 1;
    MUST(setrlimit(RLIMIT_NOFILE, &tight));
    fd = open(DEVICE, O_RDWR);
    say("one slot left, open", "%s", fd >= 0 ? "ok" : errno_name(errno));
    SHOW("one slot left, TUNSETIFF", tun_set_iff(fd, "nf0", IFF_TUN | IFF_NO_PI));
    SHOW("one slot left, second open", open(DEVICE, O_RDWR));
    SHOW("one slot left, write", write(fd, "E", 1));
    close(fd);
    MUST(setrlimit(RLIMIT_NOFILE, &old));
}

static void numbers(void)
{
    int fds[32], opened = 0, hole, fd;
    for (int i = 0; i < 32; i++)
        opened += (fds[i] = open(DEVICE, O_RDWR)) >= 0;
    say("opens at once", "%d of 32", opened);
    hole = fds[7];
    close(hole);
    fd = open(DEVICE, O_RDWR);
    say("lowest free descriptor", "%s", fd == hole ? "yes" : "no");
    for (int i = 0; i < 32; i++)
        close(fds[i]);
    say("standard descriptors open", "%d%d%d", fcntl(0, F_GETFD) >= 0, fcntl(1, F_GETFD) >= 0, fcntl(2, F_GETFD) >= 0);
}

int main(int argc, char **argv)
{
    struct sigaction before, after;
    sigset_t mask_before, mask_after;
    start(argc, argv);
    sigprocmask(SIG_BLOCK, NULL, &mask_before);
    sigaction(SIGIO, NULL, &before);
    int descriptors = count("/proc/self/fd"), threads = count("/proc/self/task"), next = lowest_free();
    int fd = tun_ready("fp0", IFF_TUN | IFF_NO_PI, 0);
    say("descriptors", "%+d", count("/proc/self/fd") - descriptors);
    say("next free number", "%d", lowest_free() - next);
    say("the descriptor was the lowest free", "%d", fd == next);
    say("threads", "%+d", count("/proc/self/task") - threads);
    SHOW("children", waitpid(-1, NULL, WNOHANG));
    sigprocmask(SIG_BLOCK, NULL, &mask_after);
    sigaction(SIGIO, NULL, &after);
    say("signals", "mask_same=%d sigio_same=%d", !memcmp(&mask_before, &mask_after, 8),
        before.sa_handler == after.sa_handler);
    close(fd);
    say("descriptors after close", "%+d", count("/proc/self/fd") - descriptors);
    nofile();
    numbers();
    return 0;
}
