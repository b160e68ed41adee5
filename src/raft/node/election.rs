//! Elections: pre-vote, campaign, votes, check-quorum, leadership transfer.
//! Paper §5.2 and §5.4.1; dissertation §3.10, §4.2.3, §6.2, §9.6.

use super::*;
use crate::raft::message::MessageKind;
use crate::raft::quorum::is_quorum;

impl<C: Command, R: Rules> Node<C, R> {
    // --- becoming ----------------------------------------------------------------------------

    /// Follows in `term`, which is the current or a newer one. What a leader had promised to answer is
    /// refused here, so that nothing is dropped in silence.
    pub(super) fn become_follower(&mut self, term: Term, leader: Option<NodeId>, ready: &mut Ready<C>) {
        assert!(term >= self.term(), "terms never fall");
        assert_ne!(leader, Some(self.id), "a follower follows another");
        self.hard_state = R::adopt_term(self.hard_state, term);
        let before = core::mem::replace(&mut self.role, Role::Follower);
        self.leader = leader;
        if let Role::Leader(Leader { reads, .. }) = before {
            self.refuse_reads(reads, ready);
        }
        self.cancel(Timer::Heartbeat, ready);
        self.cancel(Timer::CheckQuorum, ready);
        self.cancel(Timer::Transfer, ready);
        self.set(Timer::Election, ready);
        if leader.is_some() {
            self.set_leader_fresh(ready);
        } else {
            self.clear_leader_fresh(ready);
        }
    }

    /// A message proves that `from` leads the current term.
    pub(super) fn follow(&mut self, from: NodeId, ready: &mut Ready<C>) {
        assert!(!self.is_leader(), "two leaders in term {}: {} and {from}", self.term(), self.id);
        self.role = Role::Follower;
        self.leader = Some(from);
        self.set(Timer::Election, ready);
        self.set_leader_fresh(ready);
    }

    pub(super) fn become_leader(&mut self, ready: &mut Ready<C>) {
        let last = self.log.last().index;
        let peers = self.configuration().members().filter(|id| *id != self.id);
        let progress = peers.map(|id| (id, Progress::new(last.next(), R::initial_match(last).min(last))));
        let progress = progress.collect();
        self.role = Role::Leader(Leader {
            progress,
            reads: Reads::default(),
            transferee: None,
            first_own: None,
            began: false,
        });
        self.leader = Some(self.id);
        self.clear_leader_fresh(ready);
        self.cancel(Timer::Election, ready);
        self.set(Timer::Heartbeat, ready);
        self.set(Timer::CheckQuorum, ready);
    }

    pub(super) fn set_leader_fresh(&mut self, ready: &mut Ready<C>) {
        self.leader_fresh = true;
        self.set(Timer::LeaderFresh, ready);
    }

    fn clear_leader_fresh(&mut self, ready: &mut Ready<C>) {
        self.leader_fresh = false;
        self.cancel(Timer::LeaderFresh, ready);
    }

    /// Whether an election now would only disturb. A leader counts as fresh: check-quorum deposes one
    /// that is not.
    pub(super) fn leader_seems_fresh(&self) -> bool {
        self.leader_fresh || self.is_leader()
    }

    // --- campaigning -------------------------------------------------------------------------

    fn may_campaign(&self) -> bool {
        let (index, configuration) = self.log.configuration();
        let is_committed = index <= self.commit;
        let is_leaving = !is_committed && self.log.configuration_at(index.prev()).is_voter(self.id);
        R::may_campaign(configuration.is_voter(self.id), is_leaving)
    }

    pub(super) fn handle_election_timeout(&mut self, ready: &mut Ready<C>) {
        assert!(!self.is_leader(), "a leader has no election timer");
        if !self.may_campaign() {
            return self.set(Timer::Election, ready);
        }
        let mut votes = BTreeSet::new();
        R::record_vote(&mut votes, self.id);
        self.role = Role::PreCandidate { votes };
        self.leader = None;
        self.clear_leader_fresh(ready);
        self.set(Timer::Election, ready);
        if !self.campaign_if_pre_elected(ready) {
            let last_log = self.log.last();
            self.ask_voters(|| Message::PreVote { last_log }, ready);
        }
    }

