//! What is written reads as it was, and what was not written is never read.

mod hostile;
mod roundtrip;
mod samples;
