//! The revisions that clients saw, over all keys together.
//!
//! Every command that changed a key owns a revision, one more than the one before. Where clients are told
//! revisions, the order of the changes need not be searched for, and transactions over several keys, which
//! cannot be checked key by key, are as easy as the rest:
//!
//! 1. Every returned write is a change with a revision of its own, or changed nothing and is a look at the
//!    store at its revision, or is a delete that may be either. A value names the put that it is from, so one
//!    that was read gives its revision to a write whose client never learned the outcome.
//! 2. No two changes own one revision.
//! 3. Along each key, all that was seen is the fold of the changes ([`timeline`](super::timeline)).
//! 4. A read past the log has no revision, but there are revisions at which what it saw held.
//! 5. What returned before another was invoked is not after it: its revision is not larger, and smaller if
//!    the other is a change. Reads past the log are put at the least revision that is left to them.
//! 6. Every revision that the store reached was owned by somebody: by what is known or by a write of unknown
//!    outcome that was invoked early enough.
//!
//! # What this leaves out
//!
//! If every outcome is known, so is every change, and what passes is linearizable: changes in the order of
//! revisions, what only looks after the change it looks at, in the order of invocation. With unknown outcomes
//! these slip through:
//!
//! - writes that nobody read a value of are only counted: whether one explains something is asked for every
//!   key and every fact on its own, so that one may serve twice, for a revision and against it;
//! - what such a write compares with is only looked at as far as that somebody puts it, and what else it
//!   would have changed not at all; nor is whether what it deletes was there;
//! - a value that was compared with but never read does not give its put a revision.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::timeline::{self, LeftOver, Mark, Misfit, Owned, Timeline, Walk, What};
use super::{Start, Violation};
use crate::raft::Bytes;
use crate::sim::history::{Doing, Found, Operation, Return};

/// What an operation is to the revisions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It changed a key and owns this revision.
    Change(u64),
    /// It looked at the store at this revision and changed nothing.
    Look(u64),
    /// It deleted keys at this revision, or they did not exist: one of the above.
    PerhapsChange(u64),
    /// A read past the log.
    Unplaced,
    /// A write that never returned and of which nothing was seen. It may have changed something or not.
    LeftOver,
}

impl Role {
    fn revision(self) -> Option<u64> {
        match self {
            Role::Change(at) | Role::Look(at) | Role::PerhapsChange(at) => Some(at),
            Role::Unplaced | Role::LeftOver => None,
        }
    }
}

/// A revision that the store had reached, and the operation that showed it; none at the start.
type Reached = (u64, Option<usize>);

struct Ledger<'a> {
    history: &'a [Operation],
    start: &'a Start,
    /// Calls and returns in order of time: when, which operation, whether it is the return.
    moments: Vec<(u64, usize, bool)>,
    roles: Vec<Role>,
    /// Which list was taken, of what is not left over.
    succeeded: Vec<bool>,
    /// For a key and a value: the only operation that puts it, and in which list.
    sources: BTreeMap<(&'a Bytes, &'a Bytes), (usize, bool)>,
}

/// Finds what does not fit.
pub(super) fn check(history: &[Operation], start: &Start) -> Result<(), Violation> {
    let mut ledger = Ledger::new(history, start)?;
    ledger.place_what_was_seen()?;
    // Every further round knows of one delete more whether it changed something.
    while !ledger.is_consistent()? {}
    Ok(())
}

