//! Makes files and directories of several users, gives them away, compares them, and maps them as
//! an attacker does.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{lchown, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::AtomicU32;

use super::ROOT;

/// Makes a directory that belongs to a user.
pub fn make_dir(path: &Path, uid: u32, mode: u32) {
    fs::create_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    give(path, uid);
    set_mode(path, mode);
}

/// Makes a file that belongs to a user.
pub fn make_file(path: &Path, uid: u32, mode: u32, contents: &[u8]) {
    fs::write(path, contents).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    give(path, uid);
    set_mode(path, mode);
}

/// Gives a file to a user; a symbolic link is not followed.
pub fn give(path: &Path, uid: u32) {
    lchown(path, Some(uid), Some(uid)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Gives a directory and everything in it to a user.
pub fn give_all(dir: &Path, uid: u32) {
    give(dir, uid);
    for name in names(dir) {
        give(&dir.join(name), uid);
    }
}

/// Sets the mode of a file.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// The names in a directory, sorted; empty when there is no directory.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Everything at and below a path, with owner, mode, kind, links, times and the beginning of the
/// contents. Two answers are equal as long as nobody has touched it.
pub fn tree(path: &Path) -> Vec<String> {
    let Ok(st) = fs::symlink_metadata(path) else {
        return vec![format!("{}: not there", path.display())];
    };
    let mut contents = String::new();
    if st.is_symlink() {
        contents = format!("{:?}", fs::read_link(path));
    } else if st.is_file() {
        contents = file_contents(path).escape_ascii().to_string();
    }
    let mut lines = vec![format!(
        "{} {:o} {}:{} links {} size {} device {} changed {}.{:09} {contents}",
        path.display(),
        st.mode(),
        st.uid(),
        st.gid(),
        // The count, the size and the times of a directory follow from its contents.
        if st.is_dir() { 0 } else { st.nlink() },
        if st.is_dir() { 0 } else { st.size() },
        st.rdev(),
        st.ctime(),
        st.ctime_nsec(),
    )];
    if st.is_dir() {
        for name in names(path) {
            lines.extend(tree(&path.join(name)));
        }
    }
    lines
}

fn file_contents(path: &Path) -> Vec<u8> {
    let mut begin = vec![0; 4096];
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOATIME)
        .open(path);
    let read = file.and_then(|file| std::os::unix::fs::FileExt::read_at(&file, &mut begin, 0));
    begin.truncate(read.unwrap_or(0));
    begin
}

/// What somebody has touched there since [`tree`] gave `before`; `None` if nothing.
pub fn touched(path: &Path, before: &[String]) -> Option<String> {
    let after = tree(path);
    let only = |these: &[String], those: &[String], sign: &str| {
        let lines = these.iter().filter(|line| !those.contains(line));
        lines.fold(String::new(), |text, line| format!("{text}{sign} {line}\n"))
    };
    let difference = only(before, &after, "-") + &only(&after, before, "+");
    (!difference.is_empty()).then(|| format!("{} was touched:\n{difference}", path.display()))
}

/// Asserts that nobody has touched anything there since [`tree`] gave `before`.
#[track_caller]
pub fn assert_untouched(path: &Path, before: &[String]) {
    if let Some(difference) = touched(path, before) {
        panic!("{difference}");
    }
}

/// The nets of process trees in a directory, and everything else that is named like one.
pub fn private_nets(base: &Path) -> Vec<String> {
    let mut found = names(base);
    found.retain(|name| name.starts_with("memtun-"));
    found
}

/// The first page of a file, mapped as an attacker maps it.
pub struct Page(*mut libc::c_void);

// SAFETY: the memory behind it is used as atomics only.
unsafe impl Sync for Page {}

const PAGE: usize = 4096;

impl Page {
    /// Maps the first page of a file.
    pub fn of(path: &Path) -> Page {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // SAFETY: the mapping is fresh, and the file is not shortened while the test uses it.
        let base = unsafe {
            let both = libc::PROT_READ | libc::PROT_WRITE;
            let fd = file.as_raw_fd();
            libc::mmap(std::ptr::null_mut(), PAGE, both, libc::MAP_SHARED, fd, 0)
        };
        assert_ne!(base, libc::MAP_FAILED, "{}", path.display());
        Page(base)
    }

    /// A word of the page, at an offset in bytes.
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset < PAGE);
        // SAFETY: the word is aligned and within the mapping, which lives as long as the value;
        // anybody may write to it at any time.
        unsafe { &*self.0.byte_add(offset).cast() }
    }

    /// Wakes everybody who sleeps on a word.
    pub fn wake(&self, offset: usize) {
        let word: *const AtomicU32 = self.word(offset);
        // SAFETY: FUTEX_WAKE looks only at the address.
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, i32::MAX) };
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping is our own, and words were borrowed from this value.
        unsafe { libc::munmap(self.0, PAGE) };
    }
}

/// Makes a FIFO, which blocks a victim that opens it without looking.
pub fn make_fifo(path: &Path, uid: u32) {
    make_node(path, libc::S_IFIFO | 0o666, 0);
    give(path, uid);
}

/// Makes a device; what opening it does is up to its driver.
pub fn make_null_device(path: &Path) {
    make_node(path, libc::S_IFCHR | 0o666, libc::makedev(1, 3));
    set_mode(path, 0o666);
}

fn make_node(path: &Path, mode: u32, device: libc::dev_t) {
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("no NUL");
    // SAFETY: the name is a NUL-terminated string.
    let made = unsafe { libc::mknod(name.as_ptr(), mode, device) };
    assert_eq!(
        made,
        0,
        "{}: {}",
        path.display(),
        io::Error::last_os_error()
    );
    give(path, ROOT);
}
