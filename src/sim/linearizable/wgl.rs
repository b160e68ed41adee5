//! The search for a linearization: the algorithm of Wing and Gong with the memo of Lowe.
//!
//! A history is linearizable (Herlihy and Wing, "Linearizability: a correctness condition for concurrent
//! objects", 1990) if its operations can be put in one order that a sequential object explains and that
//! keeps every operation that returned before another was invoked in front of it. Wing and Gong ("Testing
//! and verifying concurrent objects", 1993) find such an order by trying: calls and returns are a linked
//! list in the order of time; whatever was called before the first return of the list may come next; what
//! is chosen is lifted out of the list, and put back when nothing fits after it. Lowe ("Testing for
//! linearizability", 2017) remembers every configuration, which operations were chosen and the state they
//! led to, and never searches from the same one twice.
//!
//! # Unknown outcomes
//!
//! An operation that never returned may be chosen at any time after it was invoked, or never: the search is
//! over when all that returned are chosen. They are tried last, so that they are only used to explain
//! something; one that would not change the state is not tried, and of several equal ones the earliest
//! comes first, since it may stand wherever a later one may.
//!
//! # Configurations
//!
//! Chosen operations are a bit set in the order of invocation. Almost always all before some moment are
//! chosen and none after another, so a configuration keeps the number of full words and the words between.
//! A search that goes straight ahead therefore needs memory in proportion to the length of the history
//! times the number of clients, not to the square of the length.
//!
//! # What this leaves out
//!
//! The time is exponential in the number of operations that overlap, in the worst case: deciding is
//! NP-complete. The search counts its steps and gives up at a bound, which is [`Outcome::Undecided`] and not
//! success. Only the last few of the longest order are kept to explain a failure.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

/// A sequential object: what an operation may do to a state.
pub trait Model {
    /// A state of the object.
    type State: Clone + Ord;
    /// An operation together with what its client was told. Equal operations are interchangeable.
    type Operation: Ord;

    /// The states that `operation` may lead to from `state`: none if it cannot happen there, more than one
    /// if its outcome is unknown.
    fn step(&self, state: &Self::State, operation: &Self::Operation) -> impl Iterator<Item = Self::State>;
}

/// An operation and when it happened, in numbers of which no two are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed<O> {
    /// When it was invoked.
    pub invoked: u64,
    /// When it returned; nothing if its outcome is unknown.
    pub returned: Option<u64>,
    /// What it was.
    pub operation: O,
}

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<S> {
    /// There is an order that explains every operation that returned.
    Linearizable,
    /// There is none.
    NotLinearizable(Stuck<S>),
    /// The steps were used up. This says nothing about the history.
    Undecided,
}

/// The longest order that was found, and what could not follow it. Operations are positions in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck<S> {
    /// How many operations that returned are in the order.
    pub linearized: usize,
    /// The last of the order, at most [`TAIL`], in that order.
    pub last: Vec<usize>,
    /// The state after them.
    pub state: S,
    /// The operations that were invoked before any other had to be over, of which none could come next.
    pub next: Vec<usize>,
}

/// A finished search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search<S> {
    /// What it found.
    pub outcome: Outcome<S>,
    /// How often an operation was tried in a state.
    pub steps: u64,
}

/// How much of the longest order is kept.
pub const TAIL: usize = 8;

/// Searches for a linearization of `history`, in any order, from the state `start`, in at most `steps_max`
/// steps.
pub fn search<M: Model>(
    model: &M,
    start: M::State,
    history: &[Timed<M::Operation>],
    steps_max: u64,
) -> Search<M::State> {
    let mut run = Run::new(model, start, history);
    let outcome = run.search(steps_max);
    Search { outcome, steps: run.steps }
}

/// A set of small numbers which is dense at its beginning.
struct Chosen {
    words: Vec<u64>,
    /// How many words at the beginning are full.
    full: usize,
    /// How many words there are up to the last that is not empty.
    end: usize,
}

/// A [`Chosen`] to compare: equal sets are equal values.
type Choice = (usize, Vec<u64>);

impl Chosen {
    fn new(count: usize) -> Chosen {
        Chosen { words: vec![0; count.div_ceil(64)], full: 0, end: 0 }
    }

    fn insert(&mut self, number: usize) {
        self.words[number / 64] |= 1 << (number % 64);
        self.end = self.end.max(number / 64 + 1);
        while self.words.get(self.full) == Some(&u64::MAX) {
            self.full += 1;
        }
    }

    fn remove(&mut self, number: usize) {
        self.words[number / 64] &= !(1 << (number % 64));
        self.full = self.full.min(number / 64);
        while self.end > 0 && self.words[self.end - 1] == 0 {
            self.end -= 1;
        }
    }

