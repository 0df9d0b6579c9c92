// Umbrella include of the public API.
#pragma once

#include "ebpfvm/btf.hpp"
#include "ebpfvm/error.hpp"
#include "ebpfvm/fact_checker.hpp"
#include "ebpfvm/helper.hpp"
#include "ebpfvm/insn.hpp"
#include "ebpfvm/map.hpp"
#include "ebpfvm/object.hpp"
#include "ebpfvm/prog_type.hpp"
#include "ebpfvm/run.hpp"
#include "ebpfvm/verifier.hpp"
#include "ebpfvm/vm.hpp"
