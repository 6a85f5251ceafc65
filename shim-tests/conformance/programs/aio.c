/* POSIX AIO on a tunnel: libc's helper threads read and write for the program. */
#include "driver.h"
#include <aio.h>

#define TUN (IFF_TUN | IFF_NO_PI)

static unsigned char b[4][2048];
static driver d;

static struct aiocb *request(int slot, int fd, void *data, size_t n)
{
    static struct aiocb requests[8];
    struct aiocb *a = &requests[slot];
    memset(a, 0, sizeof *a);
    a->aio_fildes = fd;
    a->aio_buf = data;
    a->aio_nbytes = n;
    a->aio_sigevent.sigev_notify = SIGEV_NONE;
    return a;
}

static int wait_for(struct aiocb *a)
{
    const struct aiocb *list[] = { a };
    struct timespec t = { 5, 0 };
    return aio_suspend(list, 1, &t);
}

/* The request's end: its error and its value. */
static void show_end(const char *label, struct aiocb *a, const void *data)
{
    char text[160];
    if (wait_for(a)) {
        say(label, "not done, %s", errno_name(errno));
        return;
    }
    int error = aio_error(a);
    long value = aio_return(a);
    if (error)
        say(label, "%s value=%ld", errno_name(error), value);
    else if (data && value > 0)
        say(label, "%ld data=%s", value, describe_data(text, data, value));
    else
        say(label, "%ld", value);
}

static void simple(int fd)
{
    struct aiocb *a = request(0, fd, b[0], sizeof b[0]);
    drv_packet(&d, 60);
    SHOW("aio_read with a packet there", aio_read(a));
    show_end("it read", a, b[0]);
    show_poll("the queue is empty", fd, POLL_ALL, 0);
    a = request(0, fd, packet(b[0], 60), 60);
    SHOW("aio_write", aio_write(a));
    show_end("it wrote", a, NULL);
    show_recv("what came out", &d);
    show_poll("nothing came in", fd, POLL_ALL, 0);
    a = request(0, fd, b[0], 20);
    drv_packet(&d, 60);
    aio_read(a);
    show_end("cut to 20", a, b[0]);
    a = request(0, fd, b[0], 0);
    aio_read(a);
    show_end("of nothing", a, b[0]);
    a = request(0, fd, "x", 1);
    aio_write(a);
    show_end("no packet", a, NULL);
    a = request(0, fd, BAD_POINTER, 60);
    aio_write(a);
    show_end("bad pointer", a, NULL);
    a = request(0, fd, packet(b[0], 60), 60);
    a->aio_offset = -5;
    aio_write(a);
    show_end("negative offset", a, NULL);
    a = request(0, fd, packet(b[0], 60), 60);
    a->aio_offset = 77;
    aio_write(a);
    show_end("an offset", a, NULL);
    show_recv("what came out of it", &d);
    a = request(0, fd, b[0], 60);
    a->aio_reqprio = -1;
    SHOW("bad priority", aio_read(a));
    show_end("bad priority, end", a, NULL);
    a = request(0, fd, NULL, 0);
    SHOW("aio_fsync", aio_fsync(O_SYNC, a));
    show_end("aio_fsync, end", a, NULL);
    SHOW("aio_fsync of another kind", aio_fsync(O_RDWR, a));
}

