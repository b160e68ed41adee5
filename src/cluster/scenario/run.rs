//! One run of a scenario.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use super::command::{Asking, Command, Messages, Request, Session};
use super::expect::{Expectation, all_keys, inflight};
use super::fold;
use super::parse::LATEST;
use super::{Failure, Line, OUTPUT_BYTES_MAX, Report, Scenario, StoreOf, print};
use crate::cluster::{Cluster, Member, Outcome, Policies, exams};
use crate::codec::to_bytes;
use crate::kv::{self, ClientId, Op, Range};
use crate::raft::invariants::{election_safety, log_matching, state_machine_safety};
use crate::raft::{Bytes, Index, MemberChange, NodeId, RequestId, Timer};

/// A request that was made.
pub(super) struct Asked {
    name: String,
    pub(super) request: RequestId,
    at: NodeId,
    pub(super) what: What,
    /// Whether its outcome was printed.
    is_settled: bool,
}

/// What was asked for, as far as an answer can be judged by it.
#[derive(Clone)]
pub(super) enum What {
    /// These bytes in the log.
    Command(Bytes),
    /// A read, and what was committed when it was made.
    Read(Range, Index),
    Administration,
}

/// What must hold, and what was found instead.
struct Mismatch {
    expected: String,
    found: String,
}

type Checked = Result<(), Mismatch>;

fn mismatch(expected: impl Display, found: impl Display) -> Checked {
    Err(Mismatch { expected: expected.to_string(), found: found.to_string() })
}

/// `found` must be `expected`.
fn same<T: PartialEq + Display>(expected: &T, found: &T) -> Checked {
    if expected == found { Ok(()) } else { mismatch(expected, found) }
}

/// A scenario being run.
pub(super) struct Run<'a, P: Policies, K: kv::Rules> {
    scenario: &'a Scenario,
    cluster: Cluster<StoreOf<K>, P>,
    asked: Vec<Asked>,
    /// The request that opened each session.
    sessions: BTreeMap<String, RequestId>,
    trace: bool,
    output: String,
}

impl<'a, P: Policies, K: kv::Rules> Run<'a, P, K> {
    pub(super) fn new(scenario: &'a Scenario, trace: bool) -> Run<'a, P, K> {
        let wants_trace = scenario.lines.iter().any(|line| line.command == Command::Trace(true));
        let mut options = scenario.setup.options.clone();
        options.trace_lines = trace || wants_trace;
        let folds = |line: &Line| line.command == Command::Expect(Expectation::Folded);
        options.whole_ledger = scenario.lines.iter().any(folds);
        Run {
            scenario,
            cluster: Cluster::with_options(scenario.setup.nodes, options),
            asked: Vec::new(),
            sessions: BTreeMap::new(),
            trace,
            output: String::new(),
        }
    }

    pub(super) fn finish(mut self) -> Report {
        let scenario = self.scenario;
        self.output = format!("# {}\n> {}\n", scenario.intent, scenario.setup.text);
        self.print_steps();
        let mut failure = None;
        for line in &scenario.lines {
            let text = format!("> {}", line.text);
            self.output.push_str(&text);
            self.output.push('\n');
            let held = self.carry_out_or_pass(&line.command);
            self.print_steps();
            self.print_settled();
            if let Err(Mismatch { expected, found }) = held.and_then(|()| self.check()) {
                let status = print::status(&self.cluster);
                failure =
                    Some(Failure { line: line.number, command: line.text.clone(), expected, found, status });
                break;
            }
        }
        let (steps, trace_hash) = (self.cluster.trace().steps(), self.cluster.trace().hash());
        let time_ms = self.cluster.time_ms();
        self.output.push_str(&format!("= {steps} steps, {time_ms} ms\n"));
        for line in print::status(&self.cluster) {
            self.output.push_str(&format!("= {line}\n"));
        }
        Report { output: self.output, steps, trace_hash, time_ms, failure }
    }

    /// What must hold after every command.
    fn check(&self) -> Checked {
        if let Some(violation) = self.cluster.violation() {
            return mismatch(violation.invariant.name(), &violation.detail);
        }
        let nodes: Vec<_> = self.cluster.nodes().collect();
        for (at, a) in nodes.iter().enumerate() {
            for b in &nodes[at + 1..] {
                let verdict = election_safety(*a, *b)
                    .and_then(|()| log_matching(*a, *b))
                    .and_then(|()| state_machine_safety(*a, *b));
                if let Err(violation) = verdict {
                    return mismatch(violation.invariant.name(), &violation.detail);
                }
            }
        }
        if self.output.len() > OUTPUT_BYTES_MAX {
            return mismatch(format_args!("at most {OUTPUT_BYTES_MAX} bytes of output"), "more");
        }
        Ok(())
    }

    // --- printing ------------------------------------------------------------------------------

    fn print(&mut self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            if self.output.len() > OUTPUT_BYTES_MAX {
                return; // `check` says so.
            }
            self.output.push_str("  ");
            self.output.push_str(&line);
            self.output.push('\n');
        }
    }

