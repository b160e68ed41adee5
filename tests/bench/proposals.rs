//! Committed proposals per second in one thread, and how the cost grows with the log and the store.
//!
//! A healthy cluster of three in memory: one entry per proposal, 128-byte values, at most 64 outstanding,
//! every message encoded and decoded, every write synced and acknowledged by its receipt, every entry
//! applied on every replica. Each row first puts N new keys in scattered order into an empty cluster (N
//! keys, N entries), then overwrites N random ones (N keys, 2 N entries). Commands are made beforehand.
//! `cargo bench --bench proposals` prints the table, `-- 4` only up to 10⁴ keys, `-- 6 6` only 10⁶; figures are kept in
//! `docs/performance.md`.

use std::time::{Duration, Instant};

use dkv::cluster::random::Random;
use dkv::cluster::{Cluster, Options, Outcome};
use dkv::codec::to_bytes;
use dkv::kv::{Command, Op, Put, Store};
use dkv::raft::{Bytes, NodeId};

const OUTSTANDING: usize = 64;
const VALUE_BYTES: usize = 128;
const MEASURED: u64 = 200_000;

/// A prime, so that its multiples visit all of 10ⁿ keys.
const SCATTER: u64 = 7_919;

fn command(key: u64) -> Bytes {
    let put = Put::new(format!("key-{key:09}").as_str(), &[0x5A; VALUE_BYTES][..]);
    Bytes::from(to_bytes(&Command::new(Op::Put(put))))
}

/// Proposes the commands in order, at most 64 outstanding, and checks that each one committed.
fn propose(cluster: &mut Cluster<Store>, commands: Vec<Bytes>) -> Duration {
    let mut waiting = Vec::with_capacity(OUTSTANDING);
    let mut commands = commands.into_iter().peekable();
    let start = Instant::now();
    while commands.peek().is_some() {
        waiting.extend(commands.by_ref().take(OUTSTANDING).map(|command| cluster.submit(NodeId(0), command)));
        cluster.deliver();
        for request in waiting.drain(..) {
            let outcome = cluster.take_outcome(request);
            assert!(matches!(outcome, Some(Outcome::Applied { .. })), "{outcome:?}");
        }
    }
    start.elapsed()
}

/// The cost of one proposal, in nanoseconds: while filling, and while overwriting.
fn measure(count: u64, checks: bool) -> (f64, f64) {
    let rounds = MEASURED.div_ceil(count);
    let (mut filling, mut overwriting) = (Duration::ZERO, Duration::ZERO);
    for round in 0..rounds {
        let mut cluster =
            Cluster::<Store>::with_options(3, Options { checks, seed: round, ..Options::default() });
        filling += propose(&mut cluster, (0..count).map(|i| command(i * SCATTER % count)).collect());
        let mut random = Random::new(round);
        overwriting += propose(&mut cluster, (0..count).map(|_| command(random.below(count))).collect());
        let node = cluster.replica(NodeId(0)).expect("nothing crashes").node();
        assert_eq!(node.applied_index().0, 2 * count, "one entry per proposal");
    }
    let per_proposal = |total: Duration| total.as_secs_f64() * 1e9 / (rounds * count) as f64;
    (per_proposal(filling), per_proposal(overwriting))
}

fn main() {
    let exponents: Vec<u32> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (smallest, largest) = match exponents[..] {
        [] => (3, 6),
        [largest] => (3, largest),
        [smallest, largest, ..] => (smallest, largest),
    };
    println!("         |      new keys               |      overwrites             | with every check");
    println!("    keys | proposals/s      ns   ratio | proposals/s      ns   ratio |      ns      ns");
    let mut first = None;
    for exponent in smallest..=largest {
        let count = 10_u64.pow(exponent);
        let (fill, overwrite) = measure(count, false);
        let (checked_fill, checked_overwrite) = measure(count, true);
        let (base_fill, base_overwrite) = *first.get_or_insert((fill, overwrite));
        println!(
            "{count:>8} | {:>11.0} {fill:>7.0} {:>7.2} | {:>11.0} {overwrite:>7.0} {:>7.2} | {checked_fill:>7.0} {checked_overwrite:>7.0}",
            1e9 / fill,
            fill / base_fill,
            1e9 / overwrite,
            overwrite / base_overwrite,
        );
    }
}
