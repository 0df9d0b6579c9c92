/* The kernel's raw instruction tests (selftests/bpf/test_verifier.c, -DTESTS=...), each verified by
 * the running kernel and written as text:
 *
 *   judge_raw LOADS DIR > RESULTS
 *
 * DIR/N.bpft has the test's own expectation. Tests the running kernel cannot set up are left out.
 */
#define _GNU_SOURCE
#include "hook.h"

#define main test_verifier_main
#include TESTS
#undef main

/* What test_verifier.c links with. Programs are not run, so nothing but these is needed. */
int load_bpf_testmod(bool verbose) { return 0; }
int unload_bpf_testmod(bool verbose) { return 0; }
bool get_unpriv_disabled(void) { return true; }
bool is_jit_enabled(void) { return true; }
int testing_prog_flags(void) { return 0; }
int cap_enable_effective(__u64 caps, __u64 *old_caps) { return 0; }
int cap_disable_effective(__u64 caps, __u64 *old_caps) { return 0; }
int get_xlated_program(int fd, struct bpf_insn **buf, __u32 *count) { return -1; }

static void quoted(FILE *out, const char *key, const char *text)
{
	fprintf(out, "\"%s\": \"", key);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text < ' ' || *text > '~' ? ' ' : *text, out);
	}
	fputs("\", ", out);
}

/* "accept retval 1 data=00ff": what should come out, and of which packet. Tests that make their
 * program when they are run say what it returns only then.
 */
static const char *expectation(const void *about)
{
	static char text[256];
	const size_t size = sizeof(text);
	const struct bpf_test *test = about;
	const bool accepts = test->result != REJECT;
	int used = snprintf(text, size, "%s", accepts ? "accept" : "reject"), last = 0;

	if (!accepts || test->runs > 1 || test->retval == POINTER_VALUE)
		return text;
	used += snprintf(text + used, size - used, " retval %u", test->retval);
	for (int i = 0; i < TEST_DATA_LEN; i++)
		last = test->data[i] ? i + 1 : last;
	if (last)
		used += snprintf(text + used, size - used, " data=");
	for (int i = 0; i < last; i++)
		used += snprintf(text + used, size - used, "%02x", test->data[i]);
	return text;
}

static void judge(int number, struct bpf_test *test, int repeat, const char *directory, FILE *out)
{
	char path[4096], name[256];
	const struct verdict *said;
	int passes = 0, errors = 0;
	struct watch watch = { .log_buf = bpf_vlog, .repeat = repeat, .path = path, .name = name,
			       .object = "test_verifier", .expect = expectation, .about = test };

	snprintf(path, sizeof(path), "%s/%d.bpft", directory, number);
	snprintf(name, sizeof(name), "%s", test->descr);
	watch_loads(&watch);
	do_test_single(test, false, &passes, &errors);
	watch_loads(NULL);
	said = last_verdict();
	fprintf(out, "{\"number\": %d, ", number);
	quoted(out, "object", "test_verifier");
	quoted(out, "prog", name);
	quoted(out, "prog_type", said->reached ? libbpf_bpf_prog_type_str(said->prog_type) : "");
	quoted(out, "expect", test->result == REJECT ? "reject" : "accept");
	quoted(out, "why", said->why);
	fprintf(out, "\"error\": %d, \"insns\": %u, \"processed\": %llu, \"states\": %llu, "
		     "\"verify_us\": %llu, \"reached\": %s}\n",
		said->error, said->insns, (unsigned long long)said->processed,
		(unsigned long long)said->states,
		(unsigned long long)(said->reached ? said->verify_us : 0),
		said->reached ? "true" : "false");
}

int main(int argc, char **argv)
{
	FILE *out;

	if (argc != 3) {
		fprintf(stderr, "usage: judge_raw LOADS DIR\n");
		return 2;
	}
	/* test_verifier.c prints what it thinks of the results */
	out = fdopen(dup(STDOUT_FILENO), "w");
	if (!out || !freopen("/dev/null", "w", stdout))
		return 1;
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(NULL);
	bpf_semi_rand_init();
	for (int i = 0; i < (int)ARRAY_SIZE(tests); i++)
		judge(i, &tests[i], atoi(argv[1]), argv[2], out);
	return fclose(out) ? 1 : 0;
}
