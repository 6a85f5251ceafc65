/* TUNATTACHFILTER: which programs of classic BPF are taken, what they do to the frames that a tap
   is sent, and what becomes of them. */
#include "multiqueue.h"
#include <linux/filter.h>

static const char *const me = "\x02\x00\x00\x00\x01\x01";
static unsigned char sent[2048];

#define PROGRAM(...) ((struct sock_filter[]){ __VA_ARGS__ })
#define S BPF_STMT
#define J BPF_JUMP
#define RET(k) S(BPF_RET | BPF_K, k)
#define RETA S(BPF_RET | BPF_A, 0)
#define LD(k) S(BPF_LD | BPF_B | BPF_ABS, k)

static int attach(int fd, const struct sock_filter *code, int count)
{
    struct sock_fprog program;
    memset(&program, 0, sizeof program);
    program.len = count;
    program.filter = (struct sock_filter *)code;
    return ioctl(fd, TUNATTACHFILTER, &program);
}
#define ATTACH(fd, ...) attach(fd, PROGRAM(__VA_ARGS__), sizeof PROGRAM(__VA_ARGS__) / sizeof(struct sock_filter))

/* ---- which programs are taken ---- */

static void taken(const char *label, int fd, const struct sock_filter *code, int count)
{
    SHOW(label, attach(fd, code, count));
    ioctl(fd, TUNDETACHFILTER, NULL);
}
#define TAKEN(label, fd, ...) taken(label, fd, PROGRAM(__VA_ARGS__), sizeof PROGRAM(__VA_ARGS__) / sizeof(struct sock_filter))

/* For each value of the low byte of the code, and some above: is it an instruction at all? */
static void codes(int fd)
{
    char text[2000] = "";
    int at = 0;
    for (int code = 0; code < 0x200; code++) {
        /* With 1 as operand no check of the operand fails, and a jump leads to the end. */
        if (ATTACH(fd, S(BPF_ST, 1), { code, 0, 0, 1 }, RET(0), RET(0)) == 0)
            at += snprintf(text + at, sizeof text - at, "%s%x", at ? " " : "", code);
        ioctl(fd, TUNDETACHFILTER, NULL);
    }
    say("codes", "%s", text);
    TAKEN("code 0x8000", fd, { 0x8000, 0, 0, 0 }, RET(0));
    TAKEN("code 0xff06", fd, { 0xff06, 0, 0, 0 });
}

static void operands(int fd)
{
    TAKEN("divided by 0", fd, S(BPF_ALU | BPF_DIV | BPF_K, 0), RET(0));
    TAKEN("modulo 0", fd, S(BPF_ALU | BPF_MOD | BPF_K, 0), RET(0));
    TAKEN("divided by X", fd, S(BPF_ALU | BPF_DIV | BPF_X, 0), RET(0));
    TAKEN("shifted by 31", fd, S(BPF_ALU | BPF_LSH | BPF_K, 31), RET(0));
    TAKEN("shifted left by 32", fd, S(BPF_ALU | BPF_LSH | BPF_K, 32), RET(0));
    TAKEN("shifted right by 32", fd, S(BPF_ALU | BPF_RSH | BPF_K, 32), RET(0));
    TAKEN("shifted by X", fd, S(BPF_ALU | BPF_RSH | BPF_X, 99), RET(0));
    TAKEN("ST 15", fd, S(BPF_ST, 15), RET(0));
    TAKEN("ST 16", fd, S(BPF_ST, 16), RET(0));
    TAKEN("STX 16", fd, S(BPF_STX, 16), RET(0));
    TAKEN("LD MEM 16", fd, S(BPF_LD | BPF_MEM, 16), RET(0));
    TAKEN("LDX MEM 16", fd, S(BPF_LDX | BPF_MEM, 16), RET(0));
    TAKEN("LD MEM that was not stored", fd, S(BPF_LD | BPF_MEM, 0), RET(0));
    TAKEN("LD MEM that was stored", fd, S(BPF_ST, 0), S(BPF_LD | BPF_MEM, 0), RET(0));
    TAKEN("LDX MEM stored by STX", fd, S(BPF_STX, 3), S(BPF_LDX | BPF_MEM, 3), RET(0));
    TAKEN("LDX MEM of another cell", fd, S(BPF_STX, 3), S(BPF_LDX | BPF_MEM, 4), RET(0));
    TAKEN("stored on one way", fd, J(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), S(BPF_ST, 0), S(BPF_LD | BPF_MEM, 0), RET(0));
    TAKEN("stored on both ways", fd, J(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2), S(BPF_ST, 0), J(BPF_JMP | BPF_JA, 1, 0, 0),
          S(BPF_ST, 0), S(BPF_LD | BPF_MEM, 0), RET(0));
    TAKEN("loaded behind a return", fd, RET(0), S(BPF_LD | BPF_MEM, 0), RET(0));
    TAKEN("stored before a return", fd, S(BPF_ST, 0), RET(0), S(BPF_LD | BPF_MEM, 0), RET(0));
    TAKEN("loaded behind a jump over it", fd, J(BPF_JMP | BPF_JA, 1, 0, 0), S(BPF_LD | BPF_MEM, 0), RET(0));
}

static void ways(int fd)
{
    TAKEN("no return at the end", fd, RET(0), S(BPF_LD | BPF_IMM, 0));
    TAKEN("jump at the end", fd, J(BPF_JMP | BPF_JA, 0, 0, 0));
    TAKEN("RET X", fd, S(BPF_RET | BPF_X, 0));
    TAKEN("RET A", fd, RETA);
    TAKEN("JA 0", fd, J(BPF_JMP | BPF_JA, 0, 0, 0), RET(0));
    TAKEN("JA behind the end", fd, J(BPF_JMP | BPF_JA, 1, 0, 0), RET(0));
    TAKEN("JA backwards", fd, RET(0), J(BPF_JMP | BPF_JA, -2, 0, 0), RET(0));
    TAKEN("JEQ true behind the end", fd, J(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), RET(0));
    TAKEN("JGT false behind the end", fd, J(BPF_JMP | BPF_JGT | BPF_X, 0, 0, 1), RET(0));
    TAKEN("JSET to the end", fd, J(BPF_JMP | BPF_JSET | BPF_K, 0, 1, 0), RET(0), RET(0));
    TAKEN("unknown jump", fd, { BPF_JMP | 0x50, 0, 0, 0 }, RET(0));
}

