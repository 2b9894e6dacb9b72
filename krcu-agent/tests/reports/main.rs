//! Reports built by hand, and what each format makes of them, written out beside them.

mod evidence;
mod hostile;
mod junit;
mod samples;
mod schema;
mod screens;
mod tap;
mod text;
