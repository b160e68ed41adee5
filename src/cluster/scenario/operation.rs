//! Operations of the store, as words: `put a=v`, `txn if version:a=0 then put a=v else get a`.

use alloc::vec::Vec;

use super::words::{Parsed, Word, Words, key, number, pair};
use crate::kv::{Compare, Delete, KeyRange, Op, Put, Range, Relation, SimpleOp, Target, Txn, TxnOp};
use crate::raft::Bytes;

/// An operation whose first word was `verb`.
pub(super) fn read_op(verb: Word<'_>, words: &mut Words<'_>) -> Parsed<Op> {
    let line = words.line;
    Ok(match verb.text {
        "noop" => Op::NoOp,
        "put" => Op::Put(read_put(words)?),
        "del" => Op::Del(Delete::new(KeyRange::One(key(line, words.next("a key")?)?))),
        "txn" => {
            let mut compares = Vec::new();
            if words.take("if") {
                compares.push(read_compare(words)?);
                while words.peek().is_some_and(|word| word.text != "then") {
                    compares.push(read_compare(words)?);
                }
            }
            if !words.take("then") {
                return words.missing("then");
            }
            let then = read_steps(words)?;
            let otherwise = if words.take("else") { read_steps(words)? } else { Vec::new() };
            Op::Txn(Txn { compares, then, otherwise })
        }
        _ => return words.wrong(verb, "noop, put, del or txn"),
    })
}

fn read_put(words: &mut Words<'_>) -> Parsed<Put> {
    let (key, value) = pair(words.line, words.next("KEY=VALUE")?)?;
    Ok(Put::new(key, value.text))
}

fn read_steps(words: &mut Words<'_>) -> Parsed<Vec<TxnOp>> {
    let mut steps = Vec::new();
    loop {
        let step = if words.take("put") {
            SimpleOp::Put(read_put(words)?)
        } else if words.take("del") {
            SimpleOp::Delete(Delete::new(KeyRange::One(key(words.line, words.next("a key")?)?)))
        } else if words.take("get") {
            SimpleOp::Range(Range::new(KeyRange::One(key(words.line, words.next("a key")?)?)))
        } else {
            break;
        };
        steps.push(TxnOp::Simple(step));
    }
    if steps.is_empty() {
        return words.missing("put, del or get");
    }
    Ok(steps)
}

fn read_compare(words: &mut Words<'_>) -> Parsed<Compare> {
    let word = words.next("a compare")?;
    let line = words.line;
    let (kind, rest) = match word.text.split_once(':') {
        Some((kind @ ("version" | "create" | "mod"), rest)) => {
            (kind, Word { text: rest, column: word.column + kind.len() + 1 })
        }
        _ => ("value", word),
    };
    let (left, right) = rest.text.split_once('=').unwrap_or((rest.text, ""));
    let (relation, left) = match left.strip_suffix('!') {
        Some(left) => (Relation::NotEqual, left),
        None => (Relation::Equal, left),
    };
    if !rest.text.contains('=') {
        return words.wrong(word, "a compare such as a=v, a!=v or version:a=1");
    }
    let keys = KeyRange::One(key(line, Word { text: left, column: rest.column })?);
    let operand = Word { text: right, column: rest.column + rest.text.len() - right.len() };
    let signed = || number(line, operand, 0..=i64::MAX as u64).map(u64::cast_signed);
    let target = match kind {
        "version" => Target::Version(signed()?),
        "create" => Target::CreateRevision(signed()?),
        "mod" => Target::ModRevision(signed()?),
        _ => Target::Value(Bytes::from(right)),
    };
    Ok(Compare { keys, target, relation })
}
