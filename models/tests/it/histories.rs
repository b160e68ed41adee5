//! Two judges of what clients are told agree: the exact oracle, which knows the log, and stateright's search for an
//! order, which knows only the answers.
//!
//! Where they may differ by construction is said in [`dkv_models::history`]: the oracle asks for more. So
//! whatever the search refuses the oracle must have refused, always; and under bugs that clients can notice both
//! must refuse some of the same histories.

use dkv::cluster::Shipped;
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::configurations::named;
use dkv_models::history::{History, Knowledge};
use dkv_models::letters::Subject;
use dkv_models::simulate::Walks;

/// How the judges' verdicts met.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdicts {
    both_accept: u32,
    both_refuse: u32,
    only_the_oracle_refuses: u32,
    only_the_search_refuses: u32,
    /// The oracle refuses what the search may not have come to.
    cut_off: u32,
    /// The oracle refuses a read that missed what changes nothing.
    only_a_no_op_is_missed: u32,
    /// Operations of all histories.
    operations: usize,
}

/// Histories of the walks that break something, and of one in `EVERY` of the others, until so many are refused by
/// both or so many walks are made.
fn verdicts<P: Subject>(name: &str, knowledge: Knowledge, refused_max: u32, walks_max: u64) -> Verdicts {
    let configuration = named(name).expect("a configuration of that name");
    let mut verdicts = Verdicts::default();
    let mut walks = Walks::<P>::new(&configuration, 2);
    for number in 0..walks_max {
        let (path, broken) = walks.walk(number);
        if broken.is_none() && !number.is_multiple_of(EVERY) {
            continue;
        }
        let history = History::of::<P>(&configuration, &path);
        let search = history.search(knowledge);
        let count = match (history.is_wrong(), search.is_linearizable) {
            (false, true) => &mut verdicts.both_accept,
            (true, false) => &mut verdicts.both_refuse,
            (true, true) if search.is_cut_off => &mut verdicts.cut_off,
            (true, true) if history.misses_nothing => &mut verdicts.only_a_no_op_is_missed,
            (true, true) => &mut verdicts.only_the_oracle_refuses,
            (false, false) => &mut verdicts.only_the_search_refuses,
        };
        *count += 1;
        verdicts.operations += search.operations;
        if verdicts.both_refuse == refused_max {
            break;
        }
    }
    verdicts
}

/// Not a multiple of how often walks are without preferences.
const EVERY: u64 = 7;

#[test]
fn what_ships_is_accepted_by_both() {
    for name in ["quick-read", "reads", "follower-reads", "sessions", "five-clients"] {
        for knowledge in [Knowledge::Told, Knowledge::Committed] {
            let verdicts = verdicts::<Shipped>(name, knowledge, 1, 200 * EVERY);
            assert_eq!(verdicts.both_accept, 200, "{name}: {verdicts:?}");
            assert!(verdicts.operations > 100, "{name}: clients do something: {verdicts:?}");
        }
    }
}

#[test]
fn what_clients_notice_is_refused_by_both() {
    for (bug, name) in [(Bug::ReadsUnconfirmed, "reads"), (Bug::RetriesApplied, "sessions")] {
        let verdicts = with_bug(Some(bug), || verdicts::<Injected>(name, Knowledge::Told, 1, 60_000));
        assert_eq!(verdicts.only_the_search_refuses, 0, "{bug} in {name}: {verdicts:?}");
        assert_eq!(verdicts.both_refuse, 1, "{bug} in {name}: {verdicts:?}");
    }
}

/// With every write known as soon as it is committed, the two agree on what reads see, but for no-ops.
#[test]
fn on_what_reads_see_both_agree() {
    for (bug, name, walks) in
        [(Bug::ReadsUnconfirmed, "reads", 60_000), (Bug::ServesUnapplied, "deep-reads", 60_000)]
    {
        let verdicts = with_bug(Some(bug), || verdicts::<Injected>(name, Knowledge::Committed, 5, walks));
        let differences = (verdicts.only_the_oracle_refuses, verdicts.only_the_search_refuses);
        assert_eq!(differences, (0, 0), "{bug} in {name}: {verdicts:?}");
        assert!(verdicts.both_refuse > 0, "{bug} in {name}: {verdicts:?}");
    }
}

/// The search accepts what nobody asked about: the oracle sees it in the store.
#[test]
fn what_clients_do_not_notice_the_oracle_does() {
    let bug = Some(Bug::ForwardsTwice);
    let verdicts = with_bug(bug, || verdicts::<Injected>("doubled-forwards", Knowledge::Told, 1, 1_000));
    assert_eq!((verdicts.both_refuse, verdicts.only_the_search_refuses), (0, 0), "{verdicts:?}");
    assert!(verdicts.only_the_oracle_refuses > 0, "{verdicts:?}");
}
