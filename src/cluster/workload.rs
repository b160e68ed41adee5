//! The workloads of the frozen exams: a seeded stream of operations, run through a real cluster.
//!
//! Four scenarios over two systems. `default` and `partition` run five replicas over string keys,
//! `normal` and `fault` three over integer keys. Each operation is a proposal that is replicated,
//! committed and applied; the fault windows are a real partition and a real crash with catch-up. The
//! generator is part of the format, see `docs/formats.md`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::{Cluster, Outcome, exams};
use crate::codec::to_bytes;
use crate::kv::{Command, Delete, KeyRange, Op, Put, Store};
use crate::raft::{Bytes, NodeId};

/// The exams' generator: SplitMix64 but for its first multiplier, which ends in `E7B5` where the
/// textbook's ends in `E5B9`. The deviation is part of the frozen format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generator {
    state: u64,
}

impl Generator {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Generator {
        Generator { state: seed }
    }

    /// The next word.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E7B5);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// What a workload does besides its operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// Five replicas, no faults.
    Default,
    /// Five replicas; two followers are cut off for the middle half.
    Partition,
    /// Three nodes, no faults.
    Normal,
    /// Three nodes; node 1 is down for the third quarter.
    Fault,
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Scenario, String> {
        match name {
            "default" => Ok(Scenario::Default),
            "partition" => Ok(Scenario::Partition),
            "normal" => Ok(Scenario::Normal),
            "fault" => Ok(Scenario::Fault),
            _ => Err(format!("unknown scenario {name:?}: expected default, partition, normal or fault")),
        }
    }
}

/// A workload, by everything that determines its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    /// The generator's first state.
    pub seed: u64,
    /// How many operations; at most [`OPS_MAX`].
    pub ops: u64,
    /// How many different keys may occur; at least 1.
    pub keys: u64,
    /// The system and its faults.
    pub scenario: Scenario,
}

/// The log length is 32 bits in the snapshot of the three-node system.
pub const OPS_MAX: u64 = u32::MAX as u64;

/// Why a workload has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadError {
    /// The workload is not one: too many operations, or no keys.
    Invalid(String),
    /// The cluster did not do what it must: a bug.
    Broken(String),
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkloadError::Invalid(reason) => f.write_str(reason),
            WorkloadError::Broken(reason) => write!(f, "the cluster broke a promise: {reason}"),
        }
    }
}

impl core::error::Error for WorkloadError {}

impl Workload {
    /// Runs the workload and returns the snapshot bytes that it leaves behind.
    ///
    /// # Errors
    /// The workload is invalid, or the cluster broke a promise.
    pub fn run(&self) -> Result<Vec<u8>, WorkloadError> {
        if self.keys == 0 {
            return Err(WorkloadError::Invalid("keys must be at least 1".into()));
        }
        if self.ops > OPS_MAX {
            return Err(WorkloadError::Invalid(format!("ops must be at most {OPS_MAX}")));
        }
        let mut cluster = Cluster::<Store>::new(match self.scenario {
            Scenario::Default | Scenario::Partition => 5,
            Scenario::Normal | Scenario::Fault => 3,
        });
        let mut generator = Generator::new(self.seed);
        for i in 0..self.ops {
            self.inject(i, &mut cluster);
            let command = self.operation(&mut generator);
            let request = cluster.propose(Bytes::from(to_bytes(&command)));
            match cluster.take_outcome(request) {
                Some(Outcome::Applied { id, .. }) if id.index.0 == i + 1 => {}
                other => return Err(WorkloadError::Broken(format!("operation {i} ended as {other:?}"))),
            }
        }
        // A window that the run ended in, or that had no room, closes here.
        cluster.restart(DOWN);
        cluster.heal();
        cluster.check_convergence().map_err(|violation| WorkloadError::Broken(format!("{violation}")))?;
        if let Some(violation) = cluster.violation() {
            return Err(WorkloadError::Broken(format!("{violation}")));
        }
        self.answer(&cluster)
    }

    fn inject(&self, i: u64, cluster: &mut Cluster<Store>) {
        let (quarter, half, three_quarters) = (self.ops / 4, self.ops / 2, self.ops * 3 / 4);
        match self.scenario {
            Scenario::Default | Scenario::Normal => {}
            Scenario::Partition => {
                if i == quarter {
                    cluster.partition(CUT_OFF);
                }
                if i == three_quarters {
                    cluster.heal();
                }
            }
            Scenario::Fault => {
                if i == half {
                    cluster.crash(DOWN);
                }
                if i == three_quarters {
                    cluster.restart(DOWN);
                    cluster.stabilize();
                }
            }
        }
    }

    /// The next operation; always draws three words.
    fn operation(&self, generator: &mut Generator) -> Command {
        let (r1, r2, r3) = (generator.next_u64(), generator.next_u64(), generator.next_u64());
        let (key, value) = match self.scenario {
            Scenario::Default | Scenario::Partition => {
                (Bytes::from(format!("k{}", r2 % self.keys).into_bytes()), r3 % 10_000)
            }
            Scenario::Normal | Scenario::Fault => {
                (exams::integer_key((r2 % self.keys).cast_signed()), r3 % 1000)
            }
        };
        match (r1 >> 62) & 3 {
            3 => Command::new(Op::Del(Delete::new(KeyRange::One(key)))),
            _ => Command::new(Op::Put(Put::new(key, &value.to_le_bytes()[..]))),
        }
    }

    fn answer(&self, cluster: &Cluster<Store>) -> Result<Vec<u8>, WorkloadError> {
        let broken = |reason: String| WorkloadError::Broken(reason);
        match self.scenario {
            Scenario::Default | Scenario::Partition => {
                let mut snapshots = cluster.members().values().map(exams::string_snapshot);
                let first = snapshots.next().unwrap_or(Err("no members".into())).map_err(broken)?;
                for (id, other) in snapshots.enumerate() {
                    if other.map_err(broken)? != first {
                        return Err(broken(format!("the snapshot of replica {} differs", id + 1)));
                    }
                }
                Ok(first)
            }
            Scenario::Normal | Scenario::Fault => {
                let mut bytes = Vec::new();
                for (id, member) in cluster.members() {
                    bytes.extend(exams::integer_snapshot(*id, member).map_err(broken)?);
                }
                Ok(bytes)
            }
        }
    }
}

/// Two followers of five.
const CUT_OFF: [NodeId; 2] = [NodeId(3), NodeId(4)];

/// A follower of three.
const DOWN: NodeId = NodeId(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_frozen_one() {
        assert_eq!(Generator::new(0).next_u64(), 0x8b57_dafc_a0ce_e644);
    }
}
