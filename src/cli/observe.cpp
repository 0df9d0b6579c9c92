// Inputs: packets of random length and content, the first bytes often those of plausible headers;
// map values are random where the host may write them.
#include "cli/observe.hpp"

#include "ebpfvm/fact_checker.hpp"
#include "ebpfvm/vm.hpp"

#include <algorithm>
#include <array>
#include <random>

namespace ebpfvm::cli {
namespace {

constexpr std::uint64_t kBudgetPerRun = 2'000'000;
constexpr std::uint64_t kMaxRuns = 20'000;

class Inputs {
  public:
    std::span<std::byte> packet() {
        for (std::byte& byte : buffer_) {
            byte = std::byte(random_() & 0xff);
        }
        std::byte* data = buffer_.data() + kHeadroom;
        if (random_() % 4 != 0) {
            headers(data);
        }
        return {data, random_() % 3 == 0 ? random_() % 64 : random_() % 1500};
    }
    std::span<std::byte> buffer() { return buffer_; }

    void fill_maps(const Module& module) {
        for (const std::shared_ptr<Map>& map : module.maps()) {
            const MapSpec& spec = map->spec();
            const bool is_data = !spec.data.empty() || spec.name.find('.') != std::string::npos;
            if (is_data || map->memory().empty() || spec.key_size == 0 || !spec.fields.empty()) {
                continue;
            }
            for (unsigned i = 0; i < 8; ++i) {
                std::vector<std::byte> key(spec.key_size);
                std::vector<std::byte> value(spec.value_size);
                fill(key, spec.type == MapType::Array ? spec.max_entries : 4);
                std::ranges::generate(value, [this] { return std::byte(random_() & 0xff); });
                (void)map->write(key, value);
            }
        }
    }
    std::uint32_t number() { return std::uint32_t(random_()); }

  private:
    static constexpr std::size_t kHeadroom = 256;

    void fill(std::vector<std::byte>& key, std::uint64_t limit) {
        const std::uint64_t value = random_() % std::max<std::uint64_t>(limit, 1);
        for (std::size_t i = 0; i < key.size(); ++i) {
            key[i] = i < 8 ? std::byte(value >> (8 * i) & 0xff) : std::byte{0};
        }
    }

    void headers(std::byte* data) {
        static constexpr std::array<std::uint16_t, 4> kTypes = {0x0800, 0x86dd, 0x8100, 0x0806};
        static constexpr std::array<std::uint8_t, 4> kProtocols = {6, 17, 1, 58};
        const std::uint16_t type = kTypes[random_() % kTypes.size()];
        data[12] = std::byte(type >> 8);
        data[13] = std::byte(type & 0xff);
        data[14] = std::byte(type == 0x86dd ? 0x60 : 0x45);
        data[23] = std::byte(kProtocols[random_() % kProtocols.size()]);
        data[20] = data[23];
    }

    std::mt19937_64 random_{1};
    std::array<std::byte, 2048> buffer_{};
};

RunResult run_once(FactChecker& checker, const Program& program, Inputs& inputs) {
    const std::span<std::byte> data = inputs.packet();
    if (program.type == ProgType::Xdp) {
        XdpCtx ctx{.packet = Packet::in(inputs.buffer(), data)};
        ctx.ingress_ifindex = inputs.number() % 8;
        ctx.rx_queue_index = inputs.number() % 8;
        return checker.run(ctx);
    }
    SkbCtx ctx{.packet = Packet::in(inputs.buffer(), data)};
    ctx.mark = inputs.number();
    ctx.protocol = inputs.number() % 0x10000;
    ctx.ifindex = inputs.number() % 8;
    ctx.hash = inputs.number();
    return checker.run(ctx);
}

} // namespace

Observed observe(const Object& object, const Program& program, const Facts& facts,
                 std::uint64_t insns) {
    Observed result;
    const bool is_known = program.type == ProgType::Xdp || program.type == ProgType::SocketFilter ||
                          program.type == ProgType::SchedCls || program.type == ProgType::SchedAct;
    if (!is_known) {
        result.skipped = "no random inputs for programs of this type";
        return result;
    }
    Vm vm({.cpus = 1, .insn_budget = kBudgetPerRun, .environment = {.random_seed = 7}});
    const auto module = vm.load(object, {.programs = {program.name}});
    if (!module) {
        result.skipped = to_string(module.error());
        return result;
    }
    const auto executable = module->program(program.name);
    if (!executable) {
        result.skipped = to_string(executable.error());
        return result;
    }
    FactChecker checker(facts, *module, *executable);
    Inputs inputs;
    while (checker.insns() < insns && result.runs < kMaxRuns && checker.violations().empty()) {
        if (result.runs % 64 == 0) {
            inputs.fill_maps(*module);
        }
        const RunResult run = run_once(checker, program, inputs);
        ++result.runs;
        if (run.fault && run.fault->kind != FaultKind::BudgetExhausted) {
            result.violations.push_back("fault: " + run.fault->message);
            break;
        }
    }
    result.insns = checker.insns();
    result.values = checker.values();
    result.violations.insert(result.violations.end(), checker.violations().begin(),
                             checker.violations().end());
    return result;
}

} // namespace ebpfvm::cli
