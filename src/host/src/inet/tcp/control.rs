//! Which way of controlling congestion connections have: that of the net, if it has set one, else
//! the machine's, so that a net is as quick over a path that loses as the machine's own stack.
#![forbid(unsafe_code)]

use crate::inet::ground::Ground;
use crate::inet::output::Output;
use memtun_stack::state::State;
use memtun_tcp::Connection;

/// The setting, as the net's settings name it.
const PATH: &[u8] = b"ipv4/tcp_congestion_control";

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Control {
    machine: Option<Vec<u8>>,
    /// What the net said, and when.
    net: Option<(u64, bool)>,
}

impl Control {
    /// Gives a new connection its way of controlling congestion.
    pub(super) fn give(&mut self, connection: &mut Connection, out: &Output<'_, '_>) {
        if self.is_bbr(out.service.state(), out.service.generation()) {
            connection.use_bbr();
        }
    }

    fn is_bbr(&mut self, state: &State, generation: u64) -> bool {
        if let Some((_, bbr)) = self.net.filter(|&(of, _)| of == generation) {
            return bbr;
        }
        let machine = self.machine.get_or_insert_with(|| {
            let path = "/proc/sys/net/ipv4/tcp_congestion_control";
            std::fs::read(path).unwrap_or_default()
        });
        let set = state.sysctls.iter().find(|set| set.path == PATH);
        let name = set.map_or(machine.as_slice(), |set| set.value.as_slice());
        let bbr = name.trim_ascii() == b"bbr";
        self.net = Some((generation, bbr));
        bbr
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtun_stack::state::Sysctl;

    #[test]
    fn the_net_says_more_than_the_machine() {
        let mut control = Control {
            machine: Some(b"bbr\n".to_vec()),
            net: None,
        };
        let mut state = State::default();
        assert!(control.is_bbr(&state, 1));
        state.sysctls.push(Sysctl {
            path: PATH.to_vec(),
            value: b"cubic".to_vec(),
        });
        assert!(control.is_bbr(&state, 1), "it is asked once a generation");
        assert!(!control.is_bbr(&state, 2));
    }
}
