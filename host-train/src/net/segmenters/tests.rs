//! Every network of the table does what the others rely on.

use burn::module::{ModuleVisitor, Param};

use super::*;
use crate::net::lower;

/// Parameters without the running statistics of batch norms, which are no parameters in PyTorch.
fn parameters(arch: Arch) -> usize {
    let network = Segmenter::new(&SegmenterSpec::published(arch, 4), &Device::flex());
    network.num_params() - running_statistics(&network)
}

fn running_statistics(network: &Segmenter) -> usize {
    #[derive(Default)]
    struct Count {
        here: Vec<bool>,
        found: usize,
    }
    impl ModuleVisitor for Count {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.here.push(name.starts_with("running_"));
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.here.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.found += if self.here.last() == Some(&true) { param.lazy_shape().num_elements() } else { 0 };
        }
    }
    let mut count = Count::default();
    network.visit(&mut count);
    count.found
}

#[test]
fn published_networks_have_the_published_numbers_of_parameters() {
    assert_eq!(parameters(Arch::Unet), 31_036_676);
    assert_eq!(parameters(Arch::UnetBilinear), 17_262_020);
    // Without the four heads, as the paper counts, and with them.
    assert_eq!(parameters(Arch::UnetPp), 9_041_568 + 4 * (4 * 32 + 4));
    assert_eq!(parameters(Arch::Unext), 1_471_972);
    assert_eq!(parameters(Arch::UnextS), 253_588);
}

#[test]
fn names_are_read_as_they_are_written() {
    for arch in Arch::ALL {
        assert_eq!(arch.name().parse(), Ok(arch));
        assert_eq!(serde_json::to_string(&arch).unwrap(), format!("\"{arch}\""));
    }
    assert!("u-net".parse::<Arch>().unwrap_err().contains("unet-bilinear"));
}

#[test]
fn a_pruned_network_gives_what_its_head_gave_in_the_whole_one() {
    let device = Device::flex();
    let spec = SegmenterSpec { width: 4, ..SegmenterSpec::published(Arch::UnetPp, 4) };
    let network = Segmenter::new(&spec, &device);
    let image = Tensor::<4>::random([1, 1, 32, 48], burn::tensor::Distribution::Default, &device);
    let heads = network.heads(image.clone());
    assert_eq!(heads.len(), 4);
    for level in 1..=4 {
        let pruned = network.clone().pruned(level);
        let (got, expected) = (pruned.forward(image.clone()).into_data(), heads[level - 1].clone().into_data());
        assert_eq!(got, expected, "level {level}");
        assert_eq!(pruned.num_params() < network.num_params(), level < 4, "level {level}");
    }
}

#[test]
fn a_single_channel_counts_as_repeated() {
    let device = Device::flex();
    for arch in Arch::ALL {
        let spec = SegmenterSpec { width: 4, channels: 3, ..SegmenterSpec::published(arch, 2) };
        let network = Segmenter::new(&spec, &device);
        let image = Tensor::<4>::random([1, 1, 32, 32], burn::tensor::Distribution::Default, &device);
        let repeated = network.forward(image.clone().repeat_dim(1, 3));
        let difference = (network.forward(image) - repeated).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-4, "{arch}: {difference}");
    }
}

#[test]
fn the_graph_computes_what_the_network_does() {
    let device = Device::flex();
    let (height, width) = (64, 32);
    let image: Vec<f32> = (0..height * width).map(|i| (i * 37 % 101) as f32 / 50.0).collect();
    let input = Tensor::<1>::from_floats(image.as_slice(), &device).reshape([1, 1, height as i32, width as i32]);
    for (arch, level) in Arch::ALL.into_iter().map(|arch| (arch, 4)).chain([(Arch::UnetPp, 2)]) {
        let spec = SegmenterSpec { width: 4, ..SegmenterSpec::published(arch, 4) };
        let network = Segmenter::new(&spec, &device).pruned(level);
        let expected = lower::values(network.forward(input.clone()));
        let got = network.graph(height, width).run(&[&image]).pop().unwrap();
        for (i, expected) in expected.iter().enumerate() {
            let (class, pixel) = (i / (height * width), i % (height * width));
            let got = got[pixel * 4 + class];
            assert!((expected - got).abs() < 1e-4, "{arch}, class {class}, pixel {pixel}: {expected} {got}");
        }
    }
}

#[test]
fn the_unets_take_sizes_that_do_not_halve_evenly() {
    let device = Device::flex();
    for arch in [Arch::Unet, Arch::UnetBilinear, Arch::UnetPp] {
        let spec = SegmenterSpec { width: 2, ..SegmenterSpec::published(arch, 2) };
        let image = Tensor::<4>::zeros([1, 1, 50, 37], &device);
        assert_eq!(Segmenter::new(&spec, &device).forward(image).dims(), [1, 2, 50, 37], "{arch}");
    }
}

#[test]
fn weights_have_the_names_under_which_older_checkpoints_hash_them() {
    #[derive(Default)]
    struct Outermost(Option<String>);
    impl ModuleVisitor for Outermost {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.get_or_insert_with(|| name.to_owned());
        }

        fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {}
    }
    let outermost = |arch| {
        let spec = SegmenterSpec { width: 1, ..SegmenterSpec::published(arch, 2) };
        let mut first = Outermost::default();
        Segmenter::new(&spec, &Device::flex()).visit(&mut first);
        first.0.unwrap()
    };
    for (name, archs) in [
        ("UNet", &[Arch::Unet, Arch::UnetBilinear][..]),
        ("UnetPp", &[Arch::UnetPp]),
        ("UNext", &[Arch::Unext, Arch::UnextS]),
    ] {
        archs.iter().for_each(|&arch| assert_eq!(outermost(arch), name, "{arch}"));
    }
}
