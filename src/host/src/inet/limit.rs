//! How many errors are sent: `icmp_global_allow`, `inet_peer_xrlim_allow`, and how often a sender
//! is told of a shorter way: `ip_rt_send_redirect`.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Most hosts that are remembered.
const MOST: usize = 1024;
/// How many errors one host may get at once.
const BURST: u64 = 6;

/// A bucket of tokens, each of which is worth a nanosecond.
#[derive(Clone, Copy, Default)]
struct Bucket {
    tokens: u64,
    since: Duration,
}

/// What was sent lately.
#[derive(Default)]
pub struct Limit {
    all: Option<Bucket>,
    hosts: HashMap<IpAddr, Bucket>,
}

impl Limit {
    /// May an error be sent now, as far as all hosts together are concerned? `rate` has the number
    /// in a second, and at once.
    pub fn allows(&mut self, rate: [u64; 2], now: Duration) -> bool {
        let [rate, burst] = rate;
        let each = 1_000_000_000_u64.checked_div(rate).unwrap_or(u64::MAX / 64);
        let full = each.saturating_mul(burst);
        let bucket = self.all.get_or_insert(Bucket {
            tokens: full,
            since: now,
        });
        take(bucket, each, full, now)
    }

    /// May this host hear now that no way leads on (`ip_error`)?
    pub fn allows_unreachable(&mut self, host: IpAddr, now: Duration) -> bool {
        /// ip_rt_error_cost, and how many of them ip_rt_error_burst is.
        const COST: (Duration, u64) = (Duration::from_secs(1), 5);
        self.takes(host, COST.0, COST.1, now)
    }

    /// May this host get an error now? `time` is the time for each.
    pub fn allows_for(&mut self, host: IpAddr, time: Duration, now: Duration) -> bool {
        self.takes(host, time, BURST, now)
    }

    fn takes(&mut self, host: IpAddr, time: Duration, burst: u64, now: Duration) -> bool {
        if time.is_zero() {
            return true;
        }
        if self.hosts.len() >= MOST && !self.hosts.contains_key(&host) {
            let all = BURST as u32 * time;
            self.hosts
                .retain(|_, bucket| now.saturating_sub(bucket.since) < all);
            if self.hosts.len() >= MOST {
                return false;
            }
        }
        let each = time.as_nanos() as u64;
        let full = each.saturating_mul(burst);
        // One that is new has all tokens, as the kernel's has, whose last time is long ago.
        let bucket = self.hosts.entry(host).or_insert(Bucket {
            tokens: full,
            since: now,
        });
        take(bucket, each, full, now)
    }
}

fn take(bucket: &mut Bucket, each: u64, full: u64, now: Duration) -> bool {
    let passed = now.saturating_sub(bucket.since).as_nanos() as u64;
    bucket.tokens = bucket.tokens.saturating_add(passed).min(full);
    bucket.since = now;
    let enough = bucket.tokens >= each;
    if enough {
        bucket.tokens -= each;
    }
    enough
}

/// How often a sender that does not listen is told (ip_rt_redirect_number).
const TIMES: u32 = 9;
/// The time between the first two, which doubles each time (ip_rt_redirect_load).
const PAUSE: Duration = Duration::from_millis(20);
/// After this time without any a sender is told anew (ip_rt_redirect_silence).
const SILENCE: Duration = Duration::from_millis(20 << 10);

/// How often each sender was told, and when it was told last.
#[derive(Default)]
pub struct Redirects(HashMap<IpAddr, (u32, Duration)>);

impl Redirects {
    /// May a sender be told now?
    pub(super) fn allows(&mut self, sender: IpAddr, now: Duration) -> bool {
        if self.0.len() >= MOST && !self.0.contains_key(&sender) {
            self.0.retain(|_, (_, last)| now < *last + SILENCE);
            if self.0.len() >= MOST {
                return false;
            }
        }
        let (times, last) = self.0.entry(sender).or_insert((0, now));
        if now > *last + SILENCE {
            *times = 0;
        }
        if *times >= TIMES {
            // It is silent for so long since the last packet that it was not told of.
            *last = now;
            return false;
        }
        let may = *times == 0 || now > *last + (PAUSE * (1 << *times));
        if may {
            (*times, *last) = (*times + 1, now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_host_gets_six_at_once_and_one_a_second() {
        let mut limit = Limit::default();
        let (host, mut now) = ("10.0.0.1".parse().unwrap(), Duration::from_secs(100));
        let mut sent = |now, count| {
            (0..count)
                .filter(|_| limit.allows_for(host, SECOND, now))
                .count()
        };
        assert_eq!(sent(now, 10), 6);
        now += SECOND;
        assert_eq!(sent(now, 10), 1);
        now += 3 * SECOND;
        assert_eq!(sent(now, 10), 3);
        now += 100 * SECOND;
        assert_eq!(sent(now, 10), 6);
    }

    #[test]
    fn a_sender_is_told_of_a_shorter_way_less_and_less_often() {
        let mut redirects = Redirects::default();
        let (host, mut now) = ("10.0.0.1".parse().unwrap(), Duration::from_secs(100));
        let mut told = 0;
        for _ in 0..30_000 {
            told += u32::from(redirects.allows(host, now));
            now += Duration::from_millis(1);
        }
        assert_eq!(told, TIMES);
        assert!(redirects.allows(host, now + SILENCE));
    }

    #[test]
    fn all_hosts_together_get_so_many() {
        let (mut limit, now) = (Limit::default(), Duration::from_secs(100));
        let sent = (0..100).filter(|_| limit.allows([1000, 50], now));
        assert_eq!(sent.count(), 50);
        assert!(limit.allows([1000, 50], now + SECOND));
        assert!(!limit.allows([0, 0], now + 2 * SECOND));
    }

    #[test]
    fn hosts_that_are_remembered_are_bounded() {
        let (mut limit, now) = (Limit::default(), Duration::from_secs(100));
        let host = |number: u32| IpAddr::V4((0x0a00_0000 + number).into());
        let sent = (0..5000).filter(|number| limit.allows_for(host(*number), SECOND, now));
        assert_eq!(sent.count(), MOST);
        assert!(limit.hosts.len() <= MOST);
        assert!(limit.allows_for(host(9999), SECOND, now + 7 * SECOND));
    }
}
