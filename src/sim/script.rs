//! Actions in the language of scenarios, so that a failure can be read, traced and kept.
//!
//! A script is written beside a world that carries out the same actions, which knows what the lines must
//! name: the number of a request, the request that opened a session, what a retry repeats. Requests are
//! named after their numbers and sessions after the request that asks for them. The scenario is the very
//! same run: it ends with the same trace hash as a [`replay`](super::replay).
//!
//! It ends with what does not hold. Most invariants the runner of scenarios checks after every line;
//! where the simulation found a state or an answer that is not that of the committed entries, `expect folded`
//! does; a cluster that does not come to rest is healed and must converge. Whether it does may depend on who
//! stays away, and on what arrives first, so of such a failure there are several scripts, the last with a whole calm of
//! the simulation in it. The first that fails is taken.
//!
//! Left out: the rates of clocks, which mean nothing where lines fire the timers; and the expectation itself
//! where the language has none, which the first line says. Sessions live longer in scenarios than in
//! simulations: a failure for which one must expire does not show. A bound of the language that a script
//! exceeds is named in its first line; such a script is for reading alone.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::absence::{committed_configuration, is_spared};
use super::action::{Action, ClientNumber};
use super::client::{self, Session, What};
use super::history::Call;
use super::plan::Plan;
use super::replay::{LIVENESS, stuck_calm};
use super::world::{Failure, OPERATOR_REQUESTS_MAX, StoreOf, World};
use crate::cluster::Policies;
use crate::cluster::links::Link;
use crate::cluster::scenario::{
    LINE_BYTES_MAX, LINES_MAX, MEMBERS_MAX, SOURCE_BYTES_MAX, Scenario, cluster_line,
};
use crate::codec::from_bytes;
use crate::kv::{self, Command, KeyRange, Op, SimpleOp, Target, Txn, TxnOp};
use crate::raft::{Bytes, MemberChange, NodeId, RequestId, Timer};

/// The longest detail of a failure in the first line, in characters.
const DETAIL_CHARS_MAX: usize = 200;

/// A scenario that does what the actions do and fails as they do: of the possible ones the first that fails
/// when it is played, or simply the first. `fails` plays one.
pub fn script<P: Policies, K: kv::Rules>(
    plan: &Plan,
    actions: &[Action],
    failure: &Failure,
    seed: u64,
    mut fails: impl FnMut(&Scenario) -> bool,
) -> String
where
    StoreOf<K>: Default,
{
    let mut scripts = scripts::<P, K>(plan, actions, failure, seed);
    let mut shows = |script: &String| Scenario::parse(script).is_ok_and(|scenario| fails(&scenario));
    let at = if scripts.len() > 1 { scripts.iter().position(&mut shows) } else { None };
    scripts.swap_remove(at.unwrap_or(0))
}

/// The scenarios that do what the actions do; at least one.
fn scripts<P: Policies, K: kv::Rules>(
    plan: &Plan,
    actions: &[Action],
    failure: &Failure,
    seed: u64,
) -> Vec<String>
where
    StoreOf<K>: Default,
{
    let mut writer = Writer::<P, K> {
        world: World::new(plan.members, plan.clients, plan.options.clone()),
        lines: Vec::from([format!("{} strict=off", cluster_line(plan.members, &plan.options))]),
        next_request: 0,
        latest: BTreeMap::new(),
        sessions: BTreeMap::new(),
        known: (0..plan.members).map(NodeId).collect(),
    };
    // What panics is written and not carried out: it would end this as well.
    let carried_out =
        if failure.name == "no_panic" { actions.len().saturating_sub(1) } else { actions.len() };
    for action in &actions[..carried_out] {
        writer.act(action);
    }
    for action in &actions[carried_out..] {
        let lines = writer.describe(action);
        writer.lines.extend(lines);
    }
    let (remark, mut ends) = writer.ends(failure);
    let detail: String = failure.detail.chars().take(DETAIL_CHARS_MAX).collect();
    let detail = detail.replace('\n', " ");
    let intent = format!("# Seed {seed} violates {}{remark}: {detail}", failure.name);
    let written = writer.lines.len();
    if failure.name == LIVENESS
        && let Some(mut calm) = stuck_calm::<P, K>(plan, actions, seed)
    {
        calm.take_actions().iter().for_each(|action| writer.act(action));
        // Those that ask in a calm must be answered; those that asked before have given up.
        let end = writer.calm(&writer.down(), &writer.waiting());
        ends.push(writer.lines.split_off(written).into_iter().chain(end).collect());
    }
    let begun = writer.lines;
    let ended = ends.into_iter().map(|end| {
        let lines: Vec<String> = begun.iter().cloned().chain(end).collect();
        let text = lines.join("\n");
        match exceeded(&lines, &writer.known) {
            None => format!("{intent}\n{text}\n"),
            Some(bound) => format!("# Not to be run: {bound}.\n{intent}\n{text}\n"),
        }
    });
    ended.collect()
}

