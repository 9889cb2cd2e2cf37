#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    kscout::fuzz::reader("png").expect("a reader of this name")(data);
});
