//! The report of a run: what it came to, as a line, as JSON, as an exit status.
//!
//! Left out: how a run is made ([`check`](crate::check)).

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::memo::Sizes;
use crate::properties::Broken;

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every reachable state was visited, every property holds, and every witness was seen.
    Holds,
    /// Every reachable state was visited and every property holds, but these situations never arose.
    Vacuous(Vec<&'static str>),
    /// Every reachable state was visited and every property holds, but there are more states or fewer than
    /// when the configuration was last reviewed.
    Changed {
        /// The distinct states and the transitions that there were.
        pinned: (usize, usize),
    },
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
    /// How many states those stand for, if some that differ only in who is who count as one.
    pub represented_states: u64,
    /// Transitions that were computed; several may lead to one state.
    pub transitions: usize,
    /// The longest path that was followed, in states.
    pub depth: usize,
    /// Wall-clock time on one thread.
    pub seconds: f64,
    /// Processor time of the thread, where the system tells it; wall-clock time elsewhere.
    pub core_seconds: f64,
    /// How often each kind of action was taken.
    pub actions: Vec<(&'static str, u64)>,
    /// Fair runs that judged convergence, and the most rounds that one took.
    pub convergence: (u64, u64),
    /// What was remembered.
    pub memo: Sizes,
    /// By how much the process grew, where the system tells it. Of several runs in one process only the
    /// first says something, since others are given the memory of those before it, and only if none is
    /// made beside it.
    pub bytes: Option<u64>,
    /// What became of it.
    pub verdict: Verdict,
}

impl Report {
    /// Whether every reachable state was visited.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        matches!(self.verdict, Verdict::Holds | Verdict::Vacuous(_) | Verdict::Changed { .. })
    }

    /// The exit status that this report asks for: 0 if everything holds, 1 if something is violated or
    /// was never seen, 3 if the run was truncated.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self.verdict {
            Verdict::Holds => 0,
            Verdict::Vacuous(_) | Verdict::Changed { .. } | Verdict::Violated { .. } => 1,
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
            Verdict::Holds if self.represented_states > self.distinct_states as u64 => {
                format!("exhausted up to renaming, all hold in {} states", self.represented_states)
            }
            Verdict::Holds => "exhausted, all hold".to_owned(),
            Verdict::Vacuous(unseen) => format!("exhausted, NEVER SEEN: {}", unseen.join(", ")),
            Verdict::Changed { pinned: (states, transitions) } => {
                format!("exhausted, COUNTS CHANGED from {states} states and {transitions} transitions")
            }
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
    pub fn json(&self) -> Value {
        let actions: Map<String, Value> =
            self.actions.iter().map(|(kind, count)| ((*kind).to_owned(), json!(count))).collect();
        let (verdict, more) = match &self.verdict {
            Verdict::Holds => ("holds", json!({})),
            Verdict::Vacuous(unseen) => ("vacuous", json!({ "unseen": unseen })),
            Verdict::Changed { .. } => ("changed", json!({})),
            Verdict::Truncated => ("truncated", json!({})),
            Verdict::Violated { broken, path } => {
                ("violated", json!({ "property": broken.property, "detail": broken.detail, "path": path }))
            }
        };
        let mut object = json!({
            "name": self.name,
            "distinct_states": self.distinct_states,
            "represented_states": self.represented_states,
            "transitions": self.transitions,
            "depth": self.depth,
            "seconds": self.seconds,
            "core_seconds": self.core_seconds,
            // Not of runs that are shorter than the clock.
            "states_per_second": (self.core_seconds >= 0.01).then(|| self.states_per_second()),
            "exhausted": self.is_exhausted(),
            "truncated": self.verdict == Verdict::Truncated,
            "actions": actions,
            "convergence_runs": self.convergence.0,
            "convergence_rounds_max": self.convergence.1,
            "bytes": self.bytes,
            "memo": {
                "members": self.memo.members,
                "standings": self.memo.standings,
                "queues": self.memo.queues,
                "steps": self.memo.steps,
                "verdicts": self.memo.verdicts,
            },
            "verdict": verdict,
        });
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
            object.extend(more);
        }
        object
    }
}
