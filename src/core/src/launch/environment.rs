//! The environment of a program that is to run under the library.
#![forbid(unsafe_code)]

use super::preload::{self, PRELOAD};
use crate::{Error, Net, Result};
use memtun_kernel::settings::{
    self, Place, BELL, DEVICES, DEVICE_REMEDY, LINK, NET, OWNER, PLACE, TREE,
};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A program and its net, from which the program's environment is composed.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'a> {
    /// The net that the program is to join.
    pub net: &'a Net,
    /// Path of the library, as [`find_library`](super::find_library) gives it.
    pub library: &'a Path,
    /// Names of the sanitizers' runtimes that the program is linked with.
    pub runtimes: &'a [String],
    /// What `LD_PRELOAD` would be without the library.
    pub preloaded: &'a OsStr,
    /// Are bells exact? With `None` the program inherits the setting of this process.
    pub exact_bell: Option<bool>,
    /// Is a new interface up? With `None` the program inherits the setting of this process.
    pub link_up: Option<bool>,
}

impl Environment<'_> {
    /// The variables to set, with their values. An empty value takes back what is said of another
    /// net. It has to be set where the program would inherit a value; removing the variable is not
    /// enough, since a library around this process would put it back.
    ///
    /// # Errors
    /// - ENOENT: the net's path is not absolute, and there is no working directory.
    pub fn variables(&self) -> Result<Vec<(&'static str, OsString)>> {
        // The path is made absolute, because the program may go to another directory.
        let dir = std::path::absolute(self.net.path()).map_err(|e| {
            let errno = e.raw_os_error().unwrap_or(libc::EINVAL);
            Error::new(errno, format!("net {}: {e}", self.net.path().display()))
        })?;
        let owner = self.net.owner().map(|uid| uid.to_string());
        let mut variables = vec![
            (PRELOAD, self.preload()),
            (OWNER, owner.unwrap_or_default().into()),
        ];
        // The place of the directory has no meaning when the path leads nowhere any more.
        if let Ok(meta) = std::fs::metadata(&dir) {
            let place = Place {
                device: meta.dev(),
                inode: meta.ino(),
                path: dir.as_os_str().as_bytes(),
            };
            variables.push((PLACE, OsString::from_vec(place.written())));
        }
        if self.net.is_private() {
            // A process that outlives the net and opens the device then makes a new net, which must
            // be removed with its last member as well.
            variables.push((TREE, dir.clone().into()));
        }
        if let Some(up) = self.link_up {
            variables.push((LINK, settings::link_word(up).into()));
        }
        if let Some(exact) = self.exact_bell {
            variables.push((BELL, settings::bell_word(exact).into()));
        }
        variables.push((NET, dir.into()));
        Ok(variables)
    }

    fn preload(&self) -> OsString {
        preload_list(self.runtimes, self.library, self.preloaded)
    }
}

/// A list of preloaded libraries with this library in front, named once. Only sanitizers' runtimes
/// come before it, because they accept no other place.
pub fn preload_list(runtimes: &[String], library: &Path, list: &OsStr) -> OsString {
    let runtimes = runtimes.iter().map(|name| name.as_bytes());
    let library = library.as_os_str().as_bytes();
    let entries = preload::in_order(list.as_bytes(), library, runtimes);
    OsString::from_vec(entries.collect::<Vec<_>>().join(&b':'))
}

/// The variable, with its value, that names special devices in place of /dev/net/tun.
///
/// # Errors
/// - EINVAL: a path is not absolute, or has `..` or `:` in it.
pub fn devices<P: AsRef<Path>>(
    paths: impl IntoIterator<Item = P>,
) -> Result<(&'static str, OsString)> {
    let mut list = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let bytes = path.as_os_str().as_bytes();
        if settings::device(bytes).is_none() {
            let text = format!("special device {path:?}: {DEVICE_REMEDY}");
            return Err(Error::new(libc::EINVAL, text));
        }
        list.push(bytes.to_vec());
    }
    Ok((DEVICES, OsString::from_vec(list.join(&b':'))))
}
