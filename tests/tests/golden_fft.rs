//! The core's Fourier transform and growing image against NumPy's centred orthonormal 2-D transform
//! (`golden/metrics/fft_*.npy`, 16 rows by 32 columns).

use kscout_core::Complex32;
use kscout_core::kspace::{Twiddles, fft_centred, grow_image, ifft_centred};

const HEIGHT: usize = 16;
const WIDTH: usize = 32;
const TOLERANCE: f32 = 2e-6;

/// The values of a little-endian f32 `.npy` file, version 1: magic and version (8 bytes), header length (2), header.
fn read_npy(name: &str) -> Vec<f32> {
    let path = kscout_tests::golden_dir().join("metrics").join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let header_len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + header_len]).unwrap();
    assert!(header.contains("'<f4'") && header.contains("(16, 32)"), "{}: {header}", path.display());
    let values = bytes[10 + header_len..].chunks_exact(4);
    values.map(|value| f32::from_le_bytes([value[0], value[1], value[2], value[3]])).collect()
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
fn all_lines_of_numpys_kspace_grow_its_image() {
    let kspace = read_complex("fft_kspace");
    let zero = Complex32::new(0.0, 0.0);
    let (mut table, mut ramp) = ([zero; WIDTH], [zero; WIDTH]);
    let twiddles = Twiddles::fill(&mut table).unwrap();
    let mut image = vec![zero; HEIGHT * WIDTH];
    for line in 0..WIDTH {
        let mut profile = column(&kspace, line);
        ifft_centred(&mut profile).unwrap();
        grow_image(&mut image, &profile, line, &twiddles, &mut ramp).unwrap();
    }
    assert_close(&image, &read_complex("fft_image"));
}
