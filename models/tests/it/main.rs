//! The tests of the models, one module a subject.
//!
//! They are one program, because each program of tests would compile the cluster under the injected rules anew.

mod bugs;
mod convictions;
mod explorer;
mod gate;
mod histories;
mod memo;
mod refinement;
mod simulation;
mod symmetry;
mod traces;
