//! Ends the program with a status that the emulator passes on to the shell.

use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};

/// Stops: status 0 if `ok`, otherwise 1.
pub fn exit(ok: bool) -> ! {
    debug::exit(if ok { EXIT_SUCCESS } else { EXIT_FAILURE });
    // A debugger may choose to go on.
    loop {
        cortex_m::asm::bkpt();
    }
}
