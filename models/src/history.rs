//! What clients asked and were told along a path, for stateright's search for an order: a second opinion on the
//! oracle (`src/oracle.rs`).
//!
//! The oracle knows the log of everything committed and so needs no search. [`LinearizabilityTester`] knows what
//! clients see and nothing else: it looks for an order of the operations, one that respects who had an answer before
//! who asked, in which the shipped store gives these answers. That takes exponential time, so a history has
//! at most [`CLIENTS_MAX`] clients with [`OPERATIONS_MAX`] operations each, and is cut off before the first
//! that does not fit.
//!
//! **An operation** is a proposal with all its retries, or a read. It returns with the first answer that says
//! what it came to. It stays open if an answer may still come or nobody can know (a session refuses a request
//! that it has left behind, whatever became of it), and is no part of the history if every attempt was
//! refused or lost, since then it had no effect; whether that is true, the oracle judges.
//!
//! **Where the two may differ.** A history that the tester refuses was judged wrong by the oracle too. The
//! converse does not hold, since the oracle asks for more than clients can see: a read must see what was
//! committed when it was asked for, whether or not anybody had been told. That difference goes away if the
//! tester is told of every write as soon as it is committed ([`Knowledge::Committed`]). What is left: a read must
//! not miss what changes nothing either, such as the no-op of a new leader ([`History::misses_nothing`]); what it
//! sees must be committed, where the tester lets an open write take effect early; a store must be right even if
//! nobody reads it; and refused must mean without effect. An answer in the step that breaks another property
//! is judged by neither.
//!
//! Left out: changes of members and transfers, which no client reads back.

use std::collections::BTreeMap;

use dkv::cluster::invariants::Ledger;
use dkv::kv::{self, Response};
use dkv::raft::invariants::Invariant;
use dkv::raft::{EntryId, Index, Payload, RequestId, Term};
use dkv::replica::{Failure, Reply, StateMachine};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use crate::actions::Action;
use crate::budgets::Budget;
use crate::bugs::with_bug;
use crate::configurations::Configuration;
use crate::environment;
use crate::letters::{Command, Letters, Subject, View};
use crate::local::Told;
use crate::memo::{Memo, Stepping};
use crate::properties::{ANSWERS_ARE_TRUE, Broken};
use crate::requests;

/// The most clients of a history.
pub const CLIENTS_MAX: usize = 4;
/// The most operations of each of them.
pub const OPERATIONS_MAX: usize = 2;

/// Something that a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// The proposal of this number, as often as it took.
    Propose(u8),
    /// The read of this number.
    Read(u8),
}

/// What it came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A command was applied.
    Applied(Response),
    /// A read saw this.
    Saw(View),
}

/// What a client notices.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A client asks.
    Asked(Operation),
    /// It is answered.
    Told(Operation, Outcome),
    /// A write is committed, which the client will learn later if ever.
    Committed(Operation, Outcome),
}

/// What the search for an order came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// Some order explains all answers.
    pub is_linearizable: bool,
    /// Of how many operations.
    pub operations: usize,
    /// More operations followed, which do not fit.
    pub is_cut_off: bool,
}

/// When a write counts as answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// When its client is told.
    Told,
    /// When it is committed.
    Committed,
}

/// What clients noticed along a path, and what the oracle says of it.
pub struct History {
    configuration: &'static Configuration,
    /// The store as the path found it.
    store: Letters<kv::Shipped>,
    /// In order.
    pub events: Vec<Event>,
    /// Operations that are known to have had no effect.
    void: Vec<Operation>,
    /// What broke at the end of the path.
    pub broken: Option<Broken>,
    /// The last read saw what there was when it was asked for, whatever entry that followed from.
    pub misses_nothing: bool,
}

