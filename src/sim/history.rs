//! What clients asked and what they were told, in the order in which they saw it.

use alloc::vec::Vec;
use core::fmt;

use crate::raft::Bytes;

/// One operation of a client. Clients have one operation outstanding at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What was asked.
    pub call: Call,
    /// When, as a number of the history: no two calls or returns share one.
    pub invoked: u64,
    /// When the client was answered and how; nothing if it never learned the outcome. The operation may
    /// then have taken effect at any time after it was invoked, or never.
    pub returned: Option<(u64, Return)>,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A linearizable read of all of these keys at one moment.
    Read(Vec<Bytes>),
    /// If every key of `compares` has the given value (none: does not exist), do `then`, else `otherwise`.
    /// Atomic; no key is written twice in a list. A plain put has no compares.
    Write {
        /// What must hold.
        compares: Vec<(Bytes, Option<Bytes>)>,
        /// Done in order if all compares hold.
        then: Vec<Step>,
        /// Done in order otherwise.
        otherwise: Vec<Step>,
    },
}

/// A step of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value is unique in the history.
    Put(Bytes, Bytes),
    /// Nothing happens if the key does not exist.
    Delete(Bytes),
    /// The answer goes into [`Return::found`].
    Get(Bytes),
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// Whether every compare held; true for a read.
    pub succeeded: bool,
    /// The revision of the store after the operation, which is its own if it changed a key; nothing for a
    /// read past the log.
    pub revision: Option<u64>,
    /// For every key that was read, in the order of the call: what was there.
    pub found: Vec<(Bytes, Option<Found>)>,
}

/// A key as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its value.
    pub value: Bytes,
    /// The revision that created it.
    pub create_revision: u64,
    /// The revision that last put it.
    pub mod_revision: u64,
    /// How often it was put since it was created, from 1.
    pub version: u64,
}

impl Call {
    /// What must hold for the first list; nothing for a read.
    #[must_use]
    pub fn compares(&self) -> &[(Bytes, Option<Bytes>)] {
        match self {
            Call::Read(_) => &[],
            Call::Write { compares, .. } => compares,
        }
    }

    /// Every key that it is about, once or more often.
    pub fn keys(&self) -> impl Iterator<Item = &Bytes> {
        let written = matches!(self, Call::Write { .. }).then(|| self.steps(false));
        let steps = self.steps(true).chain(written.into_iter().flatten());
        self.compares().iter().map(|(key, _)| key).chain(steps.map(Doing::key))
    }

    /// What is done if all compares hold (`succeeded`) or otherwise. A read gets its keys either way.
    pub fn steps(&self, succeeded: bool) -> impl Iterator<Item = Doing<'_>> {
        let (read, written): (&[Bytes], &[Step]) = match self {
            Call::Read(keys) => (keys, &[]),
            Call::Write { then, .. } if succeeded => (&[], then),
            Call::Write { otherwise, .. } => (&[], otherwise),
        };
        read.iter().map(Doing::Get).chain(written.iter().map(|step| match step {
            Step::Put(key, value) => Doing::Put(key, value),
            Step::Delete(key) => Doing::Delete(key),
            Step::Get(key) => Doing::Get(key),
        }))
    }
}

/// A step of a write or a key of a read, borrowed from the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing<'a> {
    /// A key gets a value.
    Put(&'a Bytes, &'a Bytes),
    /// A key goes.
    Delete(&'a Bytes),
    /// A key is looked at.
    Get(&'a Bytes),
}

impl<'a> Doing<'a> {
    /// The key that it is about.
    #[must_use]
    pub fn key(self) -> &'a Bytes {
        match self {
            Doing::Put(key, _) | Doing::Delete(key) | Doing::Get(key) => key,
        }
    }
}

/// Whatever is in `items`, with `separator` between.
struct Joined<'a, T>(&'a [T], &'a str);

impl<T: fmt::Display> fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if nth == 0 { "" } else { self.1 })?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Put(key, value) => write!(f, "put {key:?}={value:?}"),
            Step::Delete(key) => write!(f, "delete {key:?}"),
            Step::Get(key) => write!(f, "get {key:?}"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Read(keys) => {
                f.write_str("read")?;
                keys.iter().try_for_each(|key| write!(f, " {key:?}"))
            }
            Call::Write { compares, then, otherwise } => {
                for (nth, (key, value)) in compares.iter().enumerate() {
                    f.write_str(if nth == 0 { "if " } else { " and " })?;
                    match value {
                        Some(value) => write!(f, "{key:?}={value:?}")?,
                        None => write!(f, "no {key:?}")?,
                    }
                }
                if !compares.is_empty() {
                    f.write_str(" then ")?;
                }
                write!(f, "{}", Joined(then, ", "))?;
                if !otherwise.is_empty() {
                    write!(f, " else {}", Joined(otherwise, ", "))?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found { value, create_revision, mod_revision, version } = self;
        write!(f, "{value:?} (created at {create_revision}, put at {mod_revision}, version {version})")
    }
}

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.succeeded { "succeeded" } else { "failed" })?;
        if let Some(revision) = self.revision {
            write!(f, " at {revision}")?;
        }
        for (key, found) in &self.found {
            match found {
                Some(found) => write!(f, ", {key:?}={found}")?,
                None => write!(f, ", no {key:?}")?,
            }
        }
        Ok(())
    }
}

/// On one line, for a message.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.returned {
            Some((at, answer)) => write!(f, "[{}..{at}] {}: {answer}", self.invoked, self.call),
            None => write!(f, "[{}..] {}: unknown", self.invoked, self.call),
        }
    }
}
