//! What the numbers of a configuration may be, declared once, beside the keys.

use std::fmt;

use toml::{Table, Value};

/// A key and what is wrong with its value.
pub type Refusal = (&'static str, String);

/// A key whose value is a number, or a list of numbers, and what it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// The whole name, such as `augment.flip.probability`.
    pub name: &'static str,
    number: Number,
    list: Option<List>,
}

/// What a number may be.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Number {
    whole: bool,
    low: f64,
    high: f64,
    /// The ends are not in the range.
    open: [bool; 2],
    /// 0 is fine besides.
    or_zero: bool,
}

/// How many numbers a list may have.
#[derive(Clone, Copy, Debug, PartialEq)]
struct List {
    least: usize,
    most: usize,
    /// None may come twice.
    distinct: bool,
}

/// Ends of a range are reached by numbers that were rounded to 32 bits too.
const ROUNDING: f64 = 1e-6;

/// More of anything that is counted has no sense.
pub const MANY: u64 = 10_000_000;

/// A weight of 0 or more, and not so large that sums of products lose their meaning in 32 bits.
pub const fn weight(name: &'static str) -> Key {
    real(name, 0.0, 1e6)
}

/// A probability or a share.
pub const fn share(name: &'static str) -> Key {
    real(name, 0.0, 1.0)
}

/// A learning rate: less than the least would not move a weight of 32 bits.
pub const fn rate(name: &'static str) -> Key {
    real(name, 1e-12, 100.0)
}

/// A seed: any number that TOML can write.
pub const fn seed(name: &'static str) -> Key {
    whole(name, 0, i64::MAX as u64)
}

/// Numbers of lines at which validation scores.
pub const fn validate_lines(least: usize) -> Key {
    Key { list: Some(List { least, most: 64, distinct: true }), ..whole("validate_lines", 1, MANY) }
}

/// A time in minutes; 0: no limit.
pub const fn minutes(name: &'static str) -> Key {
    real(name, 0.001, 1e6).or_zero()
}

/// A whole number from `low` to `high`.
pub const fn whole(name: &'static str, low: u64, high: u64) -> Key {
    let number = Number { whole: true, low: low as f64, high: high as f64, open: [false; 2], or_zero: false };
    Key { name, number, list: None }
}

/// A number from `low` to `high`.
pub const fn real(name: &'static str, low: f64, high: f64) -> Key {
    Key { name, number: Number { whole: false, low, high, open: [false; 2], or_zero: false }, list: None }
}

impl Key {
    /// The range without its lower end.
    pub const fn above(mut self) -> Self {
        self.number.open[0] = true;
        self
    }

    /// The range without its upper end.
    pub const fn below(mut self) -> Self {
        self.number.open[1] = true;
        self
    }

    /// The range, and 0.
    pub const fn or_zero(mut self) -> Self {
        self.number.or_zero = true;
        self
    }

    /// A list of `least` to `most` such numbers.
    pub const fn list(mut self, least: usize, most: usize) -> Self {
        self.list = Some(List { least, most, distinct: false });
        self
    }

    /// What is wrong with `value`, if anything is.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let wrong = || Err(format!("must be {self}"));
        match (self.list, value) {
            (None, _) if self.number.holds(value) => Ok(()),
            (Some(list), Value::Array(values)) if values.iter().all(|value| self.number.holds(value)) => {
                if !(list.least..=list.most).contains(&values.len()) {
                    return wrong();
                }
                let twice = (1..values.len()).find(|&i| list.distinct && values[..i].contains(&values[i]));
                twice.map_or(Ok(()), |i| Err(format!("must have each number once, and {} comes twice", values[i])))
            }
            _ => wrong(),
        }
    }
}

impl Number {
    fn holds(&self, value: &Value) -> bool {
        let number = match value {
            Value::Integer(number) => *number as f64,
            Value::Float(number) if !self.whole => *number,
            _ => return false,
        };
        let end = |end: f64, open: bool| if open { end } else { end.abs() * ROUNDING };
        let [below, above] = self.open;
        let low = if below { number > self.low } else { number >= self.low - end(self.low, below) };
        let high = if above { number < self.high } else { number <= self.high + end(self.high, above) };
        (low && high) || (self.or_zero && number == 0.0)
    }
}

