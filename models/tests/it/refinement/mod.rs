//! Three models, each checked against the next: the abstract cluster by itself, the actor model against it, the
//! direct model against the actor model; and the abstract cluster against the simulated cluster, both ways.

mod actors;
mod replayed;
mod simulated;
mod spec;
