//! Guided: changes inputs at random, and keeps those that take a new path. A part of each fuzzing example.
//!
//! `cargo xtask fuzz` compiles the examples with the compiler's coverage pass: each branch has a counter of one byte, and
//! a path is new if a counter has a value that it never had (of 1, 2, 3, 4 to 7, and so on). No other crate is needed, and a
//! stable compiler has the pass. Compiled without it, nothing guides, and this says so.
//!
//! ```text
//! EXAMPLE TARGET SECONDS [SEED]      0 seconds: only the corpus
//! ```
//!
//! `KRCU_CORPUS` is the folder of the inputs to begin with; `KRCU_KEEP` is one into which the smallest inputs that take
//! all paths are written.

use std::{
    collections::BTreeMap,
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitCode,
    slice,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The longest input.
const LONGEST: usize = 1 << 16;
/// The most inputs that are written.
const MOST_KEPT: usize = 48;
/// The largest input that is written.
const LARGEST_KEPT: usize = 4096;

/// The counters of the program: where they begin, and how many there are.
static COUNTERS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// The program calls this before `main()`, for each part of it that has counters.
///
/// # Safety
/// All bytes from `start` to `stop` are counters, as long as the program runs.
#[unsafe(no_mangle)]
unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    let mut counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    counters.push((start.addr(), stop.addr() - start.addr()));
}

/// Calls `see` with the number of each counter and its value, and sets it to zero.
fn take(counters: &[(usize, usize)], mut see: impl FnMut(usize, u8)) {
    let mut number = 0;
    for (start, length) in counters {
        let start = std::ptr::with_exposed_provenance_mut::<u8>(*start);
        // SAFETY: these bytes are counters, and one thread runs.
        let bytes = unsafe { slice::from_raw_parts_mut(start, *length) };
        for byte in bytes {
            if *byte != 0 {
                see(number, *byte);
                *byte = 0;
            }
            number += 1;
        }
    }
}

/// xorshift64*: the same seed, the same inputs.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

/// What has been found.
struct Found {
    counters: Vec<(usize, usize)>,
    /// For each counter the values that it had, a bit for each class.
    seen: Vec<u8>,
    /// The inputs that took a new path, with the counters that they reached.
    kept: Vec<(Vec<u8>, Vec<usize>)>,
}

impl Found {
    /// Runs an input, and keeps it if its path is new. False if it panicked.
    fn run(&mut self, input: &[u8], one: &mut impl FnMut(&[u8])) -> bool {
        take(&self.counters, |_, _| {});
        if catch_unwind(AssertUnwindSafe(|| one(input))).is_err() {
            return false;
        }
        let (seen, mut is_new, mut reached) = (&mut self.seen, false, Vec::new());
        take(&self.counters, |number, count| {
            // 1, 2, 3, 4 to 7, 8 to 15, 16 to 31, 32 to 127, more.
            let class = match count {
                1..=3 => count - 1,
                4..=7 => 3,
                8..=15 => 4,
                16..=31 => 5,
                32..=127 => 6,
                _ => 7,
            };
            is_new |= seen[number] & 1 << class == 0;
            seen[number] |= 1 << class;
            reached.push(number);
        });
        if is_new {
            self.kept.push((input.to_owned(), reached));
        }
        true
    }
}

/// Runs the corpus, and then changed inputs until the time is over. `one` panics if an input is not borne.
pub(crate) fn main(target: &str, seeds: Vec<Vec<u8>>, mut one: impl FnMut(&[u8])) -> ExitCode {
    let mut arguments = env::args().skip(2);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let mut random = Random(arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_u64).max(1));
    let counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let branches: usize = counters.iter().map(|(_, length)| length).sum();
    let mut found = Found { counters, seen: vec![0; branches], kept: Vec::new() };
    let words: Vec<Vec<u8>> = words(&seeds);
    let mut corpus = seeds;
    let folder = env::var_os("KRCU_CORPUS").map(PathBuf::from);
    let files = folder.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten();
    let mut paths: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.sort();
    corpus.extend(paths.iter().filter_map(|path| fs::read(path).ok()));
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut inputs, mut bad) = (0_u64, None);
    for input in &corpus {
        inputs += 1;
        if !found.run(input, &mut one) {
            bad.get_or_insert_with(|| input.clone());
        }
    }
    while bad.is_none() && Instant::now() < until {
        let from = match found.kept.len() {
            0 => &corpus[random.below(corpus.len())],
            kept => &found.kept[random.below(kept)].0,
        };
        let mut input = from.clone();
        for _ in 0..=random.below(6) {
            let other = &corpus[random.below(corpus.len())];
            change(&mut input, other, &words, &mut random);
        }
        input.truncate(LONGEST);
        inputs += 1;
        if !found.run(&input, &mut one) {
            bad = Some(input);
        }
    }
    let reached = found.seen.iter().filter(|seen| **seen != 0).count();
    let guided = if branches == 0 { "not guided: compiled without coverage" } else { "guided" };
    println!(
        "fuzz: {target}: {inputs} inputs, {} of them took a new path, {reached} of {branches} branches reached, {guided}",
        found.kept.len()
    );
    if let Some(input) = bad {
        let path = env::temp_dir().join(format!("krcu-fuzz-{target}-bad"));
        let left = fs::write(&path, &input).is_ok();
        eprintln!(
            "fuzz: {target}: an input panicked; it is {}",
            if left { path.display().to_string() } else { format!("{input:?}") }
        );
        return ExitCode::FAILURE;
    }
    if let Some(folder) = env::var_os("KRCU_KEEP").map(PathBuf::from) {
        keep(&folder, found.kept);
    }
    ExitCode::SUCCESS
}

