//! A small model of random weights that uses every operator, and a scan with it on the host: what other targets repeat.

use std::fs;
use std::path::Path;

use kscout::export::blob_writer::{
    GraphSpec, HeaderSpec, Origin, TensorId, TensorSpec, f32_bytes, i8_bytes, param_bytes, write_blob,
};
use kscout::runtime::HeapArena;
use kscout_core::Complex32;
use kscout_core::capture::{Repr, blob_crc};
use kscout_core::kernels::{Axis, Channel, Corners, Kernels, Layout, Shape};
use kscout_core::kspace::Reconstruction;
use kscout_core::model::{ConvRepr, Model, OperatorRepr};
use kscout_core::quant::Requant;
use kscout_core::scan::{Scan, arena_bytes_with};

/// Rows and columns of the image.
pub const SIDE: usize = 64;
/// Lines that the scan may measure.
const BUDGET: usize = 6;

/// A scan on the host.
pub struct HostScan {
    /// CRC-32 of the blob.
    pub blob_crc: u32,
    /// `Scan::digest` at the end.
    pub digest: u64,
    /// The lines that the policy chose, or that were given, in order.
    pub lines: Vec<u16>,
    /// Whether they were given.
    given: bool,
    /// Rows and columns.
    side: usize,
    kspace: Vec<Complex32>,
}

impl HostScan {
    /// Scans with `kernels`, the lines of the blob's policy; k-space is random, and strongest in the middle.
    pub fn new<K: Kernels>(blob: &[u8], kernels: K) -> Self {
        let scan = Self::of(blob, kernels, None);
        assert_eq!(scan.lines.len(), BUDGET);
        scan
    }

    /// The same of given lines, up to as many as the policy could choose.
    pub fn of_lines<K: Kernels>(blob: &[u8], kernels: K, lines: &[u16]) -> Self {
        Self::of(blob, kernels, Some(lines))
    }

    fn of<K: Kernels>(blob: &[u8], kernels: K, given: Option<&[u16]>) -> Self {
        let model = Model::new_checked(blob).unwrap();
        let side = model.width();
        let mut random = Random(7);
        let half = side as f32 / 2.0;
        let kspace: Vec<Complex32> = (0..side * side)
            .map(|i| {
                let (line, sample) = ((i / side) as f32 - half, (i % side) as f32 - half);
                let amplitude = 100.0 / (1.0 + line * line + sample * sample);
                Complex32::new(random.unit(), random.unit()) * amplitude
            })
            .collect();
        let mut arena = HeapArena::new(arena_bytes_with(&model, &kernels));
        let mut scan = Scan::with_kernels(&model, arena.bytes(), kernels).unwrap();
        scan.start(BUDGET).unwrap();
        let mut lines = given.unwrap_or_default().iter().map(|&line| usize::from(line));
        while let Some(line) = if given.is_some() { lines.next() } else { scan.propose().unwrap() } {
            scan.push_line(line, &kspace[line * side..][..side]).unwrap();
        }
        let digest = scan.digest().unwrap();
        let (lines, given) = (scan.lines().to_vec(), given.is_some());
        Self { blob_crc: blob_crc(blob), digest, lines, given, side, kspace }
    }

    /// Writes the blob and this scan into `folder`, as `name.kscout` and `name.kscan`; returns their paths.
    pub fn write(&self, folder: &Path, name: &str, blob: &[u8]) -> [String; 2] {
        let &Self { blob_crc, digest, ref lines, given, side, ref kspace } = self;
        let repr = Repr { height: side, width: side, budget: BUDGET, blob_crc, digest, lines, given, kspace };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut bytes).unwrap();
        write_files(folder, name, blob, &bytes)
    }
}

/// Writes a blob and a capture into `folder`, as `name.kscout` and `name.kscan`; returns their paths.
pub(crate) fn write_files(folder: &Path, name: &str, blob: &[u8], capture: &[u8]) -> [String; 2] {
    fs::create_dir_all(folder).unwrap();
    [("kscout", blob), ("kscan", capture)].map(|(extension, bytes)| {
        let path = folder.join(format!("{name}.{extension}"));
        fs::write(&path, bytes).unwrap();
        path.to_str().expect("a path in UTF-8").to_owned()
    })
}

