//! What people get: the programs where they are installed, the tarball, the Debian package, and what `contrib/` has for a farm.

pub(crate) mod clean_root;
pub(crate) mod contrib;
pub(crate) mod install;
pub(crate) mod sbom;
pub(crate) mod twice;
