//! Source: reads the ring. The probes wake it, and it takes a bounded number of records at once.

use anyhow::Context as _;
use aya::maps::{MapData, RingBuf};
use tokio::io::{Interest, unix::AsyncFd};

mod fill;

use fill::Fill;

/// The highest number of records that are taken at once.
const RECORDS_AT_ONCE: usize = 8192;

/// The ring of the probes, which the event loop can wait for.
pub struct Source {
    ring: AsyncFd<RingBuf<MapData>>,
    fill: Option<Fill>,
}

impl Source {
    /// A source for this ring. Call it inside the event loop.
    ///
    /// # Errors
    /// When the event loop cannot wait for it.
    pub fn of(ring: RingBuf<MapData>) -> anyhow::Result<Source> {
        let fill = Fill::of(&ring);
        // SAFETY: the ring owns the descriptor of its map, gives the same one at each call, and closes
        // it only when it is dropped, which the AsyncFd does last.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) };
        Ok(Source { ring: ring.map_err(std::io::Error::from).context("cannot wait for the ring")?, fill })
    }

    /// The number of unread bytes; none if the kernel does not show it.
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

    /// Gives the records in the ring to `take`, up to a bound. Returns whether the ring is empty then.
    ///
    /// # Errors
    /// The first error of `take`.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<bool> {
        let ring = self.ring.get_mut();
        for _ in 0..RECORDS_AT_ONCE {
            let Some(record) = ring.next() else { return Ok(true) };
            take(&record)?;
        }
        Ok(false)
    }
}
