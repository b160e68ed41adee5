//! `dkv sim` as a program would run it: what it prints, what it refuses, and that threads change nothing.
//! Whether the worlds themselves are any good is not asked here.

use std::process::{Command, Stdio};

use serde_json::Value;

/// Exit status, standard output, standard error.
fn sim(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_dkv"))
        .arg("sim")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("the simulation starts: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_else(|error| panic!("{error}"));
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The object that a few short seeds end with, without what depends on the machine and its load.
fn object(arguments: &[&str]) -> Value {
    let (status, out, err) = sim(&[&["--seeds", "4", "--steps", "150", "--json"], arguments].concat());
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(out.lines().count(), 1, "{out}");
    let mut object: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    let speed = object.as_object_mut().and_then(|fields| fields.remove("speed"));
    assert!(speed.is_some_and(|speed| speed["steps_per_second_per_core"].is_u64()), "{out}");
    object
}

#[test]
fn a_summary_says_what_was_done() {
    let (status, out, err) = sim(&["--seed", "0x10", "--seeds", "3", "--steps", "100", "--coverage"]);
    assert_eq!(status, Some(0), "{err}");
    let starts = |line: &str| out.lines().any(|found| found.starts_with(line));
    for line in ["seeds         3 (16 to 18)", "steps ", "speed ", "virtual time", "rounds ", "longest calm"]
    {
        assert!(starts(line), "{line:?} in {out}");
    }
    for line in ["committed ", "terms ", "operations ", "failures      none", "faults", "shapes", "messages"]
    {
        assert!(starts(line), "{line:?} in {out}");
    }
    assert!(out.contains("NEVER"), "so little work cannot have seen everything: {out}");
    assert!(!out.contains('\u{1b}') && !err.contains('\u{1b}'), "no terminal codes without a terminal");
}

#[test]
fn the_object_has_what_a_program_asks_for() {
    let object = object(&["--seed", "7"]);
    assert_eq!((&object["first_seed"], &object["seeds"]), (&Value::from(7), &Value::from(4)));
    for name in ["steps", "virtual_time_ms", "rounds", "committed", "terms", "operations", "calm_ms_max"] {
        assert!(object[name].as_u64().is_some_and(|count| count > 0), "{name} of {object}");
    }
    for name in ["answered", "reads", "longest_calm_ms", "seeds_in_part"] {
        assert!(object[name].is_u64(), "{name} of {object}");
    }
    assert_eq!(object["failures"], Value::Array(Vec::new()));
    assert_eq!(object["interrupted"], Value::Bool(false));
    let coverage = &object["coverage"];
    assert!(coverage["faults"]["Crash"].is_u64() && coverage["shapes"]["FigureEight"].is_u64(), "{coverage}");
    assert!(coverage["taken"]["AppendEntries"]["follower"].as_u64() > Some(0), "{coverage}");
}

#[test]
fn neither_time_nor_threads_change_the_object() {
    let one = object(&["--threads", "1"]);
    assert_eq!(one, object(&["--threads", "1"]));
    assert_eq!(one, object(&["--threads", "2"]));
    assert_eq!(one, object(&[]));
    assert_ne!(one["trace_hash"], object(&["--seed", "4"])["trace_hash"]);
}

/// The numbers of the steps that a replay printed.
fn numbers(out: &str) -> Vec<u64> {
    let numbers = out.lines().filter_map(|line| line.strip_prefix('#')?.split(' ').next()?.parse().ok());
    numbers.collect()
}

#[test]
fn a_replay_prints_every_step_of_the_same_run() {
    let (status, out, err) = sim(&["--replay", "5", "--steps", "200", "--trace"]);
    assert_eq!(status, Some(0), "{err}");
    let numbers = numbers(&out);
    let count = numbers.len() as u64;
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
    assert!(out.contains(&format!("after step {count}:")), "{out}");
    assert!(out.contains(" deliver n") && out.contains(" call c"), "{out}");

    let (status, silent, err) = sim(&["--replay", "5", "--steps", "200"]);
    assert_eq!(status, Some(0), "{err}");
    let ending = |text: &str| text.split_once("after step").map(|(_, ending)| ending.to_string());
    assert_eq!(ending(&out), ending(&silent), "watching changes nothing");

    let (_, searched, _) = sim(&["--seed", "5", "--seeds", "1", "--steps", "200"]);
    let hash = |text: &str| text.lines().find(|line| line.starts_with("trace hash")).map(str::to_string);
    assert!(hash(&silent).is_some() && hash(&silent) == hash(&searched), "{silent}{searched}");
}

#[test]
fn a_replay_ends_where_it_is_told_to() {
    let (status, out, err) = sim(&["--replay", "5", "--steps", "200", "--until", "40", "--trace"]);
    assert_eq!(status, Some(0), "{err}");
    let (_, whole, _) = sim(&["--replay", "5", "--steps", "200", "--trace"]);
    let count = numbers(&out).len();
    assert!((40..60).contains(&count), "what happens at once is not torn apart, but no more: {count}");
    let steps = |text: &str| text.split_once("after step").map(|(steps, _)| steps.to_string());
    assert!(whole.starts_with(&steps(&out).expect("a replay has an ending")), "{out}");

    let (_, silent, _) = sim(&["--replay", "5", "--steps", "200", "--until", "40"]);
    assert!(silent.contains(&format!("after step {count}:")), "{silent}");
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let cases: &[(&[&str], &str)] = &[
        (&["--seed", "seven"], "decimal or 0x"),
        (&["--seed", "0x"], "decimal or 0x"),
        (&["--seed", "18446744073709551616"], "decimal or 0x"),
        (&["--seed", "18446744073709551615", "--seeds", "2"], "the last is 18446744073709551615"),
        (&["--seeds", "0"], "0 is not in"),
        (&["--steps", "0"], "0 is not in"),
        (&["--threads", "0"], "0 is not in"),
        (&["--threads", "1000000"], "1000000 is not in"),
        (&["--until", "3"], "--replay"),
        (&["--trace"], "--replay"),
        (&["--replay", "1", "--seeds", "3"], "cannot be used with"),
        (&["--out", "there-is-no-such-directory"], "is not a directory"),
        (&["bench", "--repetitions", "0"], "0 is not in"),
        (&["--seed", "1", "bench"], "cannot be used with"),
        (&["brench"], "brench"),
    ];
    for (arguments, reason) in cases {
        let (status, out, err) = sim(arguments);
        assert_eq!(status, Some(2), "{arguments:?}: {err}");
        assert!(err.contains(reason) && !err.contains("panicked"), "{arguments:?}: {err}");
        assert_eq!(out, "", "{arguments:?}");
    }
}

#[test]
fn the_last_seeds_of_all_can_be_run() {
    let (status, out, err) = sim(&["--seed", "0xfffffffffffffffe", "--seeds", "2", "--steps", "10"]);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("(18446744073709551614 to 18446744073709551615)"), "{out}");
}

#[test]
fn a_measurement_is_one_object_too() {
    let (status, out, err) =
        sim(&["bench", "--steps", "100", "--seeds", "1", "--repetitions", "2", "--json"]);
    assert_eq!(status, Some(0), "{err}");
    let object: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    for shape in ["short", "long"] {
        assert!(object[shape]["steps_per_second_per_core"]["median"].is_u64(), "{object}");
        assert!(object[shape]["steps"].as_u64() >= Some(100), "{object}");
    }
}
