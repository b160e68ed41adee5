//! The spec: a transition system in many-sorted first-order logic, read from text.
//!
//! # Grammar
//!
//! A spec is a set of files (`smt/*.spec`), each a sequence of lists. The order of files and of forms does not
//! matter, but for theorems: each is proved from the invariants and the theorems before it.
//!
//! ```text
//! (sort S)
//! (immutable NAME (S…) S HOW)           never changes; HOW a finite instance reads it: see `finite`
//! (axiom NAME (BINDER…) FORMULA)        assumed of what is immutable
//! (state NAME (S…) S)                   changes; S is Bool for a relation
//! (derived NAME (BINDER…) FORMULA)      a relation that is defined by the state
//! (macro NAME (BINDER…) FORMULA)        an abbreviation, without quantifiers
//! (init FORMULA)                        holds in every initial state
//! (action NAME (BINDER…) CLAUSE…)       a step, for some values of the bound variables
//! (invariant NAME (BINDER…) FORMULA)    holds initially and is kept by every action
//! (theorem NAME (BINDER…) FORMULA)      follows from the invariants
//! (step NAME (BINDER…) FORMULA [(except ACTION…)])   holds of every step: (post F) is F afterwards
//!
//! BINDER = (VARIABLE S)
//! CLAUSE = (paper SECTION…)                       where the publications describe it; D is the dissertation
//!        | (core MODULE::FUNCTION…)               what it stands for in src/raft
//!        | (guard NAME FORMULA)                   must hold for the step to be possible
//!        | (set RELATION (BINDER…) FORMULA)       its value afterwards; what is not set stays
//!        | (lemma NAME (BINDER…) FORMULA)         holds of every such step; proved first, then used
//! FORMULA = true | false | VARIABLE | (NAME FORMULA…) | (and F…) | (or F…) | (not F) | (=> F… F) | (= F F)
//!         | (ite F F F) | (forall (BINDER…) F) | (exists (BINDER…) F) | (post F)
//! ```
//!
//! Bound variables of axioms, invariants, theorems, steps and lemmas are universal. Names are checked here and
//! sorts in `sorts.rs`, so that a slip of the pen is an error with a place and not an unprovable
//! condition, or worse, a provable one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::sexpr::{Expr, parse};
use crate::sorts;

/// A variable and its sort.
pub type Binder = (String, String);

/// A formula with a name; its variables are universal.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The variables.
    pub binders: Vec<Binder>,
    /// The formula.
    pub body: Expr,
}

/// A relation or a function.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// The name.
    pub name: String,
    /// The sorts of its arguments.
    pub arguments: Vec<String>,
    /// The sort of its value; `Bool` for a relation.
    pub result: String,
    /// How a finite instance reads it, if it is immutable.
    pub reading: Option<String>,
}

/// What a step does to one symbol.
pub type Update = (Vec<Binder>, Expr);

/// A step.
#[derive(Clone, Debug, Default)]
pub struct Action {
    /// The name.
    pub name: String,
    /// For some values of these.
    pub parameters: Vec<Binder>,
    /// Sections of the publications.
    pub paper: Vec<String>,
    /// Functions of the core.
    pub core: Vec<String>,
    /// Must hold.
    pub guards: Vec<(String, Expr)>,
    /// Hold of every such step.
    pub lemmas: Vec<Named>,
    /// What changes.
    pub updates: BTreeMap<String, Update>,
}

/// A property of steps.
#[derive(Clone, Debug)]
pub struct Step {
    /// The property.
    pub property: Named,
    /// Actions that it does not speak of.
    pub except: Vec<String>,
}

/// The whole. Macros are gone: every formula is written out.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Spec {
    pub sorts: Vec<String>,
    pub immutable: Vec<Symbol>,
    pub axioms: Vec<Named>,
    pub state: Vec<Symbol>,
    pub derived: Vec<Named>,
    pub inits: Vec<Expr>,
    pub actions: Vec<Action>,
    pub invariants: Vec<Named>,
    pub theorems: Vec<Named>,
    pub steps: Vec<Step>,
    macros: Macros,
}

type Macros = HashMap<String, (Vec<Binder>, Expr)>;

/// Reads `((x S) …)`.
pub(crate) fn binders(expr: &Expr) -> Result<Vec<Binder>, String> {
    let pair = |item: &Expr| match item.items()? {
        [name, sort] => Ok((name.name()?.to_string(), sort.name()?.to_string())),
        _ => Err(format!("{item} is no variable with its sort")),
    };
    expr.items()?.iter().map(pair).collect()
}

fn named(rest: &[Expr]) -> Result<Named, String> {
    match rest {
        [name, variables, body] => {
            Ok(Named { name: name.name()?.to_string(), binders: binders(variables)?, body: body.clone() })
        }
        _ => Err("a name, variables and a formula are expected".to_string()),
    }
}