/// What a blob of random weights says of itself.
pub fn header(layout: Layout) -> HeaderSpec {
    HeaderSpec {
        height: SIDE,
        width: SIDE,
        classes: 4,
        layout,
        reconstruction: Reconstruction::ZeroFilled,
        origin: Origin::default(),
        provenance: "random weights".into(),
    }
}

/// The small model. Whatever the layout, the scan is the same.
pub fn random_blob(layout: Layout) -> Vec<u8> {
    let random = &mut Random(1);
    write_blob(&header(layout), Some(&segmenter(random)), Some(&policy(random))).unwrap()
}

pub(crate) fn segmenter(random: &mut Random) -> GraphSpec {
    let mut net = Net { graph: GraphSpec::default(), random };
    let image = net.image();
    let fine = net.conv(image, 4, (3, 1, 1));
    let pooled = net.max_pool(fine, 2);
    let coarse = net.conv(pooled, 16, (3, 1, 1));
    let x = net.depthwise(coarse);
    let x = net.layer_norm(x);
    let x = net.table(x);
    let x = net.shift(x, Axis::Y);
    let x = net.conv(x, 16, (1, 1, 0));
    let x = net.shift(x, Axis::X);
    let x = net.add(x, coarse);
    let x = net.conv(x, 4, (1, 1, 0));
    let smooth = net.upsample(x, Corners::HalfPixel);
    let spread = net.upsample(x, Corners::Aligned);
    let painted = net.conv_transpose(x, 3);
    let x = net.concat(smooth, spread);
    let x = net.concat(x, painted);
    let x = net.conv(x, 4, (1, 1, 0));
    let x = net.add(x, fine);
    net.conv(x, 4, (1, 1, 0));
    net.graph
}

/// A policy that chooses among [`SIDE`] lines.
pub fn policy(random: &mut Random) -> GraphSpec {
    let mut net = Net { graph: GraphSpec::default(), random };
    let image = net.image();
    let state = TensorSpec { shape: Shape::new(1, 1, SIDE + 3), scale: 1.0 / 127.0, zero_point: 0 };
    let state = net.graph.input(state);
    let x = net.conv(image, 8, (3, 2, 1));
    let x = net.max_pool(x, SIDE / 16);
    let x = net.conv(x, 32, (8, 1, 0));
    let y = net.conv(state, 32, (1, 1, 0));
    let x = net.add(x, y);
    net.conv(x, SIDE, (1, 1, 0));
    net.graph
}

/// Builds graphs whose activations use most of the eight bits.
pub(crate) struct Net<'r> {
    pub(crate) graph: GraphSpec,
    pub(crate) random: &'r mut Random,
}