static void loads(int fd)
{
    char text[1000] = "";
    int at = 0;
    for (int k = SKF_AD_OFF; k < SKF_AD_OFF + 80; k++) {
        if (ATTACH(fd, S(BPF_LD | BPF_W | BPF_ABS, k), RET(0)) == 0)
            at += snprintf(text + at, sizeof text - at, "%s%d", at ? " " : "", k - SKF_AD_OFF);
        ioctl(fd, TUNDETACHFILTER, NULL);
    }
    say("what is beside the frame", "%s", text);
    TAKEN("before it", fd, S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF - 1), RET(0));
    TAKEN("far behind it", fd, S(BPF_LD | BPF_W | BPF_ABS, -1), RET(0));
    TAKEN("the network header", fd, S(BPF_LD | BPF_H | BPF_ABS, SKF_NET_OFF), RET(0));
    TAKEN("the link header", fd, S(BPF_LD | BPF_B | BPF_ABS, SKF_LL_OFF), RET(0));
    TAKEN("below the link header", fd, S(BPF_LD | BPF_B | BPF_ABS, SKF_LL_OFF - 1), RET(0));
    TAKEN("beside the frame, relative", fd, S(BPF_LD | BPF_W | BPF_IND, SKF_AD_OFF + 4), RET(0));
    TAKEN("unknown beside the frame, relative", fd, S(BPF_LD | BPF_W | BPF_IND, -1), RET(0));
    TAKEN("beside the frame, a length", fd, S(BPF_LDX | BPF_B | BPF_MSH, SKF_AD_OFF + 4), RET(0));
    TAKEN("protocol as a byte", fd, S(BPF_LD | BPF_B | BPF_ABS, SKF_AD_OFF), RET(0));
}

static struct sock_filter many[70000];

static void lengths(int fd)
{
    struct sock_fprog program = { 1, NULL };
    unsigned char *end;
    for (int i = 0; i < 70000; i++)
        many[i] = (struct sock_filter)RET(20);
    /* More may be too large for the socket, which depends on the machine (optmem_max). */
    taken("1000 instructions", fd, many, 1000);
    taken("4097 instructions", fd, many, 4097);
    taken("65535 instructions", fd, many, 65535);
    for (int i = 0; i < 4095; i++)
        many[i] = (struct sock_filter)S(BPF_LD | BPF_W | BPF_ABS, 0);
    taken("4096 instructions that load", fd, many, 4096);
    SHOW("no instructions at NULL", ioctl(fd, TUNATTACHFILTER, &program));
    program.filter = BAD_POINTER;
    SHOW("bad instructions", ioctl(fd, TUNATTACHFILTER, &program));
    program.len = 0;
    SHOW("none of them", ioctl(fd, TUNATTACHFILTER, &program));
    program.len = 5000;
    SHOW("too many of them", ioctl(fd, TUNATTACHFILTER, &program));
    end = edge(2 * sizeof(struct sock_filter) - 1);
    memcpy(end, PROGRAM(S(BPF_LD | BPF_IMM, 0), RET(0)), 2 * sizeof(struct sock_filter) - 1);
    program.filter = (struct sock_filter *)end;
    program.len = 2;
    SHOW("instructions that end too early", ioctl(fd, TUNATTACHFILTER, &program));
    end = edge(2 * sizeof(struct sock_filter));
    memcpy(end, PROGRAM({ 0xffff, 0, 0, 0 }, RET(0)), 2 * sizeof(struct sock_filter));
    program.filter = (struct sock_filter *)end;
    SHOW("a bad one, to the edge", ioctl(fd, TUNATTACHFILTER, &program));
    program.len = 3;
    SHOW("a bad one, over the edge", ioctl(fd, TUNATTACHFILTER, &program));
}

/* ---- what they do ---- */

static const char *arrives(int fd, driver *d, const void *data, size_t len, unsigned ethertype)
{
    static char text[40];
    drv_send(d, data, len, ethertype);
    ssize_t n = read(fd, buf, sizeof buf);
    if (n < 0)
        return errno == EAGAIN ? "dropped" : errno_name(errno);
    snprintf(text, sizeof text, "%zd", n);
    return text;
}

static void run(const char *label, int fd, driver *d, const struct sock_filter *code, int count)
{
    if (attach(fd, code, count)) {
        show(label, -1);
        return;
    }
    say(label, "%s", arrives(fd, d, frame(sent, 60, me, 0x88b5), 60, 0x88b5));
    ioctl(fd, TUNDETACHFILTER, NULL);
}
#define RUN(label, fd, d, ...) run(label, fd, d, PROGRAM(__VA_ARGS__), sizeof PROGRAM(__VA_ARGS__) / sizeof(struct sock_filter))

static void returns(int fd, driver *d)
{
    RUN("RET 0", fd, d, RET(0));
    RUN("RET 1", fd, d, RET(1));
    RUN("RET 13", fd, d, RET(13));
    RUN("RET 59", fd, d, RET(59));
    RUN("RET 60", fd, d, RET(60));
    RUN("RET 61", fd, d, RET(61));
    RUN("RET 0x7fffffff", fd, d, RET(0x7fffffff));
    RUN("RET 0x80000000", fd, d, RET(0x80000000));
    RUN("RET 0xffffffff", fd, d, RET(0xffffffff));
    RUN("RET A at the beginning", fd, d, RETA);
    RUN("RET X at the beginning", fd, d, S(BPF_MISC | BPF_TXA, 0), RETA);
    RUN("LD LEN", fd, d, S(BPF_LD | BPF_W | BPF_LEN, 0), S(BPF_ALU | BPF_SUB | BPF_K, 7), RETA);
    RUN("LDX LEN", fd, d, S(BPF_LDX | BPF_W | BPF_LEN, 0), S(BPF_MISC | BPF_TXA, 0), S(BPF_ALU | BPF_SUB | BPF_K, 9), RETA);
}

