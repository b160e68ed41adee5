//! Text to scenario. Reads one line after the other and keeps what later lines may refer to: members,
//! requests, sessions, and what is left of the bounds.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::command::{Asking, Command, Messages, Request, Session, Setup};
use super::expect::{Expectation, Fact, Fate, OutcomeFacts, RESPONSES, RoleName};
use super::operation::read_op;
use super::words::{
    Options, Parsed, Word, Words, configuration, duration_ms, entry_id, error, key, name, number, one_of,
    pair, switch,
};
use super::{
    ELAPSED_MS_MAX, LINE_BYTES_MAX, LINES_MAX, Line, MEMBERS_MAX, NODES_MAX, PROPOSALS_MAX, SOURCE_BYTES_MAX,
    Scenario,
};
use crate::raft::{Bytes, Index, MemberChange, NodeId, Term, Timer};

/// The latest request.
pub(super) const LATEST: &str = "it";

const TIMERS: [(Timer, &str); 5] = [
    (Timer::Election, "election"),
    (Timer::LeaderFresh, "leader-fresh"),
    (Timer::CheckQuorum, "check-quorum"),
    (Timer::Heartbeat, "heartbeat"),
    (Timer::Transfer, "transfer"),
];

/// More of anything that is counted one by one would only be slow.
const COUNT_MAX: u64 = 10_000;

pub(super) fn parse(text: &str) -> Parsed<Scenario> {
    if text.len() > SOURCE_BYTES_MAX {
        return error(1, 1, format_args!("a scenario has at most {SOURCE_BYTES_MAX} bytes"));
    }
    let mut intent = None;
    let mut parser = Parser::default();
    let mut last = 1;
    for (line, text) in (1..).zip(text.lines()) {
        last = line;
        if line > LINES_MAX {
            return error(line, 1, format_args!("a scenario has at most {LINES_MAX} lines"));
        }
        if text.len() > LINE_BYTES_MAX {
            return error(
                line,
                LINE_BYTES_MAX + 1,
                format_args!("a line has at most {LINE_BYTES_MAX} bytes"),
            );
        }
        if line == 1 {
            intent = text.strip_prefix('#').map(str::trim).filter(|intent| !intent.is_empty());
        }
        if intent.is_none() {
            break;
        }
        let words = Words::split(line, text)?;
        if !words.is_empty() {
            parser.read_line(words)?;
        }
    }
    let Some(intent) = intent else {
        return error(1, 1, "a scenario starts with a comment that says what it shows");
    };
    match parser.setup {
        Some(setup) => Ok(Scenario { intent: intent.to_string(), setup, lines: parser.lines }),
        None => error(last, 1, "a scenario founds a cluster: expected cluster nodes=N"),
    }
}

#[derive(Default)]
struct Parser {
    setup: Option<Setup>,
    lines: Vec<Line>,
    members: BTreeSet<NodeId>,
    /// Members that left for good: messages and requests may still name them.
    retired: BTreeSet<NodeId>,
    requests: BTreeSet<String>,
    sessions: BTreeSet<String>,
    proposals: u64,
    elapsed_ms: u64,
}

impl Parser {
    fn read_line(&mut self, mut words: Words<'_>) -> Parsed<()> {
        let (number, text) = (words.line, words.normalized());
        let verb = words.next("a command")?;
        match (&self.setup, verb.text) {
            (None, "cluster") => self.setup = Some(self.read_cluster(&mut words, text)?),
            (None, _) => return words.wrong(verb, "the first command to be cluster"),
            (Some(_), "cluster") => return error(number, verb.column, "a scenario has one cluster"),
            (Some(_), _) => {
                let command = self.read_command(verb, &mut words)?;
                words.finish()?;
                self.lines.push(Line { number, text, command });
            }
        }
        Ok(())
    }