impl History {
    /// Follows a path, as far as it is possible, until something breaks. Members have the bug that is active now.
    #[must_use]
    pub fn of<P: Subject>(configuration: &Configuration, path: &[Action]) -> History {
        let configuration: &'static Configuration = Box::leak(Box::new(configuration.clone()));
        let mut memo = Memo::<P>::new(Stepping::Memoised);
        let mut state = with_bug(memo.bug(), || environment::found(&mut memo, configuration));
        let store = at(&Letters::default(), &state.ledger, state.ledger.last().index);
        let (mut attempts, mut truth) = (Attempts::default(), store.clone());
        let mut possible = Vec::new();
        memo.heard = Some(Vec::new());
        let mut misses_nothing = false;
        for action in path {
            possible.clear();
            environment::enabled(&state, &mut possible);
            if state.violated.is_some() || !possible.contains(action) {
                break;
            }
            let next = environment::step(&mut memo, &state, *action);
            let spent = |budget| next.spent.get(budget);
            match *action {
                Action::Propose { .. } => {
                    let first = state.spent.get(Budget::Proposals) + 1;
                    let asked = first..=spent(Budget::Proposals);
                    asked.for_each(|number| attempts.ask(Operation::Propose(number)));
                }
                Action::Retry { of, .. } => attempts.ask(Operation::Propose(of)),
                Action::Read { .. } => attempts.ask(Operation::Read(spent(Budget::Reads) - 1)),
                _ => {}
            }
            for entry in next.ledger.entries().skip(state.ledger.len()) {
                if let Payload::Command(command) = &entry.payload {
                    let response = truth.apply(entry.id, command).expect("memory does not fail");
                    attempts.commit(configuration, *command, response);
                } else {
                    truth.skip(entry.id).expect("memory does not fail");
                }
            }
            let heard = std::mem::take(memo.heard.as_mut().expect("it listens"));
            for told in &heard {
                let read = requests::read_of(told.answer.request).zip(told.view.as_ref());
                misses_nothing = read.is_some_and(|(read, (_, view))| {
                    let floor = u64::from(state.floors[read].saturating_sub(1));
                    *view == at(&store, &state.ledger, Index(floor)).query(&())
                });
            }
            if next.violated.as_ref().is_none_or(|broken| is_of_clients(broken)) {
                heard.into_iter().for_each(|told| attempts.hear(told));
            }
            state = next;
        }
        let broken = state.violated.as_ref().map(|broken| Broken::clone(broken));
        let void = attempts.void();
        History { configuration, store, events: attempts.events, void, broken, misses_nothing }
    }

    /// Whether the oracle found an answer, or what it came from, wrong.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.broken.as_ref().is_some_and(is_of_clients)
    }

    /// Searches for an order of the operations that explains the answers.
    ///
    /// # Panics
    /// Somebody is answered who did not ask.
    #[must_use]
    pub fn search(&self, knowledge: Knowledge) -> Search {
        let spec = Sequential { store: self.store.clone(), configuration: self.configuration };
        let mut tester = LinearizabilityTester::new(spec);
        // The operation that each client waits for, if it waits, and how many it has asked for.
        let mut clients: Vec<(Option<Operation>, usize)> = Vec::new();
        let mut is_cut_off = false;
        for event in &self.events {
            match event {
                Event::Asked(operation) if self.void.contains(operation) => {}
                Event::Asked(operation) => {
                    let free = |(waits, count): &(Option<Operation>, usize)| {
                        waits.is_none() && *count < OPERATIONS_MAX
                    };
                    let client = clients.iter().position(free).unwrap_or(clients.len());
                    if client == CLIENTS_MAX {
                        is_cut_off = true;
                        break;
                    }
                    clients.resize(clients.len().max(client + 1), (None, 0));
                    clients[client] = (Some(*operation), clients[client].1 + 1);
                    tester.on_invoke(client, *operation).expect("the client is free");
                }
                Event::Committed(..) if knowledge == Knowledge::Told => {}
                Event::Told(operation, outcome) | Event::Committed(operation, outcome) => {
                    let client = clients.iter().position(|(waits, _)| *waits == Some(*operation));
                    let Some(client) = client else {
                        assert!(knowledge == Knowledge::Committed, "what is answered was asked");
                        continue;
                    };
                    clients[client].0 = None;
                    tester.on_return(client, outcome.clone()).expect("the client waits");
                }
            }
        }
        Search { is_linearizable: tester.is_consistent(), operations: tester.len(), is_cut_off }
    }
}