static void waiting(int fd)
{
    struct aiocb *a[4];
    const struct aiocb *list[4];
    struct timespec little = { 0, 200000000 };
    for (int i = 0; i < 4; i++) {
        list[i] = a[i] = request(i, fd, b[i], sizeof b[i]);
        SHOW(i ? i == 1 ? "a second read" : i == 2 ? "a third" : "a fourth" : "a read that waits", aio_read(a[i]));
    }
    say("in progress", "%s", errno_name(aio_error(a[0])));
    SHOW("aio_suspend for a little", aio_suspend(list, 4, &little));
    SHOW("aio_cancel of the first", aio_cancel(fd, a[0]));
    SHOW("aio_cancel of the last", aio_cancel(fd, a[3]));
    show_end("the last", a[3], NULL);
    SHOW("aio_cancel again", aio_cancel(fd, a[3]));
    drv_packet(&d, 60);
    show_end("the first", a[0], b[0]);
    say("the second", "%s", errno_name(aio_error(a[1])));
    drv_packet(&d, 61);
    drv_packet(&d, 62);
    show_end("the second, end", a[1], b[1]);
    show_end("the third", a[2], b[2]);
    SHOW("aio_cancel of all", aio_cancel(fd, NULL));
    SHOW("aio_cancel, another descriptor", aio_cancel(fd, request(0, fd + 1, NULL, 0)));
    SHOW("aio_cancel of none", aio_cancel(-1, NULL));
    a[0] = request(0, fd, b[0], 2000);
    a[1] = request(1, fd, b[1], 2000);
    aio_read(a[0]);
    list[0] = a[0];
    aio_suspend(list, 1, &little);
    aio_read(a[1]);
    SHOW("aio_cancel of one running and one queued", aio_cancel(fd, NULL));
    show_end("the queued one", a[1], NULL);
    drv_packet(&d, 60);
    show_end("the running one", a[0], b[0]);
}

static atomic_int signals, code, value, threads;
static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    code = info->si_code;
    value = info->si_value.sival_int;
    signals++;
}
static void on_thread(union sigval v) { value = v.sival_int; threads++; }

static void notified(int fd)
{
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
    struct aiocb *a = request(0, fd, b[0], sizeof b[0]);
    sigaction(SIGUSR1, &action, NULL);
    a->aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    a->aio_sigevent.sigev_signo = SIGUSR1;
    a->aio_sigevent.sigev_value.sival_int = 5;
    aio_read(a);
    drv_packet(&d, 60);
    int told = EVENTUALLY(signals, 2000);
    say("by a signal", "%d SI_ASYNCIO=%d value=%d", told, code == SI_ASYNCIO, value);
    show_end("by a signal, end", a, b[0]);
    a = request(0, fd, packet(b[0], 60), 60);
    a->aio_sigevent.sigev_notify = SIGEV_THREAD;
    a->aio_sigevent.sigev_notify_function = on_thread;
    a->aio_sigevent.sigev_value.sival_int = 6;
    aio_write(a);
    told = EVENTUALLY(threads, 2000);
    say("by a thread", "%d value=%d", told, value);
    show_end("by a thread, end", a, NULL);
    show_recv("by a thread, received", &d);
}

