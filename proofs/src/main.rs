//! `cargo prove`: proves the protocol, and shows that the proof has teeth.

use std::io::{IsTerminal as _, Write as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use clap::{Parser, Subcommand};
use dkv_proofs::conditions::{Goal, goals};
use dkv_proofs::hints::Hints;
use dkv_proofs::prove::{Outcome, Report, Settings, Verdict, prove};
use dkv_proofs::solver::Solver;
use dkv_proofs::spec::Spec;
use dkv_proofs::teeth::{Teeth, witness};
use dkv_proofs::{folder, hints_file, teeth_file};
use serde_json::json;

/// Proves the protocol for any number of nodes, terms and entries. Exit status: 0 all is proved, 1 something is
/// refuted or nobody could tell, 2 bad arguments or no solver, 3 interrupted.
#[derive(Parser)]
#[command(name = "cargo prove", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only conditions of this action, invariant, theorem, step property or lemma; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// The solver's seed.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u32,
    /// The solver, z3 or cvc5: a name on the PATH or a path; else DKV_SOLVER says which, else it is z3.
    #[arg(long, value_name = "PROGRAM", global = true)]
    solver: Option<PathBuf>,
    /// How many conditions are proved side by side; as many as there are cores unless told.
    #[arg(long, value_name = "COUNT", global = true)]
    threads: Option<NonZeroUsize>,
    /// Print one JSON object.
    #[arg(long, global = true)]
    json: bool,
    /// Print every condition, not only sums by action.
    #[arg(long)]
    list: bool,
    /// Use no hints: every condition with all hypotheses.
    #[arg(long)]
    no_hints: bool,
    /// Prove without hints, and write down which hypotheses were needed.
    #[arg(long, conflicts_with = "only")]
    record: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Shows that each weakened action is refused, with a counterexample to induction.
    Mutants {
        /// Only these.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Shows that every action can happen, in a cluster with two elected leaders and a commit.
    Witnesses {
        /// Only these actions.
        #[arg(value_name = "ACTION")]
        names: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    if let Err(error) = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)) {
        eprintln!("Ctrl-C will not be tidy: {error}");
    }
    match run(&arguments, &stop) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments, stop: &AtomicBool) -> Result<u8, String> {
    let spec = Spec::read(&folder())?;
    let solver = arguments.solver.clone().unwrap_or_else(Solver::named_by_environment);
    let solver = Solver::open(&solver)?;
    let threads = arguments.threads.or_else(|| thread::available_parallelism().ok());
    let threads = threads.unwrap_or(NonZeroUsize::MIN);
    match &arguments.command {
        None => run_proof(arguments, &spec, solver, threads, stop),
        Some(Command::Mutants { names }) => {
            let teeth = Teeth::read(&teeth_file(), &spec)?;
            let all: Vec<&str> = teeth.mutants.iter().map(|mutant| mutant.name.as_str()).collect();
            let search = |name: &str| {
                let mutant = teeth.mutants.iter().find(|mutant| mutant.name == name);
                mutant.ok_or("unknown".to_string())?.refute(&spec, &teeth, &solver, stop)
            };
            run_searches("mutants refused", &all, names, search, arguments.json, threads, stop)
        }
        Some(Command::Witnesses { names }) => {
            let teeth = Teeth::read(&teeth_file(), &spec)?;
            let all: Vec<&str> = spec.actions.iter().map(|action| action.name.as_str()).collect();
            let search =
                |name: &str| witness(&spec, spec.action(name).ok_or("unknown")?, &teeth, &solver, stop);
            run_searches("actions can happen", &all, names, search, arguments.json, threads, stop)
        }
    }
}

