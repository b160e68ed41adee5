//! What the driver does when something is not as it should be.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use dkv_proofs::conditions::{Goal, condition, goals};
use dkv_proofs::fragment::{edges, order};
use dkv_proofs::hints::Hints;
use dkv_proofs::prove::{Settings, Verdict, prove};
use dkv_proofs::solver::Solver;
use dkv_proofs::spec::Spec;

use crate::{solver, threads};

/// A counter that never falls, with an invariant that can be wrong.
fn toy(invariant: &str) -> Result<Spec, String> {
    let text = format!(
        "(sort N) (immutable le (N N) Bool order) (immutable zero () N least)
         (axiom total ((a N) (b N)) (or (le a b) (le b a)))
         (axiom transitive ((a N) (b N) (c N)) (=> (and (le a b) (le b c)) (le a c)))
         (state at (N) Bool)
         (init (forall ((a N)) (= (at a) (= a zero))))
         (action raise ((a N) (b N)) (guard here (at a)) (guard higher (le a b)) (set at ((c N)) (= c b)))
         (invariant one ((a N) (b N)) (=> (and (at a) (at b)) (= a b)))
         {invariant}"
    );
    Spec::parse(&[("toy.spec".to_string(), text)])
}

fn settings(solver: Solver, hints: Hints) -> Settings {
    Settings { solver, seed: 0, threads: threads(), hints, record: false }
}

fn verdicts(spec: &Spec, settings: &Settings) -> Vec<(String, Verdict)> {
    let report = prove(spec, settings, |_| true, |_, _, _| {}, &AtomicBool::new(false));
    let failed = report.failures().count();
    assert_eq!(report.status(), u8::from(failed > 0 || report.order.is_err()));
    report.outcomes.into_iter().map(|outcome| (outcome.goal.to_string(), outcome.verdict)).collect()
}

#[test]
fn a_wrong_invariant_is_refuted_by_name() {
    let Some(solver) = solver("a_wrong_invariant_is_refuted_by_name") else { return };
    let spec = toy("(invariant low ((a N)) (=> (at a) (= a zero)))").expect("well formed");
    let found = verdicts(&spec, &settings(solver, Hints::default()));
    let wrong: Vec<_> = found.iter().filter(|(_, verdict)| *verdict != Verdict::Proved).collect();
    assert_eq!(wrong, [&("raise low".to_string(), Verdict::Refuted)]);
}

#[test]
fn hints_cannot_hide_a_failure_or_make_one() {
    let Some(solver) = solver("hints_cannot_hide_a_failure_or_make_one") else { return };
    let mut hints = Hints::default();
    for goal in ["raise low", "raise one", "init low"] {
        hints.insert(goal.to_string(), ["nonsense".to_string()].into());
    }
    // Without `low` before, `low` afterwards cannot be proved: the hint is worse than none.
    let text = "(invariant low ((a N)) (=> (at a) (le zero a))) (axiom least ((a N)) (le zero a))";
    let found = verdicts(&toy(text).expect("well formed"), &settings(solver.clone(), hints.clone()));
    assert!(found.iter().all(|(_, verdict)| *verdict == Verdict::Proved), "{found:?}");
    let text = "(invariant low ((a N)) (=> (at a) (= a zero)))";
    let found = verdicts(&toy(text).expect("well formed"), &settings(solver, hints));
    assert!(found.contains(&("raise low".to_string(), Verdict::Refuted)), "{found:?}");
}

#[test]
fn a_cycle_of_sorts_is_found() {
    let spec = toy("(invariant above ((a N)) (=> (at a) (exists ((b N)) (le a b))))").expect("well formed");
    let (goals, _) = goals(&spec);
    let all = goals.iter().flat_map(|goal| edges(&spec, &condition(&spec, goal, None))).collect();
    assert_eq!(order(&all), Err(vec!["N".to_string()]));
}

