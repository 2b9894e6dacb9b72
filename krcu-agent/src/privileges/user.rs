//! User: whose files the agent's own program makes, when that user has called it by sudo.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::fs::fchown,
    path::Path,
};

/// A user and the user's own group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// The user.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
}

impl User {
    /// The user who called krcu by sudo; none where root did, or where krcu is not root.
    pub(crate) fn behind_sudo() -> Option<User> {
        let is_root = nix::unistd::geteuid().is_root();
        let told = |name: &str| env::var_os(name);
        User::named(told("SUDO_UID").as_deref(), told("SUDO_GID").as_deref()).filter(|_| is_root)
    }

    /// The user of these numbers. Root is none: it has no other files.
    fn named(uid: Option<&OsStr>, gid: Option<&OsStr>) -> Option<User> {
        let number = |text: Option<&OsStr>| text?.to_str()?.parse().ok();
        Some(User { uid: number(uid)?, gid: number(gid)? }).filter(|user| user.uid != 0)
    }

    /// Gives this user a folder and the files in it.
    ///
    /// # Errors
    /// When one cannot be opened, or the kernel refuses.
    pub(crate) fn give(self, folder: &Path) -> io::Result<()> {
        let give = |path: &Path| fchown(File::open(path)?, Some(self.uid), Some(self.gid));
        for entry in fs::read_dir(folder)? {
            give(&entry?.path())?;
        }
        give(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::User;

    #[test]
    fn a_user_has_two_numbers_and_is_not_root() {
        let named = |uid: &str, gid: &str| User::named(Some(uid.as_ref()), Some(gid.as_ref()));
        assert_eq!(named("1000", "100"), Some(User { uid: 1000, gid: 100 }));
        for (uid, gid) in [("0", "0"), ("", "100"), ("1000", "users"), ("-1", "100")] {
            assert_eq!(named(uid, gid), None, "{uid} {gid}");
        }
        assert_eq!(User::named(Some("1000".as_ref()), None), None);
    }
}
