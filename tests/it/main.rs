//! The integration tests, in one binary: each module says what it is about.

mod cases;
mod codec;
mod coverage;
mod demo;
mod formats;
mod invariants;
mod linearizability;
mod memory;
mod mistakes;
mod paper;
mod ports;
mod quorum;
mod reference;
mod regressions;
mod replica;
mod scenarios;
mod seeds;
mod shrinking;
mod sim_command;
mod store_values;
mod tidy;
mod tree;
mod values;