/// A store after what was committed up to an index.
fn at(store: &Letters<kv::Shipped>, ledger: &Ledger<Command>, to: Index) -> Letters<kv::Shipped> {
    let mut store = store.clone();
    let from = store.applied().index;
    for entry in ledger.entries().filter(|entry| entry.id.index > from && entry.id.index <= to) {
        let applied = match &entry.payload {
            Payload::Command(command) => store.apply(entry.id, command).map(|_| ()),
            Payload::Noop | Payload::Configuration(_) => store.skip(entry.id),
        };
        applied.expect("memory does not fail");
    }
    store
}

/// Whether a broken property is one of what clients are told.
fn is_of_clients(broken: &Broken) -> bool {
    let names = [Invariant::Linearizable.name(), Invariant::ExactlyOnce.name(), ANSWERS_ARE_TRUE];
    names.contains(&broken.property)
}

/// Operations and how many of their attempts are open.
#[derive(Default)]
struct Attempts {
    events: Vec<Event>,
    open: BTreeMap<Operation, Attempt>,
}

#[derive(Default)]
struct Attempt {
    /// Requests without an answer, and those whose outcome nobody knows.
    open: usize,
    /// All requests.
    made: usize,
    is_committed: bool,
    is_answered: bool,
}

impl Attempts {
    fn ask(&mut self, operation: Operation) {
        let attempt = self.open.entry(operation).or_insert_with(|| {
            self.events.push(Event::Asked(operation));
            Attempt::default()
        });
        attempt.open += 1;
        attempt.made += 1;
    }

    /// The first time that a command is committed is when it takes effect.
    fn commit(&mut self, configuration: &Configuration, command: Command, response: Response) {
        let is_it = |operation: &Operation| match operation {
            Operation::Propose(number) => configuration.command(*number) == command,
            Operation::Read(_) => false,
        };
        let Some((operation, attempt)) = self.open.iter_mut().find(|(operation, _)| is_it(operation)) else {
            return;
        };
        if !attempt.is_answered && !std::mem::replace(&mut attempt.is_committed, true) {
            self.events.push(Event::Committed(*operation, Outcome::Applied(response)));
        }
    }

    fn hear(&mut self, told: Told) {
        let Some(operation) = operation_of(told.answer.request) else { return };
        let Some(attempt) = self.open.get_mut(&operation) else { return };
        let outcome = match (told.answer.outcome, told.view) {
            // The session has moved on: this attempt had no effect, and an earlier one may have had.
            (Ok(Reply::Applied { response, .. }), _)
                if attempt.made > 1 && matches!(response.outcome, kv::Outcome::Refused(_)) =>
            {
                return;
            }
            (Ok(Reply::Applied { response, .. }), _) => Outcome::Applied(response),
            (Ok(Reply::Read { .. }), Some((_, view))) => Outcome::Saw(view),
            (Err(Failure::Refused(_) | Failure::Lost), _) => {
                attempt.open = attempt.open.saturating_sub(1);
                return;
            }
            // Nobody knows, so it stays open.
            _ => return,
        };
        if !std::mem::replace(&mut attempt.is_answered, true) {
            self.events.push(Event::Told(operation, outcome));
        }
    }

    /// Operations of which every attempt came to nothing.
    fn void(&self) -> Vec<Operation> {
        let is_void = |attempt: &Attempt| attempt.open == 0 && !attempt.is_answered;
        self.open.iter().filter(|(_, attempt)| is_void(attempt)).map(|(operation, _)| *operation).collect()
    }
}

fn operation_of(request: RequestId) -> Option<Operation> {
    let number = |number: usize| u8::try_from(number).expect("requests are few");
    let proposal = requests::proposal_of(request).map(|of| Operation::Propose(number(of)));
    proposal.or_else(|| requests::read_of(request).map(|of| Operation::Read(number(of))))
}

/// The shipped store, one operation after the other.
#[derive(Clone)]
struct Sequential {
    store: Letters<kv::Shipped>,
    configuration: &'static Configuration,
}

impl SequentialSpec for Sequential {
    type Op = Operation;
    type Ret = Outcome;

    fn invoke(&mut self, operation: &Operation) -> Outcome {
        match operation {
            Operation::Propose(number) => {
                let command: Command = self.configuration.command(*number);
                let id = EntryId::new(Term(1), Index(self.store.applied().index.0 + 1));
                Outcome::Applied(self.store.apply(id, &command).expect("memory does not fail"))
            }
            Operation::Read(_) => Outcome::Saw(self.store.query(&())),
        }
    }
}
