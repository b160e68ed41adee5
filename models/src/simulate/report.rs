//! What a simulation came to, as a line, as JSON, as an exit status, as a file to replay.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{Tally, Violation};
use crate::actions::Action;
use crate::progress::peak_bytes;
use crate::witnesses::Witness;

/// The report of one configuration.
#[derive(Clone, Debug)]
pub struct Report {
    /// The configuration's name.
    pub name: &'static str,
    /// The seed of its walks.
    pub seed: u64,
    /// What the walks add up to, from the first on.
    pub tally: Tally,
    /// What the configuration exists for and was not met.
    pub unseen: Vec<&'static str>,
    /// Wall-clock time.
    pub seconds: f64,
    /// Processor time of the process, where the system tells it.
    pub core_seconds: f64,
    /// How often a thread forgot the steps that it remembered.
    pub forgotten: u64,
    /// Somebody ended it before its bound.
    pub is_interrupted: bool,
    /// What broke, if something did.
    pub violation: Option<Violation>,
}

impl Report {
    /// Steps per second and core.
    #[must_use]
    pub fn steps_per_second(&self) -> f64 {
        self.tally.steps as f64 / self.core_seconds.max(1e-9)
    }

    /// The exit status that this report asks for: 0 nothing broke, 1 something did or what was to be met was not, 3
    /// interrupted.
    #[must_use]
    pub fn status(&self) -> u8 {
        match (&self.violation, self.is_interrupted) {
            (Some(_), _) => 1,
            (None, true) => 3,
            (None, false) => u8::from(!self.unseen.is_empty()),
        }
    }

    /// The head of the table of [`Report::line`]s.
    #[must_use]
    pub fn head() -> String {
        format!(
            "{:<16} {:>10} {:>12} {:>7} {:>6} {:>8} {:>8} {:>9}",
            "configuration", "walks", "steps", "mean", "depth", "seconds", "core-s", "steps/s"
        )
    }

    /// One line, and the path of a violation below it.
    #[must_use]
    pub fn line(&self) -> String {
        let Tally { walks, steps, depth, cut_short, .. } = self.tally;
        let mut text = format!(
            "{:<16} {walks:>10} {steps:>12} {:>7.1} {depth:>6} {:>8.2} {:>8.2} {:>9.0}  ",
            self.name,
            steps as f64 / walks.max(1) as f64,
            self.seconds,
            self.core_seconds,
            self.steps_per_second(),
        );
        match &self.violation {
            None => text.push_str("nothing broke"),
            Some(violation) => {
                let Violation { walk, steps, broken, trace } = violation;
                let seed = self.seed;
                let _ = write!(text, "VIOLATED {broken}\nseed {seed}, walk {walk}, step {steps}; shortened:");
                for (number, action) in (1..).zip(&trace.actions) {
                    let _ = write!(text, "\n{number:>4}  {action}");
                }
            }
        }
        if self.is_interrupted {
            text.push_str(", INTERRUPTED");
        }
        if cut_short > 0 {
            let _ = write!(text, ", {cut_short} walks ended too long");
        }
        if !self.unseen.is_empty() && self.violation.is_none() {
            let _ = write!(text, ", not met: {}", self.unseen.join(", "));
        }
        text
    }

    /// One JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let Tally { walks, steps, depth, cut_short, .. } = self.tally;
        let counts = Action::KINDS.into_iter().zip(self.tally.actions).filter(|(_, count)| *count > 0);
        let actions: Map<String, Value> =
            counts.map(|(kind, count)| (kind.to_owned(), json!(count))).collect();
        let met = Witness::ALL.iter().copied().filter(|witness| self.tally.noted.has(*witness));
        let mut object = json!({
            "name": self.name,
            "seed": self.seed,
            "walks": walks,
            "steps": steps,
            "depth": depth,
            "cut_short": cut_short,
            "seconds": self.seconds,
            "core_seconds": self.core_seconds,
            "steps_per_second": self.steps_per_second(),
            "convergence_runs": self.tally.convergence_runs,
            "convergence_rounds": self.tally.convergence_rounds,
            "forgotten": self.forgotten,
            "actions": actions,
            "met": met.map(Witness::name).collect::<Vec<_>>(),
            "not_met": self.unseen,
            "interrupted": self.is_interrupted,
            "violation": null,
        });
        if let Some(Violation { walk, steps, broken, trace }) = &self.violation {
            object["violation"] = json!({
                "property": broken.property,
                "detail": broken.detail,
                "walk": walk,
                "steps": steps,
                "path": trace.actions.iter().map(Action::to_string).collect::<Vec<_>>(),
            });
        }
        object
    }

    /// Keeps the path of the violation, if there is one, in a folder.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, folder: &Path) -> io::Result<Option<PathBuf>> {
        let Some(Violation { walk, trace, .. }) = &self.violation else { return Ok(None) };
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}-{}-{walk}.trace", self.name, self.seed));
        fs::write(&path, trace.to_string())?;
        Ok(Some(path))
    }
}

/// One JSON object with these reports.
#[must_use]
pub fn json(reports: &[Report]) -> Value {
    let sum = |of: fn(&Report) -> f64| reports.iter().map(of).sum::<f64>();
    let (steps, core_seconds) = (sum(|report| report.tally.steps as f64), sum(|report| report.core_seconds));
    json!({
        "steps": reports.iter().map(|report| report.tally.steps).sum::<u64>(),
        "seconds": sum(|report| report.seconds),
        "core_seconds": core_seconds,
        "steps_per_second": steps / core_seconds.max(1e-9),
        "peak_bytes": peak_bytes(),
        "interrupted": reports.iter().any(|report| report.is_interrupted),
        "configurations": reports.iter().map(Report::json).collect::<Vec<_>>(),
    })
}
