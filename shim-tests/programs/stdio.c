/* A tunnel behind a FILE: libc's own reads and writes, which do not go through the program's symbols. (Not an unbuffered
 * one: there libc asks the shim's stream for one byte at a time, and a packet is cut to that.) */
#include "driver.h"

static unsigned char buf[2048];

int main(int argc, char **argv)
{
    start(argc, argv);
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
    return 0;
}