static void memory(int fd, driver *d)
{
    RUN("byte 14", fd, d, LD(14), S(BPF_ALU | BPF_ADD | BPF_K, 20), RETA);
    RUN("byte 59", fd, d, LD(59), RETA);
    RUN("byte 60", fd, d, LD(60), RET(40));
    RUN("half word 58", fd, d, S(BPF_LD | BPF_H | BPF_ABS, 58), S(BPF_ALU | BPF_AND | BPF_K, 0xff), RETA);
    RUN("half word 59", fd, d, S(BPF_LD | BPF_H | BPF_ABS, 59), RET(40));
    RUN("word 56", fd, d, S(BPF_LD | BPF_W | BPF_ABS, 56), S(BPF_ALU | BPF_RSH | BPF_K, 24), RETA);
    RUN("word 57", fd, d, S(BPF_LD | BPF_W | BPF_ABS, 57), RET(40));
    RUN("ethertype", fd, d, S(BPF_LD | BPF_H | BPF_ABS, 12), J(BPF_JMP | BPF_JEQ | BPF_K, 0x88b5, 0, 1), RET(30), RET(40));
    RUN("relative", fd, d, S(BPF_LDX | BPF_IMM, 20), S(BPF_LD | BPF_B | BPF_IND, 10), RETA);
    RUN("relative behind the end", fd, d, S(BPF_LDX | BPF_IMM, 50), S(BPF_LD | BPF_B | BPF_IND, 10), RET(40));
    RUN("relative around 0", fd, d, S(BPF_LDX | BPF_IMM, -10), S(BPF_LD | BPF_B | BPF_IND, 40), RETA);
    RUN("relative before the frame", fd, d, S(BPF_LDX | BPF_IMM, -50), S(BPF_LD | BPF_B | BPF_IND, 40), RET(40));
    RUN("relative to what is beside the frame", fd, d, S(BPF_LDX | BPF_IMM, SKF_AD_OFF), S(BPF_LD | BPF_W | BPF_IND, 4), RET(40));
    RUN("relative to the network header", fd, d, S(BPF_LDX | BPF_IMM, SKF_NET_OFF), S(BPF_LD | BPF_B | BPF_IND, 29), RETA);
    RUN("network header", fd, d, LD(SKF_NET_OFF + 20), RETA);
    RUN("network header, its end", fd, d, LD(SKF_NET_OFF + 45), RETA);
    RUN("network header, behind its end", fd, d, LD(SKF_NET_OFF + 46), RET(40));
    RUN("link header", fd, d, LD(SKF_LL_OFF + 34), RETA);
    RUN("link header, its end", fd, d, LD(SKF_LL_OFF + 59), RETA);
    RUN("link header, behind its end", fd, d, LD(SKF_LL_OFF + 60), RET(40));
    RUN("before the link header", fd, d, LD(SKF_LL_OFF - 1), RET(40));
    RUN("far below", fd, d, LD(0x80000000), RET(40));
    RUN("MSH", fd, d, S(BPF_LD | BPF_IMM, 3), S(BPF_LDX | BPF_B | BPF_MSH, 26), S(BPF_ALU | BPF_ADD | BPF_X, 0), RETA);
    RUN("MSH behind the end", fd, d, S(BPF_LDX | BPF_B | BPF_MSH, 60), RET(40));
    RUN("MSH of the network header", fd, d, S(BPF_LDX | BPF_B | BPF_MSH, SKF_NET_OFF + 10), S(BPF_MISC | BPF_TXA, 0), RETA);
    RUN("cells", fd, d, S(BPF_LD | BPF_IMM, 33), S(BPF_ST, 15), S(BPF_LD | BPF_IMM, 1), S(BPF_LDX | BPF_MEM, 15),
        S(BPF_MISC | BPF_TXA, 0), RETA);
    RUN("cells by X", fd, d, S(BPF_LDX | BPF_IMM, 34), S(BPF_STX, 0), S(BPF_LD | BPF_MEM, 0), RETA);
    RUN("TAX", fd, d, S(BPF_LD | BPF_IMM, 35), S(BPF_MISC | BPF_TAX, 0), S(BPF_LD | BPF_IMM, 0), S(BPF_MISC | BPF_TXA, 0), RETA);
}

/* One operation on A, with a constant and with X: the result, a byte of it at a time. */
static void compute(const char *name, int fd, driver *d, int operation, unsigned a, unsigned x)
{
    char label[80], text[100] = "";
    for (int from_x = 0; from_x < 2; from_x++)
        for (int shift = 0; shift < 32; shift += 8) {
            struct sock_filter code[] = {
                S(BPF_LD | BPF_IMM, a), S(BPF_LDX | BPF_IMM, x), S(BPF_ALU | operation | (from_x ? BPF_X : BPF_K), x),
                S(BPF_ALU | BPF_RSH | BPF_K, shift), S(BPF_ALU | BPF_AND | BPF_K, 0xff), S(BPF_ALU | BPF_ADD | BPF_K, 100), RETA,
            };
            const char *got = attach(fd, code, 7) ? "refused" : arrives(fd, d, frame(sent, 400, me, 0x88b5), 400, 0x88b5);
            int byte = atoi(got) - 100;
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", shift ? "," : from_x ? " X=" : "K=",
                     byte < 0 ? got : (snprintf(label, sizeof label, "%02x", byte), label));
            ioctl(fd, TUNDETACHFILTER, NULL);
        }
    snprintf(label, sizeof label, "%s 0x%x 0x%x", name, a, x);
    say(label, "%s", text);
}

static void arithmetic(int fd, driver *d)
{
    static const struct { const char *name; int operation; } all[] = {
        { "ADD", BPF_ADD }, { "SUB", BPF_SUB }, { "MUL", BPF_MUL }, { "DIV", BPF_DIV }, { "MOD", BPF_MOD }, { "AND", BPF_AND },
        { "OR", BPF_OR }, { "XOR", BPF_XOR }, { "LSH", BPF_LSH }, { "RSH", BPF_RSH }, { "NEG", BPF_NEG },
    };
    static const unsigned operands[][2] = { { 0x12345678, 3 }, { 0xfffffffe, 0xffffffff }, { 0x80000001, 31 }, { 5, 0 },
                                            { 0x12345678, 36 } };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t j = 0; j < sizeof operands / sizeof *operands; j++)
            compute(all[i].name, fd, d, all[i].operation, operands[j][0], operands[j][1]);
}

