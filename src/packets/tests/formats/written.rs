//! What is written can be read again.

use super::frames;
use memtun_packets::pcapng::{Packet, Writer};
use memtun_packets::LinkType;

#[test]
fn what_is_written_is_read_again() {
    let mut bytes = Vec::new();
    let mut file = Writer::new(&mut bytes).unwrap();
    let tun = file.interface("tun0", LinkType::RAW, None).unwrap();
    let tap = file
        .interface("tap0", LinkType::ETHERNET, Some([2, 0, 0, 0, 0, 1]))
        .unwrap();
    let time_ns = 1_700_000_000_123_456_789;
    for (interface, inbound) in [(tun, true), (tap, false)] {
        file.packet(&Packet {
            interface,
            time_ns,
            inbound,
            comment: None,
            data: &[0x45, 1, 2, 3, 4],
        })
        .unwrap();
    }
    file.statistics(tun, time_ns, 1, Some(0)).unwrap();
    let found = frames(&bytes).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].interface.as_deref(), Some("tun0"));
    assert_eq!(found[0].time_ns, Some(i128::from(time_ns)));
    assert_eq!(
        found.iter().map(|f| f.sent_by_program).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(
        found.iter().map(|f| f.link).collect::<Vec<_>>(),
        [LinkType::RAW, LinkType::ETHERNET]
    );
    assert_eq!(found[1].data, [0x45, 1, 2, 3, 4]);
}
