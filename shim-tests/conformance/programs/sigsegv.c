/* SIGSEGV with a tunnel open: handlers, stacks, masks and ends are the program's own affair, and a
 * bad pointer that is given to a tunnel is EFAULT and no signal. */
#include "driver.h"
#include <setjmp.h>
#include <spawn.h>
#include <sys/resource.h>
#include <ucontext.h>

static volatile int ran, on_alternate, blocked, usr1_blocked, code;
static char *volatile page;
static void *volatile fault;
static sigjmp_buf back;
static int tunnel;
static void *volatile bad = BAD_POINTER;

static void look(int number, siginfo_t *info, void *context)
{
    sigset_t now;
    stack_t stack;
    (void)number;
    (void)context;
    MUST(sigprocmask(SIG_SETMASK, NULL, &now));
    MUST(sigaltstack(NULL, &stack));
    ran++;
    blocked = sigismember(&now, SIGSEGV);
    usr1_blocked = sigismember(&now, SIGUSR1);
    on_alternate = !!(stack.ss_flags & SS_ONSTACK);
    code = info->si_code;
    fault = info->si_addr;
}

static void look_and_jump(int number, siginfo_t *info, void *context)
{
    look(number, info, context);
    siglongjmp(back, 1);
}

/* As runtimes do: the page is made accessible, and the access made again. */
static void look_and_mend(int number, siginfo_t *info, void *context)
{
    look(number, info, context);
    MUST(mprotect(page, page_size(), PROT_READ | PROT_WRITE));
}

static void fail_again(int number, siginfo_t *info, void *context)
{
    look(number, info, context);
    *(volatile char *)bad = 1;
}

static void look_and_write(int number, siginfo_t *info, void *context)
{
    char byte[60] = { 0x45 };
    look(number, info, context);
    SHOW("write in the handler", write(tunnel, byte, sizeof byte));
    siglongjmp(back, 1);
}

static void set(void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO };
    sigaddset(&action.sa_mask, SIGUSR1);
    MUST(sigaction(SIGSEGV, &action, NULL));
}

static void set_plain(void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };
    MUST(sigaction(SIGSEGV, &action, NULL));
}

static void block(int how)
{
    sigset_t segv;
    sigemptyset(&segv);
    sigaddset(&segv, SIGSEGV);
    MUST(sigprocmask(how, &segv, NULL));
}

static void alternate_stack(void)
{
    static __thread char memory[65536];
    stack_t stack = { .ss_sp = memory, .ss_size = sizeof memory };
    MUST(sigaltstack(&stack, NULL));
}

static void show_handler(const char *label)
{
    const char *what = code == SEGV_MAPERR ? "MAPERR" : code == SEGV_ACCERR ? "ACCERR" : code == SI_TKILL ? "TKILL" : "other";
    say(label, "ran %d, blocked %d, SIGUSR1 blocked %d, alternate stack %d, %s", ran, blocked, usr1_blocked, on_alternate,
        ran ? what : "none");
    ran = blocked = usr1_blocked = on_alternate = code = 0;
}

/* How a child ends. */
static void show_end(const char *label, void (*run)(void))
{
    int status = 0;
    struct rlimit none = { 0, 0 };
    fflush(stdout);
    pid_t pid = MUST(fork());
    if (pid == 0) {
        alarm(10);
        setrlimit(RLIMIT_CORE, &none);
        run();
        _exit(42);
    }
    MUST(waitpid(pid, &status, 0));
    if (WIFSIGNALED(status))
        say(label, "signal %d", WTERMSIG(status));
    else
        say(label, "exit %d", WEXITSTATUS(status));
}

static void access_bad(void) { *(volatile char *)bad = 1; }
static void access_with_default(void) { set_plain(SIG_DFL); access_bad(); }
static void access_while_ignored(void) { set_plain(SIG_IGN); access_bad(); }
static void access_while_blocked(void) { set(look, 0); block(SIG_BLOCK); access_bad(); }
static void access_in_handler(void) { set(fail_again, 0); access_bad(); }
static void sent_with_default(void) { set_plain(SIG_DFL); kill(getpid(), SIGSEGV); }
static void sent_while_ignored(void) { set_plain(SIG_IGN); kill(getpid(), SIGSEGV); }

static volatile char sink;
static __attribute__((noinline)) void overflow(int depth)
{
    volatile char much[4096];
    much[0] = depth;
    if (depth >= 0)
        overflow(depth + 1);
    sink = much[0];
}

