//! The saved evidence of every injected bug still shows it, and nothing of it shows without the bug.
//!
//! `cargo model bugs --save models/traces` looks for all of them afresh.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use dkv::cluster::Shipped;
use dkv::cluster::scenario::Scenario;
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::explorer::TRACES;
use dkv_models::hunt;
use dkv_models::properties::NO_PANIC;
use dkv_models::trace::{End, Trace};

/// The files by the bugs that they are named after.
fn evidence() -> BTreeMap<Bug, PathBuf> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(Path::new(TRACES)).expect("the folder exists") {
        let path = entry.expect("it can be read").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("names are text");
        let bug = Bug::from_name(name).unwrap_or_else(|| panic!("{} is named after no bug", path.display()));
        let other = files.insert(bug, path);
        assert_eq!(other, None, "two files of one bug");
    }
    files
}

#[test]
fn every_bug_that_breaks_a_promise_was_found() {
    let found: Vec<Bug> = evidence().into_keys().collect();
    let mut wanted = hunt::quarry();
    wanted.sort();
    assert_eq!(found, wanted);
    assert!(found.len() >= 45, "{} bugs", found.len());
}

#[test]
fn every_path_leads_to_its_violation() {
    let mut count = 0;
    for (bug, path) in evidence() {
        if path.extension().is_none_or(|extension| extension != "trace") {
            continue;
        }
        count += 1;
        let text = fs::read_to_string(&path).expect("it can be read");
        let trace: Trace = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(trace.bug, Some(bug));
        assert_eq!(trace.to_string(), text, "{bug}: the file is what it prints");
        let played = with_bug(Some(bug), || trace.play::<Injected>());
        match played.end {
            End::Broken(broken) => assert_eq!(broken.property, trace.property, "{bug}: {broken}"),
            end => panic!("{bug} does not show any more: {end:?} after {} steps", played.choices.len()),
        }
        // Without the bug the same actions break nothing, as far as they are possible.
        let shipped = trace.play::<Shipped>();
        assert!(!matches!(shipped.end, End::Broken(_)), "{bug}: {:?} without the bug", shipped.end);
    }
    assert!(count > 0, "there are paths");
}

#[test]
fn every_scenario_shows_its_bug() {
    let mut count = 0;
    for (bug, path) in evidence() {
        if path.extension().is_none_or(|extension| extension != "scn") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("it can be read");
        count += 1;
        let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let run = || with_bug(Some(bug), || scenario.run_with::<Injected, Injected>(false));
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(report) => assert!(report.failure.is_some(), "{bug} does not show any more"),
            Err(_) => assert!(text.contains(NO_PANIC), "{bug}: a panic where another failure is told of"),
        }
        let shipped = scenario.run(false);
        assert_eq!(shipped.failure, None, "{bug}: it fails without the bug");
    }
    assert!(count > 0, "there are scenarios");
}
