//! What random walks are made of.

use slap_model::Choices;

/// A small generator of numbers (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Choices for Numbers {
    fn choose(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn choose_weighted(&mut self, weights: &[u32]) -> usize {
        let mut left = (self.next() % u64::from(weights.iter().sum::<u32>())) as u32;
        for (at, weight) in weights.iter().enumerate() {
            if left < *weight {
                return at;
            }
            left -= weight;
        }
        unreachable!("the rest is smaller than the sum")
    }
}
