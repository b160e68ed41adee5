//! Shrinking: from the thousands of actions of a run that failed to the few that matter.
//!
//! Delta debugging (Zeller and Hildebrandt 2002) over actions. What does nothing is free to leave out, and
//! what comes after the failure too, so a first replay cuts both. Of a long run whole rounds go next, the
//! oldest first: each begins and ends at rest, so those after it stay plausible. Then go whole kinds of actions, all that
//! one client, member or link has a part in, then chunks from large to small, from the end to the beginning
//! because causes come before their effects, and back, and at last pairs and the insides of single actions. What is
//! left is short, and no single action of it can be left out, unless the tries were used up. On the way the
//! cluster shrinks too: founding members go, whose names the later ones take, and unusual limits.
//!
//! All of that is done in several orders, and once with messages and disks that move by themselves while
//! what drives them is shrunk; the shortest result counts.
//!
//! **Messages keep their identity.** An action names a message by its position on a link, which means
//! another one as soon as an earlier action is gone: taken literally, nearly every shorter list derails. So
//! each replay remembers what an action did to ([`Step`]), and the next one looks that message up on its
//! link wherever it is now, and does nothing if it was never sent. Losses, heartbeats and copies that did not
//! matter can then be left out in any order.
//!
//! Left out: simpler requests, and other failures than the one that is looked for, even if they are shorter.

mod parts;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use self::parts::{Trait, is_about_position, simpler_actions, traits, without_member};
use super::action::Action;
use super::plan::Plan;
use crate::cluster::Options;
use crate::raft::{Limits, NodeId, Timer};
use crate::replica::SnapshotPolicy;

/// An action, and what it was about when it was last carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// The message that it did it to, if it was carried out already.
    pub(super) message: Option<Fingerprint>,
    pub(super) settling: Settling,
    /// The round that it was part of.
    pub(super) round: usize,
}

/// What a step has to do with messages and disks that move by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settling {
    /// Nothing: they wait for steps of their own.
    None,
    /// After it, all that is under way arrives and all that is written is synced.
    After,
    /// That happens after a later step.
    Later,
    /// It is one of the steps that did so in a replay.
    Part,
}

/// A message, recognised without being kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// Of all of it.
    pub(super) whole: u64,
    /// Of what is left of it without counters that shift when other messages go.
    pub(super) gist: u64,
    /// Its kind alone.
    pub(super) kind: u8,
    /// How many of its kind were ahead of it on the link.
    pub(super) rank: usize,
}

impl Step {
    fn new(action: Action, round: usize) -> Step {
        Step { action, message: None, settling: Settling::None, round }
    }

    /// One that a replay adds by itself.
    pub(super) fn added(action: Action) -> Step {
        Step::new(action, 0)
    }
}

/// What a list of actions was shrunk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The cluster that is left.
    pub plan: Plan,
    /// The actions that are left; nothing if the list that was given does not fail.
    pub actions: Option<Vec<Action>>,
    /// How many replays it took.
    pub tries: u32,
}

/// Shrinks a list that fails, given by rounds. `fails` replays a list and returns, if it fails as before, those of its
/// steps that did something up to the failure ([`replay`](super::replay)). When it breaks off, that is the end.
pub fn shrink(
    plan: &Plan,
    rounds: Vec<Vec<Action>>,
    fails: impl FnMut(&Plan, &[Step]) -> ControlFlow<(), Option<Vec<Step>>>,
    tries_max: u32,
) -> Shrunk {
    let numbered = rounds.into_iter().enumerate();
    let steps: Vec<Step> = numbered
        .flat_map(|(round, actions)| actions.into_iter().map(move |one| Step::new(one, round)))
        .collect();
    let order = ORDERS[0];
    let mut search = Search {
        fails,
        plan: plan.clone(),
        steps: Vec::new(),
        order,
        is_driven: false,
        tries: 0,
        tries_max,
        is_over: false,
    };
    let is_failing = search.attempt(&steps);
    if is_failing {
        drop(steps);
        search.without_rounds();
        let all = search.steps.clone();
        let mut best = (plan.clone(), all.clone());
        let ways = 1 + ORDERS.len() as u32;
        for (left, order) in (1..=ways).rev().zip(core::iter::once(None).chain(ORDERS.map(Some))) {
            (search.plan, search.steps) = (plan.clone(), all.clone());
            search.tries_max = search.tries + (tries_max - search.tries) / left;
            match order {
                Some(order) => {
                    search.order = order;
                    search.run();
                }
                None => search.run_driven(),
            }
            if search.steps.len() < best.1.len() {
                best = (search.plan.clone(), search.steps.clone());
            }
            if best.1.len() <= SHORT || search.is_over {
                break;
            }
        }
        (search.plan, search.steps) = best;
    }
    let Search { plan, steps, tries, .. } = search;
    let actions = is_failing.then(|| steps.into_iter().map(|step| step.action).collect());
    Shrunk { plan, actions, tries }
}

