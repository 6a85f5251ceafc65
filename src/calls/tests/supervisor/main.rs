//! The calls of a program as a supervisor of system calls would answer them, through memtun-calls
//! alone.

#![forbid(unsafe_code)]

use memtun::Sending;
mod program;

use memtun::Net;
use memtun_abi::uapi::*;
use memtun_abi::{Errno, Name};
use memtun_calls::buffer::Vector;
use memtun_calls::control::{self, Control, Misfit};
use memtun_calls::device::{access, is_device, FileStat};
use memtun_calls::interfaces::{self, Answer};
use memtun_calls::path::{self, Route};
use memtun_calls::readiness::{epoll_bits, State, Why, IN, OUT};
use memtun_calls::tunnel::{self, Attempt, Nets};
use memtun_calls::{fdinfo, Memory};
use memtun_kernel::tun::{Ioctl, Sink, Source};
use program::{Program, Ram};
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

const EFAULT: Errno = Errno(libc::EFAULT);
const EBADF: Errno = Errno(libc::EBADF);
const HERE: i32 = libc::AT_FDCWD;
const SOON: Option<Duration> = Some(Duration::from_secs(5));

/// A packet as a driver of IPv4 would send it.
const PACKET: [u8; 20] = [
    0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
];

/// Makes a net, and a program in it.
fn world() -> (Net, Program) {
    let net = Net::temporary().expect("a net");
    let program = Program::new(net.path().as_os_str().as_bytes());
    (net, program)
}

/// Makes a tunnel that is attached to `tun0`, and returns its descriptor.
fn attached(program: &Program, flags: i32) -> i32 {
    let fd = program.open(flags).expect("a tunnel");
    ask_for(program, Ram::START, "tun0");
    assert_eq!(program.ioctl(fd, TUNSETIFF, Ram::START), Ok(Ioctl::Done(0)));
    fd
}

fn ask_for(program: &Program, at: usize, name: &str) {
    let mut request = IfReq([0; IfReq::SIZE]);
    request.set_name(&Name::new(name).expect("a name"));
    request.set_flags((IFF_TUN | IFF_NO_PI) as u16);
    program.ram.set(at, &request.0);
}

#[test]
fn a_path_leads_to_the_device_as_the_program_sees_it() {
    let (_net, mut program) = world();
    let directories = "/dev /home /home/somebody /tmp /proc /proc/self /proc/self/fd";
    let directories = directories.split(' ').map(|path| path.as_bytes().to_vec());
    program.disk.directories = directories.collect();
    let links: [(&[u8], &[u8]); 5] = [
        (b"/home/somebody/d", b"/dev/./net"),
        (b"/home/somebody/up", b"../../dev/net/tun"),
        (b"/tmp/tun", b"/tmp/tun"),
        (b"/proc/self/fd/5", b"/dev/shm/net/.memtun-bell-77"),
        (b"/proc/self/fd/6", b"/dev/null"),
    ];
    program.disk.links = links.map(|(at, to)| (at.to_vec(), to.to_vec())).into();
    for (dir, path, route) in [
        (HERE, "/dev/net/tun", Route::Device),
        (HERE, "/dev/net/tun/", Route::NotADirectory),
        (HERE, "/dev/../dev//net/./tun", Route::Device),
        (HERE, "d/tun", Route::Device),
        (9, "net/tun", Route::Device),
        (HERE, "net/tun", Route::Host),
        (4, "net/tun", Route::Host),
        (HERE, "/dev/net", Route::Host),
        (HERE, "/dev/net/tap", Route::Host),
        (HERE, "/nowhere/../dev/net/tun", Route::Host),
        (HERE, "/tmp/tun", Route::Host),
        (HERE, "/", Route::Host),
        (HERE, "", Route::Host),
        // This link has another name than the device, so it is not resolved before the host was
        // asked.
        (HERE, "up", Route::Host),
        (HERE, "/proc/self/fd/5", Route::Host),
    ] {
        assert_eq!(program.route(dir, path), route, "{path:?} of {dir}");
    }
    let after = |path: &str| path::after(&program.disk, &program.devices, HERE, path.as_bytes());
    assert_eq!(after("up"), Route::Device);
    assert_eq!(after("/dev/net/tun"), Route::Host, "no link");
    assert_eq!(after("/tmp/tun"), Route::View, "a link to anything else");
    program.disk.holds_tunnels = true;
    assert_eq!(program.route(HERE, "/proc/self/fd/5"), Route::Device);
    assert_eq!(program.route(HERE, "/proc/self/fd/6"), Route::Host);

    assert_eq!(Route::Device.refuses_to_make(), Some(Errno(libc::EEXIST)));
    let shown = |target: &[u8]| path::shown(&program.devices, target);
    assert_eq!(
        shown(b"/dev/shm/net/.memtun-bell-77"),
        Some(&b"/dev/net/tun"[..])
    );
    assert_eq!(shown(b"/dev/null"), None);
}

