//! Which member of a group the flows of a bucket have (`nh_res_table_upkeep`).
#![forbid(unsafe_code)]

use std::collections::VecDeque;

/// Gives each bucket a member so that their numbers follow from the weights
/// (`nh_res_group_rebalance`). As nothing is sent by a bucket, each one that its member has too
/// many of goes to another at once.
pub(super) fn balance(buckets: &mut [u32], members: &[(u32, u16)]) {
    let total: u64 = members.iter().map(|member| u64::from(member.1)).sum();
    let place = |id: u32| members.iter().position(|member| member.0 == id);
    let mut counts = vec![0u64; members.len()];
    for at in buckets.iter().filter_map(|id| place(*id)) {
        counts[at] += 1;
    }
    let (mut weight, mut before) = (0, 0);
    let (mut wants, mut lacking) = (Vec::new(), VecDeque::new());
    for (at, member) in members.iter().enumerate() {
        weight += u64::from(member.1);
        let bound = (buckets.len() as u64 * weight + total / 2) / total.max(1);
        wants.push(bound - before);
        before = bound;
        if counts[at] < wants[at] {
            lacking.push_front(at);
        }
    }
    for bucket in buckets {
        let now = place(*bucket);
        if now.is_some_and(|at| counts[at] <= wants[at]) {
            continue;
        }
        let Some(next) = lacking.front().copied() else {
            continue;
        };
        if let Some(at) = now {
            counts[at] -= 1;
        }
        *bucket = members[next].0;
        counts[next] += 1;
        if counts[next] == wants[next] {
            lacking.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_the_weights() {
        let mut buckets = [0; 8];
        balance(&mut buckets, &[(5, 1), (2, 1)]);
        assert_eq!(buckets, [2, 2, 2, 2, 5, 5, 5, 5]);
        balance(&mut buckets, &[(5, 3), (2, 1)]);
        assert_eq!(buckets, [5, 5, 2, 2, 5, 5, 5, 5]);
        balance(&mut buckets, &[(2, 1)]);
        assert_eq!(buckets, [2; 8]);
        balance(&mut buckets, &[(7, 2), (8, 1)]);
        assert_eq!(buckets, [8, 8, 8, 7, 7, 7, 7, 7]);
    }
}
