//! Whether the conditions are in the decidable fragment.
//!
//! Satisfiability is decidable for formulas in which no sort leads back to itself, where a sort A leads to a
//! sort B if a function maps A to B, or if an existential B stands below a universal A (after negations are pushed
//! inwards): there is a finite bound on the elements that a model needs (EPR, stratified). A solver then answers
//! on every condition; outside of the fragment it may search for ever, and what it proves today it may lose
//! with the next lemma (Padon et al., "Paxos Made EPR", OOPSLA 2017).

use std::collections::{BTreeSet, HashMap};

use crate::conditions::Condition;
use crate::sexpr::Expr;
use crate::spec::{Spec, binders, substitute};

/// Which sort leads to which.
pub type Edges = BTreeSet<(String, String)>;

/// The edges of a condition, negated goal and definitions included.
#[must_use]
pub fn edges(spec: &Spec, condition: &Condition) -> Edges {
    let mut edges = Edges::new();
    for symbol in spec.immutable.iter().chain(&spec.state).filter(|symbol| symbol.result != "Bool") {
        edges.extend(symbol.arguments.iter().map(|argument| (argument.clone(), symbol.result.clone())));
    }
    for (_, formula) in &condition.assertions {
        Walk { condition, universal: Vec::new(), edges: &mut edges }.walk(formula, Polarity::Positive);
    }
    edges
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Polarity {
    Positive,
    Negative,
    Both,
}

impl Polarity {
    fn flipped(self) -> Polarity {
        match self {
            Polarity::Positive => Polarity::Negative,
            Polarity::Negative => Polarity::Positive,
            Polarity::Both => Polarity::Both,
        }
    }
}

struct Walk<'a> {
    condition: &'a Condition,
    /// The sorts of the universal variables around.
    universal: Vec<String>,
    edges: &'a mut Edges,
}

impl Walk<'_> {
    fn walk(&mut self, expr: &Expr, polarity: Polarity) {
        let Some((head, rest)) = expr.call() else { return };
        if let Some((formals, body)) = self.condition.updates.get(head) {
            let values: HashMap<_, _> =
                formals.iter().zip(rest).map(|((name, _), value)| (name.clone(), value.clone())).collect();
            return self.walk(&substitute(body, &values), polarity);
        }
        match (head, rest) {
            ("forall" | "exists", [variables, body]) => {
                let sorts: Vec<String> =
                    binders(variables).unwrap_or_default().into_iter().map(|(_, sort)| sort).collect();
                if polarity != Polarity::Negative {
                    self.quantifier(&sorts, head == "forall", body, Polarity::Positive);
                }
                if polarity != Polarity::Positive {
                    self.quantifier(&sorts, head == "exists", body, Polarity::Negative);
                }
            }
            ("not", [body]) => self.walk(body, polarity.flipped()),
            ("=>", [premises @ .., conclusion]) => {
                premises.iter().for_each(|premise| self.walk(premise, polarity.flipped()));
                self.walk(conclusion, polarity);
            }
            ("and" | "or", _) => rest.iter().for_each(|part| self.walk(part, polarity)),
            ("ite", [condition, then, otherwise]) => {
                self.walk(condition, Polarity::Both);
                self.walk(then, polarity);
                self.walk(otherwise, polarity);
            }
            _ => rest.iter().for_each(|part| self.walk(part, Polarity::Both)),
        }
    }

    fn quantifier(&mut self, sorts: &[String], is_universal: bool, body: &Expr, polarity: Polarity) {
        let outer = self.universal.len();
        if is_universal {
            self.universal.extend(sorts.iter().cloned());
        } else {
            for from in &self.universal {
                self.edges.extend(sorts.iter().map(|to| (from.clone(), to.clone())));
            }
        }
        self.walk(body, polarity);
        self.universal.truncate(outer);
    }
}

/// The sorts in an order in which each leads only to later ones.
///
/// # Errors
/// The sorts among which there is a cycle.
pub fn order(edges: &Edges) -> Result<Vec<String>, Vec<String>> {
    let mut left: BTreeSet<&str> = edges.iter().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let leads_to = |sort: &str| edges.iter().any(|(from, to)| to == sort && left.contains(from.as_str()));
        let Some(first) = left.iter().find(|sort| !leads_to(sort)).copied() else {
            return Err(left.into_iter().map(str::to_string).collect());
        };
        order.push(first.to_string());
        left.remove(first);
    }
    Ok(order)
}
