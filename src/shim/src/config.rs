//! The settings in the environment. They are read once, when the library is loaded, because
//! programs change their environment.

use memtun_calls::device::Device;
use memtun_core::launch::preload::{self, PRELOAD};
use memtun_core::launch::settings;
use memtun_kernel::busy;
use memtun_kernel::net::temporary;
use memtun_sys as sys;
use once_cell::race::OnceBox;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStringExt;

/// The settings of this process.
pub struct Config {
    /// The net's directory: MEMTUN_NET, or the one that was chosen for the private net of the
    /// process tree.
    pub net: Vec<u8>,
    /// MEMTUN_NET_PLACE: device and inode of the net's directory, as the process that started this
    /// program saw it.
    pub place: Option<(u64, u64)>,
    /// True when nobody named the net, but the first process of the tree chose it; such a net is
    /// removed with the last process.
    pub private: bool,
    /// True in the process that chose the net.
    pub chosen: bool,
    /// MEMTUN_NET_OWNER: the user whose net root joins.
    pub owner: Option<u32>,
    /// MEMTUN_DEVICES: the special devices.
    pub devices: Vec<Device>,
    /// MEMTUN_LINK: is a new interface up?
    pub link_up: bool,
    /// MEMTUN_BELL: is the bell of a tunnel silent as soon as its last packet is read?
    pub exact_bell: bool,
    /// The entries `MEMTUN_...=...` as they were, for children that are started with another
    /// environment.
    pub environment: Vec<CString>,
    /// Path of this library as LD_PRELOAD had it; `None` when it was loaded in another way.
    pub library: Option<CString>,
    /// Path of this library, however it was loaded.
    pub own: Option<CString>,
    /// MEMTUN_HOST: what is seen of the machine.
    pub host: settings::Host,
    /// MEMTUN_LOG, which a host process is given.
    pub log_setting: Option<Vec<u8>>,
    /// MEMTUN_COMMAND: the command by which a host process is started.
    pub command: Option<Vec<u8>>,
    /// PATH, where the command is looked for otherwise.
    pub path: Option<Vec<u8>>,
}

static CONFIG: OnceBox<Config> = OnceBox::new();

/// The settings; `None` before the constructor has run, and then every call is passed through.
#[inline]
pub fn get() -> Option<&'static Config> {
    CONFIG.get()
}

/// Value of a variable in the environment as it is now. Only the constructor may call this.
pub fn variable(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(OsStringExt::into_vec)
}

/// Changes the environment of this process, for its children. Only the constructor may call this.
pub fn export(name: &str, value: &CStr) {
    let Ok(name) = CString::new(name) else {
        return;
    };
    // SAFETY: the strings are NUL-terminated, and the constructor runs before the program has
    // threads.
    unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) };
}

/// Puts the value that is taken in place of a wrong one: whoever this process starts does not name
/// the mistake again.
fn correct(name: &str, taken: &str) {
    if let Ok(taken) = CString::new(taken) {
        export(name, &taken);
    }
}

fn owner() -> Option<u32> {
    let given = variable(settings::OWNER).filter(|uid| !uid.is_empty())?;
    let uid = settings::owner(&given);
    if uid.is_none() {
        log::error!(
            "{}={:?} is not the number of a user; leaving it out",
            settings::OWNER,
            String::from_utf8_lossy(&given)
        );
    }
    uid
}

