//! Proving a spec: every condition, by a few attempts each, on a few threads.
//!
//! The first attempt has the hinted hypotheses only; then all of them, again with another seed, and once more with a
//! long time limit. A model counts as a refutation only with all hypotheses. A condition on which no attempt
//! ends in an answer is not proved. Nothing is remembered from one run to the next but hints.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::conditions::{Goal, condition, goals};
use crate::fragment::{Edges, edges, order};
use crate::hints::Hints;
use crate::solver::{Answer, Solver};
use crate::spec::Spec;

/// Whether the attempt is hinted, its time limit in seconds, and what it adds to the seed.
const ATTEMPTS: [(bool, u32, u32); 4] = [(true, 10, 0), (false, 10, 0), (false, 20, 1), (false, 90, 2)];

/// How to prove.
#[derive(Clone, Debug)]
pub struct Settings {
    /// By whom.
    pub solver: Solver,
    /// The solver's seed; later attempts use the ones after it.
    pub seed: u32,
    /// How many conditions side by side.
    pub threads: NonZeroUsize,
    /// What was needed the last time.
    pub hints: Hints,
    /// Ask for what is needed this time, with all hypotheses.
    pub record: bool,
}

/// What became of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Proved,
    /// There is a counterexample.
    Refuted,
    /// No attempt ended in an answer; what the last one said.
    Undecided(String),
    /// Nobody waited.
    Interrupted,
}

impl Verdict {
    /// In a word or two.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Verdict::Proved => "proved".to_string(),
            Verdict::Refuted => "refuted".to_string(),
            Verdict::Undecided(why) => format!("not proved: {why}"),
            Verdict::Interrupted => "interrupted".to_string(),
        }
    }
}

/// A condition with what became of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The condition.
    pub goal: Goal,
    /// What became of it.
    pub verdict: Verdict,
    /// How long that took.
    pub seconds: f64,
    /// How many attempts were made.
    pub attempts: usize,
    /// What was needed, if that was asked for.
    pub core: Option<BTreeSet<String>>,
}

/// What came of a whole run.
#[derive(Debug)]
pub struct Report {
    /// Every condition that was begun, in the order of the spec.
    pub outcomes: Vec<Outcome>,
    /// How many conditions hold because the action changes nothing that they speak of.
    pub by_frame: usize,
    /// The sorts in the order that shows decidability, or those among which there is a cycle.
    pub order: Result<Vec<String>, Vec<String>>,
    /// How long it took.
    pub seconds: f64,
}

impl Report {
    /// The conditions that are not proved.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Proved)
    }

    /// How many conditions are proved.
    #[must_use]
    pub fn proved(&self) -> usize {
        self.outcomes.len() - self.failures().count()
    }

    /// The exit status: 0 all is proved, 1 something is not, 3 interrupted.
    #[must_use]
    pub fn status(&self) -> u8 {
        let interrupted = self.outcomes.iter().any(|outcome| outcome.verdict == Verdict::Interrupted);
        let failed = self.failures().any(|outcome| outcome.verdict != Verdict::Interrupted);
        match (failed || self.order.is_err(), interrupted) {
            (true, _) => 1,
            (false, true) => 3,
            (false, false) => 0,
        }
    }

    /// The hints of this run, if it recorded any.
    #[must_use]
    pub fn hints(&self) -> Hints {
        let mut hints = Hints::default();
        for outcome in &self.outcomes {
            if let Some(core) = &outcome.core {
                hints.insert(outcome.goal.to_string(), core.clone());
            }
        }
        hints
    }

    /// For programs.
    #[must_use]
    pub fn json(&self, settings: &Settings) -> Value {
        let outcome = |outcome: &Outcome| {
            json!({
                "group": outcome.goal.group(),
                "kind": outcome.goal.kind(),
                "name": outcome.goal.name(),
                "verdict": outcome.verdict.words(),
                "seconds": outcome.seconds,
                "attempts": outcome.attempts,
            })
        };
        json!({
            "solver": settings.solver.version(),
            "seed": settings.seed,
            "seconds": self.seconds,
            "proved": self.proved(),
            "not_proved": self.failures().count(),
            "by_frame": self.by_frame,
            "order_of_sorts": self.order.as_ref().ok(),
            "conditions": self.outcomes.iter().map(outcome).collect::<Vec<_>>(),
        })
    }
}

