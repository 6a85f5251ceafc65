/* memtun.h - the driver's side of an in-memory /dev/net/tun. Made by cbindgen; do not edit.
 *
 * Link with -lmemtun, load libmemtun.so with dlopen(3), or define MEMTUN_WEAK, link with nothing and run under
 * LD_PRELOAD: the same library serves all three.
 *
 * Names are memtun_TYPE_VERB. The types are memtun_net, memtun_interface, memtun_subscriber and memtun_receiver,
 * all opaque: a handle comes from a function memtun_TYPE_open... and is valid until memtun_TYPE_close, whatever
 * else is closed before. Several threads may use it at once, and none any more when it is closed. A function that
 * gets NULL for one fails with EINVAL.
 *
 * Errors: functions that return int or ssize_t give a negative errno, those that return a handle give NULL and set
 * errno. memtun_error_text() has the sentence, memtun_error_kind() the kind.
 *
 * Timeouts are in milliseconds: 0 does not wait, a negative one (MEMTUN_TIMEOUT_FOREVER) waits for ever. Other
 * languages wait MEMTUN_TIMEOUT_DEFAULT where a call names none.
 *
 * Pointers that you give are read (const) or written during the call only; the library keeps none of them. Lengths
 * and sizes are in bytes. Texts are UTF-8 (paths: any bytes) with a NUL at the end.
 *
 * Texts that are returned: the function gives the text's length without its NUL, and buf, with room for buf_len
 * bytes, gets as much as fits, with a NUL, as of snprintf(3). When the length is buf_len or more, call again with
 * more room.
 *
 * Packets are as the network sees them: no PI or vnet header; TAP frames whole, from the destination address on.
 * A host is an IPv4 or IPv6 address as text, names are not looked up. Ports and ethertypes are in host byte order.
 * The source stands before the destination.
 *
 * Sockets: memtun_net_bind, memtun_net_connect and so on are the calls of those names for a process that is not under the
 * shim. A socket is made by socket(2); what gives it a name of the net's, or shows one, is called here, and
 * everything else is the kernel's: read, write, send, recv, poll, shutdown, close, options. Names are those of the
 * net; 127.0.0.0/8 and ::1 are the machine's own.
 */

#ifndef MEMTUN_H
#define MEMTUN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifdef MEMTUN_WEAK
#define MEMTUN_API __attribute__((weak))
#else
#define MEMTUN_API
#endif

/*
 How long in milliseconds a call waits that names no time, in the other languages' interfaces.
 */
#define MEMTUN_TIMEOUT_DEFAULT 5000

/*
 A time in milliseconds that never ends. Every negative time means the same.
 */
#define MEMTUN_TIMEOUT_FOREVER -1

/*
 Size in bytes of a buffer for any IP address as text, with its NUL.
 */
#define MEMTUN_HOST_LEN 64

/*
 What sort of thing went wrong. Kinds are only ever added: treat those that you do not know as
 MEMTUN_KIND_OTHER.
 */
typedef enum {
    /*
     No call of this thread has failed.
     */
    MEMTUN_KIND_NONE = 0,
    /*
     It is something else, and the errno says what.
     */
    MEMTUN_KIND_OTHER = 1,
    /*
     It did not happen in time.
     */
    MEMTUN_KIND_TIMEOUT = 2,
    /*
     It cannot happen any more: every program that could do it has ended.
     */
    MEMTUN_KIND_ENDED = 3,
    /*
     The interface, or the net, is gone.
     */
    MEMTUN_KIND_GONE = 4,
    /*
     The reader was overtaken; memtun_error_lost says by how many packets.
     */
    MEMTUN_KIND_LOST = 5,
    /*
     The link is down, or has no carrier.
     */
    MEMTUN_KIND_LINK_DOWN = 6,
    /*
     The read queue stayed full, or the capturer stayed behind.
     */
    MEMTUN_KIND_FULL = 7,
    /*
     No program is attached to the interface.
     */
    MEMTUN_KIND_NOT_ATTACHED = 8,
    /*
     The packet is larger than the MTU.
     */
    MEMTUN_KIND_TOO_LARGE = 9,
    /*
     The caller may not do it.
     */
    MEMTUN_KIND_DENIED = 10,
    /*
     The value can never be right.
     */
    MEMTUN_KIND_INVALID = 11,
    /*
     There is no such thing.
     */
    MEMTUN_KIND_NOT_FOUND = 12,
} memtun_kind;

/*
 An interface of a net.
 */
typedef struct memtun_interface memtun_interface;

/*
 A net: a directory that processes join.
 */
typedef struct memtun_net memtun_net;

