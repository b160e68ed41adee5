//! Verification conditions: what must be unsatisfiable for the spec to be proved.
//!
//! - every invariant holds initially (`init`), and is kept by every action (consecution);
//! - every lemma of an action follows from the state before it and its guards;
//! - every step property holds of every action;
//! - every theorem follows from the invariants.
//!
//! Each condition asserts what may be assumed and the negation of its goal, with Skolem constants for
//! the goal's variables (`x@goal`) and the action's parameters (`x@action`). The state afterwards is not a set of
//! unknowns: each symbol `f+` is defined by the update of `f`, so that no frame axioms are needed.
//!
//! What a goal may use: axioms, definitions and guards always; all invariants and theorems of the state before;
//! the lemmas of the action, in order; step properties, in order. So a lemma never rests on itself. Hypotheses
//! can be left out, which makes a proof harder and never wrong: that is all that [`hints`](crate::hints) do.
//!
//! A condition of an action that changes nothing an invariant speaks of holds by frame and is not made.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::sexpr::Expr;
use crate::spec::{Action, Binder, Named, Spec, Update, binders};

/// What a condition is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Goal {
    /// An invariant holds initially.
    Init(String),
    /// A lemma holds of every step of an action.
    Lemma(String, String),
    /// A step property holds of every step of an action.
    Step(String, String),
    /// An action keeps an invariant.
    Keeps(String, String),
    /// A theorem follows.
    Theorem(String),
}

impl Goal {
    /// The action, `init` or `theorem`: the line of the report that it belongs to.
    #[must_use]
    pub fn group(&self) -> &str {
        match self {
            Goal::Init(_) => "init",
            Goal::Lemma(action, _) | Goal::Step(action, _) | Goal::Keeps(action, _) => action,
            Goal::Theorem(_) => "theorem",
        }
    }

    /// The formula.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Goal::Init(name)
            | Goal::Theorem(name)
            | Goal::Lemma(_, name)
            | Goal::Step(_, name)
            | Goal::Keeps(_, name) => name,
        }
    }

    /// The kind of formula.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Goal::Init(_) | Goal::Keeps(..) => "invariant",
            Goal::Lemma(..) => "lemma",
            Goal::Step(..) => "step",
            Goal::Theorem(_) => "theorem",
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::Lemma(..) | Goal::Step(..) => write!(f, "{} {} {}", self.group(), self.kind(), self.name()),
            _ => write!(f, "{} {}", self.group(), self.name()),
        }
    }
}

/// A goal with all that a solver needs to know.
pub struct Condition {
    declarations: Vec<String>,
    /// What the state is afterwards.
    pub(crate) updates: HashMap<String, Update>,
    /// Names and formulas; the negated goal is the last.
    pub(crate) assertions: Vec<(String, Expr)>,
}

impl Condition {
    /// As SMT-LIB text, which asks for an unsatisfiable core if `core`.
    #[must_use]
    pub fn text(&self, core: bool) -> String {
        let mut text = String::new();
        if core {
            text.push_str("(set-option :produce-unsat-cores true)\n");
        }
        text.push_str("(set-logic UF)\n");
        for declaration in &self.declarations {
            text.push_str(declaration);
            text.push('\n');
        }
        for (name, formula) in &self.assertions {
            text.push_str(&format!("(assert (! {formula} :named {name}))\n"));
        }
        text.push_str("(check-sat)\n");
        if core {
            text.push_str("(get-unsat-core)\n");
        }
        text
    }
}

/// Goals to be proved, and how many conditions hold by frame.
#[must_use]
pub fn goals(spec: &Spec) -> (Vec<Goal>, usize) {
    let (mut goals, mut frames) = (Vec::new(), 0);
    goals.extend(spec.invariants.iter().map(|invariant| Goal::Init(invariant.name.clone())));
    for action in &spec.actions {
        let name = || action.name.clone();
        goals.extend(action.lemmas.iter().map(|lemma| Goal::Lemma(name(), lemma.name.clone())));
        let steps = spec.steps.iter().filter(|step| !step.except.contains(&action.name));
        goals.extend(steps.map(|step| Goal::Step(name(), step.property.name.clone())));
        for invariant in &spec.invariants {
            if spec.is_frame(action, &invariant.body) {
                frames += 1;
            } else {
                goals.push(Goal::Keeps(name(), invariant.name.clone()));
            }
        }
    }
    goals.extend(spec.theorems.iter().map(|theorem| Goal::Theorem(theorem.name.clone())));
    (goals, frames)
}

