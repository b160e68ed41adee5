//! `dkv sim bench`: how fast worlds run on one thread with every check on, and whether a long one stays
//! small.
//!
//! The work is fixed: the same seeds and steps in every repetition, so that two builds can be compared.

use std::fmt::{Display, Write as _};
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::stopwatch::{self, Stopwatch};
use super::trial::{SLICE_STEPS, Trial};
use super::words::grouped;
use crate::cli::{FAILED, fail, print};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Steps of the long run
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Number of short runs, of 2000 steps each
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,
    /// How often each is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    repetitions: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The seed of the long run, which begins with five members.
const LONG_SEED: u64 = 8;
const SHORT_STEPS: u64 = 2000;
/// How often memory is looked at in the course of the long run.
const SAMPLES: u64 = 10;

/// What the process holds, where the system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    resident_kb: u64,
    /// The most that it ever held.
    peak_kb: u64,
}

impl Memory {
    fn now() -> Option<Memory> {
        Memory::parse(&fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Memory> {
        let value = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.trim_start_matches(':').trim().strip_suffix(" kB")?.trim().parse().ok()
        };
        Some(Memory { resident_kb: value("VmRSS")?, peak_kb: value("VmHWM")? })
    }
}

/// Steps per second of each repetition, ascending.
struct Rates(Vec<u64>);

impl Rates {
    fn of(mut rates: Vec<u64>) -> Rates {
        rates.sort_unstable();
        Rates(rates)
    }

    fn bounds(&self) -> (u64, u64, u64) {
        let at = |place: usize| self.0.get(place).copied().unwrap_or(0);
        (at(0), at(self.0.len() / 2), at(self.0.len().saturating_sub(1)))
    }

    fn json(&self) -> Value {
        let (min, median, max) = self.bounds();
        json!({ "min": min, "median": median, "max": max })
    }
}

impl Display for Rates {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (min, median, max) = self.bounds();
        let [min, median, max] = [min, median, max].map(grouped);
        write!(f, "min {min}, median {median}, max {max} steps/s and core")
    }
}

/// A run that is measured must not fail.
type Measured<T> = Result<T, String>;

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match measure(arguments) {
        Ok(output) => print(&output).map_or_else(|status| status, |()| ExitCode::SUCCESS),
        Err(failure) => fail(FAILED, &failure),
    }
}

/// The long run after some of its steps.
struct Sample {
    step: u64,
    /// Since the sample before.
    steps_per_second: u64,
    memory: Option<Memory>,
}

fn measure(arguments: &Arguments) -> Measured<String> {
    let Arguments { steps, seeds, repetitions, json } = *arguments;
    // The long run comes first, before anything else has made the process large.
    let before = Memory::now();
    let mut samples: Vec<Sample> = Vec::new();
    let mut long_rates = Vec::new();
    let mut long_steps: u64 = 0;
    for repetition in 0..repetitions {
        let stopwatch = Stopwatch::start();
        let mut last = (0, Duration::ZERO);
        long_steps = one(LONG_SEED, steps, steps.div_ceil(SAMPLES), |step| {
            if repetition == 0 {
                let worked = stopwatch.worked();
                let steps_per_second = rate(step - last.0, worked.saturating_sub(last.1));
                samples.push(Sample { step, steps_per_second, memory: Memory::now() });
                last = (step, worked);
            }
        })?;
        long_rates.push(rate(long_steps, stopwatch.worked()));
    }
    let mut short_rates = Vec::new();
    let mut short_steps: u64 = 0;
    for _ in 0..repetitions {
        let stopwatch = Stopwatch::start();
        short_steps = 0;
        for seed in 0..seeds {
            short_steps += one(seed, SHORT_STEPS, SLICE_STEPS, |_| {})?;
        }
        short_rates.push(rate(short_steps, stopwatch.worked()));
    }
    let (long, short) = (Rates::of(long_rates), Rates::of(short_rates));
    if json {
        let during = samples.iter().map(|sample| {
            json!({
                "step": sample.step,
                "steps_per_second_per_core": sample.steps_per_second,
                "memory": sample.memory.map(memory_json),
            })
        });
        let object = json!({
            "clock": stopwatch::clock(),
            "repetitions": repetitions,
            "short": {
                "seeds": seeds,
                "steps_per_seed": SHORT_STEPS,
                "steps": short_steps,
                "steps_per_second_per_core": short.json(),
            },
            "long": {
                "seed": LONG_SEED,
                "steps_wanted": steps,
                "steps": long_steps,
                "steps_per_second_per_core": long.json(),
                "memory_before": before.map(memory_json),
                "samples": during.collect::<Vec<_>>(),
            },
        });
        return Ok(format!("{object}\n"));
    }
    let mut text = String::new();
    let clock = stopwatch::clock();
    let _ = writeln!(text, "one thread, all checks on, {repetitions} repetitions, {clock} time");
    let (short_seeds, short_steps) = (grouped(seeds), grouped(short_steps));
    let _ = writeln!(text, "short  {short_seeds} seeds, {short_steps} steps together: {short}");
    let _ = writeln!(text, "long   seed {LONG_SEED}, {} steps: {long}", grouped(long_steps));
    let _ = writeln!(text, "\nlong run{:>12}{:>12}{:>16}{:>16}", "step", "steps/s", "resident kB", "peak kB");
    let memory = |memory: Option<Memory>| {
        let [resident, peak] = memory
            .map_or(["-".into(), "-".into()], |memory| [memory.resident_kb, memory.peak_kb].map(grouped));
        format!("{resident:>16}{peak:>16}")
    };
    let _ = writeln!(text, "{:>20}{:>12}{}", "before", "-", memory(before));
    for sample in samples {
        let (step, rate) = (grouped(sample.step), grouped(sample.steps_per_second));
        let _ = writeln!(text, "{step:>20}{rate:>12}{}", memory(sample.memory));
    }
    Ok(text)
}

fn memory_json(memory: Memory) -> Value {
    json!({ "resident_kb": memory.resident_kb, "peak_kb": memory.peak_kb })
}

fn rate(steps: u64, worked: Duration) -> u64 {
    (steps as f64 / worked.as_secs_f64().max(1e-6)) as u64
}

/// Runs one seed to its end, and says after each slice how far it is. Returns how many steps it took.
fn one(seed: u64, steps: u64, slice: u64, mut look: impl FnMut(u64)) -> Measured<u64> {
    let mut trial: Trial = Trial::new(seed, steps);
    // The last slice takes the last calm in.
    while trial.advance(slice) && trial.steps() + slice / 2 < steps {
        look(trial.steps());
    }
    while trial.advance(SLICE_STEPS) {}
    look(trial.steps());
    match trial.failure() {
        Some(failure) => Err(format!("seed {seed} of {steps} steps failed: {failure}")),
        None => Ok(trial.steps()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_what_the_system_says() {
        let status = "Name:\tdkv\nVmPeak:\t  9 kB\nVmHWM:\t    4321 kB\nVmRSS:\t    1234 kB\n";
        assert_eq!(Memory::parse(status), Some(Memory { resident_kb: 1234, peak_kb: 4321 }));
        assert_eq!(Memory::parse("Name:\tdkv\n"), None);
    }

    #[test]
    fn rates_are_ordered() {
        assert_eq!(Rates::of(vec![5, 1, 3]).bounds(), (1, 3, 5));
        assert_eq!(Rates::of(vec![7]).bounds(), (7, 7, 7));
    }
}
