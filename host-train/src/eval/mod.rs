//! Evaluation: scans of whole data sets, metrics, statistics, tables and pictures.

pub mod agreement;
pub mod auc;
pub mod canvas;
pub mod cohort;
pub mod compare;
pub mod csv;
pub mod diagnosis;
pub mod earlier;
mod font;
pub mod heatmap;
pub mod metrics;
pub mod outcome;
pub mod pairing;
pub mod panel;
pub mod plot;
pub mod quality;
pub mod reference;
pub mod report;
pub mod run;
pub mod scores;
pub mod stats;
pub mod stops;
pub mod surface;
pub mod table;
pub mod volume_panel;
