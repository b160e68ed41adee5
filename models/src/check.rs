//! Exhausting a configuration, and an honest report of what that came to.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use dkv::replica::Rules;
use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::configurations::Configuration;
use crate::converge;
use crate::environment::Action;
use crate::model::Replication;
use crate::properties::{Broken, CONVERGENCE};
use crate::state::State;

/// States that the search for a shorter path may generate.
const SHORTEN_STATES_MAX: usize = 3_000_000;

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every reachable state was visited, every property holds, and every witness was seen.
    Holds,
    /// Every reachable state was visited and every property holds, but these situations never arose.
    Vacuous(Vec<&'static str>),
    /// The run ended before it had seen every reachable state. It says nothing of the rest.
    Truncated,
    /// A property is broken.
    Violated {
        /// Which, and how.
        broken: Broken,
        /// The way there, one line per action.
        path: Vec<String>,
    },
}

/// The report of one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The configuration's name.
    pub name: &'static str,
    /// Distinct states.
    pub distinct_states: usize,
    /// Transitions that were computed; several may lead to one state.
    pub transitions: usize,
    /// The longest path that was followed, in states.
    pub depth: usize,
    /// Wall-clock time on one thread.
    pub seconds: f64,
    /// Processor time, where the system tells it; wall-clock time elsewhere.
    pub core_seconds: f64,
    /// How often each kind of action was taken.
    pub actions: Vec<(&'static str, u64)>,
    /// Fair runs that judged convergence, and the most heartbeats that one took.
    pub convergence: (u64, u64),
    /// What became of it.
    pub verdict: Verdict,
}

impl Report {
    /// Whether every reachable state was visited.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        matches!(self.verdict, Verdict::Holds | Verdict::Vacuous(_))
    }

    /// The exit status that this report asks for: 0 if everything holds, 1 if something is violated or
    /// was never seen, 3 if the run was truncated.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self.verdict {
            Verdict::Holds => 0,
            Verdict::Vacuous(_) | Verdict::Violated { .. } => 1,
            Verdict::Truncated => 3,
        }
    }

    /// Distinct states per second and core.
    #[must_use]
    pub fn states_per_second(&self) -> f64 {
        self.distinct_states as f64 / self.core_seconds.max(1e-9)
    }

    /// One line, and the path of a violation below it.
    #[must_use]
    pub fn line(&self) -> String {
        let verdict = match &self.verdict {
            Verdict::Holds => "exhausted, all hold".to_owned(),
            Verdict::Vacuous(unseen) => format!("exhausted, NEVER SEEN: {}", unseen.join(", ")),
            Verdict::Truncated => "TRUNCATED: nothing is known of the rest".to_owned(),
            Verdict::Violated { broken, path } => {
                let mut text = format!("VIOLATED {broken}");
                for (step, line) in path.iter().enumerate() {
                    let _ = write!(text, "\n{:>4}  {line}", step + 1);
                }
                text
            }
        };
        format!(
            "{:<12} {:>10} {:>11} {:>6} {:>8.2} {:>8.2} {:>9.0}  {verdict}",
            self.name,
            self.distinct_states,
            self.transitions,
            self.depth,
            self.seconds,
            self.core_seconds,
            self.states_per_second(),
        )
    }

    /// The head of the table of [`Report::line`]s.
    #[must_use]
    pub fn head() -> String {
        format!(
            "{:<12} {:>10} {:>11} {:>6} {:>8} {:>8} {:>9}",
            "config", "distinct", "transitions", "depth", "seconds", "core-s", "states/s"
        )
    }

    /// One JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        let actions: Vec<String> =
            self.actions.iter().map(|(kind, count)| format!("\"{kind}\":{count}")).collect();
        let (verdict, more) = match &self.verdict {
            Verdict::Holds => ("holds", String::new()),
            Verdict::Vacuous(unseen) => ("vacuous", format!(",\"unseen\":{}", json_list(unseen))),
            Verdict::Truncated => ("truncated", String::new()),
            Verdict::Violated { broken, path } => (
                "violated",
                format!(
                    ",\"property\":{},\"detail\":{},\"path\":{}",
                    json_string(broken.property),
                    json_string(&broken.detail),
                    json_list(path)
                ),
            ),
        };
        format!(
            "{{\"name\":{},\"distinct_states\":{},\"transitions\":{},\"depth\":{},\"seconds\":{:.3},\
             \"core_seconds\":{:.2},\"states_per_second\":{:.0},\"exhausted\":{},\"truncated\":{},\"actions\":{{{}}},\
             \"convergence_runs\":{},\"convergence_rounds_max\":{},\"verdict\":\"{verdict}\"{more}}}",
            json_string(self.name),
            self.distinct_states,
            self.transitions,
            self.depth,
            self.seconds,
            self.core_seconds,
            self.states_per_second(),
            self.is_exhausted(),
            self.verdict == Verdict::Truncated,
            actions.join(","),
            self.convergence.0,
            self.convergence.1,
        )
    }
}

