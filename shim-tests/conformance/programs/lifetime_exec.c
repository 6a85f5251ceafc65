/* A tunnel across exec: the new image knows nothing of it but its number. */
#include "driver.h"

#define TUN (IFF_TUN | IFF_NO_PI)

/* The new image: describes descriptor `fd`. */
static int after_exec(const char *label, int fd)
{
    char link[64], target[100] = "", text[160];
    unsigned char buf[64];
    unsigned features;
    struct ifreq ifr = { 0 };
    struct pollfd p = { fd, POLL_ALL, 0 };
    int get = ioctl(fd, TUNGETIFF, &ifr), error = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, target, sizeof target - 1) < 0)
        strcpy(target, "none");
    say(label, "getiff=%s name=%s link=%s features=%d fl=0x%x", get ? errno_name(error) : "0", ifr.ifr_name, target,
        ioctl(fd, TUNGETFEATURES, &features), fcntl(fd, F_GETFL));
    poll(&p, 1, 0);
    snprintf(link, sizeof link, "%s, poll", label);
    say(link, "%s", poll_bits(text, p.revents));
    snprintf(link, sizeof link, "%s, write", label);
    SHOW(link, write(fd, packet(buf, 60), 60));
    snprintf(link, sizeof link, "%s, read", label);
    SHOW(link, read(fd, buf, sizeof buf));
    return 0;
}

static void again(const char *label, int fd)
{
    char number[20];
    snprintf(number, sizeof number, "%d", fd);
    pid_t pid = child();
    if (!pid) {
        execl("/proc/self/exe", "lifetime_exec", "--after", label, number, NULL);
        _exit(96);
    }
    const char *end = finish(pid);
    if (strcmp(end, "exit 0"))
        say("image failed", "%s", end);
}

static void images(void)
{
    int fd = tun_ready("lx0", TUN, 0);
    driver d = drv_attach("lx0");
    drv_packet(&d, 61);
    again("inherited", fd);
    show_recv("from the new image", &d);
    again("unattached", MUST(open(DEVICE, O_RDWR)));
    MUST(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK));
    int high = MUST(fcntl(fd, F_DUPFD, 77));
    again("as descriptor 77", high);
    show_recv("from descriptor 77", &d);
    MUST(fcntl(fd, F_SETFD, FD_CLOEXEC));
    again("with FD_CLOEXEC", fd);
    close(high);
    close(fd);
    say("gone after all images", "%d", exists("lx0"));
    drv_detach(&d);
}

/* A program that knows nothing of tun devices holds the interface, and gives it back when it ends.
   */
static void innocent(void)
{
    gate hold;
    MUST(pipe(hold.end));
    int fd = tun_attach("lx1", TUN, 0);
    pid_t pid = child();
    if (!pid) {
        MUST(dup2(hold.end[0], 0));
        close(hold.end[0]);
        close(hold.end[1]);
        execlp("cat", "cat", NULL);
        _exit(96);
    }
    close(hold.end[0]);
    close(fd);
    say("held by cat", "%d", exists("lx1"));
    close(hold.end[1]);
    say("cat ends", "%s", finish(pid));
    say("gone with cat", "%d", exists("lx1"));
}

/* The process replaces itself: the interface stays the same one. */
static void replaced(void)
{
    gate ready;
    gate_make(&ready);
    pid_t pid = child();
    if (!pid) {
        int fd = tun_attach("lx2", TUN, 0);
        char number[20], index[20];
        snprintf(number, sizeof number, "%d", fd);
        snprintf(index, sizeof index, "%d", if_index("lx2"));
        execl("/proc/self/exe", "lifetime_exec", "--replaced", number, index, NULL);
        _exit(96);
    }
    say("the process replaced itself", "%s", finish(pid));
    say("gone with it", "%d", exists("lx2"));
}

/* An environment made by hand loses the preload variable unless the exec family is asked to keep
   it. */
static void without_environment(void)
{
    char number[20], side[40];
    int fd = tun_ready("lx3", TUN, O_NONBLOCK);
    snprintf(number, sizeof number, "%d", fd);
    snprintf(side, sizeof side, "SHIM_TESTS_SIDE=%s", getenv("SHIM_TESTS_SIDE"));
    char *argv[] = { "lifetime_exec", "--after", "execve with its own environment", number, NULL }, *env[] = { side, NULL };
    pid_t pid = child();
    if (!pid) {
        execve("/proc/self/exe", argv, env);
        _exit(96);
    }
    finish(pid);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    if (argc > 3 && !strcmp(argv[1], "--after"))
        return after_exec(argv[2], atoi(argv[3]));
    if (argc > 3 && !strcmp(argv[1], "--replaced")) {
        say("the same interface in the new image", "%d", if_index("lx2") == atoi(argv[3]));
        return tun_set_iff(atoi(argv[2]), "lx9", TUN) == -1 && errno == EEXIST ? 0 : 1;
    }
    images();
    innocent();
    replaced();
    without_environment();
    return 0;
}
