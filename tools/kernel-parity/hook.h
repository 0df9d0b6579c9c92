/* Stands between libbpf and the kernel: programs that libbpf loads are verified here, and thrown
 * away. Linked with --wrap=syscall. C, since the kernel's own tests include it.
 */
#ifndef KERNEL_PARITY_HOOK_H
#define KERNEL_PARITY_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which load to take, and what to do with the program. */
struct watch {
	const char *prog_name; /* as libbpf gives it to the kernel; NULL: go by log_buf */
	const void *log_buf;
	int repeat; /* loads; the fastest counts */
	/* The program is written to this file, with these lines of information: */
	const char *path;
	const char *name, *object, *section;
	const char *(*expect)(const void *about); /* asked when the program is there; may be NULL */
	const void *about;
};

/* What the kernel said. */
struct verdict {
	bool reached; /* a program was loaded at all */
	int error;    /* 0: accepted */
	char why[512]; /* the line of the log that tells */
	uint32_t prog_type, attach_type, insns;
	uint64_t processed, states, verify_us;
};

/* `watch` must live until the next call. NULL: no more, the verdict stays. */
void watch_loads(const struct watch *watch);
const struct verdict *last_verdict(void);

#ifdef __cplusplus
}
#endif
#endif
