//! What is not a scenario, and where the parser says so.
//!
//! Left out: arbitrary text, which the properties beside this try.

use dkv::cluster::scenario::{LINE_BYTES_MAX, LINES_MAX, SOURCE_BYTES_MAX, Scenario};

/// The text after `# x` and `cluster nodes=3`, and the error in it: where, and the beginning of why.
const MALFORMED: [(&str, &str); 84] = [
    ("dance", r#"3:1 expected a command, found "dance""#),
    ("cluster nodes=3", "3:1 a scenario has one cluster"),
    ("  heal now", r#"3:8 expected the end of the line, found "now""#),
    ("heal\t", "3:5 only printable ASCII and spaces"),
    ("propose put ä=1", "3:13 only printable ASCII and spaces"),
    ("propose", "3:8 expected an operation, found the end of the line"),
    ("propose # put a=1", "3:8 expected an operation, found the end of the line"),
    ("propose get a", r#"3:9 expected noop, put, del or txn, found "get""#),
    ("propose put", "3:12 expected KEY=VALUE, found the end of the line"),
    ("propose put a", r#"3:13 expected KEY=VALUE, found "a""#),
    ("propose put =1", r#"3:13 expected a key without = and !, found """#),
    ("propose put a!=1", r#"3:13 expected a key without = and !, found "a!""#),
    ("propose put a=1 b=2", r#"3:17 unknown option "b", known here: at, as, session, seq, times"#),
    ("propose put a=1 b", "3:17 expected an option (at, as, session, seq, times) or the end of the line"),
    ("propose put a=1 at=3", "3:20 there is no member 3"),
    ("propose put a=1 at=16", "3:20 expected a number from 0 to 15"),
    ("propose put a=1 at=", "3:20 expected a number from 0 to 15"),
    ("propose put a=1 at=0 at=1", "3:22 at is given twice"),
    ("propose put a=1 as=W", "3:20 expected a name of lower-case letters"),
    ("propose put a=1 as=it", "3:20 the name it is taken"),
    ("propose noop as=w\npropose noop as=w", "4:17 the name w is taken"),
    ("propose noop times=0", "3:20 expected a number from 1 to 2000"),
    ("propose noop times=2000\npropose noop", "4:9 a scenario proposes at most 2000 times"),
    ("propose noop session=s seq=1", "3:22 there is no session s"),
    ("open-session s\npropose noop session=s", "4:22 session=NAME and seq=N go together"),
    ("open-session s\nopen-session s", "4:14 session s was opened before"),
    ("close-session s", "3:15 there is no session s"),
    ("propose del", "3:12 expected a key, found the end of the line"),
    ("propose txn", "3:12 expected then, found the end of the line"),
    ("propose txn if", "3:15 expected a compare, found the end of the line"),
    ("propose txn if a then put a=1", "3:16 expected a compare such as a=v"),
    ("propose txn if version:a=x then put a=1", "3:26 expected a number from 0 to"),
    (
        "propose txn if a=1 put a=2",
        r#"3:20 expected a compare such as a=v, a!=v or version:a=1, found "put""#,
    ),
    ("propose txn then", "3:17 expected put, del or get, found the end of the line"),
    ("propose txn then put a=1 else", "3:30 expected put, del or get, found the end of the line"),
    ("submit", "3:7 expected what to submit, found the end of the line"),
    ("submit heal", r#"3:8 expected a request, found "heal""#),
    ("read a=1", "3:6 expected a key without = and !"),
    ("change-members", "3:15 expected learner=ID, promote=ID or remove=ID"),
    ("change-members promote=4", "3:24 there is no member 4"),
    ("promote 4", "3:9 there is no member 4"),
    ("add-learner 16", "3:13 expected a number from 0 to 15"),
    ("transfer", "3:9 expected a member, found the end of the line"),
    ("cancel it", "3:8 there is no request it"),
    ("cancel w", "3:8 there is no request w"),
    ("partition", "3:10 expected a member, found the end of the line"),
    ("partition 0 1 3", "3:15 there is no member 3"),
    ("cut 0", "3:6 expected a member, found the end of the line"),
    ("cut 0 0", "3:7 a link is between two members"),
    ("crash -1", r#"3:7 expected a number from 0 to 15, found "-1""#),
    ("crash 0 keep=99999", "3:14 expected a number from 0 to 10000"),
    ("sync 0 0", "3:8 expected a number from 1 to 10000"),
    ("deliver 0 1 2 3", "3:15 expected an option (skip) or the end of the line"),
    ("timeout 0 tea", "3:11 expected one of election, leader-fresh, check-quorum, heartbeat, transfer"),
    ("elapse 5", "3:8 expected a duration from 1ms to 600000ms such as 500ms or 2s"),
    ("elapse 601s", "3:8 expected a duration from 1ms to 600000ms"),
    ("elapse 99999999999999999999s", "3:8 expected a duration"),
    ("elapse 600s\nawait-leader", "4:1 at most 600000ms pass in a scenario"),
    ("await-leader timeouts=51", "3:23 expected a number from 1 to 50"),
    ("trace maybe", "3:7 expected on or off"),
    ("expect", "3:7 expected what to expect, found the end of the line"),
    ("expect luck", r#"3:8 expected something to expect, found "luck""#),
    ("expect last 0 3", "3:15 expected an entry as index@term"),
    ("expect get 0 a", "3:14 expected KEY=VALUE"),
    ("expect role 0 king", "3:15 expected one of follower, pre-candidate, candidate, leader, down"),
    ("expect members 0,,1", "3:16 expected members such as 0,1,2 or 0,1=>1,2+3"),
    ("propose noop\nexpect outcome it fine", "4:19 expected one of pending, applied, read"),
    ("propose noop\nexpect outcome it applied response=hello", "4:36 expected one of noop, put, deleted"),
    ("expect commit 0 18446744073709551616", "3:17 expected a number, found"),
    ("join 2", "3:6 there is a member 2 already"),
    ("join 16", "3:6 expected a number from 0 to 15"),
    ("join 3 at=0", r#"3:8 expected the end of the line, found "at=0""#),
    ("crash 2\nretire 2\nadd-learner 2", "5:13 member 2 has left for good"),
    ("crash 2\nretire 2\njoin 2", "5:6 there is a member 2 already"),
    ("retire 3", "3:8 there is no member 3"),
    ("lose-disk", "3:10 expected a member, found the end of the line"),
    ("deliver 0 1 skip=x", "3:18 expected a number from 0 to 10000"),
    ("deliver 0 1 0 skip=1", "3:13 expected a number from 1 to 10000"),
    ("duplicate 0 1 2", "3:15 expected an option (skip) or the end of the line"),
    ("delay 0 1 skip=1", r#"3:11 expected the end of the line, found "skip=1""#),
    ("read-all a", "3:10 expected an option (at, as) or the end of the line"),
    ("expect fault", "3:13 expected a member, found the end of the line"),
    ("expect fault 0 yes", r#"3:16 expected the end of the line, found "yes""#),
    ("expect folded 0", r#"3:15 expected the end of the line, found "0""#),
];

#[test]
fn what_is_malformed_is_refused_where_it_is() {
    for (text, expected) in MALFORMED {
        refused(&format!("# x\ncluster nodes=3\n{text}\n"), expected);
    }
}

#[test]
fn a_scenario_begins_with_its_intent_and_its_cluster() {
    let long = format!("# {}\n", "x".repeat(LINE_BYTES_MAX));
    let lines = "#\n".repeat(LINES_MAX);
    let large = "#".repeat(SOURCE_BYTES_MAX + 1);
    let cases: [(&str, &str); 19] = [
        ("", "1:1 a scenario starts with a comment"),
        ("\n# late\n", "1:1 a scenario starts with a comment"),
        ("#  \ncluster nodes=1", "1:1 a scenario starts with a comment"),
        ("cluster nodes=3", "1:1 a scenario starts with a comment"),
        ("# x", "1:1 a scenario founds a cluster: expected cluster nodes=N"),
        ("# x\n\n#\n", "3:1 a scenario founds a cluster"),
        ("# x\nheal", r#"2:1 expected the first command to be cluster, found "heal""#),
        ("# x\ncluster", "2:8 expected nodes=N, found the end of the line"),
        ("# x\ncluster nodes", r#"2:9 expected an option (nodes, seed,"#),
        ("# x\ncluster nodes=0", r#"2:15 expected a number from 1 to 9, found "0""#),
        ("# x\ncluster nodes=10", "2:15 expected a number from 1 to 9"),
        ("# x\ncluster nodes=3 nodes=3", "2:17 nodes is given twice"),
        ("# x\ncluster nodes=3 speed=1", r#"2:17 unknown option "speed""#),
        ("# x\ncluster nodes=3 seed=-1", r#"2:22 expected a number, found "-1""#),
        (
            "# x\ncluster nodes=3 heartbeat=400ms",
            "2:27 the election timeout is more than three times the heartbeat",
        ),
        ("# x\ncluster nodes=3 codec=yes", r#"2:23 expected on or off, found "yes""#),
        (&large, &*format!("1:1 a scenario has at most {SOURCE_BYTES_MAX} bytes")),
        (&long, "1:501 a line has at most 500 bytes"),
        (&lines, "1:1 a scenario starts with a comment"),
    ];
    for (text, expected) in cases {
        refused(text, expected);
    }
    refused(
        &format!("# x\n{lines}"),
        &format!("{}:1 a scenario has at most {LINES_MAX} lines", LINES_MAX + 1),
    );
    refused(&format!("# x\n{long}"), "2:501 a line has at most 500 bytes");
}

fn refused(text: &str, expected: &str) {
    let error = Scenario::parse(text).expect_err(text);
    let found = format!("{}:{} {}", error.line, error.column, error.reason);
    assert!(found.starts_with(expected), "{text:?}\n  expected {expected}\n  found    {found}");
}
