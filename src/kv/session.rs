//! The session table: what makes a retried request take effect once (dissertation §6.3).
//!
//! A session remembers the last request it answered together with the answer. It ends when its client
//! closes it or when it was not used for a number of log entries. The log position is the clock here:
//! it is the same on every replica, so all of them forget a session at the same entry.
//!
//! The table is ordered twice, by client to find a session and by last use to find the oldest, so
//! that an entry at which nothing expires costs one look at the front of the second order.

use alloc::collections::{BTreeMap, BTreeSet};

use super::command::ClientId;
use super::response::Response;
use crate::raft::types::Index;

/// What the store remembers of a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session {
    /// The last entry that named the session, or the one that opened it.
    pub last_used: Index,
    /// The last request that was carried out or refused under it; none before the first.
    pub answered: Option<Answer>,
}

/// An answered request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Answer {
    /// Its number in the session.
    pub sequence: u64,
    /// What was answered, and is answered again to a retry.
    pub response: Response,
}

/// A change of the table. Each takes effect at the position of the batch it is part of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionChange {
    /// A session begins.
    Open {
        /// Its name.
        client: ClientId,
    },
    /// A session is used without a new answer.
    Use {
        /// Its name.
        client: ClientId,
    },
    /// A session is used and has a new last answer.
    Answer {
        /// Its name.
        client: ClientId,
        /// The answer.
        answer: Answer,
    },
    /// A session ends.
    Close {
        /// Its name.
        client: ClientId,
    },
}

impl SessionChange {
    /// The session that changes.
    #[must_use]
    pub fn client(&self) -> ClientId {
        match self {
            SessionChange::Open { client }
            | SessionChange::Use { client }
            | SessionChange::Answer { client, .. }
            | SessionChange::Close { client } => *client,
        }
    }
}

/// Every open session, and for how long an unused one stays open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sessions {
    ttl_entries: u64,
    by_client: BTreeMap<ClientId, Session>,
    /// Exactly the pairs (last use, client) of `by_client`.
    by_last_use: BTreeSet<(Index, ClientId)>,
}

impl Sessions {
    /// A table without sessions. One that is not used for more than `ttl_entries` entries expires; the
    /// number is part of the replicated state and must be equal on all replicas. Panics at 0.
    #[must_use]
    pub fn new(ttl_entries: u64) -> Sessions {
        assert!(ttl_entries > 0, "a session lives for at least one entry");
        Sessions { ttl_entries, by_client: BTreeMap::new(), by_last_use: BTreeSet::new() }
    }

    /// For how many entries an unused session stays open.
    #[must_use]
    pub fn ttl_entries(&self) -> u64 {
        self.ttl_entries
    }

    /// How many sessions are open. At most `ttl_entries + 1`, because an entry opens at most one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_client.len()
    }

    /// Whether no session is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// The session of `client`.
    #[must_use]
    pub fn get(&self, client: ClientId) -> Option<&Session> {
        self.by_client.get(&client)
    }

    /// Every session, by client.
    pub fn iter(&self) -> impl Iterator<Item = (ClientId, &Session)> {
        self.by_client.iter().map(|(client, session)| (*client, session))
    }

    /// Every session with its last use, the least recently used first.
    pub fn by_last_use(&self) -> impl Iterator<Item = (Index, ClientId)> {
        self.by_last_use.iter().copied()
    }

    /// Adds a session as a snapshot holds it. Returns false, and changes nothing, if there is one of
    /// that client already.
    pub fn insert(&mut self, client: ClientId, session: Session) -> bool {
        if self.by_client.contains_key(&client) {
            return false;
        }
        self.by_last_use.insert((session.last_used, client));
        self.by_client.insert(client, session);
        true
    }

    /// Carries out `change` at the entry `at`. Called by engines only, as part of a batch. Panics if
    /// the session that is used is not open, or the one that is opened is: the store never asks so.
    pub fn apply(&mut self, change: SessionChange, at: Index) {
        match change {
            SessionChange::Open { client } => {
                let is_new = self.insert(client, Session { last_used: at, answered: None });
                assert!(is_new, "{client:?} is the index of one entry and is opened once");
            }
            SessionChange::Use { client } => {
                self.touch(client, at);
            }
            SessionChange::Answer { client, answer } => self.touch(client, at).answered = Some(answer),
            SessionChange::Close { client } => {
                let session = self.by_client.remove(&client).expect("a session that ends is open");
                self.by_last_use.remove(&(session.last_used, client));
            }
        }
        assert_eq!(self.by_client.len(), self.by_last_use.len(), "both orders hold the same sessions");
    }

    fn touch(&mut self, client: ClientId, at: Index) -> &mut Session {
        let session = self.by_client.get_mut(&client).expect("a session that is used is open");
        assert!(session.last_used <= at, "{client:?} was last used at {}, after {at}", session.last_used);
        self.by_last_use.remove(&(session.last_used, client));
        self.by_last_use.insert((at, client));
        session.last_used = at;
        session
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{Outcome, Revision};
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn both_orders_follow_every_change() {
        let mut sessions = Sessions::new(5);
        let (a, b) = (ClientId(1), ClientId(2));
        let response = Response { revision: Revision(2), outcome: Outcome::NoOp };
        let answer = Answer { sequence: 7, response };
        let steps = [
            (1, SessionChange::Open { client: a }, vec![(1, a)]),
            (2, SessionChange::Open { client: b }, vec![(1, a), (2, b)]),
            (3, SessionChange::Use { client: a }, vec![(2, b), (3, a)]),
            (4, SessionChange::Answer { client: b, answer: answer.clone() }, vec![(3, a), (4, b)]),
            (5, SessionChange::Close { client: a }, vec![(4, b)]),
        ];
        for (at, change, expected) in steps {
            sessions.apply(change, Index(at));
            let order: Vec<(u64, ClientId)> =
                sessions.by_last_use().map(|(index, client)| (index.0, client)).collect();
            assert_eq!(order, expected, "after entry {at}");
        }
        assert_eq!(sessions.get(b), Some(&Session { last_used: Index(4), answered: Some(answer) }));
        assert_eq!(sessions.len(), 1);
        assert!(!sessions.insert(b, Session { last_used: Index(9), answered: None }));
    }
}
