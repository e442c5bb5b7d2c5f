//! How much is done: the small run for CI, and the full one. The environment can change parts of it.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

/// What a half of the suite does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) is_full: bool,
    pub(crate) seed: u64,
    /// How many faults a full run injects.
    faults: usize,
    /// How many operations run beside each fault.
    pub(crate) operations: u64,
    /// How long an operation may take once the last dependency is back.
    pub(crate) limit: Duration,
    /// How much longer an operation is followed, to learn whether it ends at all.
    pub(crate) beyond: Duration,
    only: Option<String>,
}

impl Plan {
    pub(crate) fn new() -> Self {
        let is_full = env::var("PICRESIZE_FAULTS").is_ok_and(|size| size == "full");
        let (faults, operations) = if is_full { (60, 334) } else { (0, 24) };
        // A small run shares its machine with other tests.
        let (limit, beyond) = if is_full { (20, 100) } else { (45, 0) };
        Self {
            is_full,
            seed: number("PICRESIZE_FAULTS_SEED").unwrap_or(15),
            faults: number("PICRESIZE_FAULTS_COUNT").map_or(faults, |count| count as usize),
            operations: number("PICRESIZE_FAULTS_OPERATIONS").unwrap_or(operations),
            limit: Duration::from_secs(limit),
            beyond: Duration::from_secs(beyond),
            only: env::var("PICRESIZE_FAULTS_ONLY").ok(),
        }
    }

    /// The faults of this run, in order: a small run has those that are marked, once; a full one has
    /// all of them, shuffled, as often as needed.
    pub(crate) fn choose<F: Copy>(&self, all: &[(F, &str, bool)]) -> Vec<F> {
        let wanted = |name: &str| match &self.only {
            Some(only) => name.contains(only.as_str()),
            None => true,
        };
        let is_chosen = |small: bool| self.is_full || self.only.is_some() || small;
        let chosen: Vec<F> = all
            .iter()
            .filter(|(_, name, small)| wanted(name) && is_chosen(*small))
            .map(|(fault, ..)| *fault)
            .collect();
        assert!(
            !chosen.is_empty(),
            "no fault has a name with {:?}",
            self.only
        );
        if self.faults == 0 {
            return chosen;
        }
        let mut random = Random::new(self.seed);
        let mut faults = Vec::new();
        while faults.len() < self.faults {
            let mut cycle = chosen.clone();
            random.shuffle(&mut cycle);
            faults.extend(cycle);
        }
        faults.truncate(self.faults);
        faults
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable}: {text:?} is not a number")))
}

/// The program under test: the one that cargo built beside this, or another build of it.
pub(crate) fn program() -> PathBuf {
    let other = env::var_os("PICRESIZE_FAULTS_PROGRAM");
    other.map_or_else(|| env!("CARGO_BIN_EXE_picresize").into(), PathBuf::from)
}

/// The folder of accounts, logs and data.
pub(crate) fn folder() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let folder = target.parent().unwrap().join("faults");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Reports that something was not tested, and why. In CI that is a failure.
pub(crate) fn skipped(reason: &str) {
    assert_ne!(env::var("CI").as_deref(), Ok("true"), "{reason}");
    eprintln!("SKIPPED: {reason}");
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A time between both.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let range = most.saturating_sub(least).as_millis() as u64;
        least + Duration::from_millis(self.below(range + 1))
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index as u64 + 1) as usize);
        }
    }
}
