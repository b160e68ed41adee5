//! What clients ask of a cluster, attempt by attempt, and what becomes of it.

use alloc::vec::Vec;

use super::action::ClientNumber;
use super::client::{self, Client, Current, Session, What};
use super::coverage::Shape;
use super::history::{Call, Operation};
use super::world::{StoreOf, World};
use crate::cluster::{Outcome, Policies};
use crate::codec::to_bytes;
use crate::kv::{self, Command, Op};
use crate::raft::invariants::Verdict;
use crate::raft::{Bytes, NodeId, RequestId};
use crate::replica::Failure;

/// An attempt at an operation that may still be answered.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    client: ClientNumber,
    /// Tells whether the client still waits for it.
    operation: u64,
    /// The bytes that were submitted, and the number under which they are done once; nothing for a read.
    command: Option<(Bytes, Option<kv::SessionTag>)>,
    /// Whether the member that was asked led when it was asked.
    at_leader: bool,
}

impl<P: Policies, K: kv::Rules> World<P, K>
where
    StoreOf<K>: Default,
{
    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    pub(super) fn open_session(&mut self, number: ClientNumber, at: NodeId) -> bool {
        let Some(client) = self.clients.get_mut(usize::from(number)) else { return false };
        if client.current.is_some() || client.session != Session::None {
            return false;
        }
        client.session = Session::Opening;
        let command = Bytes::from(to_bytes(&Command::new(Op::OpenSession)));
        // A second session does no harm, but an operation of unknown outcome is not repeated.
        let what = What::Write { command, tag: None };
        self.begin(number, at, None, what);
        true
    }

    pub(super) fn call(&mut self, number: ClientNumber, at: NodeId, call: &Call) -> bool {
        let Some(client) = self.clients.get_mut(usize::from(number)) else { return false };
        if client.current.is_some() {
            return false;
        }
        let what = match call {
            Call::Read(keys) => What::Read(keys.clone()),
            Call::Write { compares, then, otherwise } => {
                let op = client::operation(compares, then, otherwise);
                let tag = match client.session {
                    Session::Open(client_id) => {
                        client.sequence += 1;
                        Some(kv::SessionTag { client: client_id, sequence: client.sequence })
                    }
                    Session::None | Session::Opening => None,
                };
                What::Write { command: Bytes::from(to_bytes(&Command { session: tag, op })), tag }
            }
        };
        let invoked = self.tick();
        self.history.push(Operation { call: call.clone(), invoked, returned: None });
        self.work.operations += 1;
        self.begin(number, at, Some(self.history.len() - 1), what);
        true
    }

    fn begin(&mut self, number: ClientNumber, at: NodeId, place: Option<usize>, what: What) {
        self.operations += 1;
        let current =
            Current { number: self.operations, place, what, attempts: Vec::new(), is_unsure: false };
        self.clients[usize::from(number)].current = Some(current);
        self.attempt(number, at);
    }

    fn attempt(&mut self, number: ClientNumber, at: NodeId) {
        let Some(current) = &mut self.clients[usize::from(number)].current else { return };
        let at_leader = self.cluster.replica(at).is_some_and(|replica| replica.node().is_leader());
        let (request, command) = match &current.what {
            What::Read(keys) => (self.cluster.submit_read(at, client::range(keys)), None),
            What::Write { command, tag } => {
                self.oracle.submitted(command, tag.is_some());
                (self.cluster.submit(at, command.clone()), Some((command.clone(), *tag)))
            }
        };
        current.attempts.push((request, at));
        let attempt = Attempt { client: number, operation: current.number, command, at_leader };
        self.attempts.insert(request, attempt);
    }

    pub(super) fn retry(&mut self, number: ClientNumber, at: NodeId) -> bool {
        let Some(client) = self.clients.get(usize::from(number)) else { return false };
        let may_retry = client.current.as_ref().is_some_and(Current::may_retry);
        if may_retry {
            self.attempt(number, at);
        }
        may_retry
    }

    pub(super) fn give_up(&mut self, number: ClientNumber) -> bool {
        let Some(client) = self.clients.get_mut(usize::from(number)) else { return false };
        let mut attempts = core::mem::take(&mut client.surplus);
        attempts.extend(client.current.iter().flat_map(|current| &current.attempts));
        for (request, at) in &attempts {
            self.cluster.cancel(*at, *request);
        }
        !attempts.is_empty()
    }

    pub(super) fn replace(&mut self, number: ClientNumber) -> bool {
        let was_given_up = self.give_up(number);
        let Some(client) = self.clients.get_mut(usize::from(number)) else { return false };
        *client = Client::new();
        self.at_leisure.push(number);
        was_given_up
    }

    pub(super) fn take_outcome(&mut self, request: RequestId, outcome: Outcome<StoreOf<K>>) -> Verdict {
        let Some(attempt) = self.attempts.remove(&request) else {
            self.operator_requests.retain(|(asked, _)| *asked != request);
            if outcome == Outcome::Transferred {
                self.coverage.shape(Shape::TransferCompleted);
            }
            return Ok(());
        };
        match (&attempt.command, &outcome) {
            (Some((command, tag)), Outcome::Applied { id, response }) => {
                self.oracle.answered(command, *id, response)?;
                if let Some(tag) = tag
                    && !matches!(response.outcome, kv::Outcome::Refused(_))
                {
                    self.oracle.took_effect(*tag, response.revision)?;
                }
            }
            (Some((command, _)), Outcome::Failed(Failure::Refused(_) | Failure::Lost)) => {
                self.oracle.denied(command)?;
                if outcome == Outcome::Failed(Failure::Lost) {
                    self.coverage.shape(Shape::WriteLost);
                }
            }
            (None, Outcome::Failed(Failure::Refused(_))) if attempt.at_leader => {
                self.coverage.shape(Shape::StaleReadRefused);
            }
            _ => {}
        }
        let client = &mut self.clients[usize::from(attempt.client)];
        client.surplus.retain(|(asked, _)| *asked != request);
        if client.current.as_ref().is_some_and(|current| current.number == attempt.operation) {
            self.inform(attempt.client, request, outcome);
        }
        Ok(())
    }

    /// Tells a client that still waits for it.
    fn inform(&mut self, number: ClientNumber, request: RequestId, outcome: Outcome<StoreOf<K>>) {
        let returned = self.tick();
        self.at_leisure.push(number);
        let client = &mut self.clients[usize::from(number)];
        let Some(mut current) = client.current.take() else { return };
        current.attempts.retain(|(asked, _)| *asked != request);
        let answer = match (outcome, &current.what) {
            (Outcome::Applied { response, .. }, What::Write { .. }) => {
                match response.outcome {
                    kv::Outcome::SessionOpened { client: id } => {
                        client.session = Session::Open(id);
                        client.sequence = 0;
                    }
                    // Whether an earlier attempt took effect is unknown.
                    kv::Outcome::Refused(refusal) => {
                        client.session = Session::None;
                        if refusal == kv::Refusal::SessionExpired {
                            self.coverage.shape(Shape::SessionExpired);
                        }
                    }
                    _ => {}
                }
                let call = current.place.map(|place| &self.history[place].call);
                call.and_then(|call| client::write_return(call, &response))
            }
            (Outcome::Read(Ok(range)), What::Read(keys)) => Some(client::read_return(keys, &range)),
            (Outcome::Failed(failure), _) => {
                current.is_unsure |= failure == Failure::Unknown;
                let is_over = !current.may_retry() && current.attempts.is_empty();
                if !is_over {
                    client.current = Some(current);
                } else if current.place.is_none() {
                    client.session = Session::None;
                }
                return;
            }
            _ => None,
        };
        client.surplus.extend(current.attempts);
        if let (Some(place), Some(answer)) = (current.place, answer) {
            self.work.answered += 1;
            self.work.reads += u64::from(answer.revision.is_none());
            self.history[place].returned = Some((returned, answer));
        }
    }
}
