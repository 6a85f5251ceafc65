/* What a program holds back: TCP_CORK, MSG_MORE, SPLICE_F_MORE. Whole segments leave, and the rest
 * when the program says so, when something comes, or after a while. */
#include "segments.h"
#include <sys/sendfile.h>

static tcp c;

/* The next segment, and whether it is pushed. */
static void see_pushed(const char *what)
{
    int flags = see(&c, what);
    say(label("%s, pushed", what), "%d", !!(flags & PSH));
}

static void acknowledge(void) { say_with(&c, ACK, NULL, NULL, 0); }

static int cork(int sock, int on) { return setsockopt(sock, IPPROTO_TCP, TCP_CORK, &on, sizeof on); }

/* A connection that the other side has begun, with segments of 1000 bytes. */
static int met(int sock)
{
    options o = none;
    add_mss(&o, 1000);
    meet(&c, 7100);
    c.peer_port = ++far_port;
    say_with(&c, SYN, &o, NULL, 0);
    const unsigned char *p = raw_next(&c, SOON);
    if (!p)
        die("no answer");
    first_own = get32(p + 4);
    c.ack = first_own + 1;
    acknowledge();
    return accepted(sock, NULL);
}

static void corks(int sock)
{
    int got = met(sock);
    SHOW("TCP_CORK at first", option_of(got, IPPROTO_TCP, TCP_CORK));
    SHOW("cork", cork(got, 1));
    SHOW("TCP_CORK then", option_of(got, IPPROTO_TCP, TCP_CORK));
    SHOW("corked, write", write(got, filled, 40));
    see_none(&c, "corked, nothing");
    SHOW("corked, write more", write(got, filled, 2980));
    see_pushed("corked, first segment");
    see_pushed("corked, second segment");
    see_pushed("corked, third segment");
    acknowledge();
    see_none(&c, "corked, the rest");
    SHOW("uncork", cork(got, 0));
    see_pushed("uncorked");
    acknowledge();
    SHOW("TCP_CORK in the end", option_of(got, IPPROTO_TCP, TCP_CORK));
    SHOW("not corked, write", write(got, filled, 30));
    see_pushed("not corked");
    acknowledge();

    /* What comes does not let go what is corked. */
    SHOW("cork again", cork(got, 1));
    SHOW("corked again, write", write(got, filled, 50));
    say_with(&c, ACK, NULL, "data", 4);
    see(&c, "corked again, data is answered");
    see_none(&c, "corked again, nothing");
    option(got, IPPROTO_TCP, TCP_NODELAY, 1);
    see_pushed("TCP_NODELAY lets it go");
    acknowledge();
    SHOW("corked still", option_of(got, IPPROTO_TCP, TCP_CORK));
    SHOW("corked still, write", write(got, filled, 60));
    see_none(&c, "corked still, nothing");
    SHOW("cork once more", cork(got, 1));
    see_pushed("corked for long");
    acknowledge();
    SHOW("corked before the end, write", write(got, filled, 70));
    SHOW("shutdown", shutdown(got, SHUT_WR));
    see_pushed("corked at the end");
    acknowledge();
    SHOW("uncork at the end", cork(got, 0));
    reset(got);
    see(&c, "reset");

    got = met(sock);
    SHOW("cork for close", cork(got, 1));
    SHOW("for close, write", write(got, filled, 40));
    SHOW("close", close(got));
    see_pushed("closed");
    c.ack--;
    say_with(&c, RST | ACK, NULL, NULL, 0);
}