/// Proves the goals of a spec that `wanted` names. `seen` is told of every outcome, with how many there
/// are and will be.
pub fn prove(
    spec: &Spec,
    settings: &Settings,
    wanted: impl Fn(&Goal) -> bool,
    seen: impl Fn(&Outcome, usize, usize) + Sync,
    stop: &AtomicBool,
) -> Report {
    let begun = Instant::now();
    let (mut goals, by_frame) = goals(spec);
    goals.retain(wanted);
    let (next, done) = (AtomicUsize::new(0), Mutex::new((Vec::new(), Edges::new())));
    thread::scope(|scope| {
        for _ in 0..settings.threads.get() {
            scope.spawn(|| {
                while let Some((at, goal)) = take(&goals, &next, stop) {
                    let found = edges(spec, &condition(spec, goal, None));
                    let outcome = attempt(spec, goal, settings, stop);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    seen(&outcome, done.0.len() + 1, goals.len());
                    done.0.push((at, outcome));
                    done.1.extend(found);
                }
            });
        }
    });
    let (mut outcomes, edges) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(at, _)| *at);
    let mut outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    if let Some(goal) = goals.get(outcomes.len()) {
        // Not begun is not proved.
        let verdict = Verdict::Interrupted;
        outcomes.push(Outcome { goal: goal.clone(), verdict, seconds: 0.0, attempts: 0, core: None });
    }
    Report { outcomes, by_frame, order: order(&edges), seconds: begun.elapsed().as_secs_f64() }
}

fn take<'a>(goals: &'a [Goal], next: &AtomicUsize, stop: &AtomicBool) -> Option<(usize, &'a Goal)> {
    if stop.load(Ordering::Relaxed) {
        return None;
    }
    let at = next.fetch_add(1, Ordering::Relaxed);
    goals.get(at).map(|goal| (at, goal))
}

fn attempt(spec: &Spec, goal: &Goal, settings: &Settings, stop: &AtomicBool) -> Outcome {
    let begun = Instant::now();
    let hint = settings.hints.get(&goal.to_string()).filter(|_| !settings.record);
    let mut outcome = Outcome {
        goal: goal.clone(),
        verdict: Verdict::Undecided("no attempt was made".to_string()),
        seconds: 0.0,
        attempts: 0,
        core: None,
    };
    for (hinted, seconds, seed) in ATTEMPTS {
        if hinted && hint.is_none() {
            continue;
        }
        let question = condition(spec, goal, hint.filter(|_| hinted)).text(settings.record);
        let (answer, rest) = settings.solver.ask(&question, seconds, settings.seed + seed, stop);
        outcome.attempts += 1;
        match answer {
            Answer::Unsat => {
                outcome.verdict = Verdict::Proved;
                outcome.core = settings.record.then(|| core(&rest));
                break;
            }
            Answer::Sat if hinted => {}
            Answer::Sat => {
                outcome.verdict = Verdict::Refuted;
                break;
            }
            Answer::None(why) => outcome.verdict = Verdict::Undecided(why),
            Answer::Interrupted => {
                outcome.verdict = Verdict::Interrupted;
                break;
            }
        }
    }
    outcome.seconds = begun.elapsed().as_secs_f64();
    outcome
}

/// The hypotheses that can be left out, among the names of an unsatisfiable core.
fn core(printed: &str) -> BTreeSet<String> {
    let names = printed.split(|c: char| c.is_whitespace() || c == '(' || c == ')');
    names.filter_map(|name| name.strip_prefix("known.")).map(str::to_string).collect()
}
