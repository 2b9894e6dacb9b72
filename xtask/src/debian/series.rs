//! How a kernel is named here: the series, the architecture and the flavour.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::architecture::Architecture;

/// A kernel series: `6.12`, or `7.x` for the newest of a major version; with an architecture and a flavour behind it,
/// `6.12-arm64` or `6.12-arm64-rt`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    number: String,
    architecture: Architecture,
    flavour: Flavour,
}

/// For what a kernel is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Flavour {
    /// Virtual machines: the one that is meant where none is named.
    Cloud,
    /// Any computer.
    Generic,
    /// PREEMPT_RT.
    Rt,
    /// Pages of 16 KiB; of arm64 only.
    SixteenK,
    /// Not by Debian: here, from Debian's sources, for amd64.
    Built(Purpose),
}

/// What a kernel is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// The kernel's own tests as modules; lockdep and the checks of RCU are on, RCU_LAZY is off.
    Test,
    /// The same with KASAN.
    Kasan,
    /// The same for one processor, without HOTPLUG_CPU, and with `slub_kunit` built in.
    Single,
    /// The same with RCU_LAZY, and all callbacks offloaded, without which none is lazy.
    Lazy,
    /// The same with PREEMPT_RT. Debian's own kernel of that kind has the name `rt`.
    Realtime,
}

impl Purpose {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Test, Self::Kasan, Self::Single, Self::Lazy, Self::Realtime];

    /// Its name, behind the version in the name of a series.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Kasan => "kasan",
            Self::Single => "single",
            Self::Lazy => "lazy",
            Self::Realtime => "realtime",
        }
    }
}

impl Flavour {
    /// Those that Debian builds.
    const PACKAGED: [Self; 4] = [Self::Cloud, Self::Generic, Self::Rt, Self::SixteenK];

    /// The flavour of this name.
    fn named(name: &str) -> Option<Self> {
        let built = Purpose::ALL.map(Self::Built);
        Self::PACKAGED.into_iter().chain(built).find(|flavour| flavour.name() == name)
    }

    /// Its name here.
    const fn name(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Generic => "generic",
            Self::Rt => "rt",
            Self::SixteenK => "16k",
            Self::Built(purpose) => purpose.name(),
        }
    }

    /// Whether there is such a kernel of an architecture.
    fn is_of(self, architecture: Architecture) -> bool {
        match self {
            Self::Cloud | Self::Generic | Self::Rt => true,
            Self::SixteenK => architecture == Architecture::Arm64,
            Self::Built(_) => architecture == Architecture::Amd64,
        }
    }

    /// What is behind the version in the name of a kernel of it.
    fn ending(self, architecture: Architecture) -> String {
        let architecture = architecture.debian();
        match self {
            Self::Generic => format!("-{architecture}"),
            Self::SixteenK => format!("-{architecture}-{}", self.name()),
            Self::Cloud | Self::Rt | Self::Built(_) => format!("-{}-{architecture}", self.name()),
        }
    }

    /// The version in the name of a kernel, if it is of this flavour.
    fn version(self, name: &str, architecture: Architecture) -> Option<&str> {
        let version = name.strip_suffix(&self.ending(architecture))?;
        let named = [Self::Cloud, Self::Rt].map(Self::name);
        let is_other =
            self == Self::Generic && named.iter().any(|other| version.ends_with(&format!("-{other}")));
        (!is_other).then_some(version)
    }
}

impl FromStr for Series {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = "a kernel is a series such as 6.1, 6.12 or 7.x, with -arm64 behind it for that architecture, and -rt, \
                     -generic or (arm64 only) -16k for these flavours of Debian's, or (amd64 only) -test, -kasan, -single, \
                     -lazy or -realtime for a kernel that is built here";
        let mut words = text.split('-');
        let number = words.next().unwrap_or_default();
        let (mut architecture, mut flavour) = (None, None);
        for word in words {
            let named = Architecture::ALL.into_iter().find(|known| known.debian() == word);
            match (named, Flavour::named(word)) {
                (Some(named), _) if architecture.is_none() => architecture = Some(named),
                (None, Some(named)) if flavour.is_none() => flavour = Some(named),
                _ => bail!("{wrong}"),
            }
        }
        let architecture = architecture.unwrap_or_default();
        let flavour = flavour.unwrap_or(Flavour::Cloud);
        let digits = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        match number.split_once('.') {
            Some((major, minor))
                if digits(major) && (minor == "x" || digits(minor)) && flavour.is_of(architecture) =>
            {
                Ok(Self { number: number.to_owned(), architecture, flavour })
            }
            _ => bail!("{wrong}"),
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.number)?;
        if !self.architecture.is_ours() {
            write!(formatter, "-{}", self.architecture.debian())?;
        }
        match self.flavour {
            Flavour::Cloud => Ok(()),
            flavour => write!(formatter, "-{}", flavour.name()),
        }
    }
}

