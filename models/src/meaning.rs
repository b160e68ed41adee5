//! What the dictionary's commands mean, said without the store that carries them out.
//!
//! The [oracle](crate::oracle) applies the committed log to the shipped store once more, which shows that replicas agree
//! with the log, and nothing of what the store itself gets wrong: that would be wrong both times. So what the store
//! made of the log is compared with this: two keys, a revision, one session, by etcd's rules.
//!
//! Left out: sessions that expire, since a run is far shorter, and every command that the dictionary lacks.

use std::collections::BTreeMap;

use dkv::kv::{
    DeleteOutcome, Outcome, PutOutcome, RangeOutcome, Refusal, Response, Revision, SimpleOutcome,
    TxnOpOutcome, TxnOutcome,
};
use dkv::raft::EntryId;
use dkv::raft::invariants::{Invariant, Verdict, ensure};

use crate::letters::{Command, DELETE, NESTED, OPEN_SESSION, View, sequence_of};

/// A key's value and what etcd counts of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    value: u8,
    created: u64,
    modified: u64,
    version: u64,
}

/// All keys, and the session that entry 1 opened, if it did.
#[derive(Debug)]
struct Keys {
    revision: u64,
    pairs: BTreeMap<&'static str, Pair>,
    session: Option<Vec<(u8, Response)>>,
}

impl Keys {
    fn put(&mut self, key: &'static str, value: u8) {
        let revision = self.revision;
        let fresh = Pair { value, created: revision, modified: revision, version: 0 };
        let pair = self.pairs.entry(key).or_insert(fresh);
        *pair = Pair { value, modified: revision, version: pair.version + 1, created: pair.created };
    }

    fn respond(&self, outcome: Outcome) -> Response {
        Response { revision: Revision(self.revision), outcome }
    }

    fn apply(&mut self, at: EntryId, command: Command) -> Response {
        let put = || Outcome::Put(PutOutcome::default());
        match command {
            OPEN_SESSION => {
                if at.index.0 == 1 {
                    self.session = Some(Vec::new());
                }
                self.respond(Outcome::SessionOpened { client: dkv::kv::ClientId(at.index.0) })
            }
            DELETE => {
                let deleted = self.pairs.len() as u64;
                self.pairs.clear();
                self.revision += u64::from(deleted > 0);
                self.respond(Outcome::Deleted(DeleteOutcome { deleted, prev_kvs: Vec::new() }))
            }
            NESTED => {
                // Compares see what was there before the request.
                let is_new = !self.pairs.contains_key("k");
                self.revision += 1;
                self.put("k", b'x');
                if is_new {
                    self.put("l", b'y');
                }
                let done = || SimpleOutcome::Put(PutOutcome::default());
                let inner = TxnOutcome {
                    succeeded: is_new,
                    outcomes: (0..u8::from(is_new)).map(|_| done()).collect(),
                };
                let outcomes = vec![TxnOpOutcome::Simple(done()), TxnOpOutcome::Txn(inner)];
                self.respond(Outcome::Txn(TxnOutcome { succeeded: true, outcomes }))
            }
            command => {
                let Some(sequence) = sequence_of(command) else {
                    self.revision += 1;
                    self.put("k", letter(command));
                    return self.respond(put());
                };
                let Some(answered) = &self.session else {
                    return self.respond(Outcome::Refused(Refusal::SessionExpired));
                };
                match answered.last() {
                    Some((last, response)) if *last == sequence => return response.clone(),
                    Some((last, _)) if *last > sequence => {
                        return self.respond(Outcome::Refused(Refusal::SequenceTooOld));
                    }
                    Some(_) | None => {}
                }
                self.revision += 1;
                self.put("k", letter(sequence));
                let response = self.respond(put());
                self.session.iter_mut().for_each(|answered| answered.push((sequence, response.clone())));
                response
            }
        }
    }

    fn is_seen_by(&self, seen: &RangeOutcome) -> bool {
        let is_pair = |(key, pair): (&&str, &Pair), seen: &dkv::kv::KeyValue| {
            let record = &seen.record;
            let counted = Pair {
                value: pair.value,
                created: record.create_revision.0,
                modified: record.mod_revision.0,
                version: record.version,
            };
            *seen.key == *key.as_bytes() && *record.value == [pair.value] && counted == *pair
        };
        !seen.more
            && seen.count == self.pairs.len() as u64
            && seen.kvs.len() == self.pairs.len()
            && self.pairs.iter().zip(&seen.kvs).all(|(pair, seen)| is_pair(pair, seen))
    }
}

fn letter(number: u8) -> u8 {
    b'a' + number.saturating_sub(1).min(25)
}

/// Judges what a store made of a log: every response in turn, and what it holds at the end.
pub(crate) fn judge_store(responses: &[(EntryId, Command, Response)], seen: &View) -> Verdict {
    let mut keys = Keys { revision: Revision::FIRST.0, pairs: BTreeMap::new(), session: None };
    for (at, command, response) in responses {
        let expected = keys.apply(*at, *command);
        ensure(*response == expected, Invariant::StateMachineSafety, || {
            format!("the store answers {response:?} to the command at {at}, which means {expected:?}")
        })?;
    }
    let is_as_meant = seen.as_ref().is_ok_and(|seen| keys.is_seen_by(seen));
    ensure(is_as_meant, Invariant::StateMachineSafety, || {
        format!("the store holds {seen:?}, and what was committed means {:?}", keys.pairs)
    })
}
