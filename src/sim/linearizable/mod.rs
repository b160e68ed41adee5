//! Whether a history of clients is that of one store that does one thing at a time.