/*
 A reader of the datagrams to one address, with a position of its own.
 */
typedef struct memtun_receiver memtun_receiver;

/*
 A reader of everything that the program writes, with a position of its own.
 */
typedef struct memtun_subscriber memtun_subscriber;

/*
 A packet that was received with others into one buffer.
 */
typedef struct {
    /*
     Where in the buffer the packet begins, in bytes.
     */
    size_t offset;
    /*
     Length of the packet in bytes. Only the first packet of a call can be longer than what is in
     the buffer of it: then it is cut.
     */
    size_t len;
    /*
     When the program wrote it, in nanoseconds since 1970.
     */
    uint64_t time_ns;
    /*
     Its ethertype in host byte order.
     */
    uint16_t ethertype;
} memtun_packet;

/*
 A datagram that was received with others into one buffer.
 */
typedef struct {
    /*
     Where in the buffer the payload begins, in bytes.
     */
    size_t offset;
    /*
     Length of the payload in bytes. Only the first datagram of a call can be longer than what is
     in the buffer of it: then it is cut.
     */
    size_t len;
    /*
     Source port, in host byte order.
     */
    uint16_t src_port;
    /*
     Source address as text, with its NUL.
     */
    char src_host[64];
} memtun_datagram;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Is this process under the shim? 1 when the library was preloaded, 0 when it was only linked or
 loaded. With weak declarations (MEMTUN_WEAK) the address of this function says whether the
 library is there at all.
 */
MEMTUN_API int memtun_active(void);

/*
 The library's version, as "0.1.0". The text is valid as long as the library is loaded.
 */
MEMTUN_API const char *memtun_version(void);

/*
 The sentence of the calling thread's last failed call, with the remedy, without a full stop or
 newline. It is empty when none has failed. The text is valid until this thread's next call of
 the library, or until its end; do not free it.
 */
MEMTUN_API const char *memtun_error_text(void);

/*
 The kind of the calling thread's last failed call, a memtun_kind. It tells apart what the errno
 does not: EAGAIN stands both for a packet that did not come and for a queue that stayed full.
 */
MEMTUN_API int memtun_error_kind(void);

/*
 The number of packets that the reader lost in the calling thread's last failed call, if its kind
 was MEMTUN_KIND_LOST; else 0.
 */
MEMTUN_API uint64_t memtun_error_lost(void);

/*
 Joins a net. Its directory is made if it is missing (mode 0700), the parent directory is not.
 dir NULL: the calling process's own net, in which it opens its tunnels when it runs under the
 shim. The handle is valid until memtun_net_close. ENODEV: dir is NULL and the process has no
 net. EPERM: the directory belongs to another user, or others may write to it. ENOTDIR: it is a
 file or a symbolic link. ENOENT, EACCES: it can be neither reached nor made. EUCLEAN: its
 contents are damaged, or were made by another version.
 */
MEMTUN_API memtun_net *memtun_net_open(const char *dir);

/*
 Joins the net of the user with this number, and of no other: this is how root joins another
 user's net. What is made in it belongs to that user. EPERM: the net belongs to somebody else, or
 the caller is neither root nor that user. EINVAL: dir is NULL; MEMTUN_NET_OWNER says whose the
 process's own net is. Otherwise this is as memtun_net_open.
 */
MEMTUN_API memtun_net *memtun_net_open_of_user(const char *dir, uid_t owner);

/*
 Makes a net in /dev/shm, else in $XDG_RUNTIME_DIR, else in $TMPDIR. It is removed with the last
 of its handles: this one and those made from it. Nets that killed processes have left there are
 removed as well. The handle is valid until memtun_net_close.
 */
MEMTUN_API memtun_net *memtun_net_open_temporary(void);

/*
 Closes a net's handle. Interfaces that came from it stay valid. NULL is allowed.
 */
MEMTUN_API void memtun_net_close(memtun_net *net);

/*
 The net's directory in the form that MEMTUN_NET takes, as text: see "Texts that are returned"
 above.
 */
MEMTUN_API ssize_t memtun_net_path(const memtun_net *net, char *buf, size_t buf_len);

/*
 Removes the net's directory with all that is in it, now. Programs in it keep their descriptors
 but cannot open more.
 */
MEMTUN_API int memtun_net_remove(memtun_net *net);

/*
 Adds a route, as ip-route(8) writes it: "10.20.0.0/16 via 10.0.0.2", "default dev tun0 metric
 5", "blackhole 10.9.0.0/16". memtun_net_describe lists the routes. -EEXIST: there is such a
 route. -ENETUNREACH: the gateway cannot be reached. -ENETDOWN: the interface is down. -ENODEV:
 there is no interface of that name. -EINVAL: it is no route. -ENOSYS: no host process can be
 started (see memtun_error_text).
 */
