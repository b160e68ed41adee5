//! How clients' requests are numbered: the number says what was asked, so no state has to remember it.
//!
//! Every request of a run has a number of its own, across crashes too. Left out: that numbers rise over
//! time, which replicas need only to forget old ones after thousands.

use dkv::raft::{NodeId, RequestId};

/// Attempts are this far apart, so there are fewer proposals; and fewer members.
const ATTEMPT: u64 = 0x10;
const READ: u64 = 0x1000;
const CHANGE: u64 = 0x2000;
const TRANSFER: u64 = 0x3000;

/// The `attempt`-th attempt, from 0, at the `number`-th proposal, from 1.
#[must_use]
pub fn proposal(number: u8, attempt: u8) -> RequestId {
    assert!(u64::from(number) < ATTEMPT && number > 0, "proposals are few and counted from 1");
    RequestId(u64::from(attempt) * ATTEMPT + u64::from(number))
}

/// Which proposal a request is an attempt at.
#[must_use]
pub fn proposal_of(request: RequestId) -> Option<usize> {
    (request.0 < READ).then(|| usize::try_from(request.0 % ATTEMPT).expect("a small number"))
}

/// The `number`-th read, from 0.
#[must_use]
pub fn read(number: u8) -> RequestId {
    RequestId(READ + u64::from(number))
}

/// Which read a request is.
#[must_use]
pub fn read_of(request: RequestId) -> Option<usize> {
    (READ..CHANGE).contains(&request.0).then(|| usize::try_from(request.0 - READ).expect("a small number"))
}

/// The `number`-th change of members, from 0.
#[must_use]
pub fn change(number: u8) -> RequestId {
    RequestId(CHANGE + u64::from(number))
}

/// Which change of members a request is.
#[must_use]
pub fn change_of(request: RequestId) -> Option<usize> {
    (CHANGE..TRANSFER)
        .contains(&request.0)
        .then(|| usize::try_from(request.0 - CHANGE).expect("a small number"))
}

/// The `number`-th transfer, from 0, to this member.
#[must_use]
pub fn transfer(number: u8, to: NodeId) -> RequestId {
    assert!(to.0 < ATTEMPT, "members are few");
    RequestId(TRANSFER + u64::from(number) * ATTEMPT + to.0)
}

/// To whom a transfer was asked for.
#[must_use]
pub fn transferee_of(request: RequestId) -> Option<NodeId> {
    (request.0 >= TRANSFER).then_some(NodeId(request.0 % ATTEMPT))
}