    /// Starts an election in the next term (§5.2). The requests leave once the own vote is durable.
    fn campaign(&mut self, transfer: bool, ready: &mut Ready<C>) {
        self.hard_state = R::campaign(self.hard_state, self.id);
        self.role = Role::Candidate { votes: BTreeSet::new() };
        self.leader = None;
        self.clear_leader_fresh(ready);
        self.set(Timer::Election, ready);
        let last_log = self.log.last();
        self.ask_voters(|| Message::RequestVote { last_log, transfer }, ready);
        self.count_own_vote(ready);
    }

    fn ask_voters(&self, message: impl Fn() -> Message<C>, ready: &mut Ready<C>) {
        let configuration = self.configuration();
        let is_asked = |id: &NodeId| {
            let outgoing = configuration.outgoing.as_ref().is_some_and(|outgoing| outgoing.contains(id));
            *id != self.id && R::is_asked(configuration.voters.contains(id), outgoing)
        };
        for id in configuration.members().filter(is_asked) {
            self.send(id, message(), ready);
        }
    }

    fn campaign_if_pre_elected(&mut self, ready: &mut Ready<C>) -> bool {
        let Role::PreCandidate { votes } = &self.role else { return false };
        let electorate = R::electorate(self.configuration(), self.id);
        let elected = is_quorum::<R>(&electorate, |id| votes.contains(&id));
        if elected {
            self.campaign(false, ready);
        }
        elected
    }

    fn lead_if_elected(&mut self, ready: &mut Ready<C>) {
        let Role::Candidate { votes } = &self.role else { return };
        if is_quorum::<R>(&R::electorate(self.configuration(), self.id), |id| votes.contains(&id)) {
            self.become_leader(ready);
            // Only an entry of the own term tells which earlier ones are committed (§8).
            self.append_own([Payload::Noop], ready);
            self.broadcast_append(ready);
        }
    }

    /// A candidate's vote for itself counts once it is durable.
    pub(super) fn count_own_vote(&mut self, ready: &mut Ready<C>) {
        if let Role::Candidate { votes } = &mut self.role
            && R::counts_own_vote(self.durability.hard_state, self.hard_state)
        {
            R::record_vote(votes, self.id);
            self.lead_if_elected(ready);
        }
    }

    // --- messages ----------------------------------------------------------------------------

    fn may_vote(&self) -> bool {
        R::may_vote(self.configuration().is_voter(self.id))
    }

    /// `term` is the term the sender is in; it would campaign in the next one.
    pub(super) fn handle_pre_vote(
        &mut self,
        from: NodeId,
        term: Term,
        last_log: EntryId,
        ready: &mut Ready<C>,
    ) {
        let is_behind = !R::is_current(term, self.term());
        let is_ignored = if is_behind {
            !R::answers_stale(MessageKind::PreVote)
        } else {
            R::refuses_disruption(self.leader_seems_fresh(), false)
        };
        if is_ignored {
            return;
        }
        // A refusal is sent too: it carries this node's term to one that is behind (§9.6).
        let granted = !is_behind && self.may_vote() && R::is_up_to_date(last_log, self.log.last());
        self.send(from, Message::PreVoteResponse { asked_in: term, granted }, ready);
    }

    pub(super) fn handle_pre_vote_response(
        &mut self,
        from: NodeId,
        asked_in: Term,
        granted: bool,
        ready: &mut Ready<C>,
    ) {
        let term = self.term();
        if let Role::PreCandidate { votes } = &mut self.role
            && granted
            && asked_in == term
        {
            R::record_vote(votes, from);
            self.campaign_if_pre_elected(ready);
        }
    }

