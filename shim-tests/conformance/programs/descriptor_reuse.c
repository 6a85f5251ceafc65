/* A number that was a tunnel becomes something else, and the other way round: calls go to what is
   there now. */
#include "driver.h"

#define TUN (IFF_TUN | IFF_NO_PI)

static int ends[2];

/* Reads and writes the descriptor as the pipe end it should be: 1 when it is one. */
static int is_read_end(int fd)
{
    char c = 0;
    unsigned features;
    MUST(write(ends[1], "p", 1));
    return read(fd, &c, 1) == 1 && c == 'p' && ioctl(fd, TUNGETFEATURES, &features) == -1 && errno == ENOTTY;
}

static int is_tunnel(int fd)
{
    struct ifreq ifr;
    return ioctl(fd, TUNGETIFF, &ifr) == 0;
}

static void replaced(void)
{
    int fd = tun_attach("dr0", TUN, 0), copy;
    MUST(dup2(ends[0], fd));
    say("dup2 of a pipe over a tunnel", "%d exists=%d", is_read_end(fd), exists("dr0"));
    copy = tun_attach("dr0", TUN, 0);
    MUST(dup2(copy, fd));
    say("dup2 of a tunnel over a pipe", "%d", is_tunnel(fd) && is_tunnel(copy));
    MUST(dup3(ends[0], fd, O_CLOEXEC));
    say("dup3 of a pipe over one of two", "%d exists=%d", is_read_end(fd) && is_tunnel(copy), exists("dr0"));
    close(fd);
    close(copy);
    say("all closed", "%d", exists("dr0"));
}

static void reopened(void)
{
    int fd = tun_attach("dr1", TUN, 0), other;
    close(fd);
    other = dup(ends[0]);
    say("a pipe gets the number", "%d %d", other == fd, is_read_end(other));
    close(other);
    other = MUST(open(DEVICE, O_RDWR));
    say("an unattached tunnel gets it", "%d %d", other == fd, !is_tunnel(other) && errno == EBADFD);
    MUST(tun_set_iff(other, "dr2", TUN));
    say("and is attached", "%d", is_tunnel(other));
    FILE *file = fdopen(other, "r+");
    fclose(file);
    other = dup(ends[0]);
    say("a pipe gets it after fclose", "%d %d", other == fd, is_read_end(other));
    close(other);
    for (int i = 0; i < 50; i++) {
        other = tun_attach("dr1", TUN, 0);
        close(other);
    }
    say("fifty times", "%d", other == fd && !exists("dr1"));
}

static void *swap(void *arg)
{
    int fd = *(int *)arg;
    close(fd);
    return (void *)(intptr_t)(dup(ends[0]) == fd);
}

static void by_a_thread(void)
{
    void *same;
    pthread_t thread;
    int fd = tun_attach("dr3", TUN, 0);
    pthread_create(&thread, NULL, swap, &fd);
    pthread_join(thread, &same);
    say("another thread made it a pipe", "%d %d", (int)(intptr_t)same, is_read_end(fd));
    close(fd);
}

/* What a child closes or replaces is only its own. */
static void by_a_child(void)
{
    int fd = tun_attach("dr4", TUN, 0);
    pid_t pid = child();
    if (!pid) {
        MUST(dup2(ends[0], fd));
        _exit(!is_read_end(fd));
    }
    say("a child made it a pipe", "%s", finish(pid));
    say("here it is a tunnel", "%d", is_tunnel(fd));
    pid = vfork();
    if (!pid) {
        dup2(ends[0], fd);
        close(ends[0]);
        _exit(0);
    }
    finish(pid);
    say("after a vfork child replaced it", "%d", is_tunnel(fd));
    pid = child();
    if (!pid) {
        int n = syscall(SYS_close_range, 3, ~0u, 0);
        _exit(n ? 1 : exists("dr4") ? 0 : 2);
    }
    say("a child closed all", "%s", finish(pid));
    say("here it still is", "%d", is_tunnel(fd) && is_read_end(ends[0]));
    close(fd);
    say("gone", "%d", exists("dr4"));
}

/* close_range marks instead of closing; the tunnel goes on. */
static void marked(void)
{
    int fd = tun_attach("dr5", TUN, 0);
    SHOW("close_range CLOEXEC", syscall(SYS_close_range, fd, ~0u, CLOSE_RANGE_CLOEXEC));
    say("is still a tunnel", "%d FD_CLOEXEC=%d", is_tunnel(fd), fcntl(fd, F_GETFD));
    pid_t pid = child();
    if (!pid) {
        execlp("sleep", "sleep", "0", NULL);
        _exit(96);
    }
    say("exec in a child", "%s", finish(pid));
    say("and goes on here", "%d", is_tunnel(fd));
    close(fd);
    SHOW("close of a closed one", close(fd));
    SHOW("close of -1", close(-1));
    SHOW("read of -1", read(-1, &fd, 1));
    SHOW("TUNGETIFF of a large number", ioctl(1000000, TUNGETIFF, &fd));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    MUST(pipe(ends));
    replaced();
    reopened();
    by_a_thread();
    by_a_child();
    marked();
    return 0;
}