fn run_proof(
    arguments: &Arguments,
    spec: &Spec,
    solver: Solver,
    threads: NonZeroUsize,
    stop: &AtomicBool,
) -> Result<u8, String> {
    let (all, _) = goals(spec);
    for name in &arguments.only {
        if !all.iter().any(|goal| is_named(goal, name)) {
            return Err(format!("nothing is called {name:?}"));
        }
    }
    let hints = if arguments.no_hints { Hints::default() } else { Hints::read(&hints_file())? };
    let settings = Settings { solver, seed: arguments.seed, threads, hints, record: arguments.record };
    let wanted =
        |goal: &Goal| arguments.only.is_empty() || arguments.only.iter().any(|name| is_named(goal, name));
    let shows = std::io::stderr().is_terminal();
    let seen = |outcome: &Outcome, done: usize, all: usize| {
        if shows {
            let _ = write!(std::io::stderr(), "\r\x1b[K{done} of {all}  {}", outcome.goal);
        }
    };
    let report = prove(spec, &settings, wanted, seen, stop);
    if shows {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    if arguments.record && report.status() == 0 {
        let text = report.hints().text();
        std::fs::write(hints_file(), text).map_err(|error| format!("the hints are not written: {error}"))?;
    }
    if arguments.json {
        println!("{}", report.json(&settings));
    } else {
        print_report(&report, &settings, arguments.list, arguments.only.is_empty());
    }
    Ok(report.status())
}

fn is_named(goal: &Goal, name: &str) -> bool {
    goal.group() == name || goal.name() == name || goal.to_string() == name
}

fn print_report(report: &Report, settings: &Settings, list: bool, whole: bool) {
    if list {
        for outcome in &report.outcomes {
            println!(
                "{:8.3} s  {:60} {}",
                outcome.seconds,
                outcome.goal.to_string(),
                outcome.verdict.words()
            );
        }
    } else {
        let mut groups: Vec<&str> = Vec::new();
        for outcome in &report.outcomes {
            if groups.last() != Some(&outcome.goal.group()) {
                groups.push(outcome.goal.group());
            }
        }
        for group in groups {
            let members: Vec<_> =
                report.outcomes.iter().filter(|outcome| outcome.goal.group() == group).collect();
            let proved = members.iter().filter(|outcome| outcome.verdict == Verdict::Proved).count();
            let seconds: f64 = members.iter().map(|outcome| outcome.seconds).sum();
            let slowest = members.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds));
            let slowest = slowest.map_or("", |outcome| outcome.goal.name());
            println!(
                "{group:24} {proved:3} of {:3} proved, {seconds:7.2} s, longest {slowest}",
                members.len()
            );
        }
    }
    match &report.order {
        Ok(order) => println!("decidable: sorts lead only to later ones in {}", order.join(" > ")),
        Err(cycle) => println!("NOT DECIDABLE: sorts lead back to themselves among {}", cycle.join(", ")),
    }
    for outcome in report.failures() {
        println!("NOT PROVED: {}: {}", outcome.goal, outcome.verdict.words());
    }
    let frames = if whole { format!(", {} more hold by frame", report.by_frame) } else { String::new() };
    println!(
        "{} of {} conditions proved in {:.1} s by {} with seed {}{frames}",
        report.proved(),
        report.outcomes.len(),
        report.seconds,
        settings.solver.version(),
        settings.seed
    );
}

/// Looks for models, one by one on each thread, and prints them in the order of the list.
fn run_searches(
    what: &str,
    all: &[&str],
    names: &[String],
    search: impl Fn(&str) -> Result<String, String> + Sync,
    as_json: bool,
    threads: NonZeroUsize,
    stop: &AtomicBool,
) -> Result<u8, String> {
    if let Some(unknown) = names.iter().find(|name| !all.contains(&name.as_str())) {
        return Err(format!("nothing is called {unknown:?}"));
    }
    let wanted = |name: &&&str| names.is_empty() || names.iter().any(|wanted| wanted == **name);
    let wanted: Vec<&str> = all.iter().filter(wanted).copied().collect();
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let shows = std::io::stderr().is_terminal();
    let work = || {
        let mut found = Vec::new();
        while let Some(name) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if shows {
                let _ = write!(std::io::stderr(), "\r\x1b[K{name}");
            }
            let begun = Instant::now();
            found.push((*name, search(name), begun.elapsed().as_secs_f64()));
        }
        found
    };
    let mut found: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a search does not panic")).collect()
    });
    found.sort_by_key(|(name, ..)| all.iter().position(|other| other == name));
    if shows {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    let good = found.iter().filter(|(_, result, _)| result.is_ok()).count();
    if as_json {
        let one = |(name, result, seconds): &(&str, Result<String, String>, f64)| json!({ "name": name, "model": result.as_ref().ok(), "error": result.as_ref().err(), "seconds": seconds });
        println!(
            "{}",
            json!({ what.replace(' ', "_"): good, "results": found.iter().map(one).collect::<Vec<_>>() })
        );
    } else {
        for (name, result, seconds) in &found {
            match result {
                Ok(model) => println!("{name} ({seconds:.1} s)\n{model}"),
                Err(error) => println!("NOT FOUND: {name}: {error}\n"),
            }
        }
        println!("{good} of {} {what}, in {:.1} s", wanted.len(), begun.elapsed().as_secs_f64());
    }
    let failed = found.iter().any(|(_, result, _)| result.is_err());
    Ok(match (stop.load(Ordering::Relaxed), failed) {
        (true, _) => 3,
        (false, true) => 1,
        (false, false) => 0,
    })
}
