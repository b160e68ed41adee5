//! Finite instances: the spec with a few elements of each sort, in propositional logic.
//!
//! Unbounded conditions are easy for a solver to refute a model of, and hard to give one for. Where a model is
//! wanted (a counterexample to an action that was weakened, a state in which an action can happen) every sort gets
//! a fixed number of elements and every quantifier is written out. Orders are those of numbers,
//! quorums are the smallest majorities; the axioms are evaluated under this reading and must hold, so that a model of
//! an instance is one of the spec. That there is none says nothing beyond the instance.
//!
//! Every ground fact becomes a propositional variable: `entry.0.1.2` says that `(entry n0 i1 t2)`, and
//! `payload.0.1=1` that `(payload n0 i1)` is `v1`. `f+` is the state after the step.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use crate::sexpr::Expr;
use crate::spec::{Action, Binder, Named, Spec, binders};

/// How many elements each sort has. Quorums follow from the nodes.
pub type Sizes = BTreeMap<String, usize>;

/// The values that a term may have, each with the condition, as text, under which it does.
type Choices = Vec<(String, usize)>;

/// Variables, the innermost last.
type Scope = Vec<(String, Choices)>;

/// A question in the making.
#[derive(Clone)]
pub struct Instance<'a> {
    spec: &'a Spec,
    sizes: Sizes,
    quorums: Vec<Vec<usize>>,
    action: Option<&'a Action>,
    parameters: Scope,
    text: String,
    defined: HashSet<String>,
    /// Variables whose values are worth asking for.
    asked: Vec<String>,
}

fn not(formula: &str) -> String {
    match formula {
        "true" => "false".to_string(),
        "false" => "true".to_string(),
        _ => format!("(not {formula})"),
    }
}

fn join(head: &str, unit: &str, parts: impl IntoIterator<Item = String>) -> String {
    let zero = not(unit);
    let mut kept = Vec::new();
    for part in parts {
        if part == zero {
            return zero;
        }
        if part != unit {
            kept.push(part);
        }
    }
    match kept.len() {
        0 => unit.to_string(),
        1 => kept.remove(0),
        _ => format!("({head} {})", kept.join(" ")),
    }
}

fn and(parts: impl IntoIterator<Item = String>) -> String {
    join("and", "true", parts)
}

fn or(parts: impl IntoIterator<Item = String>) -> String {
    join("or", "false", parts)
}

/// Calls with every tuple below these sizes.
fn tuples(sizes: &[usize]) -> Vec<Vec<usize>> {
    sizes.iter().fold(vec![Vec::new()], |tuples, size| {
        tuples.iter().flat_map(|tuple| (0..*size).map(|last| [tuple.as_slice(), &[last]].concat())).collect()
    })
}

fn variable(name: &str, tuple: &[usize]) -> String {
    tuple.iter().fold(name.to_string(), |text, element| format!("{text}.{element}"))
}

