//! Every anomaly that has a name is found, and by which check.
//!
//! Histories are written by hand: call time, return time, what was asked, what was told. Values are named
//! after who puts them. Each comes with the smallest change that makes it right, which must pass.
//!
//! Left out: anomalies that need weaker models to name; here everything that is not linearizable is wrong.

use dkv::raft::Bytes;
use dkv::sim::history::{Call, Found, Operation, Return, Step};
use dkv::sim::linearizable::{Start, Verdict, check, check_revisions, check_values};

fn put(key: &str, value: &str) -> Call {
    Call::Write { compares: vec![], then: vec![Step::Put(key.into(), value.into())], otherwise: vec![] }
}

fn delete(key: &str) -> Call {
    Call::Write { compares: vec![], then: vec![Step::Delete(key.into())], otherwise: vec![] }
}

fn put_if(compared: (&str, Option<&str>), key: &str, value: &str) -> Call {
    let compares = vec![(compared.0.into(), compared.1.map(Bytes::from))];
    Call::Write { compares, then: vec![Step::Put(key.into(), value.into())], otherwise: vec![] }
}

fn read(keys: &[&str]) -> Call {
    Call::Read(keys.iter().copied().map(Bytes::from).collect())
}

/// A value, and its create revision, mod revision and version.
type Seen<'a> = Option<(&'a str, [u64; 3])>;

fn operation(invoked: u64, returned: u64, call: Call, revision: Option<u64>, seen: &[Seen<'_>]) -> Operation {
    let keys = call.keys().cloned().collect::<Vec<_>>();
    let found = |seen: &Seen<'_>| {
        seen.map(|(value, [create_revision, mod_revision, version])| Found {
            value: value.into(),
            create_revision,
            mod_revision,
            version,
        })
    };
    let found = keys.into_iter().zip(seen).map(|(key, seen)| (key, found(seen))).collect();
    Operation { call, invoked, returned: Some((returned, Return { succeeded: true, revision, found })) }
}

/// A write that changed something.
fn wrote(invoked: u64, returned: u64, call: Call, revision: u64) -> Operation {
    operation(invoked, returned, call, Some(revision), &[])
}