impl<'a> Ledger<'a> {
    fn new(history: &'a [Operation], start: &'a Start) -> Result<Ledger<'a>, Violation> {
        let mut moments = Vec::with_capacity(2 * history.len());
        let mut sources = BTreeMap::new();
        for (at, Operation { call, invoked, returned }) in history.iter().enumerate() {
            moments.push((*invoked, at, false));
            moments.extend(returned.iter().map(|(time, _)| (*time, at, true)));
            for (step, list) in
                [true, false].iter().flat_map(|list| call.steps(*list).map(|step| (step, *list)))
            {
                let Doing::Put(key, value) = step else { continue };
                if let Some((other, _)) = sources.insert((key, value), (at, list)) {
                    let what = format!("not a history: {key:?}={value:?} is put twice");
                    return Err(Violation::new(history, [other, at], &what));
                }
            }
        }
        moments.sort_unstable();
        let mut ledger =
            Ledger { history, start, moments, roles: Vec::new(), succeeded: Vec::new(), sources };
        for (at, operation) in history.iter().enumerate() {
            let role =
                operation.returned.as_ref().map_or(Role::LeftOver, |(_, answer)| role(operation, answer));
            ledger.roles.push(role);
            ledger.succeeded.push(operation.returned.as_ref().is_some_and(|(_, answer)| answer.succeeded));
            let earliest = start.revision + u64::from(matches!(role, Role::Change(_)));
            if let Some(revision) = role.revision().filter(|revision| *revision < earliest) {
                let what =
                    format!("revision {revision} was over when the history began at {}", start.revision);
                return Err(Violation::new(history, [at], &what));
            }
        }
        Ok(ledger)
    }

    /// Whether nothing is wrong; not yet if more has become known than was looked at.
    fn is_consistent(&mut self) -> Result<bool, Violation> {
        let owned = self.owned()?;
        let floors = self.floors();
        let left_over = self.left_over(&floors);
        let mut timelines = BTreeMap::new();
        let mut all = Walk::default();
        for (key, marks) in self.marks(&owned, &floors) {
            let nobody = LeftOver::default();
            let left_over = left_over.get(key).unwrap_or(&nobody);
            let walk = timeline::walk(&owned, left_over, self.start.keys.get(key), marks);
            let walk = walk.map_err(|Misfit { operations, detail }| {
                self.violation(operations, &format!("{key:?} does not fit: {detail}"))
            })?;
            timelines.insert(key, walk.timeline);
            all.claims.extend(walk.claims);
            all.forced.extend(walk.forced);
            all.held.extend(walk.held);
        }
        let claims: BTreeSet<u64> = all.claims.into_iter().collect();
        all.held.sort_unstable();
        if self.settle_deletes(all.forced, &claims, &all.held, left_over.is_empty())? {
            return Ok(false);
        }
        self.check_failures(&all.held)?;
        let (reached, floors) = self.check_order(&timelines)?;
        self.check_gaps(&owned, &claims, reached, &floors)?;
        Ok(true)
    }

    fn violation(&self, operations: impl IntoIterator<Item = usize>, what: &str) -> Violation {
        Violation::new(self.history, operations, what)
    }

    /// Compares what was read with the puts it is from, and gives revisions to those that never returned.
    fn place_what_was_seen(&mut self) -> Result<(), Violation> {
        for (reader, key, found) in seen(self.history) {
            let Found { value, mod_revision, .. } = found;
            if *mod_revision <= self.start.revision {
                continue; // The walk compares it with the start.
            }
            let Some((writer, list)) = self.sources.get(&(key, value)).copied() else {
                return Err(self.violation([reader], &format!("{key:?}={value:?} was never put")));
            };
            let at_first = self.start.keys.get(key);
            let what = match self.roles[writer] {
                _ if at_first.is_some_and(|found| found.value == *value) => {
                    "it was already put before the start"
                }
                Role::LeftOver => {
                    self.roles[writer] = Role::Change(*mod_revision);
                    self.succeeded[writer] = list;
                    continue;
                }
                _ if self.succeeded[writer] != list => "it is in the list that was not taken",
                Role::Change(own) if own == *mod_revision => continue,
                _ => "its put is at another revision",
            };
            let what = format!("{key:?} was seen as {found}, but {what}");
            return Err(self.violation([writer, reader], &what));
        }
        Ok(())
    }

    fn owned(&self) -> Result<Owned, Violation> {
        let mut owners = Vec::new();
        for (at, role) in self.roles.iter().enumerate() {
            if let Role::Change(revision) = *role {
                owners.push((revision, at));
            }
        }
        owners.sort_unstable();
        if let Some(pair) = owners.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let what = format!("two changes have revision {}", pair[0].0);
            return Err(self.violation([pair[0].1, pair[1].1], &what));
        }
        Ok(Owned::new(self.start.revision, owners.into_iter().map(|(revision, _)| revision).collect()))
    }

    /// For every operation, the highest revision that is known to have been reached before it was invoked,
    /// reads past the log not considered.
    fn floors(&self) -> Vec<u64> {
        let mut floors = vec![0; self.history.len()];
        let mut reached = self.start.revision;
        for (_, at, is_return) in &self.moments {
            if *is_return {
                reached = reached.max(self.roles[*at].revision().unwrap_or(0));
            } else {
                floors[*at] = reached;
            }
        }
        floors
    }

    fn left_over(&self, floors: &[u64]) -> BTreeMap<&'a Bytes, LeftOver> {
        let mut left_over: BTreeMap<&Bytes, LeftOver> = BTreeMap::new();
        let calls = self.moments.iter().filter(|(_, at, _)| self.roles[*at] == Role::LeftOver);
        for (invoked, at, _) in calls {
            let (mut put, mut deleted) = (BTreeSet::new(), BTreeSet::new());
            for step in self.steps_that_may_be(*at) {
                match step {
                    Doing::Put(key, _) => put.insert(key),
                    Doing::Delete(key) => deleted.insert(key),
                    Doing::Get(_) => false,
                };
            }
            // In order of invocation, so the floors are in ascending order.
            put.into_iter().for_each(|key| left_over.entry(key).or_default().putters.push(floors[*at]));
            for key in deleted {
                let of_key = left_over.entry(key).or_default();
                of_key.deleters.push(floors[*at]);
                of_key.deleter_invoked.get_or_insert(*invoked);
            }
        }
        left_over
    }

    /// The steps of both lists of an operation of unknown outcome. Not of one that it cannot have taken: it
    /// compares with nothing, or with a value that nobody puts.
    fn steps_that_may_be(&self, at: usize) -> impl Iterator<Item = Doing<'a>> {
        let call = &self.history[at].call;
        let is_there = |(key, value): &(Bytes, Option<Bytes>)| {
            let Some(value) = value else { return true };
            let at_first = self.start.keys.get(key);
            at_first.is_some_and(|found| found.value == *value) || self.sources.contains_key(&(key, value))
        };
        let may_hold = call.compares().iter().all(is_there);
        let may_fail = !call.compares().is_empty();
        let steps = |list, may_be: bool| may_be.then(|| call.steps(list)).into_iter().flatten();
        steps(true, may_hold).chain(steps(false, may_fail))
    }

    fn may_change(&self, at: usize) -> bool {
        self.steps_that_may_be(at).any(|step| !matches!(step, Doing::Get(_)))
    }

    /// What is known about every key.
    fn marks(&self, owned: &Owned, floors: &[u64]) -> BTreeMap<&'a Bytes, Vec<Mark<'a>>> {
        let mut marks: BTreeMap<&Bytes, Vec<Mark<'_>>> = BTreeMap::new();
        for (by, operation) in self.history.iter().enumerate() {
            for key in operation.call.keys() {
                marks.entry(key).or_default();
            }
            let mut mark = |key: &'a Bytes, revision, what| {
                marks.entry(key).or_default().push(Mark { revision, what, by });
            };
            let role = self.roles[by];
            let Some(own) = role.revision() else {
                for (key, found) in founds(operation) {
                    // It held at its own revision, wherever the read was.
                    if let Some(found) = found {
                        mark(key, found.mod_revision.max(self.start.revision), What::Present(found));
                    }
                }
                continue;
            };
            // The state that it found is that before its change. For a delete that may have changed nothing
            // take the state after it: keys that it did not delete are the same, and of those that it did
            // delete it can only have said that they did not exist, or it would be known for a change.
            let base = if matches!(role, Role::Change(_)) { own - 1 } else { own };
            let is_perhaps = matches!(role, Role::PerhapsChange(_));
            let succeeded = self.succeeded[by];
            let deletes = |key| operation.call.steps(succeeded).any(|step| step == Doing::Delete(key));
            for (key, value) in operation.call.compares() {
                match value {
                    Some(value) if succeeded => {
                        mark(key, base, What::Is(value, self.floor_of(key, value, floors)))
                    }
                    None if succeeded => mark(key, base, What::Absent),
                    _ if is_perhaps && deletes(key) => {}
                    value => mark(key, base, What::PerhapsIsNot(value.as_ref())),
                }
            }
            let mut founds = founds(operation);
            let mut written: Vec<&Bytes> = Vec::new();
            for step in operation.call.steps(succeeded) {
                match step {
                    Doing::Put(key, value) => mark(key, own, What::Put(value)),
                    Doing::Delete(key) if base < own => mark(key, own, What::Delete),
                    Doing::Delete(key) if is_perhaps && floors[by] < own && owned.is_gap(own) => {
                        mark(key, own, What::PerhapsDelete);
                    }
                    Doing::Delete(key) => mark(key, own, What::Absent),
                    Doing::Get(key) => match founds.next() {
                        Some((_, Some(found))) => {
                            mark(key, if written.contains(&key) { own } else { base }, What::Present(found));
                        }
                        Some((_, None)) => {
                            mark(key, if written.contains(&key) { own } else { base }, What::Absent)
                        }
                        None => {}
                    },
                }
                if !matches!(step, Doing::Get(_)) {
                    written.push(step.key());
                }
            }
        }
        marks
    }

    /// The floor of the write that puts this value, if that is left over.
    fn floor_of(&self, key: &'a Bytes, value: &'a Bytes, floors: &[u64]) -> Option<u64> {
        let (writer, _) = *self.sources.get(&(key, value))?;
        (self.roles[writer] == Role::LeftOver).then(|| floors[writer])
    }

    /// Finds out which deletes were changes. If a key went missing at a revision and only deletes explain it,
    /// one of them is its owner: one that explains all keys that did, and of several one that must be a
    /// change, else the first to be invoked, since to be the owner is to be after all that returned before. If
    /// there are writes of unknown outcome, one of several that need not is no better than another, as it may
    /// yet explain what they now seem to; that is left open. Other deletes at that revision, and those at one that
    /// no delete can own, changed nothing.
    ///
    /// Whether that is worth another walk: it is for an operation of which one of several compares failed,
    /// since it is now known which state they saw.
    fn settle_deletes(
        &mut self,
        mut forced: Vec<(u64, Vec<usize>)>,
        claims: &BTreeSet<u64>,
        held: &[usize],
        is_all_known: bool,
    ) -> Result<bool, Violation> {
        let mut owners = BTreeMap::new();
        forced.sort_unstable();
        for same in forced.chunk_by(|one, other| one.0 == other.0) {
            let (revision, deletes) = &same[0];
            let explains_all = |at: &usize| same.iter().all(|(_, deletes)| deletes.contains(at));
            let able: Vec<usize> = deletes.iter().copied().filter(explains_all).collect();
            let must = |at: usize| self.must_change(at, held);
            let Some(owner) = able.iter().copied().min_by_key(|at| (!must(*at), self.history[*at].invoked))
            else {
                let what = format!("two changes have revision {revision}");
                return Err(
                    self.violation(same.iter().flat_map(|(_, deletes)| deletes.iter().copied()), &what)
                );
            };
            if is_all_known || able.len() == 1 || must(owner) {
                owners.insert(*revision, owner);
            }
        }
        let mut is_worth_a_walk = false;
        for at in 0..self.roles.len() {
            let Role::PerhapsChange(own) = self.roles[at] else { continue };
            self.roles[at] = match owners.get(&own) {
                Some(owner) if *owner == at => Role::Change(own),
                None if claims.contains(&own) => continue,
                _ => Role::Look(own),
            };
            is_worth_a_walk |= !self.succeeded[at] && self.history[at].call.compares().len() > 1;
        }
        Ok(is_worth_a_walk)
    }

    /// Whether a delete must have been a change because one of its compares failed: all others held, and
    /// those of keys that it deletes hold if it found nothing to delete.
    fn must_change(&self, at: usize, held: &[usize]) -> bool {
        let held = held.partition_point(|by| *by <= at) - held.partition_point(|by| *by < at);
        let missing = self.compares_missing(at);
        missing > 0 && missing + held == self.history[at].call.compares().len()
    }

    /// How many compares of an operation that was told that one failed ask that a key be missing that it then
    /// deletes.
    fn compares_missing(&self, at: usize) -> usize {
        let Operation { call, .. } = &self.history[at];
        let deletes = |key| call.steps(false).any(|step| step == Doing::Delete(key));
        let missing = call.compares().iter().filter(|(key, value)| value.is_none() && deletes(key));
        if self.succeeded[at] { 0 } else { missing.count() }
    }

    /// Whether every operation that was told that a compare failed had one that may have; `held` names the
    /// operation of each compare that did not, in ascending order.
    fn check_failures(&self, held: &[usize]) -> Result<(), Violation> {
        for same in held.chunk_by(|one, other| one == other) {
            let at = same[0];
            if same.len() == self.history[at].call.compares().len() {
                return Err(self.violation([at], "a compare failed, but all held"));
            }
        }
        Ok(())
    }

    /// Whether revisions follow real time; finds the highest revision that was reached, and for every
    /// operation the highest before it was invoked.
    ///
    /// Reads past the log are put, in order of invocation, at the least revision at which all that they saw
    /// held and which is not smaller than that of anything that returned before. That is all there is to
    /// try: a read bounds others only from below, by its own revision, so a smaller one leaves every other
    /// operation at least as much; and by induction along the calls no assignment has a smaller one, since
    /// the operations that bound a read from below were invoked before it.
    fn check_order(
        &self,
        timelines: &BTreeMap<&'a Bytes, Timeline>,
    ) -> Result<(Reached, Vec<u64>), Violation> {
        let mut floors = vec![0; self.history.len()];
        let mut placed: Vec<u64> = self.roles.iter().map(|role| role.revision().unwrap_or(0)).collect();
        let mut floor: Reached = (self.start.revision, None);
        let mut highest = floor;
        for (_, at, is_return) in self.moments.iter().copied() {
            if is_return {
                floor = floor.max((placed[at], Some(at)));
                continue;
            }
            floors[at] = floor.0;
            let role = self.roles[at];
            let is_after = match role {
                Role::Change(own) => floor.0 < own,
                Role::Look(own) | Role::PerhapsChange(own) => floor.0 <= own,
                Role::Unplaced => {
                    placed[at] = self.least(at, floor, timelines)?;
                    true
                }
                Role::LeftOver => true,
            };
            if !is_after {
                let what = format!(
                    "revision {} {}, but {} was reached before it was invoked",
                    placed[at],
                    if matches!(role, Role::Change(_)) { "is a change" } else { "was looked at" },
                    floor.0
                );
                return Err(self.violation(floor.1.into_iter().chain([at]), &what));
            }
            highest = highest.max((placed[at], Some(at)));
        }
        Ok((highest, floors))
    }

    /// The least revision from `floor` on at which a read can have seen all that it saw.
    fn least(
        &self,
        read: usize,
        floor: Reached,
        timelines: &BTreeMap<&'a Bytes, Timeline>,
    ) -> Result<u64, Violation> {
        let returned = self.history[read].returned.as_ref().map_or(u64::MAX, |(time, _)| *time);
        let mut revision = floor.0;
        loop {
            let before = revision;
            for (key, found) in founds(&self.history[read]) {
                let least =
                    timelines.get(key).and_then(|of_key| of_key.least(found.as_ref(), revision, returned));
                revision = least.ok_or_else(|| {
                    let what = match found {
                        Some(found) => format!("{key:?}={found} was over"),
                        None => format!("{key:?} did not go missing again"),
                    };
                    let what = format!("{what} at revision {revision}, which the read cannot be before");
                    self.violation(floor.1.into_iter().chain([read]), &what)
                })?;
            }
            if revision == before {
                return Ok(revision);
            }
        }
    }

    /// Whether every revision up to the highest can have had an owner. A left-over write may own any that is
    /// larger than its floor; so if the gaps are filled in ascending order, the nth needs at least n writes
    /// whose floors are smaller, and that suffices (Hall: the sets are nested).
    fn check_gaps(
        &self,
        owned: &Owned,
        claims: &BTreeSet<u64>,
        (highest, by): Reached,
        floors: &[u64],
    ) -> Result<(), Violation> {
        let calls = self.moments.iter().filter(|(_, at, _)| self.roles[*at] == Role::LeftOver);
        let fillers: Vec<u64> =
            calls.filter(|(_, at, _)| self.may_change(*at)).map(|(_, at, _)| floors[*at]).collect();
        let mut gap = owned.gap_after(self.start.revision);
        let mut filled = 0;
        while gap <= highest {
            if !claims.contains(&gap) {
                if fillers.partition_point(|floor| *floor < gap) <= filled {
                    let what =
                        format!("no operation can have changed anything at revision {gap} of {highest}");
                    return Err(self.violation(by, &what));
                }
                filled += 1;
            }
            gap = owned.gap_after(gap);
        }
        Ok(())
    }
}