    pub(super) fn handle_request_vote(
        &mut self,
        from: NodeId,
        last_log: EntryId,
        transfer: bool,
        ready: &mut Ready<C>,
    ) {
        let granted = self.may_vote()
            && R::has_vote_left(self.hard_state.voted_for, from)
            && R::is_up_to_date(last_log, self.log.last())
            && !R::refuses_disruption(self.leader_fresh, transfer)
            && !self.is_leader();
        if granted {
            self.hard_state.voted_for = Some(from);
            self.role = Role::Follower;
            self.set(Timer::Election, ready);
        }
        self.send(from, Message::RequestVoteResponse { granted }, ready);
    }

    pub(super) fn handle_vote(&mut self, from: NodeId, granted: bool, ready: &mut Ready<C>) {
        if let Role::Candidate { votes } = &mut self.role
            && granted
        {
            R::record_vote(votes, from);
            self.lead_if_elected(ready);
        }
    }

    // --- check-quorum ------------------------------------------------------------------------

    pub(super) fn note_heard(&mut self, from: NodeId) {
        if let Role::Leader(leader) = &mut self.role
            && let Some(progress) = leader.progress.get_mut(&from)
        {
            progress.heard = true;
        }
    }

    /// A leader that no quorum answered since the last check steps down (dissertation §6.2).
    pub(super) fn handle_check_quorum(&mut self, ready: &mut Ready<C>) {
        let term = self.term();
        let (id, configuration) = (self.id, self.log.configuration().1);
        let Role::Leader(leader) = &mut self.role else { panic!("only a leader checks its quorum") };
        let heard = |peer| peer == id || leader.progress.get(&peer).is_some_and(|progress| progress.heard);
        if !R::keeps_leading(is_quorum::<R>(&R::electorate(configuration, id), heard)) {
            return self.become_follower(term, None, ready);
        }
        for progress in leader.progress.values_mut() {
            if !progress.heard {
                // It may have restarted: whatever was in flight, or staged, starts over.
                progress.probe::<R>();
            }
            progress.heard = false;
        }
        self.set(Timer::CheckQuorum, ready);
    }

    // --- leadership transfer -----------------------------------------------------------------

    pub(super) fn handle_transfer(&mut self, to: NodeId, ready: &mut Ready<C>) -> Result<Accepted, Refusal> {
        let is_voter = self.configuration().voters.contains(&to);
        let Role::Leader(leader) = &mut self.role else {
            return Err(Refusal::NotLeader { hint: self.leader });
        };
        if !is_voter {
            return Err(Refusal::NotVoter);
        }
        if leader.transferee.is_some() {
            return Err(Refusal::Transferring);
        }
        if to != self.id {
            leader.transferee = Some(to);
            self.set(Timer::Transfer, ready);
            self.send_append(to, ready);
            self.transfer_if_caught_up(to, ready);
        }
        Ok(Accepted::Transferring)
    }

    /// The target campaigns at once when its log is complete (dissertation §3.10).
    pub(super) fn transfer_if_caught_up(&mut self, to: NodeId, ready: &mut Ready<C>) {
        let Role::Leader(leader) = &self.role else { return };
        let caught_up =
            leader.progress.get(&to).is_some_and(|progress| progress.match_index == self.log.last().index);
        if leader.transferee == Some(to) && caught_up {
            self.send(to, Message::TimeoutNow, ready);
        }
    }

    pub(super) fn abort_transfer(&mut self, ready: &mut Ready<C>) {
        if let Role::Leader(leader) = &mut self.role {
            leader.transferee = None;
        }
        self.cancel(Timer::Transfer, ready);
    }

    pub(super) fn handle_timeout_now(&mut self, ready: &mut Ready<C>) {
        if self.may_campaign() {
            self.campaign(true, ready);
        }
    }
}
