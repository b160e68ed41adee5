//! What is kept of a failure: the shortest run that still shows it, as a scenario file that `dkv scenario`
//! plays.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sim::world::Failure;

/// Why there is no scenario file.
#[derive(Debug)]
pub(super) enum NotWritten {
    /// Nobody made the run shorter.
    NotShrunk,
    /// The file could not be written.
    Io(PathBuf, io::Error),
}

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotWritten::NotShrunk => f.write_str("not shrunk"),
            NotWritten::Io(path, error) => write!(f, "cannot write {}: {error}", path.display()),
        }
    }
}

/// Shrinks the failing run of a seed and writes it into the directory `out` as `seed-SEED.scn`.
pub(super) fn write_scenario(
    seed: u64,
    steps: u64,
    failure: &Failure,
    out: &Path,
) -> Result<PathBuf, NotWritten> {
    let script = shortest_script(seed, steps, failure).ok_or(NotWritten::NotShrunk)?;
    let path = out.join(format!("seed-{seed}.scn"));
    match fs::write(&path, script) {
        Ok(()) => Ok(path),
        Err(error) => Err(NotWritten::Io(path, error)),
    }
}

/// The text of the shortest run that fails as this one did. Nothing yet: whole runs are thousands of
/// actions, which as a scenario would help nobody.
fn shortest_script(_seed: u64, _steps: u64, _failure: &Failure) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_shorter_run_nothing_is_written() {
        let failure = Failure { name: "liveness", detail: "nobody leads".into(), step: 7 };
        let written = write_scenario(1, 100, &failure, Path::new("."));
        assert_eq!(written.map_err(|reason| reason.to_string()), Err("not shrunk".into()));
    }
}
