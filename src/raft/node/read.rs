//! Linearizable reads by ReadIndex, many per confirmation round. Dissertation §6.4.
//!
//! A leader answers a read with a commit index that it knows to be current: it must have committed in
//! its own term, and a quorum must confirm its leadership after the read arrived. Reads that arrive
//! while a round is under way wait for the next one, since the running round began before them.

use super::*;
use crate::raft::quorum::is_quorum;
use crate::raft::types::RequestId;

/// A leader's reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(in crate::raft) struct Reads {
    /// The number of the latest round. It moves only for a read.
    pub(super) round: u64,
    /// The commit index when that round began.
    index: Index,
    /// The reads that the round serves, with who asked; empty when no round is under way.
    open: Vec<(NodeId, RequestId)>,
    /// The reads for the next round.
    queued: Vec<(NodeId, RequestId)>,
}

impl Reads {
    pub(super) fn waiting(&self) -> usize {
        self.open.len() + self.queued.len()
    }
}

impl<C: Command, R: Rules> Node<C, R> {
    /// A read asked for by `from`, this node or another one.
    pub(super) fn handle_read(&mut self, from: NodeId, request: RequestId, ready: &mut Ready<C>) {
        let Role::Leader(leader) = &mut self.role else {
            // Forwarded once, never on and on.
            return match self.leader {
                Some(leader) if from == self.id => self.send(leader, Message::ReadIndex { request }, ready),
                hint => self.answer_read(from, request, Err(Refusal::NotLeader { hint }), ready),
            };
        };
        if leader.reads.waiting() >= self.limits.waiting_reads_max as usize {
            return self.answer_read(from, request, Err(Refusal::Busy), ready);
        }
        let joins = R::joins_round(!leader.reads.open.is_empty());
        let round = if joins { &mut leader.reads.open } else { &mut leader.reads.queued };
        round.push((from, request));
        if leader.first_own.is_none() {
            // The founding leader starts without an entry of its own.
            self.append_own([Payload::Noop], ready);
            self.broadcast_append(ready);
        }
        self.start_round(ready);
    }

    /// Opens a round for the queued reads, unless one is under way or the commit index is not known.
    pub(super) fn start_round(&mut self, ready: &mut Ready<C>) {
        let term = self.term();
        let commit_term = self.log.term_at(self.commit).expect("the log holds its commit point");
        let Role::Leader(leader) = &mut self.role else { return };
        let reads = &mut leader.reads;
        if !reads.open.is_empty() || reads.queued.is_empty() || !R::may_read(commit_term, term) {
            return;
        }
        reads.round += 1;
        reads.index = self.commit;
        reads.open = core::mem::take(&mut reads.queued);
        self.broadcast_heartbeat(ready);
        self.confirm_round(ready);
    }

    /// Answers the open round if a quorum has confirmed it.
    pub(super) fn confirm_round(&mut self, ready: &mut Ready<C>) {
        let (id, configuration) = (self.id, self.log.configuration().1);
        let Role::Leader(leader) = &mut self.role else { return };
        let round = leader.reads.round;
        let confirmed = |peer| {
            peer == id
                || leader
                    .progress
                    .get(&peer)
                    .is_some_and(|progress| R::confirms_round(progress.round_acked, round))
        };
        let electorate = R::electorate(configuration, id);
        if leader.reads.open.is_empty() || !is_quorum::<R>(&electorate, confirmed) {
            return;
        }
        let index = leader.reads.index;
        let answered = core::mem::take(&mut leader.reads.open);
        ready.confirmed_round = Some(round);
        for (from, request) in answered {
            self.answer_read(from, request, Ok(index), ready);
        }
        self.start_round(ready);
    }

    /// The answer to a forwarded read. A leader that refuses while it leads has too much to do.
    pub(super) fn handle_read_response(
        &self,
        from: NodeId,
        request: RequestId,
        index: Option<Index>,
        ready: &mut Ready<C>,
    ) {
        let refusal = match self.leader {
            Some(leader) if leader == from => Refusal::Busy,
            hint => Refusal::NotLeader { hint },
        };
        ready.reads.push(ReadOutcome { request, index: index.ok_or(refusal) });
    }

    fn answer_read(
        &self,
        from: NodeId,
        request: RequestId,
        index: Result<Index, Refusal>,
        ready: &mut Ready<C>,
    ) {
        if from == self.id {
            ready.reads.push(ReadOutcome { request, index });
        } else {
            self.send(from, Message::ReadIndexResponse { request, index: index.ok() }, ready);
        }
    }

    /// Leadership is over: nobody waits for an answer that cannot come.
    pub(super) fn refuse_reads(&self, reads: Reads, ready: &mut Ready<C>) {
        for (from, request) in reads.open.into_iter().chain(reads.queued) {
            self.answer_read(from, request, Err(Refusal::NotLeader { hint: self.leader }), ready);
        }
    }
}