MEMTUN_API int memtun_net_add_route(memtun_net *net, const char *route);

/*
 Deletes a route. -ESRCH: there is none. Otherwise this is as memtun_net_add_route.
 */
MEMTUN_API int memtun_net_remove_route(memtun_net *net, const char *route);

/*
 Gives the net these routes and no others. routes: an array of texts as for memtun_net_add_route,
 that NULL ends. Nothing is changed where one of them is no route. Otherwise this is as
 memtun_net_add_route.
 */
MEMTUN_API int memtun_net_set_routes(memtun_net *net, const char *const *routes);

/*
 Adds a neighbour, as ip-neighbour(8) writes it: "10.0.0.2 lladdr 02:00:00:00:00:02 dev tap0",
 "proxy 10.0.0.9 dev tap0". One that is there gets the new link-layer address.
 memtun_net_describe lists the neighbours. -ENODEV: there is no interface of that name. -EINVAL:
 it is no neighbour. -ENOSYS: no host process can be started (see memtun_error_text).
 */
MEMTUN_API int memtun_net_add_neighbour(memtun_net *net, const char *neighbour);

/*
 Deletes a neighbour. -ENOENT: there is none. Otherwise this is as memtun_net_add_neighbour.
 */
MEMTUN_API int memtun_net_remove_neighbour(memtun_net *net, const char *neighbour);

/*
 Gives the net these neighbours and no others. neighbours: an array of texts as for
 memtun_net_add_neighbour, that NULL ends. Nothing is changed where one of them is no neighbour.
 Otherwise this is as memtun_net_add_neighbour.
 */
MEMTUN_API int memtun_net_set_neighbours(memtun_net *net, const char *const *neighbours);

/*
 Makes calls of the programs fail, as "write=EINTR@1", "read=EAGAIN@3-5",
 "ioctl:TUNSETIFF=EBUSY@1" or "open=ENOENT" (until it is taken back). -EINVAL: it is no such
 fault. -ENOSPC: 64 are set already.
 */
MEMTUN_API int memtun_net_fault(memtun_net *net, const char *spec);

/*
 Takes a fault back. Returns 1, or 0 when it was not set any more.
 */
MEMTUN_API int memtun_net_take_back(memtun_net *net, const char *spec);

/*
 Gives a permission back: "open", "ioctl" or "net_admin".
 */
MEMTUN_API int memtun_net_permit(memtun_net *net, const char *operation);

/*
 Takes a permission away. Without "open" or "ioctl" that operation fails with EPERM from now on,
 in programs that are already running as well. Without "net_admin" the operations fail for which
 the kernel demands CAP_NET_ADMIN: making interfaces, attaching to an interface whose owner and
 group the program is not, and changing an interface by requests on sockets.
 */
MEMTUN_API int memtun_net_deny(memtun_net *net, const char *operation);

/*
 Do programs have this permission? 1 or 0.
 */
MEMTUN_API int memtun_net_permits(const memtun_net *net, const char *operation);

/*
 Has the net an interface of this name, or had it one? 1 or 0. -EINVAL: no interface can have
 that name.
 */
MEMTUN_API int memtun_net_had_interface(const memtun_net *net, const char *name);

/*
 Sets the longest write in bytes; a longer one fails with ENOBUFS. 0: there is no limit, as in
 the kernel.
 */
MEMTUN_API int memtun_net_set_send_buffer_size(memtun_net *net, uint32_t bytes);

/*
 Says whether the bells of the net's tunnels are exact (1) or lazy (0): with exact ones a
 descriptor is readable for the machine's kernel only while a packet is queued, which a program
 sees that waits by raw system calls or io_uring. -EAGAIN: the net's lock is not released in
 time.
 */
MEMTUN_API int memtun_net_set_exact_bell(memtun_net *net, int exact);

/*
 Sets the suffix (at most 12 bytes) that replaces the end of every name that a program asks for,
 to catch programs that ignore the name that TUNSETIFF gives back. An empty one restores the
 kernel's naming.
 */
MEMTUN_API int memtun_net_set_name_suffix(memtun_net *net, const char *suffix);

/*
 Takes back every fault, grants every permission, removes the limit of the send buffer and the
 suffix of names, and lets bells be lazy.
 */
MEMTUN_API int memtun_net_reset(memtun_net *net);

/*
 Waits up to timeout_ms until an interface of this name exists. The handle is valid until
 memtun_interface_close, also after the net's handle is closed or the interface is gone. ENODEV:
 there was none in time. EINVAL: no interface can have that name.
 */
