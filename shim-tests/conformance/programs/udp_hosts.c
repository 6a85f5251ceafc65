/* Names of hosts that a nameserver behind the tunnel knows, asked for by libc's resolver. */
#include "far.h"
#include <netdb.h>
#include <resolv.h>

extern int __nss_configure_lookup(const char *, const char *);

static far tun;
static atomic_int stop, asked;
static char last[400];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Reads the name of a question; its length. */
static size_t name_of(const unsigned char *p, char *text, size_t room)
{
    size_t at = 0;
    text[0] = 0;
    while (p[at]) {
        append(text, room, "%s%.*s", at ? "." : "", p[at], (const char *)p + at + 1);
        at += p[at] + 1;
    }
    return at + 1;
}

/* Answers a question: A and AAAA of host.example, PTR of anything, nothing else. */
static void answer(seen *s)
{
    static unsigned char out[600];
    char asks[200];
    const unsigned char *q = s->data;
    size_t name = name_of(q + 12, asks, sizeof asks), question = 12 + name + 4, len = question;
    int type = get16(q + 12 + name);
    if (s->len < question)
        return;
    memcpy(out, q, question);
    int known = !strcmp(asks, "host.example") && (type == 1 || type == 28), reverse = type == 12;
    put16(out + 2, 0x8180 | (known || reverse ? 0 : 3));
    put16(out + 6, known || reverse);
    put16(out + 8, 0);
    put16(out + 10, 0);
    if (known || reverse) {
        unsigned char *a = out + len;
        put16(a, 0xc00c);
        put16(a + 2, type);
        put16(a + 4, 1);
        put32(a + 6, 60);
        if (type == 1) {
            put16(a + 10, 4);
            memcpy(a + 12, "\x0a\x09\x00\x63", 4);
            len += 16;
        } else if (type == 28) {
            put16(a + 10, 16);
            memcpy(a + 12, "\xfd\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\x63", 16);
            len += 28;
        } else {
            put16(a + 10, 14);
            memcpy(a + 12, "\4back\7example\0", 14);
            len += 26;
        }
    }
    pthread_mutex_lock(&lock);
    snprintf(last, sizeof last, "%s type %d from %s to %s:%d", asks, type, s->from, s->to, s->to_port);
    pthread_mutex_unlock(&lock);
    atomic_fetch_add(&asked, 1);
    far_udp(&tun, s->to, s->to_port, s->from, s->from_port, out, len);
}

static void *server(void *arg)
{
    static seen s;
    (void)arg;
    while (!atomic_load(&stop))
        if (far_next(&tun, &s, 10) && s.proto == IPPROTO_UDP && s.to_port == 53)
            answer(&s);
    return NULL;
}

/* The nameserver of this thread's resolver. */
static void use(const char *address)
{
    name n = any_name(address, 53);
    if (!(_res.options & RES_INIT) && res_init())
        die("res_init");
    _res.options &= ~(RES_DEFNAMES | RES_DNSRCH);
    _res.options |= RES_INIT;
    _res.retrans = 1;
    _res.retry = 1;
    _res.nscount = 1;
    if (n.sa.sa_family == AF_INET) {
        _res.nsaddr_list[0] = n.in;
        return;
    }
    struct sockaddr_in6 *kept = malloc(sizeof *kept);
    *kept = n.in6;
    _res.nsaddr_list[0].sin_family = 0;
    _res._u._ext.nsaddrs[0] = kept;
    _res._u._ext.nscount = 0;
}

static void show_asked(const char *what)
{
    pthread_mutex_lock(&lock);
    say(what, "%d %s", atomic_exchange(&asked, 0), last[0] ? last : "nothing");
    last[0] = 0;
    pthread_mutex_unlock(&lock);
}

static void show_found(const char *what, const char *host, int family)
{
    struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM }, *list = NULL;
    int error = getaddrinfo(host, "80", &hints, &list);
    if (error) {
        say(what, "%s", gai_strerror(error));
        return;
    }
    char line[300] = "";
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        name n = { .len = a->ai_addrlen };
        memcpy(&n.room, a->ai_addr, a->ai_addrlen);
        append(line, sizeof line, " %s", shown(&n));
    }
    freeaddrinfo(list);
    say(what, "%s", line + 1);
}

