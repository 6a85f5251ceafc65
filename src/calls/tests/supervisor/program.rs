//! A program as a supervisor of system calls sees it: memory with holes, descriptors in a map, a
//! file system of links. It is no process, and nothing is preloaded.

use memtun_abi::Errno;
use memtun_calls::device::Device;
use memtun_calls::path::{self, Paths, Route};
use memtun_calls::tunnel::{self, Attempt, Descriptor, Nets};
use memtun_calls::{Memory, Place};
use memtun_kernel::net::{Create, Join, Local, NetDir};
use memtun_kernel::tun::{AttachOptions, Ioctl, Tunnel};
use memtun_sys::Fd;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::ops::Range;
use std::rc::Rc;

/// Memory from [`Ram::START`] on, with a hole in it.
pub struct Ram {
    bytes: RefCell<Vec<u8>>,
}

impl Ram {
    pub const START: usize = 0x10000;
    pub const END: usize = Ram::START + 0x8000;
    /// Address of the hole, in which nothing is mapped.
    pub const HOLE: usize = Ram::START + 0x4000;
    const HOLE_SIZE: usize = 0x1000;

    pub fn new() -> Ram {
        Ram {
            bytes: RefCell::new(vec![0; Ram::END - Ram::START]),
        }
    }

    /// Returns where in the vector a range lies, if all of it is mapped.
    fn range(&self, at: usize, len: usize) -> Result<Range<usize>, Errno> {
        let end = at.checked_add(len).filter(|end| *end <= Ram::END);
        let mapped = end.filter(|end| {
            let in_hole = *end > Ram::HOLE && at < Ram::HOLE + Ram::HOLE_SIZE;
            at >= Ram::START && !in_hole
        });
        mapped
            .map(|end| at - Ram::START..end - Ram::START)
            .ok_or(Errno(libc::EFAULT))
    }

    pub fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        self.read(at, &mut bytes).expect("mapped memory");
        bytes
    }

    pub fn set(&self, at: usize, bytes: &[u8]) {
        self.write(at, bytes).expect("mapped memory");
    }
}

impl Memory for Ram {
    fn read(&self, at: usize, into: &mut [u8]) -> Result<(), Errno> {
        let range = self.range(at, into.len())?;
        into.copy_from_slice(&self.bytes.borrow()[range]);
        Ok(())
    }
    fn write(&self, at: usize, from: &[u8]) -> Result<(), Errno> {
        let range = self.range(at, from.len())?;
        self.bytes.borrow_mut()[range].copy_from_slice(from);
        Ok(())
    }
    fn string<'r>(&self, at: usize, room: &'r mut [u8]) -> Result<&'r [u8], Errno> {
        for len in 0..room.len() {
            match self.get_byte(at + len)? {
                0 => return Ok(&room[..len]),
                byte => room[len] = byte,
            }
        }
        Err(Errno(libc::ENAMETOOLONG))
    }
}

impl Ram {
    fn get_byte(&self, at: usize) -> Result<u8, Errno> {
        let mut byte = [0];
        self.read(at, &mut byte)?;
        Ok(byte[0])
    }
}

/// The links of a file system, by their paths. What is no link is a directory or does not exist.
#[derive(Default)]
pub struct Disk {
    pub links: BTreeMap<Vec<u8>, Vec<u8>>,
    pub directories: Vec<Vec<u8>>,
    pub holds_tunnels: bool,
}

impl Paths for Disk {
    fn link<'r>(&self, dir: i32, path: &CStr, room: &'r mut [u8]) -> Result<&'r [u8], Errno> {
        let mut whole = path.to_bytes().to_vec();
        if whole.first() != Some(&b'/') {
            let mut start = [0u8; 64];
            whole = [self.directory(dir, &mut start)?, b"/", &whole].concat();
        }
        match self.links.get(&whole) {
            Some(target) => {
                room[..target.len()].copy_from_slice(target);
                Ok(&room[..target.len()])
            }
            None if self.directories.contains(&whole) => Err(Errno(libc::EINVAL)),
            None => Err(Errno(libc::ENOENT)),
        }
    }
    fn directory<'r>(&self, dir: i32, room: &'r mut [u8]) -> Result<&'r [u8], Errno> {
        let path: &[u8] = match dir {
            libc::AT_FDCWD => b"/home/somebody",
            9 => b"/dev",
            _ => return Err(Errno(libc::EBADF)),
        };
        room[..path.len()].copy_from_slice(path);
        Ok(&room[..path.len()])
    }
    fn may_hold_tunnels(&self) -> bool {
        self.holds_tunnels
    }
    fn may_begin_in_view(&self, _: i32) -> bool {
        false
    }
}

/// A descriptor of the program that is a tunnel. The bell is the supervisor's own copy of it.
pub struct Open {
    pub bell: Fd,
    pub tunnel: Tunnel<Rc<NetDir>>,
    /// The status flags as F_GETFL returns them.
    pub flags: Cell<i32>,
    pub owner: Cell<i32>,
    pub times_owned: Cell<u32>,
}

