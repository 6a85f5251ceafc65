/* memtun.h - the driver's side of an in-memory /dev/net/tun. Made by cbindgen; do not edit.
 *
 * Link with -lmemtun, load libmemtun.so with dlopen(3), or define MEMTUN_WEAK, link with nothing and run under
 * LD_PRELOAD: the same library serves all three.
 *
 * Functions that return int or ssize_t give a negative errno on error, those that return a handle give NULL and
 * set errno; memtun_last_error() has the sentence. A timeout of -1 (any negative one) waits for ever,
 * 0 does not wait.
 * Packets are as the network sees them: no PI or vnet header; TAP frames whole, from the destination address on.
 * A handle may be used by several threads at once, and by none any more when it is closed.
 */

#ifndef MEMTUN_H
#define MEMTUN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef MEMTUN_WEAK
#define MEMTUN_API __attribute__((weak))
#else
#define MEMTUN_API
#endif

/*
 An interface of a net.
 */
typedef struct memtun_iface memtun_iface;

/*
 A net: a directory that processes join.
 */
typedef struct memtun_net memtun_net;

/*
 Reads the datagrams to one address, with a place of its own.
 */
typedef struct memtun_receiver memtun_receiver;

/*
 Reads everything that the program writes, with a place of its own.
 */
typedef struct memtun_subscriber memtun_subscriber;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Is this process under the shim? 1 when the library was preloaded, 0 when it was only linked or loaded.
 With weak declarations (MEMTUN_WEAK) the function's address says whether the library is there at all.
 */
MEMTUN_API int memtun_active(void);

/*
 The library's version, as "0.1.0".
 */
MEMTUN_API const char *memtun_version(void);

/*
 What the calling thread's last failed call said: a sentence with the remedy, in UTF-8, without a full stop
 or newline. Empty when none has failed. Yours until the next call of this thread.
 */
MEMTUN_API const char *memtun_last_error(void);

/*
 How many packets the calling thread's last failed call told of, if that was -ENOBUFS of a reader that was
 overtaken; else 0.
 */
MEMTUN_API uint64_t memtun_last_lost(void);

/*
 Joins a net; its directory is made if missing (mode 0700), the parent is not. NULL: the calling process's
 own net, in which it opens its tunnels when it runs under the shim. Close it with memtun_net_close.
 ENODEV: NULL, and no net. EPERM: the directory is another user's, or others may write to it. ENOTDIR: it is
 a file or a symbolic link. ENOENT, EACCES: it can be neither reached nor made. EUCLEAN: what is in it is
 damaged, or another version's.
 */
MEMTUN_API memtun_net *memtun_net_open(const char *dir);

/*
 Joins the net of the user with this number, and of no other: how root joins another user's. What is made in
 it belongs to that user. EPERM: it is somebody else's, or the caller is neither root nor that user. EINVAL:
 dir is NULL; whose a process's own net is, MEMTUN_NET_OWNER says. Else as memtun_net_open.
 */
MEMTUN_API memtun_net *memtun_net_open_of_user(const char *dir, uid_t owner);

/*
 A fresh net in /dev/shm, else $XDG_RUNTIME_DIR, else $TMPDIR. It is removed with the last of its handles:
 this one and those made from it. Nets of processes that were killed are removed on the way.
 */
MEMTUN_API memtun_net *memtun_net_temporary(void);

/*
 Closes a net's handle. Interfaces that came from it stay usable. NULL is fine.
 */
MEMTUN_API void memtun_net_close(memtun_net *net);

/*
 The net's directory, as MEMTUN_NET wants it: its length; as much as fits stands in buf, with a NUL.
 */
MEMTUN_API ssize_t memtun_net_path(const memtun_net *net, char *buf, size_t len);

/*
 Removes the net's directory with all that is in it, now. Programs in it keep their descriptors but can
 open no more.
 */
MEMTUN_API int memtun_net_remove(memtun_net *net);

/*
 Makes calls of the programs fail: "write=EINTR@1", "read=EAGAIN@3-5", "ioctl:TUNSETIFF=EBUSY@1",
 "open=ENOENT" (until taken back). -EINVAL: no such fault. -ENOSPC: 64 are set already.
 */