    fn print_steps(&mut self) {
        let lines = self.cluster.take_trace();
        if self.trace {
            self.print(lines);
        }
    }

    fn print_settled(&mut self) {
        let mut lines = Vec::new();
        for asked in self.asked.iter_mut().filter(|asked| !asked.is_settled) {
            if let Some(outcome) = self.cluster.outcome(asked.request) {
                asked.is_settled = true;
                lines.push(format!("{}: {}", asked.name, print::outcome(outcome)));
            }
        }
        self.print(lines);
    }

    // --- commands ------------------------------------------------------------------------------

    fn carry_out_or_pass(&mut self, command: &Command) -> Checked {
        let is_checked =
            self.scenario.setup.is_strict || matches!(command, Command::Expect(_) | Command::AwaitLeader(_));
        match self.carry_out(command) {
            Err(_) if !is_checked => {
                self.print(["nothing to do".to_string()]);
                Ok(())
            }
            held => held,
        }
    }

    fn carry_out(&mut self, command: &Command) -> Checked {
        let cluster = &mut self.cluster;
        match command {
            Command::Ask(request, asking) => return self.ask(request, asking),
            Command::Cancel(name) => {
                let asked = self.asked_as(name)?;
                let (at, request) = (asked.at, asked.request);
                self.cluster.cancel(at, request);
            }
            Command::Partition(ids) => cluster.partition(ids.iter().copied()),
            Command::Cut(from, to) => cluster.cut(*from, *to),
            Command::Restore(from, to) => cluster.restore_link(*from, *to),
            Command::Heal => cluster.heal(),
            Command::Crash(id, keep) => {
                self.must_be_up(*id)?;
                self.cluster.crash_keeping(*id, *keep);
            }
            Command::Restart(id) => {
                self.must_be_down(*id)?;
                self.cluster.restart(*id);
                if self.cluster.replica(*id).is_none() {
                    let refused = print::member(*id, self.member(*id)?);
                    self.print([refused]);
                }
            }
            Command::Join(id) => cluster.join(*id),
            Command::Retire(id) => {
                self.must_be_down(*id)?;
                self.cluster.retire(*id);
            }
            Command::BackUp(id) => cluster.back_up(*id),
            Command::LoseDisk(id) => {
                self.member(*id)?;
                self.cluster.lose_disk(*id);
            }
            Command::RollBackDisk(id) => {
                self.member(*id)?;
                if !self.cluster.roll_back_disk(*id) {
                    return mismatch(format_args!("a copy from before {id} last started"), "none");
                }
            }
            Command::HoldDisk(id) => cluster.hold_disk(*id, true),
            Command::ReleaseDisk(id) => cluster.hold_disk(*id, false),
            Command::Sync(id, count) => {
                self.must_be_up(*id)?;
                let pending = self.member(*id)?.disk().pending();
                if pending < count.unwrap_or(1) {
                    let expected = format!("{} unsynced writes at {id}", count.unwrap_or(1));
                    return mismatch(expected, pending);
                }
                self.cluster.sync(*id, count.unwrap_or(usize::MAX));
            }
            Command::Compact(id) => {
                self.must_be_up(*id)?;
                self.cluster.compact(*id);
            }
            Command::Deliver => cluster.deliver(),
            Command::Stabilize => cluster.stabilize(),
            Command::DeliverOn(messages) => return self.on_link(messages, Cluster::deliver_message_at),
            Command::Drop(messages) => return self.on_link(messages, Cluster::drop_message_at),
            Command::Duplicate(messages) => return self.on_link(messages, Cluster::duplicate_message_at),
            Command::Delay(from, to) => {
                let oldest = Messages { from: *from, to: *to, count: 1, skip: 0 };
                return self.on_link(&oldest, |cluster, from, to, _| cluster.delay_message(from, to));
            }
            Command::Timeout(id, timer) => {
                self.must_be_up(*id)?;
                let timers =
                    self.cluster.replica(*id).map(|replica| replica.node().timers()).unwrap_or_default();
                if !timers.contains(*timer) {
                    return mismatch(
                        format_args!("the timer {timer:?} to be set at {id}"),
                        format_args!("{timers:?}"),
                    );
                }
                self.cluster.timeout(*id, *timer);
            }
            Command::Campaign(id) => return self.campaign(*id),
            Command::Elapse(duration_ms) => cluster.elapse(*duration_ms),
            Command::AwaitLeader(timeouts) => {
                if cluster.await_leader(*timeouts).is_none() {
                    return mismatch("a leader that has committed in its term", "none");
                }
            }
            Command::Status(ids) => {
                let all = cluster.members().iter().filter(|(id, _)| ids.is_empty() || ids.contains(id));
                let lines: Vec<String> = all.map(|(id, member)| print::member(*id, member)).collect();
                self.print(lines);
            }
            Command::Log(id) => self.print(print::log(self.member(*id)?)),
            Command::Store(id) => self.print(print::store(self.member(*id)?.machine())),
            Command::Links => self.print(print::links(&self.cluster)),
            Command::Trace(on) => self.trace = *on,
            Command::Expect(expectation) => return self.expect(expectation),
        }
        Ok(())
    }