MEMTUN_API memtun_interface *memtun_interface_open(memtun_net *net, const char *name, int timeout_ms);

/*
 Closes an interface's handle. Subscribers and receivers that came from it stay valid, and the
 interface itself is not touched. NULL is allowed.
 */
MEMTUN_API void memtun_interface_close(memtun_interface *interface);

/*
 Gives the interface an address, as ip-address(8) writes it: "10.0.0.1/24", "10.0.0.1 peer
 10.0.0.2/32", "fd00::1/64". The programs of the net see it at once, and the routes that follow.
 memtun_interface_describe lists the addresses. -EEXIST: the interface has it. -EINVAL: it is no
 address for an interface. -ENODEV: the interface is gone. -ENOSYS: no host process can be
 started (see memtun_error_text).
 */
MEMTUN_API int memtun_interface_add_address(memtun_interface *interface, const char *address);

/*
 Takes an address from the interface. -EADDRNOTAVAIL: it does not have it. Otherwise this is as
 memtun_interface_add_address.
 */
MEMTUN_API int memtun_interface_remove_address(memtun_interface *interface, const char *address);

/*
 Gives the interface these addresses and no others, but for the link-local ones, which belong to
 its link. addresses: an array of texts as for memtun_interface_add_address, that NULL ends.
 Nothing is changed where one of them is no address. Otherwise this is as
 memtun_interface_add_address.
 */
MEMTUN_API int memtun_interface_set_addresses(memtun_interface *interface, const char *const *addresses);

/*
 Puts a packet of len bytes into the program's read queue; when 0 is returned, the program can
 read it. The frame of a TAP begins with the destination address. ethertype 0: it is taken from
 the packet. -EAGAIN (MEMTUN_KIND_FULL): the queue stayed full, or the capturer stayed behind,
 for the whole time; with a time of 0 also that a reader was just at the queue, which has room.
 -ENETDOWN: the link is down, or has no carrier. -EMSGSIZE: the packet is larger than the MTU.
 -ENOTCONN: no program is attached. -ENODEV: the interface is gone. A packet that is refused is
 not queued.
 */
MEMTUN_API
int memtun_interface_inject(memtun_interface *interface,
                            const void *frame,
                            size_t len,
                            uint16_t ethertype,
                            int timeout_ms);

/*
 The same as memtun_interface_inject for an IP packet of len bytes; a TAP gets an Ethernet header
 in front.
 */
MEMTUN_API
int memtun_interface_deliver(memtun_interface *interface,
                             const void *ip_packet,
                             size_t len,
                             int timeout_ms);

/*
 The same as memtun_interface_inject for one turn of a longer wait: a packet that finds no room
 in time is not counted as refused. This is for a driver whose language has to look at signals in
 between.
 */
MEMTUN_API
int memtun_interface_offer(memtun_interface *interface,
                           const void *frame,
                           size_t len,
                           uint16_t ethertype,
                           int timeout_ms);

/*
 The same as memtun_interface_deliver for one turn of a longer wait: see memtun_interface_offer.
 */
MEMTUN_API
int memtun_interface_offer_ip(memtun_interface *interface,
                              const void *ip_packet,
                              size_t len,
                              int timeout_ms);

/*
 The same as memtun_interface_send_udp for one turn of a longer wait: see memtun_interface_offer.
 */
MEMTUN_API
int memtun_interface_offer_udp(memtun_interface *interface,
                               const char *src_host,
                               uint16_t src_port,
                               const char *dst_host,
                               uint16_t dst_port,
                               const void *data,
                               size_t len,
                               int timeout_ms);

/*
 Sends one UDP datagram with len bytes of data and right checksums to the program. src_host NULL:
 the source is 10.1.2.3, or fd00:1:2::3 for an IPv6 destination. src_port 0: it is 21345.
 -EINVAL: a host is no IP address, the two are of different families, or the data is too long.
 Otherwise this is as memtun_interface_inject.
 */
MEMTUN_API
int memtun_interface_send_udp(memtun_interface *interface,
                              const char *src_host,
                              uint16_t src_port,
                              const char *dst_host,
                              uint16_t dst_port,
                              const void *data,
                              size_t len,
                              int timeout_ms);

/*
 The address that memtun_interface_send_udp sends from, given the same src_host, src_port and
 dst_host. host has room for host_len bytes; MEMTUN_HOST_LEN is room for any address. port may be
 NULL.
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
MEMTUN_API int memtun_interface_set_up(memtun_interface *interface, int up);

/*
 Sets the MTU, the length of the largest packet in bytes: 68 to 65535, at most 65521 for a TAP.
 */
