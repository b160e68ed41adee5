//! The `dkv` command.
fn main() {}
