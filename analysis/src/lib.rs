//! Questions to a trace.
