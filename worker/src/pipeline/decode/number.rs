//! Numbers in text: exact ones and floats.
//!
//! Owns: what a number may look like, and that whole numbers and decimals are never rounded.
//! Never: knows columns.

/// A number taken apart: `digits * 10^exponent`, digits without zeros at their end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Exact {
    negative: bool,
    digits: u128,
    exponent: i64,
}

/// Why a number does not fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Misfit {
    /// It is not a number.
    NotANumber,
    /// Whole numbers only.
    Fraction,
    /// Too many digits after the point.
    FractionalDigits,
    /// Too great or too small.
    OutOfRange,
}

/// Digits that a 128-bit number surely holds.
const DIGITS_MAX: i64 = 38;

impl Exact {
    /// Sign, digits, point, exponent; leading zeros are allowed here and refused by the JSON scanner.
    fn parse(text: &[u8]) -> Result<Self, Misfit> {
        let (negative, mut rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let mut exact = Self { negative, digits: 0, exponent: 0 };
        let (mut significant, mut zeros, mut any, mut point) = (0i64, 0i64, false, false);
        while let [byte, tail @ ..] = rest {
            match byte {
                b'0'..=b'9' => {
                    any = true;
                    exact.exponent -= i64::from(point);
                    if *byte == b'0' {
                        zeros += i64::from(significant > 0);
                    } else {
                        significant += zeros + 1;
                        if significant > DIGITS_MAX {
                            return Err(too_long(text));
                        }
                        let shift = u32::try_from(zeros + 1).expect("at most 38 digits");
                        exact.digits = exact.digits * 10u128.pow(shift) + u128::from(byte - b'0');
                        zeros = 0;
                    }
                }
                b'.' if !point => point = true,
                b'e' | b'E' if any => {
                    exact.exponent += exponent(tail).ok_or(Misfit::NotANumber)?;
                    rest = &[];
                    break;
                }
                _ => return Err(Misfit::NotANumber),
            }
            rest = tail;
        }
        if !any || !rest.is_empty() {
            return Err(Misfit::NotANumber);
        }
        exact.exponent += zeros;
        Ok(exact)
    }

    /// The number times `10^scale`, if that is whole and below `limit` in absolute value.
    fn scaled(self, scale: i64, limit: u128) -> Result<i128, Misfit> {
        if self.digits == 0 {
            return Ok(0);
        }
        let shift = self.exponent + scale;
        if shift < 0 {
            return Err(Misfit::FractionalDigits);
        }
        let power = u32::try_from(shift).ok().and_then(|shift| 10u128.checked_pow(shift));
        let scaled = power.and_then(|power| self.digits.checked_mul(power)).ok_or(Misfit::OutOfRange)?;
        if scaled >= limit {
            return Err(Misfit::OutOfRange);
        }
        let scaled = i128::try_from(scaled).map_err(|_| Misfit::OutOfRange)?;
        Ok(if self.negative { -scaled } else { scaled })
    }
}

/// More than 38 digits that count: whatever the type, it is a number or it is not.
fn too_long(text: &[u8]) -> Misfit {
    if fast_float2::parse::<f64, _>(text).is_err() {
        return Misfit::NotANumber;
    }
    if text.contains(&b'.') { Misfit::FractionalDigits } else { Misfit::OutOfRange }
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Beyond a billion the exact value of an exponent does not matter.
    let value = digits.iter().fold(0i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(1 << 30));
    Some(sign * value)
}

/// A whole number: `12`, `-3`, `1.0`, `1e3`.
pub(super) fn int64(text: &[u8]) -> Result<i64, Misfit> {
    if let Some(value) = plain(text) {
        return Ok(value);
    }
    let value = Exact::parse(text)?.scaled(0, u128::MAX).map_err(|misfit| match misfit {
        Misfit::FractionalDigits => Misfit::Fraction,
        Misfit::NotANumber | Misfit::Fraction | Misfit::OutOfRange => misfit,
    })?;
    i64::try_from(value).map_err(|_| Misfit::OutOfRange)
}

/// Up to 18 digits with an optional minus: most numbers.
fn plain(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// A decimal with `precision` digits, `scale` of them after the point, as `value * 10^scale`.
pub(super) fn decimal(text: &[u8], precision: u8, scale: i8) -> Result<i128, Misfit> {
    Exact::parse(text)?.scaled(i64::from(scale), 10u128.pow(u32::from(precision)))
}

/// A float, or `NaN`, `inf`, `infinity` in any case. A number too great is out of range, not infinite.
pub(super) fn float64(text: &[u8]) -> Result<f64, Misfit> {
    let value: f64 = fast_float2::parse(text).map_err(|_| Misfit::NotANumber)?;
    if value.is_infinite() && text.iter().any(u8::is_ascii_digit) {
        return Err(Misfit::OutOfRange);
    }
    Ok(value)
}

/// As [`float64`], rounded once.
pub(super) fn float32(text: &[u8]) -> Result<f32, Misfit> {
    let value: f32 = fast_float2::parse(text).map_err(|_| Misfit::NotANumber)?;
    if value.is_infinite() && text.iter().any(u8::is_ascii_digit) {
        return Err(Misfit::OutOfRange);
    }
    Ok(value)
}