static void exit_in_handler(int number, siginfo_t *info, void *context)
{
    look(number, info, context);
    _exit(on_alternate ? 7 : 8);
}

static void small_stack(void)
{
    struct rlimit limit = { 1 << 20, 1 << 20 };
    setrlimit(RLIMIT_STACK, &limit);
}

static void overflow_default(void) { small_stack(); set_plain(SIG_DFL); overflow(0); }
static void overflow_alternate(void) { small_stack(); alternate_stack(); set(exit_in_handler, SA_ONSTACK); overflow(0); }
static void overflow_same_stack(void) { small_stack(); alternate_stack(); set(exit_in_handler, 0); overflow(0); }

static void *thread_accesses(void *unused)
{
    (void)unused;
    alternate_stack();
    if (sigsetjmp(back, 1) == 0)
        access_bad();
    show_handler("an access of another thread");
    return NULL;
}

static void *thread_overflows(void *unused)
{
    alternate_stack();
    overflow(0);
    return unused;
}

static void overflow_in_thread(void)
{
    pthread_t thread;
    set(exit_in_handler, SA_ONSTACK);
    pthread_create(&thread, NULL, thread_overflows, NULL);
    pthread_join(thread, NULL);
}

/* "sigsegv --look": how the signal is in another program. */
static int image(void)
{
    struct sigaction now;
    sigset_t mask;
    MUST(sigaction(SIGSEGV, NULL, &now));
    MUST(sigprocmask(SIG_SETMASK, NULL, &mask));
    return (now.sa_handler == SIG_DFL) | (now.sa_handler == SIG_IGN) << 1 | sigismember(&mask, SIGSEGV) << 2;
}

static void run_image(void)
{
    char *args[] = { "sigsegv", "--look", NULL };
    execv("/proc/self/exe", args);
}

static void exec_with_handler(void) { set(look, 0); run_image(); }
static void exec_while_ignored(void) { set_plain(SIG_IGN); run_image(); }
static void exec_while_blocked(void) { block(SIG_BLOCK); run_image(); }
static void failed_exec(void)
{
    char *args[] = { NULL };
    sigset_t now;
    block(SIG_BLOCK);
    execve("/nowhere", args, args);
    MUST(sigprocmask(SIG_SETMASK, NULL, &now));
    set(exit_in_handler, 0);
    block(SIG_UNBLOCK);
    if (sigismember(&now, SIGSEGV))
        access_bad();
}

static void show_read_back(const char *label)
{
    struct sigaction now;
    MUST(sigaction(SIGSEGV, NULL, &now));
    say(label, "default %d, ignored %d, mine %d, flags %x, SIGUSR1 %d, SIGSEGV %d", now.sa_handler == SIG_DFL,
        now.sa_handler == SIG_IGN, now.sa_sigaction == look || now.sa_sigaction == look_and_jump,
        now.sa_flags & ~0x04000000, sigismember(&now.sa_mask, SIGUSR1), sigismember(&now.sa_mask, SIGSEGV));
}

static void show_access(const char *label)
{
    if (sigsetjmp(back, 1) == 0)
        access_bad();
    show_handler(label);
}

static void other_handler(int number) { (void)number; }

static void other_signals(void)
{
    struct sigaction action = { .sa_handler = other_handler }, now;
    sigset_t mask, before;
    sigfillset(&action.sa_mask);
    MUST(sigaction(SIGUSR1, &action, NULL));
    MUST(sigaction(SIGUSR1, NULL, &now));
    say("a full mask is", "SIGSEGV %d, SIGBUS %d, SIGTERM %d", sigismember(&now.sa_mask, SIGSEGV),
        sigismember(&now.sa_mask, SIGBUS), sigismember(&now.sa_mask, SIGTERM));
    sigfillset(&mask);
    MUST(sigprocmask(SIG_SETMASK, &mask, &before));
    say("nothing was blocked", "%d %d", sigismember(&before, SIGSEGV), sigismember(&before, SIGBUS));
    MUST(sigprocmask(SIG_SETMASK, &before, &mask));
    say("everything was blocked", "%d %d", sigismember(&mask, SIGSEGV), sigismember(&mask, SIGBUS));
}

