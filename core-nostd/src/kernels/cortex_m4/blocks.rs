//! The inner loop of the convolutions: assembly that naked functions share.
//!
//! # Cost
//! A block of sixteen multiply-accumulates is 13 instructions on any core with the DSP extension: one LDR, two LDMIA of four
//! words, two SXTB16, eight SMLAD. With the loop's own two a multiply-accumulate takes 0.84 instructions in blocks of four, 0.94
//! in single ones. Of a Cortex-M4's cycles a block takes about 22, by its manual: a load takes one for each word and one more.

/// A filter's blocks of sixteen multiply-accumulates, four windows by four weights, four blocks at a time and then one.
///
/// r0 points to the windows, r1 to the filter, r8 to r11 are the sums; r2 holds the number of blocks less four, and the flags
/// compare that with 0. r4 to r7, r12 and lr are overwritten. Takes the labels 2 to 5.
macro_rules! all_blocks {
    () => {
        concat!(
            ".macro kscout_block\n",
            "ldr lr, [r1], #4\n",
            "ldmia r0!, {{r4-r7}}\n",
            "sxtb16 r12, lr\n",
            "sxtb16 lr, lr, ror #8\n",
            "smlad r8, r4, r12, r8\n",
            "smlad r9, r5, r12, r9\n",
            "smlad r10, r6, r12, r10\n",
            "smlad r11, r7, r12, r11\n",
            "ldmia r0!, {{r4-r7}}\n",
            "smlad r8, r4, lr, r8\n",
            "smlad r9, r5, lr, r9\n",
            "smlad r10, r6, lr, r10\n",
            "smlad r11, r7, lr, r11\n",
            ".endm\n",
            "blt 3f\n",
            "2:\n",
            "kscout_block\n",
            "kscout_block\n",
            "kscout_block\n",
            "kscout_block\n",
            "subs r2, r2, #4\n",
            "bge 2b\n",
            "3:\n",
            "adds r2, r2, #4\n",
            "beq 5f\n",
            "4:\n",
            "kscout_block\n",
            "subs r2, r2, #1\n",
            "bne 4b\n",
            "5:\n",
            ".purgem kscout_block",
        )
    };
}

pub(super) use all_blocks;
