//! The core's operators in ONNX's words, on real numbers, NCHW.

use kscout_core::kernels::{self, Axis, ConcatInput, Conv2d, ConvTranspose2x2, Corners, MaxPool, Shift, Upsample2x};
use kscout_core::model::{Node, Operator, OperatorKind, TensorInfo};
use kscout_core::quant::Requant;

use super::OnnxError;
use super::builder::Builder;
use super::gelu::is_gelu;
use super::proto::Attribute;
use super::rounding::Rounding;
use super::weights::{self, Filters};

/// A tensor of the blob in the ONNX graph.
#[derive(Clone)]
pub(super) struct Value {
    /// Name of its dequantised form.
    pub real: String,
    /// Name of its int8 form.
    pub int8: String,
    /// Shape, scale and zero point.
    pub tensor: TensorInfo,
}

/// What an operator has written.
pub(super) enum Written {
    /// Real numbers, by name.
    Real(String),
    /// int8 values, by name.
    Int8(String),
}

/// One node of the blob on its way into the graph.
pub(super) struct Translation<'a> {
    pub builder: &'a mut Builder,
    /// What its tensors' names begin with.
    pub name: String,
    pub node: Node<'a>,
    /// What it reads.
    pub reads: Vec<Value>,
    /// What it writes.
    pub output: TensorInfo,
    /// How often its factors round.
    pub rounding: Rounding,
}

