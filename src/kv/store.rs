//! The state machine: entries in, responses out.

use alloc::vec::Vec;
use core::iter;
use core::marker::PhantomData;

use super::command::{Blob, ClientId, Command, Op, Put, Range, Revision, SessionTag};
use super::engine::{BTreeEngine, Batch, Change, Engine, EngineError, Position, Snapshot};
use super::response::{KeyValue, Outcome, PutOutcome, RangeOutcome, Refusal, Response};
use super::rules::{Rules, Shipped, Verdict};
use super::session::{Answer, Session, SessionChange, Sessions};
use super::txn::{self, Changes, Evaluation, Halt};
use crate::raft::types::EntryId;

/// For how many entries an unused session stays open unless a cluster is created with another number.
pub const SESSION_TTL_ENTRIES: u64 = 1 << 20;

/// The changes of an operation that changes no key.
const UNCHANGED: Option<iter::Empty<Change>> = None;

/// A replicated key-value store over an engine. It is a function of the entries it was given: equal
/// logs give equal stores and equal responses.
///
/// Every entry of the log passes through it once and in order, either by [`Store::apply`] or, if it
/// carries no command, by [`Store::advance`]. After an [`EngineError`] it must not be used further.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Store<E = BTreeEngine, R = Shipped> {
    engine: E,
    rules: PhantomData<R>,
}

impl<R: Rules> Default for Store<BTreeEngine, R> {
    fn default() -> Store<BTreeEngine, R> {
        Store::open(BTreeEngine::new(R::session_ttl_entries()))
    }
}

impl<E: Engine, R: Rules> Store<E, R> {
    /// The store as `engine` holds it. The next entry is the one after [`Store::applied`].
    #[must_use]
    pub fn open(engine: E) -> Store<E, R> {
        Store { engine, rules: PhantomData }
    }

    /// The last entry that was applied or passed over.
    #[must_use]
    pub fn applied(&self) -> EntryId {
        self.engine.position().applied
    }

