// EBPFVM_ASSERT: an invariant of ours that is broken is a bug, never an Error.
#pragma once

#include <cstdlib>

#ifndef NDEBUG
#define EBPFVM_ASSERT(condition) ((condition) ? void() : std::abort())
#else
#define EBPFVM_ASSERT(condition) ((condition) ? void() : __builtin_unreachable())
#endif