/// A read past the log.
fn saw(invoked: u64, returned: u64, keys: &[&str], seen: &[Seen<'_>]) -> Operation {
    operation(invoked, returned, read(keys), None, seen)
}

fn unknown(invoked: u64, call: Call) -> Operation {
    Operation { call, invoked, returned: None }
}

fn failed(mut operation: Operation) -> Operation {
    operation.returned.iter_mut().for_each(|(_, answer)| answer.succeeded = false);
    operation
}

fn assert_right(history: &[Operation]) {
    let verdict = check(history, &Start::default(), 1000);
    assert!(matches!(verdict, Verdict::NoViolation { .. }), "{verdict:?}");
}

/// Both checks find it.
fn assert_wrong_either_way(history: &[Operation]) {
    assert_wrong(history);
    let values = check_values(history, &Start::default(), 1000);
    assert!(matches!(values, Verdict::Violation(_)), "{values:?}");
}

/// The revisions show it.
fn assert_wrong(history: &[Operation]) {
    let violation = check_revisions(history, &Start::default()).expect_err("a violation");
    println!("{violation}\n");
    assert!(violation.operations.iter().all(|at| violation.detail.contains(&format!("\n  #{at} "))));
}

#[test]
fn a_stale_read() {
    let history = |invoked| {
        vec![
            wrote(1, 2, put("a", "x"), 2),
            wrote(3, 6, put("a", "y"), 3),
            saw(invoked, 8, &["a"], &[Some(("x", [2, 2, 1]))]),
        ]
    };
    assert_right(&history(5));
    assert_wrong_either_way(&history(7));
}

#[test]
fn reads_that_go_back() {
    let (old, new) = (Some(("x", [2, 2, 1])), Some(("y", [2, 3, 2])));
    let history = |first, second| {
        vec![
            wrote(1, 2, put("a", "x"), 2),
            wrote(3, 20, put("a", "y"), 3),
            saw(4, 5, &["a"], &[first]),
            saw(6, 7, &["a"], &[second]),
        ]
    };
    assert_right(&history(old, new));
    assert_wrong_either_way(&history(new, old));
}

/// Two clients replace the same value, and both are told that they did.
#[test]
fn a_lost_update() {
    let history = |expected| {
        vec![
            wrote(1, 2, put("a", "x"), 2),
            wrote(3, 5, put_if(("a", Some("x")), "a", "y"), 3),
            wrote(4, 6, put_if(("a", Some(expected)), "a", "z"), 4),
        ]
    };
    assert_right(&history("y"));
    assert_wrong_either_way(&history("x"));
}

#[test]
fn a_value_that_was_never_written() {
    let history = |value| vec![wrote(1, 2, put("a", "x"), 2), saw(3, 4, &["a"], &[Some((value, [2, 2, 1]))])];
    assert_right(&history("x"));
    assert_wrong_either_way(&history("ghost"));
}

#[test]
fn a_value_before_it_was_written() {
    let history =
        |returned| vec![saw(1, returned, &["a"], &[Some(("x", [2, 2, 1]))]), wrote(3, 5, put("a", "x"), 2)];
    assert_right(&history(4));
    assert_wrong_either_way(&history(2));
}

/// Each of two transactions relies on what the other changes. No key on its own shows it: only the check of
/// revisions sees both.
#[test]
fn write_skew() {
    let history = |second| {
        vec![
            wrote(1, 2, put("a", "x"), 2),
            wrote(3, 4, put("b", "y"), 3),
            wrote(5, 7, put_if(("a", Some("x")), "b", "yy"), 4),
            wrote(6, 8, put_if(("b", Some(second)), "a", "xx"), 5),
        ]
    };
    assert_right(&history("yy"));
    assert_wrong(&history("y"));
    let values = check_values(&history("y"), &Start::default(), 1000);
    assert!(matches!(values, Verdict::NoViolation { .. }), "each key alone is right: {values:?}");
}

/// Half of a transaction.
#[test]
fn a_read_that_is_torn() {
    let both = Call::Write {
        compares: vec![],
        then: vec![Step::Put("a".into(), "x".into()), Step::Put("b".into(), "x".into())],
        otherwise: vec![],
    };
    let history = |seen: Seen<'_>| {
        vec![wrote(1, 5, both.clone(), 2), saw(2, 3, &["a", "b"], &[Some(("x", [2, 2, 1])), seen])]
    };
    assert_right(&history(Some(("x", [2, 2, 1]))));
    assert_wrong(&history(None));
}

/// Two readers see two writes in different orders.
#[test]
fn a_long_fork() {
    let (x, y) = (Some(("x", [2, 2, 1])), Some(("y", [3, 3, 1])));
    let history = |second: [Seen<'_>; 2]| {
        vec![
            wrote(1, 10, put("a", "x"), 2),
            wrote(2, 11, put("b", "y"), 3),
            saw(3, 12, &["a", "b"], &[x, None]),
            saw(4, 13, &["a", "b"], &second),
        ]
    };
    assert_right(&history([None, None]));
    assert_right(&history([x, y]));
    assert_wrong(&history([None, y]));
}

#[test]
fn two_operations_with_one_revision() {
    let history = |revision| vec![wrote(1, 3, put("a", "x"), 2), wrote(2, 4, put("b", "y"), revision)];
    assert_right(&history(3));
    assert_wrong(&history(2));
}

/// Deletes own a revision only if they changed something; here both must have.
#[test]
fn two_deletes_with_one_revision() {
    let history = |key, revision| {
        vec![
            wrote(1, 2, put("a", "x"), 2),
            wrote(3, 4, put("b", "y"), 3),
            wrote(5, 7, delete("a"), 4),
            wrote(6, 8, delete(key), revision),
        ]
    };
    assert_right(&history("b", 5));
    assert_right(&history("a", 4));
    assert_wrong(&history("b", 4));
}

