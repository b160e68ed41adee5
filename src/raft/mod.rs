//! The consensus core.
pub mod durable;
pub mod log;
pub mod message;
pub mod node;
pub mod progress;
pub mod quorum;
pub mod ready;
pub mod rules;
pub mod types;
pub use durable::{Durable, Purge, Write};
pub use node::{Node, Role};
