//! The core's Fourier transform, and the image that lines add up to, against NumPy's centred orthonormal 2-D transform
//! (`golden/metrics/fft_*.npy`, 16 rows by 32 columns).

use kscout::runtime::HeapReconstructor;
use kscout_core::Complex32;
use kscout_core::kspace::{Plan, Reconstruction, fft_centred};
use kscout_tests::golden::{Npy, golden_dir};

const HEIGHT: usize = 16;
const WIDTH: usize = 32;
const TOLERANCE: f32 = 2e-6;

fn read_npy(name: &str) -> Vec<f32> {
    let npy = Npy::read(&golden_dir().join("metrics").join(name));
    assert!(npy.header.contains("(16, 32)"), "{name}: {}", npy.header);
    npy.f32s()
}

fn read_complex(name: &str) -> Vec<Complex32> {
    let (re, im) = (read_npy(&format!("{name}_re.npy")), read_npy(&format!("{name}_im.npy")));
    assert_eq!((re.len(), im.len()), (HEIGHT * WIDTH, HEIGHT * WIDTH));
    re.into_iter().zip(im).map(|(re, im)| Complex32::new(re, im)).collect()
}

fn column(map: &[Complex32], x: usize) -> Vec<Complex32> {
    map.iter().skip(x).step_by(WIDTH).copied().collect()
}

fn assert_close(got: &[Complex32], expected: &[Complex32]) {
    let scale = expected.iter().map(|value| value.norm_sqr().sqrt()).fold(0.0, f32::max);
    let worst = got.iter().zip(expected).map(|(a, b)| (a - b).norm_sqr().sqrt()).fold(0.0, f32::max);
    assert!(worst <= TOLERANCE * scale, "largest difference {worst}, largest value {scale}");
}

#[test]
fn rows_then_columns_give_numpys_kspace() {
    let mut map = read_complex("fft_image");
    map.chunks_exact_mut(WIDTH).for_each(|row| fft_centred(row).unwrap());
    for x in 0..WIDTH {
        let mut line = column(&map, x);
        fft_centred(&mut line).unwrap();
        line.iter().enumerate().for_each(|(y, &value)| map[y * WIDTH + x] = value);
    }
    assert_close(&map, &read_complex("fft_kspace"));
}

#[test]
fn all_lines_of_numpys_kspace_add_up_to_its_image() {
    let kspace = read_complex("fft_kspace");
    let mut image = HeapReconstructor::new(Plan::new(Reconstruction::ZeroFilled, HEIGHT, WIDTH)).unwrap();
    (0..WIDTH).for_each(|line| image.push_line(line, &column(&kspace, line)).unwrap());
    assert_close(image.view().zero_filled(), &read_complex("fft_image"));
}
