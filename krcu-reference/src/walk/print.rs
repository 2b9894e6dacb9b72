//! Print: what walks found, in words.