/// In which order things are tried. Each leads to a list from which nothing can be left out, and one is
/// shorter than the other: none is the best for all failures.
#[derive(Clone, Copy)]
struct Order {
    /// Members go before chunks.
    members_first: bool,
    /// Chunks go from the end first.
    from_end_first: bool,
}

/// A list of so few actions needs no other order.
const SHORT: usize = 8;

const ORDERS: [Order; 4] = [
    Order { members_first: false, from_end_first: true },
    Order { members_first: true, from_end_first: true },
    Order { members_first: false, from_end_first: false },
    Order { members_first: true, from_end_first: false },
];

struct Search<F> {
    fails: F,
    plan: Plan,
    /// The shortest list so far that fails.
    steps: Vec<Step>,
    order: Order,
    /// The steps are those that drive the world; a replay lets it settle after each.
    is_driven: bool,
    tries: u32,
    tries_max: u32,
    /// Whoever replays wants no more.
    is_over: bool,
}

impl<F: FnMut(&Plan, &[Step]) -> ControlFlow<(), Option<Vec<Step>>>> Search<F> {
    fn run(&mut self) {
        loop {
            let before = self.steps.clone();
            self.without_traits();
            if self.order.members_first {
                self.without_members();
            }
            self.without_chunks(self.order.from_end_first);
            self.without_chunks(!self.order.from_end_first);
            self.without_members();
            self.simpler();
            self.usual_options();
            if self.steps == before {
                self.without_pairs();
            }
            if self.steps == before || self.is_spent() {
                return;
            }
        }
    }

    /// Shrinks what clients, operators, timers and faults do, while messages and disks move by themselves, and
    /// then everything. Where the failure does not depend on their order, that is a way out of the history
    /// that the run happened to have.
    fn run_driven(&mut self) {
        let is_driving =
            |step: &&Step| !is_about_position(&step.action) && !matches!(step.action, Action::Sync { .. });
        let driving: Vec<Step> = self.steps.iter().filter(is_driving).cloned().collect();
        let is_out: [fn(&Step) -> bool; 3] = [
            |step| matches!(step.action, Action::Timeout { .. }),
            |step| matches!(step.action, Action::Timeout { timer: Timer::Heartbeat, .. }),
            |_| false,
        ];
        // A call that is answered at once is never repeated.
        let is_left_open: [fn(&Step) -> bool; 2] =
            [|_| false, |step| matches!(step.action, Action::Call { .. })];
        self.is_driven = true;
        let is_failing = is_out.into_iter().any(|is_out| {
            is_left_open.into_iter().any(|is_left_open| {
                let steps = driving.iter().filter(|step| !is_out(step)).map(|step| {
                    let settling = if is_left_open(step) { Settling::Later } else { Settling::After };
                    Step { settling, ..step.clone() }
                });
                let steps: Vec<Step> = steps.collect();
                self.attempt(&steps)
            })
        });
        if is_failing {
            self.run();
        }
        self.is_driven = false;
        let steps = self.steps.clone();
        if is_failing && self.attempt(&steps) {
            self.steps.iter_mut().for_each(|step| step.settling = Settling::None);
            self.run();
        }
    }

    fn is_spent(&self) -> bool {
        self.is_over || self.tries >= self.tries_max
    }

    /// Takes a list over if it fails as well.
    fn attempt(&mut self, steps: &[Step]) -> bool {
        let plan = self.plan.clone();
        self.attempt_in(plan, steps)
    }

    fn attempt_in(&mut self, plan: Plan, steps: &[Step]) -> bool {
        if self.is_spent() {
            return false;
        }
        self.tries += 1;
        let mut kept = match (self.fails)(&plan, steps) {
            ControlFlow::Continue(Some(kept)) => kept,
            ControlFlow::Continue(None) => return false,
            ControlFlow::Break(()) => {
                self.is_over = true;
                return false;
            }
        };
        if self.is_driven {
            kept.retain(|step| step.settling != Settling::Part);
        }
        (self.plan, self.steps) = (plan, kept);
        true
    }

