//! The interface for special devices of other kinds than a tunnel.

use memtun::{DeviceClass, Errno, IoSystem, MemoryIoSystem, Net, SpecialDevice};
use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

/// A device that gives back what was written, newest first, and counts how often it is closed.
struct Stack {
    stored: Mutex<VecDeque<Vec<u8>>>,
    closed: Arc<AtomicUsize>,
}

struct StackClass(Arc<AtomicUsize>);

impl DeviceClass for StackClass {
    fn open(
        &self,
        _: &MemoryIoSystem,
        flags: i32,
        _: u32,
    ) -> Result<Arc<dyn SpecialDevice>, Errno> {
        if flags & libc::O_DIRECTORY != 0 {
            return Err(Errno(libc::ENOTDIR));
        }
        Ok(Arc::new(Stack {
            stored: Mutex::default(),
            closed: self.0.clone(),
        }))
    }
}

impl SpecialDevice for Stack {
    fn descriptor(&self) -> Option<i32> {
        None
    }
    fn read(&self, limit: usize) -> Result<Vec<u8>, Errno> {
        let mut data = self
            .stored
            .lock()
            .expect("no panics here")
            .pop_back()
            .ok_or(Errno(libc::EAGAIN))?;
        data.truncate(limit);
        Ok(data)
    }
    fn write(&self, data: &[u8]) -> Result<usize, Errno> {
        self.stored
            .lock()
            .expect("no panics here")
            .push_back(data.to_vec());
        Ok(data.len())
    }
    fn ioctl(&self, request: u32, _: &[u8]) -> Result<Vec<u8>, Errno> {
        match request {
            1 => Ok(self
                .stored
                .lock()
                .expect("no panics here")
                .len()
                .to_ne_bytes()
                .to_vec()),
            _ => Err(Errno(libc::EINVAL)),
        }
    }
    fn close(&self) {
        self.closed.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_device_of_the_tests_own_is_served_beside_the_tunnel() {
    let closed = Arc::new(AtomicUsize::new(0));
    let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
    system.register_special_device("/dev/stack", StackClass(closed.clone()));
    system.register_special_device("/dev/net/tun", memtun::TunnelClass);
    assert_eq!(
        system.open("/dev/stack", libc::O_DIRECTORY, 0),
        Err(Errno(libc::ENOTDIR))
    );
    let one = system.open("/dev/stack", libc::O_RDWR, 0).expect("open");
    let other = system.open("/dev/stack", libc::O_RDWR, 0).expect("open");
    let tun = system.open("/dev/net/tun", libc::O_RDWR, 0).expect("open");
    assert!(one != other && other != tun);
    system.write(one, b"first").expect("write");
    system.write(one, b"second").expect("write");
    assert_eq!(
        system.ioctl(one, 1, &[]).expect("ioctl"),
        2usize.to_ne_bytes()
    );
    assert_eq!(system.ioctl(one, 2, &[]), Err(Errno(libc::EINVAL)));
    assert_eq!(system.read(one, 3).as_deref(), Ok(&b"sec"[..]));
    assert_eq!(
        system.read(other, 3),
        Err(Errno(libc::EAGAIN)),
        "descriptions do not share anything"
    );
    system.close(one).expect("close");
    assert_eq!(closed.load(SeqCst), 1);
    assert_eq!(system.read(one, 3), Err(Errno(libc::EBADF)));
}
