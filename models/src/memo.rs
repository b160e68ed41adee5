//! Every distinct step is computed once.
//!
//! A cluster of three has far fewer distinct members than distinct states: in the largest configuration
//! millions of states are made of thousands of members. So what was computed is remembered:
//!
//! | what | depends on | remembered under |
//! |---|---|---|
//! | a member's [step](crate::local::run), what it sends and tells, the invariants over it alone | the member, the event, when its disk syncs | exactly these |
//! | the verdict over the cluster, and what the ledger learns | the [standings](crate::state::Standing) of all, that of the one who moved before, the ledger, the answers | exactly these |
//! | a queue with one more packet | the queue, the packet | exactly these |
//!
//! A member that moved and whose standing did not change, and who told nobody anything, needs no verdict:
//! what would be judged is what was judged before.
//!
//! **Why a key of hashes is exact.** Everything that enters a key is [interned](crate::interned) here,
//! and a table stops the run when two contents have one hash. So an equal key means equal content.
//!
//! **Bugs.** A memo has the [bug](crate::bugs) that was active where it was made and makes it active
//! wherever it computes, so nothing computed under one bug is ever answered under another.
//!
//! **Plain.** [`Stepping::Plain`] computes everything anew, with the same code behind it and neither
//! tables nor maps. It is what the memo is tested against.
//!
//! Left out: sharing between models, since a bug, a limit or a policy may differ; and forgetting.

use std::hash::Hash;

use dkv::cluster::invariants::Ledger;
use dkv::replica::{Answer, Rules};

use crate::bugs::{self, Bug, with_bug};
use crate::configurations::DiskSync;
use crate::guard::guarded;
use crate::interned::{Interned, Map, Table};
use crate::local::{self, Event};
use crate::properties::{Broken, NO_PANIC, judge_step};
use crate::state::{Command, Link, MEMBERS_MAX, Member, Packet, Queue, Response, Standing, State, index_of};

/// Whether steps are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stepping {
    /// Every distinct step is computed once.
    #[default]
    Memoised,
    /// Every step is computed when it is taken.
    Plain,
}

/// What a model has computed so far.
pub struct Memo<R: Rules> {
    bug: Option<Bug>,
    tables: Tables<R>,
    steps: Map<StepKey, Known<R>>,
    verdicts: Map<VerdictKey, Result<Interned<Ledger<Command>>, Broken>>,
}

/// The parts of states, each content once.
struct Tables<R: Rules> {
    stepping: Stepping,
    members: Table<Member<R>>,
    standings: Table<Standing>,
    packets: Table<Packet>,
    queues: Table<Queue>,
    ledgers: Table<Ledger<Command>>,
    answers: Table<Vec<Answer<Response>>>,
    pushes: Map<(u64, u64), Interned<Queue>>,
}

/// How much a memo holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Distinct members.
    pub members: usize,
    /// Distinct standings of members.
    pub standings: usize,
    /// Distinct queues.
    pub queues: usize,
    /// Distinct steps of one member.
    pub steps: usize,
    /// Distinct verdicts over the cluster.
    pub verdicts: usize,
}

#[derive(PartialEq, Eq, Hash)]
struct StepKey {
    member: u64,
    event: (u8, u64),
    sync: DiskSync,
}

#[derive(PartialEq, Eq, Hash)]
struct VerdictKey {
    id: usize,
    before: u64,
    standings: [u64; MEMBERS_MAX],
    ledger: u64,
    answers: u64,
}

/// What is known of one member's step.
struct Known<R: Rules> {
    member: Interned<Member<R>>,
    /// To whom, and what.
    sent: Box<[(usize, Interned<Packet>)]>,
    answers: Option<Interned<Vec<Answer<Response>>>>,
    broken: Option<Box<Broken>>,
    /// Others see a difference.
    moved: bool,
}

impl<R: Rules> Tables<R> {
    fn intern<T: Hash + Eq>(
        stepping: Stepping,
        table: &mut Table<T>,
        value: impl Into<Interned<T>>,
    ) -> Interned<T> {
        match stepping {
            Stepping::Memoised => table.keep(value.into()),
            Stepping::Plain => value.into(),
        }
    }

    fn member(&mut self, mut member: Member<R>) -> Interned<Member<R>> {
        member.standing = Self::intern(self.stepping, &mut self.standings, member.standing);
        Self::intern(self.stepping, &mut self.members, member)
    }

