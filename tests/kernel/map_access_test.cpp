// Which helper takes which type of map, and which maps programs may refer to: the tables and the
// running kernel. Not asked: helpers with callbacks, and those of LSM programs alone.
#include "kernel/helper_call.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ebpfvm::test {
namespace {

bool takes_map(const HelperProto& proto) {
    return std::ranges::find(proto.args, ArgType::ConstMapPtr) != proto.args.end();
}

// Did the kernel refuse this type of map, as opposed to anything else? Values of sockmaps are
// sockets, and this test has but memory: only map_update_elem would go on to ask about the type.
bool refuses_map(const Answer& answer) {
    constexpr std::string_view kReasons[] = {
        "cannot pass map_type",           "expected prog array map",
        "invalid zero-sized read",        "invalid map_ptr to access map->",
        "write into map forbidden",       "invalid arg_type for sockmap/sockhash",
        "R2 type=fp expected=sock_common"};
    return std::ranges::any_of(kReasons, [&](auto reason) { return answer.says(reason); });
}

bool accepts(const Answer& answer) {
    return answer.accepted() || answer.says("Unreleased reference") ||
           answer.says("R3 type=fp expected=sock_common");
}

// One attach type, or none if the kernel lacks the program type.
std::vector<std::uint32_t> first_attach_type(ProgType type) {
    std::vector<std::uint32_t> all = attach_types_of(type);
    all.resize(std::min<std::size_t>(all.size(), 1));
    return all;
}

TEST(MapAccess, HelpersTakeTheTypesOfMapsThatTheKernelLetsThem) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    std::size_t compared = 0;
    for (std::uint32_t id = 1; uapi_helper(id) != nullptr; ++id) {
        if (!takes_map(*uapi_helper(id))) {
            continue;
        }
        auto call = HelperCall::of(id);
        if (!call) {
            fmt::print("not asked: {}\n", helper_name(id));
            continue;
        }
        const KernelMaps maps; // new ones: some belong to the first program type that uses them
        for (const auto& [type, fd] : maps.all()) {
            const Answer answer = call->with_map(fd.get()).ask();
            const std::string where = fmt::format("{} with {}", helper_name(id), name_of(type));
            EXPECT_TRUE(accepts(answer) || refuses_map(answer))
                << where << " error " << answer.error << "\n"
                << answer.log;
            EXPECT_EQ(!refuses_map(answer), prog::map_allows_helper(type, id, call->type()))
                << where << " in " << name_of(call->type()) << "\n"
                << answer.log;
            ++compared;
        }
    }
    fmt::print("{} pairs\n", compared);
    EXPECT_GT(compared, 1000U);
}

TEST(MapAccess, FewProgramTypesMayDeleteFromSockmaps) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    constexpr auto kDelete = std::to_underlying(HelperId::map_delete_elem);
    const KernelMaps maps;
    for (const MapType map : {MapType::Sockmap, MapType::Sockhash}) {
        for (const ProgType type : loadable_types()) {
            for (const std::uint32_t attach : first_attach_type(type)) {
                const Answer answer =
                    HelperCall::in(type, attach, kDelete).with_map(maps.all().at(map).get()).ask();
                const bool is_sleepable = required_flags(type) != 0; // may not have the map at all
                EXPECT_EQ(accepts(answer),
                          prog::map_allows_helper(map, kDelete, type) && !is_sleepable)
                    << name_of(type) << "\n"
                    << answer.log;
            }
        }
    }
}

// r1 = map; return 1
Answer ask_reference(ProgType type, std::uint32_t attach, std::uint32_t flags, int fd) {
    return ask_verifier(
        {.type = type,
         .attach_type = attach,
         .insns = {{.code = 0x18, .dst = 1, .src = std::uint8_t(LddwSrc::MapFd), .imm = fd},
                   {},
                   mov_imm(0, 1),
                   exit_insn()},
         .flags = flags});
}

TEST(MapAccess, SleepableProgramsReferToTheMapsTheKernelLetsThem) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    const KernelMaps maps;
    for (const auto& [type, fd] : maps.all()) {
        EXPECT_EQ(ask_reference(ProgType::Syscall, 0, prog_flags::kSleepable, fd.get()).accepted(),
                  prog::sleepable_may_use(type))
            << name_of(type);
    }
}

TEST(MapAccess, FieldsAreForbiddenWhereTheKernelForbidsThem) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    struct Field {
        const char* name;
        std::uint32_t value_type;
        std::uint32_t value_size;
    };
    const TestBtf btf;
    for (const auto& [name, value_type, value_size] :
         {Field{"spin_lock", TestBtf::Locked, 8}, Field{"timer", TestBtf::Timed, 16},
          Field{"wq", TestBtf::Queued, 16}, Field{"res_spin_lock", TestBtf::ResLocked, 8}}) {
        const Fd map = create_map_with_btf(
            {.type = MapType::Array, .key_size = 4, .value_size = value_size, .max_entries = 1},
            btf, value_type);
        ASSERT_GE(map.get(), 0) << name;
        for (const ProgType type : loadable_types()) {
            for (const std::uint32_t attach : attach_types_of(type)) {
                const Answer answer = ask_reference(type, attach, required_flags(type), map.get());
                EXPECT_EQ(answer.accepted(), prog::may_use_field(type, name))
                    << name << " in " << name_of(type) << "\n"
                    << answer.log;
            }
        }
    }
}

} // namespace
} // namespace ebpfvm::test
