//! The tests of the models, one module a subject.
//!
//! They are one program, because each program of tests would compile the cluster under the injected rules anew.

mod bugs;
mod convictions;
mod explorer;
mod gate;
mod memo;
mod refinement;
mod symmetry;
mod traces;
