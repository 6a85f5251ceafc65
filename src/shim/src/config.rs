//! What the environment says, read once, when the library is loaded (DESIGN.md 4.1): programs change their environment.

use memtun_calls::device::Device;
use memtun_kernel::net::temporary;
use memtun_sys as sys;
use once_cell::race::OnceBox;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;

/// The settings of this process.
pub struct Config {
    /// MEMTUN_NET, or the name of the process tree's private net.
    pub net: Vec<u8>,
    /// MEMTUN_NET_PLACE: device and inode of the net's directory, as whoever started this program saw it.
    pub place: Option<(u64, u64)>,
    /// The net was named by nobody, but chosen by the first process of the tree: it goes with the last one.
    pub private: bool,
    /// This is the process that chose it.
    pub chosen: bool,
    /// MEMTUN_NET_OWNER: whose net root joins.
    pub owner: Option<u32>,
    /// MEMTUN_DEVICES.
    pub devices: Vec<Device>,
    /// MEMTUN_LINK.
    pub link_up: bool,
    /// `MEMTUN_...=...` as they were, for children that are started with another environment.
    pub environment: Vec<CString>,
    /// Path of this library as LD_PRELOAD had it; None when it was loaded otherwise.
    pub library: Option<CString>,
}

static CONFIG: OnceBox<Config> = OnceBox::new();

/// None before the constructor has run: then everything is passed through.
#[inline]
pub fn get() -> Option<&'static Config> {
    CONFIG.get()
}

/// A variable of the environment as it is now. Only in the constructor.
pub fn variable(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(OsStringExt::into_vec)
}

/// The net that the first process of the tree chose: where it equals MEMTUN_NET, whoever makes the net makes it private.
const TREE: &str = "MEMTUN_TREE";

/// `DEVICE:INODE:PATH`; of no meaning where that path is not MEMTUN_NET.
const PLACE: &str = "MEMTUN_NET_PLACE";

/// What a new program image must find.
const VARIABLES: &[&str] = &[
    "MEMTUN_NET",
    TREE,
    "MEMTUN_NET_OWNER",
    PLACE,
    "MEMTUN_DEVICES",
    "MEMTUN_LINK",
    "MEMTUN_LOG",
];

/// Changes the environment of this process, for its children. Only in the constructor.
pub fn export(name: &CStr, value: &CStr) {
    // SAFETY: NUL-terminated strings; the constructor runs before the program has threads.
    unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) };
}

fn owner() -> Option<u32> {
    let given = variable("MEMTUN_NET_OWNER").filter(|uid| !uid.is_empty())?;
    let uid = std::str::from_utf8(&given)
        .ok()
        .and_then(|uid| uid.parse().ok());
    if uid.is_none() {
        log::error!(
            "MEMTUN_NET_OWNER={:?} is not the number of a user; leaving it out",
            String::from_utf8_lossy(&given)
        );
    }
    uid
}

/// Reads the environment; chooses and exports the private net's name. Called once, in the constructor, before there are
/// threads.
pub fn init() {
    let log = variable("MEMTUN_LOG");
    crate::logging::init(log.as_deref().unwrap_or(b"warn"));
    let given = variable("MEMTUN_NET").filter(|dir| !dir.is_empty());
    let net = match &given {
        Some(dir) => absolute(dir),
        None => {
            let base = temporary::base_directory(variable);
            temporary::name(&base).map_or_else(|_| b"/tmp/memtun".to_vec(), |p| p.bytes().to_vec())
        }
    };
    let library = library();
    let chosen = given.is_none();
    let private = chosen || variable(TREE).as_ref() == Some(&net);
    // A driver that only loads the library has children of its own business.
    if given.as_ref() != Some(&net) && library.is_some() {
        if let Ok(value) = CString::new(net.clone()) {
            export(c"MEMTUN_NET", &value);
            if chosen {
                export(c"MEMTUN_TREE", &value);
            }
        }
    }
    let link = variable("MEMTUN_LINK");
    let link_up = match link.as_deref() {
        None | Some(b"up" | b"") => true,
        Some(b"down") => false,
        Some(other) => {
            log::error!(
                "MEMTUN_LINK={:?} is neither up nor down; taking up",
                String::from_utf8_lossy(other)
            );
            true
        }
    };
    let devices = devices(variable("MEMTUN_DEVICES").filter(|d| !d.is_empty()));
    let environment = VARIABLES
        .iter()
        .filter_map(|name| CString::new([name.as_bytes(), b"=", &variable(name)?].concat()).ok())
        .collect();
    let _ = CONFIG.set(Box::new(Config {
        place: place(&net),
        net,
        private,
        chosen,
        owner: owner(),
        devices,
        link_up,
        environment,
        library,
    }));
}

fn place(net: &[u8]) -> Option<(u64, u64)> {
    let given = variable(PLACE)?;
    let mut parts = given.splitn(3, |b| *b == b':');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse().ok();
    let (device, inode) = (number()?, number()?);
    (parts.next() == Some(net)).then_some((device, inode))
}

/// A net's directory as children with another working directory find it.
fn absolute(dir: &[u8]) -> Vec<u8> {
    let mut buf = [0u8; 1024];
    let here = match dir.first() {
        Some(b'/') => b"".as_slice(),
        _ => sys::readlinkat(libc::AT_FDCWD, c"/proc/self/cwd", &mut buf).unwrap_or(b"."),
    };
    let mut path = here.to_vec();
    if !here.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(dir);
    while path.len() > 1 && path.last() == Some(&b'/') {
        path.pop();
    }
    path
}

fn devices(setting: Option<Vec<u8>>) -> Vec<Device> {
    let setting = setting.unwrap_or_else(|| b"/dev/net/tun".to_vec());
    let mut devices = Vec::new();
    for path in setting.split(|b| *b == b':').filter(|p| !p.is_empty()) {
        match Device::new(path) {
            Some(device) => devices.push(device),
            None => log::error!(
                "MEMTUN_DEVICES: {:?} is no absolute path without \"..\"; leaving it out",
                String::from_utf8_lossy(path)
            ),
        }
    }
    devices
}

/// This library's path, as the dynamic linker has it.
pub fn own_path() -> Option<&'static CStr> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: an address in this library, and room for one Dl_info.
    let found = unsafe { libc::dladdr(init as *const libc::c_void, info.as_mut_ptr()) };
    // SAFETY: zeroed is a valid Dl_info; dladdr filled it when it says so.
    let info = unsafe { info.assume_init() };
    // SAFETY: a NUL-terminated string of the dynamic linker's, which stays as long as the library.
    (found != 0 && !info.dli_fname.is_null()).then(|| unsafe { CStr::from_ptr(info.dli_fname) })
}

/// The entry of LD_PRELOAD that is this library.
fn library() -> Option<CString> {
    let path = own_path()?;
    let preload = variable("LD_PRELOAD")?;
    let mut entries = preload.split(|b| *b == b':' || *b == b' ');
    let file = path.to_bytes().rsplit(|b| *b == b'/').next()?;
    entries
        .any(|entry| entry.rsplit(|b| *b == b'/').next() == Some(file))
        .then(|| path.to_owned())
}
