//! Teeth: that the proof is not empty, and that it fails where the protocol would.
//!
//! `smt/mutants.list` is a list of forms.
//!
//! ```text
//! (scope SORT SIZE …)                the elements of a finite instance, unless a mutant says otherwise
//! (witness FORMULA)                  what is asked of the state after an action that is to happen
//! (assume FORMULA)                   what is asked of the state before the step, in every instance
//! (mutant NAME ACTION CLAUSE…)       the action, changed
//! CLAUSE = (drop GUARD)              without this guard
//!        | (guard GUARD FORMULA)     with this in place of that guard
//!        | (keep RELATION)           without the update of it
//!        | (set RELATION (BINDER…) FORMULA)   with this update of it
//!        | (breaks NAME)             the invariant or step property that does not survive
//!        | (rule RULE…)              the rules of src/raft/rules.rs that say so in the code
//!        | (scope SORT SIZE …)
//! ```
//!
//! A mutant is refused if there is a state in which all invariants hold, from which a step of the changed
//! action leads to one where the named property does not: a counterexample to induction. It shows that
//! the proof rests on what was changed. It is not yet an execution, since nothing says that the state can be reached.
//!
//! What is assumed beyond the invariants is true of every state that can be reached, and outside of the decidable
//! fragment ("every node has a term"). It keeps the instances from being strange.
//!
//! A witness of an action is a state in which all invariants and the guards hold, and a step that
//! changes it into one of which the formula of the list is true.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::finite::{Instance, Sizes};
use crate::sexpr::{Expr, parse};
use crate::solver::{Answer, Solver};
use crate::spec::{Action, Named, Spec, Update, update};

/// In seconds, for one model.
const LIMIT: u32 = 120;

/// A change of an action.
#[derive(Clone, Debug)]
enum Edit {
    Drop(String),
    Guard(String, Expr),
    Keep(String),
    Set(String, Update),
}

/// An action, changed so that the proof fails.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// What goes wrong.
    pub name: String,
    /// Which action.
    pub action: String,
    /// The property that breaks.
    pub breaks: String,
    /// The rules of the core that it stands for.
    pub rules: Vec<String>,
    edits: Vec<Edit>,
    sizes: Sizes,
}

/// The list.
#[derive(Clone, Debug, Default)]
pub struct Teeth {
    /// The elements of an instance.
    pub sizes: Sizes,
    /// What is asked of the state after an action that is to happen.
    pub witness: Option<Expr>,
    /// What is asked of the state before the step.
    pub assumed: Vec<Expr>,
    /// The mutants.
    pub mutants: Vec<Mutant>,
}

fn sizes(rest: &[Expr]) -> Result<Sizes, String> {
    let pair = |pair: &[Expr]| match pair {
        [sort, size] => {
            let size = size.name()?.parse().map_err(|_| format!("{size} is no size"))?;
            Ok((sort.name()?.to_string(), size))
        }
        _ => Err("a sort has no size".to_string()),
    };
    rest.chunks(2).map(pair).collect()
}

impl Teeth {
    /// Reads the list for a spec.
    ///
    /// # Errors
    /// Says where it is none.
    pub fn read(path: &Path, spec: &Spec) -> Result<Teeth, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut teeth = Teeth::default();
        for (line, form) in parse(&text).map_err(|error| format!("{}: {error}", path.display()))? {
            teeth.add(&form, spec).map_err(|error| format!("{}:{line}: {error}", path.display()))?;
        }
        Ok(teeth)
    }

    fn add(&mut self, form: &Expr, spec: &Spec) -> Result<(), String> {
        match form.call() {
            Some(("scope", rest)) => self.sizes = sizes(rest)?,
            Some(("witness", [formula])) => self.witness = Some(spec.formula(formula)?),
            Some(("assume", [formula])) => self.assumed.push(spec.formula(formula)?),
            Some(("mutant", [name, action, clauses @ ..])) => {
                let mut mutant = Mutant {
                    name: name.name()?.to_string(),
                    action: action.name()?.to_string(),
                    breaks: String::new(),
                    rules: Vec::new(),
                    edits: Vec::new(),
                    sizes: self.sizes.clone(),
                };
                clauses.iter().try_for_each(|clause| mutant.add(clause, spec))?;
                if self.mutants.iter().any(|other| other.name == mutant.name) {
                    return Err(format!("{} is the name of two mutants", mutant.name));
                }
                // Read once here, so that a slip is found without a solver.
                mutant.spec(spec)?;
                mutant.broken(spec)?;
                self.mutants.push(mutant);
            }
            _ => return Err(format!("{form} is no form of the list")),
        }
        Ok(())
    }
}

