//! What a hunt came to: a line per bug for people, an object per bug for programs, a file per bug to keep.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Evidence, Found, Method, scenario};
use crate::bugs::Bug;

/// The head of the table of [`line()`]s.
#[must_use]
pub fn head() -> String {
    format!(
        "{:<36} {:<28} {:<30} {:>10} {:>6} {:>8}  seen in",
        "bug", "property", "found by", "searched", "steps", "seconds"
    )
}

/// One line.
#[must_use]
pub fn line(bug: Bug, found: Option<&Found>) -> String {
    let seen_in = if bug.seen_in().is_empty() { "–".to_owned() } else { bug.seen_in().join(", ") };
    match found {
        None => format!("{:<36} NOT FOUND", bug.name()),
        Some(found) => format!(
            "{:<36} {:<28} {:<30} {:>10} {:>6} {:>8.3}  {seen_in}",
            bug.name(),
            found.property,
            found.method.to_string(),
            found.searched,
            found.evidence.steps(),
            found.duration.as_secs_f64(),
        ),
    }
}

/// How many were found, the median time, the longest.
#[must_use]
pub fn summary(verdicts: &[(Bug, Option<Found>)], seconds: f64) -> String {
    let mut durations: Vec<f64> = verdicts
        .iter()
        .filter_map(|(_, found)| found.as_ref().map(|found| found.duration.as_secs_f64()))
        .collect();
    durations.sort_by(f64::total_cmp);
    let mut text = format!("{} of {} bugs found in {seconds:.0} s", durations.len(), verdicts.len());
    if let (Some(median), Some(most)) = (durations.get(durations.len() / 2), durations.last()) {
        let _ =
            write!(text, "; the search that found one took {median:.3} s in the median, at most {most:.1} s");
    }
    text
}

/// One JSON object. `is_complete` says that every search was made to its end.
#[must_use]
pub fn json(verdicts: &[(Bug, Option<Found>)], seconds: f64, is_complete: bool) -> Value {
    let bugs: Vec<Value> = verdicts.iter().map(|(bug, found)| json_of(*bug, found.as_ref())).collect();
    json!({ "seconds": seconds, "truncated": !is_complete, "bugs": bugs })
}

fn json_of(bug: Bug, found: Option<&Found>) -> Value {
    let mut object = json!({
        "name": bug.name(),
        "summary": bug.summary(),
        "seen_in": bug.seen_in(),
        "found": found.is_some(),
    });
    if let Some(found) = found {
        object["property"] = json!(found.property);
        object["detail"] = json!(found.detail);
        object["searched"] = json!(found.searched);
        object["steps"] = json!(found.evidence.steps());
        object["seconds"] = json!(found.duration.as_secs_f64());
        object["total_seconds"] = json!(found.total.as_secs_f64());
        match found.method {
            Method::Exhaustive(name) => object["configuration"] = json!(name),
            Method::Simulation(seed) => object["seed"] = json!(seed),
        }
    }
    object
}

/// Sees to it that evidence can be kept in a folder, before hours are spent on it.
///
/// # Errors
/// No file can be written there.
pub fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let probe = folder.join(".writable");
    fs::write(&probe, [])?;
    fs::remove_file(probe)
}

/// Keeps the evidence in a folder, as `NAME.trace` or `NAME.scn`, in place of what was there of this bug.
///
/// # Errors
/// The file cannot be written, or a simulated world does not fail when its actions are replayed.
pub fn save(found: &Found, folder: &Path) -> io::Result<PathBuf> {
    let (extension, other, text) = match &found.evidence {
        Evidence::Path(trace) => ("trace", "scn", trace.to_string()),
        Evidence::World { seed, failure } => {
            ("scn", "trace", scenario(found.bug, *seed, failure).map_err(io::Error::other)?)
        }
    };
    let path = folder.join(found.bug.name()).with_extension(extension);
    fs::write(&path, text)?;
    match fs::remove_file(path.with_extension(other)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(path),
    }
}