/// What is expected: `a whole number from 1 to 64`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.list {
            None => write!(f, "a {}", self.number),
            Some(List { least, most, distinct }) => {
                let each = if distinct { ", each once" } else { "" };
                match (least, most) {
                    (0, _) => write!(f, "a list of at most {most} numbers{each}; each a {}", self.number),
                    _ if least == most => write!(f, "a list of {least} numbers, each a {}", self.number),
                    _ => write!(f, "a list of {least} to {most} numbers{each}; each a {}", self.number),
                }
            }
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { whole, low, high, open, or_zero } = *self;
        write!(f, "{}", if whole { "whole number " } else { "number " })?;
        // Where a range has no end that means anything, it is not said.
        let most = if high >= i64::MAX as f64 { "2^63 - 1".to_owned() } else { Self::plain(high) };
        match open {
            [false, false] => write!(f, "from {} to {most}", Self::plain(low))?,
            [true, false] => write!(f, "above {} and at most {most}", Self::plain(low))?,
            [false, true] => write!(f, "from {} up and below {most}", Self::plain(low))?,
            [true, true] => write!(f, "above {} and below {most}", Self::plain(low))?,
        }
        write!(f, "{}", if or_zero { ", or 0" } else { "" })
    }
}

impl Number {
    /// Without an exponent where that is short.
    fn plain(number: f64) -> String {
        if number == 0.0 || (1e-4..1e9).contains(&number) { number.to_string() } else { format!("{number:e}") }
    }
}

/// The value of the dotted key `name`.
pub(super) fn find<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    match name.split_once('.') {
        None => table.get(name),
        Some((first, rest)) => find(table.get(first)?.as_table()?, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_outside_its_range_is_refused_with_what_was_expected() {
        let says = |key: Key, value: Value| key.check(&value).unwrap_err();
        assert_eq!(whole("n", 1, 64).check(&Value::Integer(64)), Ok(()));
        assert_eq!(says(whole("n", 1, 64), Value::Integer(0)), "must be a whole number from 1 to 64");
        assert_eq!(says(whole("n", 1, 64), Value::Float(2.0)), "must be a whole number from 1 to 64");
        assert_eq!(real("x", 0.5, 2.0).check(&Value::Integer(1)), Ok(()));
        for value in [f64::NAN, f64::INFINITY, 1e308, -1.0, 1e-308] {
            let said = says(real("x", 0.5, 2.0), Value::Float(value));
            assert_eq!(said, "must be a number from 0.5 to 2", "{value}");
        }
        assert_eq!(says(rate("x"), Value::Integer(0)), "must be a number from 1e-12 to 100");
        assert_eq!(says(share("x").below(), Value::Float(1.0)), "must be a number from 0 up and below 1");
        assert_eq!(says(share("x").above(), Value::Float(0.0)), "must be a number above 0 and at most 1");
        assert_eq!(minutes("x").check(&Value::Float(0.0)), Ok(()));
        assert_eq!(says(minutes("x"), Value::Float(1e-308)), "must be a number from 0.001 to 1000000, or 0");
        assert_eq!(says(seed("x"), Value::Integer(-1)), "must be a whole number from 0 to 2^63 - 1");
    }

    #[test]
    fn an_end_that_was_rounded_to_32_bits_is_in_the_range() {
        assert_eq!(real("x", 1e-4, 0.1).check(&Value::Float(f64::from(1e-4f32))), Ok(()));
        assert_eq!(real("x", 1e-4, 0.1).check(&Value::Float(f64::from(0.1f32))), Ok(()));
    }

    #[test]
    fn lists_have_a_length_and_some_have_each_number_once() {
        let list = |numbers: &[i64]| Value::Array(numbers.iter().map(|&number| Value::Integer(number)).collect());
        assert_eq!(validate_lines(0).check(&list(&[])), Ok(()));
        assert_eq!(weight("x").list(3, 3).check(&list(&[1, 1, 0])), Ok(()));
        let says = |key: Key, value: Value| key.check(&value).unwrap_err();
        assert!(says(validate_lines(1), list(&[])).contains("a list of 1 to 64 numbers, each once"));
        assert!(says(validate_lines(0), list(&[8, 16, 8])).contains("8 comes twice"));
        assert!(says(validate_lines(0), list(&(1..100).collect::<Vec<_>>())).contains("at most 64"));
        assert!(says(validate_lines(0), Value::Integer(8)).contains("a list of at most 64 numbers"));
        assert_eq!(
            says(weight("x").list(3, 3), list(&[1, 2])),
            "must be a list of 3 numbers, each a number from 0 to 1000000"
        );
    }
}
