//! The list of injected bugs: its names, that nothing is wrong without one, and that each changes exactly
//! the rules that its row says.
//!
//! Every rule is asked a small range of questions ([`answers`]), once as it ships and once with each bug.
//! Left out: that some check notices a bug.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use dkv::cluster::disk::{DiskRules, FaithfulDisk};
use dkv::cluster::links::{FaithfulLinks, LinkRules};
use dkv::cluster::scenario::Scenario;
use dkv::kv::{self, BTreeEngine, ClientId, Put, Revision, Session, Sessions, Snapshot, Store};
use dkv::raft::{
    Configuration, Durable, Entry, EntryId, HardState, Index, MessageKind, NodeId, Payload, Raft, RequestId,
    Term, Write,
};
use dkv::{raft, replica};
use dkv_models::bugs::{Bug, Injected, active, with_bug};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

// --- the list ------------------------------------------------------------------------------------------

#[test]
fn names_are_unique_and_lead_back() {
    let names: BTreeSet<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
    assert_eq!(names.len(), Bug::ALL.len());
    for bug in Bug::ALL {
        assert_eq!(Bug::from_name(bug.name()), Some(*bug));
        let words = format!("{bug:?}").chars().fold(String::new(), |mut words, letter| {
            if letter.is_uppercase() && !words.is_empty() {
                words.push('-');
            }
            words.extend(letter.to_lowercase());
            words
        });
        assert_eq!(bug.name(), words, "a name is that of the variant in kebab-case");
        assert!(bug.summary().ends_with('.'), "{bug} is told in a sentence");
        assert!(bug.rules().is_sorted() && !bug.rules().is_empty(), "{bug} changes rules");
    }
    assert_eq!(Bug::from_name("no-such-bug"), None);
}

#[test]
fn a_bug_is_active_within_its_body_and_no_longer() {
    let (outer, inner) = (Bug::ALL[0], Bug::ALL[1]);
    assert_eq!(active(), None);
    with_bug(Some(outer), || {
        assert_eq!(with_bug(Some(inner), active), Some(inner));
        assert_eq!(with_bug(None, active), None);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            with_bug(Some(inner), || std::panic::resume_unwind(Box::new("not printed")))
        }));
        assert!(unwound.is_err());
        assert_eq!(active(), Some(outer));
        assert_eq!(std::thread::spawn(active).join().expect("it only looks"), None);
    });
    assert_eq!(active(), None);
}

// --- without a bug -------------------------------------------------------------------------------------

#[test]
fn without_a_bug_every_scenario_is_the_same_run() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("tests/scenarios")).expect("the catalogue is there") {
        let path = entry.expect("the catalogue can be listed").path();
        if path.extension().is_some_and(|extension| extension == "scn") {
            let text = fs::read_to_string(&path).expect("a scenario can be read");
            let scenario = Scenario::parse(&text).expect("a scenario of the catalogue is well-formed");
            assert_eq!(scenario.run_under::<Injected>(false), scenario.run(false), "{}", path.display());
            count += 1;
        }
    }
    assert!(count >= 36, "only {count} scenarios");
}

#[test]
fn without_a_bug_every_rule_answers_as_it_ships() {
    let shipped = answers::<Raft, FaithfulDisk, FaithfulLinks, kv::Shipped>();
    assert_eq!(answers::<Injected, Injected, Injected, Injected>(), shipped);
}

// --- with a bug ----------------------------------------------------------------------------------------

#[test]
fn a_bug_changes_the_rules_that_its_row_names_and_no_others() {
    let shipped = answers::<Raft, FaithfulDisk, FaithfulLinks, kv::Shipped>();
    for bug in Bug::ALL {
        let wrong = with_bug(Some(*bug), answers::<Injected, Injected, Injected, Injected>);
        let changed: Vec<&str> =
            shipped.keys().copied().filter(|rule| wrong[rule] != shipped[rule]).collect();
        assert_eq!(changed, bug.rules(), "{bug}");
    }
}

