//! Changes of membership through joint consensus, with learners. Paper §6, dissertation ch. 4.
//!
//! A configuration is in force as soon as its entry is in the log. A change of voters first appends
//! C_old,new, which needs both majorities; when that is committed the leader appends C_new by itself.

use alloc::boxed::Box;

use super::*;
use crate::raft::ready::{MemberChange, changed_configuration};

impl<C: Command, R: Rules> Node<C, R> {
    pub(super) fn handle_change_members(
        &mut self,
        changes: &[MemberChange],
        ready: &mut Ready<C>,
    ) -> Result<Accepted, Refusal> {
        let (index, configuration) = self.log.configuration();
        let pending = configuration.is_joint() || index > self.commit;
        let commit_term = self.log.term_at(self.commit).expect("the log holds its commit point");
        let Role::Leader(leader) = &self.role else {
            return Err(Refusal::NotLeader { hint: self.leader });
        };
        if leader.transferee.is_some() {
            return Err(Refusal::Transferring);
        }
        if !R::may_change_configuration(pending, commit_term, self.term()) {
            if leader.first_own.is_none() {
                // The founding leader starts without an entry of its own; this makes a retry succeed.
                self.append_own([Payload::Noop], ready);
                self.broadcast_append(ready);
            }
            return Err(Refusal::ChangeInProgress);
        }
        let next = changed_configuration::<R>(configuration, changes)?;
        let entry = self.append_configuration(next, ready);
        Ok(Accepted::MembersChanging { entry })
    }

    fn append_configuration(&mut self, next: Configuration, ready: &mut Ready<C>) -> EntryId {
        let last = self.log.last().index;
        let entry = self.append_own([Payload::Configuration(Box::new(next))], ready);
        let (id, configuration) = (self.id, self.log.configuration().1);
        let Role::Leader(leader) = &mut self.role else { panic!("only a leader changes members") };
        for member in configuration.members().filter(|member| *member != id) {
            leader.progress.entry(member).or_insert_with(|| Progress::new(last.next(), Index::ZERO));
        }
        self.broadcast_append(ready);
        // The quorum changed: the open read round may have it already, and if the voters that could
        // still confirm it are gone, no answer would ever come.
        self.confirm_round(ready);
        entry
    }

    /// The commit index moved: a committed joint phase is left, and after a committed final
    /// configuration those outside it are let go, the leader too.
    pub(super) fn advance_configuration(&mut self, ready: &mut Ready<C>) {
        let (index, configuration) = self.log.configuration();
        if configuration.is_joint() {
            if R::may_leave_joint(index, self.commit) {
                let next = Configuration { outgoing: None, ..configuration.clone() };
                self.append_configuration(next, ready);
            }
            return;
        }
        let is_voter = configuration.is_voter(self.id);
        if index > self.commit {
            return;
        }
        let Role::Leader(leader) = &self.role else { return };
        let abort = leader.transferee.is_some_and(|to| !configuration.voters.contains(&to));
        if !is_voter || leader.progress.keys().any(|id| !configuration.contains(*id)) {
            // The last word to those who leave: the change is committed.
            self.broadcast_heartbeat(ready);
            let configuration = self.log.configuration().1;
            let Role::Leader(leader) = &mut self.role else { return };
            leader.progress.retain(|id, _| configuration.contains(*id));
        }
        if abort {
            self.abort_transfer(ready);
        }
        if R::must_step_down(is_voter, false, index, self.commit) {
            self.become_follower(self.term(), None, ready);
        }
    }
}