impl Descriptor for Open {
    fn number(&self) -> i32 {
        self.bell.raw()
    }
    fn status_flags(&self) -> Result<i32, Errno> {
        Ok(self.flags.get())
    }
    fn owner(&self) -> Result<i32, Errno> {
        Ok(self.owner.get())
    }
    fn own(&self) {
        self.owner.set(4711);
        self.times_owned.set(self.times_owned.get() + 1);
    }
}

pub struct Program {
    pub ram: Ram,
    pub disk: Disk,
    pub devices: Vec<Device>,
    pub open: RefCell<BTreeMap<i32, Rc<Open>>>,
    net: RefCell<Option<Rc<NetDir>>>,
    directory: Vec<u8>,
}

impl Nets for Program {
    type Net = Rc<NetDir>;
    fn join(&self) -> Result<Rc<NetDir>, Errno> {
        if let Some(net) = &*self.net.borrow() {
            return Ok(net.clone());
        }
        let how = Join {
            create: Create::Named,
            owner: None,
            member: true,
        };
        let net = NetDir::join(&self.directory, how).map_err(|e| e.errno())?;
        let net = Rc::new(net);
        *self.net.borrow_mut() = Some(net.clone());
        Ok(net)
    }
    fn is_gone(&self) -> bool {
        self.net.borrow().as_ref().is_some_and(|net| net.is_gone())
    }
    fn join_anew(&self) -> Result<Rc<NetDir>, Errno> {
        *self.net.borrow_mut() = None;
        self.join()
    }
}

impl Local for Program {
    fn descriptor(&self, inode: u64) -> Option<i32> {
        let open = self.open.borrow();
        let found = open.values().find(|open| open.tunnel.inode() == inode);
        found.map(|open| open.bell.raw())
    }
}

impl Program {
    /// Makes a program in the net of this directory.
    pub fn new(directory: &[u8]) -> Program {
        Program {
            ram: Ram::new(),
            disk: Disk::default(),
            devices: vec![Device::new(b"/dev/net/tun").expect("a device's path")],
            open: RefCell::default(),
            net: RefCell::default(),
            directory: directory.to_vec(),
        }
    }

    /// Puts a path into the program's memory, and returns where it leads.
    pub fn route(&self, dir: i32, path: &str) -> Route {
        self.ram.set(Ram::START, &[path.as_bytes(), b"\0"].concat());
        let mut room = [0u8; 256];
        let path = self.ram.string(Ram::START, &mut room).expect("a path");
        path::before(&self.disk, &self.devices, dir, path)
    }

    /// Opens the device (open(2)), and returns the program's number for it.
    pub fn open(&self, flags: i32) -> Result<i32, Errno> {
        assert_eq!(self.route(libc::AT_FDCWD, "/dev/net/tun"), Route::Device);
        let (bell, tunnel) = tunnel::open(self, flags)?;
        let mut open = self.open.borrow_mut();
        let number = open.keys().next_back().map_or(3, |last| last + 1);
        let new = Open {
            bell,
            tunnel,
            flags: Cell::new(libc::O_RDWR | flags & libc::O_NONBLOCK),
            owner: Cell::new(0),
            times_owned: Cell::new(0),
        };
        open.insert(number, Rc::new(new));
        Ok(number)
    }

    pub fn at(&self, fd: i32) -> Rc<Open> {
        self.open.borrow()[&fd].clone()
    }

    /// Closes a descriptor (close(2)).
    pub fn close(&self, fd: i32) {
        let open = self.open.borrow_mut().remove(&fd).expect("open");
        let Open { bell, tunnel, .. } = Rc::into_inner(open).expect("no call under way");
        drop(bell);
        tunnel.closed(self);
    }

    /// Makes an ioctl(2) with an argument in the program's memory.
    pub fn ioctl(&self, fd: i32, request: u32, arg: usize) -> Result<Ioctl, Errno> {
        let open = self.at(fd);
        let options = AttachOptions { link_up: true };
        let mut place = Place {
            memory: &self.ram,
            at: arg,
        };
        tunnel::ioctl(
            &open.tunnel,
            open.bell.raw(),
            request,
            &mut place,
            options,
            self,
        )
    }

    /// Makes one attempt of read(2).
    pub fn read(&self, fd: i32, at: usize, len: usize) -> Result<Attempt, Errno> {
        let open = self.at(fd);
        let mut buffer = memtun_calls::buffer::Buffer::new(&self.ram, at, len)?;
        tunnel::read(&open.tunnel, open.bell.raw(), &mut buffer)
    }

    /// Writes bytes of the program's memory (write(2)).
    pub fn write(&self, fd: i32, at: usize, len: usize) -> Result<usize, Errno> {
        let buffer = memtun_calls::buffer::Buffer::new(&self.ram, at, len);
        tunnel::write(&self.at(fd).tunnel, buffer)
    }

    /// Makes a poll(2) that does not wait.
    pub fn poll(&self, fd: i32, events: i16) -> i16 {
        use memtun_calls::readiness::{bits, reported};
        reported(bits(self.at(fd).tunnel.readiness()), events)
    }
}
