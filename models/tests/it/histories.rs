//! Two judges of what clients are told agree: the exact oracle, which knows the log, and stateright's search for an
//! order, which knows only the answers.
//!
//! Where they may differ by construction is said in [`dkv_models::history`]: the oracle asks for more. So whatever the
//! search refuses the oracle must have refused, always; and for bugs that clients can notice both must refuse the
//! same histories often enough.

use dkv::cluster::Shipped;
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::configurations::named;
use dkv_models::history::History;
use dkv_models::letters::Subject;
use dkv_models::simulate::Walks;

/// How the judges' verdicts met.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdicts {
    both_accept: u32,
    both_refuse: u32,
    only_the_oracle_refuses: u32,
    only_the_search_refuses: u32,
    /// Operations of all histories, and of the largest.
    operations: usize,
    most: usize,
}

fn verdicts<P: Subject>(name: &str, walks: u64) -> Verdicts {
    let configuration = named(name).expect("a configuration of that name");
    let mut verdicts = Verdicts::default();
    let mut walker = Walks::<P>::new(&configuration, 7);
    for number in 0..walks {
        let history = History::of::<P>(&configuration, &walker.path(number));
        let (is_linearizable, operations) = history.is_linearizable();
        let count = match (history.is_wrong(), is_linearizable) {
            (false, true) => &mut verdicts.both_accept,
            (true, false) => &mut verdicts.both_refuse,
            (true, true) => &mut verdicts.only_the_oracle_refuses,
            (false, false) => &mut verdicts.only_the_search_refuses,
        };
        *count += 1;
        verdicts.operations += operations;
        verdicts.most = verdicts.most.max(operations);
    }
    verdicts
}

#[test]
fn what_ships_is_accepted_by_both() {
    for name in ["quick-read", "reads", "follower-reads", "sessions", "five-clients"] {
        let verdicts = verdicts::<Shipped>(name, 400);
        println!("{name}: {verdicts:?}");
        assert_eq!(verdicts.both_accept, 400, "{name}: {verdicts:?}");
        assert!(verdicts.operations > 400, "{name}: clients do something: {verdicts:?}");
    }
}

const BUGS: &[(Bug, &str)] = &[
    (Bug::ReadsUnconfirmed, "reads"),
    (Bug::ReadsUnconfirmed, "five-clients"),
    (Bug::ReadsBeforeOwnCommit, "reads"),
    (Bug::EarlierRoundConfirms, "five-clients"),
    (Bug::ReadJoinsRound, "five-clients"),
    (Bug::ServesUnapplied, "five-clients"),
    (Bug::ServesUnapplied, "reads"),
    (Bug::AnyReadAnswered, "five-clients"),
    (Bug::AnsweredOnAppend, "five-clients"),
    (Bug::RetriesApplied, "sessions"),
    (Bug::RetriesApplied, "five-clients"),
    (Bug::OldRequestsApplied, "sessions"),
    (Bug::ForwardsTwice, "five-clients"),
];

#[test]
fn what_is_broken_is_refused_by_both() {
    for (bug, name) in BUGS {
        let verdicts = with_bug(Some(*bug), || verdicts::<Injected>(name, 1000));
        println!("{bug} {name}: {verdicts:?}");
        assert_eq!(verdicts.only_the_search_refuses, 0, "{bug} in {name}: {verdicts:?}");
    }
}
