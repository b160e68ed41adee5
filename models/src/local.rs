//! One member takes one event: the shipped code, the shipped executor around it, and nothing else.
//!
//! [`run`] is a pure function, and the [`memo`](crate::memo) may remember what it returned. An event is one
//! step of the cluster: receipts of an instant disk and what the executor reports at once belong to it. The
//! executor is that of the simulated cluster, [`dkv::cluster::Member`].
//!
//! The cluster is judged at the end of a step. What an instant disk makes one step of, two commits of which the first
//! ends a joint phase, is judged as one commit under the later configuration; to judge between would take a
//! verdict for every receipt of every step, which the configurations about the network would pay for. Changes of
//! members are explored with explicit disks as well, where each receipt is a step of its own.
//!
//! What one member can be judged by is judged here: the step invariants, between any two inputs, and
//! that nothing leaves or is applied before it is durable. Left out: whatever needs the other members or
//! the past of the cluster ([`properties`](crate::properties)).

use std::collections::VecDeque;

use dkv::cluster::invariants::{Before, applies_only_durable, leaves_only_durable};
use dkv::kv::Response;
use dkv::raft::invariants::{Verdict, check_step};
use dkv::raft::{EntryId, Index, NodeId, RequestId, Timer};
use dkv::replica::{self, Answer, Reply, Request, StateMachine};

use crate::configurations::{Configuration, DiskSync};
use crate::guard::guarded;
use crate::interned::Interned;
use crate::letters::{Command, Subject, View};
use crate::properties::{Broken, NO_PANIC};
use crate::requests;
use crate::state::{Executor, Member, Packet};
use crate::witnesses::{self, Noted};

type Input = replica::Input<Command, Response>;
type Effects = replica::Effects<Command, Response>;

/// What happens to a member.
#[derive(Clone, Debug)]
pub enum Event {
    /// A packet arrives. At a member that is down it is lost.
    Packet(Interned<Packet>),
    /// Its disk completes the oldest writes.
    Persisted(u32),
    /// A client asks for this command.
    Propose(RequestId, Command),
    /// A client asks for so many proposals of the configuration at once, from this number on.
    ProposeTogether(u8, u8),
    /// A client reads.
    Read(RequestId),
    /// A client gives up.
    Cancel(RequestId),
    /// A timer fires.
    Timeout(Timer),
    /// An operator asks for this change of the configuration's list.
    Change(RequestId, usize),
    /// An operator asks for a transfer.
    Transfer(RequestId, NodeId),
    /// An operator asks for a snapshot.
    Compact,
    /// It stops, and so many of its unsynced writes survive.
    Crash(usize),
    /// It starts from its disk, under its id.
    Restart(NodeId),
}

impl Event {
    /// Words that are different for different events.
    pub fn key(&self) -> (u8, u64, u64) {
        match self {
            Event::Packet(packet) => (0, packet.content_hash(), 0),
            Event::Persisted(count) => (1, u64::from(*count), 0),
            Event::Propose(request, command) => (2, request.0, u64::from(*command)),
            Event::Read(request) => (3, request.0, 0),
            Event::Timeout(timer) => (4, *timer as u64, 0),
            Event::Change(request, number) => (5, request.0, *number as u64),
            Event::Transfer(request, to) => (6, request.0, to.0),
            Event::Compact => (7, 0, 0),
            Event::Crash(keep) => (8, *keep as u64, 0),
            Event::Restart(id) => (9, id.0, 0),
            Event::ProposeTogether(first, count) => (10, u64::from(*first), u64::from(*count)),
            Event::Cancel(request) => (11, request.0, 0),
        }
    }
}

/// What a client is told, and what its read saw.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    /// The answer.
    pub answer: Answer<Response>,
    /// For a read that is served: what was applied, and what it saw of it.
    pub view: Option<(EntryId, View)>,
}

/// What became of a member, and what it said.
pub struct Outcome<P: Subject> {
    /// The member afterwards.
    pub member: Member<P>,
    /// The member in the middle, when it had committed something that it then compacted: afterwards nobody can see
    /// what that was.
    pub midway: Option<Member<P>>,
    /// What it sent, in order.
    pub sent: Vec<Packet>,
    /// What it told clients.
    pub told: Vec<Told>,
    /// What this step shows.
    pub noted: Noted,
    /// What it broke by itself.
    pub verdict: Result<(), Broken>,
}

