//! The canonical bytes of the state machine: commands, responses, snapshots.
