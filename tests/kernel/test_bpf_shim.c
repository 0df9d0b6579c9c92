// Writes the eBPF test cases of the Linux kernel's lib/test_bpf.c as text: a file NAME.bpft with
// the program of each case, and cases.tsv with what each run must return.
//
//   test_bpf_shim OUT_DIR
//
// The kernel's file is not part of this repository. extract-test-bpf cuts two pieces out of an
// installed kernel source package and this file includes them when it is compiled:
//
//   insn_macros.h      the instruction macros of include/linux/filter.h
//   test_bpf_cases.c   lib/test_bpf.c up to the end of tests[], without its #include lines
//
// What the pieces expect of the kernel and a C library lacks is defined below, as little as
// possible. extract-test-bpf describes the output.

#include <ctype.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- the kernel's names ------------------------------------------------------------------------

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define BIT(n) (1UL << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define U8_MAX UINT8_MAX
#define U32_MAX UINT32_MAX
#define U64_MAX UINT64_MAX
#define S16_MAX INT16_MAX
#define S16_MIN INT16_MIN
#define S32_MAX INT32_MAX
#define S32_MIN INT32_MIN
#define S64_MAX INT64_MAX
#define S64_MIN INT64_MIN
#define ETH_HLEN 14
#define ETH_P_IP 0x0800
#define MAX_BPF_STACK 512

#define max(a, b) ((a) > (b) ? (a) : (b))
#define min(a, b) ((a) < (b) ? (a) : (b))

// A broken generator must stop the extraction, not produce a wrong program.
#define BUG_ON(condition)                                                                          \
    do {                                                                                           \
        if (condition) {                                                                           \
            fprintf(stderr, "test_bpf_shim: BUG_ON(%s) in %s\n", #condition, __func__);            \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

// Zeroed, so that an insn field which a generator forgets is the same in every run.
#define GFP_KERNEL 0
#define kmalloc_array(count, size, flags) calloc(count, size)

// The kernel defines only one of these two, the C library both.
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#undef __BIG_ENDIAN
#else
#undef __LITTLE_ENDIAN
#endif

// The arguments are constants in static initialisers: no functions here.
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define cpu_to_le16(x) ((u16)(x))
#define cpu_to_le32(x) ((u32)(x))
#define cpu_to_le64(x) ((u64)(x))
#define cpu_to_be16(x) __builtin_bswap16(x)
#define cpu_to_be32(x) __builtin_bswap32(x)
#define cpu_to_be64(x) __builtin_bswap64(x)
#else
#define cpu_to_le16(x) __builtin_bswap16(x)
#define cpu_to_le32(x) __builtin_bswap32(x)
#define cpu_to_le64(x) __builtin_bswap64(x)
#define cpu_to_be16(x) ((u16)(x))
#define cpu_to_be32(x) ((u32)(x))
#define cpu_to_be64(x) ((u64)(x))
#endif

static u64 div64_u64(u64 dividend, u64 divisor) {
    return dividend / divisor;
}

static u64 div64_u64_rem(u64 dividend, u64 divisor, u64* remainder) {
    *remainder = dividend % divisor;
    return dividend / divisor;
}

// Only a generator of a classic case draws random numbers, and those are never run here.
struct rnd_state {
    u32 unused;
};
static void prandom_seed_state(struct rnd_state* state, u64 seed) {
    state->unused = (u32)seed;
}
static u32 prandom_u32_state(struct rnd_state* state) {
    (void)state;
    BUG_ON("random numbers in an eBPF case");
    return 0;
}

#include "insn_macros.h"
#include "test_bpf_cases.c"

// --- output files ------------------------------------------------------------------------------

static FILE* create(const char* dir, const char* name, const char* suffix) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix);
    FILE* out = fopen(path, "w");
    if (!out) {
        perror(path);
        exit(1);
    }
    return out;
}

static void finish(FILE* out) {
    if (ferror(out) | fclose(out)) {
        perror("test_bpf_shim: write");
        exit(1);
    }
}

// --- one case ----------------------------------------------------------------------------------

struct program {
    const struct bpf_insn* insns;
    unsigned int len;
};

// As in the kernel's filter_length(): a literal case ends at its last nonzero insn.
static struct program program_of(struct bpf_test* test) {
    if (test->fill_helper) {
        BUG_ON(test->fill_helper(test) < 0);
        return (struct program){test->u.ptr.insns, test->u.ptr.len};
    }
    unsigned int len = MAX_INSNS;
    while (len > 1 && test->u.insns[len - 1].code == 0 && test->u.insns[len - 1].k == 0)
        --len;
    return (struct program){test->u.insns_int, len};
}

// "INT: ADD 64-bit" -> "0123_INT_ADD_64_bit". The index is the kernel's (modprobe test_bpf
// test_id=).
static const char* name_of(int index, const char* descr) {
    static char name[256];
    int n = snprintf(name, sizeof(name), "%04d", index);
    bool gap = true;
    for (const char* p = descr; *p && n < (int)sizeof(name) - 2; ++p) {
        bool word = isalnum((unsigned char)*p);
        if (word && gap)
            name[n++] = '_';
        if (word)
            name[n++] = *p;
        gap = !word;
    }
    name[n] = '\0';
    return name;
}

// BPF_ZEXT_REG, w<n> = w<n> with imm 1, tells a JIT that the kernel's verifier inserted it. RFC
// 9669 requires imm 0, which computes the same.
static bool is_zext(const struct bpf_insn* insn) {
    return insn->code == (BPF_ALU | BPF_MOV | BPF_X) && insn->imm == 1;
}

static u64 encoded(const struct bpf_insn* insn) {
    u32 imm = is_zext(insn) ? 0 : (u32)insn->imm;
    return insn->code | (u64)(insn->dst_reg | insn->src_reg << 4) << 8 | (u64)(u16)insn->off << 16 |
           (u64)imm << 32;
}

static void write_program(const char* dir, const char* name, const struct bpf_test* test,
                          struct program prog) {
    FILE* out = create(dir, name, ".bpft");
    fprintf(out, "# %s\nprog %s\nprog_type 1 (socket_filter)\nlicense GPL\ninsns %u\n", test->descr,
            name, prog.len);
    for (unsigned int i = 0; i < prog.len; ++i)
        fprintf(out, "%016llx\n", (unsigned long long)encoded(&prog.insns[i]));
    fprintf(out, "end\n");
    finish(out);
}

// --- what is special about a case --------------------------------------------------------------

enum note {
    kLdAbs = 1 << 0,
    kLdInd = 1 << 1,
    kHelperCall = 1 << 2,
    kSubprogCall = 1 << 3,
    kTailCall = 1 << 4,
    kAtomic = 1 << 5,
    kZext = 1 << 6,
    kBackJump = 1 << 7,
    kByteOrder = 1 << 8,
    kLong = 1 << 9,
};

static const char* const kNoteNames[] = {
    "ld_abs", "ld_ind", "helper_call", "subprog_call", "tail_call",
    "atomic", "zext",   "back_jump",   "byte_order",   "long",
};

static unsigned int note_of(const struct bpf_insn* insn) {
    switch (BPF_CLASS(insn->code)) {
    case BPF_LD:
        if (BPF_MODE(insn->code) == BPF_ABS)
            return kLdAbs;
        return BPF_MODE(insn->code) == BPF_IND ? kLdInd : 0;
    case BPF_STX:
        return BPF_MODE(insn->code) == BPF_ATOMIC ? kAtomic : 0;
    case BPF_ALU:
        if (BPF_OP(insn->code) == BPF_END)
            return kByteOrder;
        return is_zext(insn) ? kZext : 0;
    case BPF_JMP:
    case BPF_JMP32:
        switch (BPF_OP(insn->code)) {
        case BPF_CALL:
            return insn->src_reg == 0 ? kHelperCall : kSubprogCall;
        case BPF_TAIL_CALL:
            return kTailCall;
        case BPF_EXIT:
            return 0;
        }
        if (insn->code == (BPF_JMP32 | BPF_JA))
            return insn->imm < 0 ? kBackJump : 0;
        return insn->off < 0 ? kBackJump : 0;
    }
    return 0;
}

static unsigned int notes_of(struct program prog) {
    unsigned int notes = prog.len > BPF_MAXINSNS ? kLong : 0;
    for (unsigned int i = 0; i < prog.len; ++i) {
        notes |= note_of(&prog.insns[i]);
        if (prog.insns[i].code == (BPF_LD | BPF_DW | BPF_IMM))
            ++i; // the second slot is no insn
    }
    return notes;
}

static void write_names(FILE* out, unsigned int set, const char* const* names, int count) {
    const char* separator = "";
    for (int i = 0; i < count; ++i) {
        if (!(set & 1U << i))
            continue;
        fprintf(out, "%s%s", separator, names[i]);
        separator = ",";
    }
    if (!set)
        fputc('-', out);
}

// --- the table of expected results -------------------------------------------------------------

static const char* const kFlagNames[] = {"no_data", "expected_fail", "skb_frag", "verifier_zext",
                                         "large_mem"};

static void write_bytes(FILE* out, const u8* bytes, int count) {
    for (int i = 0; i < count; ++i)
        fprintf(out, "%02x", bytes[i]);
    if (count == 0)
        fputc('-', out);
}

// As in the kernel's run_one(): {0, 0} ends the list, but the first run always exists.
static int run_count(const struct bpf_test* test) {
    int n = 1;
    while (n < MAX_SUBTESTS && (test->test[n].data_size || test->test[n].result))
        ++n;
    return n;
}

// As in the kernel's generate_test_data().
static const char* ctx_of(const struct bpf_test* test) {
    if (test->aux & FLAG_NO_DATA)
        return "none";
    return test->aux & FLAG_LARGE_MEM ? "mem" : "skb";
}

static void write_runs(FILE* out, const char* name, const struct bpf_test* test,
                       struct program prog) {
    const char* ctx = ctx_of(test);
    for (int run = 0; run < run_count(test); ++run) {
        int size = test->test[run].data_size;
        bool has_packet = strcmp(ctx, "skb") == 0;
        fprintf(out, "%s\t%s\t", name, test->descr);
        write_bytes(out, test->data, has_packet ? min(size, MAX_DATA) : 0);
        fprintf(out, "\t%d\t%08x\t", size, test->test[run].result);
        write_names(out, test->aux & ~TEST_TYPE_MASK, kFlagNames, ARRAY_SIZE(kFlagNames));
        fprintf(out, "\t%s\t%d\t%d\t%u\t%d\t", ctx, run, test->stack_depth, prog.len,
                test->expected_errcode);
        write_names(out, notes_of(prog), kNoteNames, ARRAY_SIZE(kNoteNames));
        fputc('\n', out);
    }
}

int main(int argc, char** argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: test_bpf_shim OUT_DIR\n");
        return 2;
    }
    FILE* table = create(argv[1], "cases", ".tsv");
    fprintf(table, "#name\tdescr\tdata\tdata_size\tresult\tflags\tctx\trun\tstack_depth\tinsns\t"
                   "errcode\tnotes\n");
    int cases = 0, runs = 0;
    for (int i = 0; i < (int)ARRAY_SIZE(tests); ++i) {
        struct bpf_test* test = &tests[i];
        if (!(test->aux & INTERNAL))
            continue;
        const struct program prog = program_of(test);
        const char* name = name_of(i, test->descr);
        write_program(argv[1], name, test, prog);
        write_runs(table, name, test, prog);
        ++cases;
        runs += run_count(test);
        if (test->fill_helper)
            free(test->u.ptr.insns);
    }
    finish(table);
    printf("%d eBPF cases of %d, %d runs\n", cases, (int)ARRAY_SIZE(tests), runs);
    return 0;
}
