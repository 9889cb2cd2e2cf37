//! Evaluation: scans of whole data sets, scored, as tables, statistics and pictures in one folder.

pub(crate) mod csv;
pub(crate) mod diagnosis;
pub(crate) mod earlier;
pub(crate) mod outcome;
pub(crate) mod report;
pub mod run;
pub(crate) mod stops;
pub(crate) mod table;
