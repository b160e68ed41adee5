//! The abstract cluster explored by itself: every state of a few replicas and values, and what holds in it.
//!
//! The state space is finite because the values are: no budget and no limit of the checker is needed. Tails are
//! every arrangement of what is proposed, so what a replica may take is limited by the guards of the
//! [`Cluster`] alone. A partition parts the replicas in two; parts may be parted again, and healing restores all
//! links.
//!
//! Left out: one-way cuts, joining and leaving, electorates that change, several values proposed at once. Their
//! guards have tests of their own (`tests/refinement/spec.rs`), and the simulated clusters take all of these steps.

use std::collections::BTreeSet;

use stateright::{Model, Property};

use super::{Action, Cluster, Links, Replica};
use crate::exhaust::{Counters, Explored};

/// So many replicas and values: 1, 2, … in the order of proposal.
#[derive(Debug)]
pub struct Bounds {
    replicas: usize,
    values: u8,
    counters: Counters,
}

/// The name of a situation, and whether a state shows it.
type Witness = (&'static str, fn(&Bounds, &Cluster<u8>) -> bool);

/// The situations that an exhausted run must have met.
const WITNESSES: [Witness; 6] = [
    ("commits_while_one_is_cut_off", |bounds, cluster| {
        let is_behind = |id: &usize| cluster.replicas[id].prefix < cluster.committed.len();
        cut_off(bounds, cluster).filter(is_behind).count() > 0
    }),
    ("cut_off_replica_has_a_tail", |bounds, cluster| {
        cut_off(bounds, cluster).any(|id| !cluster.replicas[&id].tail.is_empty())
    }),
    ("two_tails_conflict", |_, cluster| {
        let first: BTreeSet<_> =
            cluster.replicas.values().filter_map(|replica| replica.tail.first()).collect();
        first.len() > 1
    }),
    ("proposal_is_lost", |_, cluster| {
        let is_held = |value: &u8| cluster.replicas.values().any(|replica| replica.tail.contains(value));
        !cluster.committed.is_empty() && cluster.open.iter().any(|value| !is_held(value))
    }),
    ("somebody_forgot_what_is_committed", |_, cluster| {
        cluster.replicas.values().any(|replica| replica.prefix == 0) && cluster.committed.len() > 1
    }),
    ("all_is_committed_and_known", |bounds, cluster| {
        let len = usize::from(bounds.values);
        cluster.cuts.is_empty() && cluster.replicas.values().all(|replica| replica.known == len)
    }),
];

impl Bounds {
    /// Replicas `0..replicas` and values `1..=values`.
    #[must_use]
    pub fn new(replicas: usize, values: u8) -> Bounds {
        Bounds { replicas, values, counters: Counters::default() }
    }

    /// The directions between some replicas and the others.
    fn between(&self, is_inside: impl Fn(usize) -> bool) -> Links {
        let all = || 0..self.replicas;
        all()
            .flat_map(|from| all().map(move |to| (from, to)))
            .filter(|(from, to)| is_inside(*from) != is_inside(*to))
            .collect()
    }
}

impl<V> Action<V> {
    /// The names of the kinds of actions, for reports.
    pub const KINDS: [&str; 7] = ["lead", "follow", "crash", "cut", "restore", "join", "leave"];

    /// The position of this action's kind in [`Action::KINDS`].
    #[must_use]
    pub fn kind(&self) -> usize {
        match self {
            Action::Lead(..) => 0,
            Action::Follow(..) => 1,
            Action::Crash(..) => 2,
            Action::Cut(..) => 3,
            Action::Restore(..) => 4,
            Action::Join(..) => 5,
            Action::Leave(..) => 6,
        }
    }
}

/// The replicas that are cut off from all others.
fn cut_off(bounds: &Bounds, cluster: &Cluster<u8>) -> impl Iterator<Item = usize> {
    (0..bounds.replicas).filter(|id| bounds.between(|other| other == *id).is_subset(&cluster.cuts))
}

/// Every log that might be taken, in a fixed order.
fn logs(cluster: &Cluster<u8>) -> Vec<Replica<u8>> {
    let mut tails: Vec<Vec<u8>> = vec![Vec::new()];
    let mut grown = 0;
    while let Some(tail) = tails.get(grown).cloned() {
        grown += 1;
        let rest = cluster.open.iter().filter(|value| !tail.contains(value));
        tails.extend(rest.map(|value| [&tail[..], &[*value]].concat()));
    }
    let prefixes = 0..=cluster.committed.len();
    let pairs = prefixes.flat_map(|prefix| (0..=prefix).map(move |known| (prefix, known)));
    pairs
        .flat_map(|(prefix, known)| {
            tails.iter().map(move |tail| Replica { prefix, tail: tail.clone(), known })
        })
        .collect()
}

/// The cluster healed, after everybody took the longest log that holds everything committed, after that was
/// committed, and after everybody learned so.
///
/// # Errors
/// Which of these steps is impossible.
pub fn settled(cluster: &Cluster<u8>) -> Result<Cluster<u8>, &'static str> {
    let mut next = cluster.clone();
    next.step(Action::Restore(cluster.cuts.clone()))?;
    let leader = cluster.replicas.iter().max_by_key(|(_, replica)| (replica.prefix, replica.tail.len()));
    let (leader, log) = leader.ok_or("nobody is there")?;
    let tell_all = |next: &mut Cluster<u8>, learned: usize| {
        cluster.replicas.iter().try_for_each(|(id, replica)| {
            let known = replica.known.max(learned);
            next.step(Action::Follow(*id, Replica { known, ..next.replicas[leader].clone() }))
        })
    };
    tell_all(&mut next, 0)?;
    next.step(Action::Lead(*leader, cluster.electorate.clone(), log.tail.len(), Vec::new()))?;
    let all = next.committed.len();
    tell_all(&mut next, all)?;
    Ok(next)
}