/// Visits every reachable state of a configuration, depth first on one thread. `states_max` bounds the
/// states that are generated; a run that meets the bound is truncated and never passes for exhausted.
#[must_use]
pub fn check<R: Rules + Send + Sync + 'static>(
    configuration: &Configuration,
    states_max: Option<NonZeroUsize>,
) -> Report {
    let (start, start_core) = (Instant::now(), core_seconds());
    let mut builder = Replication::<R>::new(configuration.clone())
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures);
    if let Some(states_max) = states_max {
        builder = builder.target_state_count(states_max.get());
    }
    let checker = builder.spawn_dfs().join();
    let seconds = start.elapsed().as_secs_f64();
    let core_seconds = core_seconds().zip(start_core).map_or(seconds, |(end, start)| end - start);
    let model = checker.model();
    // Before any path is rebuilt, which would count as well.
    let expanded = model.counters().expanded.load(Ordering::Relaxed);
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let actions: Vec<u64> = model.counters().actions.iter().map(count).collect();
    let convergence =
        (count(&model.counters().convergence_runs), count(&model.counters().convergence_rounds));
    let distinct_states = checker.unique_state_count();
    let discoveries = checker.discoveries();
    let failure = model.properties().iter().find_map(|property| {
        let is_failure = property.expectation == stateright::Expectation::Always;
        discoveries.get(property.name).filter(|_| is_failure).map(|path| (property.name, path.clone()))
    });
    let unseen: Vec<_> =
        model.witnesses().into_iter().filter(|witness| !discoveries.contains_key(witness)).collect();
    let verdict = match failure {
        Some((property, path)) => {
            let (broken, lines) = explain(configuration, property, &path);
            match shorten::<R>(configuration, broken.property) {
                Some(short) if short.1.len() < lines.len() || property != broken.property => {
                    Verdict::Violated { broken: short.0, path: short.1 }
                }
                _ => Verdict::Violated { broken, path: lines },
            }
        }
        // Every distinct state had its successors computed, or the search was not complete.
        None if expanded != distinct_states as u64 => Verdict::Truncated,
        None if !unseen.is_empty() => Verdict::Vacuous(unseen),
        None => Verdict::Holds,
    };
    Report {
        name: configuration.name,
        distinct_states,
        transitions: checker.state_count() - 1,
        depth: checker.max_depth(),
        seconds,
        core_seconds,
        actions: Action::KINDS.into_iter().zip(actions).collect(),
        convergence,
        verdict,
    }
}

/// Processor time of this process so far: on a shared machine the only speed that repeats.
pub(crate) fn core_seconds() -> Option<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses and may hold anything; user and system time are the
    // 14th and the 15th.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let ticks: f64 = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

type PathOf<R> = Path<State<R>, Action>;

/// Looks breadth first for the shortest way to break a property. One that a step breaks is looked for
/// without runs to judge convergence, which would meet it ahead of the path.
fn shorten<R: Rules + Send + Sync + 'static>(
    configuration: &Configuration,
    property: &'static str,
) -> Option<(Broken, Vec<String>)> {
    let mut configuration = configuration.clone();
    if property != CONVERGENCE {
        configuration.converge_every = 0;
    }
    let checker = Replication::<R>::new(configuration.clone())
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(SHORTEN_STATES_MAX)
        .spawn_bfs()
        .join();
    checker.discovery(property).map(|path| explain(&configuration, property, &path))
}

/// The path as text, and what is broken at its end.
fn explain<R: Rules>(
    configuration: &Configuration,
    property: &'static str,
    path: &PathOf<R>,
) -> (Broken, Vec<String>) {
    let steps = path.clone().into_vec();
    let broken = steps.last().and_then(|(state, _)| match &state.violated {
        Some(broken) => Some(Broken::clone(broken)),
        None => converge::healed(state).err().map(|broken| Broken {
            detail: format!("healed and left alone from here: {}", broken.detail),
            ..broken
        }),
    });
    let detail = format!("in configuration {}", configuration.name);
    let lines = steps.iter().filter_map(|(_, action)| action.as_ref().map(Action::to_string)).collect();
    (broken.unwrap_or(Broken { property, detail }), lines)
}

fn json_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if u32::from(c) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn json_list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<String> = items.iter().map(|item| json_string(item.as_ref())).collect();
    format!("[{}]", items.join(","))
}