impl<'a> Instance<'a> {
    /// An instance in which all invariants hold.
    ///
    /// # Errors
    /// Says which axiom its reading breaks, or which sort has no size.
    pub fn new(spec: &'a Spec, sizes: &Sizes) -> Result<Instance<'a>, String> {
        let nodes = *sizes.get("Node").ok_or("the sort Node has no size")?;
        let subsets =
            (0_usize..1 << nodes).map(|set| (0..nodes).filter(|node| set >> node & 1 == 1).collect());
        let quorums: Vec<Vec<usize>> =
            subsets.filter(|set: &Vec<usize>| set.len() == nodes / 2 + 1).collect();
        let mut sizes = sizes.clone();
        sizes.insert("Quorum".to_string(), quorums.len());
        if let Some(sort) = spec.sorts.iter().find(|sort| !sizes.contains_key(*sort)) {
            return Err(format!("the sort {sort} has no size"));
        }
        let mut instance = Instance {
            spec,
            sizes,
            quorums,
            action: None,
            parameters: Scope::new(),
            text: "(set-option :produce-models true)\n(set-logic QF_UF)\n".to_string(),
            defined: HashSet::new(),
            asked: Vec::new(),
        };
        for axiom in &spec.axioms {
            if instance.universal(axiom) != "true" {
                return Err(format!("the finite reading breaks the axiom {}", axiom.name));
            }
        }
        for symbol in &spec.state {
            for tuple in tuples(&instance.sizes_of(&symbol.arguments)) {
                let name = variable(&symbol.name, &tuple);
                if symbol.result == "Bool" {
                    instance.declare(name);
                } else {
                    instance.declare_one_of(&name, &symbol.result);
                }
            }
        }
        for invariant in &spec.invariants {
            let formula = instance.universal(invariant);
            instance.assert(&formula);
        }
        Ok(instance)
    }

    fn size(&self, sort: &str) -> usize {
        self.sizes.get(sort).copied().unwrap_or(0)
    }

    fn sizes_of(&self, sorts: &[String]) -> Vec<usize> {
        sorts.iter().map(|sort| self.size(sort)).collect()
    }

    fn declare(&mut self, name: String) {
        let _ = writeln!(self.text, "(declare-const {name} Bool)");
        self.asked.push(name);
    }

    /// Declares variables of which exactly one is true, and returns them as choices.
    fn declare_one_of(&mut self, name: &str, sort: &str) -> Choices {
        let all: Choices = (0..self.size(sort)).map(|value| (format!("{name}={value}"), value)).collect();
        all.iter().for_each(|(choice, _)| self.declare(choice.clone()));
        self.assert(&or(all.iter().map(|(choice, _)| choice.clone())));
        for (left, value) in &all {
            for (right, _) in all.iter().take(*value) {
                self.assert(&format!("(not (and {left} {right}))"));
            }
        }
        all
    }

    fn define(&mut self, name: &str, formula: &str) {
        let _ = writeln!(self.text, "(define-fun {name} () Bool {formula})");
        self.defined.insert(name.to_string());
    }

    /// Asserts a formula that is written out.
    fn assert(&mut self, formula: &str) {
        if formula != "true" {
            let _ = writeln!(self.text, "(assert {formula})");
        }
    }

    /// Asserts a closed formula of the spec, of the state after the step if `post`.
    pub fn assume(&mut self, formula: &Expr, post: bool) {
        let formula = self.formula(formula, &mut Scope::new(), post);
        self.assert(&formula);
    }

    /// The action happens: its guards hold, and the state afterwards is what it makes of it.
    pub fn take(&mut self, action: &'a Action) {
        self.action = Some(action);
        for (name, sort) in &action.parameters {
            let choices = self.declare_one_of(&format!("{name}@"), sort);
            self.parameters.push((name.clone(), choices));
        }
        let mut scope = self.parameters.clone();
        for (_, guard) in &action.guards {
            let formula = self.formula(guard, &mut scope, false);
            self.assert(&formula);
        }
        for symbol in &self.spec.state {
            if action.updates.contains_key(&symbol.name) {
                for tuple in tuples(&self.sizes_of(&symbol.arguments)) {
                    if symbol.result == "Bool" {
                        let after = self.fact(&symbol.name, &tuple, true);
                        self.asked.push(after);
                    } else {
                        for value in 0..self.size(&symbol.result) {
                            let after = self.value(&symbol.name, &tuple, value, true);
                            self.asked.push(after);
                        }
                    }
                }
            }
        }
    }

    /// The step changes something.
    pub fn assume_change(&mut self) {
        let after: Vec<String> = self.asked.iter().filter(|name| name.contains('+')).cloned().collect();
        let change = |name: &String| format!("(not (= {name} {}))", name.replace('+', ""));
        let changes = or(after.iter().map(change).collect::<Vec<_>>());
        self.assert(&changes);
    }

    /// The formula does not hold, after the step unless it speaks of both states.
    pub fn break_formula(&mut self, formula: &Named, post: bool) {
        let sizes: Vec<usize> = formula.binders.iter().map(|(_, sort)| self.size(sort)).collect();
        let mut instances = Vec::new();
        for tuple in tuples(&sizes) {
            let values = formula.binders.iter().zip(&tuple);
            let mut scope: Scope = values.map(|((name, _), value)| (name.clone(), fixed(*value))).collect();
            let holds = self.formula(&formula.body, &mut scope, post);
            if holds != "true" {
                let name = variable("broken", &tuple);
                self.define(&name, &not(&holds));
                self.asked.push(name.clone());
                instances.push(name);
            }
        }
        let broken = or(instances);
        self.assert(&broken);
    }

    /// The question, with the values of everything that was declared.
    #[must_use]
    pub fn question(&self) -> String {
        format!("{}(check-sat)\n(get-value ({}))\n", self.text, self.asked.join(" "))
    }

    fn universal(&mut self, formula: &Named) -> String {
        self.quantified(&formula.binders, &formula.body, &mut Scope::new(), false, true)
    }

    fn quantified(
        &mut self,
        variables: &[Binder],
        body: &Expr,
        scope: &mut Scope,
        post: bool,
        universal: bool,
    ) -> String {
        let Some(((name, sort), rest)) = variables.split_first() else {
            return self.formula(body, scope, post);
        };
        let mut parts = Vec::new();
        for value in 0..self.size(sort) {
            scope.push((name.clone(), fixed(value)));
            parts.push(self.quantified(rest, body, scope, post, universal));
            scope.pop();
        }
        if universal { and(parts) } else { or(parts) }
    }

    fn is_formula(&self, expr: &Expr, scope: &Scope) -> bool {
        let head = match (expr, expr.call()) {
            (Expr::Atom(name), _) => name,
            (_, Some(("post", [part]) | ("ite", [_, part, _]))) => return self.is_formula(part, scope),
            (_, Some((head, _))) => head,
            (_, None) => return false,
        };
        let all = self.spec.state.iter().chain(&self.spec.immutable);
        let is_relation =
            |name: &str| all.clone().any(|symbol| symbol.name == name && symbol.result == "Bool");
        let is_logic = ["true", "false", "and", "or", "not", "=>", "=", "forall", "exists"].contains(&head);
        let is_variable = scope.iter().any(|(name, _)| name == head);
        !is_variable && (is_logic || is_relation(head) || self.spec.derived(head).is_some())
    }

    fn formula(&mut self, expr: &Expr, scope: &mut Scope, post: bool) -> String {
        let (head, rest): (&str, &[Expr]) = match expr.call() {
            Some(call) => call,
            None => (expr.name().unwrap_or_default(), &[]),
        };
        match (head, rest) {
            ("true" | "false", []) => head.to_string(),
            ("and" | "or", _) => {
                let zero = if head == "and" { "false" } else { "true" };
                let mut parts = Vec::new();
                for part in rest {
                    let part = self.formula(part, scope, post);
                    if part == zero {
                        return part;
                    }
                    parts.push(part);
                }
                if head == "and" { and(parts) } else { or(parts) }
            }
            ("not", [part]) => not(&self.formula(part, scope, post)),
            ("=>", [premises @ .., conclusion]) => {
                let mut parts = Vec::new();
                for premise in premises {
                    let premise = self.formula(premise, scope, post);
                    if premise == "false" {
                        return "true".to_string();
                    }
                    parts.push(not(&premise));
                }
                parts.push(self.formula(conclusion, scope, post));
                or(parts)
            }
            ("=", [left, right]) if self.is_formula(left, scope) => {
                let (left, right) = (self.formula(left, scope, post), self.formula(right, scope, post));
                match (left.as_str(), right.as_str()) {
                    ("true", _) => right,
                    (_, "true") => left,
                    ("false", _) => not(&right),
                    (_, "false") => not(&left),
                    _ => format!("(= {left} {right})"),
                }
            }
            ("=", [left, right]) => {
                let (left, right) = (self.choices(left, scope, post), self.choices(right, scope, post));
                let pairs = left.iter().flat_map(|left| right.iter().map(move |right| (left, right)));
                let equal = pairs.filter(|((_, left), (_, right))| left == right);
                or(equal
                    .map(|((left, _), (right, _))| and([left.clone(), right.clone()]))
                    .collect::<Vec<_>>())
            }
            ("ite", [condition, then, otherwise]) => {
                let condition = self.formula(condition, scope, post);
                let then = and([condition.clone(), self.formula(then, scope, post)]);
                let otherwise = and([not(&condition), self.formula(otherwise, scope, post)]);
                or([then, otherwise])
            }
            ("forall" | "exists", [variables, body]) => {
                let variables = binders(variables).unwrap_or_default();
                self.quantified(&variables, body, scope, post, head == "forall")
            }
            ("post", [part]) => self.formula(part, scope, true),
            _ => {
                let cases = self.cases(rest, scope, post);
                let mut parts = Vec::new();
                for (condition, tuple) in cases {
                    let fact = self.fact(head, &tuple, post);
                    parts.push(and([condition, fact]));
                }
                or(parts)
            }
        }
    }

    /// The tuples that arguments may be.
    fn cases(&mut self, arguments: &[Expr], scope: &mut Scope, post: bool) -> Vec<(String, Vec<usize>)> {
        let mut cases = vec![("true".to_string(), Vec::new())];
        for argument in arguments {
            let choices = self.choices(argument, scope, post);
            let extend = |(condition, tuple): &(String, Vec<usize>)| {
                let longer = choices.iter().map(|(choice, value)| {
                    (and([condition.clone(), choice.clone()]), [tuple.as_slice(), &[*value]].concat())
                });
                longer.collect::<Vec<_>>()
            };
            cases = cases.iter().flat_map(extend).collect();
        }
        cases
    }

    fn choices(&mut self, term: &Expr, scope: &mut Scope, post: bool) -> Choices {
        let (head, rest): (&str, &[Expr]) = match term.call() {
            Some(call) => call,
            None => (term.name().unwrap_or_default(), &[]),
        };
        if rest.is_empty()
            && let Some((_, choices)) = scope.iter().rev().find(|(name, _)| name == head)
        {
            return choices.clone();
        }
        match (head, rest) {
            ("post", [part]) => self.choices(part, scope, true),
            ("ite", [condition, then, otherwise]) => {
                let condition = self.formula(condition, scope, post);
                let then = self
                    .choices(then, scope, post)
                    .into_iter()
                    .map(|(choice, value)| (and([condition.clone(), choice]), value));
                let mut all: Choices = then.collect();
                let unless = not(&condition);
                let otherwise = self.choices(otherwise, scope, post).into_iter();
                all.extend(otherwise.map(|(choice, value)| (and([unless.clone(), choice]), value)));
                all.retain(|(choice, _)| choice != "false");
                all
            }
            _ => {
                if self.spec.immutable.iter().any(|symbol| symbol.name == head) {
                    // Sorts and axioms leave only the least elements.
                    return fixed(0);
                }
                let result = self.spec.state_symbol(head).map(|symbol| symbol.result.clone());
                let size = result.map_or(0, |sort| self.size(&sort));
                let mut all = Choices::new();
                for (condition, tuple) in self.cases(rest, scope, post) {
                    for value in 0..size {
                        let is = self.value(head, &tuple, value, post);
                        all.push((and([condition.clone(), is]), value));
                    }
                }
                all
            }
        }
    }

    /// The update of a symbol with its arguments fixed, if the action has one.
    fn updated(&self, name: &str, tuple: &[usize]) -> Option<(&'a Expr, Scope)> {
        let (formals, body) = self.action?.updates.get(name)?;
        let mut scope = self.parameters.clone();
        scope.extend(formals.iter().zip(tuple).map(|((name, _), value)| (name.clone(), fixed(*value))));
        Some((body, scope))
    }

    fn fact(&mut self, name: &str, tuple: &[usize], post: bool) -> String {
        let reading = self.spec.immutable.iter().find(|symbol| symbol.name == name);
        match reading.and_then(|symbol| symbol.reading.as_deref()) {
            Some("order") => return (tuple[0] <= tuple[1]).to_string(),
            Some("majority") => return self.quorums[tuple[1]].contains(&tuple[0]).to_string(),
            _ => {}
        }
        let key = variable(&format!("{name}{}", if post { "+" } else { "" }), tuple);
        if self.defined.contains(&key) {
            return key;
        }
        if let Some(derived) = self.spec.derived(name) {
            let values = derived.binders.iter().zip(tuple);
            let mut scope = values.map(|((name, _), value)| (name.clone(), fixed(*value))).collect();
            let formula = self.formula(&derived.body, &mut scope, post);
            self.define(&key, &formula);
            return key;
        }
        match self.updated(name, tuple).filter(|_| post) {
            Some((body, mut scope)) => {
                let formula = self.formula(body, &mut scope, false);
                self.define(&key, &formula);
                key
            }
            None => variable(name, tuple),
        }
    }

    fn value(&mut self, name: &str, tuple: &[usize], value: usize, post: bool) -> String {
        let Some((body, mut scope)) = self.updated(name, tuple).filter(|_| post) else {
            return format!("{}={value}", variable(name, tuple));
        };
        let key = format!("{}={value}", variable(&format!("{name}+"), tuple));
        if !self.defined.contains(&key) {
            let choices = self.choices(body, &mut scope, false).into_iter();
            let formula = or(choices.filter(|(_, found)| *found == value).map(|(choice, _)| choice));
            self.define(&key, &formula);
        }
        key
    }
}

fn fixed(value: usize) -> Choices {
    vec![("true".to_string(), value)]
}

/// A model of an instance.
#[derive(Clone, Debug)]
pub struct Model {
    values: HashMap<String, bool>,
    quorums: Vec<Vec<usize>>,
}

impl Instance<'_> {
    /// Reads what a solver printed after `sat`.
    ///
    /// # Errors
    /// Says what is no value.
    pub fn model(&self, printed: &str) -> Result<Model, String> {
        let mut values = HashMap::new();
        for (_, list) in crate::sexpr::parse(printed)? {
            for pair in list.items()? {
                match pair.items()? {
                    [name, value] => {
                        values.insert(name.name()?.to_string(), value.name()? == "true");
                    }
                    _ => return Err(format!("{pair} is no value")),
                }
            }
        }
        Ok(Model { values, quorums: self.quorums.clone() })
    }

