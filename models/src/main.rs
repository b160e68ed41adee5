//! `cargo model`: checks the models, and shows them in a browser.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dkv::raft::Raft;
use dkv_models::check::{Report, check};
use dkv_models::configurations::{self, Configuration};
use dkv_models::layers::{self, Layer};
use dkv_models::model::Replication;
use stateright::Model;

/// Explores the consensus code that ships: every order of events within stated bounds.
#[derive(Parser)]
#[command(name = "cargo model", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Visits every reachable state. Exit status: 0 all holds, 1 something does not, 2 bad arguments, 3
    /// truncated.
    Check {
        /// Only this configuration or layer; may be given several times.
        #[arg(long = "config", value_name = "NAME", value_parser = wanted)]
        configurations: Vec<Wanted>,
        /// Print one JSON object with the reports.
        #[arg(long)]
        json: bool,
        /// Stop a configuration after this many generated states; it is then truncated.
        #[arg(long, value_name = "COUNT")]
        states_max: Option<NonZeroUsize>,
    },
    /// Serves stateright's Explorer.
    Explore {
        /// The configuration to look at; layers cannot be shown.
        #[arg(value_name = "NAME", value_parser = configuration, default_value = "replication")]
        configuration: Configuration,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:3000")]
        address: SocketAddr,
    },
    /// Lists the configurations.
    List,
}

fn configuration(name: &str) -> Result<Configuration, String> {
    configurations::named(name).ok_or_else(|| {
        let mut names: Vec<&str> =
            configurations::all().iter().map(|configuration| configuration.name).collect();
        names.extend(layers::ALL.map(|layer| layer.name));
        format!("there is no such configuration; there are {}", names.join(", "))
    })
}

/// What can be checked.
#[derive(Clone)]
enum Wanted {
    Direct(Configuration),
    Layer(Layer),
}

fn wanted(name: &str) -> Result<Wanted, String> {
    layers::named(name).map(Wanted::Layer).map_or_else(|| configuration(name).map(Wanted::Direct), Ok)
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check { configurations, json, states_max } => check_all(configurations, json, states_max),
        Command::Explore { configuration, address } => {
            if let Err(error) = std::net::TcpListener::bind(address) {
                eprintln!("error: cannot listen on {address}: {error}");
                return ExitCode::from(2);
            }
            println!("{} at http://{address}", configuration.name);
            let _ = Replication::<Raft>::new(configuration).checker().serve(address);
            ExitCode::SUCCESS
        }
        Command::List => {
            for configuration in configurations::all() {
                println!("{:<14} {}", configuration.name, configuration.reason);
            }
            for layer in layers::ALL {
                println!("{:<14} {}", layer.name, layer.reason);
            }
            ExitCode::SUCCESS
        }
    }
}

fn check_all(mut wanted: Vec<Wanted>, json: bool, states_max: Option<NonZeroUsize>) -> ExitCode {
    if wanted.is_empty() {
        wanted = configurations::all().into_iter().map(Wanted::Direct).collect();
        wanted.extend(layers::ALL.into_iter().filter(|layer| !layer.is_long).map(Wanted::Layer));
    }
    if !json {
        println!("{}", Report::head());
    }
    let mut reports = Vec::new();
    for wanted in &wanted {
        let report = match wanted {
            Wanted::Direct(configuration) => check::<Raft>(configuration, states_max),
            Wanted::Layer(layer) => layer.check(states_max),
        };
        if !json {
            println!("{}", report.line());
        }
        reports.push(report);
    }
    if json {
        let objects: Vec<String> = reports.iter().map(Report::json).collect();
        println!("{{\"configurations\":[{}]}}", objects.join(","));
    } else if reports.len() > 1 {
        let states: usize = reports.iter().map(|report| report.distinct_states).sum();
        let seconds: f64 = reports.iter().map(|report| report.core_seconds).sum();
        let speed = states as f64 / seconds.max(1e-9);
        println!("{states} distinct states in {seconds:.1} core-seconds: {speed:.0} states/s and core");
    }
    // A violation says more than a truncation.
    let worst = |status| reports.iter().any(|report| report.status() == status);
    ExitCode::from(if worst(1) {
        1
    } else if worst(3) {
        3
    } else {
        0
    })
}