    fn read_cluster(&mut self, words: &mut Words<'_>, text: String) -> Parsed<Setup> {
        let known = [
            "nodes",
            "seed",
            "snapshot_every",
            "keep",
            "chunk_bytes",
            "append_entries",
            "append_bytes",
            "inflight",
            "inflight_bytes",
            "uncommitted",
            "waiting_reads",
            "eager_commit",
            "codec",
            "election_timeout",
            "heartbeat",
            "strict",
        ];
        let line = words.line;
        let given = words.options(&known)?;
        let Some(nodes) = given.number("nodes", 1..=NODES_MAX)? else {
            return words.missing("nodes=N");
        };
        let mut options = crate::cluster::Options::default();
        let mut is_strict = true;
        for (option, value) in given.all() {
            let limits = &mut options.limits;
            let small = |word| number(line, word, 1..=COUNT_MAX).map(|number| number as u32);
            match option.text {
                "seed" => options.seed = number(line, value, 0..=u64::MAX)?,
                "snapshot_every" => options.snapshots.every_entries = number(line, value, 0..=COUNT_MAX)?,
                "keep" => options.snapshots.keep_entries = number(line, value, 0..=COUNT_MAX)?,
                "chunk_bytes" => limits.chunk_bytes_max = small(value)?,
                "append_entries" => limits.append_entries_max = small(value)?,
                "append_bytes" => limits.append_bytes_max = small(value)?.into(),
                "inflight" => limits.inflight_appends_max = small(value)?,
                "inflight_bytes" => limits.inflight_bytes_max = small(value)?.into(),
                "uncommitted" => limits.uncommitted_entries_max = small(value)?.into(),
                "waiting_reads" => limits.waiting_reads_max = small(value)?,
                "eager_commit" => limits.eager_commit = switch(line, value, ["on", "off"])?,
                "strict" => is_strict = switch(line, value, ["on", "off"])?,
                "codec" => options.codec = switch(line, value, ["on", "off"])?,
                "election_timeout" => options.election_timeout_ms = duration_ms(line, value, 100..=60_000)?,
                "heartbeat" => options.heartbeat_ms = duration_ms(line, value, 20..=20_000)?,
                _ => {}
            }
        }
        if options.heartbeat_ms * 3 >= options.election_timeout_ms {
            let at = given.get("heartbeat").or(given.get("election_timeout"));
            let reason = "the election timeout is more than three times the heartbeat";
            return error(line, at.map_or(1, |word| word.column), reason);
        }
        self.members = (0..nodes).map(NodeId).collect();
        Ok(Setup { nodes, options, is_strict, text })
    }