static void mistakes(int sock)
{
    int got = met(sock), on = 1;
    char small[2] = { 1, 0 };
    socklen_t len = sizeof small;
    SHOW("two bytes", setsockopt(got, IPPROTO_TCP, TCP_CORK, small, 2));
    SHOW("no bytes", setsockopt(got, IPPROTO_TCP, TCP_CORK, NULL, 0));
    SHOW("NULL", setsockopt(got, IPPROTO_TCP, TCP_CORK, NULL, sizeof on));
    SHOW("still not", option_of(got, IPPROTO_TCP, TCP_CORK));
    SHOW("many bytes", setsockopt(got, IPPROTO_TCP, TCP_CORK, filled, sizeof filled));
    SHOW("of zeros", option_of(got, IPPROTO_TCP, TCP_CORK));
    on = -5;
    SHOW("minus five", setsockopt(got, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
    SHOW("is one", option_of(got, IPPROTO_TCP, TCP_CORK));
    SHOW("read in two bytes", getsockopt(got, IPPROTO_TCP, TCP_CORK, small, &len));
    reset(got);
    see(&c, "reset after mistakes");
}

static void mores(int sock)
{
    int got = met(sock);
    SHOW("MSG_MORE, send", send(got, filled, 40, MSG_MORE));
    see_none(&c, "MSG_MORE, nothing");
    SHOW("MSG_MORE, send without", send(got, filled, 40, 0));
    see_pushed("MSG_MORE, both");
    acknowledge();
    SHOW("MSG_MORE twice, one", send(got, filled, 30, MSG_MORE));
    SHOW("MSG_MORE twice, two", send(got, filled, 30, MSG_MORE));
    see_none(&c, "MSG_MORE twice, nothing");
    SHOW("MSG_MORE twice, write", write(got, filled, 30));
    see_pushed("MSG_MORE twice, all");
    acknowledge();
    SHOW("much with MSG_MORE", send(got, filled, 2050, MSG_MORE));
    see(&c, "much, first");
    see(&c, "much, second");
    see_none(&c, "much, nothing");
    acknowledge();
    see_pushed("what comes lets it go");
    acknowledge();
    SHOW("MSG_MORE alone", send(got, filled, 20, MSG_MORE));
    see_none(&c, "alone, nothing");
    see_pushed("alone, after a while");
    acknowledge();
    SHOW("MSG_MORE for TCP_NODELAY", send(got, filled, 20, MSG_MORE));
    option(got, IPPROTO_TCP, TCP_NODELAY, 1);
    see_pushed("TCP_NODELAY");
    acknowledge();
    SHOW("MSG_MORE with TCP_NODELAY", send(got, filled, 20, MSG_MORE));
    struct iovec parts[] = { { filled, 7 }, { filled, 8 } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    SHOW("sendmsg with MSG_MORE", sendmsg(got, &message, MSG_MORE));
    struct mmsghdr two[] = { { .msg_hdr = message }, { .msg_hdr = message } };
    SHOW("sendmmsg with MSG_MORE", sendmmsg(got, two, 2, MSG_MORE));
    see_none(&c, "sendmmsg, nothing");
    SHOW("writev", writev(got, parts, 2));
    see_pushed("writev, all");
    acknowledge();
    SHOW("MSG_MORE from nowhere", send(got, (void *)1, 20, MSG_MORE));
    SHOW("write after nothing", write(got, filled, 9));
    see_pushed("after nothing");
    acknowledge();
    int ends[2];
    MUST(pipe2(ends, O_CLOEXEC));
    MUST(write(ends[1], filled, 100));
    SHOW("splice with SPLICE_F_MORE", splice(ends[0], NULL, got, NULL, 60, SPLICE_F_MORE));
    see_none(&c, "splice, nothing");
    SHOW("splice", splice(ends[0], NULL, got, NULL, 1000, 0));
    see(&c, "splice, all");
    acknowledge();
    SHOW("MSG_MORE at the end", send(got, filled, 20, MSG_MORE));
    SHOW("MSG_MORE, close", close(got));
    see_pushed("MSG_MORE, closed");
    c.ack--;
    say_with(&c, RST | ACK, NULL, NULL, 0);
    close(ends[0]);
    close(ends[1]);
}

/* What ends with MSG_EOR has a segment of its own. */
static void records(int sock)
{
    int got = met(sock);
    c.window = 1000;
    acknowledge();
    SHOW("records, a window full", send(got, filled, 1000, 0));
    see(&c, "records, a window");
    SHOW("records, send", send(got, filled, 400, 0));
    SHOW("records, MSG_EOR", send(got, filled, 400, MSG_EOR));
    SHOW("records, what follows", send(got, filled, 1500, 0));
    c.window = 65535;
    acknowledge();
    see_pushed("records, their end");
    see(&c, "records, what follows them");
    acknowledge();
    see_pushed("records, the rest");
    acknowledge();
    reset(got);
    see(&c, "records, reset");
}

/* As a server of files does it: a head, a file, and the cork is drawn. */
static void files(int sock)
{
    int got = met(sock), file = MUST(memfd_create("file", MFD_CLOEXEC));
    off_t at = 0;
    MUST(write(file, filled, 1500));
    SHOW("cork for a file", cork(got, 1));
    SHOW("head", send(got, filled, 200, 0));
    SHOW("sendfile", sendfile(got, file, &at, 1500));
    see(&c, "file, first");
    acknowledge();
    see_none(&c, "file, nothing");
    pid_t child = MUST(fork());
    if (child == 0)
        _exit(cork(got, 0));
    (void)waitpid(child, NULL, 0);
    see_pushed("a child draws the cork");
    acknowledge();
    reset(got);
    see(&c, "reset after a file");
    close(file);
}

/* A cork that is there before the connection. */
static void early(void)
{
    options o = none;
    add_mss(&o, 1000);
    int made = fresh();
    SHOW("cork before connect", cork(made, 1));
    client_with(&c, made, "corked", &o);
    SHOW("TCP_CORK when connected", option_of(made, IPPROTO_TCP, TCP_CORK));
    SHOW("connected, write", write(made, filled, 1100));
    see(&c, "connected, first");
    acknowledge();
    see_none(&c, "connected, nothing");
    SHOW("connected, uncork", cork(made, 0));
    see_pushed("connected, the rest");
    acknowledge();
    reset(made);
    see(&c, "connected, reset");
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    set_defaults();
    int sock = listener(OWN, 7100, 5);
    corks(sock);
    mistakes(sock);
    mores(sock);
    records(sock);
    files(sock);
    early();
    far_drain(&tun);
    return 0;
}
