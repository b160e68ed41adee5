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

impl Default for Store {
    fn default() -> Store {
        Store::open(BTreeEngine::new(SESSION_TTL_ENTRIES))
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
