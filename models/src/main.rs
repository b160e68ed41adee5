//! `cargo model`: checks the models, shows them in a browser, measures their speed.

mod saved;

use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use dkv::cluster::Shipped;
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::check::{Report, check_all};
use dkv_models::configurations::{self, Configuration, Set};
use dkv_models::hunt::{self, table};
use dkv_models::layers::{self, Layer};
use dkv_models::progress::{Watch, peak_bytes, process_seconds};
use dkv_models::simulate::{self, Bound, simulate};
use dkv_models::{ceiling, explorer};
use serde_json::{Value, json};

/// Walks make and drop a member at every other step. Sets of states are in large pages where the environment allows it
/// (`.cargo/config.toml`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Walks at random through what is too large to be exhausted. Exit status: 0 nothing broke, 1 something did or
    /// what is to be met was not, 2 bad arguments, 3 interrupted.
    Simulate(Simulation),
    /// Looks for every injected bug. Exit status: 0 all found, 1 not all, 2 bad arguments, 3 interrupted.
    Bugs {
        /// Only these bugs.
        #[arg(value_name = "NAME", value_parser = bug)]
        bugs: Vec<Bug>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
        /// Keep what is found in this folder: paths as NAME.trace, simulated worlds as NAME.scn.
        #[arg(long, value_name = "FOLDER")]
        save: Option<PathBuf>,
        /// How many bugs are looked for side by side; as many as there are cores unless told.
        #[arg(long, value_name = "COUNT")]
        threads: Option<NonZeroUsize>,
    },
    /// Serves stateright's Explorer, and prints the links of saved paths.
    Explore {
        /// The configuration to look at; that of the bug's saved path, or `replication`.
        #[arg(value_name = "CONFIG", value_parser = direct_name)]
        configuration: Option<&'static str>,
        /// The replicas have this bug.
        #[arg(long, value_name = "NAME", value_parser = bug)]
        bug: Option<Bug>,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:3000")]
        address: SocketAddr,
    },
    /// Plays a saved path or scenario step by step, and prints where the Explorer shows a path. Exit status: 0
    /// it ends as it says, 1 it does not, 2 it cannot be read.
    Replay {
        /// A file that `bugs --save` wrote; or the name of a bug.
        #[arg(value_name = "TRACE")]
        file: PathBuf,
        /// Play it with the rules that ship, under which every property must hold.
        #[arg(long)]
        shipped: bool,
        /// Print the state after every step.
        #[arg(long)]
        states: bool,
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
    /// Only this configuration or layer; may be given several times.
    #[arg(long = "config", value_name = "NAME", value_parser = any_name)]
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

/// Random walks.
#[derive(Args)]
struct Simulation {
    /// These configurations, of any set; those for simulation if there are none.
    #[arg(value_name = "CONFIG", value_parser = direct_name)]
    configurations: Vec<&'static str>,
    /// The same seed makes the same walks, on any number of threads.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Steps in each configuration.
    #[arg(long, value_name = "COUNT", default_value_t = 5_000_000)]
    steps: u64,
    /// Seconds in each configuration, instead of steps.
    #[arg(long, value_name = "COUNT", conflicts_with = "steps")]
    seconds: Option<u64>,
    /// Plant this bug.
    #[arg(long, value_name = "NAME", value_parser = bug)]
    bug: Option<Bug>,
    /// How many threads; as many as there are cores unless told.
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,
    /// Print one JSON object with the reports.
    #[arg(long)]
    json: bool,
    /// Where the path of a violation is kept, for `replay`.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    save: PathBuf,
}

impl Simulation {
    fn configurations(&self) -> Vec<Configuration> {
        let is_wanted = |configuration: &Configuration| match self.configurations.as_slice() {
            [] => configuration.set == Set::Simulation,
            names => names.contains(&configuration.name),
        };
        configurations::all().into_iter().filter(is_wanted).collect()
    }

    /// Walks through one configuration after the other, and returns the exit status.
    fn run(&self) -> u8 {
        let watch = Arc::new(Watch::default());
        stop_when_interrupted(&watch);
        let bound = self
            .seconds
            .map_or(Bound::Steps(self.steps), |seconds| Bound::Time(Duration::from_secs(seconds)));
        let threads = self.threads.unwrap_or_else(cores);
        if !self.json {
            say(&simulate::Report::head());
        }
        let mut reports = Vec::new();
        for configuration in self.configurations() {
            if watch.is_stopped() {
                break;
            }
            let report = match self.bug {
                None => simulate::<Shipped>(&configuration, self.seed, bound, threads, &watch),
                bug => {
                    with_bug(bug, || simulate::<Injected>(&configuration, self.seed, bound, threads, &watch))
                }
            };
            if !self.json {
                say(&report.line());
            }
            match report.save(&self.save) {
                Ok(None) => {}
                Ok(Some(path)) => eprintln!("`cargo model replay {}` plays it", path.display()),
                Err(error) => eprintln!("the path is not kept: {error}"),
            }
            reports.push(report);
        }
        if self.json {
            say(&simulate::json(&reports).to_string());
        }
        let worst = |status| reports.iter().any(|report| report.status() == status);
        if worst(1) {
            1
        } else if worst(3) || watch.is_stopped() {
            3
        } else {
            0
        }
    }
}

impl Selection {
    fn set(&self) -> Set {
        match (self.quick, self.deep) {
            (true, _) => Set::Quick,
            (false, true) => Set::Deep,
            (false, false) => Set::Ci,
        }
    }

    fn configurations(&self) -> Vec<Configuration> {
        if !self.configurations.is_empty() {
            return self.configurations.iter().filter_map(|name| configurations::named(name)).collect();
        }
        configurations::of_set(self.set())
    }

    /// The models above the direct one.
    fn layers(&self) -> Vec<Layer> {
        if !self.configurations.is_empty() {
            return self.configurations.iter().filter_map(|name| layers::named(name)).collect();
        }
        layers::ALL.into_iter().filter(|layer| layer.set <= self.set()).collect()
    }

    /// A layer that is asked for with a bug, which it cannot have.
    fn layer_without_bugs(&self) -> Option<&'static str> {
        let mut asked = self.configurations.iter().filter_map(|name| layers::named(name));
        asked.next().filter(|_| self.bug.is_some()).map(|layer| layer.name)
    }

    fn threads(&self) -> NonZeroUsize {
        self.threads.unwrap_or_else(cores)
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

    fn json(&self) -> Value {
        json!({
            "distinct_states": self.states(),
            "seconds": self.seconds,
            "core_seconds": self.core_seconds,
            "states_per_second": self.speed(),
            "peak_bytes": peak_bytes(),
            "truncated": self.reports.iter().any(|report| report.status() == 3),
            "configurations": self.reports.iter().map(Report::json).collect::<Vec<_>>(),
        })
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

/// The name of a configuration of the direct model.
fn direct_name(wanted: &str) -> Result<&'static str, String> {
    match layers::named(wanted) {
        Some(_) => Err("it is not of the direct model, and `check` takes it".to_owned()),
        None => name(wanted),
    }
}

/// The name of a configuration that can be exhausted, or of a layer.
fn any_name(wanted: &str) -> Result<&'static str, String> {
    if configurations::named(wanted).is_some_and(|configuration| configuration.set == Set::Simulation) {
        return Err("it is too large to be exhausted; `simulate` takes it".to_owned());
    }
    let names = || layers::ALL.iter().map(|layer| layer.name);
    let layer = names().find(|name| *name == wanted);
    layer.map_or_else(
        || name(wanted).map_err(|error| format!("{error}, {}", names().collect::<Vec<_>>().join(", "))),
        Ok,
    )
}

fn bug(name: &str) -> Result<Bug, String> {
    Bug::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        format!("there is no such bug; there are {}", names.join(", "))
    })
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check { selection, json, states_max } => {
            if let Some(layer) = selection.layer_without_bugs() {
                eprintln!("error: bugs are planted in the direct model, and {layer} is another");
                return ExitCode::from(2);
            }
            if !json {
                say(&Report::head());
            }
            let run = run(&selection, states_max, |report| {
                if !json {
                    say(&report.line());
                }
            });
            say(&if json { run.json().to_string() } else { run.summary() });
            ExitCode::from(run.status())
        }
        Command::Simulate(simulation) => ExitCode::from(simulation.run()),
        Command::Bugs { bugs, json, save, threads } => {
            ExitCode::from(hunt_all(bugs, json, save.as_deref(), threads.unwrap_or_else(cores)))
        }
        Command::Explore { configuration, bug, address } => {
            let saved = bug.and_then(explorer::saved_path_of).map(|trace| trace.configuration);
            let named = configuration.and_then(configurations::named);
            let Some(configuration) = named.or(saved).or_else(|| configurations::named("replication")) else {
                return ExitCode::from(2);
            };
            match explorer::serve(configuration, bug, address) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("error: cannot serve at {address}: {error}");
                    ExitCode::from(2)
                }
            }
        }
        Command::Replay { file, shipped, states } => ExitCode::from(saved::play(&file, shipped, states)),
        Command::Bench { selection } => {
            let known =
                selection.configurations().into_iter().filter_map(|configuration| configuration.pinned);
            let ceiling = ceiling::measure(known.map(|(states, _)| states).max().unwrap_or(0));
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
            for Layer { name, set, reason, .. } in layers::ALL {
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

/// The first interrupt ends what is watched, the second the process.
fn stop_when_interrupted(watch: &Arc<Watch>) {
    let watch = watch.clone();
    if let Err(error) = ctrlc::set_handler(move || {
        if watch.is_stopped() {
            std::process::exit(3);
        }
        watch.stop();
    }) {
        eprintln!("an interrupt will end this without a report: {error}");
    }
}

/// Looks for bugs, and returns the exit status.
fn hunt_all(bugs: Vec<Bug>, json: bool, save: Option<&Path>, threads: NonZeroUsize) -> u8 {
    if let Some(folder) = save
        && let Err(error) = table::prepare(folder)
    {
        eprintln!("nothing can be kept in {}: {error}", folder.display());
        return 2;
    }
    let watch = Arc::new(Watch::default());
    stop_when_interrupted(&watch);
    let bugs = if bugs.is_empty() { hunt::quarry() } else { bugs };
    if !json {
        say(&table::head());
    }
    let start = Instant::now();
    let (done, unsaved) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let verdicts = hunt::hunt_all(
        &bugs,
        threads,
        || watch.is_stopped(),
        |bug, found| {
            // A search that was interrupted says nothing.
            let is_known = found.is_some() || !watch.is_stopped();
            if !json && is_known {
                say(&table::line(bug, found));
            }
            if let (Some(found), Some(folder)) = (found, save)
                && let Err(error) = table::save(found, folder)
            {
                eprintln!("{bug} is not kept: {error}");
                unsaved.fetch_add(1, Ordering::Relaxed);
            }
            let done = 1 + done.fetch_add(1, Ordering::Relaxed);
            eprintln!("tried {done} of {} bugs in {:.0} s", bugs.len(), start.elapsed().as_secs_f64());
        },
    );
    let seconds = start.elapsed().as_secs_f64();
    say(&if json {
        table::json(&verdicts, seconds, !watch.is_stopped()).to_string()
    } else {
        let end = if watch.is_stopped() { "interrupted: " } else { "" };
        format!("{end}{}", table::summary(&verdicts, seconds))
    });
    let are_all_found = verdicts.iter().all(|(_, found)| found.is_some());
    match (are_all_found && unsaved.into_inner() == 0, watch.is_stopped()) {
        (true, _) => 0,
        (false, true) => 3,
        (false, false) => 1,
    }
}

/// Runs what is selected, tells on standard error how far it is, and ends early when it is interrupted.
fn run(selection: &Selection, states_max: Option<NonZeroUsize>, on_report: impl Fn(&Report) + Sync) -> Run {
    let watch = Arc::new(Watch::default());
    stop_when_interrupted(&watch);
    let (start, start_core) = (Instant::now(), process_seconds());
    let (wanted, threads) = (selection.configurations(), selection.threads());
    let layers = if selection.bug.is_none() { selection.layers() } else { Vec::new() };
    let reports = watch.narrating(|| {
        let check = || match selection.bug {
            None => check_all::<Shipped>(&wanted, states_max, threads, &watch, &on_report),
            Some(_) => check_all::<Injected>(&wanted, states_max, threads, &watch, &on_report),
        };
        let mut reports = with_bug(selection.bug, check);
        for layer in layers {
            eprintln!("{}: {}", layer.name, layer.reason);
            let report = layer.check(states_max, &watch);
            on_report(&report);
            reports.push(report);
        }
        reports
    });
    let seconds = start.elapsed().as_secs_f64();
    let core_seconds = process_seconds().zip(start_core).map_or(seconds, |(end, start)| end - start);
    Run { reports, seconds, core_seconds }
}
