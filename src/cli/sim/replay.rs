//! One seed again, up to a step, with everything that happened on the way if somebody wants to read it.

use std::process::ExitCode;

use super::campaign::Total;
use super::observed::{Observed, Outcomes};
use super::trial::{SLICE_STEPS, Trial};
use super::{interrupt, summary, words};
use crate::cli::{FAILED, fail, print};
use crate::cluster::{Member, Policies, Shipped};
use crate::kv;
use crate::raft::NodeId;
use crate::replica::StateMachine;
use crate::sim::BriefSessions;
use crate::sim::world::StoreOf;

/// What is to be run again, and how much of it is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replay {
    pub(super) seed: u64,
    pub(super) steps: u64,
    pub(super) until: Option<u64>,
    pub(super) with_trace: bool,
    pub(super) with_coverage: bool,
}

/// So much is written at once: a run of a million steps is not kept, and no line is a write of its own.
const OUTPUT_BYTES: usize = 64 * 1024;

impl Replay {
    pub(super) fn run(&self) -> ExitCode {
        let played = match self.with_coverage {
            true => self.play::<Observed, Observed>(),
            false => self.play::<Shipped, BriefSessions>(),
        };
        match played {
            Ok(status) | Err(status) => status,
        }
    }

    fn play<P: Policies, K: kv::Rules>(&self) -> Result<ExitCode, ExitCode>
    where
        StoreOf<K>: Default,
    {
        let mut trial: Trial<P, K> = if self.with_trace {
            Trial::recorded(self.seed, self.steps)
        } else {
            Trial::new(self.seed, self.steps)
        };
        let mut output = format!("seed {}, {} steps", self.seed, self.steps);
        if let Some(run) = trial.run() {
            let plan = run.plan();
            output.push_str(&format!(": {} members, {} clients", plan.members, plan.clients));
        }
        output.push('\n');
        let until = self.until.unwrap_or(u64::MAX);
        let mut told: u64 = 0;
        let indented = |lines: &[String]| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
        // Members start before the first step.
        output.push_str(&indented(&trial.take_lines().1));
        let mut is_more = true;
        while is_more && trial.steps() < until && !interrupt::is_wanted() {
            // One by one, so that what a step led to stands under it.
            let slice = if self.with_trace { 1 } else { SLICE_STEPS.min(until - trial.steps()) };
            is_more = trial.advance(slice);
            let (actions, lines) = trial.take_lines();
            for action in &actions {
                told += 1;
                output.push_str(&format!("#{told} {}\n", words::action(action)));
            }
            output.push_str(&indented(&lines));
            if output.len() > OUTPUT_BYTES {
                print(&output)?;
                output.clear();
            }
        }
        output.push_str(&self.ending(&trial));
        print(&output)?;
        match trial.failure() {
            _ if interrupt::is_wanted() => Ok(ExitCode::from(interrupt::STATUS)),
            None => Ok(ExitCode::SUCCESS),
            Some(failure) => Ok(fail(FAILED, &format_args!("seed {}: {failure}", self.seed))),
        }
    }

    /// The members as they are, what happened until then, and the failure.
    fn ending<P: Policies, K: kv::Rules>(&self, trial: &Trial<P, K>) -> String
    where
        StoreOf<K>: Default,
    {
        let mut text = format!("after step {}:\n", trial.steps());
        if let Some(run) = trial.run() {
            for (id, of) in run.world().cluster().members() {
                text.push_str(&format!("  {}\n", member(*id, of)));
            }
        }
        if let Some(report) = trial.report() {
            let rules = self.with_coverage.then(Outcomes::take);
            let mut total = Total { rules, ..Total::default() };
            total.add_report(&report);
            text.push_str(&summary::deeds(&total));
            text.push_str(&format!("{:<13} {:016x}\n", "trace hash", report.trace_hash));
            if self.with_coverage {
                text.push_str(&total.seen().tables());
            }
        }
        match trial.failure() {
            None => text.push_str("nothing failed\n"),
            Some(failure) => {
                text.push_str(&format!("FAILED at step {}: {}\n", failure.step, failure.name));
                text.push_str(&format!("  {}\n", failure.detail));
            }
        }
        text
    }
}

/// A member as one dense line.
fn member<M: StateMachine, P: Policies>(id: NodeId, member: &Member<M, P>) -> String {
    match (member.replica(), member.fault()) {
        (Some(replica), _) => replica.node().to_string(),
        (None, Some(fault)) => format!("{id} stopped: {fault}"),
        (None, None) => {
            format!("{id} down last={} unsynced={}", member.disk().synced().last(), member.disk().pending())
        }
    }
}
