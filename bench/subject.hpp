// A program of the suite in one of the engines that run it.
#pragma once

#include "ebpfvm/ebpfvm.hpp"

#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct native_ctx;

namespace ebpfvm::bench {

/// What a run leaves behind.
struct Outcome {
    std::uint32_t value = 0;
    std::vector<std::byte> packet;

    bool operator==(const Outcome&) const = default;
};

/// A program that is loaded, with maps of its own.
class Subject {
  public:
    Subject() = default;
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;
    virtual ~Subject() = default;

    /// One run on a fresh packet. Errors: whatever keeps it from ending well.
    virtual Expected<Outcome> run_once() = 0;
    /// That many runs on the same packet.
    virtual void run(std::uint64_t count) = 0;
};

/// What it takes to get from an Object in memory to the first result. CPU time in ns.
struct LoadCost {
    double first_run = 0; ///< maps, verification, machine code, and the run
    double verify = 0;
    double compile = 0;   ///< machine code alone
    double code_size = 0; ///< bytes of machine code
};

using NativeProgram = int (*)(native_ctx*);
[[nodiscard]] std::unique_ptr<Subject> make_native(NativeProgram program);

/// Ours; `options` say which engine and mode.
[[nodiscard]] Expected<std::unique_ptr<Subject>> make_ours(const Object& object,
                                                           const LoadOptions& options);
[[nodiscard]] Expected<LoadCost> load_ours(const Object& object, const LoadOptions& options);
/// Insns that one run executes.
[[nodiscard]] Expected<std::uint64_t> count_insns(const Object& object);

/// Linux: never attached, run by BPF_PROG_TEST_RUN alone.
[[nodiscard]] bool kernel_is_permitted();
[[nodiscard]] Expected<std::unique_ptr<Subject>> make_kernel(const Object& object);
[[nodiscard]] Expected<LoadCost> load_kernel(const Object& object);

/// CPU time of this thread: other load on the machine hardly changes it.
[[nodiscard]] inline double cpu_time_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return double(now.tv_sec) * 1e9 + double(now.tv_nsec);
}

} // namespace ebpfvm::bench