    fn choice(&self) -> Choice {
        (self.full, self.words[self.full..self.end].to_vec())
    }
}

/// A call or a return in the list. The list is a ring: [`HEAD`] comes before the first and after the last.
struct Event {
    previous: usize,
    next: usize,
    time: u64,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Head,
    /// Of the operation that is at this position of `returned`, whose return is that event.
    Call(usize, usize),
    Return,
}

const HEAD: usize = 0;

/// Unknown operations that are equal, by their position in `unknown`: from the first, before the end.
struct Class {
    first: usize,
    end: usize,
    chosen: usize,
}

/// Where the search is among the candidates for the next operation.
#[derive(Clone, Copy)]
enum Place {
    /// At an event.
    Event(usize),
    /// Past the calls: at a class of unknown operations, of which those that were invoked before the
    /// horizon, the first return, may be next.
    Class { class: usize, horizon: u64 },
}

/// A choice that can be taken back.
struct Frame<S> {
    place: Place,
    /// Which of the states that it may lead to was taken.
    alternative: usize,
    /// The state before.
    before: S,
}

struct Run<'a, M: Model> {
    model: &'a M,
    history: &'a [Timed<M::Operation>],
    /// Positions in the history of what returned, in order of invocation.
    returned: Vec<usize>,
    /// Positions of the rest: equal ones together, in order of invocation.
    unknown: Vec<usize>,
    /// In order of the first invocation of each.
    classes: Vec<Class>,
    events: Vec<Event>,
    chosen_returned: Chosen,
    chosen_unknown: Chosen,
    seen: BTreeSet<(Choice, Choice, M::State)>,
    stack: Vec<Frame<M::State>>,
    /// How many of the stack returned.
    linearized: usize,
    state: M::State,
    longest: Option<Stuck<M::State>>,
    steps: u64,
}

