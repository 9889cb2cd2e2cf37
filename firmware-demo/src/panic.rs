//! The panic handler: a message and status 1, or, with the feature `no-panic`, a failure to link.

use core::panic::PanicInfo;

#[cfg(not(feature = "no-panic"))]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m_semihosting::hprintln!("{}", info);
    crate::status::exit(false)
}

/// Nothing defines the function called here, so that the linker refuses a program from which a panic can be reached. It
/// takes the location for `run.sh nopanic` to find it in the assembly.
#[cfg(feature = "no-panic")]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    use core::panic::Location;

    unsafe extern "Rust" {
        fn kscout_panic_reachable(location: Option<&Location<'_>>) -> !;
    }
    // SAFETY: a program that links never gets here.
    unsafe { kscout_panic_reachable(info.location()) }
}