/// What a returned operation is to the revisions.
fn role(operation: &Operation, answer: &Return) -> Role {
    let Some(revision) = answer.revision else { return Role::Unplaced };
    let steps = || operation.call.steps(answer.succeeded);
    if steps().any(|step| matches!(step, Doing::Put(..))) {
        return Role::Change(revision);
    }
    // What the operation itself says about the keys that it deletes.
    let mut said: Vec<(&Bytes, bool)> = Vec::new();
    match operation.call.compares() {
        compares if answer.succeeded => {
            said.extend(compares.iter().map(|(key, value)| (key, value.is_some())));
        }
        [(key, None)] => said.push((key, true)),
        _ => {}
    }
    let mut founds = answer.found.iter();
    let mut deleted = Vec::new();
    for step in steps() {
        match step {
            Doing::Delete(key) => deleted.push(key),
            Doing::Get(key) => {
                let found = founds.next().is_some_and(|(_, found)| found.is_some());
                if !deleted.contains(&key) {
                    said.push((key, found));
                }
            }
            Doing::Put(..) => {}
        }
    }
    let existed = |key: &&Bytes| said.iter().find(|(of, _)| of == key).map(|(_, existed)| *existed);
    if deleted.iter().any(|key| existed(key) == Some(true)) {
        Role::Change(revision)
    } else if deleted.iter().all(|key| existed(key) == Some(false)) {
        Role::Look(revision)
    } else {
        Role::PerhapsChange(revision)
    }
}

/// What an operation found.
fn founds(operation: &Operation) -> impl Iterator<Item = (&Bytes, &Option<Found>)> {
    let founds = operation.returned.iter().flat_map(|(_, answer)| &answer.found);
    founds.map(|(key, found)| (key, found))
}

/// Every key that was seen to exist, and by which operation.
fn seen(history: &[Operation]) -> impl Iterator<Item = (usize, &Bytes, &Found)> {
    let all = history.iter().enumerate();
    all.flat_map(|(at, operation)| {
        founds(operation).filter_map(move |(key, found)| found.as_ref().map(|found| (at, key, found)))
    })
}