/// Writes few and small inputs that reach, together, what all of them reach.
fn keep(folder: &std::path::Path, mut kept: Vec<(Vec<u8>, Vec<usize>)>) {
    kept.retain(|(input, _)| input.len() <= LARGEST_KEPT);
    kept.sort_by_key(|(input, _)| input.len());
    let mut reached = BTreeMap::<usize, usize>::new();
    for (number, (_, counters)) in kept.iter().enumerate() {
        for counter in counters {
            reached.entry(*counter).or_insert(number);
        }
    }
    let mut news = BTreeMap::<usize, usize>::new();
    reached.values().for_each(|number| *news.entry(*number).or_default() += 1);
    let mut chosen: Vec<(usize, usize)> = news.into_iter().map(|(number, count)| (count, number)).collect();
    chosen.sort_unstable_by(|one, other| other.cmp(one));
    for (place, (_, number)) in chosen.into_iter().take(MOST_KEPT).enumerate() {
        let path = folder.join(format!("{place:02}"));
        if let Err(error) = fs::write(&path, &kept[number].0) {
            eprintln!("fuzz: {}: {error}", path.display());
        }
    }
}

/// The words of the first inputs.
fn words(seeds: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let is_end = |byte: &u8| b" \n\t=:,\"{}[]".contains(byte);
    let mut words: Vec<Vec<u8>> =
        seeds.iter().flat_map(|seed| seed.split(is_end)).map(<[u8]>::to_vec).collect();
    words.extend(
        ["18446744073709551615", "-1", "0", "4294967296", "1e999", "\\u0000", "\u{202e}"]
            .map(|word| word.into()),
    );
    words.retain(|word| !word.is_empty() && word.len() < 40);
    words.sort();
    words.dedup();
    words
}

/// One change.
fn change(input: &mut Vec<u8>, other: &[u8], words: &[Vec<u8>], random: &mut Random) {
    let place = random.below(input.len() + 1);
    let until = (place + 1 + random.below(32)).min(input.len());
    match random.below(9) {
        0 if place < input.len() => input[place] ^= 1 << random.below(8),
        1 if place < input.len() => {
            input[place] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b' ', b'9'][random.below(8)];
        }
        2 if place < until => drop(input.drain(place..until)),
        3 => input.truncate(place),
        4 | 5 if !words.is_empty() => {
            // A word becomes another, so that most of the input keeps its form.
            let end = input
                .iter()
                .skip(place)
                .position(|byte| b" \n=,:".contains(byte))
                .map_or(place, |n| place + n);
            drop(input.splice(place..end.max(place), words[random.below(words.len())].iter().copied()));
        }
        6 => {
            let from = random.below(other.len());
            let length = random.below(128);
            let part: Vec<u8> = other.iter().skip(from).take(length).copied().collect();
            drop(input.splice(place..place, part));
        }
        7 => {
            let values = [u64::MAX, 1 << 63, 1 << 40, 0x7fff_ffff, 0xffff_ffff, 65_537, 0];
            let value = values[random.below(values.len())].to_le_bytes();
            input.iter_mut().skip(place & !7).zip(value).for_each(|(byte, new)| *byte = new);
        }
        _ if place < until => {
            let part: Vec<u8> = input[place..until].to_vec();
            drop(input.splice(place..place, part));
        }
        _ => input.push(b'0'),
    }
}