MEMTUN_API int memtun_fault(memtun_net *net, const char *spec);

/*
 Takes a fault back: 1, or 0 when it was not set any more.
 */
MEMTUN_API int memtun_fault_take_back(memtun_net *net, const char *spec);

/*
 Gives a permission back: "open", "ioctl" or "net_admin".
 */
MEMTUN_API int memtun_permit(memtun_net *net, const char *operation);

/*
 Takes a permission away: "open" or "ioctl" fails with EPERM from now on, in programs that run as well.
 Without "net_admin" fails what the kernel asks CAP_NET_ADMIN for: making interfaces, attaching to one whose
 owner and group the program is not, changing one by requests on sockets.
 */
MEMTUN_API int memtun_deny(memtun_net *net, const char *operation);

/*
 Do programs have this permission? 1 or 0.
 */
MEMTUN_API int memtun_permitted(const memtun_net *net, const char *operation);

/*
 Has, or had, the net an interface of this name? 1 or 0. -EINVAL: no interface can have that name.
 */
MEMTUN_API int memtun_had_interface(const memtun_net *net, const char *name);

/*
 Longest write in bytes, ENOBUFS beyond. 0: no limit, as in the kernel.
 */
MEMTUN_API int memtun_set_send_buffer_size(memtun_net *net, uint32_t bytes);

/*
 Replaces the end of every name that a program asks for by suffix (at most 12 bytes), to catch programs
 that ignore the name that TUNSETIFF gives back. Empty: the kernel's naming.
 */
MEMTUN_API int memtun_set_rename(memtun_net *net, const char *suffix);

/*
 Takes back every fault, grants every permission, lifts the limit of the send buffer and the renaming.
 */
MEMTUN_API int memtun_reset(memtun_net *net);

/*
 Waits until an interface of this name exists. ENODEV when the time is over, EINVAL when no interface can
 have that name. A timeout of -1 waits for ever, 0 does not wait; so for all others. Close it with
 memtun_iface_close.
 */
MEMTUN_API memtun_iface *memtun_interface(memtun_net *net, const char *name, int timeout_ms);

/*
 Closes an interface's handle. NULL is fine.
 */
MEMTUN_API void memtun_iface_close(memtun_iface *iface);

/*
 Puts a packet into the program's read queue; when 0 is returned it is readable. A TAP's frame begins with
 the destination address. ethertype 0: from the packet. -EAGAIN: the queue stayed full, or the capture of
 it behind, for the whole time. -ENETDOWN: the link is down. -EMSGSIZE: over the mtu. -ENOTCONN: no program
 attached. -ENODEV: the interface is gone. What is refused is not queued.
 */
MEMTUN_API
int memtun_inject(memtun_iface *iface,
                  const void *frame,
                  size_t len,
                  uint16_t ethertype,
                  int timeout_ms);

/*
 The same for an IP packet; a TAP gets an Ethernet header in front.
 */
MEMTUN_API int memtun_deliver(memtun_iface *iface, const void *ip_packet, size_t len, int timeout_ms);

/*
 As memtun_inject (memtun_deliver if ip is not 0), for one turn of a longer wait: what finds no room in time is
 not counted as refused. For a driver whose language wants to look at signals in between.
 */
MEMTUN_API
int memtun_offer(memtun_iface *iface,
                 const void *packet,
                 size_t len,
                 uint16_t ethertype,
                 int ip,
                 int turn_ms);

/*
 As memtun_send_udp, for one turn of a longer wait: see memtun_offer.
 */
MEMTUN_API
int memtun_offer_udp(memtun_iface *iface,
                     const char *src_host,
                     uint16_t src_port,
                     const char *dst_host,
                     uint16_t dst_port,
                     const void *data,
                     size_t len,
                     int turn_ms);

/*
 Sends one UDP datagram to the program, with right checksums. src_host NULL: 10.1.2.3, or fd00:1:2::3 for
 an IPv6 destination. src_port 0: 21345. -EINVAL: no IP address, two families, or too long. Else as
 memtun_inject.
 */
