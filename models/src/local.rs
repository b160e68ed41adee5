//! One member, one event: the shipped code runs here and nowhere else.
//!
//! What a member does depends on itself and on the event alone, so this is a pure function, and the
//! [`memo`](crate::memo) may remember what it returned. An event is one step of the cluster: receipts of an
//! instant disk and reports of the state machine, which is applied in line as in the executor of the
//! simulated cluster, belong to it.
//!
//! What one member can be judged by is judged here: the step invariants, between any two inputs, and
//! that nothing leaves or is applied before it is durable. Left out: whatever needs the other members or
//! the past of the cluster ([`properties`](crate::properties)).

use std::collections::VecDeque;

use dkv::cluster::invariants::{applies_only_durable, leaves_only_durable};
use dkv::raft::invariants::{Verdict, check_step};
use dkv::raft::{Payload, RequestId, Timer, Vitals};
use dkv::replica::{Answer, Effects, Input, Request, Rules};

use crate::configurations::DiskSync;
use crate::guard::guarded;
use crate::interned::Interned;
use crate::properties::{Broken, NO_PANIC};
use crate::state::{Command, Member, Packet, Response};

/// What happens to a member.
#[derive(Clone, Debug)]
pub enum Event {
    /// A packet arrives.
    Packet(Interned<Packet>),
    /// Its disk completes the oldest writes.
    Persisted(u32),
    /// A client asks for this command. The request has the command's number.
    Propose(Command),
    /// The heartbeat timer fires.
    Heartbeat,
}

impl Event {
    /// Words that are different for different events.
    pub fn key(&self) -> (u8, u64) {
        match self {
            Event::Packet(packet) => (0, packet.content_hash()),
            Event::Persisted(count) => (1, u64::from(*count)),
            Event::Propose(command) => (2, u64::from(*command)),
            Event::Heartbeat => (3, 0),
        }
    }

    fn input(&self) -> Input<Command, Response> {
        match self {
            Event::Packet(packet) => Input::Packet(Packet::clone(packet)),
            Event::Persisted(count) => Input::Persisted(*count),
            Event::Propose(command) => {
                Input::Request(Request::Propose(vec![(RequestId(u64::from(*command)), *command)]))
            }
            Event::Heartbeat => Input::Timeout(Timer::Heartbeat),
        }
    }
}

/// What became of a member, and what it said.
pub struct Outcome<R: Rules> {
    /// The member afterwards.
    pub member: Member<R>,
    /// What it sent, in order.
    pub sent: Vec<Packet>,
    /// What it told clients.
    pub answers: Vec<Answer<Response>>,
    /// What it broke by itself.
    pub verdict: Result<(), Broken>,
}

/// Gives a member an event. A panic is a verdict, and the member is as it was.
pub fn run<R: Rules>(sync: DiskSync, member: &Member<R>, event: &Event) -> Outcome<R> {
    guarded(|| run_unguarded(sync, member, event)).unwrap_or_else(|detail| Outcome {
        member: member.clone(),
        sent: Vec::new(),
        answers: Vec::new(),
        verdict: Err(Broken { property: NO_PANIC, detail }),
    })
}

fn run_unguarded<R: Rules>(sync: DiskSync, member: &Member<R>, event: &Event) -> Outcome<R> {
    let (mut replica, mut disk) = (member.replica.clone(), member.disk.clone());
    if let Event::Persisted(count) = event {
        disk.sync(*count as usize);
    }
    let (mut sent, mut answers, mut verdict) = (Vec::new(), Vec::new(), Ok(()));
    let mut inputs = VecDeque::from([event.input()]);
    while let Some(input) = inputs.pop_front() {
        let before = Vitals::of(replica.node());
        let effects = replica.step(input);
        if let Some(write) = &effects.write {
            disk.pending.push_back(write.clone());
            if sync == DiskSync::Instant {
                disk.sync(1);
                inputs.push_back(Input::Persisted(1));
            }
        }
        let judge = || -> Verdict {
            check_step(&before, replica.node())?;
            effects.messages.iter().try_for_each(|left| leaves_only_durable(left, &disk.synced))?;
            applies_only_durable(before.id, effects.apply, &disk.synced)
        };
        verdict = verdict.and_then(|()| judge());
        let Effects { messages, forwards, apply, wants_responses, answers: told, .. } = effects;
        let snapshots = effects.stage.is_some() || effects.install.is_some() || effects.load.is_some();
        assert!(!snapshots && !effects.take_snapshot, "nothing is compacted in these configurations");
        sent.extend(messages.into_iter().map(|envelope| Packet::Raft { envelope, chunk: None }));
        let forward = |(to, forward)| Packet::Forward { from: before.id, to, forward };
        sent.extend(forwards.into_iter().map(forward));
        if !apply.is_empty() {
            let commands =
                replica.node().log().range(apply.after, apply.to).filter_map(|entry| match entry.payload {
                    Payload::Command(command) => Some((entry.id, command)),
                    Payload::Noop | Payload::Configuration(_) => None,
                });
            let responses = if wants_responses { commands.collect() } else { Vec::new() };
            inputs.push_back(Input::Applied { last: apply.to, responses });
        }
        answers.extend(told);
    }
    Outcome { member: Member::new(replica, disk), sent, answers, verdict: verdict.map_err(Broken::from) }
}