    /// The revision of the last change.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.engine.position().revision
    }

    /// The open sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        self.engine.sessions()
    }

    /// The engine, to take a view of it or ask how much of it is durable.
    #[must_use]
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// The key with its record, if it exists.
    pub fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, EngineError> {
        self.engine.get(key)
    }

    /// Answers a read of the current state.
    pub fn range(&self, range: &Range) -> Result<RangeOutcome, EngineError> {
        self.engine.read(range)
    }

    /// The whole content.
    pub fn snapshot(&self) -> Result<Snapshot, EngineError> {
        Snapshot::of::<R>(&self.engine)
    }

    /// Takes the content of `snapshot` in place of its own. The next entry is the one after the
    /// snapshot's position. Panics if that is before [`Store::applied`]: what was applied is committed
    /// and is never taken back.
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<(), EngineError> {
        let position = snapshot.position;
        assert!(
            position.applied.index >= self.applied().index,
            "a snapshot at {} cannot take back {}",
            position.applied,
            self.applied()
        );
        let content = R::restored(&self.engine, snapshot)?;
        self.engine.replace(content)?;
        assert_eq!(self.engine.position().applied, position.applied, "the engine stands at the snapshot");
        Ok(())
    }

    /// Passes over entry `id`, which has no command (a no-op of consensus or a configuration). It
    /// changes no key, but time passes for the sessions. Panics as [`Store::apply`] does.
    pub fn advance(&mut self, id: EntryId) -> Result<(), EngineError> {
        let sessions = self.expirations(id);
        self.commit(id, iter::empty(), sessions, self.revision())
    }

    /// Applies the command of entry `id` and returns the answer to whoever proposed it. Panics unless
    /// `id` is the entry after [`Store::applied`]: a skipped or doubled entry must never be survived.
    pub fn apply(&mut self, id: EntryId, command: &Command) -> Result<Response, EngineError> {
        let tag = command.session;
        match &command.op {
            Op::NoOp => self.run(id, tag, |_, _| Ok((Outcome::NoOp, UNCHANGED))),
            Op::Put(put) => self.apply_put(id, tag, put),
            Op::Del(delete) => self.run(id, tag, |store, _| {
                store.evaluate(|evaluation| Ok(Outcome::Deleted(evaluation.delete(delete)?)))
            }),
            Op::Txn(txn) => self
                .run(id, tag, |store, _| store.evaluate(|evaluation| Ok(Outcome::Txn(evaluation.txn(txn)?)))),
            Op::OpenSession => self.run(id, tag, |_, sessions| {
                let client = ClientId(id.index.0);
                sessions.push(SessionChange::Open { client });
                Ok((Outcome::SessionOpened { client }, UNCHANGED))
            }),
            Op::CloseSession { client } => self.run(id, tag, |store, sessions| {
                let is_open = store.sessions().get(*client).is_some();
                if !is_open || sessions.contains(&SessionChange::Close { client: *client }) {
                    return Err(Refusal::SessionExpired.into());
                }
                sessions.push(SessionChange::Close { client: *client });
                Ok((Outcome::SessionClosed, UNCHANGED))
            }),
        }
    }

    /// Applies a put that may still lie, borrowed, in its log entry; otherwise as [`Store::apply`].
    /// This is the hot path: without a session it allocates what is kept and nothing else.
    pub fn apply_put<B: Blob>(
        &mut self,
        id: EntryId,
        session: Option<SessionTag>,
        put: &Put<B>,
    ) -> Result<Response, EngineError> {
        if put.ignore_value || put.ignore_lease || put.prev_kv {
            return self.run(id, session, |store, _| {
                let (kv, outcome) = txn::put(&store.engine, put, store.next_revision())?;
                Ok((Outcome::Put(outcome), Some([Change::Put(kv)])))
            });
        }
        let mut sessions = self.expirations(id);
        if let Some(response) = self.answer_unapplied(id, session, &mut sessions) {
            self.commit(id, iter::empty(), sessions, self.revision())?;
            return Ok(response);
        }
        // Such a put cannot be refused and does not say what it found, so the answer is known.
        let response =
            Response { revision: self.next_revision(), outcome: Outcome::Put(PutOutcome::default()) };
        remember(session, &response, &mut sessions);
        let position = Position { applied: id, revision: response.revision };
        self.engine.commit_put(put, sessions, position)?;
        assert_eq!(self.engine.position(), position, "a batch moves the engine to its position");
        Ok(response)
    }

    /// The revision of the next change.
    fn next_revision(&self) -> Revision {
        R::revision_after(self.revision(), true)
    }

    /// Runs an operation that may need several steps, over a state that it does not touch. Gives
    /// what it did and, if it changed something, the changes.
    fn evaluate(
        &self,
        steps: impl FnOnce(&mut Evaluation<'_, E, R>) -> Result<Outcome, Halt>,
    ) -> Result<(Outcome, Option<Changes>), Halt> {
        let mut evaluation = Evaluation::new(&self.engine, self.next_revision());
        let outcome = steps(&mut evaluation)?;
        Ok((outcome, evaluation.finish()))
    }

    /// Carries out entry `id`: lets sessions expire, answers from memory what its session has seen,
    /// else evaluates `op`, which may add changes of sessions, and commits all of it as one batch.
    fn run<C: IntoIterator<Item = Change>>(
        &mut self,
        id: EntryId,
        session: Option<SessionTag>,
        op: impl FnOnce(&Store<E, R>, &mut Vec<SessionChange>) -> Result<(Outcome, Option<C>), Halt>,
    ) -> Result<Response, EngineError> {
        let mut sessions = self.expirations(id);
        if let Some(response) = self.answer_unapplied(id, session, &mut sessions) {
            self.commit(id, iter::empty(), sessions, self.revision())?;
            return Ok(response);
        }
        let (outcome, changes) = match op(self, &mut sessions) {
            Ok(evaluated) => evaluated,
            Err(Halt::Refused(refusal)) => (Outcome::Refused(refusal), None),
            Err(Halt::Engine(error)) => return Err(error),
        };
        let revision = R::revision_after(self.revision(), changes.is_some());
        let response = Response { revision, outcome };
        remember(session, &response, &mut sessions);
        self.commit(id, changes.into_iter().flatten(), sessions, revision)?;
        Ok(response)
    }

    /// The sessions that end at entry `id` because they were not used. The least recently used come
    /// first, so this looks at one more session than it ends.
    fn expirations(&self, id: EntryId) -> Vec<SessionChange> {
        let applied = self.applied();
        assert_eq!(id.index, applied.index.next(), "entry {id} does not follow {applied}");
        assert!(id.term >= applied.term, "entry {id} is of an older term than {applied}");
        let sessions = self.engine.sessions();
        sessions
            .by_last_use()
            .take_while(|(last_used, _)| R::is_expired(*last_used, id.index, sessions.ttl_entries()))
            .map(|(_, client)| SessionChange::Close { client })
            .collect()
    }

    /// Decides by the session whether a command is carried out; if not, notes the use of the session
    /// and gives the answer.
    fn answer_unapplied(
        &self,
        id: EntryId,
        session: Option<SessionTag>,
        changes: &mut Vec<SessionChange>,
    ) -> Option<Response> {
        let SessionTag { client, sequence } = session?;
        let refused =
            |refusal| Some(Response { revision: self.revision(), outcome: Outcome::Refused(refusal) });
        let sessions = self.engine.sessions();
        let open = sessions
            .get(client)
            .filter(|session| !R::is_expired(session.last_used, id.index, sessions.ttl_entries()));
        let Some(Session { answered, .. }) = open else { return refused(Refusal::SessionExpired) };
        let verdict = R::judge(answered.as_ref().map(|answer| answer.sequence), sequence);
        if verdict == Verdict::New {
            return None;
        }
        changes.push(SessionChange::Use { client });
        match answered {
            Some(answer) if verdict == Verdict::Retry => Some(answer.response.clone()),
            _ => refused(Refusal::SequenceTooOld),
        }
    }

    /// Moves the engine to entry `id` with everything that the entry changes.
    fn commit(
        &mut self,
        id: EntryId,
        changes: impl IntoIterator<Item = Change>,
        sessions: Vec<SessionChange>,
        revision: Revision,
    ) -> Result<(), EngineError> {
        let position = Position { applied: id, revision };
        self.engine.commit(Batch { changes, sessions, position })?;
        assert_eq!(self.engine.position(), position, "a batch moves the engine to its position");
        Ok(())
    }
}

