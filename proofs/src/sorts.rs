//! Whether the formulas of a spec are well-sorted.
//!
//! A solver would say so too, of the first condition that uses the formula and in words about generated text.
//! Here the place in the spec is known.

use std::collections::HashMap;

use crate::sexpr::Expr;
use crate::spec::{Binder, Named, Spec, binders};

const BOOL: &str = "Bool";

struct Checker<'a> {
    signatures: HashMap<&'a str, (Vec<&'a str>, &'a str)>,
    sorts: &'a [String],
    /// Whether `post` may be used: where a formula is about a step.
    two_state: bool,
}

type Scope = HashMap<String, String>;

/// Whether every formula of a spec makes sense.
///
/// # Errors
/// Names the first place that does not, and says why.
pub(crate) fn check(spec: &Spec) -> Result<(), String> {
    let mut signatures = HashMap::new();
    for symbol in spec.immutable.iter().chain(&spec.state) {
        let arguments = symbol.arguments.iter().map(String::as_str).collect();
        signatures.insert(symbol.name.as_str(), (arguments, symbol.result.as_str()));
    }
    for derived in &spec.derived {
        let arguments = derived.binders.iter().map(|(_, sort)| sort.as_str()).collect();
        signatures.insert(derived.name.as_str(), (arguments, BOOL));
    }
    let mut checker = Checker { signatures, sorts: &spec.sorts, two_state: false };
    for symbol in spec.immutable.iter().chain(&spec.state) {
        for sort in symbol.arguments.iter().chain([&symbol.result]) {
            checker.sort(sort).map_err(|error| format!("{}: {error}", symbol.name))?;
        }
    }
    spec.inits.iter().try_for_each(|init| checker.formula(init, &Scope::new()))?;
    let one_state = spec.axioms.iter().chain(&spec.derived).chain(&spec.invariants).chain(&spec.theorems);
    one_state.map(|formula| checker.named(formula, &[])).collect::<Result<Vec<_>, _>>()?;
    for action in &spec.actions {
        let place = |error| format!("{}: {error}", action.name);
        checker.two_state = false;
        let scope = checker.scope(&action.parameters).map_err(place)?;
        for (guard, formula) in &action.guards {
            checker.formula(formula, &scope).map_err(|error| place(format!("{guard}: {error}")))?;
        }
        for (name, (formals, body)) in &action.updates {
            let Some(symbol) = spec.state_symbol(name) else {
                return Err(place(format!("{name} is no part of the state")));
            };
            if !symbol.arguments.iter().eq(formals.iter().map(|(_, sort)| sort)) {
                return Err(place(format!("{name} has arguments of other sorts")));
            }
            let mut scope = scope.clone();
            scope.extend(formals.iter().cloned());
            checker
                .expect(body, &symbol.result, &scope)
                .map_err(|error| place(format!("{name}: {error}")))?;
        }
        checker.two_state = true;
        for lemma in &action.lemmas {
            checker.named(lemma, &action.parameters).map_err(place)?;
        }
    }
    checker.two_state = true;
    spec.steps.iter().try_for_each(|step| checker.named(&step.property, &[]))
}

impl Checker<'_> {
    fn sort(&self, sort: &str) -> Result<(), String> {
        let known = sort == BOOL || self.sorts.iter().any(|known| known == sort);
        if known { Ok(()) } else { Err(format!("{sort} is no sort")) }
    }

    fn scope(&self, binders: &[Binder]) -> Result<Scope, String> {
        for (name, sort) in binders {
            self.sort(sort)?;
            if self.signatures.contains_key(name.as_str()) {
                return Err(format!("the variable {name} hides a symbol"));
            }
        }
        Ok(binders.iter().cloned().collect())
    }

    fn named(&self, formula: &Named, parameters: &[Binder]) -> Result<(), String> {
        let place = |error| format!("{}: {error}", formula.name);
        let mut scope = self.scope(parameters).map_err(place)?;
        scope.extend(self.scope(&formula.binders).map_err(place)?);
        self.formula(&formula.body, &scope).map_err(place)
    }

    fn formula(&self, expr: &Expr, scope: &Scope) -> Result<(), String> {
        self.expect(expr, BOOL, scope)
    }

    fn expect(&self, expr: &Expr, sort: &str, scope: &Scope) -> Result<(), String> {
        let found = self.sort_of(expr, scope)?;
        if found == sort { Ok(()) } else { Err(format!("{expr} is of sort {found} and not {sort}")) }
    }

    fn sort_of(&self, expr: &Expr, scope: &Scope) -> Result<String, String> {
        let bool = Ok(BOOL.to_string());
        if let Expr::Atom(name) = expr {
            return match (name.as_str(), scope.get(name), self.signatures.get(name.as_str())) {
                ("true" | "false", _, _) => bool,
                (_, Some(sort), _) => Ok(sort.clone()),
                (_, _, Some((arguments, sort))) if arguments.is_empty() => Ok((*sort).to_string()),
                (_, _, Some(_)) => Err(format!("{name} needs arguments")),
                _ => Err(format!("{name} is unknown")),
            };
        }
        let Some((head, rest)) = expr.call() else { return Err(format!("{expr} has no head")) };
        match (head, rest) {
            ("and" | "or", _) | ("=>", [_, _, ..]) | ("not", [_]) => {
                rest.iter().try_for_each(|part| self.formula(part, scope))?;
                bool
            }
            ("=", [left, right]) => {
                self.expect(right, &self.sort_of(left, scope)?, scope)?;
                bool
            }
            ("ite", [condition, then, otherwise]) => {
                self.formula(condition, scope)?;
                let sort = self.sort_of(then, scope)?;
                self.expect(otherwise, &sort, scope)?;
                Ok(sort)
            }
            ("forall" | "exists", [variables, body]) => {
                let mut inner = scope.clone();
                inner.extend(self.scope(&binders(variables)?)?);
                self.formula(body, &inner)?;
                bool
            }
            ("post", [part]) if self.two_state => self.sort_of(part, scope),
            _ => {
                let Some((arguments, sort)) = self.signatures.get(head) else {
                    return Err(format!("{head} is unknown, or not to be used here or so"));
                };
                if arguments.len() != rest.len() {
                    return Err(format!("{head} takes {} arguments", arguments.len()));
                }
                rest.iter().zip(arguments).try_for_each(|(part, sort)| self.expect(part, sort, scope))?;
                Ok((*sort).to_string())
            }
        }
    }
}