#[test]
fn a_revision_that_nobody_has() {
    let history = |revision| vec![wrote(1, 2, put("a", "x"), 2), wrote(3, 4, put("b", "y"), revision)];
    assert_right(&history(3));
    assert_wrong(&history(4));
    let mut explained = history(4);
    explained.push(unknown(0, put("c", "z")));
    assert_right(&explained);
}

#[test]
fn revisions_against_real_time() {
    let history = |invoked| vec![wrote(1, 3, put("a", "x"), 3), wrote(invoked, 5, put("b", "y"), 2)];
    assert_right(&history(2));
    assert_wrong(&history(4));
}

/// A put whose client asked twice was carried out twice. It counts once in the history.
#[test]
fn a_retry_that_took_effect_twice() {
    let history = |seen| {
        vec![
            wrote(1, 2, put("a", "x"), 2),
            wrote(3, 6, put("a", "y"), 3),
            saw(7, 8, &["a"], &[Some(("y", seen))]),
        ]
    };
    assert_right(&history([2, 3, 2]));
    assert_wrong(&history([2, 3, 3]));
    assert_wrong(&history([2, 4, 3]));
    let replaced = vec![
        wrote(1, 2, put("a", "x"), 2),
        wrote(3, 4, put("a", "y"), 3),
        saw(5, 6, &["a"], &[Some(("x", [2, 4, 3]))]),
    ];
    assert_wrong_either_way(&replaced);
}

/// The client never learned the outcome, and others saw it happen more than once.
#[test]
fn an_unknown_put_that_took_effect_twice() {
    let history = |last: Seen<'_>| {
        vec![
            unknown(1, put("a", "x")),
            saw(2, 3, &["a"], &[Some(("x", [2, 2, 1]))]),
            wrote(4, 5, put("a", "y"), 3),
            saw(6, 7, &["a"], &[last]),
        ]
    };
    assert_right(&history(Some(("y", [2, 3, 2]))));
    assert_wrong_either_way(&history(Some(("x", [2, 4, 3]))));
}

#[test]
fn a_key_that_came_back() {
    let history = |seen: Seen<'_>| {
        vec![wrote(1, 2, put("a", "x"), 2), wrote(3, 4, delete("a"), 3), saw(5, 6, &["a"], &[seen])]
    };
    assert_right(&history(None));
    assert_wrong_either_way(&history(Some(("x", [2, 2, 1]))));
}

#[test]
fn a_key_that_went_away() {
    let history = vec![wrote(2, 3, put("a", "x"), 2), saw(4, 5, &["a"], &[None])];
    assert_wrong_either_way(&history);
    let with = |call| [history.clone(), vec![unknown(1, call)]].concat();
    assert_right(&with(delete("a")));
    assert_wrong_either_way(&with(delete("b")));
    let late = [history.clone(), vec![unknown(6, delete("a"))]].concat();
    assert_wrong_either_way(&late);
}

/// A key that was deleted begins anew, at version 1.
#[test]
fn a_version_that_went_on_over_a_delete() {
    let history = |seen| {
        vec![
            wrote(1, 2, put("a", "x"), 2),
            wrote(3, 4, delete("a"), 3),
            wrote(5, 6, put("a", "y"), 4),
            saw(7, 8, &["a"], &[Some(("y", seen))]),
        ]
    };
    assert_right(&history([4, 4, 1]));
    assert_wrong(&history([2, 4, 2]));
}

/// A version that began anew without a delete that may have happened.
#[test]
fn a_version_that_began_anew() {
    let history = vec![
        wrote(1, 2, put("a", "x"), 2),
        wrote(5, 6, put("a", "y"), 4),
        saw(7, 8, &["a"], &[Some(("y", [4, 4, 1]))]),
    ];
    assert_right(&[history.clone(), vec![unknown(3, delete("a"))]].concat());
    assert_wrong(&[history, vec![unknown(3, put("a", "z"))]].concat());
}

