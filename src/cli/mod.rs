//! The `dkv` command: arguments in, exit status out.
//!
//! Status 0 is success, 1 a promise that did not hold, 2 arguments that make no sense, 130 an interrupt.

mod demo;
mod scenario;
mod sim;
mod workload;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sha2::{Digest, Sha256};

/// A replicated key-value store whose consensus code is model-checked as it ships.
#[derive(Parser, Debug)]
#[command(name = "dkv", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Watch five replicas: operations, a minority, a new leader, a heal
    Demo(demo::Arguments),
    /// Run scenario files: what can happen to a cluster, and what must hold
    Scenario(scenario::Arguments),
    /// Run seeded worlds in which everything goes wrong that may, or one of them again
    Sim(sim::Arguments),
    /// Run one of the frozen workloads and print the SHA-256 of the snapshot it leaves behind
    Workload(workload::Arguments),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Scenario(arguments) => scenario::run(&arguments),
        Command::Sim(arguments) => sim::run(&arguments),
        Command::Workload(arguments) => workload::run(&arguments),
    }
}

/// Lowercase hexadecimal SHA-256.
fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes to standard output. Whoever closed it has seen enough; anything else that goes wrong there is a
/// failure.
fn print(text: &str) -> Result<(), ExitCode> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ExitCode::SUCCESS),
        Err(error) => Err(fail(FAILED, &format_args!("cannot write the output: {error}"))),
    }
}

/// Says what went wrong, on standard error.
fn fail(status: u8, message: &dyn core::fmt::Display) -> ExitCode {
    eprintln!("dkv: {message}");
    ExitCode::from(status)
}

/// A promise did not hold, or the outside did not cooperate.
const FAILED: u8 = 1;
/// The arguments make no sense; clap ends with the same status.
const USAGE: u8 = 2;