type Values = HashMap<String, Expr>;

/// Replaces variables, and names state symbols as they are afterwards where `post` says so.
fn instantiate(spec: &Spec, expr: &Expr, values: &Values, post: bool) -> Expr {
    match expr {
        Expr::Atom(name) => match values.get(name) {
            Some(value) => value.clone(),
            None if post && (spec.state_symbol(name).is_some() || spec.derived(name).is_some()) => {
                Expr::atom(format!("{name}+"))
            }
            None => expr.clone(),
        },
        Expr::List(items) => match expr.call() {
            Some(("post", [part])) => instantiate(spec, part, values, true),
            Some(("forall" | "exists", [variables, body])) => {
                let mut inner = values.clone();
                for (name, _) in binders(variables).unwrap_or_default() {
                    inner.remove(&name);
                }
                let body = instantiate(spec, body, &inner, post);
                Expr::List(vec![items[0].clone(), variables.clone(), body])
            }
            _ => Expr::List(items.iter().map(|item| instantiate(spec, item, values, post)).collect()),
        },
    }
}

fn binder_list(binders: &[Binder]) -> Expr {
    Expr::List(binders.iter().map(|(name, sort)| Expr::apply(name, [Expr::atom(sort)])).collect())
}

fn closed(binders: &[Binder], body: Expr) -> Expr {
    if binders.is_empty() { body } else { Expr::apply("forall", [binder_list(binders), body]) }
}

fn sorts_of(binders: &[Binder]) -> String {
    binders.iter().map(|(_, sort)| sort.as_str()).collect::<Vec<_>>().join(" ")
}

struct Builder<'a> {
    spec: &'a Spec,
    hypotheses: Option<&'a BTreeSet<String>>,
    condition: Condition,
}

/// The condition of a goal; with only these hypotheses among the optional ones, if any are given.
///
/// Panics if the spec has no such goal.
#[must_use]
pub fn condition(spec: &Spec, goal: &Goal, hypotheses: Option<&BTreeSet<String>>) -> Condition {
    let condition = Condition { declarations: Vec::new(), updates: HashMap::new(), assertions: Vec::new() };
    let mut builder = Builder { spec, hypotheses, condition };
    builder.vocabulary();
    let (one_state, no_values) = (Values::new(), Values::new());
    let find = |formulas: &[Named], name: &str| {
        formulas.iter().find(|formula| formula.name == name).cloned().expect("the goal is of this spec")
    };
    match goal {
        Goal::Init(name) => {
            for (at, init) in spec.inits.iter().enumerate() {
                builder.assume(format!("init{at}"), instantiate(spec, init, &one_state, false));
            }
            builder.refute(&find(&spec.invariants, name), no_values, false);
        }
        Goal::Theorem(name) => {
            builder.state_before(Some(name));
            builder.refute(&find(&spec.theorems, name), no_values, false);
        }
        Goal::Lemma(action, _) | Goal::Step(action, _) | Goal::Keeps(action, _) => {
            let action = spec.action(action).expect("the goal is of this spec");
            let parameters = builder.step(action);
            builder.state_before(None);
            builder.known_of_step(action, &parameters, goal);
            match goal {
                Goal::Lemma(_, name) => builder.refute(&find(&action.lemmas, name), parameters, false),
                Goal::Step(_, name) => {
                    let step = spec.steps.iter().find(|step| step.property.name == *name);
                    let property = &step.expect("the goal is of this spec").property;
                    builder.refute(property, no_values, false);
                }
                _ => builder.refute(&find(&spec.invariants, goal.name()), no_values, true),
            }
        }
    }
    builder.condition
}