/// Keeps the answer for a retry of the request that `session` names.
fn remember(session: Option<SessionTag>, response: &Response, changes: &mut Vec<SessionChange>) {
    let Some(SessionTag { client, sequence }) = session else { return };
    // A session that closes itself has nowhere to keep the answer.
    if !changes.contains(&SessionChange::Close { client }) {
        let answer = Answer { sequence, response: response.clone() };
        changes.push(SessionChange::Answer { client, answer });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::fixture::{Dice, Log, between, one, put};
    use crate::kv::{Delete, KeyRange, LeaseId, Relation, SimpleOp, Target, Txn, TxnOp, View};
    use crate::raft::types::{Index, Term};
    use alloc::vec;

    fn log() -> Log {
        Log::new(100)
    }

    fn refused(refusal: Refusal) -> Outcome {
        Outcome::Refused(refusal)
    }

    #[test]
    fn a_command_that_changes_a_key_takes_the_next_revision_and_no_other_does() {
        let mut log = log();
        let steps: [(Op, u64); 12] = [
            (Op::NoOp, 1),
            (put("a", "1").into(), 2),
            (put("a", "1").into(), 3),
            (put("b", "").into(), 4),
            (Delete::new(one("x")).into(), 4),
            (Delete::new(KeyRange::all()).into(), 5),
            (Delete::new(KeyRange::all()).into(), 5),
            (Op::OpenSession, 5),
            (Op::CloseSession { client: ClientId(8) }, 5),
            (Put { ignore_value: true, ..put("a", "") }.into(), 5),
            (Txn { compares: vec![], then: vec![], otherwise: vec![] }.into(), 5),
            (put("a", "2").into(), 6),
        ];
        for (op, revision) in steps {
            assert_eq!(log.run(op.clone()).revision, Revision(revision), "{op:?}");
            assert_eq!(log.store.revision(), Revision(revision), "{op:?}");
        }
    }

    #[test]
    fn a_key_counts_its_puts_and_starts_anew_after_a_delete() {
        let mut log = log();
        log.run(put("a", "1"));
        assert_eq!(log.key("a"), Some((b"1".to_vec(), 2, 2, 1)));
        log.run(put("b", "1"));
        log.run(put("a", "2"));
        assert_eq!(log.key("a"), Some((b"2".to_vec(), 2, 4, 2)));
        log.run(Delete::new(one("a")));
        assert_eq!(log.key("a"), None);
        log.run(put("a", "3"));
        assert_eq!(log.key("a"), Some((b"3".to_vec(), 6, 6, 1)));
        assert_eq!(log.key("b"), Some((b"1".to_vec(), 3, 3, 1)));
    }

    #[test]
    fn the_flags_of_a_put_keep_and_show_what_was_there() {
        let mut log = log();
        let lease = LeaseId(7);
        let keep_value = Put { ignore_value: true, prev_kv: true, lease, ..put("a", "") };
        let keep_lease = Put { ignore_lease: true, ..put("a", "2") };
        assert_eq!(log.run(keep_value.clone()).outcome, refused(Refusal::KeyNotFound));
        assert_eq!(log.run(keep_lease.clone()).outcome, refused(Refusal::KeyNotFound));
        log.run(put("a", "1"));
        let was = log.store.get(b"a").expect("memory");
        assert_eq!(log.run(keep_value).outcome, Outcome::Put(PutOutcome { prev_kv: was }));
        assert_eq!(log.run(keep_lease).outcome, Outcome::Put(PutOutcome::default()));
        let Some(KeyValue { record, .. }) = log.store.get(b"a").expect("memory") else { panic!("gone") };
        assert_eq!((record.value.as_slice(), record.lease, record.version), (&b"2"[..], lease, 3));
        log.run(put("a", "3"));
        let Some(KeyValue { record, .. }) = log.store.get(b"a").expect("memory") else { panic!("gone") };
        assert_eq!(record.lease, LeaseId::NONE, "a put without a lease detaches the key");
        let contradictions = [
            (Put { ignore_value: true, ..put("a", "x") }, Refusal::ValueProvided),
            (Put { ignore_lease: true, lease, ..put("a", "x") }, Refusal::LeaseProvided),
        ];
        for (put, refusal) in contradictions {
            assert_eq!(log.run(put).outcome, refused(refusal));
        }
    }

    #[test]
    fn a_delete_counts_and_shows_what_it_removed() {
        let mut log = log();
        for key in ["a", "b", "c"] {
            log.run(put(key, "v"));
        }
        let Outcome::Deleted(deleted) = log.run(Delete { keys: between("a", "c"), prev_kv: true }).outcome
        else {
            panic!("not a delete")
        };
        assert_eq!(deleted.deleted, 2);
        let keys: Vec<&[u8]> = deleted.prev_kvs.iter().map(|kv| kv.key.as_slice()).collect();
        assert_eq!(keys, [b"a", b"b"]);
        assert_eq!(log.store.range(&Range::new(KeyRange::all())).expect("memory").count, 1);
    }

    #[test]
    fn a_read_counts_everything_and_shows_what_was_asked_for() {
        let mut log = log();
        for key in ["a", "b", "c"] {
            log.run(put(key, "v"));
        }
        let all = Range::new(KeyRange::all());
        let cases = [
            (all.clone(), 3, false),
            (Range { limit: 2, ..all.clone() }, 2, true),
            (Range { limit: 3, ..all.clone() }, 3, false),
            (Range { count_only: true, limit: 1, ..all.clone() }, 0, false),
        ];
        for (range, shown, more) in cases {
            let found = log.store.range(&range).expect("memory");
            assert_eq!((found.kvs.len(), found.more, found.count), (shown, more, 3), "{range:?}");
        }
        let found = log.store.range(&Range { keys_only: true, ..all }).expect("memory");
        assert!(found.kvs.iter().all(|kv| kv.record.value.is_empty() && kv.record.version == 1));
    }

    #[test]
    fn a_retry_is_answered_from_memory_and_not_carried_out() {
        let mut log = log();
        let client = log.open_session();
        assert_eq!(client, ClientId(1), "a session is named after the index of its entry");
        let first = log.tagged(client, 5, put("a", "1"));
        log.run(put("a", "2"));
        assert_eq!(log.tagged(client, 5, put("a", "1")), first);
        assert_eq!(log.key("a"), Some((b"2".to_vec(), 2, 3, 2)));
        assert_eq!(log.store.revision(), Revision(3));
        // A refusal is an answer like any other, even if the request would now succeed.
        let keep = Put { ignore_value: true, ..put("b", "") };
        let first = log.tagged(client, 6, keep.clone());
        assert_eq!(first.outcome, refused(Refusal::KeyNotFound));
        log.run(put("b", "1"));
        assert_eq!(log.tagged(client, 6, keep), first);
    }

    #[test]
    fn an_older_request_is_refused() {
        let mut log = log();
        let client = log.open_session();
        log.tagged(client, 5, put("a", "1"));
        assert_eq!(log.tagged(client, 4, put("a", "0")).outcome, refused(Refusal::SequenceTooOld));
        assert_eq!(log.key("a"), Some((b"1".to_vec(), 2, 2, 1)));
        assert_eq!(log.tagged(client, 9, put("a", "2")).revision, Revision(3), "gaps are allowed");
    }

    #[test]
    fn sessions_are_independent() {
        let mut log = log();
        let (a, b) = (log.open_session(), log.open_session());
        log.tagged(a, 1, put("a", "1"));
        assert_eq!(log.tagged(b, 1, put("a", "2")).revision, Revision(3));
    }

    #[test]
    fn an_unknown_or_closed_session_is_refused_and_nothing_applied() {
        let mut log = log();
        let client = log.open_session();
        log.tagged(client, 1, Op::NoOp);
        assert_eq!(log.tagged(client, 2, Op::CloseSession { client }).outcome, Outcome::SessionClosed);
        for client in [client, ClientId(77)] {
            assert_eq!(log.tagged(client, 3, put("a", "1")).outcome, refused(Refusal::SessionExpired));
            assert_eq!(log.run(Op::CloseSession { client }).outcome, refused(Refusal::SessionExpired));
        }
        assert_eq!(log.key("a"), None);
        assert!(log.store.sessions().is_empty());
    }

    #[test]
    fn a_session_expires_by_log_position_and_any_use_prolongs_it() {
        for pass_by_advance in [false, true] {
            let mut log = Log::<Shipped>::new(3);
            let (idle, busy) = (log.open_session(), log.open_session());
            for sequence in [1, 1, 0] {
                log.tagged(busy, sequence, Op::NoOp);
            }
            assert_eq!(log.store.sessions().len(), 1, "{idle:?}, last used at entry 1, is gone at entry 5");
            assert_eq!(log.tagged(idle, 1, put("a", "1")).outcome, refused(Refusal::SessionExpired));
            for _ in 0..3 {
                if pass_by_advance {
                    let id = log.next();
                    log.store.advance(id).expect("memory");
                } else {
                    log.run(Op::NoOp);
                }
            }
            assert_eq!(log.store.sessions().len(), 0, "last used at entry 5, gone at entry 9");
            assert_eq!(log.store.revision(), Revision::FIRST);
        }
    }

    #[test]
    fn a_request_at_the_entry_of_its_expiry_is_refused() {
        let mut log = Log::<Shipped>::new(2);
        let client = log.open_session();
        log.run(Op::NoOp);
        log.run(Op::NoOp);
        assert_eq!(log.store.sessions().len(), 1);
        assert_eq!(log.tagged(client, 1, put("a", "1")).outcome, refused(Refusal::SessionExpired));
        assert_eq!(log.key("a"), None);
        let client = log.open_session();
        log.run(Op::NoOp);
        log.run(Op::NoOp);
        let closed = log.run(Op::CloseSession { client });
        assert_eq!(closed.outcome, refused(Refusal::SessionExpired));
    }

    #[test]
    fn a_snapshot_replaces_everything_and_answers_retries() {
        let mut log = log();
        let client = log.open_session();
        let answer = log.tagged(client, 1, put("a", "1"));
        log.run(put("a", "2"));
        let snapshot = log.store.snapshot().expect("memory");

        let mut other = Log::<Shipped>::new(7);
        other.run(put("stale", "x"));
        other.open_session();
        other.store.restore(snapshot).expect("memory");
        assert_eq!(other.store, log.store, "with its sessions, their ttl and the position");
        assert_eq!(other.tagged(client, 1, put("a", "1")), answer);
        assert_eq!(other.key("a"), Some((b"2".to_vec(), 2, 3, 2)));
    }

    #[test]
    fn a_view_stays_while_the_store_moves_on() {
        let mut log = log();
        log.run(put("a", "1"));
        let view = log.store.engine().view();
        log.run(Delete::new(one("a")));
        assert_eq!(view.clone().get(b"a").expect("memory").map(|kv| kv.record.version), Some(1));
        assert_eq!(view.position().applied.index, Index(1));
        assert_eq!(Snapshot::of::<Shipped>(&view).expect("memory").keys.len(), 1);
        assert_eq!(log.store.engine().durable_applied(), EntryId::ZERO);
    }

    #[test]
    #[cfg(feature = "std")]
    fn an_entry_out_of_order_is_not_survived() {
        for (term, index) in [(2, 2), (2, 4), (1, 3)] {
            let mut store: Store = Store::default();
            for index in 1..=2 {
                store.advance(EntryId::new(Term(2), Index(index))).expect("memory");
            }
            let id = EntryId::new(Term(term), Index(index));
            let result = std::panic::catch_unwind(move || store.apply(id, &Command::new(Op::NoOp)));
            assert!(result.is_err(), "{id}");
        }
    }

    /// The short way of the engine in memory and the way of the trait are the same function.
    #[test]
    fn a_plain_put_does_what_its_parts_would_do() {
        for seed in 0..200 {
            let mut dice = Dice::new(seed);
            let (mut short, mut long) = (log(), log());
            for _ in 0..40 {
                let command = dice.command();
                let response = short.command(&command);
                // In a transaction the same put goes through the overlay.
                let Command { session: None, op: Op::Put(put) } = &command else {
                    assert_eq!(long.command(&command), response);
                    continue;
                };
                let txn = Txn {
                    compares: vec![],
                    then: vec![SimpleOp::from(put.clone()).into()],
                    otherwise: vec![],
                };
                assert_eq!(long.run(txn).revision, response.revision, "{command:?}");
                assert_eq!(long.store, short.store, "{command:?}");
            }
        }
    }

    /// Each rule that is taken away shows: the decisions are made where the rules say so.
    #[test]
    fn the_store_follows_its_rules() {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        struct Different;
        impl Rules for Different {
            fn judge(_: Option<u64>, _: u64) -> Verdict {
                Verdict::New
            }
            fn is_expired(_: Index, _: Index, _: u64) -> bool {
                false
            }
            fn compares_see_earlier_steps() -> bool {
                true
            }
            fn snapshot_sessions(sessions: &Sessions) -> Sessions {
                Sessions::new(sessions.ttl_entries())
            }
            fn restored<V: View>(before: &V, mut snapshot: Snapshot) -> Result<Snapshot, EngineError> {
                snapshot.keys.extend(before.range(&KeyRange::all()).collect::<Result<Vec<_>, _>>()?);
                Ok(snapshot)
            }
        }
        let mut log = Log::<Different>::new(1);
        let client = log.open_session();
        log.tagged(client, 1, put("a", "1"));
        log.tagged(client, 1, put("a", "1"));
        assert_eq!(log.key("a").map(|key| key.3), Some(2), "applied twice");
        log.run(Op::NoOp);
        log.run(Op::NoOp);
        assert_eq!(log.store.sessions().len(), 1, "never expires");
        let snapshot = log.store.snapshot().expect("memory");
        assert!(snapshot.sessions.is_empty());
        let mut other = Log::<Different>::new(1);
        other.run(put("stale", "x"));
        other.store.restore(snapshot).expect("memory");
        assert!(other.key("stale").is_some() && other.key("a").is_some(), "merged");
        let inner = Txn {
            compares: vec![crate::kv::fixture::compare("n", Relation::Greater, Target::Version(0))],
            then: vec![SimpleOp::from(put("seen", "1"))],
            otherwise: vec![],
        };
        let then = vec![SimpleOp::from(put("n", "1")).into(), TxnOp::Txn(inner)];
        log.run(Txn { compares: vec![], then, otherwise: vec![] });
        assert!(log.key("seen").is_some());
    }
}
