/* packets.h - the packets the programs send: fixed bytes, so that transcripts can quote them. */
#ifndef PACKETS_H
#define PACKETS_H
#include "harness.h"
#include <linux/if_ether.h>

HELPER void put16(unsigned char *p, unsigned v) { p[0] = v >> 8; p[1] = v; }

HELPER uint16_t ip_checksum(const unsigned char *p, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += p[i] << 8 | p[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

/* An IPv4/UDP datagram of `len` bytes in all (at least 28), 10.9.0.1:1000 to 10.9.0.2:`port`;
   payload 00 01 02 ... */
HELPER unsigned char *udp4(unsigned char *p, size_t len, unsigned port)
{
    memset(p, 0, 28);
    p[0] = 0x45;
    put16(p + 2, len > 65535 ? 65535 : len);
    p[8] = 64;
    p[9] = 17;
    memcpy(p + 12, "\x0a\x09\x00\x01\x0a\x09\x00\x02", 8);
    put16(p + 10, ip_checksum(p, 20));
    put16(p + 20, 1000);
    put16(p + 22, port);
    put16(p + 24, len > 65535 ? 65515 : len - 20);
    for (size_t i = 28; i < len; i++)
        p[i] = i - 28;
    return p;
}

/* The usual packet: 60 bytes. Its length tells packets apart where several are under way. */
HELPER unsigned char *packet(unsigned char *p, size_t len) { return udp4(p, len, 2000); }

/* A 60-byte IPv6/UDP datagram, fd09::1 to fd09::2. */
HELPER unsigned char *packet6(unsigned char *p)
{
    memset(p, 0, 60);
    p[0] = 0x60;
    put16(p + 4, 20);
    p[6] = 17;
    p[7] = 64;
    p[8] = p[24] = 0xfd;
    p[9] = p[25] = 0x09;
    p[23] = 1;
    p[39] = 2;
    put16(p + 40, 1000);
    put16(p + 42, 2000);
    put16(p + 44, 20);
    for (int i = 48; i < 60; i++)
        p[i] = i - 48;
    return p;
}

/* An Ethernet frame of `len` bytes in all; `to` NULL means broadcast; payload 01 02 03 ... */
HELPER unsigned char *frame(unsigned char *p, size_t len, const char *to, unsigned ethertype)
{
    memcpy(p, to ? to : "\xff\xff\xff\xff\xff\xff", 6);
    memcpy(p + 6, "\x02\x00\x00\x00\x00\x09", 6);
    put16(p + 12, ethertype);
    for (size_t i = 14; i < len; i++)
        p[i] = i - 13;
    return p;
}

/* An IPv4/TCP segment of `len` bytes in all. */
HELPER unsigned char *tcp4(unsigned char *p, size_t len)
{
    packet(p, len);
    p[9] = 6;
    put16(p + 10, 0);
    put16(p + 10, ip_checksum(p, 20));
    memset(p + 24, 0, 16);
    p[32] = 0x50;
    p[33] = 0x10;
    return p;
}

#endif
