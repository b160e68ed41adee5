//! Scenarios: what can happen to a cluster, told line by line, with what must hold.
//!
//! ```text
//! # Three of five reachable members commit; the two that are cut off do not hear of it.
//! cluster nodes=5
//! partition 3 4
//! propose put a=v as=write
//! expect outcome write applied at=1@1
//! expect commit 0 1
//! expect commit 3 0
//! heal
//! expect converged
//! ```
//!
//! A scenario is a comment that says what it shows, then `cluster`, then commands in the order in which
//! they happen. Commands are named after the methods of [`Cluster`](super::Cluster), and a run is as
//! deterministic as the cluster is: it ends in the same text, step count and trace hash every time. The
//! text is a transcript (each command, and below it what it printed and which requests it settled), fit
//! to be kept as a golden file and reviewed as a diff.
//!
//! After every command the run stops if an invariant is violated, and it stops where an expectation does
//! not hold or a command had nothing to do: a drop from an empty link shows that the author's picture of
//! the run was wrong. Scripts that a search printed say `strict=off`: once the mistake that they show is gone,
//! some of their lines find nothing to do, and are passed over.
//!
//! # The language
//!
//! One command per line, of words between spaces. A word that starts with `#` begins a comment. Options
//! are `name=value` and come last. Members are numbers, entries read `index@term`, durations `500ms` or
//! `2s`, requests and sessions have names of lower-case letters, digits, `-` and `_`; `it` is the latest
//! request. Keys and values are words; a key has no `=` and no `!`.
//!
//! | command | what it does |
//! |---|---|
//! | `cluster nodes=N` | founds the cluster; member 0 leads term 1. Options: `seed` `snapshot_every` `keep` `chunk_bytes` `append_entries` `append_bytes` `inflight` `inflight_bytes` `uncommitted` `waiting_reads` `eager_commit` `codec` `election_timeout` `heartbeat` `strict` |
//! | `propose OP` | proposes and delivers. Options: `at=ID` asks that member and not the leader, `as=NAME`, `session=NAME seq=N`, `times=N` |
//! | `read KEY`, `read-all` | reads linearizably and delivers. Options `at` `as` |
//! | `open-session NAME`, `close-session NAME` | proposes it and delivers. Options `at` `as` |
//! | `add-learner ID`, `promote ID`, `remove ID` | asks for the change and delivers. Options `at` `as` |
//! | `change-members learner=ID promote=ID remove=ID …` | asks for several changes at once. Options `at` `as` |
//! | `transfer ID` | asks to hand leadership over and delivers. Options `at` `as` |
//! | `submit …` | any of the above without delivery; `submit OP` is a proposal |
//! | `cancel NAME` | the client gives up on the request |
//! | `partition ID…`, `cut FROM TO`, `restore FROM TO`, `heal` | links |
//! | `crash ID`, `restart ID` | `keep=N` unsynced writes survive the crash; otherwise none |
//! | `back-up ID`, `roll-back-disk ID`, `lose-disk ID` | copies what is synced; stops the member and gives it the copy, or an empty directory, in place of its own: its restart is refused, which `expect fault ID` sees |
//! | `join ID`, `retire ID` | a member with an empty disk starts, in no configuration; one that is down leaves for good, and its id is not used again |
//! | `hold-disk ID`, `sync ID [N]`, `release-disk ID` | writes wait until they are synced |
//! | `compact ID` | takes a snapshot and purges the log |
//! | `deliver`, `stabilize` | until nothing moves; `stabilize` fires heartbeats too |
//! | `deliver FROM TO [N]`, `drop FROM TO [N]`, `duplicate FROM TO`, `delay FROM TO` | the oldest messages on one link; with `skip=K`, but for `delay`, those that come after the K oldest |
//! | `timeout ID TIMER` | fires `election`, `leader-fresh`, `check-quorum`, `heartbeat` or `transfer`, delivers nothing |
//! | `campaign ID` | every member forgets that it heard a leader, this one's election timer fires, and messages are delivered; a leader that it reaches still refuses |
//! | `elapse DURATION`, `await-leader` | time passes, until a leader has committed in its term; `timeouts=N` bounds the wait. The founding leader commits nothing before somebody proposes or reads |
//! | `status [ID…]`, `log ID`, `store ID`, `links`, `trace on`, `trace off` | prints |
//! | `expect …` | what must hold now, see [`Expectation`] and [`Fact`] |
//!
//! `OP` is `noop`, `put KEY=VALUE`, `del KEY`, or `txn [if COMPARE…] then STEP… [else STEP…]`, where a
//! compare is `KEY=VALUE`, `KEY!=VALUE`, `version:KEY=N`, `create:KEY=N` or `mod:KEY=N`, and a step is
//! `put KEY=VALUE`, `del KEY` or `get KEY`.
//!
//! # Bounds
//!
//! Whatever a file says, parsing and running it end soon and in little memory: the constants below bound
//! its size, the members, the proposals, the time that passes and the text that is printed. What is
//! malformed is refused with line, column and reason before anything runs; so is a member, request or
//! session that no earlier line introduced.
//!
//! Left out: loops, variables and arithmetic (a scenario is a story; searching is for
//! the models and the simulation), bytes outside of printable ASCII, and ranges of keys.