    fn attempt_without(&mut self, is_out: impl Fn(usize, &Step) -> bool) -> bool {
        if self.is_spent() {
            return false;
        }
        let numbered = self.steps.iter().enumerate();
        let rest: Vec<Step> =
            numbered.filter(|(at, step)| !is_out(*at, step)).map(|(_, step)| step.clone()).collect();
        rest.len() < self.steps.len() && self.attempt(&rest)
    }

    /// Whole kinds at once. The order is that of [`Trait`]: first what leaves out most.
    fn without_traits(&mut self) {
        let all: BTreeSet<Trait> = self.steps.iter().flat_map(traits).collect();
        for one in all {
            self.attempt_without(|_, step| traits(step).contains(&one));
        }
    }

    /// Founding members, the last first; the first leads from the start.
    fn without_members(&mut self) {
        for id in (1..self.plan.members).rev().map(NodeId) {
            let members = self.plan.members;
            let without = |step: &Step| {
                let action = without_member(&step.action, id, members)?;
                Some(Step { action, ..step.clone() })
            };
            let steps: Vec<Step> = self.steps.iter().filter_map(without).collect();
            self.attempt_in(Plan { members: members - 1, ..self.plan.clone() }, &steps);
        }
    }

    /// Rows of rounds from long to short, in each length from the beginning: most failures are of the last round,
    /// or of what an earlier one left behind.
    fn without_rounds(&mut self) {
        let rounds = |steps: &[Step]| steps.iter().map(|step| step.round).collect::<BTreeSet<usize>>();
        let mut length = rounds(&self.steps).len() - usize::from(!self.steps.is_empty());
        while length > 0 && !self.is_spent() {
            let left: Vec<usize> = rounds(&self.steps).into_iter().collect();
            for row in left.chunks(length) {
                self.attempt_without(|_, step| row.contains(&step.round));
            }
            length /= 2;
        }
    }

    /// Chunks from large to small, in each size from one end to the other.
    fn without_chunks(&mut self, is_from_end: bool) {
        let mut size = self.steps.len() / 2;
        while size > 0 && !self.is_spent() {
            let mut done = 0;
            while done < self.steps.len() && !self.is_spent() {
                let length = self.steps.len();
                let start = if is_from_end { length.saturating_sub(done + size) } else { done };
                let end = if is_from_end { length - done } else { done + size };
                // What was left out needs no step ahead, unless a replay left out more than that.
                if !self.attempt_without(|at, _| (start..end).contains(&at)) {
                    done += size;
                }
            }
            size /= 2;
        }
    }

    /// The defaults in the place of unusual options.
    fn usual_options(&mut self) {
        let usual = Limits::default();
        let changes: [fn(&mut Options, Limits); 11] = [
            |options, usual| options.limits = usual,
            |options, _| options.snapshots = SnapshotPolicy::default(),
            |options, _| options.seed = 0,
            |options, usual| options.limits.append_entries_max = usual.append_entries_max,
            |options, usual| options.limits.append_bytes_max = usual.append_bytes_max,
            |options, usual| options.limits.inflight_appends_max = usual.inflight_appends_max,
            |options, usual| options.limits.inflight_bytes_max = usual.inflight_bytes_max,
            |options, usual| options.limits.uncommitted_entries_max = usual.uncommitted_entries_max,
            |options, usual| options.limits.waiting_reads_max = usual.waiting_reads_max,
            |options, usual| options.limits.chunk_bytes_max = usual.chunk_bytes_max,
            |options, usual| options.limits.eager_commit = usual.eager_commit,
        ];
        for change in changes {
            let mut plan = self.plan.clone();
            change(&mut plan.options, usual);
            if plan != self.plan {
                let steps = self.steps.clone();
                self.attempt_in(plan, &steps);
            }
        }
    }

    /// Two at a time: a message and its answer, a cut and its end.
    fn without_pairs(&mut self) {
        let mut second = self.steps.len();
        while second > 1 {
            second -= 1;
            let mut first = second;
            while first > 0 {
                first -= 1;
                if self.is_spent() {
                    return;
                }
                if self.attempt_without(|at, _| at == first || at == second) {
                    second = second.min(self.steps.len());
                    break;
                }
            }
        }
    }

    /// Simpler actions in the place of those that are left.
    fn simpler(&mut self) {
        for at in (0..self.steps.len()).rev() {
            while self.simplify(at) {}
        }
    }

