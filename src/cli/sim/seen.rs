//! What worlds brought about, as tables and as JSON, and what of it is missing.
//!
//! Counters are for whoever wonders whether a simulation that found nothing has looked. So nothing is left
//! out for being zero: what was never seen is listed by name, and what cannot be seen stands there with the
//! reason.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::observed::{self, Count, Outcomes};
use super::words::grouped;
use crate::sim::coverage::{Coverage, ROLES};

/// Everything that was counted.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) coverage: &'a Coverage,
    /// Nothing if rules were not counted.
    pub(super) rules: Option<&'a Outcomes>,
}

impl Seen<'_> {
    fn faults(&self) -> impl Iterator<Item = (String, u64)> {
        self.coverage.faults().map(|(fault, n)| (format!("{fault:?}"), n))
    }

    fn shapes(&self) -> impl Iterator<Item = (String, u64)> {
        self.coverage.shapes().map(|(shape, n)| (format!("{shape:?}"), n))
    }

    fn rules(&self) -> impl Iterator<Item = Count> {
        self.rules.into_iter().flat_map(Outcomes::counts)
    }

    fn pairs(&self) -> impl Iterator<Item = Count> {
        observed::taken(self.coverage).chain(self.rules())
    }

    /// Names of what did not occur and could have.
    pub(super) fn never(&self) -> Vec<String> {
        let single = self.faults().chain(self.shapes()).filter(|(_, n)| *n == 0).map(|(name, _)| name);
        let forwards = (self.coverage.forwards() == 0).then(|| "forwarded".to_string());
        let pairs = self.pairs().filter(Count::is_missing).map(|count| count.to_string());
        single.chain(forwards).chain(pairs).collect()
    }

    /// Names of what occurred and is said not to.
    pub(super) fn contradictions(&self) -> Vec<String> {
        self.pairs().filter(Count::is_contradiction).map(|count| count.to_string()).collect()
    }

    pub(super) fn json(&self) -> Value {
        let number = |(name, n): (String, u64)| (name, Value::from(n));
        json!({
            "faults": self.faults().map(number).collect::<Map<_, _>>(),
            "shapes": self.shapes().map(number).collect::<Map<_, _>>(),
            "taken": nested(observed::taken(self.coverage)),
            "forwards": self.coverage.forwards(),
            "rules": self.rules.map(|rules| nested(rules.counts())),
            "cannot_happen": self.pairs()
                .filter_map(|count| Some((count.to_string(), count.impossible?.into())))
                .collect::<Map<_, _>>(),
        })
    }

    pub(super) fn tables(&self) -> String {
        let mut text = String::new();
        for (title, counts) in
            [("faults", self.faults().collect()), ("shapes", self.shapes().collect::<Vec<_>>())]
        {
            let _ = writeln!(text, "\n{title}");
            for (name, n) in counts {
                let _ = writeln!(text, "  {name:<24}{:>15}", counted(n));
            }
        }
        let _ = write!(text, "\n{:<26}", "messages, by who took them");
        ROLES.iter().for_each(|role| _ = write!(text, "{role:>15}"));
        let mut kind = "";
        for count in observed::taken(self.coverage) {
            if count.of != kind {
                kind = count.of;
                let _ = write!(text, "\n  {kind:<24}");
            }
            let _ = write!(
                text,
                "{:>15}",
                if count.n == 0 && count.impossible.is_some() { "-".into() } else { counted(count.n) }
            );
        }
        let _ =
            writeln!(text, "\n  {:<24}{:>15}", "forwarded, by anybody", counted(self.coverage.forwards()));
        for count in observed::taken(self.coverage) {
            if let Some(reason) = count.impossible {
                let _ = writeln!(text, "  {count}: cannot happen: {reason}");
            }
        }
        if self.rules.is_some() {
            let _ = writeln!(text, "\nrules, by outcome");
        }
        for count in self.rules() {
            let name = count.to_string();
            let _ = match count.impossible {
                Some(reason) if count.n == 0 => writeln!(text, "  {name:<58} cannot happen: {reason}"),
                _ => writeln!(text, "  {name:<58}{:>15}", counted(count.n)),
            };
        }
        text
    }
}

/// Counts by what they are of, then by case.
fn nested(counts: impl Iterator<Item = Count>) -> Map<String, Value> {
    let mut nested = Map::new();
    for count in counts {
        let cases = nested.entry(count.of).or_insert_with(|| Value::Object(Map::new()));
        cases[count.case] = count.n.into();
    }
    nested
}

/// A count; nothing is so easily overlooked as a zero.
fn counted(n: u64) -> String {
    if n == 0 { "NEVER".into() } else { grouped(n) }
}