#[test]
fn slips_of_the_pen_are_errors_with_a_place() {
    let cases = [
        ("(invariant bad ((a N)) (att a))", "bad: att is unknown"),
        ("(invariant bad ((a N)) (at a a))", "bad: at takes 1 arguments"),
        ("(invariant bad ((a M)) true)", "bad: M is no sort"),
        ("(invariant bad ((a N)) a)", "bad: a is of sort N and not Bool"),
        ("(invariant bad () (post (at zero)))", "bad: post is unknown"),
        ("(invariant bad ((zero N)) true)", "bad: the variable zero hides a symbol"),
        ("(theorem one () true)", "one is the name of two things"),
        ("(step bad () true (except fall))", "bad excepts fall, which is no action"),
        ("(action bad () (set at ((a N) (b N)) true))", "bad: at has arguments of other sorts"),
        ("(action bad () (set le ((a N) (b N)) true))", "bad: le is no part of the state"),
        ("(macro bad ((a N)) (forall ((b N)) (le a b)))", "toy.spec:8: the macro bad binds variables"),
    ];
    for (text, expected) in cases {
        let error = toy(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

fn script(name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a script can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("and be made one");
    path
}

fn run(arguments: &[&str], solver: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prove"));
    command.args(arguments).env("DKV_SOLVER", solver).output().expect("the driver runs")
}

/// Whatever a solver says, only `unsat` proves.
#[test]
fn no_answer_is_a_failure_with_its_name() {
    for (name, says) in [
        ("unknown", "echo unknown"),
        ("timeout", "echo timeout"),
        ("silent", "true"),
        ("mad", "echo unsatisfiable"),
    ] {
        let path = script(name, &format!("cat >/dev/null; {says}"));
        let output = run(&["--only", "send_append one_term"], &path);
        assert_eq!(output.status.code(), Some(2), "what holds by frame is not asked");
        let output = run(&["--only", "campaign one_term"], &path);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{name}: {text}");
        assert!(text.contains("NOT PROVED: campaign one_term: not proved: "), "{name}: {text}");
    }
}

#[test]
fn bad_arguments_and_a_missing_solver_are_told_apart_from_failures() {
    let good = script("good", "cat >/dev/null; echo unsat");
    assert_eq!(run(&["--only", "campaign"], &good).status.code(), Some(0));
    assert_eq!(run(&["--only", "no_such_thing"], &good).status.code(), Some(2));
    assert_eq!(run(&["--frobnicate"], &good).status.code(), Some(2));
    assert_eq!(run(&["mutants", "no_such_mutant"], &good).status.code(), Some(2));
    let output = run(&[], Path::new("/nonexistent/z3"));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/z3 does not run"));
}

#[test]
fn what_is_printed_for_programs_says_what_was_proved_and_by_whom() {
    let path = script("talkative", "cat >/dev/null; [ \"$1\" = --version ] && echo Solver 9 || echo unsat");
    let output = run(&["--json", "--seed", "7", "--only", "apply"], &path);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["solver"], "Solver 9");
    assert_eq!(value["seed"], 7);
    assert_eq!(value["not_proved"], 0);
    let conditions = value["conditions"].as_array().expect("a list");
    assert_eq!(value["proved"], conditions.len());
    assert!(conditions.iter().any(|one| one["name"] == "applied_justified" && one["verdict"] == "proved"));
}

#[test]
fn an_interrupt_ends_it_with_a_status_of_its_own() {
    let marker = Path::new(env!("CARGO_TARGET_TMPDIR")).join("asked");
    let _ = std::fs::remove_file(&marker);
    // It sleeps beyond what the driver would wait for, and would hold its output open.
    let says =
        format!("[ \"$1\" = --version ] && exec echo slow; touch {}; exec sleep 600", marker.display());
    let path = script("slow", &says);
    let mut command = Command::new(env!("CARGO_BIN_EXE_prove"));
    command.env("DKV_SOLVER", &path).stdout(Stdio::null());
    let mut child = command.spawn().expect("the driver runs");
    while !marker.exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
}

#[test]
fn goals_have_groups_and_kinds() {
    let goal = Goal::Lemma("become_leader".to_string(), "first".to_string());
    assert_eq!(
        (goal.group(), goal.kind(), goal.to_string().as_str()),
        ("become_leader", "lemma", "become_leader lemma first")
    );
}