impl Net<'_> {
    fn image(&mut self) -> TensorId {
        let shape = Shape::new(SIDE, SIDE, 1);
        self.graph.input(TensorSpec { shape, scale: 1.0 / 48.0, zero_point: -128 })
    }

    fn tensor(&self, id: TensorId) -> TensorSpec {
        *self.graph.tensor(id).unwrap()
    }

    /// A convolution with (kernel, stride, padding).
    pub(crate) fn conv(
        &mut self,
        x: TensorId,
        channels: usize,
        (kernel, stride, pad): (usize, usize, usize),
    ) -> TensorId {
        let input = self.tensor(x).shape;
        let op = self.conv_repr(kernel * kernel * input.c, channels, kernel, stride, pad);
        let extent = |n: usize| (n + 2 * pad - kernel) / stride + 1;
        let shape = Shape::new(extent(input.h), extent(input.w), channels);
        self.push(OperatorRepr::Conv2d(op), &[x], shape, -20)
    }

    fn depthwise(&mut self, x: TensorId) -> TensorId {
        let shape = self.tensor(x).shape;
        let op = self.conv_repr(9, shape.c, 3, 1, 1);
        self.push(OperatorRepr::Depthwise(op), &[x], shape, 11)
    }

    fn conv_repr(
        &mut self,
        taps: usize,
        channels: usize,
        kernel: usize,
        stride: usize,
        pad: usize,
    ) -> ConvRepr<Vec<u8>> {
        let weights: Vec<i8> = (0..taps * channels).map(|_| self.random.i8()).collect();
        let typical_sum = 60.0 * 73.0 * (taps as f64).sqrt();
        let params: Vec<Channel> = (0..channels)
            .map(|_| Channel {
                bias: (1000.0 * self.random.unit()) as i32,
                requant: requant(45.0 / typical_sum * f64::from(1.0 + 0.3 * self.random.unit())),
            })
            .collect();
        ConvRepr {
            kernel: (kernel, kernel),
            stride,
            pad,
            dilation: 1,
            clamp: (-128, 127),
            weights: i8_bytes(&weights),
            params: param_bytes(&params),
        }
    }

    fn max_pool(&mut self, x: TensorId, kernel: usize) -> TensorId {
        let TensorSpec { shape, zero_point, .. } = self.tensor(x);
        let op = OperatorRepr::MaxPool { kernel, stride: kernel, clamp: (-128, 127) };
        self.push(op, &[x], Shape::new(shape.h / kernel, shape.w / kernel, shape.c), zero_point)
    }

    fn add(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let out = requant(1.4 / f64::from(1 << 20));
        let op = OperatorRepr::Add { a: requant(0.45), b: requant(0.5), left_shift: 20, out, clamp: (-128, 127) };
        self.push(op, &[a, b], self.tensor(a).shape, 3)
    }

    fn concat(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let (first, second) = (self.tensor(a).shape, self.tensor(b).shape);
        let op = OperatorRepr::Concat { a: requant(1.0), b: requant(0.83), clamp: (-128, 127) };
        self.push(op, &[a, b], Shape { c: first.c + second.c, ..first }, 7)
    }

    fn conv_transpose(&mut self, x: TensorId, channels: usize) -> TensorId {
        let Shape { h, w, c } = self.tensor(x).shape;
        // For each output channel a filter of one tap for each of the window's four positions.
        let per_tap = self.conv_repr(c, 4 * channels, 1, 1, 0);
        let params = per_tap.params[..channels * Channel::BYTES].to_vec();
        let op = OperatorRepr::ConvTranspose2x2 { clamp: (-128, 127), weights: per_tap.weights, params };
        self.push(op, &[x], Shape::new(2 * h, 2 * w, channels), -9)
    }

    fn upsample(&mut self, x: TensorId, corners: Corners) -> TensorId {
        let shape = self.tensor(x).shape;
        let requant = requant(1.1 / corners.total_weight(shape) as f64);
        let op = OperatorRepr::Upsample2x { corners, requant, clamp: (-128, 127) };
        self.push(op, &[x], Shape::new(2 * shape.h, 2 * shape.w, shape.c), -5)
    }

    fn layer_norm(&mut self, x: TensorId) -> TensorId {
        let shape = self.tensor(x).shape;
        let gamma: Vec<f32> = (0..shape.c).map(|_| 40.0 + 10.0 * self.random.unit()).collect();
        let beta: Vec<f32> = (0..shape.c).map(|_| 10.0 * self.random.unit()).collect();
        let (gamma, beta) = (f32_bytes(&gamma), f32_bytes(&beta));
        let op = OperatorRepr::LayerNorm { eps_q: 0.01, clamp: (-128, 127), gamma, beta };
        self.push(op, &[x], shape, 1)
    }

    fn table(&mut self, x: TensorId) -> TensorId {
        let table: Vec<i8> = (0..256).map(|_| self.random.i8()).collect();
        self.push(OperatorRepr::Table { table: i8_bytes(&table) }, &[x], self.tensor(x).shape, 2)
    }

    fn shift(&mut self, x: TensorId, axis: Axis) -> TensorId {
        let TensorSpec { shape, zero_point, .. } = self.tensor(x);
        self.push(OperatorRepr::Shift { axis }, &[x], shape, zero_point)
    }

    fn push(&mut self, op: OperatorRepr<Vec<u8>>, inputs: &[TensorId], shape: Shape, zero_point: i32) -> TensorId {
        self.graph.push(op, inputs, TensorSpec { shape, scale: 0.05, zero_point })
    }
}

fn requant(real: f64) -> Requant {
    Requant::from_real(real).unwrap()
}

/// Knuth's linear congruential generator.
pub struct Random(pub u64);

impl Random {
    /// 31 bits.
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as u32
    }

    /// Uniform in -128 to 126.
    pub fn i8(&mut self) -> i8 {
        (self.next() % 255) as u8 as i8
    }

    /// Uniform in -1 to 1.
    pub fn unit(&mut self) -> f32 {
        (self.next() % 20001) as f32 / 10000.0 - 1.0
    }
}
