// Values of the kernel's configuration.
#include "test_bpf.h"

enum libbpf_tristate { TRI_NO = 0, TRI_YES = 1, TRI_MODULE = 2 };

extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_BOOL __kconfig;
extern char CONFIG_CHAR __kconfig;
extern enum libbpf_tristate CONFIG_TRISTATE __kconfig;
extern signed char CONFIG_SMALL __kconfig __weak;
extern u64 CONFIG_LARGE __kconfig __weak;
extern char CONFIG_TEXT[8] __kconfig __weak;
extern int CONFIG_MISSING __kconfig __weak;

SEC("xdp") int reader(void* ctx) {
    return LINUX_KERNEL_VERSION + CONFIG_BOOL + CONFIG_CHAR + (int)CONFIG_TRISTATE + CONFIG_SMALL +
           (int)CONFIG_LARGE + CONFIG_TEXT[(u64)ctx & 7] + CONFIG_MISSING;
}
