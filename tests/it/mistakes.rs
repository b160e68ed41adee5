//! Planted mistakes, and how soon cases show them.
//!
//! A property that cannot fail says nothing. Each mistake is a bug of [`dkv_models::bugs`]; here are the
//! ones that the property of `reference` is known to find.

use dkv::cluster::Policies;
use dkv_models::bugs::{Bug, Injected, with_bug};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::cases::quietly;
use crate::reference::{case, run_case};

/// Each with a number of cases within which it shows: several times what it took when this was written,
/// since that moves with every change of the generators.
///
/// Left out are bugs that took more than 350 cases or did not show in 4000. Some break no invariant
/// ([`Bug::killed_by`] is empty), some are about what no action here does (nested transactions, requests
/// older than the last), and the shortest counterexamples of the others are too long for chance. Those are
/// for the models and the simulation.
const FOUND: &[(Bug, u32)] = &[
    (Bug::SmallMajority, 100),
    (Bug::MinorityIsEnough, 20),
    (Bug::EitherIndex, 300),
    (Bug::NewMajorityCommits, 20),
    (Bug::ProgressOutOfOrder, 100),
    (Bug::AnsweredOnAppend, 20),
    (Bug::LearnersCounted, 100),
    (Bug::RemovedLeaderCounts, 100),
    (Bug::TermNotWritten, 100),
    (Bug::VoteForgotten, 20),
    (Bug::TermForgotten, 20),
    (Bug::RequestVoteBeforeSync, 500),
    (Bug::LeavesBeforeItsTerm, 1000),
    (Bug::VoteErased, 100),
    (Bug::VoteKept, 20),
    (Bug::OwnVoteNotRecorded, 20),
    (Bug::CampaignsInItsTerm, 20),
    (Bug::VotesTwice, 1000),
    (Bug::NoUpToDateCheck, 500),
    (Bug::LastTermWins, 500),
    (Bug::OldTermsAccepted, 1000),
    (Bug::StaleLeaderIgnored, 2000),
    (Bug::AcknowledgesBeforeSync, 100),
    (Bug::TruncationNotNoticed, 400),
    (Bug::ReceiptIgnored, 20),
    (Bug::AppliesUnsynced, 1000),
    (Bug::AppliesUncommitted, 20),
    (Bug::SyncedEntryLost, 100),
    (Bug::WriteErrorSwallowed, 20),
    (Bug::WritesReordered, 20),
    (Bug::PreviousEntryUnchecked, 1000),
    (Bug::TruncatesWhatAgrees, 100),
    (Bug::ConflictKept, 200),
    (Bug::AcknowledgesItsLast, 400),
    (Bug::AcknowledgesOneMore, 20),
    (Bug::CommitsItsLast, 2000),
    (Bug::CommitFalls, 100),
    (Bug::HeartbeatCommitsAll, 300),
    (Bug::AcknowledgementIgnored, 20),
    (Bug::NextNotAboveMatch, 100),
    (Bug::MatchAssumed, 20),
    (Bug::LeaderCountsUnsynced, 100),
    (Bug::ReadsUnconfirmed, 2000),
    (Bug::EarlierRoundConfirms, 2000),
    (Bug::ServesUnapplied, 2000),
    (Bug::ChangesOverlap, 100),
    (Bug::ConfigurationNotRolledBack, 100),
    (Bug::PurgesTooMuch, 20),
    (Bug::TermFallsOnSnapshot, 100),
    (Bug::SnapshotAcknowledgedUnseen, 100),
    (Bug::SuffixKept, 2000),
    (Bug::EntriesInsteadOfSnapshot, 300),
    (Bug::PurgedEntriesCompared, 1000),
    (Bug::PurgedEntriesAddedAgain, 1000),
    (Bug::ForwardsTwice, 1000),
    (Bug::RetriesApplied, 200),
    (Bug::SessionsNotInSnapshot, 200),
    (Bug::SessionsExpireEarly, 100),
    (Bug::SnapshotMerged, 1000),
    (Bug::RevisionNotInSnapshot, 20),
    (Bug::RevisionCountsCommands, 20),
    (Bug::CutLinksCarry, 100),
];

const SEED: u64 = 1;

/// The number of cases until a mistake shows, and how it shows.
fn cases_until_found<P: Policies, K: dkv::kv::Rules>(seed: u64, cases_max: u32) -> Option<(u32, String)>
where
    dkv::kv::Store<dkv::kv::BTreeEngine, K>: Default,
{
    let config = Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    quietly(|| {
        (1..=cases_max).find_map(|count| {
            let case = case().new_tree(&mut runner).expect("every case is valid").current();
            run_case::<P, K>(&case).0.err().map(|reason| (count, reason))
        })
    })
}

/// With `SURVEY_CASES`, prints after how many cases each bug shows: for whoever changes the generators.
#[test]
fn planted_mistakes_are_found() {
    let found = |bug: Bug, cases_max| {
        with_bug(Some(bug), || cases_until_found::<Injected, Injected>(SEED, cases_max))
    };
    if let Some(cases_max) = std::env::var("SURVEY_CASES").ok().and_then(|cases| cases.parse().ok()) {
        for bug in Bug::ALL {
            println!("{bug}: {:?}", found(*bug, cases_max));
        }
    }
    for (bug, cases_max) in FOUND {
        assert!(found(*bug, *cases_max).is_some(), "{bug} did not show in {cases_max} cases");
    }
}

#[test]
fn without_a_mistake_the_same_cases_are_clean() {
    assert_eq!(cases_until_found::<Injected, Injected>(SEED, 200), None);
}
