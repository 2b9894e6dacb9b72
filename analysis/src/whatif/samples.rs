//! Samples: durations that were observed, of a stream that may be longer than memory.

/// Most that are kept.
const KEPT: usize = 1 << 16;

/// Every so many-th duration, by a power of two that grows when there is no more room: the same trace gives the same.
#[derive(Debug)]
pub(super) struct Samples {
    kept: Vec<u64>,
    stride: u64,
    seen: u64,
}

impl Default for Samples {
    fn default() -> Samples {
        Samples { kept: Vec::new(), stride: 1, seen: 0 }
    }
}

impl Samples {
    pub(super) fn push(&mut self, ns: u64) {
        if self.seen.is_multiple_of(self.stride) {
            if self.kept.len() == KEPT {
                let mut even = false;
                self.kept.retain(|_| {
                    even = !even;
                    even
                });
                self.stride *= 2;
            }
            if self.seen.is_multiple_of(self.stride) {
                self.kept.push(ns);
            }
        }
        self.seen += 1;
    }

    pub(super) fn into_vec(self) -> Vec<u64> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_stream_is_thinned_evenly() {
        let mut samples = Samples::default();
        (0..3 * KEPT as u64).for_each(|ns| samples.push(ns));
        let kept = samples.into_vec();
        assert!(kept.len() > KEPT / 2 && kept.len() <= KEPT, "{}", kept.len());
        assert!(kept.windows(2).all(|pair| pair[1] - pair[0] == 4), "every fourth, from the first");
        assert_eq!(kept[0], 0);
    }
}
