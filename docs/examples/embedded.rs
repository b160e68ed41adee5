//! The library embedded: a cluster of three with a state machine of your own, a partition, a heal.
//! `cargo run --example embedded`

use dkv::cluster::{Cluster, Outcome};
use dkv::codec::{DecodeError, from_bytes, to_bytes};
use dkv::raft::{EntryId, NodeId};
use dkv::replica::StateMachine;

/// A replicated counter. Its commands are numbers to add, its responses the sum so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Counter(EntryId, u64);

impl StateMachine for Counter {
    type Command = u8;
    type Response = u64;
    type Query = ();
    type View = u64;
    type Fault = DecodeError;

    fn apply(&mut self, id: EntryId, add: &u8) -> Result<u64, DecodeError> {
        *self = Counter(id, self.1 + u64::from(*add));
        Ok(self.1)
    }
    fn skip(&mut self, id: EntryId) -> Result<(), DecodeError> {
        self.0 = id;
        Ok(())
    }
    fn applied(&self) -> EntryId {
        self.0
    }
    fn query(&self, (): &()) -> u64 {
        self.1
    }
    fn snapshot(&self) -> Result<Vec<u8>, DecodeError> {
        Ok([to_bytes(&self.0), to_bytes(&self.1)].concat())
    }
    fn restore(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let (id, sum) = bytes.split_at_checked(16).ok_or(DecodeError::new(0, "too short"))?;
        *self = Counter(from_bytes(id)?, from_bytes(sum)?);
        Ok(())
    }
}

fn main() {
    let mut cluster = Cluster::<Counter>::new(3);
    cluster.partition([NodeId(2)]); // two of three go on
    let request = cluster.propose(40);
    assert!(matches!(cluster.take_outcome(request), Some(Outcome::Applied { response: 40, .. })));
    assert_eq!(cluster.members()[&NodeId(2)].machine().1, 0); // the third starves

    cluster.heal();
    let request = cluster.propose(2);
    let outcome = cluster.take_outcome(request).expect("a healthy cluster answers");
    cluster.stabilize();
    cluster.check_convergence().expect("healed replicas converge");
    println!("{outcome:?} on {} replicas", cluster.members().len());
}