MEMTUN_API int memtun_interface_set_mtu(memtun_interface *interface, uint32_t mtu);

/*
 Sets the number of packets that each read queue holds. In a queue that becomes shorter the
 oldest packets stay.
 */
MEMTUN_API int memtun_interface_set_txqueuelen(memtun_interface *interface, uint32_t packets);

/*
 Sets the user who may attach when programs lack the permission "net_admin", as TUNSETOWNER does;
 (uid_t)-1 allows any user.
 */
MEMTUN_API int memtun_interface_set_owner(memtun_interface *interface, uid_t uid);

/*
 Sets the group whose members may attach when programs lack the permission "net_admin", as
 TUNSETGROUP does; (gid_t)-1 allows any group.
 */
MEMTUN_API int memtun_interface_set_group(memtun_interface *interface, gid_t gid);

/*
 Sets the hardware address of a TAP to the 6 bytes at mac. -EADDRNOTAVAIL: it is a multicast
 address or all zeros. -EOPNOTSUPP: the interface is a TUN, which has none.
 */
MEMTUN_API int memtun_interface_set_mac(memtun_interface *interface, const uint8_t *mac);

/*
 Renames the interface. -EEXIST: the name is taken.
 */
MEMTUN_API int memtun_interface_set_name(memtun_interface *interface, const char *name);

/*
 Sets the carrier of the link on (1) or off (0).
 */
MEMTUN_API int memtun_interface_set_carrier(memtun_interface *interface, int on);

/*
 Deletes the interface under the program, as `ip link del` does.
 */
MEMTUN_API int memtun_interface_delete(memtun_interface *interface);

/*
 Takes the next packet that the program wrote. Returns its length in bytes, which may be more
 than buf_len (then the packet is cut). ethertype may be NULL. Each handle sees every packet
 once. -EAGAIN: there was none in time. -ENOBUFS: the program overtook this handle, which lost as
 many packets as memtun_error_lost says; the next call goes on in the middle of what is kept.
 -ENODEV: the interface is gone, and all that the program wrote to it has been received.
 */
MEMTUN_API
ssize_t memtun_interface_recv(memtun_interface *interface,
                              void *buf,
                              size_t buf_len,
                              uint16_t *ethertype,
                              int timeout_ms);

/*
 Takes the next UDP datagram that the program sends to host and port. As for bind(2), host
 0.0.0.0 is any IPv4 address, and :: any address, as is NULL. Returns the length of its payload
 in bytes, which may be more than buf_len (then it is cut). The errors are those of
 memtun_interface_recv; the sentence of -EAGAIN says which datagrams were passed over, for
 example because of their port or checksum.
 */
MEMTUN_API
ssize_t memtun_interface_recv_udp(memtun_interface *interface,
                                  const char *host,
                                  uint16_t port,
                                  void *buf,
                                  size_t buf_len,
                                  int timeout_ms);

/*
 Makes a reader, with a position of its own, of everything that the program writes, from the
 oldest packet that is kept. The handle is valid until memtun_subscriber_close, also after the
 interface's handle is closed or the interface is gone.
 */
MEMTUN_API memtun_subscriber *memtun_subscriber_open(memtun_interface *interface);

/*
 The same as memtun_interface_recv at the subscriber's own position. time_ns is the time at which
 the packet was written, in nanoseconds since 1970. Both it and ethertype may be NULL.
 */
MEMTUN_API
ssize_t memtun_subscriber_recv(memtun_subscriber *subscriber,
                               void *buf,
                               size_t buf_len,
                               uint16_t *ethertype,
                               uint64_t *time_ns,
                               int timeout_ms);

/*
 Closes a subscriber. NULL is allowed.
 */
MEMTUN_API void memtun_subscriber_close(memtun_subscriber *subscriber);

/*
 Makes a reader, with a position of its own, of the UDP datagrams that the program sends to host
 and port, from the oldest packet that is kept; host is as for memtun_interface_recv_udp. The
 handle is valid until memtun_receiver_close, also after the interface's handle is closed or the
 interface is gone.
 */
MEMTUN_API
memtun_receiver *memtun_receiver_open(memtun_interface *interface,
                                      const char *host,
                                      uint16_t port);

/*
 Takes the next datagram. Returns the length of its payload in bytes, which may be more than
 buf_len (then it is cut). src_host, with room for src_host_len bytes (MEMTUN_HOST_LEN is enough
 for any address), and src_port get the address that it came from, and may be NULL. The errors
 are those of memtun_interface_recv.
 */