/// The bound of the language that these lines exceed, with the two lines of comment above them.
fn exceeded(lines: &[String], known: &BTreeSet<NodeId>) -> Option<String> {
    let bytes: usize = lines.iter().map(|line| line.len() + 1).sum::<usize>() + 2 * LINE_BYTES_MAX;
    if lines.len() + 2 > LINES_MAX {
        return Some(format!("{} lines are more than {LINES_MAX}", lines.len()));
    }
    if bytes > SOURCE_BYTES_MAX {
        return Some(format!("{bytes} bytes are more than {SOURCE_BYTES_MAX}"));
    }
    if let Some(id) = known.last().filter(|id| id.0 >= MEMBERS_MAX) {
        return Some(format!("member {} is beyond {}", id.0, MEMBERS_MAX - 1));
    }
    lines.iter().any(|line| line.len() > LINE_BYTES_MAX).then(|| "a line is too long".to_string())
}

/// A script that is being written, and the world beside it.
struct Writer<P: Policies, K: kv::Rules>
where
    StoreOf<K>: Default,
{
    world: World<P, K>,
    lines: Vec<String>,
    /// The number of the next request.
    next_request: u64,
    /// The latest request of each client.
    latest: BTreeMap<ClientNumber, RequestId>,
    /// The request that opened the session of each client.
    sessions: BTreeMap<ClientNumber, RequestId>,
    /// Members that ever were.
    known: BTreeSet<NodeId>,
}

