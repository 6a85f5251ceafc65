//! Whether a silent peer is still there: who has nothing to say asks it from time to time.
#![forbid(unsafe_code)]

use std::time::Duration;

/// The times of one connection, as its program has set them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keepalive {
    idle: Duration,
    interval: Duration,
    count: u32,
    /// Probes since the peer was last heard, and when the last one left.
    probes: u32,
    probed: Duration,
}

/// What a turn brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Nothing,
    /// The peer is asked.
    Probe,
    /// The peer has not answered for too long.
    Over,
}

impl Keepalive {
    /// A peer that is silent so long is asked so often, with so much time between.
    pub(crate) fn new((idle, interval, count): (Duration, Duration, u32)) -> Keepalive {
        Keepalive {
            idle,
            interval,
            count,
            probes: 0,
            probed: Duration::ZERO,
        }
    }

    /// The peer was heard.
    pub(crate) fn hear(&mut self) {
        self.probes = 0;
    }

    /// When the next turn is, if the peer was heard last then.
    pub(crate) fn at(&self, heard: Duration) -> Duration {
        match self.probes {
            0 => heard + self.idle,
            _ => self.probed + self.interval,
        }
    }

    /// The turn at this time. `patience` is TCP_USER_TIMEOUT, which counts in place of the number
    /// of probes (tcp_keepalive_timer).
    pub(crate) fn turn(
        &mut self,
        heard: Duration,
        patience: Option<Duration>,
        now: Duration,
    ) -> Turn {
        if now < self.at(heard) {
            return Turn::Nothing;
        }
        let is_over = match patience {
            Some(patience) => self.probes > 0 && now.saturating_sub(heard) >= patience,
            None => self.probes >= self.count,
        };
        if is_over {
            return Turn::Over;
        }
        (self.probes, self.probed) = (self.probes + 1, now);
        Turn::Probe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_is_silent_is_asked_and_given_up() {
        let second = Duration::from_secs(1);
        let mut keepalive = Keepalive::new((second * 10, second * 2, 3));
        let mut turns = Vec::new();
        while turns.last().is_none_or(|&(_, turn)| turn != Turn::Over) {
            let now = keepalive.at(second);
            turns.push((now.as_secs(), keepalive.turn(second, None, now)));
        }
        assert_eq!(
            turns,
            [
                (11, Turn::Probe),
                (13, Turn::Probe),
                (15, Turn::Probe),
                (17, Turn::Over)
            ]
        );
        keepalive.hear();
        assert_eq!(keepalive.at(second * 17), second * 27);
        let impatient = Some(second * 3);
        assert_eq!(
            keepalive.turn(second * 17, impatient, second * 27),
            Turn::Probe,
            "nobody is given up who was not asked"
        );
        let next = keepalive.at(second * 17);
        assert_eq!(keepalive.turn(second * 17, impatient, next), Turn::Over);
    }
}