impl Series {
    /// Its number: `6.12`.
    pub(super) fn number(&self) -> &str {
        &self.number
    }

    /// What its kernels run on.
    pub(crate) fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Nothing, if its kernels run on this computer's architecture.
    ///
    /// # Errors
    ///
    /// With `what`, which is done with such kernels only.
    pub(crate) fn need_ours(&self, what: &str) -> Result<()> {
        if self.architecture.is_ours() {
            return Ok(());
        }
        bail!(
            "{what} with kernels of {} only, and {self} is of another architecture",
            Architecture::default().debian()
        )
    }

    /// For what a kernel of it is built here; none of Debian's is.
    pub(super) fn purpose(&self) -> Option<Purpose> {
        match self.flavour {
            Flavour::Built(purpose) => Some(purpose),
            _ => None,
        }
    }

    /// Whether a kernel of it is built here.
    pub(crate) fn is_built(&self) -> bool {
        self.purpose().is_some()
    }

    /// What is behind the version in the name of a kernel of it.
    pub(super) fn ending(&self) -> String {
        self.flavour.ending(self.architecture)
    }

    /// The version in the name of a kernel, if it is of this architecture and flavour.
    pub(super) fn version<'a>(&self, name: &'a str) -> Option<&'a str> {
        self.flavour.version(name, self.architecture)
    }

    /// Whether a kernel version (`6.12.117+deb12`) belongs to this series.
    pub(crate) fn holds(&self, version: &str) -> bool {
        let stem = self.number.strip_suffix(".x").unwrap_or(&self.number);
        version.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::{Flavour, Series};
    use crate::architecture::Architecture;

    #[test]
    fn a_flavour_knows_its_own_names() {
        let amd64 = [
            "6.12.117+deb12-cloud-amd64",
            "6.12.117+deb12-amd64",
            "6.12.117+deb12-rt-amd64",
            "6.12.117-amd64-dbg",
        ];
        let arm64 = [
            "6.12.117+deb12-cloud-arm64",
            "6.12.117+deb12-arm64",
            "6.12.117+deb12-rt-arm64",
            "6.12.117+deb12-arm64-16k",
        ];
        let found = |names: [&str; 4], architecture| {
            Flavour::PACKAGED.map(|flavour: Flavour| -> Vec<usize> {
                let is_of = |place: &usize| flavour.version(names[*place], architecture).is_some();
                (0..names.len()).filter(is_of).collect()
            })
        };
        assert_eq!(found(amd64, Architecture::Amd64), [vec![0], vec![1], vec![2], vec![]]);
        assert_eq!(found(arm64, Architecture::Arm64), [vec![0], vec![1], vec![2], vec![3]]);
        assert!(found(amd64, Architecture::Arm64).concat().is_empty());
    }

    #[test]
    fn a_name_is_the_one_that_is_shown() {
        for text in ["6.12", "6.12-rt", "7.x-generic", "6.12-kasan", "6.12-arm64", "7.x-arm64-16k"] {
            assert_eq!(text.parse::<Series>().unwrap().to_string(), text);
        }
        for (text, shown) in
            [("6.1-cloud", "6.1"), ("6.12-amd64", "6.12"), ("6.12-rt-arm64", "6.12-arm64-rt")]
        {
            assert_eq!(text.parse::<Series>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_series_holds_its_own_versions_only() {
        let one: Series = "6.1".parse().unwrap();
        assert!(one.holds("6.1.0-56"));
        assert!(!one.holds("6.12.117+deb12"));
        let seven: Series = "7.x".parse().unwrap();
        assert!(seven.holds("7.3.4+deb13"));
        assert!(!seven.holds("6.7.1"));
        for wrong in [
            "",
            "7",
            "7.",
            "x.1",
            "6.1.0",
            "6.1\n",
            "6.1-",
            "6.1-rtx",
            "6.1-16k",
            "6.1-arm64-kasan",
            "6.1-rt-rt",
        ] {
            assert!(wrong.parse::<Series>().is_err(), "{wrong:?} was taken for a series");
        }
    }
}