impl<P: Policies, K: kv::Rules> Writer<P, K>
where
    StoreOf<K>: Default,
{
    fn act(&mut self, action: &Action) {
        let lines = self.describe(action);
        if !self.world.perform(action) {
            return;
        }
        self.lines.extend(lines);
        match action {
            Action::OpenSession { client, .. }
            | Action::Call { client, .. }
            | Action::Retry { client, .. } => {
                self.latest.insert(*client, RequestId(self.next_request));
                self.next_request += 1;
            }
            Action::ChangeMembers { .. } | Action::Transfer { .. } => self.next_request += 1,
            Action::Join(id) => {
                self.known.insert(*id);
            }
            _ => {}
        }
        for (number, client) in (0..).zip(self.world.clients()) {
            if !matches!(client.session, Session::Open(_)) {
                self.sessions.remove(&number);
            } else if let Some(latest) = self.latest.get(&number) {
                // A session is opened by the latest request of its client, which has one at a time.
                self.sessions.entry(number).or_insert(*latest);
            }
        }
    }

    /// The lines that do what the action is about to do. If it does nothing they must not be used.
    fn describe(&self, action: &Action) -> Vec<String> {
        let one = |line: String| Vec::from([line]);
        match action {
            Action::Deliver { link, position } => one(on_link("deliver", *link, *position)),
            Action::Drop { link, position } => one(on_link("drop", *link, *position)),
            Action::Duplicate { link, position } => one(on_link("duplicate", *link, *position)),
            Action::Sync { id, count } => one(format!("sync {} {}", id.0, (*count).min(self.pending(*id)))),
            Action::Timeout { id, timer } => one(format!("timeout {} {}", id.0, self::timer(*timer))),
            Action::OpenSession { at, .. } => {
                one(self.ask(format!("open-session s{}", self.next_request), *at))
            }
            Action::Call { client, at, call } => one(self.call(*client, *at, call)),
            Action::Retry { client, at } => self.retry(*client, *at).into_iter().collect(),
            Action::GiveUp { client } | Action::Replace { client } => self.give_up(*client),
            Action::Cut(links) => self.known_links(links).map(|link| on_link("cut", link, 0)).collect(),
            Action::Restore(links) => {
                self.known_links(links).map(|link| on_link("restore", link, 0)).collect()
            }
            Action::Crash { id, keep } => one(match (*keep).min(self.pending(*id)) {
                0 => format!("crash {}", id.0),
                keep => format!("crash {} keep={keep}", id.0),
            }),
            Action::Restart(id) => one(format!("restart {}", id.0)),
            Action::BackUp(id) => {
                self.known.get(id).map(|id| format!("back-up {}", id.0)).into_iter().collect()
            }
            Action::LoseDisk(id) => one(format!("lose-disk {}", id.0)),
            Action::RollBackDisk(id) => one(format!("roll-back-disk {}", id.0)),
            Action::SetClockRate { .. } => Vec::new(),
            Action::Compact(id) => one(format!("compact {}", id.0)),
            Action::Join(id) => one(format!("join {}", id.0)),
            Action::ChangeMembers { at, changes } => {
                let changes = changes.iter().map(|change| match change {
                    MemberChange::AddLearner(id) => format!(" learner={}", id.0),
                    MemberChange::Promote(id) => format!(" promote={}", id.0),
                    MemberChange::Remove(id) => format!(" remove={}", id.0),
                });
                self.administer(format!("change-members{}", changes.collect::<String>()), *at)
            }
            Action::Transfer { at, to } => self.administer(format!("transfer {}", to.0), *at),
            Action::Retire(id) => one(format!("retire {}", id.0)),
        }
    }

    fn pending(&self, id: NodeId) -> u32 {
        self.world.cluster().members().get(&id).map_or(0, |member| member.disk().pending() as u32)
    }

    /// A link of a member that never was carries nothing, cut or not.
    fn known_links<'a>(&'a self, links: &'a [Link]) -> impl Iterator<Item = Link> + 'a {
        let is_known = |(from, to): &Link| self.known.contains(from) && self.known.contains(to);
        links.iter().copied().filter(is_known)
    }

    // --- requests ------------------------------------------------------------------------------

    fn ask(&self, what: String, at: NodeId) -> String {
        format!("submit {what} at={} as=r{}", at.0, self.next_request)
    }

    /// An operator asks, and gives up on the earliest request if there are too many.
    fn administer(&self, what: String, at: NodeId) -> Vec<String> {
        let waiting = self.world.operator_requests();
        let surplus = waiting.front().filter(|_| waiting.len() >= OPERATOR_REQUESTS_MAX);
        let cancelled = surplus.map(|(request, _)| format!("cancel r{}", request.0));
        core::iter::once(self.ask(what, at)).chain(cancelled).collect()
    }

    fn call(&self, number: ClientNumber, at: NodeId, call: &Call) -> String {
        match call {
            Call::Read(keys) => self.ask(read(keys), at),
            Call::Write { compares, then, otherwise } => {
                let op = client::operation(compares, then, otherwise);
                let sequence =
                    self.world.clients().get(usize::from(number)).map_or(0, |client| client.sequence);
                self.write(number, at, &op, sequence + 1)
            }
        }
    }

    fn write(&self, number: ClientNumber, at: NodeId, op: &Op, sequence: u64) -> String {
        let line = self.ask(operation(op), at);
        match self.sessions.get(&number) {
            Some(session) => format!("{line} session=s{} seq={sequence}", session.0),
            None => line,
        }
    }

    fn retry(&self, number: ClientNumber, at: NodeId) -> Option<String> {
        let client = self.world.clients().get(usize::from(number))?;
        Some(match &client.current.as_ref()?.what {
            What::Read(keys) => self.ask(read(keys), at),
            What::Write { command, tag } => {
                let command = from_bytes::<Command>(command).expect("what a client submits can be read");
                match (command.op, tag) {
                    (Op::OpenSession, _) => self.ask(format!("open-session s{}", self.next_request), at),
                    (op, Some(tag)) => self.write(number, at, &op, tag.sequence),
                    (op, None) => self.ask(operation(&op), at),
                }
            }
        })
    }

    fn give_up(&self, number: ClientNumber) -> Vec<String> {
        let Some(client) = self.world.clients().get(usize::from(number)) else { return Vec::new() };
        let current = client.current.iter().flat_map(|current| &current.attempts);
        let attempts = client.surplus.iter().chain(current);
        attempts.map(|(request, _)| format!("cancel r{}", request.0)).collect()
    }

    // --- the end -------------------------------------------------------------------------------

    /// What the first line has to say about the lines that fail, and these, in one way or in several.
    fn ends(&self, failure: &Failure) -> (&'static str, Vec<Vec<String>>) {
        let one = |line: &str| Vec::from([Vec::from([line.to_string()])]);
        match failure.name {
            LIVENESS => ("", self.absentees().iter().map(|absent| self.calm(absent, &[])).collect()),
            "no_fault" => {
                let members = self.world.cluster().members().iter();
                let faulty =
                    members.filter(|(_, member)| member.fault().is_some() && !member.has_lost_disk());
                ("", Vec::from([faulty.map(|(id, _)| format!("expect fault {} none", id.0)).collect()]))
            }
            "no_panic" => (" (the last line panics)", Vec::from([Vec::new()])),
            "bounded" => (" (which a scenario does not notice)", Vec::from([Vec::new()])),
            _ if self.world.cluster().violation().is_some() => ("", Vec::from([Vec::new()])),
            _ => ("", one("expect folded")),
        }
    }

    /// Who is down.
    fn down(&self) -> BTreeSet<NodeId> {
        let members = self.world.cluster().members().iter();
        members.filter(|(_, member)| member.replica().is_none()).map(|(id, _)| *id).collect()
    }

    /// What clients wait for.
    fn waiting(&self) -> Vec<RequestId> {
        let current = self.world.clients().iter().filter_map(|client| client.current.as_ref());
        current.flat_map(|current| &current.attempts).map(|(request, _)| *request).collect()
    }

    /// Who may stay away in a calm: nobody, or some that the others can do without, the fewest first.
    fn absentees(&self) -> Vec<BTreeSet<NodeId>> {
        let mut sets = Vec::from([BTreeSet::new()]);
        for id in self.world.cluster().members().keys() {
            for at in 0..sets.len() {
                let more: BTreeSet<NodeId> = sets[at].iter().copied().chain([*id]).collect();
                if is_spared(&self.world, &more) {
                    sets.push(more);
                }
            }
        }
        sets.sort_by_key(BTreeSet::len);
        sets
    }

    /// A calm in which these stay away, and what must come of it: whoever is asked answers, and all are equal.
    fn calm(&self, absent: &BTreeSet<NodeId>, waiting: &[RequestId]) -> Vec<String> {
        let all = self.world.cluster().members();
        let arrivals = all.iter().filter_map(|(id, member)| match (absent.contains(id), member.replica()) {
            (true, Some(_)) => Some(format!("crash {}", id.0)),
            (false, None) if !member.has_lost_disk() => Some(format!("restart {}", id.0)),
            _ => None,
        });
        let mut lines: Vec<String> = arrivals.collect();
        lines.extend(["heal", "elapse 30s"].map(str::to_string));
        let governing = committed_configuration(&self.world);
        let is_there = |id: &&NodeId| governing.contains(**id) && !absent.contains(*id);
        let asked: Vec<u64> = all.keys().filter(is_there).map(|id| id.0).collect();
        lines.extend(asked.iter().flat_map(|id| {
            [format!("submit noop at={id} as=p{id}"), format!("submit read-all at={id} as=q{id}")]
        }));
        lines.extend(["elapse 5s", "heal"].map(str::to_string));
        lines.extend(asked.iter().flat_map(|id| ["p", "q"].map(|it| format!("expect answered {it}{id}"))));
        lines.extend(waiting.iter().map(|request| format!("expect answered r{}", request.0)));
        let rest = ["propose noop as=probe", "heal", "expect outcome probe applied", "expect converged"];
        lines.extend(rest.map(str::to_string));
        lines
    }
}