/// A rule that nothing can break would be a rule of which nobody knows whether it matters.
#[test]
fn every_rule_is_asked_and_can_be_broken() {
    // Any prefix of the unsynced writes may survive a crash: no number of them is wrong.
    // Nor is any time to live.
    const UNBREAKABLE: &[&str] = &["survivors", "session_ttl_entries"];
    let sources = [
        ("src/raft/rules.rs", "pub trait Rules"),
        ("src/replica/rules.rs", "pub trait Rules"),
        ("src/kv/rules.rs", "pub trait Rules"),
        ("src/cluster/disk.rs", "pub trait DiskRules"),
        ("src/cluster/links.rs", "pub trait LinkRules"),
    ];
    let mut rules = BTreeSet::new();
    for (file, start) in sources {
        let source = fs::read_to_string(root().join(file)).expect("the rules are there");
        let body = source.split(start).nth(1).and_then(|rest| rest.split("\n}\n").next());
        let signatures =
            body.expect("the trait is there").lines().filter_map(|line| line.strip_prefix("    fn "));
        rules.extend(signatures.filter_map(|line| line.split(['(', '<']).next()).map(str::to_string));
    }
    let asked = answers::<Raft, FaithfulDisk, FaithfulLinks, kv::Shipped>();
    assert_eq!(asked.keys().map(ToString::to_string).collect::<BTreeSet<_>>(), rules);
    let breakable = Bug::ALL.iter().flat_map(|bug| bug.rules()).chain(UNBREAKABLE);
    assert_eq!(breakable.map(ToString::to_string).collect::<BTreeSet<_>>(), rules);
}

// --- asking rules --------------------------------------------------------------------------------------

/// What each rule answers to the questions below, in their order.
type Answers = BTreeMap<&'static str, Vec<String>>;

/// Asks one rule each combination of the arguments, which are copied from the iterators.
macro_rules! ask {
    ($answers:ident, $rules:ty, $trait:path: $($rule:ident($($argument:ident in $domain:expr),*);)*) => {
        $(ask!(@nest $answers, $rules, $trait, $rule, ($($argument),*), $($argument in $domain,)*);)*
    };
    (@nest $answers:ident, $rules:ty, $trait:path, $rule:ident, $all:tt, $argument:ident in $domain:expr, $($rest:tt)*) => {
        for $argument in $domain {
            ask!(@nest $answers, $rules, $trait, $rule, $all, $($rest)*);
        }
    };
    (@nest $answers:ident, $rules:ty, $trait:path, $rule:ident, ($($argument:ident),*),) => {
        note(&mut $answers, stringify!($rule), <$rules as $trait>::$rule($($argument),*))
    };
}

fn note(answers: &mut Answers, rule: &'static str, answer: impl Debug) {
    answers.entry(rule).or_default().push(format!("{answer:?}"));
}

const BOOLS: [bool; 2] = [false, true];
const TERMS: [Term; 3] = [Term(0), Term(1), Term(2)];
const SOME_TERMS: [Option<Term>; 3] = [None, Some(Term(0)), Some(Term(1))];
const INDEXES: [Index; 4] = [Index(0), Index(1), Index(2), Index(3)];
const NODES: [NodeId; 2] = [NodeId(0), NodeId(1)];
const VOTES: [Option<NodeId>; 3] = [None, Some(NodeId(0)), Some(NodeId(1))];
fn hard_states() -> impl Iterator<Item = HardState> {
    let votes = |term| VOTES.into_iter().map(move |voted_for| HardState { term, voted_for });
    TERMS.into_iter().flat_map(votes)
}

fn entry_ids() -> impl Iterator<Item = EntryId> {
    TERMS.into_iter().flat_map(|term| INDEXES.into_iter().map(move |index| EntryId::new(term, index)))
}

fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn answers<R: replica::Rules, D: DiskRules, L: LinkRules, K: kv::Rules>() -> Answers {
    let mut answers = Answers::new();
    ask! { answers, R, raft::Rules:
        majority(voters in 1..8);
        joint_decision(incoming in BOOLS, outgoing in BOOLS);
        joint_index(incoming in INDEXES, outgoing in INDEXES);
        adopt_term(hard in hard_states(), term in TERMS.into_iter().filter(|term| *term >= hard.term));
        campaign(hard in hard_states(), own in NODES);
        has_vote_left(voted_for in VOTES, candidate in NODES);
        may_vote(is_voter in BOOLS);
        is_asked(incoming in BOOLS, outgoing in BOOLS);
        is_up_to_date(candidate_last in entry_ids(), own_last in entry_ids());
        refuses_disruption(leader_fresh in BOOLS, transfer in BOOLS);
        is_current(term in TERMS, current in TERMS);
        answers_stale(kind in MessageKind::ALL);
        keeps_leading(heard_quorum in BOOLS);
        counts_own_vote(durable in hard_states(), current in hard_states());
        writes_hard_state(before in hard_states(), current in hard_states());
        route(kind in MessageKind::ALL);
        may_leave(term in TERMS, durable in TERMS);
        outlives_sync(made_in in TERMS, current in TERMS);
        advance_durable(durable in INDEXES, written in INDEXES);
        truncate_durable(index in INDEXES, keep in INDEXES);
        restore_hard_state(durable in hard_states());
        prev_matches(own in SOME_TERMS, prev in TERMS);
        conflicts(own in TERMS, incoming in TERMS);
        acknowledged(prev in INDEXES, entries in 0..3, own_last in INDEXES);
        follower_commit(current in INDEXES, leader in INDEXES, last_new in INDEXES, own_last in INDEXES);
        heartbeat_commit(commit in INDEXES, matched in INDEXES);
        advance_match(known in INDEXES, acknowledged in INDEXES);
        match_after_refusal(known in INDEXES, conflict in INDEXES);
        next_after(matched in INDEXES);
        initial_match(own_last in INDEXES);
        leader_match(durable in INDEXES, last in INDEXES);
        may_commit(entry_term in TERMS, current in TERMS);
        may_apply(commit in INDEXES, durable in INDEXES);
        may_read(commit_term in TERMS, current in TERMS);
        joins_round(is_open in BOOLS);
        confirms_round(acked in 0..3, round in 0..3);
        may_change_configuration(pending in BOOLS, commit_term in TERMS, current in TERMS);
        falls_back(index in INDEXES, keep in INDEXES);
        may_leave_joint(joint in INDEXES, commit in INDEXES);
        may_campaign(is_voter in BOOLS, until_committed in BOOLS);
        must_step_down(is_voter in BOOLS, is_joint in BOOLS, index in INDEXES, commit in INDEXES);
        purge_limit(requested in INDEXES, snapshot in INDEXES, applied in INDEXES);
        snapshot_configuration(last in INDEXES, log_last in INDEXES);
        hard_state_after_snapshot(hard in hard_states(), last in entry_ids());
        is_newer_snapshot(last in INDEXES, commit in INDEXES);
        keeps_suffix(own in SOME_TERMS, last in TERMS);
        needs_snapshot(next in INDEXES, purged in INDEXES);
        first_comparable(prev in INDEXES, purged in INDEXES);
    }
    ask! { answers, R, replica::Rules:
        is_answered_by(proposed in entry_ids(), applied in entry_ids());
        may_serve(read in INDEXES, applied in INDEXES);
        may_judge_forward(sent_in in TERMS, leads in SOME_TERMS);
    }
    ask! { answers, K, kv::Rules:
        judge(answered in [None, Some(1), Some(2)], sequence in 0..4);
        is_expired(last_used in INDEXES, now in [Index(2), Index(20)], ttl_entries in [1, 100]);
        revision_after(revision in [Revision(1), Revision(7)], changed in BOOLS);
        compares_see_earlier_steps();
        session_ttl_entries();
    }
    ask! { answers, L, LinkRules: carries(is_cut in BOOLS); }
    ask! { answers, D, DiskRules:
        survivors(pending in 0..3, wanted in 0..3);
        admits(known in 0..3, found in 0..3);
    }
    ask_about_sets::<R>(&mut answers);
    ask_about_disks::<D>(&mut answers);
    ask_about_stores::<K>(&mut answers);
    answers
}