/// Reads the environment; chooses and exports the private net's name. `own` is this library's path
/// as the dynamic linker has it. It is called once, in the constructor, before there are threads.
pub fn init(own: Option<&CStr>) {
    let log = variable(settings::LOG).unwrap_or_default();
    let level = settings::log_level(&log);
    crate::logging::init(level.unwrap_or(log::LevelFilter::Warn));
    if level.is_none() {
        log::error!(
            "{}={:?}: {}",
            settings::LOG,
            String::from_utf8_lossy(&log),
            settings::LOG_REMEDY
        );
        correct(settings::LOG, "warn");
    }
    let given = variable(settings::NET).filter(|dir| !dir.is_empty());
    let net = match &given {
        Some(dir) => absolute(dir),
        None => {
            let base = temporary::base_directory(variable);
            temporary::name(&base).map_or_else(|_| b"/tmp/memtun".to_vec(), |p| p.bytes().to_vec())
        }
    };
    let library = library(own);
    let chosen = given.is_none();
    let private = chosen || variable(settings::TREE).as_ref() == Some(&net);
    // The net's name is not exported by a driver that only loads the library, because its children
    // may have nothing to do with the net.
    if given.as_ref() != Some(&net) && library.is_some() {
        if let Ok(value) = CString::new(net.clone()) {
            export(settings::NET, &value);
            if chosen {
                export(settings::TREE, &value);
            }
        }
    }
    let link = variable(settings::LINK).unwrap_or_default();
    let link_up = settings::link(&link).unwrap_or_else(|| {
        log::error!(
            "{}={:?} is neither up nor down; taking up",
            settings::LINK,
            String::from_utf8_lossy(&link)
        );
        correct(settings::LINK, settings::link_word(true));
        true
    });
    let bell = variable(settings::BELL).unwrap_or_default();
    let exact_bell = settings::bell(&bell).unwrap_or_else(|| {
        log::error!(
            "{}={:?} is neither lazy nor exact; taking exact",
            settings::BELL,
            String::from_utf8_lossy(&bell)
        );
        correct(settings::BELL, settings::bell_word(true));
        true
    });
    let busy_poll = variable(settings::BUSY_POLL).unwrap_or_default();
    busy::set_most(settings::busy_poll(&busy_poll).unwrap_or_else(|| {
        log::error!(
            "{}={:?} is no number of microseconds from 0 to 1000000; taking {}",
            settings::BUSY_POLL,
            String::from_utf8_lossy(&busy_poll),
            settings::BUSY_POLL_DEFAULT
        );
        correct(settings::BUSY_POLL, "");
        settings::BUSY_POLL_DEFAULT
    }));
    let host_setting = variable(settings::HOST);
    let host = host_setting.as_deref().unwrap_or_default();
    let host = settings::host(host).unwrap_or_else(|| {
        log::error!(
            "{}={:?}: {}; taking isolated",
            settings::HOST,
            String::from_utf8_lossy(host),
            settings::HOST_REMEDY
        );
        // Whoever meant that must not reach the machine's network by a slip of the pen.
        let taken = settings::Host::Isolated;
        correct(settings::HOST, settings::host_word(taken));
        taken
    });
    let devices = devices(variable(settings::DEVICES).filter(|d| !d.is_empty()));
    let environment = settings::INHERITED
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
        exact_bell,
        environment,
        library,
        own: own.map(CStr::to_owned),
        host,
        log_setting: variable(settings::LOG),
        command: variable(settings::COMMAND),
        path: variable("PATH"),
    }));
}

fn place(net: &[u8]) -> Option<(u64, u64)> {
    let given = variable(settings::PLACE)?;
    let place = settings::Place::parse(&given).filter(|place| place.path == net)?;
    Some((place.device, place.inode))
}

/// The net's directory as an absolute path, so that children with another working directory find
/// it.
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
    let setting = setting.unwrap_or_else(|| settings::DEFAULT_DEVICE.to_vec());
    let mut devices = Vec::new();
    for path in settings::devices(&setting) {
        match Device::new(path) {
            Some(device) => devices.push(device),
            None => log::error!(
                "{}: {:?} is no absolute path without \"..\"; leaving it out",
                settings::DEVICES,
                String::from_utf8_lossy(path)
            ),
        }
    }
    devices
}

/// This library's path as the dynamic linker has it.
pub fn own_path() -> Option<&'static CStr> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the address is in this library, and `info` has room for one Dl_info.
    let found = unsafe { libc::dladdr(init as *const libc::c_void, info.as_mut_ptr()) };
    // SAFETY: zeroes are a valid Dl_info, and dladdr fills it when it says so.
    let info = unsafe { info.assume_init() };
    // SAFETY: the name is a NUL-terminated string of the dynamic linker's, which stays as long as
    // the library is loaded.
    (found != 0 && !info.dli_fname.is_null()).then(|| unsafe { CStr::from_ptr(info.dli_fname) })
}

/// The entry of LD_PRELOAD that names this library.
fn library(path: Option<&CStr>) -> Option<CString> {
    let path = path?;
    let list = variable(PRELOAD)?;
    preload::find(&list, path.to_bytes()).map(|_| path.to_owned())
}