fn symbol(rest: &[Expr], reading: Option<&Expr>) -> Result<Symbol, String> {
    let [name, arguments, result] = rest else {
        return Err("a name, the sorts of the arguments and the sort of the value are expected".to_string());
    };
    let arguments = arguments.items()?.iter().map(|sort| sort.name().map(str::to_string));
    Ok(Symbol {
        name: name.name()?.to_string(),
        arguments: arguments.collect::<Result<_, _>>()?,
        result: result.name()?.to_string(),
        reading: reading.map(|reading| reading.name().map(str::to_string)).transpose()?,
    })
}

fn names(rest: &[Expr]) -> Result<Vec<String>, String> {
    rest.iter().map(|name| name.name().map(str::to_string)).collect()
}

/// Reads `(set RELATION (BINDER…) FORMULA)` without its head.
pub(crate) fn update(rest: &[Expr]) -> Result<(String, Update), String> {
    let Named { name, binders, body } = named(rest)?;
    Ok((name, (binders, body)))
}

impl Spec {
    /// Reads every `*.spec` of a folder.
    ///
    /// # Errors
    /// Says where the text is not a spec.
    pub fn read(folder: &Path) -> Result<Spec, String> {
        let files = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut paths: Vec<_> = files.flatten().map(|file| file.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "spec"));
        paths.sort();
        let mut sources = Vec::new();
        for path in paths {
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            sources.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text));
        }
        if sources.is_empty() {
            return Err(format!("{} holds no spec", folder.display()));
        }
        Spec::parse(&sources)
    }

    /// Reads texts, given with the names of their files.
    ///
    /// # Errors
    /// Says where a text is not a spec.
    pub fn parse(sources: &[(String, String)]) -> Result<Spec, String> {
        let mut spec = Spec::default();
        for (file, text) in sources {
            for (line, form) in parse(text).map_err(|error| format!("{file}: {error}"))? {
                spec.add(&form).map_err(|error| format!("{file}:{line}: {error}"))?;
            }
        }
        spec.write_out()?;
        spec.check()?;
        Ok(spec)
    }

    /// Whether names are clear and formulas well-sorted.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.check_names()?;
        sorts::check(self)
    }

    /// A formula in the words of this spec.
    ///
    /// # Errors
    /// Says which macro is misused.
    pub(crate) fn formula(&self, text: &Expr) -> Result<Expr, String> {
        expand(text, &self.macros)
    }

    fn add(&mut self, form: &Expr) -> Result<(), String> {
        let Some((head, rest)) = form.call() else { return Err(format!("{form} has no head")) };
        match (head, rest) {
            ("sort", [name]) => self.sorts.push(name.name()?.to_string()),
            ("immutable", [symbolic @ .., reading]) => {
                self.immutable.push(symbol(symbolic, Some(reading))?);
            }
            ("state", _) => self.state.push(symbol(rest, None)?),
            ("axiom", _) => self.axioms.push(named(rest)?),
            ("derived", _) => self.derived.push(named(rest)?),
            ("macro", _) => {
                let Named { name, binders, body } = named(rest)?;
                let text = body.to_string();
                if text.contains("(forall ") || text.contains("(exists ") {
                    return Err(format!("the macro {name} binds variables"));
                }
                self.macros.insert(name, (binders, body));
            }
            ("init", [formula]) => self.inits.push(formula.clone()),
            ("invariant", _) => self.invariants.push(named(rest)?),
            ("theorem", _) => self.theorems.push(named(rest)?),
            ("step", [property @ .., last]) => {
                let except = last.call().filter(|(head, _)| *head == "except");
                let property = named(if except.is_some() { property } else { rest })?;
                let except = except.map_or(Ok(Vec::new()), |(_, actions)| names(actions))?;
                self.steps.push(Step { property, except });
            }
            ("action", [name, parameters, clauses @ ..]) => {
                let mut action = Action {
                    name: name.name()?.to_string(),
                    parameters: binders(parameters)?,
                    ..Action::default()
                };
                clauses.iter().try_for_each(|clause| action.add(clause))?;
                self.actions.push(action);
            }
            _ => return Err(format!("{head} is no form of a spec, or has not the parts that it needs")),
        }
        Ok(())
    }

    /// Replaces macros by what they stand for.
    fn write_out(&mut self) -> Result<(), String> {
        let macros = self.macros.clone();
        for (place, formula) in self.formulas_mut() {
            *formula = expand(formula, &macros).map_err(|error| format!("{place}: {error}"))?;
        }
        Ok(())
    }

    fn formulas_mut(&mut self) -> Vec<(String, &mut Expr)> {
        let mut all: Vec<(String, &mut Expr)> = Vec::new();
        all.extend(self.inits.iter_mut().map(|init| ("init".to_string(), init)));
        let steps = self.steps.iter_mut().map(|step| &mut step.property);
        let plain = self.axioms.iter_mut().chain(&mut self.derived).chain(&mut self.invariants);
        for formula in plain.chain(&mut self.theorems).chain(steps) {
            all.push((formula.name.clone(), &mut formula.body));
        }
        for action in &mut self.actions {
            let name = &action.name;
            all.extend(action.guards.iter_mut().map(|(guard, body)| (format!("{name}, {guard}"), body)));
            let lemmas = action.lemmas.iter_mut();
            all.extend(lemmas.map(|lemma| (format!("{name}, {}", lemma.name), &mut lemma.body)));
            let updates = action.updates.iter_mut();
            all.extend(updates.map(|(symbol, (_, body))| (format!("{name}, {symbol}"), body)));
        }
        all
    }

    fn check_names(&self) -> Result<(), String> {
        let mut taken = BTreeSet::new();
        let symbols = self.immutable.iter().chain(&self.state).map(|symbol| &symbol.name);
        let formulas = self.axioms.iter().chain(&self.derived).chain(&self.invariants).chain(&self.theorems);
        let steps = self.steps.iter().map(|step| &step.property.name);
        let actions = self.actions.iter().map(|action| &action.name);
        for name in symbols
            .chain(&self.sorts)
            .chain(formulas.map(|formula| &formula.name))
            .chain(steps)
            .chain(actions)
        {
            // Solvers see primed symbols and Skolem constants with marks of their own.
            if name.contains(['+', '@', '|']) {
                return Err(format!("{name} holds a mark that the driver uses"));
            }
            if !taken.insert(name) {
                return Err(format!("{name} is the name of two things"));
            }
        }
        for step in &self.steps {
            if let Some(unknown) = step.except.iter().find(|name| self.action(name).is_none()) {
                return Err(format!("{} excepts {unknown}, which is no action", step.property.name));
            }
        }
        Ok(())
    }

    /// The action of this name.
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.name == name)
    }

    /// The state symbol of this name.
    pub fn state_symbol(&self, name: &str) -> Option<&Symbol> {
        self.state.iter().find(|symbol| symbol.name == name)
    }

    /// The derived relation of this name.
    pub fn derived(&self, name: &str) -> Option<&Named> {
        self.derived.iter().find(|derived| derived.name == name)
    }

    /// The state symbols that the value of a formula depends on.
    pub fn symbols(&self, expr: &Expr) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.collect_symbols(expr, &mut found);
        found
    }

    fn collect_symbols(&self, expr: &Expr, found: &mut BTreeSet<String>) {
        match expr {
            Expr::Atom(name) => {
                if self.state_symbol(name).is_some() {
                    found.insert(name.clone());
                } else if let Some(derived) = self.derived(name) {
                    self.collect_symbols(&derived.body, found);
                }
            }
            Expr::List(items) => items.iter().for_each(|item| self.collect_symbols(item, found)),
        }
    }

    /// Whether an action changes nothing that the formula speaks of.
    pub fn is_frame(&self, action: &Action, formula: &Expr) -> bool {
        self.symbols(formula).iter().all(|symbol| !action.updates.contains_key(symbol))
    }
}