#[test]
fn a_path_in_a_hole_is_a_bad_address() {
    let (_net, program) = world();
    let mut room = [0u8; 64];
    program.ram.set(Ram::HOLE - 4, b"/dev");
    assert_eq!(program.ram.string(Ram::HOLE - 4, &mut room), Err(EFAULT));
    program.ram.set(Ram::HOLE - 4, b"/de\0");
    assert_eq!(
        program.ram.string(Ram::HOLE - 4, &mut room),
        Ok(&b"/de"[..])
    );
}

#[test]
fn packets_go_in_and_out() {
    let (net, program) = world();
    let fd = program.open(libc::O_RDWR).expect("a tunnel");
    assert_eq!(
        program.poll(fd, libc::POLLIN | libc::POLLOUT),
        libc::POLLERR
    );
    assert_eq!(
        program.read(fd, Ram::START, 100),
        Err(Errno(libc::EBADFD)),
        "unattached"
    );

    ask_for(&program, Ram::START, "tun%d");
    assert_eq!(program.ioctl(fd, TUNSETIFF, Ram::HOLE), Err(EFAULT));
    assert_eq!(program.ioctl(fd, TUNSETIFF, Ram::START), Ok(Ioctl::Done(0)));
    assert_eq!(&program.ram.get(Ram::START), b"tun0\0");
    assert_eq!(program.ioctl(fd, TUNGETIFF, Ram::HOLE - 8), Err(EFAULT));

    let at = program.at(fd);
    let Ok(Attempt::Wait(pause)) = program.read(fd, Ram::START, 100) else {
        panic!("nothing is queued")
    };
    assert_eq!(
        program.poll(fd, libc::POLLIN | libc::POLLOUT),
        libc::POLLOUT
    );
    let interface = net.interface("tun0").expect("a net").expect("tun0");
    interface
        .inject_with(&PACKET, Sending::new().within(SOON))
        .expect("injected");
    assert_eq!(
        program.poll(fd, libc::POLLIN | libc::POLLOUT),
        libc::POLLIN | libc::POLLOUT
    );
    assert_eq!(
        epoll_bits(at.tunnel.readiness()),
        u32::from((IN | OUT) as u16)
    );
    pause.end(&at.tunnel);
    let buffer = memtun_calls::buffer::Buffer::new(&program.ram, Ram::START, 100);
    let read = tunnel::read_again(&at.tunnel, at.bell.raw(), pause, buffer, || {
        panic!("there was a packet")
    });
    assert_eq!(read, Ok(Attempt::Done(PACKET.len())));
    assert_eq!(program.ram.get(Ram::START), PACKET);

    // A packet that cannot be stored is lost, and the driver does not report that.
    interface
        .inject_with(&PACKET, Sending::new().within(SOON))
        .expect("injected");
    assert_eq!(
        program.read(fd, Ram::HOLE - 4, 100),
        Ok(Attempt::Done(PACKET.len()))
    );
    assert!(matches!(
        program.read(fd, Ram::START, 100),
        Ok(Attempt::Wait(_))
    ));

    program.ram.set(Ram::START, &PACKET);
    assert_eq!(
        program.write(fd, Ram::START, PACKET.len()),
        Ok(PACKET.len())
    );
    assert_eq!(interface.recv_within(SOON).expect("written").data, PACKET);
    assert_eq!(program.write(fd, Ram::HOLE - 4, PACKET.len()), Err(EFAULT));
    assert_eq!(program.write(fd, usize::MAX - 4, PACKET.len()), Err(EFAULT));
}

