//! The socket against clients as they come.