static void jumps(int fd, driver *d)
{
    static const struct { const char *name; int operation; } all[] = {
        { "JEQ", BPF_JEQ }, { "JGT", BPF_JGT }, { "JGE", BPF_JGE }, { "JSET", BPF_JSET },
    };
    static const unsigned operands[][2] = { { 5, 5 }, { 5, 6 }, { 6, 5 }, { 0xfffffff0, 5 }, { 5, 0xfffffff0 }, { 0x80000000, 0x80000000 } };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char text[100] = "";
        for (size_t j = 0; j < sizeof operands / sizeof *operands; j++)
            for (int from_x = 0; from_x < 2; from_x++) {
                struct sock_filter code[] = {
                    S(BPF_LD | BPF_IMM, operands[j][0]), S(BPF_LDX | BPF_IMM, operands[j][1]),
                    J(BPF_JMP | all[i].operation | (from_x ? BPF_X : BPF_K), operands[j][1], 1, 0), RET(20), RET(30),
                };
                attach(fd, code, 5);
                strcat(strcat(text, " "), arrives(fd, d, frame(sent, 60, me, 0x88b5), 60, 0x88b5));
                ioctl(fd, TUNDETACHFILTER, NULL);
            }
        say(all[i].name, "%s", text + 1);
    }
    RUN("JA", fd, d, J(BPF_JMP | BPF_JA, 1, 0, 0), RET(20), RET(30));
    RUN("both ways to the same", fd, d, J(BPF_JMP | BPF_JEQ | BPF_K, 7, 1, 1), RET(20), RET(30));
}

/* A value beside the frame, as far as it fits into the length of a frame. */
#define BESIDE(label, what) RUN(label, fd, d, S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + (what)), S(BPF_ALU | BPF_ADD | BPF_K, 20), RETA)

static void beside(int fd, driver *d)
{
    unsigned index = if_index("tb0");
    RUN("protocol", fd, d, S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PROTOCOL), J(BPF_JMP | BPF_JEQ | BPF_K, 0x88b5, 0, 1), RET(30), RET(40));
    RUN("protocol, as a byte", fd, d, LD(SKF_AD_OFF + SKF_AD_PROTOCOL), J(BPF_JMP | BPF_JEQ | BPF_K, 0x88b5, 0, 1), RET(30), RET(40));
    BESIDE("packet type", SKF_AD_PKTTYPE);
    RUN("index", fd, d, S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_IFINDEX), J(BPF_JMP | BPF_JEQ | BPF_K, index, 0, 1), RET(30), RET(40));
    BESIDE("mark", SKF_AD_MARK);
    BESIDE("queue", SKF_AD_QUEUE);
    BESIDE("type of hardware", SKF_AD_HATYPE);
    BESIDE("hash", SKF_AD_RXHASH);
    RUN("processor", fd, d, S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_CPU), J(BPF_JMP | BPF_JGE | BPF_K, 8192, 0, 1), RET(30), RET(40));
    RUN("xor", fd, d, S(BPF_LD | BPF_IMM, 0x35), S(BPF_LDX | BPF_IMM, 0x11), S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_ALU_XOR_X), RETA);
    BESIDE("VLAN tag", SKF_AD_VLAN_TAG);
    BESIDE("VLAN tag is present", SKF_AD_VLAN_TAG_PRESENT);
    BESIDE("VLAN protocol", SKF_AD_VLAN_TPID);
    RUN("random", fd, d, S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_RANDOM), S(BPF_ALU | BPF_AND | BPF_K, 0), S(BPF_ALU | BPF_ADD | BPF_K, 31), RETA);
    RUN("X stays", fd, d, S(BPF_LDX | BPF_IMM, 37), S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_RANDOM), S(BPF_MISC | BPF_TXA, 0), RETA);
    BESIDE("payload", SKF_AD_PAY_OFFSET);
}

/* Attributes of netlink in a frame: where is one of type X behind A? */
static void attributes(int fd, driver *d)
{
    static const struct { const char *label; unsigned begin, type; int nested; } all[] = {
        { "first attribute", 20, 1, 0 },  { "second attribute", 20, 2, 0 },  { "no such attribute", 20, 3, 0 },
        { "attributes behind the end", 58, 1, 0 }, { "attributes far behind", 1000, 1, 0 }, { "nested attribute", 28, 5, 1 },
        { "no such nested one", 28, 6, 1 }, { "nested in nothing", 20, 5, 1 }, { "nested at the end", 56, 5, 1 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct sock_filter code[] = {
            S(BPF_LD | BPF_IMM, all[i].begin), S(BPF_LDX | BPF_IMM, all[i].type),
            S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + (all[i].nested ? SKF_AD_NLATTR_NEST : SKF_AD_NLATTR)),
            S(BPF_ALU | BPF_ADD | BPF_K, 1), RETA,
        };
        static const struct { uint16_t len, type; } first = { 8, 1 }, second = { 24, 2 }, inner = { 8, 4 }, last = { 8, 5 };
        frame(sent, 60, me, 0x88b5);
        memcpy(sent + 20, &first, 4);
        memcpy(sent + 28, &second, 4);
        memcpy(sent + 32, &inner, 4);
        memcpy(sent + 40, &last, 4);
        if (attach(fd, code, 5))
            die("attributes");
        say(all[i].label, "%s", arrives(fd, d, sent, 60, 0x88b5));
        ioctl(fd, TUNDETACHFILTER, NULL);
    }
}

/* Where the payload of a packet begins. */
static void payload(const char *label, int fd, driver *d, size_t len, unsigned ethertype)
{
    ATTACH(fd, S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PAY_OFFSET), S(BPF_ALU | BPF_ADD | BPF_K, 100), RETA);
    memcpy(sent, me, 6);
    memcpy(sent + 6, "\x02\x00\x00\x00\x00\x09", 6);
    put16(sent + 12, ethertype);
    memset(sent + len, 0, 400 - len);
    say(label, "%d", atoi(arrives(fd, d, sent, 400, ethertype)) - 100);
    drv_send(d, sent, len, ethertype);
    char cut[100];
    snprintf(cut, sizeof cut, "%s, no more", label);
    ssize_t n = read(fd, buf, sizeof buf);
    say(cut, "%zd", n);
    ioctl(fd, TUNDETACHFILTER, NULL);
}