static void interrupted(int fd)
{
    struct aiocb *a = request(0, fd, b[0], sizeof b[0]);
    signals = 0;
    aio_read(a);
    pid_t parent = getpid(), pid = child();
    if (!pid) {
        for (int i = 0; i < 3; i++)
            sleeps(parent);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    SHOW("aio_suspend and a signal", wait_for(a));
    finish(pid);
    drv_packet(&d, 60);
    show_end("afterwards", a, b[0]);
}

static void lists(int fd)
{
    int ends[2];
    MUST(pipe(ends));
    struct aiocb *in = request(0, fd, b[0], sizeof b[0]), *out = request(1, fd, packet(b[1], 60), 60),
                 *other = request(2, ends[1], "pipe", 4), *none = request(3, fd, NULL, 0);
    struct aiocb *list[] = { in, NULL, out, other, none };
    in->aio_lio_opcode = LIO_READ;
    out->aio_lio_opcode = other->aio_lio_opcode = LIO_WRITE;
    none->aio_lio_opcode = LIO_NOP;
    drv_packet(&d, 60);
    SHOW("lio_listio, LIO_WAIT", lio_listio(LIO_WAIT, list, 5, NULL));
    show_end("its read", in, b[0]);
    show_end("its write", out, NULL);
    show_end("its write to a pipe", other, NULL);
    show_recv("its packet", &d);
    show_data("the pipe", read(ends[0], b[2], 10), b[2]);

    out = request(1, fd, "x", 1);
    out->aio_lio_opcode = LIO_WRITE;
    other = request(2, ends[1], "pipe", 4);
    other->aio_lio_opcode = LIO_WRITE;
    struct aiocb *bad[] = { out, other };
    SHOW("lio_listio with one that fails", lio_listio(LIO_WAIT, bad, 2, NULL));
    show_end("the one that fails", out, NULL);
    show_end("the other", other, NULL);
    SHOW("lio_listio of a bad mode", lio_listio(99, bad, 2, NULL));

    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 9 };
    signals = 0;
    in = request(0, fd, b[0], sizeof b[0]);
    other = request(2, ends[1], "pipe", 4);
    other->aio_lio_opcode = LIO_WRITE;
    struct aiocb *some[] = { in, other };
    SHOW("lio_listio, LIO_NOWAIT", lio_listio(LIO_NOWAIT, some, 2, &event));
    show_end("the other, at once", other, NULL);
    say("no signal yet", "%d", signals);
    drv_packet(&d, 60);
    int told = EVENTUALLY(signals, 2000);
    say("a signal for the list", "%d value=%d", told, value);
    show_end("the read of the list", in, b[0]);

    /* One list of both kinds: whichever is done first ends the wait. */
    struct timespec t = { 5, 0 };
    in = request(0, fd, b[0], sizeof b[0]);
    other = request(1, ends[0], b[1], sizeof b[1]);
    while (poll(&(struct pollfd){ ends[0], POLLIN, 0 }, 1, 0) == 1)
        MUST(read(ends[0], b[2], sizeof b[2]));
    aio_read(in);
    aio_read(other);
    const struct aiocb *both[] = { in, other };
    MUST(write(ends[1], "pipe", 4));
    SHOW("aio_suspend, the pipe is first", aio_suspend(both, 2, &t));
    show_end("the pipe's read", other, b[1]);
    say("the tunnel's", "%s", errno_name(aio_error(in)));
    other = request(1, ends[0], b[1], sizeof b[1]);
    aio_read(other);
    both[1] = other;
    drv_packet(&d, 60);
    SHOW("aio_suspend, the tunnel is first", aio_suspend(both, 2, &t));
    show_end("the tunnel's read", in, b[0]);
    say("the pipe's", "%s", errno_name(aio_error(other)));
    MUST(write(ends[1], "pipe", 4));
    show_end("the pipe's in the end", other, b[1]);
}

static void *suspended(void *a)
{
    const struct aiocb *list[] = { a };
    aio_suspend(list, 1, NULL);
    return NULL;
}

static void ends(int fd)
{
    pthread_t thread;
    void *result;
    struct aiocb *a = request(0, fd, b[0], sizeof b[0]);
    aio_read(a);
    pthread_create(&thread, NULL, suspended, a);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    say("aio_suspend is cancelled", "%d", result == PTHREAD_CANCELED);
    drv_packet(&d, 60);
    show_end("the request that it waited for", a, b[0]);
    a = request(0, fd, b[0], sizeof b[0]);
    close(fd);
    aio_read(a);
    show_end("closed", a, NULL);
    fd = MUST(open(DEVICE, O_RDWR));
    a = request(0, fd, b[0], sizeof b[0]);
    aio_read(a);
    show_end("unattached", a, NULL);
    close(fd);
    fd = tun_ready("ai1", TUN, O_NONBLOCK);
    a = request(0, fd, b[0], sizeof b[0]);
    aio_read(a);
    show_end("O_NONBLOCK", a, NULL);
    close(fd);
    fd = MUST(open(DEVICE, O_RDONLY));
    MUST(tun_set_iff(fd, "ai1", TUN));
    a = request(0, fd, packet(b[0], 60), 60);
    aio_write(a);
    show_end("O_RDONLY", a, NULL);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = tun_ready("ai0", TUN, 0);
    d = drv_attach("ai0");
    simple(fd);
    waiting(fd);
    notified(fd);
    interrupted(fd);
    lists(fd);
    ends(fd);
    return 0;
}
