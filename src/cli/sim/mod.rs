//! `dkv sim`: seeded worlds by the thousand, each a cluster with clients in which everything goes wrong
//! that may, and a failing one again, step by step.
//!
//! What a seed does is decided by [`sim`](crate::sim) alone. Here it is run: [`trial`] is one seed,
//! [`campaign`] many of them on all cores, [`replay`] one in full view, [`bench`] the speed of it all.

mod bench;
mod campaign;
mod interrupt;
mod observed;
mod progress;
mod replay;
mod scenario_file;
mod seen;
mod stopwatch;
mod summary;
mod trial;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use self::campaign::Campaign;
use self::replay::Replay;
use self::summary::Finding;
use super::{FAILED, USAGE, fail, print};
use crate::cluster::Shipped;
use crate::sim::BriefSessions;

#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// First seed, decimal or hexadecimal with 0x
    #[arg(long, default_value = "0", value_parser = seed)]
    seed: u64,
    /// Number of seeds
    #[arg(long, value_name = "COUNT", default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Steps of each seed until its last calm; a calm takes some more
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Threads; as many as there are cores by default
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Print one JSON object with all there is to tell
    #[arg(long)]
    json: bool,
    /// Also print how often each fault, shape, message and outcome of a rule occurred
    #[arg(long)]
    coverage: bool,
    /// Where the scenario files of failures go
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Run this one seed again and show how its members end
    #[arg(long, value_name = "SEED", value_parser = seed,
        conflicts_with_all = ["seed", "seeds", "threads", "json", "out"])]
    replay: Option<u64>,
    /// End the replay at this step, or right after it if several things happen at once
    #[arg(long, value_name = "STEP", requires = "replay")]
    until: Option<u64>,
    /// Print every step of the replay
    #[arg(long, requires = "replay")]
    trace: bool,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Measure steps per second on one thread, and the memory of a long run
    Bench(bench::Arguments),
}

/// A seed as people write it.
fn seed(text: &str) -> Result<u64, String> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = hexadecimal.map_or((text, 10), |digits| (digits, 16));
    // The parser of the standard library would take a sign too.
    match u64::from_str_radix(digits, radix) {
        Ok(seed) if !digits.starts_with('+') => Ok(seed),
        _ => Err(format!("a seed is a number from 0 to {}, decimal or 0x…", u64::MAX)),
    }
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    if let Some(Command::Bench(arguments)) = &arguments.command {
        return bench::run(arguments);
    }
    // clap waives what an option requires when that conflicts with another one that is there.
    if arguments.replay.is_none() && (arguments.until.is_some() || arguments.trace) {
        return fail(USAGE, &"--until and --trace belong to --replay SEED");
    }
    interrupt::watch();
    let Arguments { steps, until, trace, coverage, .. } = *arguments;
    match arguments.replay {
        Some(seed) => Replay { seed, steps, until, with_trace: trace, with_coverage: coverage }.run(),
        None => search(arguments),
    }
}

/// Runs the seeds and shows what became of them.
fn search(arguments: &Arguments) -> ExitCode {
    let Arguments { seed, seeds, steps, threads, json, coverage, ref out, .. } = *arguments;
    if seed.checked_add(seeds - 1).is_none() {
        return fail(
            USAGE,
            &format_args!("there are no {seeds} seeds from {seed} on: the last is {}", u64::MAX),
        );
    }
    // What is no directory is told before the work and not after it.
    if !out.is_dir() {
        return fail(USAGE, &format_args!("{} is not a directory", out.display()));
    }
    let cores = || thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let threads = threads.unwrap_or_else(cores).min(seeds);
    let campaign = Campaign { first_seed: seed, seeds, steps, threads };
    let run =
        if coverage { campaign.run_observed(!json) } else { campaign.run::<Shipped, BriefSessions>(!json) };
    let total = match run {
        Ok(total) => total,
        Err(error) => return fail(FAILED, &format_args!("cannot start a thread: {error}")),
    };
    let findings: Vec<Finding> = total
        .failures
        .iter()
        .map(|(seed, failure)| {
            let scenario = match interrupt::is_wanted() {
                true => Err("interrupted".into()),
                false => {
                    let written = scenario_file::write_scenario::<Shipped, BriefSessions>(
                        *seed, steps, failure, out, !json,
                    );
                    written.map_err(|reason| reason.to_string())
                }
            };
            Finding { seed: *seed, steps, failure: failure.clone(), scenario }
        })
        .collect();
    let is_interrupted = interrupt::is_wanted();
    let mut output = if json {
        summary::json(&campaign, &total, &findings, is_interrupted)
    } else {
        summary::text(&campaign, &total, &findings, is_interrupted)
    };
    if coverage && !json {
        output.push_str(&total.seen().tables());
    }
    let printed = print(&output);
    match (printed, findings.len()) {
        _ if is_interrupted => ExitCode::from(interrupt::STATUS),
        (_, failures @ 1..) => fail(FAILED, &format_args!("seeds failed: {failures}")),
        (Err(status), _) => status,
        (Ok(()), 0) => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_read_as_people_write_them() {
        let cases = [
            ("0", Some(0)),
            ("42", Some(42)),
            ("0x2a", Some(42)),
            ("0XFFFFFFFFFFFFFFFF", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("0x10000000000000000", None),
            ("", None),
            ("0x", None),
            ("-1", None),
            ("+1", None),
            ("0x+1", None),
            ("seven", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seed(text).ok(), expected, "{text:?}");
        }
    }
}