    /// The simplest form of one action that fails as well. Returns whether there was one.
    fn simplify(&mut self, at: usize) -> bool {
        let Some(step) = self.steps.get(at).cloned().filter(|_| !self.is_spent()) else { return false };
        simpler_actions(&step.action).into_iter().any(|action| {
            let message = step.message.filter(|_| !is_about_position(&action));
            let mut steps = self.steps.clone();
            steps[at] = Step { action, message, ..step };
            self.attempt(&steps)
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::cluster::links::Link;

    fn sync(id: u64) -> Action {
        Action::Sync { id: NodeId(id), count: 1 }
    }

    fn plan() -> Plan {
        Plan { members: 1, clients: 1, options: Options::default() }
    }

    /// Fails where these are there, in this order.
    fn needs(wanted: &[Action]) -> impl Fn(&Plan, &[Step]) -> ControlFlow<(), Option<Vec<Step>>> + '_ {
        |_, steps| {
            let mut left = wanted.iter().peekable();
            for step in steps {
                left.next_if(|action| **action == step.action);
            }
            ControlFlow::Continue(left.peek().is_none().then(|| steps.to_vec()))
        }
    }

    #[test]
    fn what_is_needed_stays_in_its_order() {
        let noise = (0..500).map(|at| sync(at % 7));
        let needed = [Action::Compact(NodeId(1)), sync(8), Action::Join(NodeId(9)), sync(8)];
        let mut actions: Vec<Action> = noise.collect();
        for (at, action) in [40, 90, 300, 444].into_iter().zip(&needed) {
            actions.insert(at, action.clone());
        }
        let shrunk = shrink(&plan(), vec![actions], needs(&needed), 10_000);
        assert_eq!(shrunk.actions.as_deref(), Some(&needed[..]));
        assert!(shrunk.tries < 300, "{}", shrunk.tries);
    }

    #[test]
    fn what_does_not_fail_is_shrunk_to_nothing_and_tries_are_bounded() {
        let actions: Vec<Action> = (0..100).map(sync).collect();
        let nothing = shrink(&plan(), vec![actions.clone()], |_, _| ControlFlow::Continue(None), 50);
        assert_eq!((nothing.actions, nothing.tries), (None, 1));
        let all = actions.clone();
        let shrunk = shrink(&plan(), vec![actions], needs(&all), 50);
        assert_eq!((shrunk.actions, shrunk.tries), (Some(all), 50));
    }

    #[test]
    fn what_was_reached_before_the_end_counts() {
        let actions: Vec<Action> = (0..100).map(sync).collect();
        let needed = [sync(99)];
        let (needs, mut tries) = (needs(&needed), 0);
        let until = |plan: &Plan, steps: &[Step]| {
            tries += 1;
            if tries > 40 { ControlFlow::Break(()) } else { needs(plan, steps) }
        };
        let shrunk = shrink(&plan(), vec![actions], until, 10_000);
        assert_eq!(shrunk.tries, 41);
        let actions = shrunk.actions.expect("it fails");
        assert!(actions.len() < 100 && actions.contains(&needed[0]), "{actions:?}");
    }

    #[test]
    fn whole_rounds_go_first() {
        let rounds: Vec<Vec<Action>> = (0..100).map(|_| (0..1000).map(|at| sync(at % 7)).collect()).collect();
        let needed = [Action::Compact(NodeId(1)), Action::Join(NodeId(9))];
        let mut rounds = rounds;
        rounds[30].push(needed[0].clone());
        rounds[99].push(needed[1].clone());
        let (needs, mut long_tries) = (needs(&needed), 0);
        let counted = |plan: &Plan, steps: &[Step]| {
            long_tries += u32::from(steps.len() > 5_000);
            needs(plan, steps)
        };
        let shrunk = shrink(&plan(), rounds, counted, 10_000);
        assert_eq!(shrunk.actions.as_deref(), Some(&needed[..]));
        assert!(long_tries < 25, "{long_tries}");
    }

    #[test]
    fn lists_within_actions_become_shorter() {
        let links: Vec<Link> = (1..6).map(|to| (NodeId(0), NodeId(to))).collect();
        let cuts = |_: &Plan, steps: &[Step]| {
            let is_cut = |step: &Step| matches!(&step.action, Action::Cut(links) if links.contains(&(NodeId(0), NodeId(3))));
            ControlFlow::Continue(steps.iter().any(is_cut).then(|| steps.to_vec()))
        };
        let shrunk = shrink(&plan(), vec![Vec::from([sync(1), Action::Cut(links)])], cuts, 100);
        assert_eq!(shrunk.actions, Some(vec![Action::Cut(Vec::from([(NodeId(0), NodeId(3))]))]));
    }
}
