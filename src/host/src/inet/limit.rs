//! How many errors are sent: `icmp_global_allow`, `inet_peer_xrlim_allow`.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Most hosts of which the last errors are remembered.
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

    /// May this host get an error now? `time` is the time for each.
    pub fn allows_for(&mut self, host: IpAddr, time: Duration, now: Duration) -> bool {
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
        let full = each.saturating_mul(BURST);
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
