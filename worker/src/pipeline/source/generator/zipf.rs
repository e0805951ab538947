//! Ranks with a Zipf distribution.
//!
//! Owns: rejection-inversion sampling (W. Hörmann, G. Derflinger: "Rejection-inversion to generate variates from
//! monotone discrete distributions", ACM Transactions on Modeling and Computer Simulation 6(3), 1996).
//! Never: builds a table, so that a billion ranks cost as much as ten.

use super::random::Draws;

/// Draws ranks from 0 to `values - 1`; rank r is as likely as `1 / (r + 1)^exponent`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zipf {
    values: f64,
    exponent: f64,
    /// The area under the hat up to 1.5, less the first rank's own probability.
    area_first: f64,
    /// The area under the hat up to `values + 0.5`.
    area_last: f64,
    /// Closer than this to the rank, no comparison is needed.
    squeeze: f64,
}

impl Zipf {
    pub(super) fn new(values: u64, exponent: f64) -> Self {
        let values = values as f64;
        let mut zipf = Self { values, exponent, area_first: 0.0, area_last: 0.0, squeeze: 0.0 };
        zipf.area_first = zipf.area(1.5) - 1.0;
        zipf.area_last = zipf.area(values + 0.5);
        zipf.squeeze = 2.0 - zipf.inverse(zipf.area(2.5) - zipf.height(2.0));
        zipf
    }

    pub(super) fn draw(&self, draws: &mut Draws) -> u64 {
        loop {
            let area = self.area_last + draws.unit() * (self.area_first - self.area_last);
            let point = self.inverse(area);
            let rank = point.round().clamp(1.0, self.values);
            if rank - point <= self.squeeze || area >= self.area(rank + 0.5) - self.height(rank) {
                return rank as u64 - 1;
            }
        }
    }

    fn height(&self, point: f64) -> f64 {
        (-self.exponent * point.ln()).exp()
    }

    /// The integral of `height` from 1 to `point`: `(point^(1 - e) - 1) / (1 - e)`, which is `ln(point)` at e = 1.
    fn area(&self, point: f64) -> f64 {
        let log = point.ln();
        let power = (1.0 - self.exponent) * log;
        if power.abs() > 1e-8 { power.exp_m1() / power * log } else { (1.0 + power / 2.0) * log }
    }

    /// The point up to which the area is this great.
    fn inverse(&self, area: f64) -> f64 {
        let power = (area * (1.0 - self.exponent)).max(-1.0);
        let log = if power.abs() > 1e-8 { power.ln_1p() / power * area } else { (1.0 - power / 2.0) * area };
        log.exp()
    }
}
