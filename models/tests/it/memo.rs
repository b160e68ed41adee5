//! What is remembered is what would be computed: the same runs with every step remembered and with none.
//!
//! Left out: the large configurations. Their counts are asserted against the README by whoever changes it.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::panic::catch_unwind;

use dkv::cluster::Shipped;
use dkv::raft::{EntryId, Index, Term};
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::check::{Report, Verdict, check_by};
use dkv_models::configurations::named;
use dkv_models::interned::{Interned, Table};
use dkv_models::letters::Subject;
use dkv_models::memo::Stepping;

/// Every kind of configuration, as small as there is one.
const SMALL: [&str; 8] = [
    "quick",
    "quick-disk",
    "four",
    "quick-session",
    "quick-snapshot",
    "quick-learner",
    "quick-transfer",
    "quick-duplicates",
];

fn run<P: Subject>(name: &str, stepping: Stepping) -> Report {
    check_by::<P>(&named(name).expect("a configuration of that name"), None, stepping)
}

/// Everything that two runs must agree on.
fn essence(report: Report) -> impl PartialEq + std::fmt::Debug {
    let counts = (report.distinct_states, report.transitions, report.depth);
    (counts, report.actions, report.convergence, report.verdict)
}

#[test]
fn remembered_steps_explore_what_computed_steps_explore() {
    for name in SMALL {
        let (memoised, plain) =
            (run::<Shipped>(name, Stepping::Memoised), run::<Shipped>(name, Stepping::Plain));
        assert_eq!(plain.memo.steps, 0, "{name}: plain steps are not remembered");
        let distinct = memoised.memo.steps;
        assert!(distinct > 0 && distinct < memoised.transitions, "{name}: {distinct} steps are distinct");
        assert_eq!(memoised.verdict, Verdict::Holds, "{name}");
        assert_eq!(essence(memoised), essence(plain), "{name}");
    }
}

/// The same violation in the same words by the same path, a panic too; and nothing of a bug is left when
/// the next model is made.
#[test]
fn remembered_steps_break_what_computed_steps_break() {
    let cases = [
        (Bug::MinorityIsEnough, "quick-disk"),
        (Bug::AcknowledgesBeforeSync, "quick-disk"),
        (Bug::AppliesUncommitted, "quick-disk"),
        (Bug::AppliesUnsynced, "quick-disk"),
        (Bug::TruncatesWhatAgrees, "quick-disk"),
        (Bug::CommitFalls, "quick-disk"),
        (Bug::AcknowledgementIgnored, "quick-disk"),
        (Bug::RetriesApplied, "quick-session"),
        (Bug::SnapshotAcknowledgedBeforeSync, "quick-snapshot"),
        (Bug::TermNotWritten, "quick-pre-vote"),
        (Bug::EitherIndex, "quick-learner"),
    ];
    for (bug, name) in cases {
        let verdict = |stepping| with_bug(Some(bug), || run::<Injected>(name, stepping)).verdict;
        let (memoised, plain) = (verdict(Stepping::Memoised), verdict(Stepping::Plain));
        assert!(matches!(memoised, Verdict::Violated { .. }), "{bug}: {memoised:?}");
        assert_eq!(memoised, plain, "{bug}");
        assert_eq!(run::<Injected>(name, Stepping::Memoised).verdict, Verdict::Holds, "after {bug}");
    }
}

#[test]
#[allow(clippy::mutable_key_type)] // what is noted of a value later is no part of it
fn equal_content_is_equal_whoever_made_it() {
    let id = EntryId::new(Term(1), Index(2));
    let set: HashSet<Interned<EntryId>> = [Interned::new(id), Interned::new(id)].into();
    assert_eq!(set.len(), 1);
    assert_ne!(Interned::new(id), Interned::new(EntryId::ZERO));
}

/// All values of this type have the same hash.
#[derive(PartialEq, Eq)]
struct Colliding(u8);

impl Hash for Colliding {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(0);
    }
}

#[test]
fn a_collision_stops_the_run() {
    let both = |first, second| {
        catch_unwind(|| {
            let mut table = Table::default();
            table.keep(Interned::new(Colliding(first)));
            table.keep(Interned::new(Colliding(second)));
        })
    };
    assert!(both(1, 1).is_ok());
    assert!(both(1, 2).is_err());
}
