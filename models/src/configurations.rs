//! The named configurations: what may happen how often, and why each exists.

use dkv::raft::Limits;

/// When a write is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskSync {
    /// Within the step that asked for it.
    Instant,
    /// When an action says so, any number of the oldest writes at a time.
    Explicit,
}

/// How often something may happen in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// Proposals by clients.
    pub proposals: u8,
    /// Partitions of one replica from all others.
    pub partitions: u8,
    /// Cuts of one direction.
    pub cuts: u8,
    /// Heartbeats started by a leader's timer.
    pub heartbeats: u8,
}

/// A named, bounded world around the shipped code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Its name.
    pub name: &'static str,
    /// Why it exists.
    pub reason: &'static str,
    /// How many replicas.
    pub replicas: u8,
    /// When writes are durable.
    pub sync: DiskSync,
    /// Clients may ask any replica, which forwards to the leader; otherwise only the leader.
    pub propose_anywhere: bool,
    /// What may happen how often.
    pub budgets: Budgets,
    /// The limits of the replicas.
    pub limits: Limits,
    /// Convergence is judged from every healed and quiet state, and from one of this many others; 0 judges none.
    pub converge_every: u64,
}

impl Configuration {
    fn base(name: &'static str, reason: &'static str) -> Configuration {
        Configuration {
            name,
            reason,
            replicas: 3,
            sync: DiskSync::Instant,
            propose_anywhere: false,
            budgets: Budgets::default(),
            limits: Limits::default(),
            converge_every: 256,
        }
    }
}

/// Every configuration, smallest first.
#[must_use]
pub fn all() -> Vec<Configuration> {
    let base = Configuration::base;
    vec![
        Configuration {
            budgets: Budgets { proposals: 2, partitions: 1, cuts: 0, heartbeats: 1 },
            converge_every: 1,
            ..base("quick", "propose, partition, heal in seconds; convergence from every state")
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Budgets { proposals: 1, partitions: 1, cuts: 0, heartbeats: 1 },
            converge_every: 1,
            ..base("quick-disk", "the same with disks that take their time")
        },
        Configuration {
            budgets: Budgets { proposals: 2, partitions: 2, cuts: 0, heartbeats: 2 },
            ..base("replication", "partitions that overlap, follow each other, and lose answers")
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Budgets { proposals: 2, partitions: 1, cuts: 0, heartbeats: 1 },
            ..base("disk", "acknowledgement and commit against every order of disk completions")
        },
        Configuration {
            budgets: Budgets { proposals: 2, partitions: 0, cuts: 2, heartbeats: 2 },
            ..base("one-way", "links that fail in one direction: heard and not hearing")
        },
        Configuration {
            propose_anywhere: true,
            budgets: Budgets { proposals: 2, partitions: 1, cuts: 0, heartbeats: 1 },
            ..base("forwarding", "clients at followers: forwarded requests and answers that get lost")
        },
        Configuration {
            replicas: 4,
            sync: DiskSync::Explicit,
            budgets: Budgets { proposals: 1, partitions: 1, cuts: 0, heartbeats: 1 },
            ..base("four", "an even number of voters: half is not a majority")
        },
    ]
}

/// The configuration of a name.
#[must_use]
pub fn named(name: &str) -> Option<Configuration> {
    all().into_iter().find(|configuration| configuration.name == name)
}