mod command;
mod expect;
mod fold;
mod operation;
mod parse;
mod print;
mod run;
mod words;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub use self::command::{Asking, Command, Messages, Request, Session, Setup};
pub use self::expect::{Expectation, Fact, Fate, OutcomeFacts, RoleName};
pub use self::print::cluster_line;
use super::{Policies, Shipped};
use crate::kv::{self, BTreeEngine, Store};

/// The store of a member, under the rules `K`.
type StoreOf<K> = Store<BTreeEngine, K>;

/// Bytes of a scenario's text.
pub const SOURCE_BYTES_MAX: usize = 1 << 20;
/// Lines of a scenario.
pub const LINES_MAX: usize = 30_000;
/// Bytes of a line.
pub const LINE_BYTES_MAX: usize = 500;
/// Founding members.
pub const NODES_MAX: u64 = 9;
/// Members that ever were, founding ones and others; their ids are below this number.
pub const MEMBERS_MAX: u64 = 16;
/// Proposals of a whole scenario.
pub const PROPOSALS_MAX: u64 = 2000;
/// Time that passes in a whole scenario, waiting for leaders at its longest.
pub const ELAPSED_MS_MAX: u64 = 600_000;
/// Bytes that a run prints.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// A scenario that was read and makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    intent: String,
    setup: Setup,
    lines: Vec<Line>,
}

/// A command where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its line, from 1.
    pub number: usize,
    /// Its words, one space between them.
    pub text: String,
    /// What they mean.
    pub command: Command,
}

/// Why a text is no scenario, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The column of the word that is wrong, from 1; where the line ends if a word is missing.
    pub column: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.reason)
    }
}

impl core::error::Error for ParseError {}

/// What a run left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The transcript.
    pub output: String,
    /// How many events there were.
    pub steps: u64,
    /// The running hash of all events.
    pub trace_hash: u64,
    /// The virtual time at the end.
    pub time_ms: u64,
    /// Where the run stopped, unless everything held.
    pub failure: Option<Failure>,
}

/// Something that must hold did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line, from 1.
    pub line: usize,
    /// The command there.
    pub command: String,
    /// What must hold.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// Every member as one dense line.
    pub status: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: {}\n  expected {}\n  found    {}",
            self.line, self.command, self.expected, self.found
        )?;
        self.status.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl core::error::Error for Failure {}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// The text is none; the first thing that is wrong, and where.
    pub fn parse(text: &str) -> Result<Scenario, ParseError> {
        parse::parse(text)
    }

    /// What the scenario shows, by its first line.
    #[must_use]
    pub fn intent(&self) -> &str {
        &self.intent
    }

    /// The cluster that it founds.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The commands after `cluster`.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Runs the scenario under the rules that ship. With `trace`, every step is printed.
    #[must_use]
    pub fn run(&self, trace: bool) -> Report {
        self.run_under::<Shipped>(trace)
    }

    /// Runs the scenario under other rules, to see what they break.
    #[must_use]
    pub fn run_under<P: Policies>(&self, trace: bool) -> Report {
        self.run_with::<P, kv::Shipped>(trace)
    }

    /// Runs the scenario under other rules for the cluster and for the store.
    #[must_use]
    pub fn run_with<P: Policies, K: kv::Rules>(&self, trace: bool) -> Report {
        run::Run::<P, K>::new(self, trace).finish()
    }
}
