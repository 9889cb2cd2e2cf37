//! The columns of a run's log: a table of what each is called and how its cells are written, of which header and rows are made.

use super::checkpoint::Meta;

/// A number that the steps of a run report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantity {
    /// The column's name.
    pub name: &'static str,
    /// Digits behind the point.
    pub digits: usize,
}

/// A column that validations fill, from what they find.
pub(crate) struct Column<F> {
    name: String,
    cell: Box<dyn Fn(&F) -> String + Send>,
}

impl<F> Column<F> {
    /// A number of so many `digits`; the cell is empty where `value` is not defined.
    pub fn number(name: String, digits: usize, value: impl Fn(&F) -> Option<f64> + Send + 'static) -> Self {
        let cell = move |found: &F| value(found).map_or(String::new(), |value| format!("{value:.digits$}"));
        Self { name, cell: Box::new(cell) }
    }

    /// A word.
    pub fn word(name: &str, word: impl Fn(&F) -> String + Send + 'static) -> Self {
        Self { name: name.to_owned(), cell: Box::new(word) }
    }
}

/// The columns of a log, after those of the step and of the seconds that the run has trained for.
pub(crate) struct Columns<const N: usize, F> {
    /// What its steps report.
    pub steps: [Quantity; N],
    /// What its validations find.
    pub validation: Vec<Column<F>>,
}

impl<const N: usize, F> Columns<N, F> {
    /// The log's first line; a step is called `unit`.
    pub fn header(&self, unit: &str) -> String {
        let steps = self.steps.iter().map(|quantity| quantity.name);
        let names = steps.chain(self.validation.iter().map(|column| column.name.as_str()));
        [unit, "seconds"].into_iter().chain(names).collect::<Vec<_>>().join(",")
    }

    /// The row of a run that stands as `meta` says, whose steps report `reported` and whose validation found `found`.
    pub fn row(&self, meta: &Meta, reported: [f64; N], found: &F) -> String {
        let begin = [meta.step.to_string(), format!("{:.0}", meta.seconds)];
        let steps = self.steps.iter().zip(reported).map(|(quantity, value)| format!("{value:.0$}", quantity.digits));
        let cells = begin.into_iter().chain(steps).chain(self.validation.iter().map(|column| (column.cell)(found)));
        cells.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::{Kind, SlicePolicyRecord};
    use super::*;

    #[test]
    fn header_and_rows_have_a_cell_a_column_whatever_is_defined() {
        let dice = |i: usize| move |found: &Vec<Option<f64>>| found.get(i).copied().flatten();
        let columns = Columns {
            steps: [Quantity { name: "loss", digits: 4 }, Quantity { name: "entropy", digits: 2 }],
            validation: vec![
                Column::number("dice_8".into(), 3, dice(0)),
                Column::number("dice_4".into(), 3, dice(1)),
                Column::word("kept", |found: &Vec<Option<f64>>| format!("{} of 2", found.len())),
            ],
        };
        assert_eq!(columns.header("update"), "update,seconds,loss,entropy,dice_8,dice_4,kept");
        let record = SlicePolicyRecord { line_order: Vec::new(), held_out: Vec::new() };
        let run = Meta::imported(Kind::SlicePolicy(record), [8, 8], "phantom".into());
        let meta = Meta { step: 12, seconds: 3.6, ..run };
        let row = |found: &Vec<Option<f64>>| columns.row(&meta, [0.25, 1.0 / 3.0], found);
        assert_eq!(row(&vec![Some(0.5), Some(2.0 / 3.0)]), "12,4,0.2500,0.33,0.500,0.667,2 of 2");
        assert_eq!(row(&vec![None, Some(1.0)]), "12,4,0.2500,0.33,,1.000,2 of 2");
        assert_eq!(row(&vec![]), "12,4,0.2500,0.33,,,0 of 2");
    }
}
