//! What is explored up to renaming is what is explored in full.
//!
//! Left out: the large configurations. How many states their orbits have together is in the README beside the counts of
//! those that are exhausted both ways.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use dkv::cluster::Shipped;
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::check::{Report, Verdict, check};
use dkv_models::configurations::{Configuration, named};
use dkv_models::memo::Stepping;
use dkv_models::model::Replication;
use dkv_models::state::State;
use dkv_models::symmetry::{SYMMETRY, orbit};
use stateright::Model;

/// Cold starts: all members are equal. On disks that take no time, and on others with crashes.
const EQUAL: [&str; 2] = ["quick-election", "crash"];

fn full(name: &str) -> Configuration {
    named(name).expect("a configuration of that name")
}

fn reduced(name: &str) -> Configuration {
    Configuration { symmetry: true, pinned: None, ..full(name) }
}

fn found(bug: Bug, configuration: &Configuration) -> Report {
    with_bug(Some(bug), || check::<Injected>(configuration, None))
}

/// What the checker takes for the state, but for its choice of a hasher.
fn fingerprint(state: &State<Shipped>) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn orbits_hold_every_state_of_the_full_run() {
    for name in EQUAL {
        let (states, _) = full(name).pinned.expect("it is pinned");
        let (report, again) =
            (check::<Shipped>(&reduced(name), None), check::<Shipped>(&reduced(name), None));
        assert_eq!(report.verdict, Verdict::Holds, "{}", report.line());
        assert_eq!(report.represented_states, states as u64, "{name}");
        assert!(report.distinct_states * 5 < states, "{name}: {} orbits", report.distinct_states);
        assert_eq!((report.distinct_states, report.transitions), (again.distinct_states, again.transitions));
    }
}

/// Equality tells apart what the fingerprint joins, so here every state is visited and grouped.
#[test]
#[allow(clippy::mutable_key_type)] // a state's images are known before there is the state
fn orbits_are_the_groups_of_states_with_one_fingerprint() {
    let name = "quick-election";
    let model = Replication::<Shipped>::new(reduced(name), Stepping::Memoised);
    let mut open = model.init_states();
    let mut seen: HashSet<State<Shipped>> = open.iter().cloned().collect();
    let mut groups: HashMap<_, usize> = HashMap::new();
    while let Some(state) = open.pop() {
        *groups.entry(fingerprint(&state)).or_default() += 1;
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        for next in actions.into_iter().filter_map(|action| model.next_state(&state, action)) {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    assert_eq!(Some(seen.len()), full(name).pinned.map(|(states, _)| states));
    assert_eq!(groups.len(), check::<Shipped>(&reduced(name), None).distinct_states);
    for state in &seen {
        assert_eq!(groups[&fingerprint(state)], orbit(state).1, "{state:?}");
    }
}

#[test]
fn bugs_are_found_up_to_renaming() {
    let cases = [
        (Bug::VotesTwice, "quick-election"),
        (Bug::VoteNotWritten, "quick-election"),
        (Bug::TermNotWritten, "quick-election"),
        (Bug::NoUpToDateCheck, "crash"),
        (Bug::OldTermsAccepted, "quick-election"),
    ];
    for (bug, name) in cases {
        let (all, some) = (found(bug, &full(name)), found(bug, &reduced(name)));
        let (Verdict::Violated { broken: by_all, .. }, Verdict::Violated { broken, path }) =
            (&all.verdict, &some.verdict)
        else {
            panic!("{bug}: {}\n{}", all.line(), some.line())
        };
        assert_eq!(broken.property, by_all.property, "{bug}: {path:?}");
    }
}

#[test]
fn members_that_differ_are_no_images() {
    // Member 0 leads from the start; after a cold start it does not, but everybody's vote for it is kept.
    let reports =
        [check::<Shipped>(&reduced("quick"), None), found(Bug::VoteKept, &reduced("quick-election"))];
    for report in reports {
        let Verdict::Violated { broken, .. } = &report.verdict else { panic!("{}", report.line()) };
        assert_eq!(broken.property, SYMMETRY, "{}", report.line());
    }
}
