//! S-expressions: the notation of the spec, and of the solvers.
//!
//! A file is a sequence of lists. A semicolon begins a comment that ends with the line. Nothing is quoted, so
//! an atom is any run of characters without parentheses, white space and semicolons.

use std::fmt;

/// An atom or a list of expressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// A name.
    Atom(String),
    /// Expressions in parentheses.
    List(Vec<Expr>),
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Atom(name) => f.write_str(name),
            Expr::List(items) => {
                f.write_str("(")?;
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        f.write_str(" ")?;
                    }
                    item.fmt(f)?;
                }
                f.write_str(")")
            }
        }
    }
}

impl Expr {
    /// An atom of this name.
    pub fn atom(name: impl Into<String>) -> Expr {
        Expr::Atom(name.into())
    }

    /// `(head rest...)`.
    pub fn apply(head: &str, rest: impl IntoIterator<Item = Expr>) -> Expr {
        Expr::List(std::iter::once(Expr::atom(head)).chain(rest).collect())
    }

    /// The name, if this is an atom.
    pub fn name(&self) -> Result<&str, String> {
        match self {
            Expr::Atom(name) => Ok(name),
            Expr::List(_) => Err(format!("a name is expected in place of {self}")),
        }
    }

    /// The items, if this is a list.
    pub fn items(&self) -> Result<&[Expr], String> {
        match self {
            Expr::List(items) => Ok(items),
            Expr::Atom(name) => Err(format!("a list is expected in place of {name}")),
        }
    }

    /// The list's head, if that is a name, and the rest.
    pub fn call(&self) -> Option<(&str, &[Expr])> {
        match self {
            Expr::List(items) => match items.split_first() {
                Some((Expr::Atom(head), rest)) => Some((head, rest)),
                _ => None,
            },
            Expr::Atom(_) => None,
        }
    }
}

/// The lists of a text, each with the line that it begins on.
///
/// # Errors
/// Says on which line a parenthesis is unmatched, or an atom stands alone.
pub fn parse(text: &str) -> Result<Vec<(usize, Expr)>, String> {
    let mut forms = Vec::new();
    let mut open: Vec<(usize, Vec<Expr>)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let line = line.split(';').next().unwrap_or_default();
        for token in line.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
            match token {
                "(" => open.push((number, Vec::new())),
                ")" => {
                    let (begun, items) = open.pop().ok_or_else(|| format!("line {number}: ) without ("))?;
                    match open.last_mut() {
                        Some((_, around)) => around.push(Expr::List(items)),
                        None => forms.push((begun, Expr::List(items))),
                    }
                }
                name => match open.last_mut() {
                    Some((_, around)) => around.push(Expr::atom(name)),
                    None => return Err(format!("line {number}: {name} stands outside of any list")),
                },
            }
        }
    }
    match open.first() {
        Some((begun, _)) => Err(format!("line {begun}: ( without )")),
        None => Ok(forms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        let text = "(a (b c) ()) ; and a comment (\n(d)";
        let forms = parse(text).expect("well formed");
        assert_eq!(forms.len(), 2);
        assert_eq!(forms[1].0, 2);
        assert_eq!(forms[0].1.to_string(), "(a (b c) ())");
        assert_eq!(parse(&forms[0].1.to_string()).expect("well formed")[0].1, forms[0].1);
    }

    #[test]
    fn mistakes_are_named_by_their_line() {
        assert_eq!(parse("(a)\n)").expect_err("unmatched"), "line 2: ) without (");
        assert_eq!(parse("\n(a").expect_err("unmatched"), "line 2: ( without )");
        assert_eq!(parse("a").expect_err("alone"), "line 1: a stands outside of any list");
    }
}
