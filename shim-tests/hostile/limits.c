/* limits [NAME]: gives tun0 an address, while something is taken from the program that asking the
 * host process needs. The exit status is 0 when the address was given, 1 when that failed with an
 * error number, which is printed. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t signals;
static volatile int over;
static int ip;

static void handler(int signal) { (void)signal, signals++; }

static int ask(unsigned number)
{
    struct ifreq request = {.ifr_name = "tun0"};
    struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;

    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(0x0a020000 + number);
    return ioctl(ip, SIOCSIFADDR, &request);
}

static void limit(int resource, rlim_t value)
{
    struct rlimit both = {value, value};
    if (setrlimit(resource, &both) < 0)
        perror("setrlimit");
}

static void forbid(long call)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        perror("seccomp");
}

static void *forks(void *unused)
{
    while (!over) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        if (child > 0)
            waitpid(child, NULL, 0);
    }
    return unused;
}

static void *asks(void *unused)
{
    for (unsigned i = 0;; i++) {
        ask(i % 200);
        pthread_testcancel();
    }
    return unused;
}

/* Says what a call failed with. */
static int answer(int status)
{
    if (status == 0)
        return 0;
    printf("%s\n", strerrorname_np(errno));
    return 1;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    pthread_t thread;
    int status = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    ip = socket(AF_INET, SOCK_DGRAM, 0);
    if (!strcmp(what, "nofile"))
        limit(RLIMIT_NOFILE, 4);
    else if (!strcmp(what, "nofile-0"))
        limit(RLIMIT_NOFILE, 0);
    else if (!strcmp(what, "nproc"))
        limit(RLIMIT_NPROC, 0);
    else if (!strcmp(what, "fsize")) {
        /* What this program prints may go to a file. */
        signal(SIGXFSZ, SIG_IGN);
        limit(RLIMIT_FSIZE, 0);
    } else if (!strcmp(what, "as"))
        limit(RLIMIT_AS, 1);
    else if (!strcmp(what, "stack"))
        limit(RLIMIT_STACK, 65536);
    else if (!strcmp(what, "closed"))
        for (int fd = 0; fd < 3; fd++)
            close(fd);
    else if (!strcmp(what, "chroot")) {
        if (unshare(CLONE_NEWUSER) || chroot("/proc/self") || chdir("/"))
            return answer(-1);
    } else if (!strcmp(what, "socket"))
        forbid(SYS_socket);
    else if (!strcmp(what, "connect"))
        forbid(SYS_connect);
    else if (!strcmp(what, "clone"))
        forbid(SYS_clone);
    else if (!strcmp(what, "execve"))
        forbid(SYS_execve);
    else if (!strcmp(what, "sendmsg"))
        forbid(SYS_sendmsg);
    else if (!strcmp(what, "signals")) {
        struct sigaction action = {.sa_handler = handler};
        struct itimerval time = {{0, 1000}, {0, 1000}};
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &time, NULL);
        for (unsigned i = 0; status == 0 && (i < 100 || signals < 50); i++)
            status = ask(i % 200);
        memset(&time, 0, sizeof time);
        setitimer(ITIMER_REAL, &time, NULL);
        return answer(status);
    } else if (!strcmp(what, "vfork")) {
        pid_t child = vfork();
        if (child == 0)
            _exit(ask(1) ? errno : 0);
        waitpid(child, &status, 0);
        if (status) {
            printf("the child: %d\n", status);
            return 1;
        }
    } else if (!strcmp(what, "fork")) {
        pthread_create(&thread, NULL, forks, NULL);
        for (unsigned i = 0; status == 0 && i < 200; i++)
            status = ask(i);
        over = 1;
        pthread_join(thread, NULL);
        return answer(status);
    } else if (!strcmp(what, "cancel"))
        for (int i = 0; i < 50; i++) {
            pthread_create(&thread, NULL, asks, NULL);
            usleep((unsigned)(i * 97 % 3000));
            pthread_cancel(thread);
            pthread_join(thread, NULL);
        }
    return answer(ask(7));
}
