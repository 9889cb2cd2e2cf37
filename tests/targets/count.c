/* A plugin for QEMU's user mode that counts instructions: when the program yields the processor (sched_yield) for the first,
 * third, fifth ... time it begins, and at the next yield it writes to standard output how many were executed in between.
 *
 * Its own prototypes, from QEMU's documentation of TCG plugins, because Debian's QEMU 7.2 comes without their header. */

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
enum { QEMU_PLUGIN_CB_NO_REGS = 0 };

typedef void (*translated)(qemu_plugin_id_t id, struct qemu_plugin_tb *block);
typedef void (*executing)(unsigned int vcpu, void *data);
typedef void (*called)(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                       uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, translated callback);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t id, called callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, executing callback, int flags, void *data);

/* These are the same in all versions of the plugins' interface so far; QEMU only takes plugins that name one it knows: 1 up to
 * QEMU 8, 2 from 9 on. */
#ifndef INTERFACE
#define INTERFACE 1
#endif
__attribute__((visibility("default"))) int qemu_plugin_version = INTERFACE;

/* sched_yield, of 64-bit Arm Linux. */
static const int64_t YIELD = 124;

static uint64_t executed;
static uint64_t began;
static bool counting;

/* A block's instructions are what is handed on with it. */
static void count(unsigned int vcpu, void *instructions)
{
    (void)vcpu;
    executed += (uintptr_t)instructions;
}

static void on_block(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    uintptr_t instructions = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_cb(block, count, QEMU_PLUGIN_CB_NO_REGS, (void *)instructions);
}

static void on_call(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                    uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)vcpu, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != YIELD)
        return;
    if (counting)
        dprintf(1, "%" PRIu64 "\n", executed - began);
    counting = !counting;
    began = executed;
}

/* qemu_info_t is not read. */
__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    qemu_plugin_register_vcpu_syscall_cb(id, on_call);
    return 0;
}
