/* tap_test.c - upstream's own test of its tap code. It was written for the kernel's device and
 * knows nothing of memtun: without privileges it is skipped. TUN_DEVICE names another device than
 * /dev/net/tun. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SKIPPED 77
#define CHECK(that)                                                                                                    \
    do {                                                                                                               \
        if (!(that)) {                                                                                                 \
            fprintf(stderr, "tap_test: line %d: %s: %s\n", __LINE__, #that, strerror(errno));                          \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static int open_device(void)
{
    const char *device = getenv("TUN_DEVICE");
    return open(device ? device : "/dev/net/tun", O_RDWR | O_CLOEXEC);
}

/* Attaches to an interface and puts its name into name; a descriptor, or -1. */
static int attach(char name[IFNAMSIZ], short flags)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | flags};
    int fd = open_device();
    if (fd < 0)
        return -1;
    memcpy(request.ifr_name, name, IFNAMSIZ);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    memcpy(name, request.ifr_name, IFNAMSIZ);
    return fd;
}

static void names_come_from_the_template(void)
{
    char first[IFNAMSIZ] = "check%d", second[IFNAMSIZ] = "check%d";
    int a = attach(first, 0), b = attach(second, 0);
    CHECK(a >= 0 && b >= 0);
    CHECK(strncmp(first, "check", 5) == 0 && strcmp(first, second) != 0);
    close(a);
    close(b);
}

static void only_a_multi_queue_interface_has_two_queues(void)
{
    char one[IFNAMSIZ] = "one0", many[IFNAMSIZ] = "many0";
    int a = attach(one, 0);
    CHECK(a >= 0 && attach(one, 0) == -1 && errno == EBUSY);
    int b = attach(many, IFF_MULTI_QUEUE), c = attach(many, IFF_MULTI_QUEUE);
    CHECK(b >= 0 && c >= 0);
    close(a);
    close(b);
    close(c);
}

static void a_frame_needs_a_link_that_is_up(void)
{
    struct ifreq request = {.ifr_name = "link0"};
    unsigned char frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06};
    int tap = attach(request.ifr_name, 0), control = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(tap >= 0 && control >= 0);
    request.ifr_flags = IFF_UP;
    CHECK(ioctl(control, SIOCSIFFLAGS, &request) == 0);
    CHECK(write(tap, frame, sizeof frame) == sizeof frame);
    request.ifr_flags = 0;
    CHECK(ioctl(control, SIOCSIFFLAGS, &request) == 0);
    CHECK(write(tap, frame, sizeof frame) == -1 && errno == EIO);
    close(control);
    close(tap);
}

static void the_mtu_can_be_set(void)
{
    struct ifreq request = {.ifr_name = "mtu0"};
    int tap = attach(request.ifr_name, 0), control = socket(AF_INET, SOCK_DGRAM, 0);
    request.ifr_mtu = 1280;
    CHECK(ioctl(control, SIOCSIFMTU, &request) == 0);
    request.ifr_mtu = 0;
    CHECK(ioctl(control, SIOCGIFMTU, &request) == 0 && request.ifr_mtu == 1280);
    request.ifr_mtu = 10;
    CHECK(ioctl(control, SIOCSIFMTU, &request) == -1 && errno == EINVAL);
    close(control);
    close(tap);
}

static void a_persistent_interface_stays(void)
{
    struct ifreq request = {.ifr_name = "stay0"};
    int control = socket(AF_INET, SOCK_DGRAM, 0);
    int tap = attach(request.ifr_name, 0);
    CHECK(tap >= 0 && ioctl(tap, TUNSETPERSIST, 1) == 0);
    close(tap);
    CHECK(ioctl(control, SIOCGIFMTU, &request) == 0);
    tap = attach(request.ifr_name, 0);
    CHECK(tap >= 0 && ioctl(tap, TUNSETPERSIST, 0) == 0);
    close(tap);
    CHECK(ioctl(control, SIOCGIFMTU, &request) == -1 && errno == ENODEV);
    close(control);
}

int main(void)
{
    char probe[IFNAMSIZ] = "";
    int fd = attach(probe, 0);
    if (fd < 0) {
        printf("tap_test: skipped: no tap device: %s\n", strerror(errno));
        return SKIPPED;
    }
    close(fd);
    names_come_from_the_template();
    only_a_multi_queue_interface_has_two_queues();
    a_frame_needs_a_link_that_is_up();
    the_mtu_can_be_set();
    a_persistent_interface_stays();
    puts("tap_test: 5 tests passed");
    return 0;
}