fn ask_about_sets<R: replica::Rules>(answers: &mut Answers) {
    let configuration =
        Configuration { voters: nodes(&[1, 2]), outgoing: Some(nodes(&[0, 1])), learners: nodes(&[3]) };
    for own in [0, 1] {
        note(answers, "electorate", R::electorate(&configuration, NodeId(own)));
    }
    for reached in [vec![3, 1, 2], vec![1, 2, 3, 4, 5]] {
        let mut reached: Vec<Index> = reached.into_iter().map(Index).collect();
        R::rank(&mut reached);
        note(answers, "rank", reached);
    }
    let mut votes = BTreeSet::new();
    for from in [1, 2, 1] {
        R::record_vote(&mut votes, NodeId(from));
        note(answers, "record_vote", &votes);
    }
    for next in [nodes(&[0, 1, 2]), nodes(&[0, 1, 2, 3]), nodes(&[0, 3, 4])] {
        note(answers, "needs_joint", R::needs_joint(&nodes(&[0, 1, 2]), &next));
    }
    for request in [1, 2, 3].map(RequestId) {
        let mut asking = BTreeSet::from([RequestId(1), RequestId(2)]);
        note(answers, "is_new_forward", R::is_new_forward(&asking, request));
        note(answers, "take_asking", (R::take_asking(&mut asking, request), &asking));
    }
}

/// A write of entries of a new term.
fn write(term: u64, indexes: std::ops::RangeInclusive<u64>) -> Write<u8> {
    let entry = |index| Entry { id: EntryId::new(Term(term), Index(index)), payload: Payload::Command(7) };
    let hard_state = Some(HardState { term: Term(term), voted_for: None });
    Write { hard_state, entries: indexes.map(entry).collect(), ..Write::default() }
}

fn ask_about_disks<D: DiskRules>(answers: &mut Answers) {
    let mut pending = VecDeque::new();
    for term in 1..4 {
        D::enqueue(&mut pending, write(term, term..=term));
    }
    note(answers, "enqueue", pending);
    let mut disk = Durable::empty();
    D::persist(&mut disk, write(1, 1..=9));
    D::persist(&mut disk, write(2, 10..=10));
    note(answers, "persist", &disk);
    let mut disk = Durable::empty();
    disk.apply(write(1, 1..=4));
    note(answers, "keeps_synced", D::keeps_synced(&disk));
    D::tear(&mut disk, write(2, 2..=3));
    note(answers, "tear", &disk);
}

fn ask_about_stores<K: kv::Rules>(answers: &mut Answers) {
    let mut sessions = Sessions::new(9);
    assert!(sessions.insert(ClientId(1), Session { last_used: Index(1), answered: None }));
    note(answers, "snapshot_sessions", K::snapshot_sessions(&sessions));
    let store = |key: &str| {
        let mut store = Store::<BTreeEngine>::default();
        let put = kv::Command::new(kv::Op::Put(Put::new(key, "1")));
        store.apply(EntryId::new(Term(1), Index(1)), &put).expect("memory does not fail");
        store
    };
    let (before, mut snapshot) = (store("a"), store("b").snapshot().expect("memory does not fail"));
    snapshot.position.revision = Revision(9);
    let restored: Result<Snapshot, _> = K::restored(before.engine(), snapshot);
    note(answers, "restored", restored);
}
