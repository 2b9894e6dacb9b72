//! The ring, read: woken by the probes, bounded in what it takes at once.

use anyhow::Context as _;
use aya::maps::{MapData, RingBuf};
use tokio::io::{Interest, unix::AsyncFd};

mod fill;

use fill::Fill;

/// Records taken before anything else is looked at.
const RECORDS_AT_ONCE: usize = 8192;

/// The ring of the probes, as something to wait for.
pub struct Source {
    ring: AsyncFd<RingBuf<MapData>>,
    fill: Option<Fill>,
}

impl Source {
    /// For this ring; to be called inside the event loop.
    ///
    /// # Errors
    /// When the kernel does not let it be waited for.
    pub fn of(ring: RingBuf<MapData>) -> anyhow::Result<Source> {
        let fill = Fill::of(&ring);
        // SAFETY: the ring owns the descriptor of its map, gives the same one at each call, and closes
        // it only when it is dropped, which the AsyncFd does last.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        Ok(Source { ring: ring.map_err(std::io::Error::from).context("cannot wait for the ring")?, fill })
    }

    /// Bytes of the ring that wait to be read; none where the kernel does not show it.
    #[must_use]
    pub fn used_bytes(&self) -> Option<u64> {
        self.fill.as_ref().map(Fill::used_bytes)
    }

    /// Waits until the probes ask for the ring to be read.
    ///
    /// # Errors
    /// When the event loop ends.
    pub async fn readable(&mut self) -> anyhow::Result<()> {
        self.ring.readable().await.context("cannot wait for the ring")?.clear_ready();
        Ok(())
    }

    /// Gives the records that are there to `take`, up to a bound; says whether none is left.
    ///
    /// # Errors
    /// The first of `take`.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<bool> {
        let ring = self.ring.get_mut();
        for _ in 0..RECORDS_AT_ONCE {
            let Some(record) = ring.next() else { return Ok(true) };
            take(&record)?;
        }
        Ok(false)
    }
}