impl Model for Bounds {
    type State = Cluster<u8>;
    type Action = Action<u8>;

    fn init_states(&self) -> Vec<Cluster<u8>> {
        vec![Cluster::new(self.replicas)]
    }

    fn actions(&self, cluster: &Cluster<u8>, actions: &mut Vec<Action<u8>>) {
        if !self.counters.expand() {
            return;
        }
        let proposed = cluster.committed.len() + cluster.open.len();
        let logs = logs(cluster);
        for (id, replica) in &cluster.replicas {
            if proposed < usize::from(self.values) {
                let next = u8::try_from(proposed + 1).expect("values are few");
                actions.push(Action::Lead(*id, cluster.electorate.clone(), 0, vec![next]));
            }
            let commits = 1..=replica.tail.len();
            actions.extend(
                commits.map(|count| Action::Lead(*id, cluster.electorate.clone(), count, Vec::new())),
            );
            actions.extend(logs.iter().cloned().map(|log| Action::Follow(*id, log)));
            actions.extend(logs.iter().cloned().map(|log| Action::Crash(*id, log)));
        }
        // Each partition by the side that replica 0 is not on.
        for side in 1..1_u32 << (self.replicas - 1) {
            actions.push(Action::Cut(self.between(|id| id > 0 && side & (1 << (id - 1)) != 0)));
        }
        actions.push(Action::Restore(cluster.cuts.clone()));
    }

    fn next_state(&self, cluster: &Cluster<u8>, action: Action<u8>) -> Option<Cluster<u8>> {
        let kind = action.kind();
        let mut next = cluster.clone();
        next.step(action).ok().filter(|()| next != *cluster)?;
        self.counters.count(kind);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("committed_never_lost", |_, cluster: &Cluster<u8>| cluster.is_safe()),
            Property::always("prefixes_agree", |_, cluster: &Cluster<u8>| {
                cluster.replicas.values().all(|replica| {
                    let next = cluster.committed.get(replica.prefix);
                    replica.known <= replica.prefix && (next.is_none() || next != replica.tail.first())
                })
            }),
            Property::always("healed_replicas_converge", |_, cluster: &Cluster<u8>| {
                settled(cluster).is_ok_and(|settled| {
                    let len = settled.committed.len();
                    let all = Replica { prefix: len, tail: Vec::new(), known: len };
                    settled.committed.starts_with(&cluster.committed)
                        && settled.replicas.values().all(|replica| *replica == all)
                })
            }),
        ];
        properties.extend(WITNESSES.map(|(name, shows)| Property::sometimes(name, shows)));
        properties
    }
}

impl Explored for Bounds {
    const KINDS: &'static [&'static str] = &Action::<u8>::KINDS;

    fn counters(&self) -> &Counters {
        &self.counters
    }
}
