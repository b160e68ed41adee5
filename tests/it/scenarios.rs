//! The catalogue of `tests/scenarios`, and the language that it is written in.
//!
//! `UPDATE_GOLDENS=1 cargo test --test it scenarios` writes the transcripts anew. Review them as a diff:
//! every changed line is a change of what the cluster does.

mod catalogue;
mod malformed;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

use dkv::cluster::scenario::Scenario;
use dkv_models::bugs::{Bug, Injected, with_bug};
use proptest::prelude::*;
use proptest::sample::select;

use self::catalogue::{read, scenario};

// --- what the catalogue is worth ---------------------------------------------------------------------

/// Bugs that were planted, and a scenario that each of them fails.
const FAILS: &[(Bug, &str)] = &[
    (Bug::CommitsEarlierTerms, "figure_8_an_old_entry_on_a_majority_is_not_committed"),
    (Bug::TruncatesWhatAgrees, "delayed_append_does_not_truncate"),
    (Bug::NoUpToDateCheck, "stale_log_is_not_elected"),
    (Bug::AcknowledgesBeforeSync, "follower_acknowledges_what_is_on_disk"),
    (Bug::OwnVoteUnsynced, "lone_candidate_waits_for_its_disk"),
    (Bug::ReadsBeforeOwnCommit, "new_leader_reads_only_after_its_first_commit"),
    (Bug::ReadsUnconfirmed, "read_index_blocks_until_quorum"),
    (Bug::NewMajorityCommits, "joint_phase_needs_both_majorities"),
    (Bug::FreshLeaderDisturbed, "pre_vote_is_refused_while_the_leader_is_fresh"),
];

/// An assertion of the core that stops the run catches the bug as well as an expectation does.
#[test]
fn a_planted_bug_fails_its_scenario() {
    for (bug, name) in FAILS {
        let scenario = read(name);
        assert!(scenario.run(false).failure.is_none(), "{name} holds under the rules that ship");
        let broken =
            with_bug(Some(*bug), || catch_unwind(AssertUnwindSafe(|| scenario.run_under::<Injected>(false))));
        assert!(!broken.is_ok_and(|report| report.failure.is_none()), "{name} must not hold with {bug}");
    }
}

// --- the command -------------------------------------------------------------------------------------

