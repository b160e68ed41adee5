//! Hints: which hypotheses a solver needed when it last proved a condition.
//!
//! A hint is an unsatisfiable core, recorded by `cargo prove --record`. With only these hypotheses the same
//! condition is proved again in a fraction of the time. Leaving hypotheses out can make a proof fail and cannot
//! make one succeed that should not, so a hint that is stale, wrong or missing costs time, because the condition
//! is then tried with everything: nothing that a hint says is believed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The hypotheses of each condition, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints(BTreeMap<String, BTreeSet<String>>);

impl Hints {
    /// Reads a file of lines `condition: hypothesis…`. One that does not exist holds no hints.
    ///
    /// # Errors
    /// Says why it cannot be read.
    pub fn read(path: &Path) -> Result<Hints, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Hints::parse(&text).map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Hints::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    fn parse(text: &str) -> Result<Hints, String> {
        let lines = text.lines().map(|line| {
            let (goal, names) = line.split_once(':').ok_or_else(|| format!("{line:?} is no hint"))?;
            Ok((goal.to_string(), names.split_whitespace().map(str::to_string).collect()))
        });
        Ok(Hints(lines.collect::<Result<_, String>>()?))
    }

    /// As the text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |(goal, names): (&String, &BTreeSet<String>)| {
            let names: String = names.iter().map(|name| format!(" {name}")).collect();
            format!("{goal}:{names}\n")
        };
        self.0.iter().map(line).collect()
    }

    /// The hypotheses for the condition of this name.
    #[must_use]
    pub fn get(&self, goal: &str) -> Option<&BTreeSet<String>> {
        self.0.get(goal)
    }

    /// Notes the hypotheses of a condition.
    pub fn insert(&mut self, goal: String, names: BTreeSet<String>) {
        self.0.insert(goal, names);
    }

    /// The conditions and their hypotheses.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &BTreeSet<String>)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let hints = Hints::parse("a b: c d\ne:\n").expect("well formed");
        assert_eq!(hints.text(), "a b: c d\ne:\n");
        assert_eq!(hints.get("e"), Some(&BTreeSet::new()));
        assert!(Hints::parse("no colon").is_err());
    }
}
