//! Seeded worlds over a cluster: one seed replays one world.

pub mod history;
pub mod linearizable;