impl Builder<'_> {
    fn declare(&mut self, declaration: String) {
        self.condition.declarations.push(declaration);
    }

    fn assume(&mut self, name: String, formula: Expr) {
        self.condition.assertions.push((name, formula));
    }

    fn wanted(&self, name: &str) -> bool {
        self.hypotheses.is_none_or(|wanted| wanted.contains(name))
    }

    fn vocabulary(&mut self) {
        let spec = self.spec;
        for sort in &spec.sorts {
            self.declare(format!("(declare-sort {sort} 0)"));
        }
        for symbol in spec.immutable.iter().chain(&spec.state) {
            let arguments = symbol.arguments.join(" ");
            self.declare(format!("(declare-fun {} ({arguments}) {})", symbol.name, symbol.result));
        }
        for axiom in &spec.axioms {
            let formula = closed(&axiom.binders, axiom.body.clone());
            self.assume(format!("axiom.{}", axiom.name), formula);
        }
        self.define_derived(false);
    }

    fn define_derived(&mut self, post: bool) {
        let spec = self.spec;
        let mark = if post { "+" } else { "" };
        for derived in &spec.derived {
            let name = format!("{}{mark}", derived.name);
            self.declare(format!("(declare-fun {name} ({}) Bool)", sorts_of(&derived.binders)));
            let variables = derived.binders.iter().map(|(name, _)| Expr::atom(name));
            let body = instantiate(spec, &derived.body, &Values::new(), post);
            let equation = Expr::apply("=", [Expr::apply(&name, variables), body]);
            self.assume(format!("definition.{name}"), closed(&derived.binders, equation));
        }
    }

    /// Declares an action's parameters and defines the state afterwards.
    fn step(&mut self, action: &Action) -> Values {
        let spec = self.spec;
        let mut parameters = Values::new();
        for (name, sort) in &action.parameters {
            self.declare(format!("(declare-const {name}@action {sort})"));
            parameters.insert(name.clone(), Expr::atom(format!("{name}@action")));
        }
        for symbol in &spec.state {
            let (formals, body) = match action.updates.get(&symbol.name) {
                Some((formals, body)) => {
                    let mut values = parameters.clone();
                    for (name, _) in formals {
                        values.insert(name.clone(), Expr::atom(format!("{name}@of")));
                    }
                    let formals = formals.iter().map(|(name, sort)| (format!("{name}@of"), sort.clone()));
                    (formals.collect::<Vec<_>>(), instantiate(spec, body, &values, false))
                }
                None => {
                    let sorts = symbol.arguments.iter().enumerate();
                    let formals: Vec<Binder> =
                        sorts.map(|(at, sort)| (format!("x{at}@of"), sort.clone())).collect();
                    let call = match formals.is_empty() {
                        true => Expr::atom(&symbol.name),
                        false => Expr::apply(&symbol.name, formals.iter().map(|(name, _)| Expr::atom(name))),
                    };
                    (formals, call)
                }
            };
            let name = format!("{}+", symbol.name);
            self.declare(format!("(define-fun {name} {} {} {body})", binder_list(&formals), symbol.result));
            self.condition.updates.insert(name, (formals, body));
        }
        self.define_derived(true);
        parameters
    }

    /// Invariants, and theorems before the one that is to be proved.
    fn state_before(&mut self, before: Option<&str>) {
        let spec = self.spec;
        let theorems = spec.theorems.iter().take_while(|theorem| Some(theorem.name.as_str()) != before);
        for known in spec.invariants.iter().chain(theorems) {
            if self.wanted(&known.name) {
                self.assume(format!("known.{}", known.name), closed(&known.binders, known.body.clone()));
            }
        }
    }

    /// Guards, and the lemmas and step properties that come before the goal.
    fn known_of_step(&mut self, action: &Action, parameters: &Values, goal: &Goal) {
        let spec = self.spec;
        for (name, guard) in &action.guards {
            self.assume(format!("guard.{name}"), instantiate(spec, guard, parameters, false));
        }
        for lemma in &action.lemmas {
            if matches!(goal, Goal::Lemma(_, name) if *name == lemma.name) {
                return;
            }
            if self.wanted(&lemma.name) {
                let mut values = parameters.clone();
                lemma.binders.iter().for_each(|(name, _)| drop(values.remove(name)));
                let body = instantiate(spec, &lemma.body, &values, false);
                self.assume(format!("known.{}", lemma.name), closed(&lemma.binders, body));
            }
        }
        for step in spec.steps.iter().filter(|step| !step.except.contains(&action.name)) {
            let property = &step.property;
            if matches!(goal, Goal::Step(_, name) if *name == property.name) {
                return;
            }
            if self.wanted(&property.name) {
                let body = instantiate(spec, &property.body, &Values::new(), false);
                self.assume(format!("known.{}", property.name), closed(&property.binders, body));
            }
        }
    }

    fn refute(&mut self, goal: &Named, mut values: Values, post: bool) {
        for (name, sort) in &goal.binders {
            self.declare(format!("(declare-const {name}@goal {sort})"));
            values.insert(name.clone(), Expr::atom(format!("{name}@goal")));
        }
        let negated = Expr::apply("not", [instantiate(self.spec, &goal.body, &values, post)]);
        self.assume("goal".to_string(), negated);
    }
}
