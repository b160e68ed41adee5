//! One test per sentence of the Raft paper and dissertation that the core implements.
//!
//! Each test is named after what the sentence says and gives its section (§ alone is the paper, "diss. §"
//! the dissertation). The tests drive nodes through their one mutator, mostly a single node against
//! hand-written messages, so that a failure points at a sentence and not at a schedule. `transitions` is
//! the whole reaction of a node to every kind of message, as a table that is reviewed when it changes.
//!
//! Not covered here: the search for schedules in which sentences interact (simulation and models), and
//! real disks.

mod durability;
mod election;
mod kit;
mod membership;
mod prevention;
mod reads;
mod replication;
mod snapshot;
mod transitions;
