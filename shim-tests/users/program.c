/* program.c - what a program does with a tunnel, step by step: each argument is a step, each answer
 * a line "step: ok" or "step: ERRNO". Whatever fails, the next step is tried as well: an attack
 * shows where nobody expects it.
 *
 *     open            opens the device, without blocking
 *     attach=NAME     TUNSETIFF
 *     persist, write, read, poll, close
 *     lookup=NAME     if_nametoindex
 *     list=PATH       opendir, readdir
 *     ask=NAME        SIOCSIFADDR, for which the host process is asked
 *     connect=PATH    connects with a socket of SOCK_SEQPACKET
 *     cycle=N         opens, attaches to tun%d, writes and closes, N times
 *     env             a program with an empty environment opens the device: "env: ok" or its exit
 *                     status
 *     ready           says so, for whoever waits for it
 *     wait, nap       sleeps until somebody kills it, or for a moment
 *     kill            kills itself
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int tunnel = -1;
static char packet[1400] = { 0x45, 0, 5, 0x78 };

static int device(void) { return open("/dev/net/tun", O_RDWR | O_NONBLOCK); }

static int attach(int fd, const char *name)
{
    struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    return ioctl(fd, TUNSETIFF, &request);
}

static int cycles(int left)
{
    while (left-- > 0) {
        int fd = device();
        if (fd < 0 || attach(fd, "tun%d") < 0 || write(fd, packet, sizeof packet) < 0)
            return -1;
        close(fd);
    }
    return 0;
}

/* With `env -i` in between nothing is left but what the library puts back. */
static int bare_child(void)
{
    char self[4096] = "";
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        char *none[] = { NULL };
        execve(self, (char *[]){ self, "must-open", NULL }, none);
        _exit(99);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -1;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : 99;
    return errno ? -1 : 0;
}

static int list(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;
    while (dir && readdir(dir))
        count++;
    return dir && closedir(dir) == 0 && count > 2 ? 0 : -1;
}

static int ask(const char *name)
{
    struct ifreq request = { 0 };
    struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(0x0a010203);
    return ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFADDR, &request);
}

static int join(const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    strncpy(to.sun_path, path, sizeof to.sun_path - 1);
    return connect(socket(AF_UNIX, SOCK_SEQPACKET, 0), (struct sockaddr *)&to, sizeof to);
}

static int step(const char *what, const char *value)
{
    if (!strcmp(what, "open"))
        return tunnel = device();
    if (!strcmp(what, "must-open"))
        exit(device() < 0 ? errno : 0);
    if (!strcmp(what, "attach"))
        return attach(tunnel, value);
    if (!strcmp(what, "persist"))
        return ioctl(tunnel, TUNSETPERSIST, 1);
    if (!strcmp(what, "write"))
        return write(tunnel, packet, sizeof packet);
    if (!strcmp(what, "read"))
        return read(tunnel, packet, sizeof packet);
    if (!strcmp(what, "poll"))
        return poll(&(struct pollfd){ .fd = tunnel, .events = POLLIN | POLLOUT }, 1, 20);
    if (!strcmp(what, "close"))
        return close(tunnel);
    if (!strcmp(what, "lookup"))
        return if_nametoindex(value) ? 0 : -1;
    if (!strcmp(what, "list"))
        return list(value);
    if (!strcmp(what, "ask"))
        return ask(value);
    if (!strcmp(what, "connect"))
        return join(value);
    if (!strcmp(what, "cycle"))
        return cycles(atoi(value));
    if (!strcmp(what, "env"))
        return bare_child();
    if (!strcmp(what, "kill"))
        return kill(getpid(), SIGKILL);
    if (!strcmp(what, "wait"))
        return pause();
    if (!strcmp(what, "nap"))
        return usleep(200000);
    errno = EINVAL;
    return -1;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value)
            *value++ = 0;
        if (!strcmp(argv[i], "ready"))
            puts("ready");
        else if (step(argv[i], value ? value : "") < 0)
            printf("%s: %d %s\n", argv[i], errno, strerrorname_np(errno));
        else
            printf("%s: ok\n", argv[i]);
    }
    return 0;
}
