//! Reports built by hand, and what each format makes of them, written out beside them.

mod evidence;
mod hostile;
mod junit;
mod kcidb;
mod ktap;
mod samples;
mod schema;
mod screens;
mod tap;
mod text;
