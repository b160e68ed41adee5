//! `dkv scenario`: stories of what can happen to a cluster, and whether they end as they say.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{FAILED, USAGE, fail, print};
use crate::cluster::scenario::{Report, SOURCE_BYTES_MAX, Scenario};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Scenario files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON object per file instead of the transcript
    #[arg(long)]
    json: bool,
    /// Print every step as one dense line
    #[arg(long)]
    trace: bool,
}

/// Reads all files, and only if all are scenarios runs them in their order.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut scenarios = Vec::new();
    for path in &arguments.files {
        match read(path) {
            Ok(scenario) => scenarios.push((path, scenario)),
            Err(error) => return fail(USAGE, &format_args!("{}: {error}", path.display())),
        }
    }
    let mut status = ExitCode::SUCCESS;
    for (path, scenario) in scenarios {
        let report = scenario.run(arguments.trace);
        let output = if arguments.json {
            format!("{}\n", json(path, &scenario, &report))
        } else {
            report.output.clone()
        };
        if let Err(ended) = print(&output) {
            return ended;
        }
        if let Some(failure) = &report.failure {
            status = fail(FAILED, &format_args!("{}: {failure}", path.display()));
        }
    }
    status
}

fn read(path: &Path) -> Result<Scenario, String> {
    // One byte more than allowed is enough to be refused.
    let limit = SOURCE_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    // What is cut off in the middle of a character is too large anyway.
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.as_bytes().len() as u64 == limit => {
            return Err(format!("line 1, column 1: a scenario has at most {SOURCE_BYTES_MAX} bytes"));
        }
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
            return Err(format!("line {line}, column {column}: not UTF-8"));
        }
    };
    Scenario::parse(&text).map_err(|error| error.to_string())
}

/// One object on one line: whether everything held, where not, and the transcript.
fn json(path: &Path, scenario: &Scenario, report: &Report) -> String {
    let Report { steps, trace_hash, time_ms, failure, output } = report;
    let mut object = format!(
        "{{\"file\":{},\"shows\":{},\"held\":{},\"steps\":{steps},\"time_ms\":{time_ms},\"trace_hash\":\"{trace_hash:016x}\"",
        quoted(&path.display().to_string()),
        quoted(scenario.intent()),
        failure.is_none(),
    );
    if let Some(failure) = failure {
        let status: Vec<String> = failure.status.iter().map(|line| quoted(line)).collect();
        object.push_str(&format!(
            ",\"line\":{},\"command\":{},\"expected\":{},\"found\":{},\"status\":[{}]",
            failure.line,
            quoted(&failure.command),
            quoted(&failure.expected),
            quoted(&failure.found),
            status.join(","),
        ));
    }
    let lines: Vec<String> = output.lines().map(quoted).collect();
    object.push_str(&format!(",\"output\":[{}]}}", lines.join(",")));
    object
}

/// A JSON string (RFC 8259, section 7).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if u32::from(control) < 0x20 => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)))
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_strings_are_escaped() {
        assert_eq!(quoted("a\"b\\c\n→"), r#""a\"b\\c\u000a→""#);
    }
}