impl<'a, M: Model> Run<'a, M> {
    fn new(model: &'a M, start: M::State, history: &'a [Timed<M::Operation>]) -> Run<'a, M> {
        let mut order: Vec<usize> = (0..history.len()).collect();
        order.sort_unstable_by_key(|at| history[*at].invoked);
        let (returned, rest): (Vec<usize>, Vec<usize>) =
            order.into_iter().partition(|at| history[*at].returned.is_some());
        let (unknown, classes) = classes(history, &rest);
        Run {
            model,
            history,
            events: events(history, &returned),
            chosen_returned: Chosen::new(returned.len()),
            chosen_unknown: Chosen::new(unknown.len()),
            returned,
            unknown,
            classes,
            seen: BTreeSet::new(),
            stack: Vec::new(),
            linearized: 0,
            state: start,
            longest: None,
            steps: 0,
        }
    }

    fn search(&mut self, steps_max: u64) -> Outcome<M::State> {
        let mut place = Place::Event(self.events[HEAD].next);
        let mut alternative = 0;
        while self.linearized < self.returned.len() {
            let Some(at) = self.candidate(&mut place) else {
                self.remember_the_longest();
                let Some(frame) = self.stack.pop() else { break };
                self.put_back(frame.place);
                self.state = frame.before;
                (place, alternative) = (frame.place, frame.alternative + 1);
                continue;
            };
            if self.steps == steps_max {
                return Outcome::Undecided;
            }
            self.steps += 1;
            let timed = &self.history[at];
            let Some(next) = self.model.step(&self.state, &timed.operation).nth(alternative) else {
                (place, alternative) = (self.after(place), 0);
                continue;
            };
            if timed.returned.is_none() && next == self.state {
                alternative += 1;
                continue;
            }
            self.lift(place);
            let configuration = (self.chosen_returned.choice(), self.chosen_unknown.choice(), next.clone());
            if self.seen.insert(configuration) {
                let before = core::mem::replace(&mut self.state, next);
                self.stack.push(Frame { place, alternative, before });
                (place, alternative) = (Place::Event(self.events[HEAD].next), 0);
            } else {
                self.put_back(place);
                alternative += 1;
            }
        }
        match self.longest.take() {
            Some(stuck) if self.linearized < self.returned.len() => Outcome::NotLinearizable(stuck),
            _ => Outcome::Linearizable,
        }
    }

    /// The candidate at `place` or the first after it, and moves `place` there.
    fn candidate(&self, place: &mut Place) -> Option<usize> {
        if let Place::Event(event) = *place {
            if let Kind::Call(operation, _) = self.events[event].kind {
                return Some(self.returned[operation]);
            }
            *place = Place::Class { class: 0, horizon: self.events[event].time };
        }
        let Place::Class { class: from, horizon } = *place else { return None };
        for (class, equal) in self.classes.iter().enumerate().skip(from) {
            if self.history[self.unknown[equal.first]].invoked > horizon {
                break;
            }
            let next = equal.first + equal.chosen;
            if next < equal.end && self.history[self.unknown[next]].invoked < horizon {
                *place = Place::Class { class, horizon };
                return Some(self.unknown[next]);
            }
        }
        None
    }

    fn after(&self, place: Place) -> Place {
        match place {
            Place::Event(event) => Place::Event(self.events[event].next),
            Place::Class { class, horizon } => Place::Class { class: class + 1, horizon },
        }
    }

    /// Takes the operation at `place` out of what is still to be chosen.
    fn lift(&mut self, place: Place) {
        match place {
            Place::Event(call) => {
                let Kind::Call(operation, end) = self.events[call].kind else { return };
                self.chosen_returned.insert(operation);
                self.linearized += 1;
                self.unlink(call);
                self.unlink(end);
            }
            Place::Class { class, .. } => {
                let class = &mut self.classes[class];
                self.chosen_unknown.insert(class.first + class.chosen);
                class.chosen += 1;
            }
        }
    }

    /// Undoes the last [`lift`](Self::lift).
    fn put_back(&mut self, place: Place) {
        match place {
            Place::Event(call) => {
                let Kind::Call(operation, end) = self.events[call].kind else { return };
                self.chosen_returned.remove(operation);
                self.linearized -= 1;
                self.link(end);
                self.link(call);
            }
            Place::Class { class, .. } => {
                let class = &mut self.classes[class];
                class.chosen -= 1;
                self.chosen_unknown.remove(class.first + class.chosen);
            }
        }
    }

    fn unlink(&mut self, event: usize) {
        let Event { previous, next, .. } = self.events[event];
        self.events[previous].next = next;
        self.events[next].previous = previous;
    }

    fn link(&mut self, event: usize) {
        let Event { previous, next, .. } = self.events[event];
        self.events[previous].next = event;
        self.events[next].previous = event;
    }

    fn remember_the_longest(&mut self) {
        if self.longest.as_ref().is_some_and(|longest| longest.linearized >= self.linearized) {
            return;
        }
        // The state of a class has moved on since: its members were chosen in order, so count back.
        let mut chosen: Vec<usize> = self.classes.iter().map(|class| class.chosen).collect();
        let mut last: Vec<usize> = Vec::new();
        for frame in self.stack.iter().rev().take(TAIL) {
            last.push(match frame.place {
                Place::Class { class, .. } => {
                    chosen[class] -= 1;
                    self.unknown[self.classes[class].first + chosen[class]]
                }
                Place::Event(event) => match self.events[event].kind {
                    Kind::Call(operation, _) => self.returned[operation],
                    Kind::Head | Kind::Return => continue,
                },
            });
        }
        last.reverse();
        let mut next = Vec::new();
        let mut event = self.events[HEAD].next;
        while let Kind::Call(operation, _) = self.events[event].kind {
            next.push(self.returned[operation]);
            event = self.events[event].next;
        }
        let state = self.state.clone();
        self.longest = Some(Stuck { linearized: self.linearized, last, state, next });
    }
}

/// The ring of calls and returns, in order of time.
fn events<O>(history: &[Timed<O>], returned: &[usize]) -> Vec<Event> {
    let mut times: Vec<(u64, usize, bool)> = Vec::with_capacity(2 * returned.len());
    for (operation, at) in returned.iter().enumerate() {
        times.push((history[*at].invoked, operation, false));
        times.extend(history[*at].returned.map(|time| (time, operation, true)));
    }
    times.sort_unstable();
    let mut events = vec![Event { previous: times.len(), next: 0, time: 0, kind: Kind::Head }];
    let mut calls = vec![HEAD; returned.len()];
    for (time, operation, is_return) in times {
        let event = events.len();
        events[event - 1].next = event;
        let kind = if is_return { Kind::Return } else { Kind::Call(operation, HEAD) };
        events.push(Event { previous: event - 1, next: HEAD, time, kind });
        if is_return {
            events[calls[operation]].kind = Kind::Call(operation, event);
        } else {
            calls[operation] = event;
        }
    }
    events
}

