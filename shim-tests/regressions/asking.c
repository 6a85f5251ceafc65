/* A process that often asks about its sockets keeps a descriptor for that. Its children have none
 * of it, whatever they are, and are answered, too; a program that closes all it has goes on. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* How many sockets there are among the descriptors. */
static int sockets(void)
{
    struct stat st;
    int count = 0;
    for (int fd = 3; fd < 1024; fd++)
        count += fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
    return count;
}

static struct sockaddr_in own(int port)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };
    inet_pton(AF_INET, "10.9.0.1", &name.sin_addr);
    return name;
}

static void ask(void)
{
    struct sockaddr_in name = own(0);
    socklen_t length = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) || getsockname(fd, (struct sockaddr *)&name, &length)
        || name.sin_addr.s_addr != own(0).sin_addr.s_addr)
        puts("not bound");
    close(fd);
}

static void ask_often(void)
{
    for (int i = 0; i < 5; i++)
        ask();
}

static void ended(const char *who, pid_t child)
{
    int status = -1;
    if (waitpid(child, &status, 0) != child || status)
        printf("%s: %x\n", who, status);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return sockets();
    struct ifreq ifr = { .ifr_name = "ask0", .ifr_flags = IFF_TUN | IFF_NO_PI };
    struct sockaddr_in name = own(0);
    alarm(30);
    setvbuf(stdout, NULL, _IONBF, 0);
    int fd = open("/dev/net/tun", O_RDWR), any = socket(AF_INET, SOCK_DGRAM, 0);
    if (ioctl(fd, TUNSETIFF, &ifr))
        return 2;
    memcpy(&ifr.ifr_addr, &name, sizeof name);
    if (ioctl(any, SIOCSIFADDR, &ifr))
        return 3;
    close(any);

    ask_often();
    if (sockets() != 1)
        printf("%d are kept\n", sockets());
    pid_t child = fork();
    if (!child) {
        int before = sockets();
        ask_often();
        _exit(before);
    }
    ended("fork", child);
    child = vfork();
    if (!child) {
        ask();
        _exit(0);
    }
    ended("vfork", child);
    child = vfork();
    if (!child) {
        execl(argv[0], argv[0], "after exec", NULL);
        _exit(99);
    }
    ended("exec", child);
    ask();
    if (sockets() != 1)
        printf("%d are kept after children\n", sockets());
    closefrom(fd + 1);
    ask_often();
    if (sockets() != 1)
        printf("%d are kept after closefrom\n", sockets());
    return 0;
}
