//! Random numbers that depend on nothing but where they are used.
//!
//! Owns: the mapping from (seed, column, row) to numbers. Part of what a seed promises: it never changes.
//! Never: keeps state between rows.

/// 2^64 divided by the golden ratio, as in SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// The random numbers of one column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    key: u64,
}

impl Stream {
    /// The column with this index in a job with this seed.
    pub(super) fn new(seed: u64, column: u32) -> Self {
        Self {
            key: mix(mix(seed.wrapping_add(GOLDEN)).wrapping_add(GOLDEN.wrapping_mul(u64::from(column) + 1))),
        }
    }

    /// The numbers of row `row`: as many as are drawn.
    pub(super) fn row(self, row: u64) -> Draws {
        Draws { state: mix(self.key ^ mix(row.wrapping_add(GOLDEN))) }
    }
}

/// The random numbers of one value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draws {
    state: u64,
}

impl Draws {
    /// 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// From 0, below 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0, below `bound`; a bound of 0 stands for 2^64.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let bits = self.bits();
        if bound == 0 {
            return bits;
        }
        // The bias is at most bound / 2^64.
        ((u128::from(bits) * u128::from(bound)) >> 64) as u64
    }
}
