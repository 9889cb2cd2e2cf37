//! An ONNX file in tract, for `tests/peers/peers.py`.
//!
//! `kscout-peer-tract MODEL.onnx IMAGES LOGITS` reads images (f32, little-endian, one behind the other, of the model's input shape),
//! writes the logits of each to LOGITS in the same form, and prints `ready`. Then it reads numbers from standard input, one a line,
//! runs the first image as often, and prints the runs' times in nanoseconds on one line. One thread: tract's default.

use std::io::{BufRead, Write};
use std::time::Instant;

use tract_onnx::prelude::*;

fn main() -> TractResult<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, images, logits] = arguments.as_slice() else {
        refuse("usage: kscout-peer-tract MODEL.onnx IMAGES LOGITS")
    };
    let model = tract_onnx::onnx().model_for_path(model)?.into_optimized()?;
    let shape: Vec<usize> = model.input_fact(0)?.shape.as_concrete().expect("no dynamic axes").to_vec();
    let model = model.into_runnable()?;

    let bytes = std::fs::read(images)?;
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect();
    let images: Vec<Tensor> = values
        .chunks_exact(shape.iter().product())
        .map(|image| Tensor::from_shape(&shape, image))
        .collect::<TractResult<_>>()?;
    let run = |image: &Tensor| model.run(tvec!(image.clone().into()));

    let mut out = Vec::new();
    for image in &images {
        let result = run(image)?;
        let view = result[0].to_plain_array_view::<f32>()?;
        out.extend(view.iter().flat_map(|value| value.to_le_bytes()));
    }
    std::fs::write(logits, out)?;
    println!("ready");

    for line in std::io::stdin().lock().lines() {
        let runs: usize = line?.trim().parse()?;
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs {
            let start = Instant::now();
            run(&images[0])?;
            times.push(start.elapsed().as_nanos().to_string());
        }
        println!("{}", times.join(" "));
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn refuse(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(2)
}
