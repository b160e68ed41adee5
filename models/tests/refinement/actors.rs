//! The actor model: exhausted, every step one of the abstract cluster, and the same states as the direct model.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::Hash;

use dkv::raft::{Entry, Limits, Raft, Timer};
use dkv::replica::{Packet, Replica};
use dkv_models::actors::{self, Actors, Budgets};
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::check::{Report, Verdict};
use dkv_models::configurations::{self, Configuration};
use dkv_models::exhaust::exhaust;
use dkv_models::model::Replication;
use dkv_models::refinement::{Shown, project};
use dkv_models::{spec, state};
use stateright::Model;
use stateright::actor::Network;

/// Budgets for proposals, partitions, elections with as many lapses of freshness, and heartbeats.
fn budgets(proposals: u8, partitions: u8, elections: u8, heartbeats: u8) -> Budgets {
    let mut timers = [0; Timer::ALL.len()];
    timers[Timer::Election as usize] = elections;
    timers[Timer::LeaderFresh as usize] = elections;
    timers[Timer::Heartbeat as usize] = heartbeats;
    Budgets { proposals, partitions, timers }
}

#[test]
fn a() {
    for (p, c, e, h) in [(2, 1, 1, 0), (1, 1, 1, 1), (2, 1, 1, 1)] {
        let report = exhaust("actors", || Actors::<Raft>::new(3, Limits::default(), budgets(p, c, e, h)));
        println!("{p} {c} {e} {h} {}", report.line());
        println!("{:?}", report.actions);
    }
}

#[test]
fn b() {
    for bug in Bug::ALL {
        let report = with_bug(Some(*bug), || {
            exhaust("actors", || Actors::<Injected>::new(3, Limits::default(), budgets(1, 1, 1, 0)))
        });
        if let Verdict::Violated { broken, path } = &report.verdict {
            println!("{bug} {} {broken:.300} {}", report.distinct_states, path.len());
        }
    }
}

// --- the direct model -------------------------------------------------------------------------------------

type Value = Entry<u8>;
/// What is committed, what is cut, who holds what.
type Abstract = (Vec<Value>, spec::Links, Vec<spec::Replica<Value>>);
/// The replicas, and what is on each link.
type Concrete = (Vec<Replica<u8, u8, Raft>>, BTreeMap<(usize, usize), Vec<Packet<u8, u8>>>);

/// Every reachable state, as seen through `view`, and how many there are.
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

fn view_of_actors(state: &actors::State<Raft>) -> (Abstract, Concrete) {
    let cluster = &state.history.cluster;
    assert!(state.history.violated.is_none());
    let replicas = cluster.replicas.values().cloned().collect();
    let Network::Ordered(links) = &state.network else { panic!("links keep the order") };
    let links = links
        .iter()
        .map(|((from, to), queue)| ((usize::from(*from), usize::from(*to)), queue.iter().cloned().collect()));
    let actors = state.actor_states.iter().map(|replica| Replica::clone(replica)).collect();
    ((cluster.committed.clone(), cluster.cuts.clone(), replicas), (actors, links.collect()))
}

fn view_of_direct(state: &state::State<Raft>) -> (Abstract, Concrete) {
    assert!(state.violated.is_none());
    let committed: Vec<Value> = state.committed.to_vec();
    let cuts = state.directions().filter(|(from, to)| state.is_cut(*from, *to)).collect();
    let replicas = state.members.iter().map(|member| {
        project(&Shown::by_node(member.node(), usize::MAX), &committed).expect("nothing is compacted")
    });
    let replicas = replicas.collect();
    let links = state.directions().filter_map(|(from, to)| {
        let queue = state.links[state.link(from, to)].as_ref()?;
        Some(((from, to), queue.iter().map(|packet| Packet::clone(packet)).collect()))
    });
    let direct = state.members.iter().map(|member| member.replica.clone()).collect();
    ((committed, cuts, replicas), (direct, links.collect()))
}

fn direct(proposals: u8, partitions: u8, heartbeats: u8) -> Replication<Raft> {
    let quick = configurations::named("quick").expect("it exists");
    let budgets = configurations::Budgets { proposals, partitions, cuts: 0, heartbeats };
    Replication::new(Configuration { budgets, ..quick })
}

#[test]
fn the_direct_model_has_the_same_states() {
    for (proposals, partitions, heartbeats) in [(1, 1, 1), (2, 1, 0), (2, 1, 1)] {
        let actors = Actors::<Raft>::new(3, Limits::default(), budgets(proposals, partitions, 0, heartbeats));
        let direct = direct(proposals, partitions, heartbeats);
        let (actors_count, of_actors) = reachable(&actors, view_of_actors);
        let (direct_count, of_direct) = reachable(&direct, view_of_direct);
        println!("{actors_count} {direct_count} {}", of_actors.len());
        assert_eq!(of_actors, of_direct);
        assert_eq!(actors_count, direct_count);
    }
}
