//! The JSON record of an interface and of a tunnel. The command, C and Python share this one form;
//! members are only ever added to it.
#![forbid(unsafe_code)]

use super::info::{InterfaceInfo, ReceiveCounters, TransmitCounters, TunnelInfo};
use crate::driver::host::Address;
use serde::{Serialize, Serializer};

#[derive(Serialize)]
struct InterfaceRecord<'a> {
    name: String,
    index: u32,
    kind: &'static str,
    state: &'static str,
    flags: Vec<&'static str>,
    carrier: bool,
    mtu: u32,
    txqueuelen: u32,
    mac: Option<String>,
    addresses: &'a [Address],
    owner: Option<u32>,
    group: Option<u32>,
    persistent: bool,
    pi: bool,
    vnet_hdr: bool,
    multi_queue: bool,
    queued: u64,
    rx: ReceiveCounters,
    tx: TransmitCounters,
    capture_refused: u64,
    tunnels: &'a [TunnelInfo],
}

impl Serialize for InterfaceInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = InterfaceRecord {
            name: self.name.to_string(),
            index: self.index,
            kind: self.kind(),
            state: self.state(),
            flags: self.flag_names(),
            carrier: self.carrier,
            mtu: self.mtu,
            txqueuelen: self.txqueuelen,
            mac: self.mac_text(),
            addresses: &self.addresses,
            owner: self.owner,
            group: self.group,
            persistent: self.is_persistent(),
            pi: self.has_packet_information(),
            vnet_hdr: self.has_vnet_header(),
            multi_queue: self.is_multi_queue(),
            queued: self.queued(),
            rx: self.rx,
            tx: self.tx,
            capture_refused: self.capture_refused,
            tunnels: &self.tunnels,
        };
        record.serialize(serializer)
    }
}

#[derive(Serialize)]
struct TunnelRecord {
    id: u64,
    name: Option<String>,
    requested_name: Option<String>,
    mode: u32,
    open_flags: u32,
    blocking: bool,
    close_on_exec: bool,
    queued: u32,
}

impl Serialize for TunnelInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = TunnelRecord {
            id: self.id,
            name: self.name.map(|name| name.to_string()),
            requested_name: self.requested_name.map(|name| name.to_string()),
            mode: self.mode,
            open_flags: self.open_flags,
            blocking: self.blocking(),
            close_on_exec: self.close_on_exec(),
            queued: self.queued,
        };
        record.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn the_members_of_the_record() {
        let tunnel = TunnelInfo {
            id: 7,
            name: "tap0".parse().ok(),
            requested_name: "tap%d".parse().ok(),
            mode: 0x1002,
            open_flags: (libc::O_RDWR | libc::O_CLOEXEC) as u32,
            queued: 3,
        };
        let info = InterfaceInfo {
            name: "tap0".parse().expect("a name"),
            index: 1001,
            tap: true,
            flags: (libc::IFF_UP | libc::IFF_RUNNING | libc::IFF_BROADCAST) as u32,
            tun_flags: 0x1002 | memtun_abi::uapi::IFF_PERSIST,
            mtu: 1500,
            carrier: true,
            txqueuelen: 1000,
            owner: Some(5),
            group: None,
            mac: Some([2, 0, 0, 0, 0, 1]),
            addresses: vec!["10.0.0.1/24".parse().expect("an address")],
            rx: ReceiveCounters {
                packets: 1,
                bytes: 2,
                dropped: 3,
                frame_errors: 4,
            },
            tx: TransmitCounters {
                packets: 5,
                bytes: 6,
                dropped: 7,
            },
            capture_refused: 8,
            tunnels: vec![tunnel],
        };
        let expected = "{\"name\": \"tap0\", \"index\": 1001, \"kind\": \"tap\", \"state\": \"UP\", \
             \"flags\": [\"UP\", \"BROADCAST\", \"RUNNING\"], \"carrier\": true, \"mtu\": 1500, \"txqueuelen\": 1000, \
             \"mac\": \"02:00:00:00:00:01\", \"addresses\": [{\"local\": \"10.0.0.1\", \"prefixlen\": 24, \
             \"address\": null, \"broadcast\": null, \"label\": null, \"text\": \"10.0.0.1/24\"}], \"owner\": 5, \"group\": null, \"persistent\": true, \"pi\": false, \
             \"vnet_hdr\": false, \"multi_queue\": false, \"queued\": 3, \
             \"rx\": {\"packets\": 1, \"bytes\": 2, \"dropped\": 3, \"frame_errors\": 4}, \
             \"tx\": {\"packets\": 5, \"bytes\": 6, \"dropped\": 7}, \"capture_refused\": 8, \
             \"tunnels\": [{\"id\": 7, \"name\": \"tap0\", \"requested_name\": \"tap%d\", \"mode\": 4098, \
             \"open_flags\": OPEN, \"blocking\": true, \"close_on_exec\": true, \"queued\": 3}]}";
        let open = (libc::O_RDWR | libc::O_CLOEXEC).to_string();
        assert_eq!(json::line(&info), expected.replace("OPEN", &open));
    }
}
