//! What a campaign shows when it is over: lines and tables for a person, or one JSON object.

use std::fmt::{Display, Write as _};

use serde_json::{Value, json};

use super::campaign::{Campaign, Total};
use super::scenario_file::Written;
use super::stopwatch;
use super::words::{duration, grouped};
use crate::sim::world::Failure;
use crate::sim::{CALM_MS_MAX, CALM_STEPS_MAX};

/// A failure with everything that somebody needs to look into it.
pub(super) struct Finding {
    pub(super) seed: u64,
    /// Of the run, for the replay.
    pub(super) steps: u64,
    pub(super) failure: Failure,
    /// The scenario file, or why there is none.
    pub(super) scenario: Result<Written, String>,
}

impl Finding {
    /// The command that shows the failure again.
    pub(super) fn replay(&self) -> String {
        format!("{} --until {} --trace", replay(self.seed, self.steps), self.failure.step)
    }

    fn json(&self) -> Value {
        let written = self.scenario.as_ref().ok();
        json!({
            "seed": self.seed,
            "step": self.failure.step,
            "name": self.failure.name,
            "detail": self.failure.detail,
            "replay": self.replay(),
            "scenario": written.map(|written| written.path.display().to_string()),
            "scenario_lines": written.map(|written| written.lines),
            "no_scenario_because": self.scenario.as_ref().err(),
        })
    }
}

/// The command that runs a seed again. Storms get their length from the number of steps, so it is part of
/// what is replayed.
pub(super) fn replay(seed: u64, steps: u64) -> String {
    format!("dkv sim --replay {seed} --steps {steps}")
}

/// The whole of it as one object. Everything that differs between two runs of the same arguments is in
/// `speed`.
pub(super) fn json(campaign: &Campaign, total: &Total, findings: &[Finding], is_interrupted: bool) -> String {
    let seen = total.seen();
    let object = json!({
        "first_seed": campaign.first_seed,
        "seeds_wanted": campaign.seeds,
        "steps_per_seed": campaign.steps,
        "seeds": total.seeds,
        "seeds_in_part": total.seeds_in_part,
        "interrupted": is_interrupted,
        "cut_short_by_failures": total.is_cut_short,
        "steps": total.steps,
        "virtual_time_ms": total.time_ms,
        "rounds": total.rounds,
        "committed": total.committed,
        "terms": total.terms,
        "operations": total.work.operations,
        "answered": total.work.answered,
        "reads": total.work.reads,
        "undecided": total.work.undecided,
        "longest_calm_ms": total.longest_calm_ms,
        "calm_ms_max": CALM_MS_MAX,
        "longest_calm_steps": total.longest_calm_steps,
        "calm_steps_max": CALM_STEPS_MAX,
        "trace_hash": format!("{:016x}", total.trace_hash),
        "coverage": seen.json(),
        "never_seen": seen.never(),
        "seen_though_impossible": seen.contradictions(),
        "failures": findings.iter().map(Finding::json).collect::<Vec<_>>(),
        "speed": {
            "threads": campaign.threads,
            "clock": stopwatch::clock(),
            "elapsed_ms": total.elapsed.as_millis() as u64,
            "steps_per_second_per_core": total.steps_per_second(),
        },
    });
    format!("{object}\n")
}

/// The whole of it for a person.
pub(super) fn text(campaign: &Campaign, total: &Total, findings: &[Finding], is_interrupted: bool) -> String {
    let mut text = String::new();
    let last_seed = campaign.first_seed.wrapping_add(campaign.seeds - 1);
    let mut seeds = format!("{} ({} to {last_seed})", grouped(total.seeds), campaign.first_seed);
    if total.seeds < campaign.seeds {
        let _ = write!(seeds, " of {}", grouped(campaign.seeds));
    }
    if total.seeds_in_part > 0 {
        let _ = write!(seeds, ", {} more in part", total.seeds_in_part);
    }
    if total.is_cut_short {
        let _ = write!(seeds, "; ended after {} failures", findings.len());
    }
    if is_interrupted {
        seeds.push_str("; interrupted");
    }
    line(&mut text, "seeds", seeds);
    line(&mut text, "steps", format!("{} ({} per seed)", grouped(total.steps), grouped(campaign.steps)));
    let rate = grouped(total.steps_per_second());
    let threads = if campaign.threads == 1 { "thread" } else { "threads" };
    let took = format!("{} {threads}, {:.1} s", campaign.threads, total.elapsed.as_secs_f64());
    line(&mut text, "speed", format!("{rate} steps/s and core, {took}"));
    text.push_str(&deeds(total));
    line(&mut text, "never seen", named(&total.seen().never()));
    let contradictions = total.seen().contradictions();
    if !contradictions.is_empty() {
        line(&mut text, "impossible", format!("and yet seen: {}", named(&contradictions)));
    }
    line(&mut text, "trace hash", format!("{:016x}", total.trace_hash));
    line(
        &mut text,
        "failures",
        if findings.is_empty() { "none".into() } else { grouped(findings.len() as u64) },
    );
    for finding in findings {
        let Finding { seed, failure, .. } = finding;
        let _ = writeln!(text, "\nseed {seed} failed at step {}: {}", failure.step, failure.name);
        let _ = writeln!(text, "  {}", failure.detail);
        let _ = writeln!(text, "  replay    {}", finding.replay());
        let _ = match &finding.scenario {
            Ok(Written { path, lines }) => writeln!(text, "  scenario  {} ({lines} lines)", path.display()),
            Err(reason) => writeln!(text, "  scenario  none: {reason}"),
        };
    }
    text
}

