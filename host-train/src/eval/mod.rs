//! Evaluation: scans of whole data sets, scored, as tables, statistics and pictures in one folder.

pub mod csv;
pub mod diagnosis;
pub mod earlier;
pub mod outcome;
pub mod report;
pub mod run;
pub mod stops;
pub mod table;