MEMTUN_API
ssize_t memtun_receiver_recv(memtun_receiver *receiver,
                             void *buf,
                             size_t buf_len,
                             char *src_host,
                             size_t src_host_len,
                             uint16_t *src_port,
                             int timeout_ms);

/*
 Closes a receiver. NULL is allowed.
 */
MEMTUN_API void memtun_receiver_close(memtun_receiver *receiver);

/*
 Puts count packets into the program's read queue, in their order, each as
 memtun_interface_inject does. It costs less than as many calls: a queue's lock is taken once for
 up to 32 packets. The time is for all of them together. done, which may be NULL, gets how many
 were put: all of them when 0 is returned; else the error is that of the packet behind them, and
 no packet behind that one was looked at.
 */
MEMTUN_API
int memtun_interface_inject_many(memtun_interface *interface,
                                 const struct iovec *frames,
                                 size_t count,
                                 uint16_t ethertype,
                                 size_t *done,
                                 int timeout_ms);

/*
 The same as memtun_interface_inject_many for one turn of a longer wait: see
 memtun_interface_offer.
 */
MEMTUN_API
int memtun_interface_offer_many(memtun_interface *interface,
                                const struct iovec *frames,
                                size_t count,
                                uint16_t ethertype,
                                size_t *done,
                                int timeout_ms);

/*
 Sends count UDP datagrams to one address of the program's, each as memtun_interface_send_udp
 does. Where one of them is too long (-EINVAL), none is sent. Otherwise this is as
 memtun_interface_inject_many.
 */
MEMTUN_API
int memtun_interface_send_udp_many(memtun_interface *interface,
                                   const char *src_host,
                                   uint16_t src_port,
                                   const char *dst_host,
                                   uint16_t dst_port,
                                   const struct iovec *datagrams,
                                   size_t count,
                                   size_t *done,
                                   int timeout_ms);

/*
 The same as memtun_interface_send_udp_many for one turn of a longer wait: see
 memtun_interface_offer.
 */
MEMTUN_API
int memtun_interface_offer_udp_many(memtun_interface *interface,
                                    const char *src_host,
                                    uint16_t src_port,
                                    const char *dst_host,
                                    uint16_t dst_port,
                                    const struct iovec *datagrams,
                                    size_t count,
                                    size_t *done,
                                    int timeout_ms);

/*
 Waits for the next packet that the program wrote, and takes it with those behind it that are
 there already: up to packets_len packets, as many as have room in buf, where they stand one
 behind the other. Returns how many they are, and packets says of each where it is. It waits for
 none but the first. Where there is no packet before an error, the errors are those of
 memtun_interface_recv; else the next call has it.
 */
MEMTUN_API
ssize_t memtun_interface_recv_many(memtun_interface *interface,
                                   void *buf,
                                   size_t buf_len,
                                   memtun_packet *packets,
                                   size_t packets_len,
                                   int timeout_ms);

/*
 The same as memtun_interface_recv_many at the subscriber's own position.
 */
MEMTUN_API
ssize_t memtun_subscriber_recv_many(memtun_subscriber *subscriber,
                                    void *buf,
                                    size_t buf_len,
                                    memtun_packet *packets,
                                    size_t packets_len,
                                    int timeout_ms);

/*
 Waits for the next datagram, and takes it with those behind it that are there already: up to
 datagrams_len of them, as many as have room in buf, where their payloads stand one behind the
 other. In everything else this is as memtun_interface_recv_many.
 */
MEMTUN_API
ssize_t memtun_receiver_recv_many(memtun_receiver *receiver,
                                  void *buf,
                                  size_t buf_len,
                                  memtun_datagram *datagrams,
                                  size_t datagrams_len,
                                  int timeout_ms);

/*
 Gives a socket (of AF_INET or AF_INET6, SOCK_STREAM or SOCK_DGRAM, made by socket(2)) a name of
 the net's, as bind(2) does: an address of an interface, or any (0.0.0.0, ::), and a port, 0 for
 any that is free in the net. -EADDRINUSE: a socket of the net has the name. -EADDRNOTAVAIL: no
 interface of the net has the address. -EINVAL: the socket has a name. -ENOSYS: no host process
 can be started (see memtun_error_text).
 */
MEMTUN_API
int memtun_net_bind(const memtun_net *net,
                    int fd,
                    const struct sockaddr *name,
                    socklen_t name_len);

/*
 Connects a socket with an end that the net reaches, as connect(2) does. -EINPROGRESS: the
 socket has O_NONBLOCK; when it is writable, memtun_net_socket_error says what has become of it.
 -ECONNREFUSED: nobody listens there. -ENETUNREACH: no route of the net leads there. Otherwise
 this is as memtun_net_bind.
 */
