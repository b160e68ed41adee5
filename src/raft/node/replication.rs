//! The leader's side of replication: appends, answers, heartbeats, commit.
//! Paper §5.3 and §5.4.2; dissertation §10.2.1 and §10.2.2.

use super::*;
use crate::raft::progress::Flow;
use crate::raft::quorum::quorum_index;

impl<C: Command, R: Rules> Node<C, R> {
    // --- sending -----------------------------------------------------------------------------

    pub(super) fn broadcast_append(&mut self, ready: &mut Ready<C>) {
        let (from, term) = (self.id, self.hard_state.term);
        let Node { role: Role::Leader(leader), log, commit, limits, .. } = self else { return };
        for (to, progress) in &mut leader.progress {
            fill_pipeline::<C, R>(progress, log, *commit, limits, |message| {
                ready.messages.push(Envelope { from, to: *to, term, message });
            });
        }
    }

    /// Sends one follower as much as its flow allows.
    pub(super) fn send_append(&mut self, to: NodeId, ready: &mut Ready<C>) {
        let (from, term) = (self.id, self.hard_state.term);
        let Node { role: Role::Leader(leader), log, commit, limits, .. } = self else { return };
        let Some(progress) = leader.progress.get_mut(&to) else { return };
        fill_pipeline::<C, R>(progress, log, *commit, limits, |message| {
            ready.messages.push(Envelope { from, to, term, message });
        });
    }

    pub(super) fn broadcast_heartbeat(&mut self, ready: &mut Ready<C>) {
        self.heartbeat_where(|_| true, ready);
    }

    /// Heartbeats to the followers for which `wanted` holds.
    fn heartbeat_where(&mut self, wanted: impl Fn(&Progress) -> bool, ready: &mut Ready<C>) {
        let (from, term) = (self.id, self.hard_state.term);
        let Node { role: Role::Leader(leader), commit, .. } = self else { return };
        let round = leader.reads.round;
        for (to, progress) in leader.progress.iter_mut().filter(|(_, progress)| wanted(progress)) {
            let commit = R::heartbeat_commit(*commit, progress.match_index);
            progress.commit_sent = progress.commit_sent.max(commit);
            let message = Message::Heartbeat { commit, round };
            ready.messages.push(Envelope { from, to: *to, term, message });
        }
    }

    /// Tells followers that have nothing in flight, so that no append will tell them.
    fn announce_commit(&mut self, ready: &mut Ready<C>) {
        if self.limits.eager_commit {
            let commit = self.commit;
            let uninformed = |progress: &Progress| {
                progress.is_idle() && progress.commit_sent < commit.min(progress.match_index)
            };
            self.heartbeat_where(uninformed, ready);
        }
    }

    // --- answers -----------------------------------------------------------------------------

    pub(super) fn handle_append_accepted(&mut self, from: NodeId, matched: Index, ready: &mut Ready<C>) {
        if let Role::Leader(leader) = &self.role
            && !leader.progress.contains_key(&from)
        {
            // It was let go before it acknowledged its own removal: the last word is that this is
            // committed. Without it the member would keep asking for votes.
            let commit = R::heartbeat_commit(self.commit, matched);
            return self.send(from, Message::Heartbeat { commit, round: leader.reads.round }, ready);
        }
        self.note_match(from, matched);
        self.advance_commit(ready);
        self.send_append(from, ready);
        self.announce_commit(ready);
        self.transfer_if_caught_up(from, ready);
    }

    /// A follower's log is known to agree, durably, up to `matched`.
    pub(super) fn note_match(&mut self, from: NodeId, matched: Index) {
        let Node { role: Role::Leader(leader), log, .. } = self else { return };
        let Some(progress) = leader.progress.get_mut(&from) else { return };
        assert!(matched <= log.last().index, "{from} acknowledges {matched}, which it was never sent");
        progress.match_index = R::advance_match(progress.match_index, matched);
        progress.next_index = progress.next_index.max(R::next_after(progress.match_index));
        match &progress.flow {
            Flow::Replicate { .. } => progress.acknowledge_inflight(matched),
            Flow::Probe { .. } => progress.flow = Flow::pipeline(),
            Flow::Snapshot { .. } if progress.match_index >= log.purged().index => progress.probe::<R>(),
            Flow::Snapshot { .. } => {}
        }
    }

