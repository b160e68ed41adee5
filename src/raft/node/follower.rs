//! The follower's side of replication: AppendEntries and heartbeats. Paper §5.3, Figure 2.

use super::*;

impl<C: Command, R: Rules> Node<C, R> {
    pub(super) fn handle_append(
        &mut self,
        from: NodeId,
        prev: EntryId,
        mut entries: Vec<Entry<C>>,
        leader_commit: Index,
        ready: &mut Ready<C>,
    ) {
        let last = self.log.last().index;
        let matched = R::acknowledged(prev.index, entries.len() as u64, last);
        let comparable = R::first_comparable(prev.index, self.log.purged().index);
        if comparable > prev.index {
            // Purged entries are committed, so they agree (leader completeness).
            let skipped = usize::try_from(comparable.0 - prev.index.0).unwrap_or(usize::MAX);
            entries.drain(..skipped.min(entries.len()));
        } else if !R::prev_matches(self.log.term_at(prev.index), prev.term) {
            return self.refuse_append(from, prev.index, ready);
        }
        self.append_after_agreement(entries, ready);
        let last = self.log.last().index;
        self.commit = R::follower_commit(self.commit, leader_commit, matched, last);
        self.send(from, Message::AppendAccepted { matched }, ready);
    }

    /// Skips what the log has already, cuts off what conflicts, appends the rest.
    fn append_after_agreement(&mut self, mut entries: Vec<Entry<C>>, ready: &mut Ready<C>) {
        let is_new = |entry: &Entry<C>| {
            self.log.term_at(entry.id.index).is_none_or(|own| R::conflicts(own, entry.id.term))
        };
        let Some(known) = entries.iter().position(is_new) else { return };
        let first = entries[known].id.index;
        if first <= self.log.last().index {
            let keep = first.prev();
            assert!(keep >= self.commit, "a committed entry at {first} conflicts with the leader's");
            self.log.truncate::<R>(keep);
            self.durability.truncate::<R>(keep);
        }
        entries.drain(..known);
        for entry in &entries {
            self.log.append(entry.clone());
        }
        ready.write.get_or_insert_default().entries = entries;
    }

    fn refuse_append(&self, from: NodeId, prev: Index, ready: &mut Ready<C>) {
        let conflict_term = self.log.term_at(prev);
        let conflict_index = self.log.first_index_of_term(prev);
        assert!(conflict_index <= prev.max(self.log.purged().index.next()), "a refusal leads back");
        self.send(from, Message::AppendRefused { prev, conflict_term, conflict_index }, ready);
    }

    /// The leader capped `commit` at what this node acknowledged, so the logs agree up to it.
    pub(super) fn handle_heartbeat(&mut self, from: NodeId, commit: Index, round: u64, ready: &mut Ready<C>) {
        let last = self.log.last().index;
        self.commit = R::follower_commit(self.commit, commit, last, last);
        self.send(from, Message::HeartbeatResponse { round }, ready);
    }
}