#[test]
fn vectors_gather_and_scatter() {
    let (net, program) = world();
    let fd = attached(&program, libc::O_RDWR);
    let interface = net.interface("tun0").expect("a net").expect("tun0");
    let (at, array) = (program.at(fd), Ram::START + 0x1000);
    let elements = |elements: &[(usize, usize)]| {
        let words = elements.iter().flat_map(|(at, len)| [*at, *len]);
        let bytes: Vec<u8> = words.flat_map(usize::to_ne_bytes).collect();
        program.ram.set(array, &bytes);
        elements.len() as i32
    };
    program.ram.set(Ram::START, &PACKET[..8]);
    program.ram.set(Ram::START + 100, &PACKET[8..]);
    let n = elements(&[(Ram::START, 8), (Ram::HOLE, 0), (Ram::START + 100, 12)]);
    let vector = Vector::new(&program.ram, array, n);
    assert_eq!(tunnel::write(&at.tunnel, vector), Ok(PACKET.len()));
    assert_eq!(interface.recv_within(SOON).expect("written").data, PACKET);

    interface
        .inject_with(&PACKET, Sending::new().within(SOON))
        .expect("injected");
    let n = elements(&[(Ram::START + 200, 3), (Ram::START + 300, 100)]);
    let mut vector = Vector::new(&program.ram, array, n).expect("good elements");
    let read = tunnel::read(&at.tunnel, at.bell.raw(), &mut vector);
    assert_eq!(read, Ok(Attempt::Done(PACKET.len())));
    assert_eq!(program.ram.get::<3>(Ram::START + 200), PACKET[..3]);
    assert_eq!(program.ram.get::<17>(Ram::START + 300), PACKET[3..]);

    // After a header the rest of a packet begins in the middle of an element.
    vector.put(1, &[1, 2, 3, 4]).expect("mapped memory");
    assert_eq!(program.ram.get(Ram::START + 201), [1, 2]);
    assert_eq!(program.ram.get(Ram::START + 300), [3, 4]);
    let mut room = [0; 4];
    vector.copy(1, &mut room).expect("mapped memory");
    assert_eq!(room, [1, 2, 3, 4]);

    let refused = |n| Vector::new(&program.ram, array, n).err();
    assert_eq!(refused(-1), Some(Errno(libc::EINVAL)));
    assert_eq!(refused(1025), Some(Errno(libc::EINVAL)));
    elements(&[(Ram::START, isize::MAX as usize + 1)]);
    assert_eq!(refused(1), Some(Errno(libc::EINVAL)));
    elements(&[(1 << 47, 1)]);
    assert_eq!(refused(1), Some(EFAULT));
    assert_eq!(Vector::new(&program.ram, Ram::HOLE, 1).err(), Some(EFAULT));
}

#[test]
fn an_access_mode_forbids_the_other_direction() {
    let (_net, program) = world();
    for (flags, reads, writes, asks) in [
        (libc::O_RDONLY, true, false, true),
        (libc::O_WRONLY, false, true, true),
        (libc::O_RDWR, true, true, true),
        (libc::O_ACCMODE, false, false, true),
        (libc::O_RDWR | libc::O_PATH, false, false, false),
    ] {
        let fd = program.open(flags).expect("a tunnel");
        let at = program.at(fd);
        let is_bad = |answer: Result<usize, Errno>| answer == Err(EBADF);
        let nothing = |forbidden| tunnel::transfer_nothing(&at.tunnel, forbidden);
        assert_eq!(!is_bad(nothing(libc::O_WRONLY)), reads, "{flags:#o}");
        assert_eq!(!is_bad(nothing(libc::O_RDONLY)), writes, "{flags:#o}");
        let read = program.read(fd, Ram::START, 9);
        assert_eq!(read == Err(EBADF), !reads, "{flags:#o}");
        let written = program.write(fd, Ram::START, 9);
        assert_eq!(is_bad(written), !writes, "{flags:#o}");
        let asked = program.ioctl(fd, TUNGETFEATURES, Ram::START);
        assert_eq!(asked == Err(EBADF), !asks, "{flags:#o}");
        let shown = tunnel::status_flags(&at.tunnel, libc::O_RDWR | libc::O_NONBLOCK);
        assert_eq!(shown, flags & libc::O_ACCMODE | libc::O_NONBLOCK);
        drop(at);
        program.close(fd);
    }
}