impl Mutant {
    fn add(&mut self, clause: &Expr, spec: &Spec) -> Result<(), String> {
        match clause.call() {
            Some(("drop", [guard])) => self.edits.push(Edit::Drop(guard.name()?.to_string())),
            Some(("guard", [guard, formula])) => {
                self.edits.push(Edit::Guard(guard.name()?.to_string(), spec.formula(formula)?));
            }
            Some(("keep", [relation])) => self.edits.push(Edit::Keep(relation.name()?.to_string())),
            Some(("set", rest)) => {
                let (relation, (formals, body)) = update(rest)?;
                self.edits.push(Edit::Set(relation, (formals, spec.formula(&body)?)));
            }
            Some(("breaks", [name])) => self.breaks = name.name()?.to_string(),
            Some(("rule", rules)) => {
                self.rules =
                    rules.iter().map(|rule| rule.name().map(str::to_string)).collect::<Result<_, _>>()?;
            }
            Some(("scope", rest)) => self.sizes.extend(sizes(rest)?),
            _ => return Err(format!("{clause} is no clause of a mutant")),
        }
        Ok(())
    }

    /// The spec with the changed action.
    fn spec(&self, spec: &Spec) -> Result<Spec, String> {
        let mut spec = spec.clone();
        let action = spec.actions.iter_mut().find(|action| action.name == self.action);
        let action = action.ok_or_else(|| format!("{} is no action", self.action))?;
        self.edits.iter().try_for_each(|edit| edit.apply(action))?;
        spec.check()?;
        Ok(spec)
    }

    /// The property that breaks, and whether it is about one state.
    fn broken<'a>(&self, spec: &'a Spec) -> Result<(&'a Named, bool), String> {
        let invariants = spec.invariants.iter().map(|invariant| (invariant, true));
        let steps = spec.steps.iter().map(|step| (&step.property, false));
        let mut all = invariants.chain(steps);
        all.find(|(property, _)| property.name == self.breaks)
            .ok_or_else(|| format!("{} breaks {:?}, which is no invariant or step", self.name, self.breaks))
    }

    /// Takes the changes back; a counterexample must then not be found.
    pub fn undo(&mut self) {
        self.edits.clear();
    }

    /// Looks for a counterexample to induction.
    ///
    /// # Errors
    /// Says that there is none in this instance, or that the solver did not answer.
    pub fn refute(
        &self,
        spec: &Spec,
        teeth: &Teeth,
        solver: &Solver,
        stop: &AtomicBool,
    ) -> Result<String, String> {
        let changed = self.spec(spec)?;
        let (formula, is_invariant) = self.broken(&changed)?;
        let action = changed.action(&self.action).ok_or("the action is gone")?;
        let mut instance = Instance::new(&changed, &self.sizes)?;
        teeth.assumed.iter().for_each(|formula| instance.assume(formula, false));
        instance.take(action);
        instance.break_formula(formula, is_invariant);
        solve(&instance, solver, Some(formula), stop)
    }
}

impl Edit {
    fn apply(&self, action: &mut Action) -> Result<(), String> {
        let guards = &mut action.guards;
        let position = |name: &String| guards.iter().position(|(guard, _)| guard == name);
        match self {
            Edit::Drop(name) => {
                let at = position(name).ok_or_else(|| format!("{name} is no guard"))?;
                guards.remove(at);
            }
            Edit::Guard(name, formula) => {
                let at = position(name).ok_or_else(|| format!("{name} is no guard"))?;
                guards[at].1 = formula.clone();
            }
            Edit::Keep(name) => {
                action.updates.remove(name).ok_or_else(|| format!("{name} is not updated"))?;
            }
            Edit::Set(name, update) => {
                action.updates.insert(name.clone(), update.clone());
            }
        }
        Ok(())
    }
}

/// Looks for a state in which an action happens and changes something.
///
/// # Errors
/// Says that there is none in this instance, or that the solver did not answer.
pub fn witness(
    spec: &Spec,
    action: &Action,
    teeth: &Teeth,
    solver: &Solver,
    stop: &AtomicBool,
) -> Result<String, String> {
    let mut instance = Instance::new(spec, &teeth.sizes)?;
    teeth.assumed.iter().for_each(|formula| instance.assume(formula, false));
    instance.take(action);
    instance.assume_change();
    if let Some(formula) = &teeth.witness {
        instance.assume(formula, true);
    }
    solve(&instance, solver, None, stop)
}

fn solve(
    instance: &Instance<'_>,
    solver: &Solver,
    broken: Option<&Named>,
    stop: &AtomicBool,
) -> Result<String, String> {
    match solver.ask(&instance.question(), LIMIT, 0, stop) {
        (Answer::Sat, printed) => Ok(instance.describe(&instance.model(&printed)?, broken)),
        (Answer::Unsat, _) => Err("there is no such state of this size".to_string()),
        (Answer::None(why), _) => Err(why),
        (Answer::Interrupted, _) => Err("interrupted".to_string()),
    }
}