/// Puts equal operations together; `unknown` is in order of invocation, and so are the classes.
fn classes<O: Ord>(history: &[Timed<O>], unknown: &[usize]) -> (Vec<usize>, Vec<Class>) {
    let mut equal: BTreeMap<&O, Vec<usize>> = BTreeMap::new();
    for at in unknown {
        equal.entry(&history[*at].operation).or_default().push(*at);
    }
    let mut groups: Vec<Vec<usize>> = equal.into_values().collect();
    groups.sort_unstable_by_key(|group| history[group[0]].invoked);
    let mut members = Vec::with_capacity(unknown.len());
    let mut classes = Vec::with_capacity(groups.len());
    for group in groups {
        let first = members.len();
        members.extend(group);
        classes.push(Class { first, end: members.len(), chosen: 0 });
    }
    (members, classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register of numbers; `None` in a list of alternatives leaves it as it is.
    struct Numbers;

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Op {
        Read(u64),
        Write(u64),
        /// One or the other.
        Either(u64, u64),
    }

    impl Model for Numbers {
        type State = u64;
        type Operation = Op;

        fn step(&self, state: &u64, operation: &Op) -> impl Iterator<Item = u64> {
            let (one, other) = match *operation {
                Op::Read(value) => ((*state == value).then_some(value), None),
                Op::Write(value) => (Some(value), None),
                Op::Either(one, other) => (Some(one), Some(other)),
            };
            one.into_iter().chain(other)
        }
    }

    fn outcome(history: &[(u64, Option<u64>, Op)]) -> Outcome<u64> {
        let history: Vec<Timed<Op>> = history
            .iter()
            .cloned()
            .map(|(invoked, returned, operation)| Timed { invoked, returned, operation })
            .collect();
        search(&Numbers, 0, &history, 1000).outcome
    }

    fn is_linearizable(history: &[(u64, Option<u64>, Op)]) -> bool {
        outcome(history) == Outcome::Linearizable
    }

    #[test]
    fn nothing_is_linearizable() {
        assert!(is_linearizable(&[]));
        assert!(is_linearizable(&[(1, None, Op::Write(1))]));
    }

    #[test]
    fn a_read_sees_one_side_of_a_write_that_it_overlaps() {
        for seen in 0..3 {
            let history = [(1, Some(4), Op::Write(1)), (2, Some(3), Op::Read(seen))];
            assert_eq!(is_linearizable(&history), seen <= 1, "{seen}");
        }
    }

    #[test]
    fn a_read_after_a_write_sees_it() {
        let history = [(1, Some(2), Op::Write(1)), (3, Some(4), Op::Read(0))];
        let Outcome::NotLinearizable(stuck) = outcome(&history) else { panic!("a stale read") };
        assert_eq!(stuck, Stuck { linearized: 1, last: vec![0], state: 1, next: vec![1] });
    }

    #[test]
    fn an_unknown_write_happens_late_or_never() {
        let reads = |first, second, third| {
            is_linearizable(&[
                (1, None, Op::Write(7)),
                (2, Some(3), Op::Read(first)),
                (4, Some(5), Op::Read(second)),
                (6, Some(7), Op::Read(third)),
            ])
        };
        assert!(reads(0, 0, 0) && reads(0, 0, 7) && reads(0, 7, 7) && reads(7, 7, 7));
        assert!(!reads(7, 0, 0) && !reads(0, 7, 0) && !reads(7, 0, 7));
    }

    #[test]
    fn an_unknown_write_does_not_happen_before_it_was_invoked() {
        assert!(!is_linearizable(&[(3, None, Op::Write(7)), (1, Some(2), Op::Read(7))]));
    }

    #[test]
    fn equal_unknown_writes_happen_as_often_as_they_were_invoked() {
        let history = |unknown: u64| {
            let mut history = vec![];
            for nth in 0..unknown {
                history.push((1 + nth, None, Op::Write(7)));
            }
            for nth in 0..3 {
                history.push((100 + 4 * nth, Some(101 + 4 * nth), Op::Read(7)));
                history.push((102 + 4 * nth, Some(103 + 4 * nth), Op::Write(1)));
            }
            history
        };
        assert!(!is_linearizable(&history(2)));
        assert!(is_linearizable(&history(3)));
    }

    #[test]
    fn an_unknown_outcome_is_one_of_several() {
        let reads = |first, second| {
            is_linearizable(&[
                (1, None, Op::Either(5, 6)),
                (2, Some(3), Op::Read(first)),
                (4, Some(5), Op::Read(second)),
            ])
        };
        assert!(reads(5, 5) && reads(6, 6) && reads(0, 6));
        assert!(!reads(5, 6) && !reads(6, 5));
    }

    #[test]
    fn a_budget_that_is_spent_is_no_verdict() {
        let history = [Timed { invoked: 1, returned: Some(2), operation: Op::Write(1) }];
        assert_eq!(search(&Numbers, 0, &history, 0).outcome, Outcome::Undecided);
        assert_eq!(search(&Numbers, 0, &history, 1), Search { outcome: Outcome::Linearizable, steps: 1 });
    }
}