#[test]
fn the_first_o_async_makes_the_program_the_owner() {
    let (_net, program) = world();
    let fd = attached(&program, libc::O_RDWR);
    let at = program.at(fd);
    let change = |flags| {
        at.flags.set(libc::O_RDWR | flags);
        tunnel::status_flags_changed(&at.tunnel, &*at);
        at.tunnel.has_signals()
    };
    assert!(!change(libc::O_NONBLOCK));
    assert_eq!(at.owner.get(), 0);
    assert!(change(libc::O_ASYNC | libc::O_NONBLOCK));
    assert_eq!((at.owner.get(), at.times_owned.get()), (4711, 1));
    assert_eq!(
        program.read(fd, Ram::START, 100),
        Err(Errno(libc::EAGAIN)),
        "a read of the bell would be a signal"
    );
    assert!(!change(libc::O_NONBLOCK));
    at.owner.set(12);
    assert!(change(libc::O_ASYNC));
    assert_eq!((at.owner.get(), at.times_owned.get()), (12, 1));
    assert!(tunnel::changes_status_flags(libc::FIONBIO as u32));
    assert!(!tunnel::changes_status_flags(libc::FIOCLEX as u32));
    assert_eq!(
        program.ioctl(fd, libc::FIONBIO as u32, Ram::START),
        Ok(Ioctl::Generic)
    );
}

#[test]
fn a_link_that_is_down_is_not_writable() {
    let (net, program) = world();
    let fd = attached(&program, libc::O_RDWR);
    let at = program.at(fd);
    let state = || State::of(at.tunnel.readiness());
    let both = libc::POLLIN | libc::POLLOUT;
    assert_eq!(
        (state(), state().question(both)),
        (State::Plain, Some(both))
    );
    let interface = net.interface("tun0").expect("a net").expect("tun0");
    interface.set_up(false).expect("a link that is down");
    assert_eq!(state(), State::Quiet(Why::Link));
    assert_eq!(state().question(both), Some(libc::POLLIN));
    assert_eq!(program.poll(fd, both), 0);
    interface.delete().expect("no interface");
    assert_eq!((state(), state().question(both)), (State::Error, None));
    assert_eq!(program.poll(fd, 0), libc::POLLERR, "unasked");
}

#[test]
fn a_read_that_waits_fails_when_its_interface_goes() {
    let (net, program) = world();
    let fd = attached(&program, libc::O_RDWR);
    let at = program.at(fd);
    let Ok(Attempt::Wait(pause)) = program.read(fd, Ram::START, 100) else {
        panic!("nothing is queued")
    };
    let again = |pause, same: Result<(), Errno>| {
        let buffer = memtun_calls::buffer::Buffer::new(&program.ram, Ram::START, 100);
        tunnel::read_again(&at.tunnel, at.bell.raw(), pause, buffer, || same)
    };
    // When another reader took the packet, the read waits on; when the descriptor is another
    // file's, it fails.
    pause.end(&at.tunnel);
    assert_eq!(again(pause, Err(EBADF)), Err(EBADF));
    let Ok(Attempt::Wait(pause)) = again(pause, Ok(())) else {
        panic!("nothing is queued")
    };
    let interface = net.interface("tun0").expect("a net").expect("tun0");
    interface.delete().expect("no interface");
    pause.end(&at.tunnel);
    assert_eq!(again(pause, Ok(())), Err(EFAULT));
}

