//! A path through a configuration as a text: what `cargo model bugs` saves and `cargo model replay` plays.
//!
//! ```text
//! # A vote goes to disk only together with a new term.
//! configuration crash
//! bug vote-not-written
//! property vote_stability
//! fire Election of n0
//! deliver PreVote n0→n1
//! ```
//!
//! One action per line, as the Explorer names them. A line that begins with `#` is a remark. A path names
//! actions and not states, so it says the same after a change of what states hold, and says where it stops
//! when an action has become impossible.
//!
//! Left out: paths of the simulation, which are scenarios ([`dkv::cluster::scenario`]).

use std::fmt;
use std::str::FromStr;

use stateright::Model;

use crate::actions::Action;
use crate::bugs::Bug;
use crate::configurations::{self, Configuration};
use crate::converge;
use crate::letters::Subject;
use crate::memo::{Memo, Stepping};
use crate::model::Replication;
use crate::properties::Broken;
use crate::state::State;

/// Actions in a file; more are refused.
const ACTIONS_MAX: usize = 100_000;

/// A path through a configuration, and what is broken at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The configuration.
    pub configuration: Configuration,
    /// The bug under which the property breaks.
    pub bug: Option<Bug>,
    /// The name of the property.
    pub property: String,
    /// What happens, in order.
    pub actions: Vec<Action>,
}

/// A path that was played.
pub struct Played<P: Subject> {
    /// The state before each action and after the last.
    pub states: Vec<State<P>>,
    /// The position of each action among those that were possible.
    pub choices: Vec<usize>,
    /// How it ended.
    pub end: End,
}

/// How a path ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Every property holds in every state, and the last one converges.
    Holds,
    /// A property is broken in the last state.
    Broken(Broken),
    /// The next action is not possible.
    Impossible,
}

impl Trace {
    /// Plays the path under the rules of `P`, up to the first state that breaks a property or the first
    /// action that is not possible.
    #[must_use]
    pub fn play<P: Subject>(&self) -> Played<P> {
        let model = Replication::<P>::new(self.configuration.clone(), Stepping::Memoised);
        let mut states = model.init_states();
        let mut choices = Vec::new();
        for action in &self.actions {
            let state = states.last().expect("a model has an initial state");
            if state.violated.is_some() {
                break;
            }
            let mut possible = Vec::new();
            model.actions(state, &mut possible);
            let Some(choice) = possible.iter().position(|other| other == action) else {
                return Played { states, choices, end: End::Impossible };
            };
            let next = model.next_state(state, *action).expect("what is possible leads somewhere");
            choices.push(choice);
            states.push(next);
        }
        let last = states.last().expect("a model has an initial state");
        let broken = match &last.violated {
            Some(broken) => Some(Broken::clone(broken)),
            None => converge::healed(&mut Memo::new(Stepping::Plain), last).err(),
        };
        Played { end: broken.map_or(End::Holds, End::Broken), states, choices }
    }
}

impl<P: Subject> Played<P> {
    /// Where the Explorer shows the last state, behind the address that it serves.
    #[must_use]
    pub fn fragment(&self) -> String {
        let choices = [0].iter().chain(&self.choices);
        choices.fold("/#/steps".to_owned(), |fragment, choice| format!("{fragment}/{choice}"))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(bug) = self.bug {
            writeln!(f, "# {}", bug.summary())?;
        }
        writeln!(f, "configuration {}", self.configuration.name)?;
        if let Some(bug) = self.bug {
            writeln!(f, "bug {bug}")?;
        }
        writeln!(f, "property {}", self.property)?;
        self.actions.iter().try_for_each(|action| writeln!(f, "{action}"))
    }
}

/// Reads what [`Trace`] prints. Errors name the line.
impl FromStr for Trace {
    type Err = String;

    fn from_str(text: &str) -> Result<Trace, String> {
        let (mut configuration, mut bug, mut property) = (None, None, None);
        let mut actions = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            let at = |problem: String| format!("line {number}: {problem}");
            match line.split_once(' ') {
                _ if line.is_empty() || line.starts_with('#') => {}
                Some(("configuration", name)) => {
                    let known = configurations::named(name);
                    configuration = Some(known.ok_or_else(|| at(format!("no configuration `{name}`")))?);
                }
                Some(("bug", name)) => {
                    bug = Some(Bug::from_name(name).ok_or_else(|| at(format!("no bug `{name}`")))?);
                }
                Some(("property", name)) => property = Some(name.to_owned()),
                _ if actions.len() == ACTIONS_MAX => {
                    return Err(at(format!("more than {ACTIONS_MAX} actions")));
                }
                _ => actions.push(line.parse().map_err(at)?),
            }
        }
        let missing = |what: &str| format!("no line says `{what} NAME`");
        Ok(Trace {
            configuration: configuration.ok_or_else(|| missing("configuration"))?,
            bug,
            property: property.ok_or_else(|| missing("property"))?,
            actions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Acknowledged.\nconfiguration quick\nproperty no_panic\n\npropose at n0\n";

    #[test]
    fn a_trace_is_what_it_prints() {
        let trace: Trace = TEXT.parse().expect("it is well formed");
        assert_eq!(trace.actions, [Action::Propose { at: 0 }]);
        assert_eq!(trace.to_string().parse(), Ok(trace));
    }

    #[test]
    fn what_is_malformed_is_refused_with_its_line() {
        let refused = |text: &str| text.parse::<Trace>().expect_err("it is malformed");
        assert_eq!(refused(&TEXT.replace("quick", "slow")), "line 2: no configuration `slow`");
        assert_eq!(refused(&TEXT.replace("propose", "dispose")), "line 5: `dispose at n0` is no action");
        assert_eq!(refused("propose at n0"), "no line says `configuration NAME`");
        assert_eq!(refused("configuration quick"), "no line says `property NAME`");
    }

    #[test]
    fn a_path_stops_at_what_is_impossible() {
        let text = format!("{TEXT}propose at n1\n");
        let trace: Trace = text.parse().expect("it is well formed");
        let played = trace.play::<dkv::cluster::Shipped>();
        assert_eq!((played.end, played.choices.len(), played.states.len()), (End::Impossible, 1, 2));
    }
}
