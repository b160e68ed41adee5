//! The actor model: exhausted, every step one of the abstract cluster, and the same states as the direct model.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::process::Command;

use dkv::cluster::Shipped;
use dkv::raft::{Entry, Envelope, Limits, Node, Raft};
use dkv::replica::Packet;
use dkv_models::actors::{self, Actors, NO_PANIC, REFINES};
use dkv_models::budgets::{Budget, Counts};
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::check::{Report, Verdict};
use dkv_models::configurations::{self, Configuration};
use dkv_models::exhaust::exhaust;
use dkv_models::layers::{self, budgets};
use dkv_models::memo::Stepping;
use dkv_models::model::Replication;
use dkv_models::progress::Watch;
use dkv_models::refinement::{Shown, project};
use dkv_models::{spec, state};
use stateright::Model;
use stateright::actor::Network;

fn counts(report: &Report) -> (usize, usize, usize) {
    (report.distinct_states, report.transitions, report.depth)
}

#[test]
fn the_actor_model_is_exhausted_with_frozen_counts() {
    let layer = layers::named("actors-quick").expect("it exists");
    let (first, second) = (layer.check(None, &Watch::default()), layer.check(None, &Watch::default()));
    assert_eq!(first.verdict, Verdict::Holds, "{}", first.line());
    assert_eq!(counts(&first), (31_827, 90_817, 29), "the reachable states changed");
    assert_eq!(counts(&first), counts(&second), "two runs differ");
    assert_eq!(first.actions, second.actions, "two runs differ");
    assert!(first.actions.iter().all(|(_, count)| *count > 0), "every kind of action is taken: {first:?}");
}

#[test]
fn what_was_cut_short_or_shows_nothing_does_not_pass() {
    let layer = layers::named("actors-quick").expect("it exists");
    assert_eq!(layer.check(NonZeroUsize::new(5_000), &Watch::default()).verdict, Verdict::Truncated);
    let mut other = layer;
    other.frozen = (31_827, 90_816);
    assert_eq!(
        other.check(None, &Watch::default()).status(),
        1,
        "a run with other counts than the frozen ones fails"
    );
    let still = exhaust("actors", None, || Actors::<Raft>::new(3, Limits::default(), budgets(1, 0, 0, 1)));
    let Verdict::Vacuous(unseen) = &still.verdict else { panic!("{}", still.line()) };
    assert!(unseen.contains(&"commits_while_one_is_cut_off"), "{unseen:?}");
}

#[test]
fn a_layer_is_checked_by_its_name() {
    let status = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dkv-models")).args(arguments).output();
        output.expect("the binary runs").status.code()
    };
    assert_eq!(status(&["check", "--config", "abstract-quick", "--config", "actors-quick"]), Some(0));
    assert_eq!(status(&["check", "--config", "actors-quick", "--states-max", "2000"]), Some(3));
}

/// A bug, the property that it breaks, how, and after how many actions.
const FOUND: &[(Bug, &str, &str, usize)] = &[
    (Bug::MinorityIsEnough, REFINES, "commits what it does not hold", 1),
    (Bug::AnsweredOnAppend, REFINES, "commits what it does not hold", 1),
    (Bug::NoUpToDateCheck, REFINES, "loses what is committed", 10),
    (Bug::ConflictKept, REFINES, "commits what no majority holds", 11),
    (Bug::OldTermsAccepted, NO_PANIC, "two leaders in term 2", 8),
    (Bug::AcknowledgesOneMore, NO_PANIC, "was never sent", 3),
];

#[test]
fn a_bug_takes_a_step_that_the_abstract_cluster_does_not_have() {
    for (bug, property, detail, actions) in FOUND {
        let make = || Actors::<Injected>::new(3, Limits::default(), budgets(1, 1, 1, 0));
        let report = with_bug(Some(*bug), || exhaust("actors", None, make));
        let Verdict::Violated { broken, path } = &report.verdict else { panic!("{bug}: {}", report.line()) };
        assert_eq!(broken.property, *property, "{bug}: {broken}");
        assert!(broken.detail.contains(detail), "{bug}: {broken}");
        assert_eq!(path.len(), *actions, "{bug}: {path:#?}");
    }
}

#[test]
fn without_a_bug_the_same_rules_explore_the_same_states() {
    let injected =
        exhaust("actors", None, || Actors::<Injected>::new(3, Limits::default(), budgets(1, 1, 1, 0)));
    assert_eq!(counts(&injected), (31_827, 90_817, 29));
}

// --- the direct model --------------------------------------------------------------------------------