#[test]
fn stat_shows_a_character_device() {
    let (_net, program) = world();
    let (at, device) = (Ram::START, FileStat::imagined());
    program.ram.set(at, &[0xff; 512]);
    device.store(&program.ram, at).expect("mapped memory");
    let word = |offset| u32::from_ne_bytes(program.ram.get(at + offset));
    let long = |offset| u64::from_ne_bytes(program.ram.get(at + offset));
    assert_eq!(word(offset_of!(libc::stat, st_mode)), libc::S_IFCHR | 0o666);
    assert_eq!(
        long(offset_of!(libc::stat, st_rdev)),
        libc::makedev(10, 200)
    );
    assert_eq!(long(offset_of!(libc::stat, st_ino)), device.inode);
    assert_eq!(long(offset_of!(libc::stat, st_size)), 0);
    assert_eq!(long(size_of::<libc::stat>() - 8), 0, "nothing is left over");
    assert_eq!(
        long(size_of::<libc::stat>()),
        u64::MAX,
        "and no more stored"
    );

    device.store_x(&program.ram, at).expect("mapped memory");
    let half = |offset| u16::from_ne_bytes(program.ram.get(at + offset));
    assert_eq!(
        u32::from(half(offset_of!(libc::statx, stx_mode))),
        libc::S_IFCHR | 0o666
    );
    assert_eq!(word(offset_of!(libc::statx, stx_rdev_major)), 10);
    assert_eq!(word(offset_of!(libc::statx, stx_rdev_minor)), 200);
    assert_eq!(word(offset_of!(libc::statx, stx_dev_minor)), 5);
    assert_eq!(device.store_x(&program.ram, Ram::HOLE - 8), Err(EFAULT));

    assert_eq!(access(libc::R_OK | libc::W_OK), Ok(()));
    assert_eq!(access(libc::X_OK), Err(Errno(libc::EACCES)));
    assert_eq!(access(8), Err(Errno(libc::EINVAL)));
}

#[test]
fn the_hosts_own_device_is_shown_as_it_is() {
    let null = memtun_sys::fstatat(HERE, c"/dev/null", 0).expect("/dev/null");
    assert!(!is_device(&null));
    let mut st = null;
    st.st_rdev = libc::makedev(10, 200);
    assert!(is_device(&st));
    let (_net, program) = world();
    FileStat::of(&st)
        .store(&program.ram, Ram::START)
        .expect("mapped memory");
    let long = |offset| i64::from_ne_bytes(program.ram.get(Ram::START + offset));
    assert_eq!(long(offset_of!(libc::stat, st_ino)), st.st_ino as i64);
    assert_eq!(long(offset_of!(libc::stat, st_mtime)), st.st_mtime);
    assert_eq!(
        long(offset_of!(libc::stat, st_mtime_nsec)),
        st.st_mtime_nsec
    );
}

#[test]
fn fdinfo_speaks_of_the_tunnel() {
    let (net, program) = world();
    let fd = attached(&program, libc::O_WRONLY);
    let at = program.at(fd);
    let of_bell = b"pos:\t0\nflags:\t0100002\nmnt_id:\t7\nino:\t99\nlock:\t1: FLOCK  ADVISORY  READ 1 0:1:1 0 EOF\n";
    let text = |mount| {
        let text = fdinfo::Text::new(of_bell, at.tunnel.state(), 200, mount).expect("room");
        String::from_utf8_lossy(text.bytes()).into_owned()
    };
    assert_eq!(
        text(Some(5)),
        "pos:\t0\nflags:\t0100001\nmnt_id:\t5\nino:\t200\niff:\ttun0\n"
    );
    let interface = net.interface("tun0").expect("a net").expect("tun0");
    interface.delete().expect("no interface");
    assert_eq!(
        text(None),
        "pos:\t0\nflags:\t0100001\nmnt_id:\t7\nino:\t200\niff:\t\n"
    );
    let long = [b'x'; 2000];
    assert!(fdinfo::Text::new(&long, at.tunnel.state(), 200, None).is_err());

    assert!(fdinfo::may_be(b"/proc/self/fdinfo/3") && !fdinfo::may_be(b"/proc/self/maps"));
    let link = |path| fdinfo::link_of(path).map(|link| link.bytes().to_vec());
    assert_eq!(link(b"/proc/12/fdinfo/3"), Ok(b"/proc/12/fd/3".to_vec()));
    assert_eq!(link(b"/tmp/3"), Err(Errno(libc::ENOENT)));
}