    fn member(&self, id: NodeId) -> Result<&Member<StoreOf<K>, P>, Mismatch> {
        let gone = || Mismatch { expected: format!("a member {id}"), found: "it left".to_string() };
        self.cluster.members().get(&id).ok_or_else(gone)
    }

    fn must_be_down(&self, id: NodeId) -> Checked {
        match self.member(id)?.replica() {
            Some(_) => mismatch(format_args!("{id} down"), "it is up"),
            None => Ok(()),
        }
    }

    fn must_be_up(&self, id: NodeId) -> Checked {
        if self.cluster.replica(id).is_some() {
            Ok(())
        } else {
            mismatch(format_args!("{id} up"), "it is down")
        }
    }

    /// Does something to messages on a link, which must be there.
    fn on_link(
        &mut self,
        messages: &Messages,
        act: impl Fn(&mut Cluster<StoreOf<K>, P>, NodeId, NodeId, usize) -> bool,
    ) -> Checked {
        let Messages { from, to, count, skip } = *messages;
        let found = self.cluster.links().len((from, to));
        if found < count + skip {
            return mismatch(format_args!("{} messages from {from} to {to}", count + skip), found);
        }
        for _ in 0..count {
            act(&mut self.cluster, from, to, skip);
        }
        Ok(())
    }

    /// Nobody has heard of a leader for a while, and `id` is the first to lose patience.
    fn campaign(&mut self, id: NodeId) -> Checked {
        self.must_be_up(id)?;
        let up: Vec<NodeId> = self.cluster.nodes().map(crate::raft::Node::id).collect();
        for other in up {
            self.cluster.timeout(other, Timer::LeaderFresh);
        }
        self.carry_out(&Command::Timeout(id, Timer::Election))?;
        self.cluster.deliver();
        Ok(())
    }

    // --- requests ------------------------------------------------------------------------------

    fn ask(&mut self, request: &Request, asking: &Asking) -> Checked {
        let default =
            self.cluster.leader().or_else(|| self.cluster.nodes().next().map(crate::raft::Node::id));
        let at = asking.at.or(default).unwrap_or(NodeId(0));
        match request {
            Request::Propose(op, session, times) => {
                let tag = session.as_ref().map(|session| self.tag(session)).transpose()?;
                for _ in 0..*times {
                    self.propose(at, &kv::Command { session: tag, op: op.clone() }, asking);
                }
            }
            Request::Read(key) => self.read(at, Range::new(kv::KeyRange::One(key.clone())), asking),
            Request::ReadAll => self.read(at, all_keys(), asking),
            Request::OpenSession(name) => {
                let request = self.propose(at, &kv::Command::new(Op::OpenSession), asking);
                self.sessions.insert(name.clone(), request);
            }
            Request::CloseSession(name) => {
                let client = self.client(name)?;
                self.propose(at, &kv::Command::new(Op::CloseSession { client }), asking);
            }
            Request::Change(changes) => {
                for change in changes {
                    if let MemberChange::AddLearner(id) = change {
                        self.cluster.join(*id);
                    }
                }
                let request = match (asking.at, asking.deliver) {
                    (None, true) => self.cluster.change_members(changes.clone()),
                    _ => self.cluster.submit_change(at, changes.clone()),
                };
                self.asked(at, request, What::Administration, asking);
            }
            Request::Transfer(to) => {
                let request = self.cluster.submit_transfer(at, *to);
                self.asked(at, request, What::Administration, asking);
            }
        }
        Ok(())
    }

    fn propose(&mut self, at: NodeId, command: &kv::Command, asking: &Asking) -> RequestId {
        let command = Bytes::from(to_bytes(command));
        let request = self.cluster.submit(at, command.clone());
        self.asked(at, request, What::Command(command), asking);
        request
    }

