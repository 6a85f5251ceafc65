/* SIGBUS with a tunnel open: the program's own handler, mask and files that are cut are its own
   affair. */
#include "driver.h"
#include <setjmp.h>
#include <sys/mman.h>

static volatile int ran, bus_blocked, usr1_blocked;
static sigjmp_buf back;

static void look(int signal)
{
    sigset_t now;
    (void)signal;
    MUST(sigprocmask(SIG_SETMASK, NULL, &now));
    ran++;
    bus_blocked = sigismember(&now, SIGBUS);
    usr1_blocked = sigismember(&now, SIGUSR1);
}

static void look_and_jump(int signal)
{
    look(signal);
    siglongjmp(back, 1);
}

static void set(void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
    sigaddset(&action.sa_mask, SIGUSR1);
    MUST(sigaction(SIGBUS, &action, NULL));
}

static void block(int how)
{
    sigset_t bus;
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    MUST(sigprocmask(how, &bus, NULL));
}

/* A mapping whose file was cut. */
static volatile char *cut(void)
{
    int file = MUST(memfd_create("cut", 0));
    MUST(ftruncate(file, 4096));
    char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    MUST(ftruncate(file, 0));
    close(file);
    return at;
}

static void show_handler(const char *label)
{
    say(label, "ran %d, SIGBUS blocked %d, SIGUSR1 blocked %d", ran, bus_blocked, usr1_blocked);
    ran = bus_blocked = usr1_blocked = 0;
}

/* How a child ends. */
static void show_end(const char *label, void (*child)(void))
{
    int status = 0;
    pid_t pid = MUST(fork());
    if (pid == 0) {
        alarm(10);
        child();
        _exit(42);
    }
    MUST(waitpid(pid, &status, 0));
    if (WIFSIGNALED(status))
        say(label, "signal %d", WTERMSIG(status));
    else
        say(label, "exit %d", WEXITSTATUS(status));
}

static void access_with_default(void) { set(SIG_DFL, 0); *cut() = 1; }
static void access_while_ignored(void) { set(SIG_IGN, 0); *cut() = 1; }
static void access_while_blocked(void) { set(look, 0); block(SIG_BLOCK); *cut() = 1; }
static void sent_with_default(void) { set(SIG_DFL, 0); kill(getpid(), SIGBUS); }
static void sent_while_ignored(void) { set(SIG_IGN, 0); kill(getpid(), SIGBUS); }

int main(int argc, char **argv)
{
    struct sigaction now;
    sigset_t pending, bus;
    int got = 0;
    start(argc, argv);
    MUST(sigaction(SIGBUS, NULL, &now));
    say("at the beginning", "%d", now.sa_handler == SIG_DFL);
    int fd = tun_ready("sb0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    MUST(sigaction(SIGBUS, NULL, &now));
    say("with a tunnel", "%d", now.sa_handler == SIG_DFL);
    set(look_and_jump, SA_RESTART);
    MUST(sigaction(SIGBUS, NULL, &now));
    say("read back", "%d %d %d", now.sa_handler == look_and_jump, !!(now.sa_flags & SA_RESTART), sigismember(&now.sa_mask, SIGUSR1));
    if (sigsetjmp(back, 1) == 0)
        *cut() = 1;
    show_handler("an access");
    set(look, SA_NODEFER);
    raise(SIGBUS);
    show_handler("raised, SA_NODEFER");
    set(look, SA_RESETHAND);
    raise(SIGBUS);
    MUST(sigaction(SIGBUS, NULL, &now));
    show_handler("raised, SA_RESETHAND");
    say("and then", "%d", now.sa_handler == SIG_DFL);
    say("signal()", "%d", signal(SIGBUS, look) == SIG_DFL);
    raise(SIGBUS);
    show_handler("raised, signal()");

    block(SIG_BLOCK);
    kill(getpid(), SIGBUS);
    MUST(sigpending(&pending));
    say("pending while blocked", "%d", sigismember(&pending, SIGBUS));
    show_handler("not run");
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    SHOW("sigwait", sigwait(&bus, &got));
    say("it", "%d", got);
    kill(getpid(), SIGBUS);
    block(SIG_UNBLOCK);
    show_handler("let in");

    show_end("an access with SIG_DFL", access_with_default);
    show_end("an access with SIG_IGN", access_while_ignored);
    show_end("an access with SIGBUS blocked", access_while_blocked);
    show_end("sent with SIG_DFL", sent_with_default);
    show_end("sent with SIG_IGN", sent_while_ignored);
    close(fd);
    return 0;
}
