//! Numbers on the command line: each option is read with its range, so that what is outside is refused before any work.

use std::any::TypeId;
use std::ffi::OsStr;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

use super::limit::Gib;
use super::spacing::Spacing;
use crate::config::shown;
use crate::net::segmenters::MOST_LEVELS;
use crate::predict::Undersampling;

/// The most lines that an image has.
pub const MAX_IMAGE_LINES: u64 = 512;

/// More of anything that is counted one by one has no sense.
pub const MANY: u64 = 1_000_000;

/// Sides of images, in pixels, that the transforms take.
const SIDES: [usize; 5] = [32, 64, 128, 256, 512];

/// Numbers of lines, none of them twice. The name keeps clap from reading one number a time.
pub type Budgets = Vec<usize>;

/// What clap asks of a value.
pub trait OnCommandLine: Clone + Send + Sync + 'static {}

impl<T: Clone + Send + Sync + 'static> OnCommandLine for T {}

/// Reads an option's value, or says what was expected of the option.
#[derive(Clone)]
pub struct Reader<F>(F);

impl<T, F> TypedValueParser for Reader<F>
where
    T: OnCommandLine,
    F: Fn(&str) -> Result<T, String> + OnCommandLine,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, option: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let text = value.to_string_lossy();
        (self.0)(text.trim()).map_err(|expected| {
            let name = option.and_then(Arg::get_long).unwrap_or("number");
            let text = if text.is_empty() { "\"\"".to_owned() } else { shown(&text) };
            let message = format!("--{name} {text}: {expected}\n");
            Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// A whole number within `range`.
pub fn whole<T>(range: RangeInclusive<u64>) -> impl TypedValueParser<Value = T>
where
    T: TryFrom<u64> + OnCommandLine,
{
    let read = move |text: &str| {
        let number =
            text.parse().ok().filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("expected a whole number from {} to {}", range.start(), range.end()))
    };
    Reader(read)
}

/// A seed: any whole number of 64 bits.
pub fn seed() -> impl TypedValueParser<Value = u64> {
    whole(0..=u64::MAX)
}

/// A number within `range`.
pub fn real<T>(range: RangeInclusive<T>) -> impl TypedValueParser<Value = T>
where
    T: FromStr + PartialOrd + Display + OnCommandLine,
{
    let read = move |text: &str| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("expected a number from {} to {}", range.start(), range.end()))
    };
    Reader(read)
}

/// A head of U-Net++, 1 to 4.
pub fn head() -> impl TypedValueParser<Value = usize> {
    whole(1..=MOST_LEVELS as u64)
}

/// What another line must promise to gain; more than 1 ends every scan at once.
pub fn least_gain() -> impl TypedValueParser<Value = f32> {
    real(0.0..=1e6)
}

/// The side of an image in pixels.
pub fn side() -> impl TypedValueParser<Value = usize> {
    let read = |text: &str| {
        let side = text.parse().ok().filter(|side| SIDES.contains(side));
        side.ok_or_else(|| "expected 32, 64, 128, 256 or 512 pixels, which the transforms need".to_owned())
    };
    Reader(read)
}

/// Numbers of lines, separated by commas.
pub fn budgets() -> impl TypedValueParser<Value = Budgets> {
    Reader(|text: &str| {
        let mut budgets = Vec::new();
        for word in text.split(',').map(str::trim) {
            let expected = || format!("expected whole numbers from 1 to {MAX_IMAGE_LINES}, such as 6,8,12");
            let lines = word.parse().ok().filter(|&lines| (1..=MAX_IMAGE_LINES as usize).contains(&lines));
            let lines = lines.ok_or_else(expected)?;
            if budgets.contains(&lines) {
                return Err(format!("{lines} comes twice"));
            }
            budgets.push(lines);
        }
        Ok(budgets)
    })
}

/// `command`, whose options of numbers take `-1` and `-inf` as their values, to be refused as what they are and not as options
/// that there are none of.
pub fn with_signs(command: Command) -> Command {
    let may_be_signed = |arg: Arg| if takes_number(&arg) { arg.allow_hyphen_values(true) } else { arg };
    command.mut_args(may_be_signed).mut_subcommands(with_signs)
}

fn takes_number(arg: &Arg) -> bool {
    let own = arg.get_value_parser().type_id();
    let whole = [TypeId::of::<usize>(), TypeId::of::<u64>(), TypeId::of::<u16>(), TypeId::of::<u8>()];
    let real = [TypeId::of::<f32>(), TypeId::of::<f64>(), TypeId::of::<Spacing>()];
    let lines = [TypeId::of::<Budgets>(), TypeId::of::<Undersampling>()];
    let sizes = [TypeId::of::<[f32; 2]>(), TypeId::of::<Gib>()];
    whole.iter().chain(&real).chain(&lines).chain(&sizes).any(|number| own == *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `parser` makes of a value of `--option`.
    fn read<P: TypedValueParser>(parser: P, text: &str) -> Result<P::Value, String> {
        let option = Arg::new("option").long("option");
        let read = parser.parse_ref(&Command::new("kscout"), Some(&option), OsStr::new(text));
        read.map_err(|error| error.to_string())
    }

    fn refused<P: TypedValueParser>(parser: P, text: &str, expected: &str) {
        let error = read(parser, text).err().unwrap_or_else(|| panic!("`{text}` is accepted"));
        let text = if text.is_empty() { "\"\"" } else { text };
        assert!(error.starts_with(&format!("error: --option {text}: {expected}")), "{error}");
    }

    #[test]
    fn whole_numbers_have_a_range() {
        assert_eq!(read(whole::<usize>(1..=8), "8"), Ok(8));
        for text in ["0", "9", "-1", "nan", "", "1.5", "18446744073709551616"] {
            refused(whole::<usize>(1..=8), text, "expected a whole number from 1 to 8");
        }
        assert_eq!(read(seed(), "18446744073709551615"), Ok(u64::MAX));
        refused(whole::<u8>(0..=MANY), "256", "expected a whole number");
    }

    #[test]
    fn real_numbers_have_a_range_that_nothing_else_is_in() {
        assert_eq!(read(real(0.0f64..=1.0), "1e-308"), Ok(1e-308));
        for text in ["nan", "inf", "-inf", "-0.1", "1.01", "1e308", "many"] {
            refused(real(0.0f32..=1.0), text, "expected a number from 0 to 1");
        }
    }

    #[test]
    fn sides_are_those_of_the_transforms() {
        assert_eq!(read(side(), "128"), Ok(128));
        for text in ["100", "16", "0", "1024"] {
            refused(side(), text, "expected 32, 64, 128, 256 or 512");
        }
    }

    #[test]
    fn budgets_are_numbers_of_lines_each_once() {
        assert_eq!(read(budgets(), "6, 8,512"), Ok(vec![6, 8, 512]));
        refused(budgets(), "8,6,8", "8 comes twice");
        for text in ["", "0", "6,", "6,513", "6;8", "6,-1"] {
            refused(budgets(), text, "expected whole numbers from 1 to 512");
        }
    }

    #[test]
    fn a_value_from_elsewhere_is_shown_in_one_short_line() {
        let text = format!("\u{1b}[31m\n{}", "9".repeat(100_000));
        let error = read(seed(), &text).unwrap_err();
        assert!(error.len() < 300 && !error.contains('\u{1b}'), "{error}");
    }
}
