//! Lines as words that know where they stand, and the small things words can mean.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;
use core::ops::RangeInclusive;

use super::ParseError;
use crate::raft::{Bytes, Configuration, EntryId, Index, NodeId, Term};

/// A word and the column of its first character, from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) column: usize,
}

/// The words of one line, read from left to right.
#[derive(Debug)]
pub(super) struct Words<'a> {
    pub(super) line: usize,
    words: Vec<Word<'a>>,
    next: usize,
    /// Where a missing word would stand.
    end: usize,
}

/// The `name=value` words at the end of a line.
#[derive(Debug)]
pub(super) struct Options<'a> {
    line: usize,
    given: Vec<(Word<'a>, Word<'a>)>,
    known: Vec<&'static str>,
}

pub(super) type Parsed<T> = Result<T, ParseError>;

pub(super) fn error<T>(line: usize, column: usize, reason: impl Display) -> Parsed<T> {
    Err(ParseError { line, column, reason: reason.to_string() })
}

impl<'a> Words<'a> {
    /// Splits a line at its spaces and leaves the comment out.
    pub(super) fn split(line: usize, text: &'a str) -> Parsed<Words<'a>> {
        let mut words = Vec::new();
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at] == b' ' {
                at += 1;
                continue;
            }
            if bytes[at] == b'#' {
                break;
            }
            let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_graphic()).count();
            let end = at + length;
            if end < bytes.len() && bytes[end] != b' ' {
                return error(line, end + 1, "only printable ASCII and spaces, outside of comments");
            }
            words.push(Word { text: &text[at..end], column: at + 1 });
            at = end;
        }
        let end = words.last().map_or(1, |word| word.column + word.text.len());
        Ok(Words { line, words, next: 0, end })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The words with one space between them.
    pub(super) fn normalized(&self) -> String {
        self.words.iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn peek(&self) -> Option<Word<'a>> {
        self.words.get(self.next).copied()
    }

    /// The next word, which must be there.
    pub(super) fn next(&mut self, what: &str) -> Parsed<Word<'a>> {
        let Some(word) = self.peek() else { return self.missing(what) };
        self.next += 1;
        Ok(word)
    }

    /// Takes the next word if it is this one.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.text == text);
        self.next += usize::from(found);
        found
    }

    /// Something must come here, and it is not what stands here.
    pub(super) fn missing<T>(&self, what: &str) -> Parsed<T> {
        match self.peek() {
            Some(word) => self.wrong(word, what),
            None => error(self.line, self.end, format_args!("expected {what}, found the end of the line")),
        }
    }

    /// Nothing may be left.
    pub(super) fn finish(&self) -> Parsed<()> {
        match self.peek() {
            Some(word) => self.wrong(word, "the end of the line"),
            None => Ok(()),
        }
    }

    /// `word` is not `expected`.
    pub(super) fn wrong<T>(&self, word: Word<'_>, expected: impl Display) -> Parsed<T> {
        error(self.line, word.column, format_args!("expected {expected}, found {:?}", word.text))
    }

    /// The rest of the line as options of these names.
    pub(super) fn options(&mut self, known: &[&'static str]) -> Parsed<Options<'a>> {
        let mut given: Vec<(Word<'a>, Word<'a>)> = Vec::new();
        while let Some(word) = self.peek() {
            let Some((name, value)) = word.text.split_once('=') else {
                let expected = match known {
                    [] => "the end of the line".to_string(),
                    _ => format!("an option ({}) or the end of the line", known.join(", ")),
                };
                return self.wrong(word, expected);
            };
            if !known.contains(&name) {
                let list = if known.is_empty() { "none".to_string() } else { known.join(", ") };
                let reason = format!("unknown option {name:?}, known here: {list}");
                return error(self.line, word.column, reason);
            }
            let is_repeatable = name == "learner" || name == "promote" || name == "remove";
            if !is_repeatable && given.iter().any(|(earlier, _)| earlier.text == name) {
                return error(self.line, word.column, format_args!("{name} is given twice"));
            }
            let value_column = word.column + name.len() + 1;
            given
                .push((Word { text: name, column: word.column }, Word { text: value, column: value_column }));
            self.next += 1;
        }
        Ok(Options { line: self.line, given, known: known.to_vec() })
    }
}

impl<'a> Options<'a> {
    /// The value of an option.
    pub(super) fn get(&self, name: &'static str) -> Option<Word<'a>> {
        debug_assert!(self.known.contains(&name), "{name} is asked for and never allowed");
        self.given.iter().find(|(given, _)| given.text == name).map(|(_, value)| *value)
    }

    /// All options in the order in which they are written.
    pub(super) fn all(&self) -> impl Iterator<Item = (Word<'a>, Word<'a>)> + '_ {
        self.given.iter().copied()
    }

    /// A number, if the option is given.
    pub(super) fn number(&self, name: &'static str, range: RangeInclusive<u64>) -> Parsed<Option<u64>> {
        self.get(name).map(|word| number(self.line, word, range)).transpose()
    }
}

/// A number in a range.
pub(super) fn number(line: usize, word: Word<'_>, range: RangeInclusive<u64>) -> Parsed<u64> {
    match plain_number(word.text).filter(|number| range.contains(number)) {
        Some(number) => Ok(number),
        None => {
            let (low, high) = (range.start(), range.end());
            let reason = match *high {
                u64::MAX => format!("expected a number, found {:?}", word.text),
                high => format!("expected a number from {low} to {high}, found {:?}", word.text),
            };
            error(line, word.column, reason)
        }
    }
}

/// Digits alone: no sign, no blank.
fn plain_number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `500ms` or `2s`, in milliseconds.
pub(super) fn duration_ms(line: usize, word: Word<'_>, range: RangeInclusive<u64>) -> Parsed<u64> {
    let parsed = match (word.text.strip_suffix("ms"), word.text.strip_suffix('s')) {
        (Some(count), _) => plain_number(count),
        (None, Some(count)) => plain_number(count).and_then(|count| count.checked_mul(1000)),
        (None, None) => None,
    };
    match parsed.filter(|duration| range.contains(duration)) {
        Some(duration) => Ok(duration),
        None => {
            let (low, high) = (range.start(), range.end());
            let reason = format!(
                "expected a duration from {low}ms to {high}ms such as 500ms or 2s, found {:?}",
                word.text
            );
            error(line, word.column, reason)
        }
    }
}

/// `on` or `off`; `true` or `false`.
pub(super) fn switch(line: usize, word: Word<'_>, names: [&str; 2]) -> Parsed<bool> {
    match names.iter().position(|name| *name == word.text) {
        Some(position) => Ok(position == 0),
        None => error(
            line,
            word.column,
            format_args!("expected {} or {}, found {:?}", names[0], names[1], word.text),
        ),
    }
}

/// `index@term`.
pub(super) fn entry_id(line: usize, word: Word<'_>) -> Parsed<EntryId> {
    let parsed = word
        .text
        .split_once('@')
        .and_then(|(index, term)| Some(EntryId::new(Term(plain_number(term)?), Index(plain_number(index)?))));
    match parsed {
        Some(id) => Ok(id),
        None => {
            error(line, word.column, format_args!("expected an entry as index@term, found {:?}", word.text))
        }
    }
}

/// The name of a request or session.
pub(super) fn name(line: usize, word: Word<'_>) -> Parsed<String> {
    let is_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if !word.text.is_empty() && word.text.bytes().all(is_name) {
        return Ok(word.text.to_string());
    }
    let reason = format!("expected a name of lower-case letters, digits, - and _, found {:?}", word.text);
    error(line, word.column, reason)
}

/// A key alone.
pub(super) fn key(line: usize, word: Word<'_>) -> Parsed<Bytes> {
    if !word.text.is_empty() && !word.text.contains(['=', '!']) {
        return Ok(Bytes::from(word.text));
    }
    error(line, word.column, format_args!("expected a key without = and !, found {:?}", word.text))
}

/// `key=value`; the value may be empty.
pub(super) fn pair<'a>(line: usize, word: Word<'a>) -> Parsed<(Bytes, Word<'a>)> {
    let Some((left, right)) = word.text.split_once('=') else {
        return error(line, word.column, format_args!("expected KEY=VALUE, found {:?}", word.text));
    };
    let key = key(line, Word { text: left, column: word.column })?;
    Ok((key, Word { text: right, column: word.column + left.len() + 1 }))
}

