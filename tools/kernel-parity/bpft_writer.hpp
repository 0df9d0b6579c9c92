// Writes a program as the kernel gets it from libbpf, as text: docs/bpft.md.
#pragma once

#include "hook.h"

#include <linux/bpf.h>

namespace kernel_parity {

/// False if the file cannot be written.
bool write_bpft(const bpf_attr& load, const watch& labels, const verdict& said);

/// To be called for each map that is created: the kernel does not tell later what an outer map's
/// inner map is.
void note_map(int fd, const bpf_attr& create);

} // namespace kernel_parity
