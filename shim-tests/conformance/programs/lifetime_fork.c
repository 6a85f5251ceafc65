/* How long an interface lives: close, dup, fork, exit, kill. "Gone" is asked at once, never after a
   while. */
#include "driver.h"

#define TUN (IFF_TUN | IFF_NO_PI)

static void in_one_process(void)
{
    int fd = MUST(open(DEVICE, O_RDWR)), a, b;
    say("before TUNSETIFF", "%d", exists("lf0"));
    MUST(tun_set_iff(fd, "lf0", TUN));
    say("after TUNSETIFF", "%d", exists("lf0"));
    close(fd);
    say("after close", "%d", exists("lf0"));

    fd = tun_attach("lf0", TUN, 0);
    a = dup(fd);
    b = MUST(fcntl(fd, F_DUPFD_CLOEXEC, 50));
    close(fd);
    close(a);
    say("a copy is left", "%d", exists("lf0"));
    close(b);
    say("none is left", "%d", exists("lf0"));

    fd = tun_attach("lf0", TUN, 0);
    MUST(dup2(0, fd));
    say("dup2 over it", "%d", exists("lf0"));
    close(fd);
    fd = tun_attach("lf0", TUN, 0);
    a = dup(0);
    MUST(dup2(fd, a));
    close(fd);
    say("dup2 target keeps it", "%d", exists("lf0"));
    MUST(dup3(0, a, O_CLOEXEC));
    say("dup3 over it", "%d", exists("lf0"));
    close(a);

    fd = tun_attach("lf0", TUN, 0);
    MUST(syscall(SYS_close_range, fd, fd, 0));
    say("close_range by syscall()", "%d", exists("lf0"));
    fd = MUST(fcntl(a = tun_attach("lf0", TUN, 0), F_DUPFD, 200));
    close(a);
    MUST(close_range(200, 300, 0));
    say("close_range", "%d", exists("lf0"));
    fd = MUST(fcntl(a = tun_attach("lf0", TUN, 0), F_DUPFD, 200));
    close(a);
    closefrom(200);
    say("closefrom", "%d", exists("lf0"));
    FILE *file = fdopen(tun_attach("lf0", TUN, 0), "r+");
    fclose(file);
    say("fclose", "%d", exists("lf0"));
    SHOW("read after all that", read(fd, &a, sizeof a));
}

static void *closer(void *fd)
{
    close((int)(intptr_t)fd);
    return NULL;
}

static void by_a_thread(void)
{
    pthread_t thread;
    int fd = tun_attach("lf1", TUN, 0);
    pthread_create(&thread, NULL, closer, (void *)(intptr_t)fd);
    pthread_join(thread, NULL);
    say("closed by another thread", "%d", exists("lf1"));
}

static void forked(void)
{
    gate go, done;
    int fd = tun_ready("lf2", TUN, 0);
    gate_make(&go);
    gate_make(&done);
    pid_t pid = child();
    if (!pid) {
        unsigned char buf[64];
        gate_wait(&go);
        MUST(write(fd, packet(buf, 60), 60));
        gate_open(&done);
        gate_wait(&go);
        _exit(read(fd, buf, sizeof buf));
    }
    driver d = drv_attach("lf2");
    close(fd);
    say("the child has a copy", "%d", exists("lf2"));
    gate_open(&go);
    gate_wait(&done);
    show_recv("the child's write", &d);
    drv_packet(&d, 60);
    gate_open(&go);
    say("the child's read", "%s", finish(pid));
    say("gone with the child", "%d", exists("lf2"));
    drv_detach(&d);
}

static void attached_in_a_child(void)
{
    struct ifreq ifr;
    int fd = MUST(open(DEVICE, O_RDWR));
    pid_t pid = child();
    if (!pid)
        _exit(tun_set_iff(fd, "lf3", TUN));
    say("TUNSETIFF in a child", "%s", finish(pid));
    say("outlives the child", "%d", exists("lf3"));
    SHOW("TUNGETIFF in the parent", ioctl(fd, TUNGETIFF, &ifr));
    say("its name", "%s", ifr.ifr_name);
    SHOW("TUNSETIFF in the parent", tun_set_iff(fd, "lf4", TUN));
    close(fd);
    say("gone with the parent's", "%d", exists("lf3"));
}

/* Opened and attached in a child that ends without close: exit, SIGKILL, seen while it is a zombie.
   */
static void ended(const char *how, int by_signal)
{
    char text[80];
    siginfo_t info;
    gate ready;
    gate_make(&ready);
    pid_t pid = child();
    if (!pid) {
        tun_attach("lf5", TUN, 0);
        gate_open(&ready);
        if (by_signal)
            pause();
        _exit(0);
    }
    gate_wait(&ready);
    if (by_signal) {
        say("a child's interface", "%d", exists("lf5"));
        kill(pid, SIGKILL);
    }
    MUST(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    snprintf(text, sizeof text, "%s, already while a zombie", how);
    say(text, "%d", exists("lf5"));
    finish(pid);
    snprintf(text, sizeof text, "%s, after wait", how);
    say(text, "%d", exists("lf5"));
}

/* A vfork child shares its parent's memory; what it closes is only its own. */
static void vforked(void)
{
    struct ifreq ifr;
    int fd = tun_attach("lf6", TUN, 0);
    pid_t pid = vfork();
    if (!pid) {
        close(fd);
        execl("/bin/true", "true", NULL);
        _exit(1);
    }
    say("vfork, close, exec", "%s", finish(pid));
    say("the parent's is there", "%d", exists("lf6"));
    SHOW("TUNGETIFF after vfork", ioctl(fd, TUNGETIFF, &ifr));
    MUST(system("exec 3>&- 4>&- 5>&-; true"));
    SHOW("TUNGETIFF after system()", ioctl(fd, TUNGETIFF, &ifr));
    close(fd);
    say("gone after close", "%d", exists("lf6"));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    in_one_process();
    by_a_thread();
    forked();
    attached_in_a_child();
    ended("exit", 0);
    ended("SIGKILL", 1);
    vforked();
    return 0;
}
