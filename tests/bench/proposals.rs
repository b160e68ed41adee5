//! Committed proposals per second in one thread, and how the cost grows with the log and the store.
//!
//! A healthy cluster of three in memory: one entry per proposal, 128-byte values, at most 64 outstanding,
//! every message encoded and decoded, every write synced and acknowledged by its receipt, every entry
//! applied on every replica. Each row fills a cluster with N keys in N entries and then measures
//! N overwrites of random keys, so that the growth of log and store is in the figure. `cargo bench --bench proposals` prints the table; figures are kept in
//! `docs/performance.md`.

use std::time::{Duration, Instant};

use dkv::cluster::random::Random;
use dkv::cluster::{Cluster, Options, Outcome};
use dkv::codec::to_bytes;
use dkv::kv::{Command, Op, Put, Store};
use dkv::raft::{Bytes, NodeId};

const OUTSTANDING: usize = 64;
const VALUE_BYTES: usize = 128;
const MEASURED: u64 = 100_000;

fn command(key: u64) -> Bytes {
    let put = Put::new(format!("key-{key:09}").as_str(), &[0x5A; VALUE_BYTES][..]);
    Bytes::from(to_bytes(&Command::new(Op::Put(put))))
}

/// Proposes the commands in order, at most 64 outstanding, and checks that each one committed.
fn propose(cluster: &mut Cluster<Store>, commands: impl Iterator<Item = Bytes>) -> u64 {
    let mut committed = 0;
    let mut commands = commands.peekable();
    let mut waiting = Vec::with_capacity(OUTSTANDING);
    while commands.peek().is_some() {
        waiting.extend(commands.by_ref().take(OUTSTANDING).map(|command| cluster.submit(NodeId(0), command)));
        cluster.deliver();
        for request in waiting.drain(..) {
            let outcome = cluster.take_outcome(request);
            assert!(matches!(outcome, Some(Outcome::Applied { .. })), "{outcome:?}");
            committed += 1;
        }
    }
    committed
}

fn measure(count: u64, checks: bool) -> Duration {
    let rounds = MEASURED.div_ceil(count);
    let measured = count;
    let mut total = Duration::ZERO;
    for round in 0..rounds {
        let options = Options { checks, seed: round, ..Options::default() };
        let mut cluster = Cluster::<Store>::with_options(3, options);
        propose(&mut cluster, (0..count).map(command));
        let mut random = Random::new(round);
        let commands: Vec<Bytes> = (0..measured).map(|_| command(random.below(count))).collect();
        let start = Instant::now();
        let committed = propose(&mut cluster, commands.into_iter());
        total += start.elapsed();
        assert_eq!(committed, measured);
        assert_eq!(cluster.ledger().last().index.0, if checks { count + measured } else { 0 });
    }
    total / u32::try_from(rounds * measured).expect("a small number")
}

fn main() {
    println!(
        "{:>10} {:>14} {:>12} {:>10} {:>16}",
        "keys", "proposals/s", "ns/proposal", "ratio", "with checks, ns"
    );
    let mut first = None;
    let largest = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(6);
    for exponent in 3..=largest {
        let count = 10_u64.pow(exponent);
        let cost = measure(count, false);
        let checked = measure(count, true);
        let base = *first.get_or_insert(cost);
        println!(
            "{count:>10} {:>14.0} {:>12} {:>10.2} {:>16}",
            1.0 / cost.as_secs_f64(),
            cost.as_nanos(),
            cost.as_secs_f64() / base.as_secs_f64(),
            checked.as_nanos(),
        );
    }
}