    /// Runs the shipped code.
    fn run(&mut self, sync: DiskSync, before: &Member<R>, event: &Event) -> Known<R> {
        let outcome = local::run(sync, before, event);
        let member = self.member(outcome.member);
        let moved = member.standing != before.standing;
        let sent = outcome
            .sent
            .into_iter()
            .map(|packet| (index_of(packet.to()), Self::intern(self.stepping, &mut self.packets, packet)));
        let answers = (!outcome.answers.is_empty())
            .then(|| Self::intern(self.stepping, &mut self.answers, outcome.answers));
        let broken = outcome.verdict.err().map(Box::new);
        Known { member, sent: sent.collect(), answers, broken, moved }
    }

    /// A link with one more packet.
    fn push(&mut self, link: &Link, packet: &Interned<Packet>) -> Link {
        let key = (link.content_hash(), packet.content_hash());
        if let Some(known) = self.pushes.get(&key) {
            return Link(Some(known.clone()));
        }
        let rest = link.queue().map_or_else(Link::default, |queue| self.push(&queue.rest, packet));
        let queue = Self::intern(self.stepping, &mut self.queues, Queue::pushed(link, packet, rest));
        if self.stepping == Stepping::Memoised {
            self.pushes.insert(key, queue.clone());
        }
        Link(Some(queue))
    }

    /// Judges the member `id` of `state`, which was `before`, with everybody else.
    fn judge(
        &mut self,
        before: &Standing,
        id: usize,
        state: &State<R>,
        answers: &[Answer<Response>],
    ) -> Result<Interned<Ledger<Command>>, Broken> {
        let verdict = guarded(|| judge_step(&before.vitals, id, state, answers));
        let verdict = verdict.unwrap_or_else(|detail| Err(Broken { property: NO_PANIC, detail }));
        verdict.map(|ledger| Self::intern(self.stepping, &mut self.ledgers, ledger))
    }
}

impl<R: Rules> Memo<R> {
    /// Nothing is computed yet. Members have the bug that is active now, if `R` has bugs.
    #[must_use]
    pub fn new(stepping: Stepping) -> Memo<R> {
        let tables = Tables {
            stepping,
            members: Table::default(),
            standings: Table::default(),
            packets: Table::default(),
            queues: Table::default(),
            ledgers: Table::default(),
            answers: Table::default(),
            pushes: Map::default(),
        };
        Memo { bug: bugs::active(), tables, steps: Map::default(), verdicts: Map::default() }
    }

    /// How much it holds.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            members: self.tables.members.len(),
            standings: self.tables.standings.len(),
            queues: self.tables.queues.len(),
            steps: self.steps.len(),
            verdicts: self.verdicts.len(),
        }
    }

    /// The bug that its members have.
    pub(crate) fn bug(&self) -> Option<Bug> {
        self.bug
    }

    pub(crate) fn member(&mut self, member: Member<R>) -> Interned<Member<R>> {
        self.tables.member(member)
    }

    pub(crate) fn ledger(&mut self, ledger: Ledger<Command>) -> Interned<Ledger<Command>> {
        Tables::<R>::intern(self.tables.stepping, &mut self.tables.ledgers, ledger)
    }

    /// Gives the member `id` an event, does what it asks for, and judges it.
    pub(crate) fn step(
        &mut self,
        sync: DiskSync,
        state: &mut State<R>,
        id: usize,
        event: &Event,
    ) -> Result<(), Broken> {
        let Memo { bug, tables, steps, verdicts } = self;
        let (bug, is_plain) = (*bug, tables.stepping == Stepping::Plain);
        let member = state.member(id);
        let fresh;
        let known = if is_plain {
            fresh = with_bug(bug, || tables.run(sync, member, event));
            &fresh
        } else {
            let key = StepKey { member: member.content_hash(), event: event.key(), sync };
            steps.entry(key).or_insert_with(|| with_bug(bug, || tables.run(sync, member, event)))
        };
        for (to, packet) in &known.sent {
            state.send(id, *to, |link| tables.push(link, packet));
        }
        let before = state.replace(id, known.member.clone());
        if let Some(broken) = &known.broken {
            return Err(Broken::clone(broken));
        }
        if !is_plain && !known.moved && known.answers.is_none() {
            return Ok(());
        }
        let answers = known.answers.as_ref();
        let told = answers.map_or(&[][..], |answers| answers);
        let mut judge = || with_bug(bug, || tables.judge(&before.standing, id, state, told));
        let verdict = if is_plain {
            judge()
        } else {
            let mut standings = [0; MEMBERS_MAX];
            for (standing, member) in standings.iter_mut().zip(state.members()) {
                *standing = member.standing.content_hash();
            }
            let key = VerdictKey {
                id,
                before: before.standing.content_hash(),
                standings,
                ledger: state.ledger.content_hash(),
                answers: answers.map_or(0, Interned::content_hash),
            };
            verdicts.entry(key).or_insert_with(judge).clone()
        };
        state.ledger = verdict?;
        Ok(())
    }
}