fn dkv(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_dkv"))
        .arg("scenario")
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Puts a scenario into a file and returns its path.
fn file(name: &str, text: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("a temporary file can be written");
    path.to_str().expect("its path is text").to_owned()
}

#[test]
fn the_command_tells_by_its_status() {
    let good = file("good.scn", b"# It holds.\ncluster nodes=3\npropose put a=1\nexpect commit 0 1\n");
    let bad = file("bad.scn", b"# It does not.\ncluster nodes=3\nexpect leader 1\n");
    let none = file("none.scn", b"# It is none.\ncluster nodes=3\nexpect leader 7\n");
    let bytes = file("bytes.scn", b"# No text.\ncluster nodes=3\n \xFF\n");

    let (status, stdout, stderr) = dkv(&[&good]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("\n> propose put a=1\n  r0: applied 1@1 revision=2 put\n"), "{stdout}");

    let (status, _, stderr) = dkv(&[&bad, &good]);
    assert_eq!(status, Some(1));
    let expected =
        format!("dkv: {bad}: line 3: expect leader 1\n  expected leader n1\n  found    leader n0\n");
    assert!(stderr.starts_with(&expected), "{stderr}");

    // Nothing runs unless everything can be read.
    let (status, stdout, stderr) = dkv(&[&good, &none]);
    let expected = format!("dkv: {none}: line 3, column 15: there is no member 7\n");
    assert_eq!((status, stdout.as_str(), stderr), (Some(2), "", expected));
    let (status, _, stderr) = dkv(&[&bytes]);
    assert_eq!((status, stderr), (Some(2), format!("dkv: {bytes}: line 3, column 2: not UTF-8\n")));
    let (status, _, stderr) = dkv(&["no/such/file.scn"]);
    assert_eq!(status, Some(2), "{stderr}");
    assert_eq!(dkv(&[]).0, Some(2));
}

#[test]
fn the_command_traces_and_speaks_json() {
    let good = file("traced.scn", b"# \"Quoted\".\ncluster nodes=1\npropose put a=1\n");
    let (status, stdout, _) = dkv(&["--trace", &good]);
    assert_eq!(status, Some(0));
    assert!(stdout.contains("request"), "{stdout}");

    let (status, stdout, _) = dkv(&["--json", &good]);
    assert_eq!(status, Some(0));
    let expected = format!("{{\"file\":\"{good}\",\"shows\":\"\\\"Quoted\\\".\",\"held\":true,\"steps\":");
    assert!(
        stdout.starts_with(&expected) && stdout.ends_with("]}\n") && stdout.lines().count() == 1,
        "{stdout}"
    );

    let bad = file("traced-bad.scn", b"# It does not.\ncluster nodes=1\nexpect leader none\n");
    let (status, stdout, _) = dkv(&["--json", &bad]);
    assert_eq!(status, Some(1));
    let expected = "\"held\":false,\"steps\":1,\"time_ms\":0,";
    assert!(stdout.contains(expected), "{stdout}");
    let expected =
        "\"line\":3,\"command\":\"expect leader none\",\"expected\":\"no leader\",\"found\":\"leader n0\"";
    assert!(stdout.contains(expected), "{stdout}");
}

// --- what finds nothing to do ---------------------------------------------------------------------------

#[test]
fn a_command_without_anything_to_do_fails() {
    let cases = [
        ("drop 0 1", "1 messages from n0 to n1", "0"),
        ("submit put a=1\ndeliver 0 1 2", "2 messages from n0 to n1", "1"),
        ("submit put a=1\ndeliver 0 1 skip=1", "2 messages from n0 to n1", "1"),
        ("submit put a=1\nduplicate 0 1 skip=1", "2 messages from n0 to n1", "1"),
        ("restart 0", "n0 down", "it is up"),
        ("retire 0", "n0 down", "it is up"),
        ("roll-back-disk 0", "a copy from before n0 last started", "none"),
        ("back-up 0\nroll-back-disk 0", "a copy from before n0 last started", "none"),
        ("expect fault 0", "stopped by itself", "no fault"),
        ("lose-disk 1\nrestart 1\nexpect fault 1 none", "no fault", "stopped by itself"),
        ("crash 1\ncrash 1", "n1 up", "it is down"),
        ("sync 0", "1 unsynced writes at n0", "0"),
        ("timeout 0 election", "the timer Election to be set at n0", "{CheckQuorum, Heartbeat}"),
        ("crash 1\ncrash 2\ncrash 0\nawait-leader", "a leader that has committed in its term", "none"),
        ("partition 0\nopen-session s\npropose noop session=s seq=1", "session s to be open", "pending"),
    ];
    for (text, expected, found) in cases {
        let report = scenario(&format!("# x\ncluster nodes=3\n{text}\nheal\n")).run(false);
        let failure = report.failure.expect(text);
        assert_eq!((failure.expected.as_str(), failure.found.as_str()), (expected, found), "{text}");
        assert_eq!(failure.line, 2 + text.lines().count(), "{text}");
        assert_eq!(failure.status.len(), 3, "{text}");
    }
}

#[test]
fn a_member_that_left_is_known_and_not_there() {
    for line in ["restart 2", "retire 2", "log 2", "store 2", "back-up 2\nlose-disk 2", "expect role 2 down"]
    {
        let report = scenario(&format!("# x\ncluster nodes=3\ncrash 2\nretire 2\n{line}\n")).run(false);
        let failure = report.failure.expect(line);
        assert_eq!((failure.expected.as_str(), failure.found.as_str()), ("a member n2", "it left"), "{line}");
        assert_eq!(failure.status.len(), 2, "{line}");
    }
    let text = "# x\ncluster nodes=3\ncrash 2\nretire 2\nsubmit put a=1\ncut 0 2\nrestore 0 2\ntimeout 0 heartbeat\ndeliver 0 2\n";
    let report = scenario(text).run(false);
    assert!(report.failure.is_none(), "messages to it are lost as those to one that is down");
}

#[test]
fn a_lenient_scenario_passes_over_what_finds_nothing_to_do() {
    let text = "drop 0 1\nsync 0\nrestart 0\nretire 0\nroll-back-disk 0\nsubmit read a\ncancel it\n";
    let lenient = scenario(&format!("# x\ncluster nodes=3 strict=off\n{text}")).run(false);
    assert_eq!(lenient.failure, None);
    assert_eq!(lenient.output.matches("nothing to do").count(), 5, "{}", lenient.output);
    let bare = scenario("# x\ncluster nodes=3\nsubmit read a\ncancel it\n").run(false);
    assert_eq!(lenient.trace_hash, bare.trace_hash);
    for line in ["expect leader 1", "crash 0\ncrash 1\nawait-leader"] {
        let report = scenario(&format!("# x\ncluster nodes=3 strict=off\n{line}\n")).run(false);
        assert!(report.failure.is_some(), "what is expected must hold: {line}");
    }
}

#[test]
fn output_is_bounded() {
    let text = format!("# x\ncluster nodes=9\ntrace on\n{}", "elapse 30s\n".repeat(20));
    let failure = scenario(&text).run(false).failure.expect("that is too much");
    assert_eq!(failure.expected, "at most 1048576 bytes of output");
}

// --- any text ------------------------------------------------------------------------------------------

/// Lines that make sense, and some that nearly do.
fn line() -> impl Strategy<Value = String> {
    let id = || (0..4u8).prop_map(|id| id.to_string());
    let op = || {
        prop_oneof![
            Just("noop".to_owned()),
            ("[ab]", "[xy]{0,3}").prop_map(|(key, value)| format!("put {key}={value}")),
            "[ab]".prop_map(|key| format!("del {key}")),
            Just("txn if a=x version:b=0 then put b=y else get a".to_owned()),
        ]
    };
    let at = || prop_oneof![3 => Just(String::new()), 1 => (0..3u8).prop_map(|id| format!(" at={id}"))];
    let ask = prop_oneof![
        3 => op(),
        1 => Just("read a".to_owned()),
        1 => Just("read-all".to_owned()),
    ];
    let request =
        (any::<bool>(), ask, at()).prop_map(|(submit, ask, at)| match (submit, ask.starts_with("read")) {
            (true, _) => format!("submit {ask}{at}"),
            (false, true) => format!("{ask}{at}"),
            (false, false) => format!("propose {ask}{at}"),
        });
    let verb = select(vec![
        "crash",
        "restart",
        "hold-disk",
        "release-disk",
        "sync",
        "compact",
        "back-up",
        "campaign",
        "partition",
        "log",
        "store",
        "promote",
        "remove",
        "transfer",
        "add-learner",
        "submit transfer",
        "submit remove",
        "submit promote",
    ]);
    let on_link = select(vec!["cut", "restore", "deliver", "drop", "duplicate", "delay"]);
    let timer = select(vec!["election", "leader-fresh", "check-quorum", "heartbeat", "transfer"]);
    prop_oneof![
        6 => request,
        6 => (verb, id()).prop_map(|(verb, id)| format!("{verb} {id}")),
        3 => (on_link, id(), id()).prop_map(|(verb, from, to)| format!("{verb} {from} {to}")),
        2 => (select(vec!["deliver", "drop", "duplicate"]), id(), id(), 0..3u8)
            .prop_map(|(verb, from, to, skip)| format!("{verb} {from} {to} skip={skip}")),
        2 => (id(), timer).prop_map(|(id, timer)| format!("timeout {id} {timer}")),
        4 => select(vec!["deliver", "heal", "stabilize", "elapse 1s", "elapse 3s", "links", "status"]).prop_map(str::to_owned),
        1 => (id(), 0..3u8).prop_map(|(id, keep)| format!("crash {id} keep={keep}")),
    ]
}

proptest! {
    #[test]
    fn arbitrary_text_is_harmless(text in "\\PC{0,200}") {
        let _ = Scenario::parse(&text);
        let _ = Scenario::parse(&format!("# x\ncluster nodes=2\n{text}"));
    }

    #[test]
    fn arbitrary_words_are_harmless(words in proptest::collection::vec(
        select(vec![
            "cluster", "nodes=3", "propose", "submit", "put", "a=1", "del", "a", "txn", "if", "then", "else", "expect",
            "outcome", "it", "applied", "0", "1", "9", "none", "at=1", "as=w", "times=3", "=", "!", ":", "@", "1@1", "\n", "#",
            "heal", "elapse", "1s", "get", "leader", "version:a=1", "mod:=", "keep=", "session=", "0,1=>2+3", "=>", ",",
        ]), 0..40))
    {
        let text = format!("# x\ncluster nodes=3\n{}", words.join(" "));
        if let Ok(scenario) = Scenario::parse(&text) {
            let _ = scenario.run(false);
        }
    }

    /// Whatever happens in whatever order, no invariant is violated and nothing panics; and once the faults
    /// are over there is a leader and the replicas converge. Lines with nothing to do stop a run, so each is
    /// tried as the last one and left out if it has.
    #[test]
    fn any_order_of_commands_is_safe_and_heals(
        seed in any::<u8>(),
        options in select(vec![
            "", " snapshot_every=3", " snapshot_every=2 keep=2 chunk_bytes=30", " inflight=1 append_entries=1",
        ]),
        lines in proptest::collection::vec(line(), 1..40),
    ) {
        let mut text = format!("# x\ncluster nodes=3 seed={seed}{options}\n");
        let repairs = (0..4).flat_map(|id| [format!("release-disk {id}"), format!("restart {id}")]);
        for line in lines.into_iter().chain(repairs) {
            let longer = format!("{text}{line}\n");
            let Ok(scenario) = Scenario::parse(&longer) else { continue };
            match scenario.run(false).failure {
                Some(failure) => {
                    let is_idle = ["messages", "up", "down", "unsynced", "timer"];
                    let is_idle = is_idle.iter().any(|word| failure.expected.contains(word));
                    prop_assert!(is_idle, "{failure} in\n{longer}");
                }
                None => text = longer,
            }
        }
        text.push_str("heal\nelapse 10s\npropose noop\nawait-leader timeouts=40\nelapse 2s\nstabilize\nexpect converged\n");
        let failure = scenario(&text).run(false).failure;
        prop_assert!(failure.is_none(), "{} in\n{text}", failure.map_or(String::new(), |failure| failure.to_string()));
    }
}