static void payloads(int fd, driver *d)
{
    unsigned char *ip = sent + 14;
    udp4(ip, 60, 53);
    payload("payload of UDP", fd, d, 74, 0x800);
    tcp4(ip, 80);
    payload("payload of TCP", fd, d, 94, 0x800);
    ip[32] = 0x80;
    payload("payload of TCP with options", fd, d, 94, 0x800);
    ip[32] = 0x10;
    payload("payload of TCP with a short header", fd, d, 94, 0x800);
    static const struct { const char *label; int protocol; } all[] = {
        { "payload of ICMP", 1 }, { "payload of IGMP", 2 }, { "payload of DCCP", 33 }, { "payload of SCTP", 132 },
        { "payload of UDP-Lite", 136 }, { "payload of ESP", 50 }, { "payload of AH", 51 }, { "payload of OSPF", 89 },
        { "payload of protocol 255", 255 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        udp4(ip, 60, 53);
        ip[9] = all[i].protocol;
        payload(all[i].label, fd, d, 74, 0x800);
    }
    udp4(ip, 60, 53);
    ip[6] = 0x20;
    payload("payload of a first fragment", fd, d, 74, 0x800);
    ip[7] = 1;
    payload("payload of a fragment", fd, d, 74, 0x800);
    udp4(ip, 60, 53);
    ip[0] = 0x46;
    payload("payload behind options", fd, d, 74, 0x800);
    ip[0] = 0x44;
    payload("payload of a bad header", fd, d, 74, 0x800);
    packet6(ip);
    payload("payload of IPv6", fd, d, 74, 0x86dd);
    packet6(ip);
    ip[6] = 58;
    payload("payload of ICMPv6", fd, d, 74, 0x86dd);
    packet6(ip);
    ip[6] = 0;
    memset(ip + 40, 0, 8);
    ip[40] = 17;
    payload("payload behind hop-by-hop options", fd, d, 74, 0x86dd);
    packet6(ip);
    ip[6] = 44;
    memset(ip + 40, 0, 8);
    ip[40] = 17;
    ip[43] = 1;
    payload("payload of a first fragment of IPv6", fd, d, 74, 0x86dd);
    ip[42] = 1;
    payload("payload of a fragment of IPv6", fd, d, 74, 0x86dd);
    frame(sent, 60, me, 0x806);
    payload("payload of ARP", fd, d, 60, 0x806);
    memcpy(ip, "\x00\x01\x08\x00\x06\x04\x00\x01", 8);
    payload("payload of a request of ARP", fd, d, 60, 0x806);
    udp4(sent + 18, 60, 53);
    memcpy(ip, "\x00\x05\x08\x00", 4);
    payload("payload behind a VLAN tag", fd, d, 78, 0x8100);
    udp4(ip, 60, 53);
    ip[9] = 4;
    udp4(ip + 20, 60, 53);
    payload("payload of IP in IP", fd, d, 94, 0x800);
    ip[9] = 47;
    memcpy(ip + 20, "\x00\x00\x08\x00", 4);
    udp4(ip + 24, 60, 53);
    payload("payload of GRE", fd, d, 98, 0x800);
    frame(sent, 60, me, 0x8847);
    payload("payload of MPLS", fd, d, 60, 0x8847);
}

/* ---- what becomes of them ---- */

static const char *no_filter(int fd)
{
    struct ifreq ifr;
    if (ioctl(fd, TUNGETIFF, &ifr))
        return errno_name(errno);
    return ifr.ifr_flags & 0x1000 ? "none" : "filter";
}

static void got(const char *label, int fd, const struct sock_filter *mine)
{
    struct { uint16_t len, pad[3]; const struct sock_filter *at; } got;
    memset(&got, 0xff, sizeof got);
    if (ioctl(fd, TUNGETFILTER, &got)) {
        show(label, -1);
        return;
    }
    say(label, "len=%u pad=%x,%x,%x %s", got.len, got.pad[0], got.pad[1], got.pad[2],
        !got.at ? "NULL" : got.at == mine ? "mine" : got.at == BAD_POINTER ? "bad" : "other");
}

/* What TUNGETFILTER says is what the last TUNATTACHFILTER was given, as far as it could be read. */
static void said(int fd)
{
    struct sock_filter take[] = { RET(20) };
    struct { uint16_t len, pad[3]; struct sock_filter *at; } p = { 1, { 1, 2, 3 }, take };
    void *volatile nowhere = NULL;
    got("at first", fd, take);
    SHOW("attached", ioctl(fd, TUNATTACHFILTER, &p));
    got("then", fd, take);
    SHOW("detached", ioctl(fd, TUNDETACHFILTER, nowhere));
    got("detached, then", fd, take);
    p.len = 0;
    SHOW("attached without instructions", ioctl(fd, TUNATTACHFILTER, &p));
    got("without instructions, then", fd, take);
    p.len = 1;
    p.at = BAD_POINTER;
    SHOW("attached at a bad address", ioctl(fd, TUNATTACHFILTER, &p));
    got("at a bad address, then", fd, take);
    p.at = take;
    ioctl(fd, TUNATTACHFILTER, &p);
    SHOW("attached at NULL", ioctl(fd, TUNATTACHFILTER, nowhere));
    got("at NULL, then", fd, take);
    say("at NULL, filter", "%s", no_filter(fd));
    ioctl(fd, TUNATTACHFILTER, &p);
    SHOW("attached at a bad pointer", ioctl(fd, TUNATTACHFILTER, BAD_POINTER));
    got("at a bad pointer, then", fd, take);
    p.len = 0x0203;
    for (size_t n = 1; n < sizeof p; n += 7) {
        char label[60];
        unsigned char *cut = edge(n);
        memcpy(cut, &p, n);
        snprintf(label, sizeof label, "cut to %zu", n);
        SHOW(label, ioctl(fd, TUNATTACHFILTER, cut));
        snprintf(label, sizeof label, "cut to %zu, then", n);
        got(label, fd, take);
    }
    SHOW("TUNGETFILTER at NULL", ioctl(fd, TUNGETFILTER, nowhere));
    SHOW("TUNGETFILTER at a bad pointer", ioctl(fd, TUNGETFILTER, BAD_POINTER));
    ioctl(fd, TUNDETACHFILTER, 0);
}

/* The bit of TUNGETIFF that says so is that of IFF_NO_PI, so this tap has packet information. */
static void replaced(void)
{
    int fd = tun_ready("tb8", IFF_TAP, O_NONBLOCK);
    driver tap = drv_attach("tb8"), *d = &tap;
    ATTACH(fd, RET(20));
    say("with a program", "%s %s", no_filter(fd), arrives(fd, d, frame(sent, 60, me, 0x88b5), 60, 0x88b5));
    ATTACH(fd, RET(30));
    say("with another", "%s %s", no_filter(fd), arrives(fd, d, frame(sent, 60, me, 0x88b5), 60, 0x88b5));
    SHOW("then a bad one", ATTACH(fd, { 0xffff, 0, 0, 0 }));
    say("with the bad one", "%s %s", no_filter(fd), arrives(fd, d, frame(sent, 60, me, 0x88b5), 60, 0x88b5));
    SHOW("taken away", ioctl(fd, TUNDETACHFILTER, 0));
    say("without", "%s %s", no_filter(fd), arrives(fd, d, frame(sent, 60, me, 0x88b5), 60, 0x88b5));
    SHOW("taken away again", ioctl(fd, TUNDETACHFILTER, 0));
    drv_send(d, frame(sent, 60, me, 0x88b5), 60, 0x88b5);
    ATTACH(fd, RET(20));
    say("queued before", "%zd", read(fd, buf, sizeof buf));
    say("a long frame", "%s", arrives(fd, d, frame(sent, 1500, me, 0x88b5), 1500, 0x88b5));
    say("a frame of 14", "%s", arrives(fd, d, frame(sent, 14, me, 0x88b5), 14, 0x88b5));
    drv_detach(d);
    close(fd);
}

/* An address filter looks first, at the whole frame. */
static void both(int fd, driver *d)
{
    struct { struct tun_filter head; unsigned char address[6]; } f = { { 0, 1 }, { 2, 0, 0, 0, 1, 1 } };
    ioctl(fd, TUNSETTXFILTER, &f);
    ATTACH(fd, RET(3));
    say("address and program", "%s", arrives(fd, d, frame(sent, 60, me, 0x88b5), 60, 0x88b5));
    say("another address and program", "%s", arrives(fd, d, frame(sent, 60, NULL, 0x88b5), 60, 0x88b5));
    ATTACH(fd, RET(0));
    say("address and a program that drops", "%s", arrives(fd, d, frame(sent, 60, me, 0x88b5), 60, 0x88b5));
    f.head.count = 0;
    ioctl(fd, TUNSETTXFILTER, &f);
    ioctl(fd, TUNDETACHFILTER, 0);
}

static void wrong_descriptors(void)
{
    struct sock_filter take[] = { RET(20) };
    struct sock_fprog p = { 1, take };
    int fd = MUST(open(DEVICE, O_RDWR));
    SHOW("unattached, TUNATTACHFILTER", ioctl(fd, TUNATTACHFILTER, &p));
    SHOW("unattached, TUNATTACHFILTER at a bad pointer", ioctl(fd, TUNATTACHFILTER, BAD_POINTER));
    SHOW("unattached, TUNDETACHFILTER", ioctl(fd, TUNDETACHFILTER, &p));
    SHOW("unattached, TUNGETFILTER", ioctl(fd, TUNGETFILTER, &p));
    SHOW("unattached, TUNSETTXFILTER", ioctl(fd, TUNSETTXFILTER, &p));
    MUST(tun_set_iff(fd, "tb1", IFF_TUN | IFF_NO_PI));
    SHOW("tun, TUNATTACHFILTER", ioctl(fd, TUNATTACHFILTER, &p));
    SHOW("tun, TUNATTACHFILTER at a bad pointer", ioctl(fd, TUNATTACHFILTER, BAD_POINTER));
    SHOW("tun, TUNDETACHFILTER", ioctl(fd, TUNDETACHFILTER, &p));
    SHOW("tun, TUNGETFILTER", ioctl(fd, TUNGETFILTER, &p));
    SHOW("tun, TUNGETFILTER at a bad pointer", ioctl(fd, TUNGETFILTER, BAD_POINTER));
    SHOW("tun, TUNSETTXFILTER", ioctl(fd, TUNSETTXFILTER, &p));
    SHOW("tun, TUNSETTXFILTER at a bad pointer", ioctl(fd, TUNSETTXFILTER, BAD_POINTER));
    say("tun, filter", "%s", no_filter(fd));
    close(fd);
}

/* ---- the next tunnel of a persistent interface ---- */

static struct sock_filter shared[] = { RET(20) };

static void again(const char *label, int flags)
{
    char text[100];
    int fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    snprintf(text, sizeof text, "%s, TUNSETIFF", label);
    SHOW(text, tun_set_iff(fd, "tb2", flags));
    snprintf(text, sizeof text, "%s, filter", label);
    say(text, "%s", no_filter(fd));
    snprintf(text, sizeof text, "%s, TUNGETFILTER", label);
    got(text, fd, shared);
    if (exists("tb2")) {
        driver d = drv_attach("tb2");
        link_up("tb2", 1);
        snprintf(text, sizeof text, "%s, a frame", label);
        say(text, "%s", arrives(fd, &d, frame(sent, 60, me, 0x88b5), 60, 0x88b5));
        drv_detach(&d);
    }
    close(fd);
}

static void persistent(void)
{
    int fd = tun_attach("tb2", IFF_TAP, O_NONBLOCK);
    MUST(ioctl(fd, TUNSETPERSIST, 1));
    SHOW("persistent, attached", attach(fd, shared, 1));
    say("persistent, filter", "%s", no_filter(fd));
    close(fd);
    again("persistent with IFF_NO_PI", IFF_TAP | IFF_NO_PI);
    again("persistent with PI", IFF_TAP);
    again("persistent with PI again", IFF_TAP);
    shared[0].code = 0xffff;
    again("persistent with a bad program", IFF_TAP);
    shared[0].code = BPF_RET | BPF_K;
    again("persistent with IFF_NO_PI again", IFF_TAP | IFF_NO_PI);
    fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    MUST(tun_set_iff(fd, "tb2", IFF_TAP | IFF_NO_PI));
    ioctl(fd, TUNDETACHFILTER, 0);
    close(fd);
    again("persistent after TUNDETACHFILTER", IFF_TAP);
    fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    MUST(tun_set_iff(fd, "tb2", IFF_TAP | IFF_NO_PI));
    MUST(ioctl(fd, TUNSETPERSIST, 0));
    close(fd);
}

/* ---- several queues ---- */

#define TAP_MQ (IFF_TAP | IFF_MULTI_QUEUE)

/* A queue that is attached with IFF_NO_PI does not get the program of the others. The others show
   whether they have one, because the interface has packet information. */
static void queues(void)
{
    int a = tun_attach("tb3", TAP_MQ, O_NONBLOCK), b = tun_attach("tb3", TAP_MQ, O_NONBLOCK), c, d;
    say("two queues, before", "%s %s", no_filter(a), no_filter(b));
    SHOW("two queues, attached", attach(b, shared, 1));
    say("two queues", "%s %s", no_filter(a), no_filter(b));
    c = tun_attach("tb3", TAP_MQ | IFF_NO_PI, O_NONBLOCK);
    say("a third queue", "%s", no_filter(c));
    SHOW("a fourth queue", tun_set_iff(d = MUST(open(DEVICE, O_RDWR | O_NONBLOCK)), "tb3", TAP_MQ));
    say("a fourth queue, filter", "%s", no_filter(d));
    SHOW("the fourth with IFF_NO_PI", tun_set_iff(d, "tb3", TAP_MQ | IFF_NO_PI));
    say("the fourth with IFF_NO_PI, filter", "%s", no_filter(d));
    SHOW("a queue is detached", queue(b, IFF_DETACH_QUEUE));
    say("detached queue", "%s", no_filter(b));
    SHOW("TUNDETACHFILTER on another", ioctl(a, TUNDETACHFILTER, 0));
    say("after TUNDETACHFILTER", "%s %s %s %s", no_filter(a), no_filter(b), no_filter(c), no_filter(d));
    SHOW("the queue is attached", queue(b, IFF_ATTACH_QUEUE));
    say("attached queue", "%s", no_filter(b));
    SHOW("it is detached again", queue(b, IFF_DETACH_QUEUE));
    SHOW("attached to the others", attach(a, shared, 1));
    say("with a detached one", "%s %s %s %s", no_filter(a), no_filter(b), no_filter(c), no_filter(d));
    SHOW("the queue is attached once more", queue(b, IFF_ATTACH_QUEUE));
    SHOW("and again", queue(b, IFF_ATTACH_QUEUE));
    SHOW("then detached", queue(b, IFF_DETACH_QUEUE));
    shared[0].code = 0xffff;
    SHOW("attached with a bad program", queue(b, IFF_ATTACH_QUEUE));
    SHOW("attached with a bad program again", queue(b, IFF_ATTACH_QUEUE));
    shared[0].code = BPF_RET | BPF_K;
    SHOW("with a bad program", ATTACH(c, { 0xffff, 0, 0, 0 }));
    say("after a bad program", "%s %s %s %s", no_filter(a), no_filter(b), no_filter(c), no_filter(d));
    close(d);
    d = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    SHOW("a fourth queue after that", tun_set_iff(d, "tb3", TAP_MQ));
    say("a fourth queue after that, filter", "%s", no_filter(d));
    SHOW("a program for all", attach(a, shared, 1));
    say("with a program for all", "%s %s %s %s", no_filter(a), no_filter(b), no_filter(c), no_filter(d));
    SHOW("TUNDETACHFILTER for all", ioctl(b, TUNDETACHFILTER, 0));
    say("without a program for all", "%s %s %s %s", no_filter(a), no_filter(b), no_filter(c), no_filter(d));
    close(a);
    close(b);
    close(c);
    close(d);
}

/* One queue, and another one that gets the program instead of the interface: what the interface
   is follows that one. */
static void framing(void)
{
    int a = tun_attach("tb9", TAP_MQ, O_NONBLOCK), b = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    struct ifreq ifr;
    attach(a, shared, 1);
    SHOW("a second queue with a vnet header", tun_set_iff(b, "tb9", TAP_MQ | IFF_VNET_HDR));
    ioctl(a, TUNGETIFF, &ifr);
    say("flags of the interface", "0x%x", (unsigned short)ifr.ifr_flags);
    say("the second queue", "%s", no_filter(b));
    SHOW("the second queue, write", write(b, sent, 60));
    close(a);
    SHOW("the interface is there", exists("tb9"));
    MUST(tun_set_iff(b, "tb10", TAP_MQ));
    say("the second queue elsewhere", "%s", no_filter(b));
    close(b);
}

/* All queues are detached: nobody looks at the program. */
static void no_queues(void)
{
    int fd = tun_attach("tb4", TAP_MQ, O_NONBLOCK);
    MUST(queue(fd, IFF_DETACH_QUEUE));
    SHOW("no queue, a bad program", ATTACH(fd, { 0xffff, 0, 0, 0 }));
    SHOW("no queue, a bad pointer", ioctl(fd, TUNATTACHFILTER, BAD_POINTER));
    SHOW("no queue, a program", attach(fd, shared, 1));
    say("no queue", "%s", no_filter(fd));
    got("no queue, TUNGETFILTER", fd, shared);
    SHOW("no queue, attached again", queue(fd, IFF_ATTACH_QUEUE));
    say("no queue, then", "%s", no_filter(fd));
    SHOW("no queue, attached once more", queue(fd, IFF_ATTACH_QUEUE));
    SHOW("no queue, detached", queue(fd, IFF_DETACH_QUEUE));
    SHOW("no queue, TUNSETTXFILTER", ioctl(fd, TUNSETTXFILTER, &(struct tun_filter){ 0, 0 }));
    SHOW("no queue, TUNDETACHFILTER", ioctl(fd, TUNDETACHFILTER, 0));
    say("no queue, at last", "%s", no_filter(fd));
    close(fd);
}

/* The program belongs to the tunnel: it goes with it to its next interface, even to a tun. */
static void moved(void)
{
    int fd = tun_attach("tb5", IFF_TAP, O_NONBLOCK);
    driver d = drv_attach("tb5");
    attach(fd, shared, 1);
    SHOW("deleted", drv_delete(&d));
    drv_detach(&d);
    SHOW("deleted, TUNGETFILTER", ioctl(fd, TUNGETFILTER, sent));
    MUST(tun_set_iff(fd, "tb6", IFF_TUN));
    link_up("tb6", 1);
    d = drv_attach("tb6");
    say("on a tun", "%s", no_filter(fd));
    say("on a tun, a packet", "%s", arrives(fd, &d, packet(sent, 60), 60, 0x800));
    SHOW("on a tun, TUNDETACHFILTER", ioctl(fd, TUNDETACHFILTER, 0));
    drv_delete(&d);
    drv_detach(&d);
    MUST(tun_set_iff(fd, "tb7", IFF_TAP));
    got("on a new tap", fd, shared);
    say("on a new tap, filter", "%s", no_filter(fd));
    SHOW("on a new tap, TUNDETACHFILTER", ioctl(fd, TUNDETACHFILTER, 0));
    say("on a new tap, at last", "%s", no_filter(fd));
    close(fd);
}

/* The number of the queue that a frame goes to. What a queue wrote last decides where the answers
   go. */
static void numbers(void)
{
    int queues[2] = { tun_ready("tb11", TAP_MQ | IFF_NO_PI, O_NONBLOCK), tun_attach("tb11", TAP_MQ | IFF_NO_PI, O_NONBLOCK) };
    driver d = drv_attach("tb11");
    ATTACH(queues[0], S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_QUEUE), S(BPF_ALU | BPF_ADD | BPF_K, 20), RETA);
    for (int i = 0; i < 2; i++) {
        memcpy(frame(sent, 14, me, 0x800) + 14, packet(buf, 60), 60);
        MUST(write(queues[i], sent, 74));
        drv_send(&d, sent, 74, 0x800);
        say(i ? "to the second queue" : "to the first queue", "%zd", read(queues[i], buf, sizeof buf));
    }
    drv_detach(&d);
    close(queues[0]);
    close(queues[1]);
}