    fn read_command(&mut self, verb: Word<'_>, words: &mut Words<'_>) -> Parsed<Command> {
        if let Some((request, asking)) = self.read_request(verb, words)? {
            return Ok(Command::Ask(request, asking));
        }
        Ok(match verb.text {
            "cancel" => Command::Cancel(self.request(words)?),
            "partition" => Command::Partition(self.members(words, true)?),
            "cut" => self.link(words).map(|(from, to)| Command::Cut(from, to))?,
            "restore" => self.link(words).map(|(from, to)| Command::Restore(from, to))?,
            "heal" => Command::Heal,
            "crash" => {
                let id = self.member(words)?;
                let keep = words.options(&["keep"])?.number("keep", 0..=COUNT_MAX)?;
                Command::Crash(id, keep.unwrap_or(0) as usize)
            }
            "restart" => Command::Restart(self.member(words)?),
            "join" => Command::Join(self.join(words)?),
            "retire" => {
                let id = self.member(words)?;
                self.retired.insert(id);
                Command::Retire(id)
            }
            "back-up" => Command::BackUp(self.member(words)?),
            "lose-disk" => Command::LoseDisk(self.member(words)?),
            "roll-back-disk" => Command::RollBackDisk(self.member(words)?),
            "hold-disk" => Command::HoldDisk(self.member(words)?),
            "release-disk" => Command::ReleaseDisk(self.member(words)?),
            "sync" => Command::Sync(self.member(words)?, count(words)?),
            "compact" => Command::Compact(self.member(words)?),
            "deliver" if words.peek().is_none() => Command::Deliver,
            "deliver" => Command::DeliverOn(self.messages(words, true)?),
            "drop" => Command::Drop(self.messages(words, true)?),
            "duplicate" => Command::Duplicate(self.messages(words, false)?),
            "delay" => self.link(words).map(|(from, to)| Command::Delay(from, to))?,
            "stabilize" => Command::Stabilize,
            "timeout" => {
                let id = self.member(words)?;
                Command::Timeout(id, one_of(words.line, words.next("a timer")?, &TIMERS)?)
            }
            "campaign" => Command::Campaign(self.member(words)?),
            "elapse" => {
                let word = words.next("a duration")?;
                let duration = duration_ms(words.line, word, 1..=ELAPSED_MS_MAX)?;
                self.spend_time(words.line, word.column, duration)?;
                Command::Elapse(duration)
            }
            "await-leader" => {
                let timeouts = words.options(&["timeouts"])?.number("timeouts", 1..=50)?.unwrap_or(10);
                let timeout_ms = self.setup.as_ref().map_or(0, |setup| setup.options.election_timeout_ms);
                self.spend_time(words.line, verb.column, timeouts * timeout_ms)?;
                Command::AwaitLeader(timeouts)
            }
            "status" => Command::Status(self.members(words, false)?),
            "log" => Command::Log(self.member(words)?),
            "store" => Command::Store(self.member(words)?),
            "links" => Command::Links,
            "trace" => Command::Trace(switch(words.line, words.next("on or off")?, ["on", "off"])?),
            "expect" => Command::Expect(self.read_expectation(words)?),
            _ => return words.wrong(verb, "a command"),
        })
    }

    // --- requests ------------------------------------------------------------------------------

    /// A request and how it is made; nothing if `verb` is no request.
    fn read_request(&mut self, verb: Word<'_>, words: &mut Words<'_>) -> Parsed<Option<(Request, Asking)>> {
        const ASKING: [&str; 2] = ["at", "as"];
        let is_submit = verb.text == "submit";
        let verb = if is_submit { words.next("what to submit")? } else { verb };
        let line = words.line;
        let request = match verb.text {
            "propose" => {
                let op_verb = words.next("an operation")?;
                return self.read_proposal(op_verb, words, !is_submit).map(Some);
            }
            "noop" | "put" | "del" | "txn" if is_submit => {
                return self.read_proposal(verb, words, false).map(Some);
            }
            "read" => Request::Read(key(line, words.next("a key")?)?),
            "read-all" => Request::ReadAll,
            "open-session" => {
                let word = words.next("a session's name")?;
                let name = name(line, word)?;
                if !self.sessions.insert(name.clone()) {
                    return error(line, word.column, format_args!("session {name} was opened before"));
                }
                Request::OpenSession(name)
            }
            "close-session" => {
                let word = words.next("a session's name")?;
                Request::CloseSession(self.session(line, word)?)
            }
            "add-learner" => {
                let word = words.next("a member")?;
                Request::Change(Vec::from([MemberChange::AddLearner(self.add_member(line, word)?)]))
            }
            "promote" => Request::Change(Vec::from([MemberChange::Promote(self.member(words)?)])),
            "remove" => Request::Change(Vec::from([MemberChange::Remove(self.member(words)?)])),
            "change-members" => {
                let options = words.options(&["learner", "promote", "remove", "at", "as"])?;
                let mut changes = Vec::new();
                for (option, value) in options.all() {
                    changes.extend(self.read_change(line, option, value)?);
                }
                if changes.is_empty() {
                    return words.missing("learner=ID, promote=ID or remove=ID");
                }
                return Ok(Some((Request::Change(changes), self.read_asking(&options, line, !is_submit)?)));
            }
            "transfer" => Request::Transfer(self.member(words)?),
            _ if is_submit => return words.wrong(verb, "a request"),
            _ => return Ok(None),
        };
        let options = words.options(&ASKING)?;
        Ok(Some((request, self.read_asking(&options, line, !is_submit)?)))
    }