/// What worlds did, in the lines of a summary.
pub(super) fn deeds(total: &Total) -> String {
    let mut text = String::new();
    line(&mut text, "virtual time", duration(total.time_ms));
    line(&mut text, "rounds", format!("{} (a storm, then rest)", grouped(total.rounds)));
    let calm = format!("{} ms of at most {} ms", grouped(total.longest_calm_ms), grouped(CALM_MS_MAX));
    let (steps, most) = (grouped(total.longest_calm_steps), grouped(CALM_STEPS_MAX));
    line(&mut text, "longest calm", format!("{calm}; {steps} steps of at most {most}"));
    line(&mut text, "committed", format!("{} entries", grouped(total.committed)));
    line(&mut text, "terms", format!("{} with a leader", grouped(total.terms)));
    let (operations, answered) = (grouped(total.work.operations), grouped(total.work.answered));
    let operations = format!("{operations}, {answered} answered ({} reads)", grouped(total.work.reads));
    line(&mut text, "operations", operations);
    let undecided = format!("{} rounds by their values; their revisions hold", grouped(total.work.undecided));
    line(&mut text, "undecided", undecided);
    text
}

fn line(text: &mut String, name: &str, value: impl Display) {
    let _ = writeln!(text, "{name:<13} {value}");
}

/// Names, or that there are none.
fn named(names: &[String]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> (Campaign, Total, Vec<Finding>) {
        let campaign = Campaign { first_seed: 7, seeds: 5, steps: 900, threads: 1 };
        let failure = Failure { name: "liveness", detail: "nobody \"leads\"".into(), step: 12_345 };
        let total =
            Total { seeds: 3, is_cut_short: true, failures: vec![(9, failure.clone())], ..Total::default() };
        let scenario = Ok(Written { path: "runs/seed-9.scn".into(), lines: 12 });
        let finding = Finding { seed: 9, steps: 900, failure, scenario };
        (campaign, total, vec![finding])
    }

    #[test]
    fn a_failure_is_told_with_the_command_that_shows_it_again() {
        let (campaign, total, findings) = found();
        let text = text(&campaign, &total, &findings, false);
        let told = "seed 9 failed at step 12345: liveness\n  nobody \"leads\"\n  \
                    replay    dkv sim --replay 9 --steps 900 --until 12345 --trace\n  scenario  runs/seed-9.scn (12 lines)\n";
        assert!(text.ends_with(told), "{text}");
        assert!(text.contains("3 (7 to 11) of 5; ended after 1 failures"), "{text}");
    }

    #[test]
    fn a_failure_is_an_object_too() {
        let (campaign, total, mut findings) = found();
        let parse = |findings: &[Finding]| -> Value {
            serde_json::from_str(&json(&campaign, &total, findings, true)).expect("it is JSON")
        };
        let object = parse(&findings);
        assert_eq!(object["interrupted"], true);
        let expected = json!([{
            "seed": 9, "step": 12345, "name": "liveness", "detail": "nobody \"leads\"",
            "replay": "dkv sim --replay 9 --steps 900 --until 12345 --trace", "scenario": "runs/seed-9.scn",
            "scenario_lines": 12,
            "no_scenario_because": null,
        }]);
        assert_eq!(object["failures"], expected);
        findings[0].scenario = Err("not shrunk".into());
        assert_eq!(parse(&findings)["failures"][0]["no_scenario_because"], "not shrunk");
    }
}
