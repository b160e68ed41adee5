//! x
mod codec;
