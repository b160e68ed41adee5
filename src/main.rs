//! The `dkv` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    dkv::cli::run()
}