// --- words -----------------------------------------------------------------------------------------

fn on_link(verb: &str, (from, to): Link, position: u32) -> String {
    match position {
        0 => format!("{verb} {} {}", from.0, to.0),
        position => format!("{verb} {} {} skip={position}", from.0, to.0),
    }
}

fn timer(timer: Timer) -> &'static str {
    match timer {
        Timer::Election => "election",
        Timer::LeaderFresh => "leader-fresh",
        Timer::CheckQuorum => "check-quorum",
        Timer::Heartbeat => "heartbeat",
        Timer::Transfer => "transfer",
    }
}

fn read(keys: &[Bytes]) -> String {
    match keys {
        [key] => format!("read {}", word(key)),
        _ => "read-all".to_string(),
    }
}

fn operation(op: &Op) -> String {
    match op {
        Op::Put(put) => format!("put {}={}", word(&put.key), word(&put.value)),
        Op::Del(delete) => format!("del {}", key(&delete.keys)),
        Op::Txn(txn) => transaction(txn),
        Op::NoOp => "noop".to_string(),
        Op::OpenSession | Op::CloseSession { .. } => {
            unreachable!("sessions are opened by actions of their own")
        }
    }
}

fn transaction(txn: &Txn) -> String {
    let mut words = Vec::from(["txn".to_string()]);
    if !txn.compares.is_empty() {
        words.push("if".to_string());
    }
    words.extend(txn.compares.iter().map(|compare| match &compare.target {
        Target::Version(version) => format!("version:{}={version}", key(&compare.keys)),
        Target::Value(value) => format!("{}={}", key(&compare.keys), word(value)),
        _ => unreachable!("clients compare values and versions"),
    }));
    words.push("then".to_string());
    words.extend(txn.then.iter().map(step));
    if !txn.otherwise.is_empty() {
        words.push("else".to_string());
        words.extend(txn.otherwise.iter().map(step));
    }
    words.join(" ")
}

fn step(step: &TxnOp) -> String {
    match step {
        TxnOp::Simple(SimpleOp::Put(put)) => format!("put {}={}", word(&put.key), word(&put.value)),
        TxnOp::Simple(SimpleOp::Delete(delete)) => format!("del {}", key(&delete.keys)),
        TxnOp::Simple(SimpleOp::Range(range)) => format!("get {}", key(&range.keys)),
        TxnOp::Txn(_) => unreachable!("clients do not nest transactions"),
    }
}

fn key(keys: &KeyRange) -> String {
    let KeyRange::One(key) = keys else { unreachable!("clients name single keys") };
    word(key)
}

fn word(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
