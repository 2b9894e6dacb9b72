//! Dictionary: the description of a trace for people, made from the schema.
