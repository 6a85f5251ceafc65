/* Functions with any number of arguments: dprintf(3), and execl(3) with its relatives, with few and
 * many arguments of all kinds. And a stream without a buffer. */
#include "driver.h"

#define TUN (IFF_TUN | IFF_NO_PI)

static void printed(int fd, driver *d)
{
    char text[6000];
    int ends[2];
    SHOW("dprintf of a packet", dprintf(fd, "E%059d", 5));
    show_recv("what came out", d);
    SHOW("dprintf of none", dprintf(fd, "x"));
    SHOW("dprintf of nothing", dprintf(fd, "%s", ""));
    memset(text, 'E', sizeof text);
    text[5000] = 0;
    SHOW("dprintf of more than a buffer", dprintf(fd, "%s", text));
    show_recv("its first part", d);
    show_recv("its second part", d);
    show_recv("no third", d);
    show_poll("nothing came in", fd, POLLIN, 0);
    MUST(pipe(ends));
    int n = dprintf(ends[1], "%d %s %.1f %ld %c|%g %g %g %g %g %g %g %g %g|%d %d %d %d %llx %Lg %.2e", 1, "two", 3.0, 4L, '5', 1.5,
                    2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 6, 7, 8, 9, 0x123456789abcdefULL, 10.25L, 11.125);
    memset(text, 0, sizeof text);
    MUST(read(ends[0], text, sizeof text - 1));
    say("dprintf to a pipe", "%d %s", n, text);
    SHOW("dprintf to nobody", dprintf(-1, "x"));
    close(ends[0]);
    close(ends[1]);
}

/* Does another program find the device at descriptor 9? */
#define EXEC(label, call) do { \
        pid_t pid_ = child(); \
        if (!pid_) { dup2(fd, 9); call; _exit(96); } \
        say(label, "%s", finish(pid_)); \
    } while (0)
#define LOOK "test -c /dev/fd/9 && test $# = "

static void executed(int fd)
{
    char *const empty[] = { NULL }, *const some[] = { "A=1", "B=2", NULL };
    EXEC("execl", execl("/bin/sh", "sh", "-c", LOOK "0", NULL));
    EXEC("execlp", execlp("sh", "sh", "-c", LOOK "0", NULL));
    EXEC("execle, empty", execle("/bin/sh", "sh", "-c", LOOK "0", NULL, empty));
    EXEC("execle, some", execle("/bin/sh", "sh", "-c", LOOK "2 && test $A$B = 12", "name", "x", "y", NULL, some));
    EXEC("execle, none", execle("/bin/sh", "sh", "-c", LOOK "0", NULL, NULL));
    EXEC("execl, eleven", execl("/bin/sh", "sh", "-c", LOOK "11", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", NULL));
    EXEC("execl without an environment", (clearenv(), execl("/bin/sh", "sh", "-c", LOOK "0", NULL)));
    EXEC("execlp without an environment", (clearenv(), execlp("sh", "sh", "-c", LOOK "0", NULL)));
#define TEN "x", "x", "x", "x", "x", "x", "x", "x", "x", "x"
#define HUNDRED TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN
    EXEC("execl, three hundred", execl("/bin/sh", "sh", "-c", LOOK "300", "0", HUNDRED, HUNDRED, HUNDRED, NULL));
    EXEC("execl of nothing", _exit(execl("/nonexistent", "x", NULL) == -1 && errno == ENOENT ? 3 : 4));
    EXEC("execlp of nothing", _exit(execlp("nonexistent", "x", NULL) == -1 && errno == ENOENT ? 3 : 4));
    EXEC("system without an environment", (clearenv(), _exit(system(LOOK "0") ? 1 : 0)));
    EXEC("popen without an environment", (clearenv(), _exit(pclose(popen(LOOK "0", "r")) ? 1 : 0)));
    pid_t pid = vfork();
    if (!pid) {
        dup2(fd, 9);
        execle("/bin/sh", "sh", "-c", LOOK "1", "name", "x", NULL, empty);
        _exit(96);
    }
    say("execle in a vfork child", "%s", finish(pid));
}

static void unbuffered(int fd, driver *d)
{
    unsigned char b[200];
    FILE *file = fdopen(fd, "r+");
    setvbuf(file, NULL, _IONBF, 0);
    drv_packet(d, 60);
    show_data("fread of a packet", fread(b, 1, 60, file), b);
    drv_packet(d, 60);
    drv_packet(d, 61);
    show_data("fread of two", fread(b, 1, 121, file), b);
    drv_packet(d, 60);
    say("getc", "%02x", getc(file));
    drv_packet(d, 60);
    say("ungetc", "%02x", ungetc('u', file));
    size_t n = fread(b, 1, 4, file);
    say("fread after ungetc", "%zu %02x", n, b[0]);
    while (read(fd, b, sizeof b) > 0)
        ;
    errno = 0;
    SHOW("fread of nothing there", fread(b, 1, 60, file));
    say("its error", "%d eof %d", ferror(file) != 0, feof(file) != 0);
    clearerr(file);
    drv_packet(d, 60);
    SHOW("fread of items", fread(b, 20, 3, file));
    SHOW("fwrite", fwrite(packet(b, 60), 1, 60, file));
    show_recv("fwrite, received", d);
    fclose(file);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = tun_ready("va0", TUN, O_NONBLOCK);
    if_set_mtu("va0", 9000);
    driver d = drv_attach("va0");
    printed(fd, &d);
    executed(fd);
    unbuffered(fd, &d);
    return 0;
}