    pub(super) fn handle_append_refused(
        &mut self,
        from: NodeId,
        prev: Index,
        conflict_term: Option<Term>,
        conflict_index: Index,
        ready: &mut Ready<C>,
    ) {
        let Node { role: Role::Leader(leader), log, .. } = self else { return };
        let Some(progress) = leader.progress.get_mut(&from) else { return };
        let is_stale = match progress.flow {
            Flow::Probe { .. } => prev.next() != progress.next_index,
            Flow::Replicate { .. } => prev <= progress.match_index,
            Flow::Snapshot { .. } => true,
        };
        if is_stale {
            return;
        }
        // Skip the whole conflicting term: continue after the last own entry of it, or before the
        // follower's first if there is none (§5.3).
        let own = conflict_term.map(|term| (term, log.last_index_up_to_term(term)));
        let next = match own {
            Some((term, last)) if log.term_at(last) == Some(term) && last >= conflict_index => last.next(),
            _ => conflict_index,
        };
        // Nothing a peer says moves past the end of the own log.
        let next = next.min(prev).min(log.last().index.next());
        progress.match_index = R::match_after_refusal(progress.match_index, conflict_index);
        progress.next_index = next.max(R::next_after(progress.match_index));
        progress.flow = Flow::Probe { waiting: false };
        self.send_append(from, ready);
    }

    pub(super) fn handle_heartbeat_response(&mut self, from: NodeId, round: u64, ready: &mut Ready<C>) {
        let Node { role: Role::Leader(leader), log, .. } = self else { return };
        let Some(progress) = leader.progress.get_mut(&from) else { return };
        progress.round_acked = progress.round_acked.max(round.min(leader.reads.round));
        if progress.match_index < log.last().index {
            // Messages may have been lost. An append without entries finds out what arrived, a chunk
            // is sent again.
            match &mut progress.flow {
                Flow::Probe { waiting } => *waiting = false,
                Flow::Replicate { inflight, .. } if !inflight.is_empty() => {
                    let index = progress.next_index.prev();
                    if let Some(prev) = log.id_at(index) {
                        let leader_commit = self.commit;
                        let probe = Message::AppendEntries { prev, entries: Vec::new(), leader_commit };
                        self.send(from, probe, ready);
                    }
                }
                Flow::Replicate { .. } => {}
                Flow::Snapshot { .. } => self.send_chunk(from, ready),
            }
            self.send_append(from, ready);
        }
        self.confirm_round(ready);
    }

    // --- commit ------------------------------------------------------------------------------

    /// Commits what a quorum holds durably, if it is of the own term (§5.3, §5.4.2).
    pub(super) fn advance_commit(&mut self, ready: &mut Ready<C>) {
        let Role::Leader(leader) = &self.role else { return };
        let own = R::leader_match(self.durability.log, self.log.last().index);
        let reached = quorum_index::<R>(&R::electorate(self.configuration(), self.id), |id| {
            if id == self.id {
                own
            } else {
                leader.progress.get(&id).map_or(Index::ZERO, |progress| progress.match_index)
            }
        });
        let Some(reached_term) = self.log.term_at(reached) else { return };
        if reached <= self.commit || !R::may_commit(reached_term, self.term()) {
            return;
        }
        self.commit = reached;
        self.announce_commit(ready);
        self.start_round(ready);
        self.advance_configuration(ready);
    }
}

/// Sends one follower what its flow and the limits allow.
fn fill_pipeline<C: Command, R: Rules>(
    progress: &mut Progress,
    log: &Log<C>,
    commit: Index,
    limits: &Limits,
    mut send: impl FnMut(Message<C>),
) {
    let last = log.last().index;
    loop {
        if R::needs_snapshot(progress.next_index, log.purged().index) {
            let snapshot = log.snapshot();
            if !matches!(progress.flow, Flow::Snapshot { last, .. } if last == snapshot.last) {
                progress.flow = Flow::Snapshot { last: snapshot.last, offset: 0 };
                send(snapshot::chunk(snapshot, 0, limits));
            }
            return;
        }
        let after = progress.next_index.prev();
        let has_room = match &progress.flow {
            Flow::Probe { waiting } => !waiting,
            Flow::Replicate { inflight, inflight_bytes } => {
                after < last
                    && inflight.len() < limits.inflight_appends_max as usize
                    && *inflight_bytes < limits.inflight_bytes_max
            }
            Flow::Snapshot { .. } => false,
        };
        let Some(prev) = log.id_at(after).filter(|_| has_room) else { return };
        let (entries, bytes) = log.batch(after, limits.append_entries_max, limits.append_bytes_max);
        let last_sent = after.plus(entries.len() as u64);
        progress.commit_sent = progress.commit_sent.max(commit.min(last_sent));
        match &mut progress.flow {
            Flow::Probe { waiting } => *waiting = true,
            Flow::Replicate { inflight, inflight_bytes } => {
                inflight.push_back((last_sent, bytes));
                *inflight_bytes += bytes;
                progress.next_index = last_sent.next();
            }
            Flow::Snapshot { .. } => unreachable!("a snapshot has no room for entries"),
        }
        send(Message::AppendEntries { prev, entries, leader_commit: commit });
    }
}