    fn read(&mut self, at: NodeId, range: Range, asking: &Asking) {
        let floor = self.cluster.ledger().last().index;
        let request = self.cluster.submit_read(at, range.clone());
        self.asked(at, request, What::Read(range, floor), asking);
    }

    /// Notes that a request was made, and delivers if that was asked for.
    fn asked(&mut self, at: NodeId, request: RequestId, what: What, asking: &Asking) {
        if asking.deliver {
            self.cluster.deliver();
        }
        let name = asking.name.clone().unwrap_or_else(|| format!("{request:?}"));
        self.asked.push(Asked { name, request, at, what, is_settled: false });
    }

    /// The latest request of this name.
    fn asked_as(&self, name: &str) -> Result<&Asked, Mismatch> {
        let found = self.asked.iter().rev().find(|asked| name == LATEST || asked.name == name);
        found.ok_or_else(|| Mismatch { expected: format!("a request {name}"), found: "none".to_string() })
    }

    fn tag(&self, session: &Session) -> Result<kv::SessionTag, Mismatch> {
        Ok(kv::SessionTag { client: self.client(&session.name)?, sequence: session.sequence })
    }

    /// The client that a session was opened for, which must have happened.
    fn client(&self, name: &str) -> Result<ClientId, Mismatch> {
        let outcome = self.sessions.get(name).and_then(|request| self.cluster.outcome(*request));
        match outcome {
            Some(Outcome::Applied {
                response: kv::Response { outcome: kv::Outcome::SessionOpened { client }, .. },
                ..
            }) => Ok(*client),
            other => {
                let found = other.map_or("pending".to_string(), print::outcome);
                Err(Mismatch { expected: format!("session {name} to be open"), found })
            }
        }
    }

    // --- expectations ----------------------------------------------------------------------------

    fn expect(&self, expectation: &Expectation) -> Checked {
        let cluster = &self.cluster;
        match expectation {
            Expectation::Leader(expected) => same(&leader_text(*expected), &leader_text(cluster.leader())),
            Expectation::Member(id, fact) => match fact.found(self.member(*id)?) {
                Some(found) => same(fact, &found),
                None => mismatch(fact, format_args!("{id} is down")),
            },
            Expectation::Outcome(name, facts) => {
                same(facts, &facts.found(cluster.outcome(self.asked_as(name)?.request)))
            }
            Expectation::Answered(name) => match cluster.outcome(self.asked_as(name)?.request) {
                Some(_) => Ok(()),
                None => mismatch("an outcome", "pending"),
            },
            Expectation::Members(expected) => {
                let leader = cluster.leader().and_then(|id| cluster.replica(id));
                match leader {
                    Some(leader) => same(expected, leader.node().configuration()),
                    None => mismatch(expected, "no leader"),
                }
            }
            Expectation::Partitioned(id, expected) => same(expected, &cluster.is_partitioned(*id)),
            Expectation::Committed(expected) => same(expected, &cluster.ledger().last()),
            Expectation::Queued(from, to, expected) => same(expected, &cluster.links().len((*from, *to))),
            Expectation::Inflight(leader, to, expected) => match inflight(cluster, *leader, *to) {
                Some(found) => same(expected, &found),
                None => mismatch(expected, format_args!("{leader} does not lead {to}")),
            },
            Expectation::Converged => match cluster.check_convergence() {
                Ok(()) => Ok(()),
                Err(violation) => mismatch(violation.invariant.name(), violation.detail),
            },
            Expectation::Folded => match fold::check(cluster, &self.asked) {
                Ok(()) => Ok(()),
                Err(found) => mismatch("what one store makes of the committed entries", found),
            },
            Expectation::HashEqual(ids) => self.expect_equal_projections(ids),
        }
    }

    fn expect_equal_projections(&self, ids: &[NodeId]) -> Checked {
        let expected = "byte-identical snapshots";
        let mut first: Option<(NodeId, Vec<u8>)> = None;
        for (id, member) in self.cluster.members().iter().filter(|(id, _)| ids.is_empty() || ids.contains(id))
        {
            let bytes = match exams::string_snapshot(member) {
                Ok(bytes) => bytes,
                Err(reason) => return mismatch(expected, format_args!("{id}: {reason}")),
            };
            match &first {
                Some((other, theirs)) if *theirs != bytes => {
                    return mismatch(expected, format_args!("those of {other} and {id} differ"));
                }
                Some(_) => {}
                None => first = Some((*id, bytes)),
            }
        }
        Ok(())
    }
}

fn leader_text(leader: Option<NodeId>) -> String {
    leader.map_or("no leader".to_string(), |id| format!("leader {id}"))
}