type Value = Entry<u8>;
/// What is committed, what is cut, who holds what.
type Abstract = (Vec<Value>, spec::Links, Vec<spec::Replica<Value>>);
/// The nodes with how many clients wait there, and what is on each link.
type Concrete = (Vec<(Node<u8, Raft>, usize)>, BTreeMap<(usize, usize), Vec<Envelope<u8>>>);

/// Every reachable state as seen through `view`, and how many there are.
fn reachable<M: Model, T: Ord>(model: &M, view: impl Fn(&M::State) -> T) -> (usize, BTreeSet<T>)
where
    M::State: Clone + Eq + Hash,
{
    let mut seen: HashSet<M::State> = model.init_states().into_iter().collect();
    let mut waiting: Vec<M::State> = seen.iter().cloned().collect();
    let mut views = BTreeSet::new();
    while let Some(state) = waiting.pop() {
        views.insert(view(&state));
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        let next = actions.into_iter().filter_map(|action| model.next_state(&state, action));
        waiting.extend(next.filter(|next| seen.insert(next.clone())));
    }
    (seen.len(), views)
}

fn message<A: Clone>(packet: &Packet<u8, A>) -> Envelope<u8> {
    let Packet::Raft { envelope, chunk: None } = packet else {
        panic!("clients ask leaders, and logs are short")
    };
    envelope.clone()
}

fn view_of_actors(state: &actors::State<Raft>) -> (Abstract, Concrete) {
    let cluster = &state.history.cluster;
    assert!(state.history.violated.is_none(), "every step is one of the abstract cluster");
    let replicas = cluster.replicas.values().cloned().collect();
    let Network::Ordered(links) = &state.network else { panic!("links keep the order") };
    let links = links.iter().map(|((from, to), queue)| {
        ((usize::from(*from), usize::from(*to)), queue.iter().map(message).collect())
    });
    let actors = state.actor_states.iter();
    let actors = actors.map(|replica| (replica.node().clone(), replica.waiting_requests())).collect();
    ((cluster.committed.clone(), cluster.cuts.clone(), replicas), (actors, links.collect()))
}

fn view_of_direct(state: &state::State<Shipped>) -> (Abstract, Concrete) {
    assert!(state.violated.is_none(), "every property holds");
    let committed: Vec<Value> = state.ledger.entries().cloned().collect();
    let cuts = state.directions().filter(|(from, to)| state.is_cut(*from, *to)).collect();
    let replicas = state
        .nodes()
        .map(|node| project(&Shown::by_node(node, usize::MAX), &committed).expect("nothing is compacted"))
        .collect();
    let links = state.directions().filter_map(|(from, to)| {
        let queue = state.queue(from, to)?;
        Some(((from, to), queue.packets.iter().map(|packet| message(packet)).collect()))
    });
    let direct =
        state.members().filter_map(|member| Some((member.node()?.clone(), member.waiting_requests())));
    ((committed, cuts, replicas), (direct.collect(), links.collect()))
}

/// The direct model with disks that sync at once.
fn direct(proposals: u8, partitions: u8, heartbeats: u8) -> Replication<Shipped> {
    let quick = configurations::named("quick").expect("it exists");
    assert_eq!(quick.sync, configurations::DiskSync::Instant);
    let budgets = Counts::of(&[
        (Budget::Proposals, proposals),
        (Budget::Partitions, partitions),
        (Budget::Heartbeats, heartbeats),
    ]);
    Replication::new(Configuration { budgets, ..quick }, Stepping::Memoised)
}

#[test]
fn the_direct_model_has_the_same_states() {
    for (proposals, partitions, heartbeats, frozen) in [(1, 1, 1, 1_885), (1, 2, 1, 3_811), (2, 1, 1, 27_405)]
    {
        let actors = Actors::<Raft>::new(3, Limits::default(), budgets(proposals, partitions, 0, heartbeats));
        let direct = direct(proposals, partitions, heartbeats);
        let (actors_count, of_actors) = reachable(&actors, view_of_actors);
        let (direct_count, of_direct) = reachable(&direct, view_of_direct);
        let abstract_of = |views: &BTreeSet<(Abstract, Concrete)>| -> BTreeSet<Abstract> {
            views.iter().map(|(seen, _)| seen.clone()).collect()
        };
        assert_eq!(abstract_of(&of_actors), abstract_of(&of_direct), "the projected states");
        assert_eq!(of_actors, of_direct, "the nodes and what is on the links");
        assert_eq!((actors_count, direct_count), (frozen, frozen), "the states with what is spent");
    }
}
