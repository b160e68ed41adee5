//! Every file of `tests/scenarios`: it holds, and it does what its golden file says, twice.
//!
//! Left out: that an expectation can fail, and whatever is no scenario, which are beside this.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

use dkv::cluster::scenario::Scenario;

use crate::cases::root;

#[test]
fn every_scenario_holds_and_ends_in_its_golden() {
    let update = env::var("UPDATE_GOLDENS").is_ok_and(|value| value == "1");
    let names = names("scn");
    let mut failures = String::new();
    for name in &names {
        let scenario = read(name);
        let report = scenario.run(false);
        if let Some(failure) = &report.failure {
            let _ = write!(failures, "\n{name}: {failure}\n");
        }
        if scenario.run(false) != report {
            let _ = write!(failures, "\n{name}: a second run differs from the first\n");
        }
        let golden = directory().join(name).with_extension("golden");
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if report.output != expected && update {
            fs::write(&golden, &report.output).expect("a golden file can be written");
        } else if report.output != expected {
            let _ =
                write!(failures, "\n{name}: not as in its golden file\n{}", diff(&expected, &report.output));
        }
    }
    for orphan in self::names("golden").difference(&names) {
        let _ = write!(failures, "\n{orphan}.golden has no scenario\n");
    }
    assert!(names.len() >= 36, "only {} scenarios in {}", names.len(), directory().display());
    assert!(
        failures.is_empty(),
        "{failures}\nIf all of this is meant: UPDATE_GOLDENS=1, and review the diff."
    );
}

#[test]
fn a_trace_changes_nothing_but_the_text() {
    for name in names("scn") {
        let scenario = read(&name);
        let (plain, traced) = (scenario.run(false), scenario.run(true));
        assert_eq!(plain.trace_hash, traced.trace_hash, "{name}");
        assert_eq!(plain.steps, traced.steps, "{name}");
        assert!(plain.output.len() <= traced.output.len(), "{name}");
    }
}

#[test]
fn another_seed_is_another_run() {
    let text = "# Two seeds.\ncluster nodes=5 seed=SEED\ncrash 0\nawait-leader\n";
    let hash = |seed: &str| scenario(&text.replace("SEED", seed)).run(false).trace_hash;
    assert_eq!(hash("1"), hash("1"));
    assert_ne!(hash("1"), hash("2"));
}

fn directory() -> PathBuf {
    root().join("tests/scenarios")
}

/// The names of the files with this extension; they read as a catalogue.
fn names(extension: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(directory()).expect("the catalogue is there") {
        let path = entry.expect("the catalogue can be listed").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("file names are text");
        if path.extension().is_some_and(|found| found == extension) {
            let is_plain =
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            assert!(is_plain, "{name:?} is not lower-case words");
            names.insert(name.to_owned());
        }
    }
    names
}

pub(super) fn read(name: &str) -> Scenario {
    let path = directory().join(name).with_extension("scn");
    let text = fs::read_to_string(&path).expect("a scenario can be read");
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(super) fn scenario(text: &str) -> Scenario {
    Scenario::parse(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// The lines that differ, between what both begin and end with.
fn diff(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let same = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let rest = expected.len().min(found.len()) - same;
    let tail = expected.iter().rev().zip(found.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let mut text = format!("  from line {}\n", same + 1);
    for line in expected[..same].iter().rev().take(3).rev() {
        let _ = writeln!(text, "    {line}");
    }
    for (sign, lines) in
        [('-', &expected[same..expected.len() - tail]), ('+', &found[same..found.len() - tail])]
    {
        for line in lines.iter().take(30) {
            let _ = writeln!(text, "  {sign} {line}");
        }
        if lines.len() > 30 {
            let _ = writeln!(text, "  {sign} and {} lines more", lines.len() - 30);
        }
    }
    text
}
