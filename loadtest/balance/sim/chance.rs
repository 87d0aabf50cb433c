//! Chance, seeded, in the distributions that the simulation draws from. Only additions, multiplications, divisions and
//! square roots, whose results are the same on every machine: a logarithm of the system's would not be.

use std::f64::consts::LN_2;
use std::f64::consts::SQRT_2;

use ringway::rand::Rng;

/// A stream of random numbers.
pub struct Chance(Rng);

impl Chance {
    /// The stream `purpose` of a seed. Streams of one seed are independent, so that what a policy draws moves no arrival.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mixed = Rng::seeded(seed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93)).next();
        Self(Rng::seeded(mixed))
    }

    /// The stream as the product takes it.
    pub fn rng(&self) -> &Rng {
        &self.0
    }

    /// Above 0, at most 1.
    pub fn unit(&self) -> f64 {
        ((self.0.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// From `low` to `high`.
    pub fn between(&self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number below `n`.
    pub fn below(&self, n: usize) -> usize {
        self.0.below(n)
    }

    /// Exponential.
    pub fn exponential(&self, mean: f64) -> f64 {
        -ln(self.unit()) * mean
    }

    /// Pareto with exponent 2, cut at a hundred times the mean: no variance to speak of without the cut.
    pub fn pareto(&self, mean: f64) -> f64 {
        (mean / 2.0 / self.unit().sqrt()).min(mean * 100.0)
    }

    /// Two different places below `n`, when there are two.
    pub fn two(&self, n: usize) -> (usize, usize) {
        let first = self.below(n);
        if n < 2 {
            return (first, first);
        }
        let second = self.below(n - 1);
        (first, if second >= first { second + 1 } else { second })
    }
}

/// The natural logarithm of a normal positive number, to some 15 digits.
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut fraction = f64::from_bits(bits & ((1 << 52) - 1) | (1023 << 52));
    if fraction > SQRT_2 {
        fraction /= 2.0;
        exponent += 1;
    }
    let s = (fraction - 1.0) / (fraction + 1.0);
    let square = s * s;
    let series = (0..14).rev().fold(0.0, |sum, n| sum * square + 1.0 / f64::from(2 * n + 1));
    2.0 * s * series + exponent as f64 * LN_2
}

/// `e` to the power of `x`; 0 far below 0.
pub fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let whole = (x / LN_2).round();
    let rest = x - whole * LN_2;
    let series = (1..18).rev().fold(1.0, |sum, n| 1.0 + sum * rest / f64::from(n));
    series * f64::from_bits(((whole as i64 + 1023) as u64) << 52)
}
