#include "ebpfvm/helper.hpp"

#include <gtest/gtest.h>

#include <array>

namespace ebpfvm {
namespace {

using enum ArgType;

std::uint64_t some_function(CallContext&, std::uint64_t, std::uint64_t, std::uint64_t,
                            std::uint64_t, std::uint64_t) {
    return 0;
}

Helper helper(std::array<ArgType, kMaxArgs> args, RetType ret = RetType::Integer) {
    return {.proto = {.name = "h", .ret = ret, .args = args}, .fn = some_function};
}

bool accepts(const Helper& candidate) {
    HelperTable table;
    const bool by_id = table.add(1000, candidate).has_value();
    EXPECT_EQ(by_id, table.add(candidate).has_value());
    EXPECT_EQ(by_id, table.find(1000) != nullptr);
    EXPECT_EQ(by_id, table.find("h") != nullptr);
    return by_id;
}

TEST(HelperTable, DefaultsHaveAFunctionExceptForWhatEnginesDo) {
    const HelperTable table = HelperTable::defaults();
    EXPECT_EQ(table.by_id().size(), 16U);
    for (const auto& [id, each] : table.by_id()) {
        EXPECT_EQ(each.fn == nullptr, id == kTailCallId || id == kLoopId) << each.proto.name;
        EXPECT_EQ(each.proto.name, helper_name(id));
    }
    const Helper* lookup = table.find(1);
    ASSERT_NE(lookup, nullptr);
    EXPECT_EQ(lookup->proto.name, "map_lookup_elem");
    EXPECT_EQ(lookup->proto.ret, RetType::PtrToMapValueOrNull);
    EXPECT_EQ(lookup->proto.args, (std::array{ConstMapPtr, PtrToMapKey, None, None, None}));
    EXPECT_EQ(table.find(9999), nullptr);
    EXPECT_EQ(table.find("map_lookup_elem"), nullptr) << "bound by number only";
    EXPECT_EQ(helper_name(9999), "");
}

TEST(HelperTable, EveryPrototypeOfTheUapiIsConsistent) {
    for (std::uint32_t id = 1; id <= 211; ++id) {
        const HelperProto* proto = uapi_helper(id);
        ASSERT_NE(proto, nullptr) << id;
        HelperTable table;
        const auto added = table.add(id, {.proto = *proto, .fn = some_function});
        EXPECT_TRUE(added) << added.error().message;
    }
    EXPECT_EQ(uapi_helper(0), nullptr);
    EXPECT_EQ(uapi_helper(212), nullptr);
    EXPECT_EQ(uapi_helper(std::to_underlying(HelperId::strtol))->arg_sizes[3], 8U);
    EXPECT_EQ(uapi_helper(158)->ret_btf, "task_struct");
}

TEST(HelperTable, AddReplacesWhatWasThere) {
    HelperTable table = HelperTable::defaults();
    ASSERT_TRUE(table.add(5, helper({Anything})).has_value());
    EXPECT_EQ(table.find(5)->proto.name, "h");
    EXPECT_EQ(table.by_id().size(), 16U);
}

TEST(HelperTable, AcceptsConsistentPrototypes) {
    EXPECT_TRUE(accepts(helper({})));
    EXPECT_TRUE(accepts(helper({PtrToMem, ConstSize})));
    EXPECT_TRUE(accepts(helper({PtrToMemOrNull, ConstSizeOrZero, PtrToUninitMem, ConstSize})));
    EXPECT_TRUE(accepts(helper({ConstMapPtr, PtrToMapKey, PtrToMapValue, Anything, Anything})));
    EXPECT_TRUE(
        accepts(helper({ConstMapPtr, ConstAllocSizeOrZero}, RetType::PtrToRingbufMemOrNull)));
    Helper fixed = helper({Anything, PtrToWritableMem, PtrToMem});
    fixed.proto.arg_sizes = {0, 16, 8};
    EXPECT_TRUE(accepts(fixed));
    Helper allocates = helper({}, RetType::PtrToMemOrNull);
    allocates.proto.ret_size = 64;
    EXPECT_TRUE(accepts(allocates));
}

TEST(HelperTable, RefusesInconsistentPrototypes) {
    EXPECT_FALSE(accepts(helper({None, Anything}))) << "gap";
    EXPECT_FALSE(accepts(helper({Anything, None, None, None, Anything}))) << "gap";
    EXPECT_FALSE(accepts(helper({ConstSize}))) << "size without memory";
    EXPECT_FALSE(accepts(helper({Anything, ConstSizeOrZero}))) << "size without memory";
    EXPECT_FALSE(accepts(helper({PtrToMem, ConstSize, ConstSize}))) << "second size";
    EXPECT_FALSE(accepts(helper({PtrToMem, Anything}))) << "memory without size";
    EXPECT_FALSE(accepts(helper({Anything, Anything, Anything, Anything, PtrToMem})));
    EXPECT_FALSE(accepts(helper({PtrToMapKey, ConstMapPtr}))) << "key before its map";
    EXPECT_FALSE(accepts(helper({PtrToMapValue})));
    EXPECT_FALSE(accepts(helper({}, RetType::PtrToMapValueOrNull)));
    EXPECT_FALSE(accepts(helper({ConstMapPtr}, RetType::PtrToRingbufMemOrNull)));
    EXPECT_FALSE(accepts(helper({}, RetType::PtrToMemOrNull)));
    EXPECT_FALSE(accepts(helper({ConstAllocSizeOrZero}, RetType::Integer)));

    Helper both = helper({PtrToMem, ConstSize});
    both.proto.arg_sizes = {8};
    EXPECT_FALSE(accepts(both)) << "fixed size and size argument";
    Helper no_memory = helper({Anything});
    no_memory.proto.arg_sizes = {8};
    EXPECT_FALSE(accepts(no_memory));
    Helper nameless = helper({});
    nameless.proto.name.clear();
    EXPECT_FALSE(HelperTable().add(1, nameless).has_value());
    Helper empty = helper({});
    empty.fn = nullptr;
    EXPECT_FALSE(accepts(empty));
}

TEST(HelperTable, ErrorsNameHelperAndArgument) {
    HelperTable table;
    const auto result = table.add(1, helper({Anything, ConstSize}));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Errc::InvalidArgument);
    EXPECT_EQ(result.error().message, "helper \"h\": argument 2: a size without memory before it");
}

TEST(HelperTable, DerivesPrototypesFromFunctions) {
    HelperTable table;
    ASSERT_TRUE(table
                    .add_function("sum",
                                  [](std::span<const std::byte> bytes, std::uint32_t* out) {
                                      *out = std::uint32_t(bytes.size());
                                      return bytes.size();
                                  })
                    .has_value());
    const Helper* sum = table.find("sum");
    ASSERT_NE(sum, nullptr);
    EXPECT_EQ(sum->proto.args,
              (std::array{PtrToMem, ConstSizeOrZero, PtrToWritableMem, None, None}));
    EXPECT_EQ(sum->proto.arg_sizes[2], 4U);
}

TEST(HelperTable, DerivesTheirUseOfTheCallFromFunctions) {
    const auto use_of = [](auto function) {
        HelperTable table;
        EXPECT_TRUE(table.add_function("f", std::move(function)));
        return table.find("f")->use;
    };
    EXPECT_EQ(use_of([](int x) { return x; }), CallUse::None);
    EXPECT_EQ(use_of([](std::span<const std::byte> bytes) { return bytes.size(); }), CallUse::None);
    EXPECT_EQ(use_of([](const char* text) { return *text; }), CallUse::None);
    EXPECT_EQ(use_of([y = 1](int x) { return x + y; }), CallUse::NoAbort); // y is data
    EXPECT_EQ(use_of(+[](int x) { return x; }), CallUse::NoAbort);    // so is where the function is
    EXPECT_EQ(use_of([](const int* x) { return *x; }), CallUse::Any); // aborts if misaligned
    EXPECT_EQ(use_of([](CallContext&, int x) { return x; }), CallUse::Any);
}

} // namespace
} // namespace ebpfvm
