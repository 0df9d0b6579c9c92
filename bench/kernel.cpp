// The same objects in this kernel: loaded by bpf(2), run by BPF_PROG_TEST_RUN, attached to nothing.
#include "kernel/kernel_object.hpp"
#include "packet.hpp"
#include "subject.hpp"

#include <algorithm>
#include <chrono>

namespace ebpfvm::bench {
namespace {

using test::KernelObject;
using test::KernelProg;

class KernelSubject final : public Subject {
  public:
    explicit KernelSubject(KernelObject object) : object_(std::move(object)) {
        run_.data_in = packet_;
    }

    Expected<Outcome> run_once() override {
        if (const int error = program().test_run(run_); error != 0) {
            return fail(Errc::Io, "BPF_PROG_TEST_RUN: {}", test::text_of_errno(error));
        }
        const auto packet = run_.packet();
        return Outcome{run_.retval, {packet.begin(), packet.end()}};
    }
    // The kernel's loop around the program is timed with it: some ns.
    void run(std::uint64_t count) override {
        constexpr std::uint64_t kMost = std::uint64_t{1} << 30;
        for (; count > 0; count -= std::min(count, kMost)) {
            (void)program().test_run(run_, std::uint32_t(std::min(count, kMost)));
        }
    }

  private:
    const KernelProg& program() const { return object_.progs().front(); }

    KernelObject object_;
    std::vector<std::byte> packet_ = make_packet();
    test::TestRun run_;
};

// From the statistics in the verifier's log, wall time in whole us; the rest of a load is the
// JIT's, and the kernel's bookkeeping. A program with subprograms is compiled while it is verified.
double verification_ns(const std::string& log) {
    constexpr std::string_view kWords = "verification time ";
    const std::size_t at = log.find(kWords);
    return at == std::string::npos ? 0 : std::stod(log.substr(at + kWords.size())) * 1000;
}

std::uint32_t jited_size(int fd) {
    bpf_prog_info info;
    std::memset(&info, 0, sizeof(info));
    bpf_attr attr = test::zeroed_attr();
    attr.info.bpf_fd = std::uint32_t(fd);
    attr.info.info_len = sizeof(info);
    attr.info.info = test::address_of(&info);
    return test::bpf(BPF_OBJ_GET_INFO_BY_FD, attr) == 0 ? info.jited_prog_len : 0;
}

} // namespace

bool kernel_is_permitted() {
    return test::bpf_is_permitted();
}

Expected<std::unique_ptr<Subject>> make_kernel(const Object& object) {
    TRY_ASSIGN(KernelObject kernel, KernelObject::load(object));
    return std::make_unique<KernelSubject>(std::move(kernel));
}

Expected<LoadCost> load_kernel(const Object& object) {
    const std::vector<std::byte> packet = make_packet();
    auto run = std::make_unique<test::TestRun>();
    run->data_in = packet;
    LoadCost cost;
    const double begin = cpu_time_ns();
    TRY_ASSIGN(KernelObject kernel, KernelObject::load(object));
    (void)kernel.progs().front().test_run(*run);
    cost.first_run = cpu_time_ns() - begin;
    cost.code_size = jited_size(kernel.progs().front().fd());

    const Program& program = object.programs().front();
    const std::vector<Insn> insns = test::with_map_fds(program.insns, kernel.maps());
    std::string statistics;
    const double before = cpu_time_ns();
    const auto wall_before = std::chrono::steady_clock::now();
    TRY_ASSIGN(const KernelProg again, KernelProg::load({.name = program.name,
                                                         .type = program.type,
                                                         .license = object.license(),
                                                         .insns = insns,
                                                         .statistics = &statistics}));
    const std::chrono::duration<double, std::nano> wall =
        std::chrono::steady_clock::now() - wall_before;
    const double load = cpu_time_ns() - before;
    cost.compile = std::max(0.0, wall.count() - verification_ns(statistics));
    cost.verify = std::max(0.0, load - cost.compile);
    return cost;
}

} // namespace ebpfvm::bench
