//! Packages that the archive's index has dropped while their files are still in its pool, each held to its SHA-256.
//!
//! Backports drop the headers of a kernel sooner than the kernel. No index signs such files any more, so what is written
//! here does: the digests of the files as the index last listed them.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, anyhow};

use crate::debian::archive;
use crate::host;
use crate::progress::Job;

/// Files of the pool that together are one kernel's headers.
struct Pinned {
    /// What `uname -r` says.
    release: &'static str,
    /// The file below the archive's address, and its SHA-256.
    files: &'static [(&'static str, &'static str)],
}

const HEADERS: &[Pinned] = &[Pinned {
    release: "6.18.15+deb13-cloud-amd64",
    files: &[
        (
            "pool/main/l/linux/linux-headers-6.18.15+deb13-common_6.18.15-1~bpo13+1_all.deb",
            "a54ed9b3be5247fe2e003423e067cb8e8b06e4a44a09459b85cfec0afbcbd5ef",
        ),
        (
            "pool/main/l/linux/linux-headers-6.18.15+deb13-cloud-amd64_6.18.15-1~bpo13+1_amd64.deb",
            "3bd2a70ec82944d17b69824a428defb090708ec284c173f96a4171ba8aa271c2",
        ),
        (
            "pool/main/l/linux/linux-kbuild-6.18.15+deb13_6.18.15-1~bpo13+1_amd64.deb",
            "5e64129020cdb5effd6ed3895ca89608ef17bcf643eedfc8013dad89bab70a02",
        ),
    ],
}];

/// Whether the headers of a kernel are known here.
pub(crate) fn knows(release: &str) -> bool {
    HEADERS.iter().any(|pinned| pinned.release == release)
}

/// Downloads the headers of a kernel and unpacks them into `into`.
///
/// # Errors
///
/// When they are not known here, gone from the pool, or not what their digests say.
pub(crate) fn unpack_headers(release: &str, into: &Path) -> Result<()> {
    let pinned = HEADERS
        .iter()
        .find(|pinned| pinned.release == release)
        .ok_or_else(|| anyhow!("no headers are known for {release}"))?;
    let address = archive::main_address()?;
    let helper = host::find_program("apt-helper").unwrap_or_else(|| "/usr/lib/apt/apt-helper".into());
    archive::unpack_debs(into, |debs| {
        for (file, digest) in pinned.files {
            let name = file.rsplit('/').next().unwrap_or(file);
            // A plus sign in an address is a space to some servers.
            let url = format!("{address}/{}", file.replace('+', "%2B"));
            Job {
                what: &format!("downloading {name}"),
                advice: "the archive's index has dropped this package, and its pool may follow: use another series",
            }
            .run(
                Command::new(&helper)
                    .args(["-o", "APT::Sandbox::User=root", "download-file"])
                    .arg(url)
                    .arg(debs.join(name))
                    .arg(format!("SHA256:{digest}")),
            )?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::{HEADERS, knows};

    #[test]
    fn each_file_has_a_digest_and_belongs_to_its_kernel() {
        for pinned in HEADERS {
            assert!(knows(pinned.release));
            let version = pinned.release.trim_end_matches("-cloud-amd64");
            for (file, digest) in pinned.files {
                assert!(file.contains(version), "{file}");
                assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{file}");
            }
        }
        assert!(!knows("6.1.0-56-cloud-amd64"));
    }
}
