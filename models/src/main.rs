//! `cargo model`: checks the models, shows them in a browser, measures their speed.

use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use dkv::cluster::Shipped;
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::ceiling;
use dkv_models::check::{Report, check_all};
use dkv_models::configurations::{self, Configuration, Set};
use dkv_models::memo::Stepping;
use dkv_models::model::Replication;
use dkv_models::progress::{Watch, peak_bytes, process_seconds};
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
        #[command(flatten)]
        selection: Selection,
        /// Print one JSON object with the reports.
        #[arg(long)]
        json: bool,
        /// Stop a configuration after this many generated states; it is then truncated.
        #[arg(long, value_name = "COUNT")]
        states_max: Option<NonZeroUsize>,
    },
    /// Serves stateright's Explorer.
    Explore {
        /// The configuration to look at.
        #[arg(value_name = "NAME", value_parser = name, default_value = "replication")]
        configuration: &'static str,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:3000")]
        address: SocketAddr,
    },
    /// Lists the configurations.
    List,
    /// Measures the speed of a set against that of the checker with a model that computes nothing.
    Bench {
        #[command(flatten)]
        selection: Selection,
    },
}

/// Which configurations, and how many at a time.
#[derive(Args)]
struct Selection {
    /// Only this configuration; may be given several times.
    #[arg(long = "config", value_name = "NAME", value_parser = name)]
    configurations: Vec<&'static str>,
    /// The small set of every test run, instead of that of every merge.
    #[arg(long, conflicts_with_all = ["deep", "configurations"])]
    quick: bool,
    /// The large set.
    #[arg(long, conflicts_with = "configurations")]
    deep: bool,
    /// How many configurations run side by side; as many as there are cores unless told.
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,
    /// Plant this bug.
    #[arg(long, value_name = "NAME", value_parser = bug)]
    bug: Option<Bug>,
}

impl Selection {
    fn configurations(&self) -> Vec<Configuration> {
        if !self.configurations.is_empty() {
            return self.configurations.iter().filter_map(|name| configurations::named(name)).collect();
        }
        configurations::of_set(match (self.quick, self.deep) {
            (true, _) => Set::Quick,
            (false, true) => Set::Deep,
            (false, false) => Set::Ci,
        })
    }

    fn threads(&self) -> NonZeroUsize {
        self.threads.or(std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }
}

/// What a whole run came to.
struct Run {
    reports: Vec<Report>,
    seconds: f64,
    core_seconds: f64,
}

impl Run {
    fn states(&self) -> usize {
        self.reports.iter().map(|report| report.distinct_states).sum()
    }

    /// Distinct states per second and core.
    fn speed(&self) -> f64 {
        self.states() as f64 / self.core_seconds.max(1e-9)
    }

    fn summary(&self) -> String {
        let peak = peak_bytes().map_or(String::new(), |bytes| format!(", at most {} MiB", bytes >> 20));
        format!(
            "{} distinct states in {:.1} s and {:.1} core-seconds: {:.0} states/s and core{peak}",
            self.states(),
            self.seconds,
            self.core_seconds,
            self.speed()
        )
    }

    fn json(&self) -> String {
        let objects: Vec<String> = self.reports.iter().map(Report::json).collect();
        format!(
            "{{\"distinct_states\":{},\"seconds\":{:.3},\"core_seconds\":{:.2},\"states_per_second\":{:.0},\"peak_bytes\":{},\
             \"truncated\":{},\"configurations\":[{}]}}",
            self.states(),
            self.seconds,
            self.core_seconds,
            self.speed(),
            peak_bytes().map_or("null".to_owned(), |bytes| bytes.to_string()),
            self.reports.iter().any(|report| report.status() == 3),
            objects.join(",")
        )
    }

    /// A violation says more than a truncation.
    fn status(&self) -> u8 {
        let worst = |status| self.reports.iter().any(|report| report.status() == status);
        if worst(1) {
            1
        } else if worst(3) {
            3
        } else {
            0
        }
    }
}

fn name(name: &str) -> Result<&'static str, String> {
    configurations::named(name).map(|configuration| configuration.name).ok_or_else(|| {
        let names: Vec<&str> = configurations::all().iter().map(|configuration| configuration.name).collect();
        format!("there is no such configuration; there are {}", names.join(", "))
    })
}

fn bug(name: &str) -> Result<Bug, String> {
    Bug::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        format!("there is no such bug; there are {}", names.join(", "))
    })
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check { selection, json, states_max } => {
            if !json {
                say(&Report::head());
            }
            let run = run(&selection, states_max, |report| {
                if !json {
                    say(&report.line());
                }
            });
            say(&if json { run.json() } else { run.summary() });
            ExitCode::from(run.status())
        }
        Command::Explore { configuration, address } => {
            if let Err(error) = std::net::TcpListener::bind(address) {
                eprintln!("error: cannot listen on {address}: {error}");
                return ExitCode::from(2);
            }
            let Some(configuration) = configurations::named(configuration) else { return ExitCode::from(2) };
            say(&format!("{} at http://{address}", configuration.name));
            let _ = Replication::<Shipped>::new(configuration, Stepping::Memoised)
                .itemised()
                .checker()
                .serve(address);
            ExitCode::SUCCESS
        }
        Command::Bench { selection } => {
            let ceiling = ceiling::measure();
            say(&ceiling.to_string());
            let run = run(&selection, None, |_| {});
            say(&run.summary());
            say(&format!("{:.0} % of the ceiling", 100.0 * run.speed() / ceiling.speed()));
            ExitCode::from(run.status())
        }
        Command::List => {
            for Configuration { name, set, reason, .. } in configurations::all() {
                say(&format!("{name:<16} {:<6} {reason}", format!("{set:?}").to_lowercase()));
            }
            ExitCode::SUCCESS
        }
    }
}

/// Whoever closed standard output does not want to know.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Runs what is selected, tells on standard error how far it is, and ends early when it is interrupted.
fn run(selection: &Selection, states_max: Option<NonZeroUsize>, on_report: impl Fn(&Report) + Sync) -> Run {
    let watch = Arc::new(Watch::default());
    let on_interrupt = watch.clone();
    if let Err(error) = ctrlc::set_handler(move || {
        if on_interrupt.is_stopped() {
            std::process::exit(3);
        }
        on_interrupt.stop();
    }) {
        eprintln!("an interrupt will end this without a report: {error}");
    }
    let (start, start_core) = (Instant::now(), process_seconds());
    let (wanted, threads) = (selection.configurations(), selection.threads());
    let reports = watch.narrating(|| match selection.bug {
        None => check_all::<Shipped>(&wanted, states_max, threads, &watch, on_report),
        bug => with_bug(bug, || check_all::<Injected>(&wanted, states_max, threads, &watch, on_report)),
    });
    let seconds = start.elapsed().as_secs_f64();
    let core_seconds = process_seconds().zip(start_core).map_or(seconds, |(end, start)| end - start);
    Run { reports, seconds, core_seconds }
}