MEMTUN_API
int memtun_send_udp(memtun_iface *iface,
                    const char *src_host,
                    uint16_t src_port,
                    const char *dst_host,
                    uint16_t dst_port,
                    const void *data,
                    size_t len,
                    int timeout_ms);

/*
 Where memtun_send_udp sends from, given the same src_host, src_port and dst_host. 64 bytes are room for
 any address.
 */
MEMTUN_API
int memtun_udp_source(const char *src_host,
                      uint16_t src_port,
                      const char *dst_host,
                      char *host,
                      size_t host_len,
                      uint16_t *port);

/*
 Sets the link up (1) or down (0), as `ip link set` does.
 */
MEMTUN_API int memtun_link_set_up(memtun_iface *iface, int up);

/*
 Sets the largest packet in bytes: 68 to 65535, to 65521 for a TAP.
 */
MEMTUN_API int memtun_link_set_mtu(memtun_iface *iface, uint32_t mtu);

/*
 Sets how many packets each read queue holds; of a queue that gets shorter the oldest stay.
 */
MEMTUN_API int memtun_link_set_txqlen(memtun_iface *iface, uint32_t packets);

/*
 Sets the user who may attach where programs lack the permission "net_admin", as TUNSETOWNER; UINT32_MAX for
 any.
 */
MEMTUN_API int memtun_link_set_owner(memtun_iface *iface, uint32_t uid);

/*
 Sets the group whose members may attach where programs lack the permission "net_admin", as TUNSETGROUP;
 UINT32_MAX for any.
 */
MEMTUN_API int memtun_link_set_group(memtun_iface *iface, uint32_t gid);

/*
 Renames the interface. -EEXIST: the name is taken.
 */
MEMTUN_API int memtun_link_set_name(memtun_iface *iface, const char *name);

/*
 Sets the carrier on (1) or off (0).
 */
MEMTUN_API int memtun_link_set_carrier(memtun_iface *iface, int on);

/*
 Deletes the interface under the program, as `ip link del` does.
 */
MEMTUN_API int memtun_link_del(memtun_iface *iface);

/*
 The next packet that the program wrote: its length, which may be more than len (then it is cut). ethertype
 may be NULL. Each handle sees every packet once. -EAGAIN: none in time. -ENOBUFS: this handle was
 overtaken and lost packets, memtun_last_lost of them; the next call goes on in the middle of what is kept. -ENODEV: the interface is gone, and all that it
 wrote has been received.
 */
MEMTUN_API
ssize_t memtun_recv(memtun_iface *iface,
                    void *buf,
                    size_t len,
                    uint16_t *ethertype,
                    int timeout_ms);

/*
 The next UDP datagram that the program sends to host (NULL: any) and port: the length of its payload.
 Errors as memtun_recv; the sentence of -EAGAIN says what was passed over, as for its port or checksum.
 */
MEMTUN_API
ssize_t memtun_receive_udp(memtun_iface *iface,
                           const char *host,
                           uint16_t port,
                           void *buf,
                           size_t len,
                           int timeout_ms);

/*
 A reader of its own of everything the program writes, from the oldest packet kept. Close it with
 memtun_subscriber_close.
 */
MEMTUN_API memtun_subscriber *memtun_subscribe(memtun_iface *iface);

/*
 As memtun_recv, at the subscriber's own place. time_ns: when it was written, nanoseconds since 1970. Both
 may be NULL.
 */
MEMTUN_API
ssize_t memtun_subscriber_recv(memtun_subscriber *subscriber,
                               void *buf,
                               size_t len,
                               uint16_t *ethertype,
                               uint64_t *time_ns,
                               int timeout_ms);

/*
 Closes a subscriber. NULL is fine.
 */
MEMTUN_API void memtun_subscriber_close(memtun_subscriber *subscriber);

/*
 A reader of its own of the UDP datagrams that the program sends to host (NULL: any) and port, from the
 oldest packet kept. Close it with memtun_udp_receiver_close.
 */
