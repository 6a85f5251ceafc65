/* memtun.h - the driver's side of an in-memory /dev/net/tun.
 *
 * Link with -lmemtun, load libmemtun.so with dlopen(3), or declare the functions weak and run under
 * LD_PRELOAD: the same library serves all three.
 * Functions that return int or ssize_t give a negative errno on error. The two that return a handle
 * give NULL and set errno. A timeout of -1 waits without limit, 0 does not wait.
 * Packets are as the network sees them: no PI or vnet header; TAP frames whole, from the destination address on.
 */
#ifndef MEMTUN_H
#define MEMTUN_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct memtun_net memtun_net;
typedef struct memtun_iface memtun_iface;

/* Is this process under the shim (preloaded)? 1 or 0. Declare it weak to ask. */
int memtun_active(void);

/* Joins a net; it is created if missing. NULL: the calling process's own net. */
memtun_net *memtun_net_open(const char *dir);
void memtun_net_close(memtun_net *net);

/* Waits until an interface of this name exists. ENODEV when the time is over. */
memtun_iface *memtun_interface(memtun_net *net, const char *name, int timeout_ms);
void memtun_iface_close(memtun_iface *iface);

/* Puts a packet into the program's read queue. When 0 is returned it is readable.
 * -EAGAIN: the queue stayed full for the whole time. -ENETDOWN: link down, -EMSGSIZE: over the mtu, -ENODEV: interface gone.
 * ethertype 0: from the packet. */
int memtun_inject(memtun_iface *iface, const void *frame, size_t len, uint16_t ethertype, int timeout_ms);
/* The same for an IP packet; a TAP gets an Ethernet header in front. */
int memtun_deliver(memtun_iface *iface, const void *ip_packet, size_t len, int timeout_ms);
/* The next packet that the program wrote: its length, which may be more than len (then it is cut).
 * -EAGAIN: none in time. -ENOBUFS: this handle was overtaken and lost packets; go on with the next call. */
ssize_t memtun_recv(memtun_iface *iface, void *buf, size_t len, uint16_t *ethertype, int timeout_ms);

/* Sends one UDP datagram to the program. src_host NULL: 10.1.2.3 (or fd00:1:2::3), src_port 0: 21345. */
int memtun_send_udp(memtun_iface *iface, const char *src_host, uint16_t src_port, const char *dst_host,
                    uint16_t dst_port, const void *data, size_t len, int timeout_ms);
/* The next UDP datagram that the program sends to host (NULL: any) and port: its length. */
ssize_t memtun_receive_udp(memtun_iface *iface, const char *host, uint16_t port, void *buf, size_t len, int timeout_ms);

/* Faults: "write=EINTR@1", "read=EAGAIN@3-5", "ioctl:TUNSETIFF=EBUSY@1". Permissions: "open" or "ioctl". */
int memtun_fault(memtun_net *net, const char *spec);
int memtun_permit(memtun_net *net, const char *operation);
int memtun_deny(memtun_net *net, const char *operation);
/* Takes back every fault and grants every permission. */
int memtun_reset(memtun_net *net);

int memtun_link_set_up(memtun_iface *iface, int up);
int memtun_link_set_mtu(memtun_iface *iface, uint32_t mtu);
int memtun_link_set_txqlen(memtun_iface *iface, uint32_t packets);
int memtun_link_set_name(memtun_iface *iface, const char *name);
int memtun_link_set_carrier(memtun_iface *iface, int on);
/* Deletes the interface under the program, as `ip link del` does. */
int memtun_link_del(memtun_iface *iface);

#ifdef __cplusplus
}
#endif
#endif
