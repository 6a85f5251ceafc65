//! The settings under /proc/sys/net on which addresses and routes depend.
#![forbid(unsafe_code)]

use crate::World;
use memtun_stack::state::Sysctl;

/// Makes the path of a setting of a link, as [`Sysctl::path`] has it: `ipv4/conf/#3/rp_filter`.
pub fn path(family: &str, table: &str, link: Option<u32>, name: &str) -> Vec<u8> {
    match link {
        Some(index) => format!("{family}/{table}/#{index}/{name}").into_bytes(),
        None => format!("{family}/{table}/all/{name}").into_bytes(),
    }
}

impl World<'_> {
    /// Returns the number that a setting was set to in the net.
    pub fn setting(&self, path: &[u8]) -> Option<i64> {
        let set = self.state.sysctls.iter().find(|s| s.path == path)?;
        std::str::from_utf8(&set.value).ok()?.trim().parse().ok()
    }

    /// Sets a setting.
    pub fn set(&mut self, path: Vec<u8>, value: Vec<u8>) {
        match self.state.sysctls.iter_mut().find(|s| s.path == path) {
            Some(set) => set.value = value,
            None => self.state.sysctls.push(Sysctl { path, value }),
        }
    }

    /// Returns the larger of a setting of a link, which is that of new ones where it has none of
    /// its own, and that of all links, 0 where nothing was set.
    pub fn setting_of(&self, family: &str, index: u32, name: &str) -> i64 {
        let link = self.setting(&path(family, "conf", Some(index), name));
        let default = || self.setting(format!("{family}/conf/default/{name}").as_bytes());
        let all = self.setting(&path(family, "conf", None, name));
        link.or_else(default).unwrap_or(0).max(all.unwrap_or(0))
    }

    /// Returns a setting of a link that stands for itself: that of all links and that of new ones
    /// count only where it was never set.
    pub fn own_setting_of(&self, family: &str, index: u32, name: &str) -> i64 {
        let link = self.setting(&path(family, "conf", Some(index), name));
        let default = format!("{family}/conf/default/{name}");
        link.or_else(|| self.setting(default.as_bytes()))
            .or_else(|| self.setting(&path(family, "conf", None, name)))
            .unwrap_or(0)
    }

    /// Forgets what does not outlive a change of a link's mtu: IPv6's own mtu follows it.
    pub fn forget_mtu(&mut self, index: u32) {
        let own = path("ipv6", "conf", Some(index), "mtu");
        self.state.sysctls.retain(|set| set.path != own);
    }

    /// Forgets the settings of one link in these directories.
    pub fn forget_settings(&mut self, directories: &[&str], index: u32) {
        let of = |path: &[u8]| {
            let mut beginnings = directories.iter().map(|d| format!("{d}/#{index}/"));
            beginnings.any(|beginning| path.starts_with(beginning.as_bytes()))
        };
        self.state.sysctls.retain(|set| !of(&set.path));
    }
}