MEMTUN_API
int memtun_net_connect(const memtun_net *net,
                       int fd,
                       const struct sockaddr *name,
                       socklen_t name_len);

/*
 For a caller who makes connect(2) himself, because his language does more in it: stores the
 name of the machine's to make it with. When that has failed with ECONNREFUSED or ECONNRESET,
 memtun_net_connect_refused says why. Otherwise this is as memtun_net_connect.
 */
MEMTUN_API
int memtun_net_connect_name(const memtun_net *net,
                            int fd,
                            const struct sockaddr *name,
                            socklen_t name_len,
                            struct sockaddr *native,
                            socklen_t *native_len);

/*
 The errno with which a connection has ended in the net whose connect(2) the caller has made and
 which has failed; 0 when it is the one that he has got.
 */
MEMTUN_API int memtun_net_connect_refused(const memtun_net *net, int fd);

/*
 Lets others connect to a socket, as listen(2) does. -EADDRINUSE: another socket of the net
 listens there. Otherwise this is as memtun_net_bind.
 */
MEMTUN_API int memtun_net_listen(const memtun_net *net, int fd, int backlog);

/*
 Takes the next connection, as accept4(2) does with SOCK_CLOEXEC, and returns its descriptor.
 name, unless it is NULL, gets the name of the other end in the net; *name_len is the room
 there, and then the length. Connections of processes of the machine that are not in the net, to
 an address of the net's, are closed and passed over. -EAGAIN: nobody waits, and the socket has
 O_NONBLOCK.
 */
MEMTUN_API int memtun_net_accept(const memtun_net *net, int fd, struct sockaddr *name, socklen_t *name_len);

/*
 The own name of a socket in the net, as getsockname(2) gives it. It works for sockets that have
 no name of the net's as well.
 */
MEMTUN_API
int memtun_net_getsockname(const memtun_net *net,
                           int fd,
                           struct sockaddr *name,
                           socklen_t *name_len);

/*
 The name of the other end in the net, as getpeername(2) gives it. -ENOTCONN: there is none.
 */
MEMTUN_API
int memtun_net_getpeername(const memtun_net *net,
                           int fd,
                           struct sockaddr *name,
                           socklen_t *name_len);

/*
 Sends a datagram of len bytes, as sendto(2) does; returns how many bytes were sent. A socket
 without a name gets one. Of flags, MSG_DONTWAIT counts. -ENETUNREACH: no route of the net leads
 there. -EACCES: it is a broadcast address, and SO_BROADCAST is not set. -ECONNREFUSED and
 others: an earlier datagram was refused. Otherwise this is as memtun_net_bind.
 */
MEMTUN_API
ssize_t memtun_net_sendto(const memtun_net *net,
                          int fd,
                          const void *data,
                          size_t len,
                          int flags,
                          const struct sockaddr *name,
                          socklen_t name_len);

/*
 Receives a datagram into buf, which has room for len bytes, as recvfrom(2) does; returns its
 length, cut to len unless flags have MSG_TRUNC. name, unless it is NULL, gets the sender's name
 in the net, as of memtun_net_accept. -EAGAIN: there is none, and the socket or flags say not to
 wait, or SO_RCVTIMEO is over. -ECONNREFUSED and others: an earlier datagram was refused.
 */
MEMTUN_API
ssize_t memtun_net_recvfrom(const memtun_net *net,
                            int fd,
                            void *buf,
                            size_t len,
                            int flags,
                            struct sockaddr *name,
                            socklen_t *name_len);

/*
 For a caller who makes accept(2) or recvmsg(2) himself, because his language does more in it:
 replaces the name that the call has stored by that of the net. fd is the new connection, or the
 socket that has received; data is what was received, of which the first len bytes are looked
 at. -EAGAIN: nobody of the net has sent it, so it counts as not received, and a connection is
 to be closed. -ECONNREFUSED and others: it was no datagram, but an earlier one was refused.
 */
MEMTUN_API
int memtun_net_sender_name(const memtun_net *net,
                           int fd,
                           const void *data,
                           size_t len,
                           struct sockaddr *name,
                           socklen_t *name_len);

/*
 The errno of what has gone wrong on a socket, once, as getsockopt(2) gives it for SO_ERROR; 0
 when nothing has.
 */
MEMTUN_API int memtun_net_socket_error(const memtun_net *net, int fd);

/*
 The net as a JSON object with the members path, permissions, faults, send_buffer_size,
 exact_bell, name_suffix, discarded, interfaces, routes, neighbours and tunnels (attached or
 not). Members are only ever added. A text that is returned.
 */
