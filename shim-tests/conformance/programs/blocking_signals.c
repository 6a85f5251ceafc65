/* Blocking reads and signals: EINTR, SA_RESTART, ignored signals, stop and continue. */
#include "driver.h"

static atomic_int handled;
static void on_signal(int number) { (void)number; atomic_fetch_add(&handled, 1); }

static void handle(int number, int flags)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
    atomic_store(&handled, 0);
    MUST(sigaction(number, &action, NULL));
}

static void in_a_thread(int fd, driver *d)
{
    reader r;
    handle(SIGUSR1, 0);
    reader_start(&r, fd, 2048);
    pthread_kill(r.thread, SIGUSR1);
    reader_show(&r, "handler without SA_RESTART", 5000);
    say("handler ran", "%d", handled);
    reader_join(&r);

    handle(SIGUSR1, SA_RESTART);
    reader_start(&r, fd, 2048);
    pthread_kill(r.thread, SIGUSR1);
    EVENTUALLY(handled, 5000);
    reader_show(&r, "handler with SA_RESTART", 30);
    say("handler ran with SA_RESTART", "%d", handled);
    drv_packet(d, 60);
    reader_show(&r, "then a packet", 5000);
    reader_join(&r);

    signal(SIGUSR2, SIG_IGN);
    reader_start(&r, fd, 2048);
    pthread_kill(r.thread, SIGUSR2);
    reader_show(&r, "ignored signal", 30);
    drv_packet(d, 61);
    reader_show(&r, "then another packet", 5000);
    reader_join(&r);
}

/* A signal that is pending before the call: a read of a waiting packet is not interrupted by it. */
static void from_a_child(int fd, driver *d)
{
    unsigned char buf[2048];
    pid_t target = getpid(), pid;
    handle(SIGUSR1, 0);
    pid = child();
    if (!pid) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/stat", target);
        sleeps(target);
        kill(target, SIGUSR1);
        _exit(0);
    }
    SHOW("main thread interrupted", read(fd, buf, sizeof buf));
    say("interrupted once", "%d", handled);
    say("by", "%s", finish(pid));
    drv_packet(d, 60);
    SHOW("the next read is whole", read(fd, buf, sizeof buf));

    struct iovec v = { buf, sizeof buf };
    pid = child();
    if (!pid) {
        sleeps(target);
        kill(target, SIGUSR1);
        _exit(0);
    }
    SHOW("readv interrupted", readv(fd, &v, 1));
    finish(pid);

    handle(SIGUSR1, SA_RESTART);
    pid = child();
    if (!pid) {
        sleeps(target);
        kill(target, SIGUSR1);
        _exit(0);
    }
    struct pollfd p = { fd, POLLIN, 0 };
    SHOW("poll with SA_RESTART", poll(&p, 1, 5000));
    say("poll was interrupted by the handler", "%d", handled);
    finish(pid);
}

static void stop_and_continue(int fd, driver *d)
{
    unsigned char buf[2048];
    int status;
    pid_t pid = child();
    if (!pid)
        _exit(read(fd, buf, sizeof buf));
    say("child blocks", "%d", sleeps(pid));
    kill(pid, SIGSTOP);
    MUST(waitpid(pid, &status, WUNTRACED));
    say("stopped", "%d", WIFSTOPPED(status));
    kill(pid, SIGCONT);
    say("goes on blocking", "%d", sleeps(pid) && waitpid(pid, NULL, WNOHANG) == 0);
    drv_packet(d, 60);
    say("then reads", "%s", finish(pid));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = tun_ready("bs0", IFF_TUN | IFF_NO_PI, 0);
    driver d = drv_attach("bs0");
    in_a_thread(fd, &d);
    from_a_child(fd, &d);
    stop_and_continue(fd, &d);
    return 0;
}
