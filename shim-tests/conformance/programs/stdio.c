/* A tunnel behind a FILE: libc's own reads and writes, which do not go through the program's
 * symbols. (Those without a buffer are in variadic.c.) */
#include "driver.h"

static unsigned char buf[2048];

/* The program once more, with a tunnel in the place of a standard descriptor. */
static void standard(int argc, char **argv)
{
    if (argc < 2)
        return;
    if (!strcmp(argv[1], "--read")) {
        size_t n = fread(buf, 1, 120, stdin);
        dprintf(1, "standard input: %zu %02x %02x fileno=%d\n", n, buf[0], buf[60], fileno(stdin));
    } else if (!strcmp(argv[1], "--write")) {
        printf("E%059d", 1);
        fflush(stdout);
        printf("E%060d", 2);
        exit(0);
    } else if (!strcmp(argv[1], "--replaced")) {
        int ends[2];
        MUST(pipe(ends));
        MUST(write(ends[1], "pipe\n", 5));
        dup2(ends[0], 0);
        dprintf(1, "standard input, replaced: %s", fgets((char *)buf, 20, stdin));
    } else if (!strcmp(argv[1], "--reopened")) {
        FILE *file = freopen("/dev/null", "r", stdin);
        dprintf(1, "standard input, reopened: %d %d\n", file == stdin && fileno(stdin) == 0, getchar());
    }
    fflush(stdout);
    _exit(0);
}

static void run_with(int fd, int as, const char *what)
{
    pid_t pid = child();
    if (!pid) {
        dup2(fd, as);
        execl("/proc/self/exe", "stdio", what, NULL);
        _exit(96);
    }
    say(what, "%s", finish(pid));
}

static void standard_streams(void)
{
    int fd = tun_ready("st3", IFF_TUN | IFF_NO_PI, 0);
    driver d = drv_attach("st3");
    drv_packet(&d, 60);
    drv_packet(&d, 60);
    run_with(fd, 0, "--read");
    show_poll("nothing is left", fd, POLLIN, 0);
    run_with(fd, 1, "--write");
    show_recv("standard output, first", &d);
    show_recv("standard output, second", &d);
    run_with(fd, 0, "--replaced");
    run_with(fd, 0, "--reopened");
    show_poll("nothing came in", fd, POLLIN, 0);
    close(fd);
    drv_detach(&d);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    standard(argc, argv);
    FILE *file = fopen(DEVICE, "r+");
    say("fopen", "%s", file ? "ok" : errno_name(errno));
    int fd = fileno(file);
    SHOW("TUNSETIFF on its descriptor", tun_set_iff(fd, "st0", IFF_TUN | IFF_NO_PI));
    link_up("st0", 1);
    driver d = drv_attach("st0");
    SHOW("fwrite", fwrite(packet(buf, 60), 60, 1, file));
    SHOW("fflush", fflush(file));
    show_recv("fwrite, received", &d);
    MUST(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK));
    SHOW("fread on an empty queue", fread(buf, 1, 60, file));
    say("its error", "%d", ferror(file) != 0);
    clearerr(file);
    SHOW("fwrite without fflush", fwrite(packet(buf, 61), 61, 1, file));
    SHOW("fclose", fclose(file));
    show_recv("fclose writes what is left", &d);
    say("exists", "%d", exists("st0"));
    drv_detach(&d);

    fd = tun_ready("st1", IFF_TUN | IFF_NO_PI, 0);
    d = drv_attach("st1");
    file = fdopen(fd, "r");
    drv_packet(&d, 60);
    show_data("buffered fread", fread(buf, 1, 60, file), buf);
    fclose(file);
    say("exists after fclose", "%d", exists("st1"));
    drv_detach(&d);

    file = freopen(DEVICE, "r+", fopen("/dev/null", "r"));
    say("freopen", "%s", file ? "ok" : errno_name(errno));
    SHOW("TUNSETIFF after freopen", tun_set_iff(fileno(file), "st2", IFF_TUN | IFF_NO_PI));
    say("exists after freopen", "%d", exists("st2"));
    fclose(file);
    say("exists after all", "%d", exists("st2"));
    standard_streams();
    return 0;
}