MEMTUN_API ssize_t memtun_net_describe(const memtun_net *net, char *buf, size_t buf_len);

/*
 An interface as a JSON object. When it is gone ("gone": true) the object shows it as it was
 then. Otherwise this is as memtun_net_describe.
 */
MEMTUN_API ssize_t memtun_interface_describe(const memtun_interface *interface, char *buf, size_t buf_len);

/*
 A tunnel as a JSON object, with the packets that wait to be read by the program ("read_buffer",
 oldest first, data in hexadecimal). id is the tunnel's id from memtun_net_describe. -ENOENT: the
 tunnel is closed. Otherwise this is as memtun_net_describe.
 */
MEMTUN_API ssize_t memtun_net_describe_tunnel(const memtun_net *net, uint64_t id, char *buf, size_t buf_len);

/*
 One line of text about a packet of len bytes, as far as it can be understood, such as "IPv4
 10.1.2.3:21345 > 10.0.0.1:7 UDP 5 bytes". tap says whether it is an Ethernet frame (1) or an IP
 packet (0). ethertype 0: it is taken from the packet. A text that is returned.
 */
MEMTUN_API
ssize_t memtun_packet_describe(const void *packet,
                               size_t len,
                               uint16_t ethertype,
                               int tap,
                               char *buf,
                               size_t buf_len);

/*
 The path of the library for LD_PRELOAD: MEMTUN_LIBRARY, else what this process was preloaded
 with, else this very library. -ENOENT: MEMTUN_LIBRARY names no file. -EINVAL: LD_PRELOAD cannot
 express the path. A text that is returned.
 */
MEMTUN_API ssize_t memtun_library_path(char *buf, size_t buf_len);

/*
 The variables that put a program into the net and under the library: NAME=VALUE, each with a NUL
 behind it, as in /proc/self/environ. They are LD_PRELOAD, where preloaded (or NULL) would be the
 list without memtun, MEMTUN_NET and others of memtun's. link: "up" or "down" for new interfaces;
 NULL: as the program inherits it. devices: special devices in place of /dev/net/tun, ended by a
 NULL; NULL: as the program inherits them. A variable without a value takes back what is said of
 another net; it has to be set where the program would inherit one. -EINVAL: link is another
 word, or a device is no absolute path or has ".." or ':' in it. Bytes that are returned as a
 text is, with NULs among them. Otherwise this is as memtun_library_path.
 */
MEMTUN_API
ssize_t memtun_net_environment(const memtun_net *net,
                               const char *link,
                               const char *const *devices,
                               const char *preloaded,
                               char *buf,
                               size_t buf_len);

/*
 Looks at a program before it is started under the library. It is looked for in PATH (path, NULL:
 this process's) and from a directory (dir, NULL: this process's). The answer is a JSON object:
 file; warnings, sentences about what the library will not see of it (static, Go, raw system
 calls); notes; waits_unseen, whether it should be started with MEMTUN_BELL=exact; preload, its
 LD_PRELOAD, where preloaded (or NULL) would be the list without memtun. -EPERM, unless force is
 1: it is set-uid, set-gid or has file capabilities, so that the system would start it
 without the library, on the machine's own devices. -ENOENT, -EACCES, -ELOOP, -ENOEXEC: it, or an
 interpreter of it, cannot be executed. Otherwise this is as memtun_net_describe.
 */
MEMTUN_API
ssize_t memtun_program_examine(const char *program,
                               const char *path,
                               const char *dir,
                               const char *preloaded,
                               int force,
                               char *buf,
                               size_t buf_len);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MEMTUN_H */

/*
 Names of before, for programs that were written with them. Each is the function above that it stands for.
 */
#define memtun_iface memtun_interface
#define memtun_interface(net, name, timeout_ms) memtun_interface_open(net, name, timeout_ms)
#define memtun_iface_close memtun_interface_close
#define memtun_inject memtun_interface_inject
#define memtun_deliver memtun_interface_deliver
#define memtun_recv memtun_interface_recv
#define memtun_send_udp memtun_interface_send_udp
#define memtun_receive_udp memtun_interface_recv_udp
#define memtun_fault memtun_net_fault
#define memtun_permit memtun_net_permit
#define memtun_deny memtun_net_deny
#define memtun_link_set_up memtun_interface_set_up
#define memtun_link_set_mtu memtun_interface_set_mtu
#define memtun_link_set_txqlen memtun_interface_set_txqueuelen
#define memtun_link_set_name memtun_interface_set_name
#define memtun_link_set_carrier memtun_interface_set_carrier
#define memtun_link_del memtun_interface_delete