static void blocked_and_sent(void)
{
    sigset_t pending, segv;
    int got = 0;
    sigemptyset(&segv);
    sigaddset(&segv, SIGSEGV);
    set(look, 0);
    block(SIG_BLOCK);
    SHOW("write of a bad pointer while blocked", write(tunnel, bad, 60));
    kill(getpid(), SIGSEGV);
    MUST(sigpending(&pending));
    say("pending while blocked", "%d", sigismember(&pending, SIGSEGV));
    show_handler("not run");
    SHOW("sigwait", sigwait(&segv, &got));
    say("it", "%d", got);
    kill(getpid(), SIGSEGV);
    block(SIG_UNBLOCK);
    say("let in", "%d", ran);
    ran = 0;
}

static volatile int waiting;
static void *read_blocking(void *unused)
{
    char buf[64];
    errno = 0;
    waiting = syscall(SYS_gettid);
    ssize_t n = read(tunnel, buf, sizeof buf);
    say("read that the signal interrupts", "%zd %s", n, n < 0 ? errno_name(errno) : "");
    return unused;
}

static void interrupted_read(void)
{
    pthread_t thread;
    set(look, 0);
    fcntl(tunnel, F_SETFL, 0);
    pthread_create(&thread, NULL, read_blocking, NULL);
    EVENTUALLY(waiting, 2000);
    sleeps(waiting);
    pthread_kill(thread, SIGSEGV);
    pthread_join(thread, NULL);
    show_handler("sent to a thread that reads");
    fcntl(tunnel, F_SETFL, O_NONBLOCK);
}

int main(int argc, char **argv)
{
    pthread_t thread;
    unsigned char buf[128];
    if (argc > 1 && !strcmp(argv[1], "--look"))
        return image();
    start(argc, argv);
    show_read_back("at the beginning");
    set(look_and_jump, SA_RESTART);
    tunnel = tun_ready("ss0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    show_read_back("set before the tunnel");
    show_access("an access");
    driver d = drv_attach("ss0");
    SHOW("write of a bad pointer", write(tunnel, bad, 60));
    drv_packet(&d, 60);
    page = mmap(NULL, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW("read into a page that is not writable", read(tunnel, page, 60));
    show_handler("no signal");

    set(look_and_mend, SA_NODEFER);
    show_read_back("set with a tunnel");
    *page = 'x';
    int stored = *page;
    say("mended", "%c %d", stored, fault == page);
    show_handler("an access that is mended, SA_NODEFER");
    alternate_stack();
    set(look_and_jump, 0);
    show_access("an access, an alternate stack that is not asked for");
    set(look_and_jump, SA_ONSTACK);
    show_access("an access, SA_ONSTACK");
    pthread_create(&thread, NULL, thread_accesses, NULL);
    pthread_join(thread, NULL);
    set(look, SA_ONSTACK | SA_RESETHAND);
    raise(SIGSEGV);
    show_handler("raised, SA_RESETHAND");
    show_read_back("and then");
    say("signal()", "%d", signal(SIGSEGV, SIG_IGN) == SIG_DFL);
    show_read_back("ignored");
    raise(SIGSEGV);
    SHOW("write of a bad pointer while ignored", write(tunnel, bad, 60));
    set(look_and_write, 0);
    show_access("an access whose handler writes");
    show_recv("received", &d);
    other_signals();
    blocked_and_sent();
    interrupted_read();
    drv_packet(&d, 60);
    SHOW("a read after all that", read(tunnel, buf, sizeof buf));

    show_end("an access with SIG_DFL", access_with_default);
    show_end("an access with SIG_IGN", access_while_ignored);
    show_end("an access with SIGSEGV blocked", access_while_blocked);
    show_end("an access in the handler", access_in_handler);
    show_end("sent with SIG_DFL", sent_with_default);
    show_end("sent with SIG_IGN", sent_while_ignored);
    show_end("stack overflow with SIG_DFL", overflow_default);
    show_end("stack overflow, handler on an alternate stack", overflow_alternate);
    show_end("stack overflow, handler on the same stack", overflow_same_stack);
    show_end("stack overflow of a thread", overflow_in_thread);
    show_end("another program after a handler", exec_with_handler);
    show_end("another program that inherits SIG_IGN", exec_while_ignored);
    show_end("another program that inherits the mask", exec_while_blocked);
    show_end("after an exec that failed", failed_exec);
    drv_detach(&d);
    close(tunnel);
    return 0;
}
