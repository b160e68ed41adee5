//! `dkv demo` as a program would run it: every caption is checked by the command itself.

use std::process::{Command, Stdio};

fn demo(flag: &str) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_dkv"))
        .args(["demo", flag])
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("the demo starts: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_else(|error| panic!("{error}"));
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_demo_holds_what_its_captions_say() {
    let (success, out, err) = demo("--fast");
    assert!(success, "{err}");
    assert!(out.ends_with('\n') && out.contains("All five are byte-identical."), "{out}");
    assert!(!out.contains('\u{1b}'), "no terminal codes where there is no terminal");
}

#[test]
fn the_demo_speaks_json() {
    let (success, out, err) = demo("--json");
    assert!(success, "{err}");
    let last = out.lines().last().unwrap_or_default();
    assert_eq!(last.matches("\"sha256\"").count(), 5, "{last}");
    assert!(out.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
    let hashes: std::collections::BTreeSet<&str> =
        last.split("\"sha256\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(hashes.len(), 1, "all hashes are equal in the end: {last}");
}
