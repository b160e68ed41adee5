//! `dkv workload`: the frozen exams, and any other workload of their kind.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{FAILED, USAGE, fail, print, sha256};
use crate::cluster::workload::{Scenario, Workload, WorkloadError};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// First state of the generator
    #[arg(long)]
    seed: u64,
    /// Number of operations, at most 4294967295; each takes about 0.7 KB of memory
    #[arg(long)]
    ops: u64,
    /// Number of different keys, at least 1
    #[arg(long)]
    keys: u64,
    /// default, partition, normal or fault
    #[arg(long)]
    scenario: Scenario,
    /// Also write the snapshot bytes to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { seed, ops, keys, scenario, ref out } = *arguments;
    // A path that cannot be written is told before the work and not after it.
    if let Some(path) = out
        && let Err(error) = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)
    {
        return fail(FAILED, &format_args!("cannot write {}: {error}", path.display()));
    }
    let bytes = match (Workload { seed, ops, keys, scenario }).run() {
        Ok(bytes) => bytes,
        Err(error @ WorkloadError::Invalid(_)) => return fail(USAGE, &error),
        Err(error @ WorkloadError::Broken(_)) => return fail(FAILED, &error),
    };
    if let Some(path) = out
        && let Err(error) = fs::write(path, &bytes)
    {
        return fail(FAILED, &format_args!("cannot write {}: {error}", path.display()));
    }
    match print(&format!("{}\n", sha256(&bytes))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(status) => status,
    }
}