#[test]
fn interfaces_are_listed_beside_the_hosts() {
    let (net, program) = world();
    let fd = attached(&program, libc::O_RDWR);
    let dir = program.join().expect("a net");
    let index = net.interfaces().expect("a list")[0].index;
    let tun0 = Name::new("tun0").expect("a name");
    assert_eq!(interfaces::all(&dir, &program), Ok(vec![(index, tun0)]));
    let of_name = |name: &[u8]| interfaces::index_of(&dir, name, &program);
    assert!(matches!(of_name(b"tun0"), Ok(Answer::Is(i)) if i == index));
    assert!(matches!(of_name(b"lo"), Ok(Answer::Ask)));
    let name = interfaces::name_of(&dir, index, &program);
    assert!(matches!(name, Ok(Answer::Is(name)) if name == tun0));
    program.close(fd);
    assert!(matches!(of_name(b"tun0"), Ok(Answer::Gone)));
    assert!(interfaces::is_known(&dir, b"tun0"), "the host's is another");
}

#[test]
fn what_is_for_other_files_is_answered_without_the_bell() {
    let fcntl = control::fcntl;
    assert_eq!(fcntl(libc::F_GETFL, 0), Control::StatusFlags);
    assert_eq!(fcntl(libc::F_DUPFD_CLOEXEC, 0), Control::Duplicates);
    let nonblocking = libc::O_NONBLOCK as usize;
    assert_eq!(
        fcntl(libc::F_SETFL, nonblocking),
        Control::ChangesStatusFlags
    );
    let direct = nonblocking | libc::O_DIRECT as usize;
    let refused = |e| Control::Refused(Errno(e));
    assert_eq!(fcntl(libc::F_SETFL, direct), refused(libc::EINVAL));
    assert_eq!(fcntl(libc::F_GETPIPE_SZ, 0), refused(libc::EBADF));
    assert_eq!(fcntl(libc::F_SETLEASE, 0), refused(libc::EINVAL));
    assert_eq!(fcntl(libc::F_SETOWN, 0), Control::Host);

    let invalid = Err(Errno(libc::EINVAL));
    assert_eq!(control::check_offset(0), Ok(()));
    assert_eq!(control::check_offset(-1), invalid);
    assert_eq!(control::check_offset_or_own(-1), Ok(()));
    assert_eq!(control::check_offset_or_own(-2), invalid);
    assert_eq!(control::check_flags(libc::RWF_NOWAIT), Ok(()));
    assert_eq!(control::check_flags(libc::RWF_APPEND | 0x20), invalid);
    let unknown = Err(Errno(libc::EOPNOTSUPP));
    assert_eq!(control::check_flags(0x4000), unknown);

    let (reads, writes) = (Some(libc::O_RDONLY), Some(libc::O_WRONLY));
    assert_eq!(control::moves(reads, writes), invalid);
    for (from, to) in [(writes, writes), (reads, reads), (None, writes)] {
        assert_eq!(control::moves(from, to), Err(EBADF));
    }
    assert_eq!(Misfit::Copy.answer(), invalid);
    assert_eq!(Misfit::Allocate.answer_on(libc::O_RDONLY), Err(EBADF));
    assert_eq!(Misfit::Lock.answer_on(libc::O_ACCMODE), Err(EBADF));
    assert_eq!(Misfit::Advise.answer_on(libc::O_PATH), Err(EBADF));
    assert_eq!(Misfit::Vmsplice.answer(), Err(EBADF));
    assert_eq!(Misfit::Allocate.answer(), Err(Errno(libc::ENODEV)));
    assert_eq!(Misfit::Lock.answer(), Ok(()));
}

#[test]
fn a_net_that_was_removed_is_made_anew() {
    let (net, program) = world();
    let first = program.join().expect("a net");
    net.remove().expect("removed");
    let fd = program.open(libc::O_RDWR).expect("a tunnel in a new net");
    assert!(first.is_gone() && !program.at(fd).tunnel.net().is_gone());
    program.close(fd);
    let again = Net::create(std::ffi::OsStr::from_bytes(first.path())).expect("the new net");
    drop(program);
    again.remove().expect("removed");
}