    fn read_proposal(
        &mut self,
        verb: Word<'_>,
        words: &mut Words<'_>,
        deliver: bool,
    ) -> Parsed<(Request, Asking)> {
        let op = read_op(verb, words)?;
        let options = words.options(&["at", "as", "session", "seq", "times"])?;
        let line = words.line;
        let times = options.number("times", 1..=PROPOSALS_MAX)?.unwrap_or(1);
        self.proposals += times;
        if self.proposals > PROPOSALS_MAX {
            let reason = format!("a scenario proposes at most {PROPOSALS_MAX} times");
            return error(line, verb.column, reason);
        }
        let session = match (options.get("session"), options.get("seq")) {
            (Some(word), Some(sequence)) => Some(Session {
                name: self.session(line, word)?,
                sequence: number(line, sequence, 0..=u64::MAX)?,
            }),
            (None, None) => None,
            (Some(word), None) | (None, Some(word)) => {
                return error(line, word.column, "session=NAME and seq=N go together");
            }
        };
        Ok((Request::Propose(op, session, times), self.read_asking(&options, line, deliver)?))
    }

    fn read_asking(&mut self, options: &Options<'_>, line: usize, deliver: bool) -> Parsed<Asking> {
        let at = options.get("at").map(|word| self.known_member(line, word)).transpose()?;
        let name = match options.get("as") {
            Some(word) => {
                let name = name(line, word)?;
                if name == LATEST || !self.requests.insert(name.clone()) {
                    return error(line, word.column, format_args!("the name {name} is taken"));
                }
                Some(name)
            }
            None => None,
        };
        Ok(Asking { at, name, deliver })
    }

    fn read_change(
        &mut self,
        line: usize,
        option: Word<'_>,
        value: Word<'_>,
    ) -> Parsed<Option<MemberChange>> {
        Ok(match option.text {
            "learner" => Some(MemberChange::AddLearner(self.add_member(line, value)?)),
            "promote" => Some(MemberChange::Promote(self.known_member(line, value)?)),
            "remove" => Some(MemberChange::Remove(self.known_member(line, value)?)),
            _ => None,
        })
    }

    // --- what lines refer to ---------------------------------------------------------------------

    fn known_member(&self, line: usize, word: Word<'_>) -> Parsed<NodeId> {
        let id = NodeId(number(line, word, 0..=MEMBERS_MAX - 1)?);
        if self.members.contains(&id) {
            return Ok(id);
        }
        error(line, word.column, format_args!("there is no member {}", id.0))
    }

    fn add_member(&mut self, line: usize, word: Word<'_>) -> Parsed<NodeId> {
        let id = NodeId(number(line, word, 0..=MEMBERS_MAX - 1)?);
        if self.retired.contains(&id) {
            return error(line, word.column, format_args!("member {} has left for good", id.0));
        }
        self.members.insert(id);
        Ok(id)
    }

    /// A member that no earlier line introduced.
    fn join(&mut self, words: &mut Words<'_>) -> Parsed<NodeId> {
        let word = words.next("a member")?;
        let id = NodeId(number(words.line, word, 0..=MEMBERS_MAX - 1)?);
        if self.members.insert(id) {
            return Ok(id);
        }
        error(words.line, word.column, format_args!("there is a member {} already", id.0))
    }

    /// The name of a session that an earlier line opens.
    fn session(&self, line: usize, word: Word<'_>) -> Parsed<String> {
        let name = name(line, word)?;
        if self.sessions.contains(&name) {
            return Ok(name);
        }
        error(line, word.column, format_args!("there is no session {name}"))
    }

    fn member(&self, words: &mut Words<'_>) -> Parsed<NodeId> {
        let word = words.next("a member")?;
        self.known_member(words.line, word)
    }

    /// The members up to the end of the line.
    fn members(&self, words: &mut Words<'_>, at_least_one: bool) -> Parsed<Vec<NodeId>> {
        let mut ids = Vec::new();
        while words.peek().is_some() || (at_least_one && ids.is_empty()) {
            ids.push(self.member(words)?);
        }
        Ok(ids)
    }