/* The program sees the frame without the headers that the driver puts in front of it. */
static void headers(void)
{
    int fd = tun_ready("tb12", IFF_TAP | IFF_VNET_HDR, O_NONBLOCK);
    driver d = drv_attach("tb12");
    ATTACH(fd, S(BPF_LD | BPF_H | BPF_ABS, 12), J(BPF_JMP | BPF_JEQ | BPF_K, 0x88b5, 0, 1), RET(20), RET(0));
    say("behind both headers", "%s", arrives(fd, &d, frame(sent, 60, me, 0x88b5), 60, 0x88b5));
    say("another ethertype behind both headers", "%s", arrives(fd, &d, frame(sent, 60, me, 0x88b6), 60, 0x88b6));
    ATTACH(fd, S(BPF_LD | BPF_W | BPF_LEN, 0), S(BPF_ALU | BPF_SUB | BPF_K, 1), RETA);
    say("length behind both headers", "%s", arrives(fd, &d, frame(sent, 60, me, 0x88b5), 60, 0x88b5));
    drv_detach(&d);
    close(fd);
}

/* On a TUN the packet begins with its network header. */
static void on_a_tun(void)
{
    int fd = tun_attach("tb13", IFF_TAP | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("tb13");
    ATTACH(fd, LD(SKF_NET_OFF + 9), J(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 3), LD(9), J(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 1), RET(20), RET(0));
    drv_delete(&d);
    drv_detach(&d);
    MUST(tun_set_iff(fd, "tb13", IFF_TUN | IFF_NO_PI));
    link_up("tb13", 1);
    d = drv_attach("tb13");
    say("network header of a tun", "%s", arrives(fd, &d, packet(sent, 60), 60, 0x800));
    drv_detach(&d);
    close(fd);
    fd = tun_attach("tb14", IFF_TAP | IFF_NO_PI, O_NONBLOCK);
    d = drv_attach("tb14");
    ATTACH(fd, S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PAY_OFFSET), RETA);
    drv_delete(&d);
    drv_detach(&d);
    MUST(tun_set_iff(fd, "tb14", IFF_TUN | IFF_NO_PI));
    link_up("tb14", 1);
    d = drv_attach("tb14");
    say("payload of a packet of a tun", "%s", arrives(fd, &d, packet(sent, 60), 60, 0x800));
    say("payload of a packet of IPv6 of a tun", "%s", arrives(fd, &d, packet6(sent), 60, 0x86dd));
    drv_detach(&d);
    close(fd);
}

/* A filtered frame takes no place in a queue that is full. */
static void full(int fd, driver *d)
{
    for (int i = 0; i < 1000; i++)
        drv_send(d, frame(sent, 60, me, 0x88b5), 60, 0x88b5);
    ATTACH(fd, RET(0));
    say("a frame that is dropped at a full queue", "%d", drv_send(d, frame(sent, 60, me, 0x88b5), 60, 0x88b5));
    drain(fd);
    ioctl(fd, TUNDETACHFILTER, 0);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = tun_ready("tb0", IFF_TAP | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("tb0");
    said(fd);
    codes(fd);
    operands(fd);
    ways(fd);
    loads(fd);
    lengths(fd);
    returns(fd, &d);
    memory(fd, &d);
    arithmetic(fd, &d);
    jumps(fd, &d);
    beside(fd, &d);
    attributes(fd, &d);
    payloads(fd, &d);
    both(fd, &d);
    full(fd, &d);
    drv_detach(&d);
    close(fd);
    replaced();
    wrong_descriptors();
    persistent();
    queues();
    framing();
    no_queues();
    moved();
    numbers();
    headers();
    on_a_tun();
    return 0;
}