/// A word of a table.
pub(super) fn one_of<T: Copy>(line: usize, word: Word<'_>, table: &[(T, &'static str)]) -> Parsed<T> {
    match table.iter().find(|(_, name)| *name == word.text) {
        Some((value, _)) => Ok(*value),
        None => {
            let names: Vec<&str> = table.iter().map(|(_, name)| *name).collect();
            error(
                line,
                word.column,
                format_args!("expected one of {}, found {:?}", names.join(", "), word.text),
            )
        }
    }
}

/// `0,1,2+3`, `0,1,2=>1,2,3+4`.
pub(super) fn configuration(line: usize, word: Word<'_>) -> Parsed<Configuration> {
    let ids = |text: &str| -> Option<BTreeSet<NodeId>> {
        text.split(',').map(|id| plain_number(id).map(NodeId)).collect()
    };
    let parsed = || {
        let (outgoing, incoming) = match word.text.split_once("=>") {
            Some((outgoing, incoming)) => (Some(ids(outgoing)?), incoming),
            None => (None, word.text),
        };
        let (voters, learners) = match incoming.split_once('+') {
            Some((voters, learners)) => (ids(voters)?, ids(learners)?),
            None => (ids(incoming)?, BTreeSet::new()),
        };
        Some(Configuration { voters, outgoing, learners })
    };
    match parsed() {
        Some(configuration) => Ok(configuration),
        None => {
            let reason = format!("expected members such as 0,1,2 or 0,1=>1,2+3, found {:?}", word.text);
            error(line, word.column, reason)
        }
    }
}
