/* A socket gives up its port with its connection, unless the program has asked for that port: then
 * it can be bound anew, and another one can have the port. */
#include "far_tcp.h"

static far tun;
static const rule rules[] = { { 80, TAKES, 0 }, { 1, REFUSES, 0 }, { 3, HAS_NO_HOST, 0 }, { 0 } };

static int new_socket(void) { return MUST(socket(FAMILY, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

static int port(int sock)
{
    name n = own_name(sock);
    return port_of(&n);
}

/* No port is asked for twice, because connections that have ended keep theirs for a while. */
static int next = 5100;

/* How a connection ends, or does not come. */
enum { REFUSED, UNREACHED, REFUSED_HERE, ENDED, HEARD, NOTHING };
static const char *const ends[] = { "refused", "unreached", "refused here", "ended", "heard", "nothing" };

static void end(const char *what, int sock, int how)
{
    static const struct sockaddr none = { .sa_family = AF_UNSPEC };
    switch (how) {
    case REFUSED:
        SHOW(label("%s, connect", what), connect_to(sock, FAR, 1));
        break;
    case UNREACHED:
        SHOW(label("%s, connect", what), connect_to(sock, FAR, 3));
        break;
    case REFUSED_HERE:
        SHOW(label("%s, connect", what), connect_to(sock, OWN, 5009));
        break;
    case ENDED:
        SHOW(label("%s, connect", what), connect_to(sock, FAR, 80));
        SHOW(label("%s, disconnect", what), connect(sock, &none, sizeof none));
        break;
    case HEARD:
        SHOW(label("%s, listen", what), listen(sock, 1));
        SHOW(label("%s, shutdown", what), shutdown(sock, SHUT_RD));
        break;
    }
}

/* A socket that was bound to nothing, to a port of its own, or to any port. */
static void anew(int how, const char *address, int given)
{
    char what[80];
    int first = next++, second = next++;
    if (given)
        given = next++;
    snprintf(what, sizeof what, "%s%s%s", ends[how], address ? given ? ", a port" : ", any port" : "",
             address && strcmp(address, OWN) ? " of any" : "");
    int sock = new_socket();
    if (address)
        SHOW(label("%s, bind first", what), bind_to(sock, address, given));
    end(what, sock, how);
    int was = port(sock), other = new_socket();
    SHOW(label("%s, bind", what), bind_to(sock, OWN2, first));
    SHOW(label("%s, again", what), bind_to(sock, OWN2, second));
    if (how != NOTHING && !given)
        show_own(label("%s, name", what), sock);
    SHOW(label("%s, another to its port", what), bind_to(other, OWN2, first));
    close(other);
    other = new_socket();
    if (was && !given)
        SHOW(label("%s, another to the port before", what), bind_to(other, OWN, was));
    close(other);
    SHOW(label("%s, connect out", what), connect_to(sock, FAR, 80));
    if (how != NOTHING && !given)
        show_own(label("%s, name then", what), sock);
    show_peer(label("%s, peer then", what), sock);
    close(sock);
}

/* Without a bind the next connection has another port, and the program's names are those of it. */
static void twice(int how)
{
    char what[80];
    snprintf(what, sizeof what, "%s, twice", ends[how]);
    int sock = new_socket();
    end(what, sock, how);
    SHOW(label("%s, connect out", what), connect_to(sock, FAR, 80));
    int other = new_socket();
    SHOW(label("%s, another to its port", what), bind_to(other, OWN, port(sock)));
    close(other);
    SHOW(label("%s, send", what), send(sock, "x", 1, 0));
    close(sock);
    int listener = new_socket(), heard_at = next++;
    MUST(bind_to(listener, OWN, heard_at));
    MUST(listen(listener, 1));
    sock = new_socket();
    snprintf(what, sizeof what, "%s, twice, within", ends[how]);
    end(what, sock, how);
    SHOW(label("%s, connect there", what), connect_to(sock, OWN, heard_at));
    name n = { .len = sizeof n.room };
    int got = MUST(accept(listener, &n.sa, &n.len));
    say(label("%s, the other end says the same port", what), "%d", port(sock) == port_of(&n));
    close(got);
    close(sock);
    close(listener);
}

/* A connection that has failed, and has not been told by connect(2), keeps the socket from
 * listening; listen(2) gives it no port. */
static void untold(const char *address, int at)
{
    char what[80];
    snprintf(what, sizeof what, "untold, %s", address);
    int sock = MUST(socket(FAMILY, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    SHOW(label("%s, connect", what), connect_to(sock, address, at));
    (void)EVENTUALLY(now_events(sock, POLLHUP) & POLLHUP, SOON);
    SHOW(label("%s, recv", what), recv(sock, &(char){ 0 }, 1, 0));
    SHOW(label("%s, listen", what), listen(sock, 1));
    SHOW(label("%s, bind", what), bind_to(sock, OWN2, next++));
    SHOW(label("%s, listen then", what), listen(sock, 1));
    close(sock);
}

int main(int argc, char **argv)
{
    static host h;
    tun = far_start(argc, argv);
    host_start(&h, &tun, rules);
    for (int how = REFUSED; how <= NOTHING; how++) {
        if (how != NOTHING)
            anew(how, NULL, 0);
        anew(how, OWN, 0);
        anew(how, ANY, 0);
        anew(how, OWN, 1);
        if (how < HEARD)
            twice(how);
    }
    untold(OWN, 5009);
    untold(FAR, 1);
    untold(LOOP, 5009);
    untold(ANY, 5009);
    host_end(&h);
    return 0;
}
