/* Makes an interface, gives it an address, says so by an empty line, and waits to be killed. */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    struct ifreq ifr = {.ifr_name = "tun0"};
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)};
    int tun = open("/dev/net/tun", O_RDWR), s = socket(AF_INET, SOCK_DGRAM, 0);
    ifr.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (tun < 0 || s < 0 || ioctl(tun, TUNSETIFF, &ifr)) {
        perror("tun0");
        return 1;
    }
    memcpy(&ifr.ifr_addr, &sin, sizeof sin);
    if (ioctl(s, SIOCSIFADDR, &ifr)) {
        perror("SIOCSIFADDR");
        return 1;
    }
    puts("");
    fflush(stdout);
    alarm(60);
    for (;;)
        pause();
}