MEMTUN_API memtun_receiver *memtun_udp_receiver(memtun_iface *iface, const char *host, uint16_t port);

/*
 The next datagram: the length of its payload, which may be more than len (then it is cut). src_host (64
 bytes are room for any address) and src_port say where it came from and may be NULL. Errors as
 memtun_recv.
 */
MEMTUN_API
ssize_t memtun_udp_receiver_recv(memtun_receiver *receiver,
                                 void *buf,
                                 size_t len,
                                 char *src_host,
                                 size_t src_host_len,
                                 uint16_t *src_port,
                                 int timeout_ms);

/*
 Closes a receiver. NULL is fine.
 */
MEMTUN_API void memtun_udp_receiver_close(memtun_receiver *receiver);

/*
 The net as a JSON object: path, permissions, faults, send_buffer_size, rename, discarded, interfaces,
 tunnels (attached or not). Its length; as much as fits stands in buf, with a NUL: call again with more
 room if need be. Members are only ever added.
 */
MEMTUN_API ssize_t memtun_describe(const memtun_net *net, char *buf, size_t len);

/*
 An interface as a JSON object, also when it is gone ("gone": true), as it was then. Else as memtun_describe.
 */
MEMTUN_API ssize_t memtun_describe_interface(const memtun_iface *iface, char *buf, size_t len);

/*
 A tunnel as a JSON object, with the packets that wait to be read ("read_buffer", oldest first, data in
 hexadecimal). id is the tunnel's from memtun_describe. -ENOENT: it is closed. Else as memtun_describe.
 */
MEMTUN_API ssize_t memtun_describe_tunnel(const memtun_net *net, uint64_t id, char *buf, size_t len);

/*
 One line about a packet, as far as it can be understood: "IPv4 10.1.2.3:21345 > 10.0.0.1:7 UDP 5 bytes".
 tap 1: a frame, 0: an IP packet. Else as memtun_describe.
 */
MEMTUN_API
ssize_t memtun_describe_packet(int tap,
                               uint16_t ethertype,
                               const void *packet,
                               size_t packet_len,
                               char *buf,
                               size_t len);

/*
 The path of the library for LD_PRELOAD: MEMTUN_LIBRARY, what this process was preloaded with, or this very
 library. ENOENT: MEMTUN_LIBRARY names no file. EINVAL: LD_PRELOAD cannot express it. Else as memtun_describe.
 */
MEMTUN_API ssize_t memtun_library(char *buf, size_t len);

/*
 The variables that put a program into the net, under the library: NAME=VALUE, each with a NUL behind it, as in
 /proc/self/environ. LD_PRELOAD, where preloaded (or NULL) would be the list without memtun; MEMTUN_NET and
 others of memtun's. link: "up" or "down" for new interfaces, NULL: as the program inherits it. devices: special
 devices instead of /dev/net/tun, up to a NULL; NULL: as the program inherits them. What has no value takes back
 what is said of another net: it is to be set where the program would inherit one. EINVAL: another word for
 link, a device that is no absolute path or has ".." or ':' in it. Else as memtun_library.
 */
MEMTUN_API
ssize_t memtun_environment(const memtun_net *net,
                           const char *link,
                           const char *const *devices,
                           const char *preloaded,
                           char *buf,
                           size_t len);

/*
 Looks at a program before it is started under the library, in PATH (path, NULL: this process's) and from a
 directory (dir, NULL: this process's). A JSON object: file; warnings, sentences about what the library will
 not see of it (static, Go, raw system calls); notes; preload, its LD_PRELOAD, where preloaded (or NULL)
 would be the list without memtun. EPERM, unless force is 1: it is set-uid, set-gid or has file capabilities,
 so that the system would start it without the library, on the machine's own devices. ENOENT, EACCES, ELOOP,
 ENOEXEC: it, or an interpreter of it, cannot be executed. Else as memtun_describe.
 */
MEMTUN_API
ssize_t memtun_examine_program(const char *program,
                               const char *path,
                               const char *dir,
                               const char *preloaded,
                               int force,
                               char *buf,
                               size_t len);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MEMTUN_H */
