//! Stateright's Explorer over a configuration: states as text, verdicts at the state shown, a sequence diagram
//! of the path, and links to saved paths.
//!
//! Left out: exhausting a configuration there; `cargo model check` does that a hundred times as fast.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use dkv::cluster::Shipped;
use stateright::Model;

use crate::bugs::{Bug, Injected, inject_everywhere};
use crate::configurations::Configuration;
use crate::letters::Subject;
use crate::memo::Stepping;
use crate::model::Replication;
use crate::trace::Trace;

/// Where `cargo model bugs --save` keeps what it finds.
pub const TRACES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/traces");

/// The saved paths, in the order of their names; what cannot be read is left out.
///
/// # Errors
/// The folder cannot be read.
pub fn saved_paths(folder: &Path) -> io::Result<Vec<(String, Trace)>> {
    let mut traces = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if path.extension().is_some_and(|extension| extension == "trace")
            && let Ok(trace) = fs::read_to_string(&path)?.parse()
        {
            traces.push((name.to_owned(), trace));
        }
    }
    traces.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(traces)
}

/// The saved path of a bug, if it was found by a configuration.
#[must_use]
pub fn saved_path_of(bug: Bug) -> Option<Trace> {
    let path = Path::new(TRACES).join(bug.name()).with_extension("trace");
    fs::read_to_string(path).ok()?.parse().ok()
}

/// Serves the Explorer until the process ends, after printing where, and the links of all saved paths
/// through this configuration under this bug.
///
/// # Errors
/// Nothing can listen at the address.
pub fn serve(configuration: Configuration, bug: Option<Bug>, address: SocketAddr) -> io::Result<()> {
    // The server of the Explorer panics if it cannot listen.
    drop(TcpListener::bind(address)?);
    match bug {
        None => println!("{} at http://{address}", configuration.name),
        Some(bug) => println!("{} with {bug} at http://{address}: {}", configuration.name, bug.summary()),
    }
    for (name, trace) in saved_paths(Path::new(TRACES)).unwrap_or_default() {
        if trace.configuration.name == configuration.name && (trace.bug == bug || bug.is_none()) {
            let hint = if trace.bug == bug { String::new() } else { format!("   (with --bug {name})") };
            let fragment = match trace.bug {
                None => trace.play::<Shipped>().fragment(),
                Some(bug) => crate::bugs::with_bug(Some(bug), || trace.play::<Injected>().fragment()),
            };
            println!("{name:<36} {} http://{address}{fragment}{hint}", trace.property);
        }
    }
    match bug {
        None => run::<Shipped>(configuration, address),
        Some(bug) => {
            // Threads that are not ours step and judge.
            inject_everywhere(bug).map_err(|other| io::Error::other(format!("{other} is served already")))?;
            run::<Injected>(configuration, address);
        }
    }
    Ok(())
}

fn run<P: Subject>(configuration: Configuration, address: SocketAddr) {
    let model = Replication::<P>::new(configuration, Stepping::Memoised).itemised();
    let _ = model.checker().serve(address);
}
