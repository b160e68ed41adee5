//! The report of a run: what it came to, as a line, as JSON, as an exit status.
//!
//! Left out: how a run is made ([`check`](crate::check)).

use std::fmt::Write as _;

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
    pub fn json(&self) -> String {
        let actions: Vec<String> =
            self.actions.iter().map(|(kind, count)| format!("\"{kind}\":{count}")).collect();
        let (verdict, more) = match &self.verdict {
            Verdict::Holds => ("holds", String::new()),
            Verdict::Vacuous(unseen) => ("vacuous", format!(",\"unseen\":{}", json_list(unseen))),
            Verdict::Changed { .. } => ("changed", String::new()),
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
            "{{\"name\":{},\"distinct_states\":{},\"represented_states\":{},\"transitions\":{},\"depth\":{},\"seconds\":{:.3},\
             \"core_seconds\":{:.2},\"states_per_second\":{:.0},\"exhausted\":{},\"truncated\":{},\"actions\":{{{}}},\
             \"convergence_runs\":{},\"convergence_rounds_max\":{},\"bytes\":{},\"memo\":{{\"members\":{},\"standings\":{},\"queues\":{},\
             \"steps\":{},\"verdicts\":{}}},\"verdict\":\"{verdict}\"{more}}}",
            json_string(self.name),
            self.distinct_states,
            self.represented_states,
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
            self.bytes.map_or("null".to_owned(), |bytes| bytes.to_string()),
            self.memo.members,
            self.memo.standings,
            self.memo.queues,
            self.memo.steps,
            self.memo.verdicts,
        )
    }
}

pub(crate) fn json_string(text: &str) -> String {
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