/// Gives a member an event. A panic is a verdict, and the member is as it was.
pub fn run<P: Subject>(
    configuration: &Configuration,
    sync: DiskSync,
    member: &Member<P>,
    event: &Event,
) -> Outcome<P> {
    let run = || {
        let mut run = Running {
            sync,
            executor: member.executor.clone(),
            sent: Vec::new(),
            told: Vec::new(),
            inputs: VecDeque::new(),
            commit_before: member.node().map(|node| node.commit_index()),
            midway: None,
            verdict: Ok(()),
        };
        run.take(configuration, event);
        let Running { executor, sent, told, midway, verdict, .. } = run;
        let after = member.became(executor);
        let noted = witnesses::noted(member, &after, event, &sent, &told);
        Outcome { member: after, midway: midway.map(Member::new), sent, told, noted, verdict }
    };
    guarded(run).unwrap_or_else(|detail| Outcome {
        member: member.clone(),
        midway: None,
        sent: Vec::new(),
        told: Vec::new(),
        noted: Noted::default(),
        verdict: Err(Broken { property: NO_PANIC, detail }),
    })
}

struct Running<P: Subject> {
    sync: DiskSync,
    executor: Executor<P>,
    sent: Vec<Packet>,
    told: Vec<Told>,
    inputs: VecDeque<Input>,
    commit_before: Option<Index>,
    midway: Option<Executor<P>>,
    verdict: Result<(), Broken>,
}

impl<P: Subject> Running<P> {
    fn take(&mut self, configuration: &Configuration, event: &Event) {
        let Configuration { limits, snapshots, .. } = configuration;
        let input = match event {
            Event::Crash(keep) => return self.executor.crash(*keep),
            Event::Restart(id) => {
                match self.executor.restart(*id, *limits, *snapshots) {
                    Ok(effects) => {
                        let before = Before::started(self.executor.replica().expect("it has just started"));
                        self.carry_out(&before, effects);
                    }
                    Err(fault) => self.stopped(&fault),
                }
                return self.drain();
            }
            Event::Persisted(count) => {
                self.executor.sync(*count as usize);
                Input::Persisted(*count)
            }
            Event::Packet(packet) => Input::Packet(Packet::clone(packet)),
            Event::Propose(request, command) => Input::Request(Request::Propose(vec![(*request, *command)])),
            Event::ProposeTogether(first, count) => {
                let numbers = *first..first + count;
                let commands =
                    numbers.map(|number| (requests::proposal(number, 0), configuration.command(number)));
                Input::Request(Request::Propose(commands.collect()))
            }
            Event::Cancel(request) => Input::Cancel(*request),
            Event::Read(request) => Input::Request(Request::Read(*request)),
            Event::Timeout(timer) => Input::Timeout(*timer),
            Event::Change(request, number) => {
                let changes = configuration.changes[*number].to_vec();
                Input::Request(Request::ChangeMembers(*request, changes))
            }
            Event::Transfer(request, to) => Input::Request(Request::TransferLeadership(*request, *to)),
            Event::Compact => Input::Compact,
        };
        self.inputs.push_back(input);
        self.drain();
    }

    /// What is done at once is reported at once.
    fn drain(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            let Some(replica) = self.executor.replica() else { return };
            let before = Before::of(replica, &input);
            let has_committed = self.commit_before.is_some_and(|commit| before.vitals.commit > commit);
            if has_committed && matches!(input, Input::SnapshotWritten { .. }) {
                self.midway = Some(self.executor.clone());
            }
            let Some(effects) = self.executor.step(input) else { return };
            self.carry_out(&before, effects);
        }
    }

    fn carry_out(&mut self, before: &Before, mut effects: Effects) {
        let id = before.vitals.id;
        let judge = || -> Verdict {
            let replica = self.executor.replica().expect("it has just stepped");
            let disk = self.executor.disk().synced();
            check_step(&before.vitals, replica.node())?;
            before.judge(replica, &effects)?;
            effects.messages.iter().try_for_each(|left| leaves_only_durable(left, disk))?;
            applies_only_durable(id, effects.apply, disk)
        };
        if let Err(violation) = judge()
            && self.verdict.is_ok()
        {
            self.verdict = Err(Broken::from(violation));
        }
        let writes = effects.write.is_some();
        let mut reports = VecDeque::new();
        self.executor.execute(id, &mut effects, &mut reports, |packet| self.sent.push(packet));
        if writes && self.sync == DiskSync::Instant {
            self.executor.sync(1);
            self.inputs.push_back(Input::Persisted(1));
        }
        self.inputs.extend(reports);
        let machine = self.executor.machine();
        for answer in effects.answers {
            let is_read = matches!(answer.outcome, Ok(Reply::Read { .. }));
            let view = is_read.then(|| (machine.applied(), machine.query(&())));
            self.told.push(Told { answer, view });
        }
        if let Some(fault) = self.executor.fault().map(str::to_owned) {
            self.stopped(&fault);
        }
    }

    /// A replica that stops by itself is as bad as one that panics.
    fn stopped(&mut self, fault: &str) {
        if self.verdict.is_ok() {
            self.verdict = Err(Broken { property: NO_PANIC, detail: format!("it stopped: {fault}") });
        }
    }
}