impl Translation<'_> {
    /// Adds the operators that do what the node does.
    pub fn write(mut self) -> Result<Written, OnnxError> {
        let operator = self.node.operator().expect("a checked graph");
        let (real, clamp) = match operator {
            Operator::Conv2d(op) => (self.convolution(&op, &Filters::of_convolution(&op), 1), op.clamp),
            Operator::Depthwise(op) => (self.convolution(&op, &Filters::of_depthwise(&op), op.input.c), op.clamp),
            Operator::ConvTranspose2x2(op) => (self.conv_transpose(&op), op.clamp),
            Operator::MaxPool(op) => (self.max_pool(&op), op.clamp),
            Operator::Add(op) => (self.add(&op)?, op.clamp),
            Operator::Concat(op) => (self.concat(&op)?, op.clamp),
            Operator::Upsample2x(op) => (self.upsample(&op)?, op.clamp),
            Operator::LayerNorm(op) => (self.layer_norm(&op), op.clamp),
            Operator::Shift(op) => return Ok(Written::Real(self.shift(&op))),
            Operator::Table(op) if is_gelu(op.table, &self.reads[0].tensor, &self.output) => {
                return Ok(Written::Real(self.gelu()));
            }
            Operator::Table(op) => return Ok(Written::Int8(self.look_up(op.table))),
        };
        Ok(Written::Real(self.clamp(real, clamp)))
    }

    /// `{name}.{part}`
    fn part(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }

    /// A node on the tensors read, and on constants after them.
    fn node(&mut self, op: &str, constants: &[&str], part: &str, attributes: Vec<Attribute>) -> String {
        let output = self.part(part);
        let reads: Vec<&str> = self.reads.iter().map(|value| value.real.as_str()).collect();
        self.builder.node(op, &[&reads, constants].concat(), &output, attributes)
    }

    /// A node on tensors of this translation.
    fn step(&mut self, op: &str, inputs: &[&str], part: &str, attributes: Vec<Attribute>) -> String {
        let output = self.part(part);
        self.builder.node(op, inputs, &output, attributes)
    }

    fn convolution(&mut self, op: &Conv2d<'_>, filters: &Filters, group: usize) -> String {
        let tensors = [&self.reads[0].tensor, &self.output];
        let [weight, bias] = weights::write(self.builder, &self.name, filters, op.params, tensors);
        let attributes = vec![
            Attribute::ints("kernel_shape", &[op.kernel.0, op.kernel.1]),
            Attribute::ints("strides", &[op.stride; 2]),
            Attribute::ints("pads", &[op.pad; 4]),
            Attribute::ints("dilations", &[op.dilation; 2]),
            Attribute::int("group", group as i64),
        ];
        let sum = self.node("Conv", &[&weight, &bias], "sum", attributes);
        self.rounded(sum, op.params.iter().map(|channel| channel.requant), self.cuts_below_zero(op.clamp))
    }

    fn conv_transpose(&mut self, op: &ConvTranspose2x2<'_>) -> String {
        let tensors = [&self.reads[0].tensor, &self.output];
        let filters = Filters::of_transposed(op);
        let [weight, bias] = weights::write(self.builder, &self.name, &filters, op.params, tensors);
        let attributes = vec![Attribute::ints("kernel_shape", &[2, 2]), Attribute::ints("strides", &[2, 2])];
        let sum = self.node("ConvTranspose", &[&weight, &bias], "sum", attributes);
        self.rounded(sum, op.params.iter().map(|channel| channel.requant), self.cuts_below_zero(op.clamp))
    }

    fn rounded(&mut self, real: String, factors: impl IntoIterator<Item = Requant>, positive: bool) -> String {
        self.rounded_as("rounding", real, factors, positive)
    }

    /// `real` with what the core's first rounding adds to its size, by one factor or one a channel; `positive`: where what is below
    /// zero does not count.
    fn rounded_as(
        &mut self,
        part: &str,
        real: String,
        factors: impl IntoIterator<Item = Requant>,
        positive: bool,
    ) -> String {
        let offset = |factor: Requant| self.rounding.offset(factor.shift) * self.output.scale;
        let offsets: Vec<f32> = factors.into_iter().map(offset).collect();
        if offsets.iter().all(|&offset| offset == 0.0) {
            return real;
        }
        let dims = if offsets.len() == 1 { vec![] } else { vec![offsets.len(), 1, 1] };
        let mut offset = self.builder.floats(&self.part(&format!("{part}.offset")), &dims, &offsets);
        if !positive {
            let sign = self.step("Sign", &[&real], &format!("{part}.sign"), Vec::new());
            offset = self.step("Mul", &[&sign, &offset], &format!("{part}.signed"), Vec::new());
        }
        self.step("Add", &[&real, &offset], part, Vec::new())
    }

    fn max_pool(&mut self, op: &MaxPool) -> String {
        let attributes =
            vec![Attribute::ints("kernel_shape", &[op.kernel; 2]), Attribute::ints("strides", &[op.stride; 2])];
        self.node("MaxPool", &[], "largest", attributes)
    }

    fn add(&mut self, op: &kernels::Add) -> Result<String, OnnxError> {
        let headroom = f64::from(1u32 << op.left_shift);
        for (read, factor) in [op.a, op.b].into_iter().enumerate() {
            self.expect_ratio(read, factor.to_real() * op.out.to_real() * headroom)?;
        }
        Ok(self.node("Add", &[], "sum", Vec::new()))
    }

    fn concat(&mut self, op: &kernels::Concat) -> Result<String, OnnxError> {
        let mut parts = Vec::new();
        for (read, ConcatInput { requant, zero, .. }) in [op.a, op.b].into_iter().enumerate() {
            self.expect_ratio(read, requant.to_real())?;
            let real = self.reads[read].real.clone();
            parts.push(self.rounded_as(&format!("part{read}"), real, [requant], zero == i32::from(i8::MIN)));
        }
        Ok(self.step("Concat", &[&parts[0], &parts[1]], "joined", vec![Attribute::int("axis", 1)]))
    }

    fn upsample(&mut self, op: &Upsample2x) -> Result<String, OnnxError> {
        self.expect_ratio(0, op.requant.to_real() * op.corners.total_weight(op.input) as f64)?;
        let coordinates = match op.corners {
            Corners::HalfPixel => "half_pixel",
            Corners::Aligned => "align_corners",
        };
        let scales = self.builder.floats("twice_the_size", &[4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes =
            vec![Attribute::text("mode", "linear"), Attribute::text("coordinate_transformation_mode", coordinates)];
        // The empty name is that of the region of interest, which this mode does not have.
        let resized = self.node("Resize", &["", &scales], "resized", attributes);
        let positive = op.in_zero == i32::from(i8::MIN) || self.cuts_below_zero(op.clamp);
        Ok(self.rounded(resized, [op.requant], positive))
    }

    /// ONNX normalises over the last axes, so channels go there and back.
    fn layer_norm(&mut self, op: &kernels::LayerNorm<'_>) -> String {
        let (input, output) = (self.reads[0].tensor, self.output);
        let scaled = |bytes: &[u8]| -> Vec<f32> {
            bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value) * output.scale).collect()
        };
        let gamma = self.builder.floats(&self.part("gamma"), &[op.shape.c], &scaled(op.gamma));
        let beta = self.builder.floats(&self.part("beta"), &[op.shape.c], &scaled(op.beta));
        let last = self.node("Transpose", &[], "channels_last", vec![Attribute::ints("perm", &[0, 2, 3, 1])]);
        let epsilon = op.eps_q * input.scale * input.scale;
        let attributes = vec![Attribute::int("axis", -1), Attribute::float("epsilon", epsilon)];
        let norm = self.step("LayerNormalization", &[&last, &gamma, &beta], "norm", attributes);
        self.step("Transpose", &[&norm], "channels_first", vec![Attribute::ints("perm", &[0, 3, 1, 2])])
    }

    /// `x / 2 (1 + erf(x / sqrt 2))` in the order of operations that runtimes know as a GELU.
    fn gelu(&mut self) -> String {
        let x = self.reads[0].real.clone();
        let root = self.builder.floats("root_of_two", &[], &[std::f32::consts::SQRT_2]);
        let one = self.builder.floats("one", &[], &[1.0]);
        let half = self.builder.floats("half", &[], &[0.5]);
        let scaled = self.step("Div", &[&x, &root], "scaled", Vec::new());
        let erf = self.step("Erf", &[&scaled], "erf", Vec::new());
        let raised = self.step("Add", &[&erf, &one], "raised", Vec::new());
        let product = self.step("Mul", &[&x, &raised], "product", Vec::new());
        self.step("Mul", &[&product, &half], "gelu", Vec::new())
    }

    /// Any other function of one value.
    fn look_up(&mut self, table: &[i8; 256]) -> String {
        let int8 = self.reads[0].int8.clone();
        let table = self.builder.int8s(&self.part("table"), &[table.len()], table);
        let offset = self.builder.int32s("first_entry", &[], &[128]);
        let to = vec![Attribute::int("to", super::proto::data_type::INT32.into())];
        let wide = self.step("Cast", &[&int8], "wide", to);
        let entry = self.step("Add", &[&wide, &offset], "entry", Vec::new());
        self.step("Gather", &[&table, &entry], "int8", vec![Attribute::int("axis", 0)])
    }

    /// Two zeros at both ends of the axis; of that, each group of channels has its own cut.
    fn shift(&mut self, op: &Shift) -> String {
        let (axis, extent) = match op.axis {
            Axis::Y => (2, op.shape.h as i64),
            Axis::X => (3, op.shape.w as i64),
        };
        let mut pads = [0; 8];
        (pads[axis], pads[axis + 4]) = (2, 2);
        let pads = self.builder.int64s(if axis == 2 { "two_rows" } else { "two_columns" }, &pads);
        let padded = self.node("Pad", &[&pads], "padded", Vec::new());
        let axes = self.builder.int64s(&format!("axes_1_{axis}"), &[1, axis as i64]);
        let mut groups = Vec::new();
        for (group, first) in (0..op.shape.c).step_by(op.group()).enumerate() {
            // Group g moves by g - 2, so it starts 2 - (g - 2) after the first zero.
            let (end, from) = ((first + op.group()).min(op.shape.c), 4 - group as i64);
            let starts = self.builder.int64s(&self.part(&format!("start{group}")), &[first as i64, from]);
            let ends = self.builder.int64s(&self.part(&format!("end{group}")), &[end as i64, from + extent]);
            groups.push(self.step("Slice", &[&padded, &starts, &ends, &axes], &format!("group{group}"), Vec::new()));
        }
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        self.step("Concat", &groups, "shifted", vec![Attribute::int("axis", 1)])
    }

    /// Cuts at the ends of `clamp`. A low end at the zero point is a ReLU, and is written even where int8 itself ends there: a
    /// reader may take the quantisation out again.
    fn clamp(&mut self, real: String, clamp: (i8, i8)) -> String {
        let TensorInfo { scale, zero_point, .. } = self.output;
        match clamp {
            (_, i8::MAX) if self.cuts_below_zero(clamp) && self.may_be_negative() => {
                self.step("Relu", &[&real], "relu", Vec::new())
            }
            WHOLE => real,
            (low, high) => {
                let end = |q: i8| scale * (i32::from(q) - zero_point) as f32;
                let low = self.builder.floats(&self.part("low"), &[], &[end(low)]);
                let high = self.builder.floats(&self.part("high"), &[], &[end(high)]);
                self.step("Clip", &[&real, &low, &high], "clipped", Vec::new())
            }
        }
    }

    /// Whether nothing below zero passes `clamp`.
    fn cuts_below_zero(&self, clamp: (i8, i8)) -> bool {
        i32::from(clamp.0) == self.output.zero_point
    }

    /// Whether the operator's results can be negative: those that pick, join, add or average do not go below what they read.
    fn may_be_negative(&self) -> bool {
        use OperatorKind::{Add, Concat, MaxPool, Upsample2x};
        let positive = |value: &Value| value.tensor.zero_point == i32::from(i8::MIN);
        !(matches!(self.node.kind(), Add | Concat | MaxPool | Upsample2x) && self.reads.iter().all(positive))
    }

    /// ONNX has no factors of its own in an operator: they follow from the scales of the tensors, here as well.
    fn expect_ratio(&self, read: usize, factor: f64) -> Result<(), OnnxError> {
        let ratio = f64::from(self.reads[read].tensor.scale) / f64::from(self.output.scale);
        if (factor / ratio - 1.0).abs() <= RATIO_TOLERANCE {
            return Ok(());
        }
        Err(OnnxError::Factor { node: self.node.index, op: self.node.kind(), read, factor, ratio })
    }
}

/// A clamp that leaves int8 as it is.
const WHOLE: (i8, i8) = (i8::MIN, i8::MAX);
/// How far a factor may lie from what the scales of the tensors give: at 255 steps, well under a step.
const RATIO_TOLERANCE: f64 = 1e-4;
