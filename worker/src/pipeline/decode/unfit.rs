//! Why a value does not go into a column.
//!
//! Owns: the ways in which a value can be unfit, and the sentences for them, with the value and without it.
//! Never: decides whether a value fits.

use streamjob_plan::Cause;

use super::columns::Column;
use super::kind::Kind;
use super::number::Misfit;

/// A value that cannot go into a column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unfit {
    /// Not the right kind of thing.
    Type,
    /// Text or a number of the right kind, but not of the type's form.
    Form,
    /// A number with a fraction in a whole-number column.
    Fraction,
    /// A decimal with more digits after the point than the column has.
    FractionalDigits,
    /// A number that the type does not hold.
    OutOfRange,
}

impl From<Misfit> for Unfit {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            Misfit::NotANumber => Self::Form,
            Misfit::Fraction => Self::Fraction,
            Misfit::FractionalDigits => Self::FractionalDigits,
            Misfit::OutOfRange => Self::OutOfRange,
        }
    }
}

impl Column {
    /// Why a value cannot go into this column, in a sentence. `found` is what it is, `text` how it is written.
    pub(super) fn cause(&self, unfit: Unfit, found: &str, text: &[u8]) -> Cause {
        let expected = |found: &str| format!("column `{}`: expected {}, found {found}", self.name, self.kind);
        let quoting = |value: String, fault: &str| {
            Cause::quoting(expected(&(value + fault)), expected(&format!("a number{fault}")))
        };
        match (unfit, self.kind) {
            (Unfit::Type, _) => Cause::plain(expected(found)),
            (Unfit::Form, _) => Cause::quoting(
                expected(&format!("`{}`", excerpt(text))),
                expected(&format!("{found} that cannot be read as one")),
            ),
            (Unfit::Fraction, _) => quoting(excerpt(text), ", which is not whole"),
            (Unfit::FractionalDigits, Kind::Decimal { scale, .. }) => {
                quoting(excerpt(text), &format!(", which has more than {scale} digits after the point"))
            }
            (Unfit::FractionalDigits | Unfit::OutOfRange, _) => {
                quoting(excerpt(text), ", which is out of range")
            }
        }
    }
}

/// The beginning of a value, for a cause.
fn excerpt(text: &[u8]) -> String {
    const CHARS_MAX: usize = 60;
    let text = String::from_utf8_lossy(&text[..text.len().min(CHARS_MAX * 4)]);
    let mut short: String = text.chars().take(CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
