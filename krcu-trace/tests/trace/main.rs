//! What is written reads as it was, and what was not written is never read.

mod disk;
mod hostile;
mod power;
mod roundtrip;
mod samples;
mod stream;
mod told;