    /// The step, the state before it and what it changes, and for which elements the formula breaks.
    #[must_use]
    pub fn describe(&self, model: &Model, broken: Option<&Named>) -> String {
        let mut text = String::new();
        if let Some(action) = self.action {
            let values = action.parameters.iter().map(|(name, sort)| {
                let value = (0..self.size(sort)).find(|value| model.holds(&format!("{name}@={value}")));
                format!("{name} = {}", model.element(sort, value.unwrap_or(0)))
            });
            let _ = writeln!(text, "  {}: {}", action.name, values.collect::<Vec<_>>().join(", "));
        }
        if let Some(formula) = broken {
            let sizes: Vec<usize> = formula.binders.iter().map(|(_, sort)| self.size(sort)).collect();
            let tuple = tuples(&sizes).into_iter().find(|tuple| model.holds(&variable("broken", tuple)));
            let sorts = formula.binders.iter().zip(tuple.unwrap_or_default());
            let values =
                sorts.map(|((name, sort), value)| format!("{name} = {}", model.element(sort, value)));
            let values = values.collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "  breaks {}: {values}", formula.name);
        }
        for symbol in &self.spec.state {
            let mut line = String::new();
            for tuple in tuples(&self.sizes_of(&symbol.arguments)) {
                let elements = symbol.arguments.iter().zip(&tuple);
                let elements: Vec<String> =
                    elements.map(|(sort, value)| model.element(sort, *value)).collect();
                let elements = format!("({})", elements.join(" "));
                let (before, after) =
                    (variable(&symbol.name, &tuple), variable(&format!("{}+", symbol.name), &tuple));
                if symbol.result == "Bool" {
                    let (was, is) = (model.holds(&before), model.after(&before, &after));
                    let mark = match (was, is) {
                        (false, false) => continue,
                        (true, true) => "",
                        (true, false) => "-",
                        (false, true) => "+",
                    };
                    let _ = write!(line, " {mark}{elements}");
                } else {
                    let is = |name: &str, value: usize| format!("{name}={value}");
                    let find = |found: &dyn Fn(usize) -> bool| {
                        (0..self.size(&symbol.result)).find(|value| found(*value))
                    };
                    let was = find(&|value| model.holds(&is(&before, value))).unwrap_or(0);
                    let now =
                        find(&|value| model.after(&is(&before, value), &is(&after, value))).unwrap_or(was);
                    if was != now {
                        let (was, now) =
                            (model.element(&symbol.result, was), model.element(&symbol.result, now));
                        let _ = write!(line, " {elements} = {was}, then {now};");
                    } else if was != 0 && symbol.result != "Value" {
                        let _ = write!(line, " {elements} = {};", model.element(&symbol.result, was));
                    }
                }
            }
            if !line.is_empty() {
                let _ = writeln!(text, "  {:16}{}", symbol.name, line.trim_end_matches(';'));
            }
        }
        text
    }
}

impl Model {
    fn holds(&self, name: &str) -> bool {
        self.values.get(name).copied().unwrap_or(false)
    }

    fn after(&self, before: &str, after: &str) -> bool {
        self.values.get(after).copied().unwrap_or_else(|| self.holds(before))
    }

    fn element(&self, sort: &str, value: usize) -> String {
        if sort == "Quorum" {
            let nodes = self.quorums[value].iter().map(|node| format!("n{node}"));
            return format!("{{{}}}", nodes.collect::<Vec<_>>().join(" "));
        }
        format!("{}{value}", sort.chars().next().unwrap_or('x').to_ascii_lowercase())
    }
}
