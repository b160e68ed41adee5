//! The seeds that `dkv sim --coverage` runs by default reach everything: each fault, each shape, each kind of
//! message in each role, and each outcome of each rule, but for those that cannot happen.
//!
//! Coverage is shown and not hoped for. When this fails, a change of the core or of the simulation made
//! something rare; what is named in the message has to be brought about more often, by the rates in
//! `src/sim/plan.rs`, and not by more seeds.
//!
//! Left out: how often is often enough. Once is what a test can insist on.

use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn the_default_seeds_reach_everything() {
    let output = Command::new(env!("CARGO_BIN_EXE_dkv"))
        .args(["sim", "--coverage", "--json"])
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("the simulation starts: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let object: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    assert_eq!(object["never_seen"], Value::Array(Vec::new()));
    assert_eq!(object["seen_though_impossible"], Value::Array(Vec::new()));
    let coverage = &object["coverage"];
    assert!(coverage["rules"]["may_commit"]["no"].as_u64() > Some(0), "{coverage}");
    assert!(coverage["cannot_happen"].as_object().is_some_and(|reasons| !reasons.is_empty()), "{coverage}");
}