    fn link(&self, words: &mut Words<'_>) -> Parsed<(NodeId, NodeId)> {
        let from = self.member(words)?;
        let word = words.next("a member")?;
        let to = self.known_member(words.line, word)?;
        if from == to {
            return error(words.line, word.column, "a link is between two members");
        }
        Ok((from, to))
    }

    /// Messages of one link: `FROM TO [N] [skip=K]`.
    fn messages(&self, words: &mut Words<'_>, may_count: bool) -> Parsed<Messages> {
        let (from, to) = self.link(words)?;
        let is_counted = may_count && words.peek().is_some_and(|word| !word.text.contains('='));
        let count = if is_counted { count(words)?.unwrap_or(1) } else { 1 };
        let skip = words.options(&["skip"])?.number("skip", 0..=COUNT_MAX)?.unwrap_or(0) as usize;
        Ok(Messages { from, to, count, skip })
    }

    /// The name of a request that was made.
    fn request(&self, words: &mut Words<'_>) -> Parsed<String> {
        let word = words.next("a request")?;
        let name = name(words.line, word)?;
        let is_made = self.lines.iter().any(|line| matches!(line.command, Command::Ask(..)));
        if self.requests.contains(&name) || (name == LATEST && is_made) {
            return Ok(name);
        }
        error(words.line, word.column, format_args!("there is no request {name}"))
    }

    fn spend_time(&mut self, line: usize, column: usize, duration_ms: u64) -> Parsed<()> {
        self.elapsed_ms += duration_ms;
        if self.elapsed_ms > ELAPSED_MS_MAX {
            return error(line, column, format_args!("at most {ELAPSED_MS_MAX}ms pass in a scenario"));
        }
        Ok(())
    }

    // --- expectations ----------------------------------------------------------------------------

    fn read_expectation(&self, words: &mut Words<'_>) -> Parsed<Expectation> {
        let what = words.next("what to expect")?;
        let line = words.line;
        Ok(match what.text {
            "leader" if words.take("none") => Expectation::Leader(None),
            "leader" => Expectation::Leader(Some(self.member(words)?)),
            "members" => Expectation::Members(configuration(line, words.next("a configuration")?)?),
            "partitioned" => {
                let id = self.member(words)?;
                Expectation::Partitioned(id, switch(line, words.next("true or false")?, ["true", "false"])?)
            }
            "committed" => Expectation::Committed(entry_id(line, words.next("an entry")?)?),
            "queued" => {
                let (from, to) = self.link(words)?;
                Expectation::Queued(from, to, one_number(words)? as usize)
            }
            "inflight" => {
                let (from, to) = self.link(words)?;
                Expectation::Inflight(from, to, one_number(words)? as usize)
            }
            "converged" => Expectation::Converged,
            "folded" => Expectation::Folded,
            "hash-equal" => Expectation::HashEqual(self.members(words, false)?),
            "answered" => Expectation::Answered(self.request(words)?),
            "outcome" => {
                let request = self.request(words)?;
                Expectation::Outcome(request, read_outcome(words)?)
            }
            _ => {
                if !FACTS.contains(&what.text) {
                    return words.wrong(what, "something to expect");
                }
                let id = self.member(words)?;
                Expectation::Member(id, self.read_fact(what, words)?)
            }
        })
    }