#[test]
fn a_compare_that_failed_for_nothing() {
    let history =
        |value| vec![wrote(1, 2, put("a", "x"), 2), failed(wrote(3, 4, put_if(("a", value), "a", "y"), 2))];
    assert_right(&history(None));
    assert_right(&history(Some("z")));
    assert_wrong_either_way(&history(Some("x")));
}

/// Of two deletes with one revision, the one of which a compare failed for want of nothing else owns it.
#[test]
fn a_delete_that_must_have_found_something() {
    let compares = vec![("b".into(), None), ("a".into(), None)];
    let call = Call::Write { compares, then: vec![], otherwise: vec![Step::Delete("a".into())] };
    let history = |invoked, returned| {
        vec![
            wrote(1, 2, put("a", "x"), 2),
            wrote(3, 8, delete("a"), 3),
            failed(wrote(invoked, returned, call.clone(), 3)),
        ]
    };
    assert_right(&history(4, 6));
    assert_wrong(&history(9, 10));
    let late = |invoked| [history(4, 6), vec![unknown(invoked, put("b", "y"))]].concat();
    assert_right(&late(0));
    assert_right(&late(7));
}

#[test]
fn what_no_recorder_may_write_down() {
    let twice = vec![wrote(1, 2, put("a", "x"), 2), wrote(3, 4, put("a", "x"), 3)];
    assert_wrong(&twice);
    let mut without_revision = wrote(1, 2, put("a", "x"), 2);
    without_revision.returned.iter_mut().for_each(|(_, answer)| answer.revision = None);
    assert_wrong_either_way(&[without_revision]);
    assert_wrong_either_way(&[wrote(1, 2, put("a", "x"), 2), wrote(2, 3, put("b", "x"), 3)]);
    assert_wrong_either_way(&[saw(1, 2, &["a", "b"], &[None])]);
    assert_wrong_either_way(&[failed(saw(1, 2, &["a"], &[None]))]);
    assert_wrong_either_way(&[wrote(2, 1, put("a", "x"), 2)]);
}

/// Later segments begin with what the earlier ones left.
#[test]
fn a_segment_begins_where_the_last_one_ended() {
    let found = Found { value: "x".into(), create_revision: 5, mod_revision: 7, version: 2 };
    let start = Start { revision: 9, keys: [("a".into(), found)].into() };
    let is_right = |history: &[Operation]| match check(history, &start, 1000) {
        Verdict::NoViolation { .. } => true,
        Verdict::Violation(_) => false,
        Verdict::Undecided { key, .. } => panic!("undecided about {key:?}"),
    };
    assert!(is_right(&[saw(1, 2, &["a", "b"], &[Some(("x", [5, 7, 2])), None])]));
    assert!(!is_right(&[saw(1, 2, &["a"], &[Some(("x", [5, 8, 2]))])]));
    assert!(!is_right(&[saw(1, 2, &["a"], &[None])]));
    assert!(!is_right(&[saw(1, 2, &["b"], &[Some(("x", [5, 7, 2]))])]));
    assert!(is_right(&[wrote(1, 2, put("a", "y"), 10), saw(3, 4, &["a"], &[Some(("y", [5, 10, 3]))])]));
    assert!(!is_right(&[wrote(1, 2, put("a", "y"), 9)]));
    assert!(!is_right(&[wrote(1, 2, put("a", "y"), 11)]));
    // A put that took effect before the segment began does not do so again.
    let again = [unknown(0, put("a", "x")), saw(1, 2, &["a"], &[Some(("x", [5, 10, 3]))])];
    assert!(!is_right(&again));
}

/// A search that ends early says so.
#[test]
fn an_undecided_history_is_not_a_success() {
    let history = vec![wrote(1, 2, put("a", "x"), 2), saw(3, 4, &["a"], &[Some(("x", [2, 2, 1]))])];
    assert_eq!(check(&history, &Start::default(), 1), Verdict::Undecided { key: "a".into(), steps: 1 });
    assert_eq!(check(&history, &Start::default(), 2), Verdict::NoViolation { steps: 2 });
}