impl Action {
    fn add(&mut self, clause: &Expr) -> Result<(), String> {
        let Some((head, rest)) = clause.call() else { return Err(format!("{clause} has no head")) };
        match (head, rest) {
            ("paper", _) => self.paper = names(rest)?,
            ("core", _) => self.core = names(rest)?,
            ("guard", [name, formula]) => self.guards.push((name.name()?.to_string(), formula.clone())),
            ("lemma", _) => self.lemmas.push(named(rest)?),
            ("set", _) => {
                let (name, update) = update(rest)?;
                if self.updates.insert(name.clone(), update).is_some() {
                    return Err(format!("{} sets {name} twice", self.name));
                }
            }
            _ => return Err(format!("{head} is no clause of an action")),
        }
        Ok(())
    }
}

fn expand(expr: &Expr, macros: &Macros) -> Result<Expr, String> {
    let Expr::List(items) = expr else { return Ok(expr.clone()) };
    let items = items.iter().map(|item| expand(item, macros)).collect::<Result<Vec<_>, _>>()?;
    let Some(Expr::Atom(head)) = items.first() else { return Ok(Expr::List(items)) };
    let Some((parameters, body)) = macros.get(head) else { return Ok(Expr::List(items)) };
    if parameters.len() + 1 != items.len() {
        return Err(format!("{head} takes {} arguments", parameters.len()));
    }
    let arguments =
        parameters.iter().zip(&items[1..]).map(|((name, _), value)| (name.clone(), value.clone()));
    let body = expand(body, macros)?;
    Ok(substitute(&body, &arguments.collect()))
}

/// Replaces free variables. The values must not hold variables that are bound inside.
pub(crate) fn substitute(expr: &Expr, values: &HashMap<String, Expr>) -> Expr {
    match expr {
        Expr::Atom(name) => values.get(name).unwrap_or(expr).clone(),
        Expr::List(items) => match expr.call() {
            Some(("forall" | "exists", [variables, body])) => {
                let mut inner = values.clone();
                for (name, _) in binders(variables).unwrap_or_default() {
                    inner.remove(&name);
                }
                Expr::List(vec![items[0].clone(), variables.clone(), substitute(body, &inner)])
            }
            _ => Expr::List(items.iter().map(|item| substitute(item, values)).collect()),
        },
    }
}
