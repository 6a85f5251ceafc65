//! Packets that a process sends without allocating and without a lock of its own.

mod common;

use common::{FRAME, WAIT};
use memtun::uapi::{IFF_NO_PI, IFF_TUN, TUNSETIFF};
use memtun::{ifreq, Errno, IoSystem, MemoryIoSystem, Net, TunnelClass};
use memtun_kernel::link::transmit::{Few, FewLinks, Transmit};
use memtun_kernel::net::{Create, Join, NoTunnels};
use memtun_kernel::tun::room::Wait;
use memtun_kernel::NetDir;
use std::os::unix::ffi::OsStrExt;

static QUEUES: Few = Few::new();
static LINKS: FewLinks = FewLinks::new();

fn send(net: &'static NetDir, index: u32) -> Result<(), Errno> {
    let interface = LINKS.find(net, index)?;
    let way = Transmit {
        net,
        local: &NoTunnels,
        interface: &interface,
        queues: &&QUEUES,
    };
    way.send(FRAME, None, Wait::Never)
        .map_err(|refusal| refusal.errno)
}

#[test]
fn a_packet_finds_the_interface_that_has_the_index_now() {
    let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
    system.register_special_device("/dev/net/tun", TunnelClass);
    let path = system.net().path().as_os_str().as_bytes().to_vec();
    let how = Join {
        create: Create::Never,
        owner: None,
        member: false,
    };
    let net: &'static NetDir = Box::leak(Box::new(
        NetDir::join(&path, how).expect("the net is there"),
    ));
    // More interfaces than are kept, each of which ends before the next but one begins.
    let mut before = None;
    for number in 0..40 {
        let fd = system
            .open("/dev/net/tun", libc::O_RDWR | libc::O_NONBLOCK, 0)
            .expect("open");
        let name = format!("tun{number}");
        system
            .ioctl(fd, TUNSETIFF, &ifreq(&name, IFF_TUN | IFF_NO_PI))
            .expect("TUNSETIFF");
        let interface = system.net().wait_interface_within(&name, WAIT).expect("it");
        interface.set_up(true).expect("it is set up");
        let index = interface.index();
        for _ in 0..2 {
            assert_eq!(send(net, index), Ok(()));
            assert_eq!(system.read(fd, 100).expect("a packet"), FRAME);
        }
        if let Some((fd, index)) = before.replace((fd, index)) {
            system.close(fd).expect("close");
            assert_eq!(send(net, index), Err(Errno(libc::ENODEV)));
        }
    }
    assert_eq!(send(net, 1), Err(Errno(libc::ENODEV)));
}