static void *thread(void *arg)
{
    (void)arg;
    use(FAR);
    show_found("a thread, getaddrinfo", "host.example", AF_INET);
    show_asked("a thread, asked");
    return NULL;
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    pthread_t of_server, other;
    __nss_configure_lookup("hosts", "dns");
    pthread_create(&of_server, NULL, server, NULL);
    use(FAR);
    show_found("getaddrinfo", "host.example", AF_INET);
    show_asked("getaddrinfo, asked");
    say("the nameserver then", "%s", ({ name n = { .len = 1 }; n.in = _res.nsaddr_list[0]; if (!n.sa.sa_family) n.in6 = *_res._u._ext.nsaddrs[0]; shown(&n); }));
    show_found("getaddrinfo, IPv6", "host.example", AF_INET6);
    show_asked("getaddrinfo, IPv6, asked");
    show_found("a host that is not there", "other.example", AF_INET);
    show_asked("a host that is not there, asked");
    struct hostent *host = gethostbyname("host.example");
    char text[60];
    say("gethostbyname", "%s", host ? inet_ntop(AF_INET, host->h_addr_list[0], text, sizeof text) : "none");
    host = gethostbyname2("host.example", AF_INET6);
    say("gethostbyname2", "%s", host ? inet_ntop(AF_INET6, host->h_addr_list[0], text, sizeof text) : "none");
    struct hostent room;
    char kept[1000];
    int error;
    SHOW("gethostbyname_r", gethostbyname_r("host.example", &room, kept, sizeof kept, &host, &error));
    say("gethostbyname_r, found", "%s", host ? host->h_name : "none");
    host = gethostbyaddr("\x0a\x09\x00\x63", 4, AF_INET);
    say("gethostbyaddr", "%s", host ? host->h_name : "none");
    show_asked("gethostbyaddr, asked");
    name n = any_name(FAR2, 80);
    SHOW("getnameinfo", getnameinfo(&n.sa, n.len, text, sizeof text, NULL, 0, NI_NAMEREQD));
    say("getnameinfo, name", "%s", text);
    unsigned char raw[600];
    say("res_query", "%d", res_query("host.example", ns_c_in, ns_t_a, raw, sizeof raw));
    say("res_querydomain", "%d", res_querydomain("host", "example", ns_c_in, ns_t_a, raw, sizeof raw));
    unsigned char query[300];
    int size = res_mkquery(ns_o_query, "host.example", ns_c_in, ns_t_a, NULL, 0, NULL, query, sizeof query);
    say("res_send", "%d", res_send(query, size, raw, sizeof raw));
    atomic_store(&asked, 0);
    /* A state of the program's own. */
    struct __res_state own;
    memset(&own, 0, sizeof own);
    SHOW("res_ninit", res_ninit(&own));
    own.options = _res.options;
    own.retrans = own.retry = own.nscount = 1;
    own.nsaddr_list[0] = any_name(FAMILY == AF_INET ? FAR2 : "10.9.0.99", 53).in;
    say("res_nquery", "%d", res_nquery(&own, "host.example", ns_c_in, ns_t_a, raw, sizeof raw));
    show_asked("res_nquery, asked");
    say("res_nsearch", "%d", res_nsearch(&own, "host.example", ns_c_in, ns_t_aaaa, raw, sizeof raw));
    say("res_nquerydomain", "%d", res_nquerydomain(&own, "host", "example", ns_c_in, ns_t_a, raw, sizeof raw));
    say("res_nsend", "%d", res_nsend(&own, query, size, raw, sizeof raw));
    show_asked("res_nsend, asked");
    { name n = { .in = own.nsaddr_list[0], .len = sizeof n.in }; say("its nameserver then", "%s", shown(&n)); }
    res_nclose(&own);
    atomic_store(&asked, 0);
    pthread_create(&other, NULL, thread, NULL);
    pthread_join(other, NULL);
    /* Each time another socket of libc's. */
    int right = 0;
    for (int i = 0; i < 50; i++) {
        struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *list = NULL;
        if (!getaddrinfo("host.example", NULL, &hints, &list)) {
            right++;
            freeaddrinfo(list);
        }
    }
    say("50 times", "%d", right);
    atomic_store(&stop, 1);
    pthread_join(of_server, NULL);
    return 0;
}
