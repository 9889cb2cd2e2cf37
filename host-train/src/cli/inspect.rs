//! `kscout inspect`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::cost::cost;
use super::export::summary;
use crate::eval::table::{Align, Table};
use crate::export::BlobFile;
use crate::export::inspect::{Contents, GraphContents, inspect};
use crate::net::FixedOrder;
use crate::shown::shown_up_to;

/// `kscout inspect`.
#[derive(Args)]
pub struct InspectArgs {
    /// A file that `kscout export` wrote
    #[arg(value_name = "FILE.kscout")]
    file: PathBuf,
    /// Print all of it as JSON, for programs
    #[arg(long)]
    json: bool,
}

impl InspectArgs {
    /// Inspects.
    pub fn run(self) -> Result<(), Failure> {
        let file = BlobFile::read(&self.file)?;
        let contents = inspect(&file.model()?);
        if self.json {
            println!("{}", serde_json::to_string_pretty(&contents)?);
        } else {
            print!("{}", text(&self.file.display().to_string(), &cost(&file)?, &contents));
        }
        Ok(())
    }
}

fn text(name: &str, cost: &str, contents: &Contents) -> String {
    let Contents { height, width, classes, flash_bytes, scan_arena_bytes, reconstruction, axes, provenance, .. } =
        contents;
    let axes = axes.as_ref().map_or("not known".to_owned(), |axes| {
        format!("{axes} (columns, rows and slices of the training data grow that way)")
    });
    let mut text = format!(
        "{name}: {flash_bytes} bytes of flash, {scan_arena_bytes} bytes of memory for a scan\n\
         {reconstruction} images of {height}x{width}, {classes} classes\n{cost}\naxes: {axes}\n{}\n",
        shown_up_to(provenance, 2000)
    );
    if let Some(lines) = &contents.fixed_order {
        let order = FixedOrder { name: String::new(), lines: lines.clone() };
        text += &format!("its policy is {order}: it measures the same lines in every scan\n");
    }
    for graph in &contents.graphs {
        text += &format!("\n{}\n{}", heading(graph), operators(graph).to_text());
    }
    text + "\n" + &summary(contents)
}

fn heading(graph: &GraphContents) -> String {
    let inputs: Vec<String> = graph.inputs.iter().map(|input| input.to_string()).collect();
    let hash = graph.weights_hash.as_deref().unwrap_or("not known");
    let inputs = inputs.join(" and ");
    format!("{}: {inputs} -> {}, {} tensors, made from weights of hash {hash}", graph.kind, graph.output, graph.tensors)
}

fn operators(graph: &GraphContents) -> Table {
    let left = ["", "operator", "attributes", "reads", "input", "output"].map(|title| (title, Align::Left));
    let right = ["scale", "zero", "MACs", "weight bytes"].map(|title| (title, Align::Right));
    let mut table = Table::new(left.into_iter().chain(right));
    for operator in &graph.operators {
        let reads: Vec<String> = operator.reads.iter().map(|tensor| tensor.to_string()).collect();
        table.push([
            operator.index.to_string(),
            operator.kind.clone(),
            operator.detail.clone(),
            reads.join(", "),
            operator.input.to_string(),
            operator.output.to_string(),
            format!("{:.5}", operator.output.scale),
            operator.output.zero_point.to_string(),
            operator.macs.to_string(),
            operator.weight_bytes.to_string(),
        ]);
    }
    table
}