    fn read_fact(&self, what: Word<'_>, words: &mut Words<'_>) -> Parsed<Fact> {
        let line = words.line;
        Ok(match what.text {
            "role" => Fact::Role(one_of(line, words.next("a role")?, &RoleName::ALL)?),
            "term" => Fact::Term(Term(one_number(words)?)),
            "durable-term" => Fact::DurableTerm(Term(one_number(words)?)),
            "vote" if words.take("none") => Fact::Vote(None),
            "vote" => Fact::Vote(Some(self.member(words)?)),
            "last" => Fact::Last(entry_id(line, words.next("an entry")?)?),
            "commit" => Fact::Commit(Index(one_number(words)?)),
            "applied" => Fact::Applied(Index(one_number(words)?)),
            "durable" => Fact::Durable(Index(one_number(words)?)),
            "unsynced" => Fact::Unsynced(one_number(words)? as usize),
            "snapshot" if words.take("none") => Fact::Snapshot(None),
            "snapshot" => Fact::Snapshot(Some(entry_id(line, words.next("an entry")?)?)),
            "purged" => Fact::Purged(Index(one_number(words)?)),
            "staged" if words.take("none") => Fact::Staged(None),
            "staged" => Fact::Staged(Some(one_number(words)?)),
            "holds" => {
                let id = entry_id(line, words.next("an entry")?)?;
                Fact::Holds(id.index, Some(id.term))
            }
            "fault" => Fact::Fault(!words.take("none")),
            "waiting" => Fact::Waiting(one_number(words)? as usize),
            "revision" => Fact::Revision(one_number(words)?),
            "keys" => Fact::Keys(one_number(words)? as usize),
            "get" => {
                let (key, value) = value_or_none(words)?;
                Fact::Get(key, value.map(|word| Bytes::from(word.text)))
            }
            "version" | "created" => {
                let (key, value) = value_or_none(words)?;
                let value = value.map(|word| number(line, word, 0..=u64::MAX)).transpose()?;
                if what.text == "version" { Fact::Version(key, value) } else { Fact::Created(key, value) }
            }
            "snapshot-bytes" => Fact::SnapshotBytes(one_number(words)? as usize),
            _ => return words.wrong(what, "something to expect"),
        })
    }
}

const FACTS: [&str; 21] = [
    "role",
    "fault",
    "term",
    "durable-term",
    "vote",
    "last",
    "commit",
    "applied",
    "durable",
    "unsynced",
    "snapshot",
    "purged",
    "staged",
    "holds",
    "waiting",
    "revision",
    "keys",
    "get",
    "version",
    "created",
    "snapshot-bytes",
];

fn one_number(words: &mut Words<'_>) -> Parsed<u64> {
    let word = words.next("a number")?;
    number(words.line, word, 0..=u64::MAX)
}

/// A count, if there is one more word.
fn count(words: &mut Words<'_>) -> Parsed<Option<usize>> {
    if words.peek().is_none() {
        return Ok(None);
    }
    let word = words.next("a count")?;
    Ok(Some(number(words.line, word, 1..=COUNT_MAX)? as usize))
}

/// `KEY=VALUE`, or `KEY none`.
fn value_or_none<'a>(words: &mut Words<'a>) -> Parsed<(Bytes, Option<Word<'a>>)> {
    let word = words.next("KEY=VALUE or KEY none")?;
    if words.take("none") {
        return Ok((key(words.line, word)?, None));
    }
    let (key, value) = pair(words.line, word)?;
    Ok((key, Some(value)))
}

fn read_outcome(words: &mut Words<'_>) -> Parsed<OutcomeFacts> {
    let fate_word = words.next("what became of it")?;
    let fate = one_of(words.line, fate_word, &Fate::ALL)?;
    let mut facts = OutcomeFacts { fate, at: None, revision: None, response: None, value: None };
    match fate {
        Fate::Applied => {
            let options = words.options(&["at", "revision", "response"])?;
            let line = words.line;
            facts.at = options.get("at").map(|word| entry_id(line, word)).transpose()?;
            facts.revision = options.number("revision", 0..=u64::MAX)?;
            if let Some(word) = options.get("response") {
                let table = RESPONSES.map(|name| (name, name));
                facts.response = Some(one_of(line, word, &table)?.to_string());
            }
        }
        Fate::Read if words.take("none") => facts.value = Some(None),
        Fate::Read => {
            let value = words.options(&["value"])?.get("value");
            facts.value = value.map(|word| Some(Bytes::from(word.text)));
        }
        _ => {}
    }
    Ok(facts)
}
