// A shop that lets plugins look at orders: two host functions, one type of program, no trust.
//
//     shop PLUGIN.bpf.o...
#include "plugin_api.h"

#include <ebpfvm/ebpfvm.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace {

constexpr auto kOrderProgram = ebpfvm::ProgType{ebpfvm::kFirstHostProgType};

template <class T>
T must(ebpfvm::Expected<T> value) {
    if (!value) {
        std::fprintf(stderr, "shop: %s\n", ebpfvm::to_string(value.error()).c_str());
        std::exit(1);
    }
    if constexpr (!std::is_void_v<T>) {
        return std::move(*value);
    }
}

// Plugins get the host's own struct order as plain memory, to read and to write.
ebpfvm::ProgTypeInfo order_programs() {
    ebpfvm::CtxLayout layout;
    layout.name = "order";
    layout.size = layout.host_size = sizeof(order);
    layout.plain = ebpfvm::Access::ReadWrite;
    ebpfvm::ProgTypeInfo type;
    type.type = kOrderProgram;
    type.name = type.sections.emplace_back("order");
    type.ctx = std::make_shared<const ebpfvm::CtxLayout>(layout);
    return type;
}

void offer_functions(ebpfvm::HelperTable& helpers) {
    must(helpers.add_function("shop_orders_of",
                              [](std::uint32_t customer) { return customer == 7 ? 12 : 1; }));
    must(helpers.add_function("shop_notify", [](std::span<const std::byte> text) {
        std::printf("  plugin says: %.*s\n", int(text.size()),
                    reinterpret_cast<const char*>(text.data()));
    }));
}

void show_sales(const ebpfvm::Module& plugin) {
    const auto sold = plugin.map("sold");
    if (!sold) {
        return; // this plugin does not count
    }
    (*sold)->for_each_key([&](std::span<const std::byte> key) {
        std::uint32_t item = 0;
        std::uint32_t count = 0;
        std::memcpy(&item, key.data(), sizeof item);
        if (const auto value = (*sold)->read(key)) {
            std::memcpy(&count, value->data(), sizeof count);
        }
        std::printf("  sold %u of item %u\n", count, item);
        return true;
    });
}

void run_plugin(ebpfvm::Vm& vm, const char* path) {
    std::printf("%s\n", path);
    ebpfvm::Object object =
        must(ebpfvm::load_object_file(path, {.prog_types = &vm.prog_types()}));
    if (const auto set = object.set_global("regular_after", std::uint32_t{12}); !set) {
        std::printf("  (takes no setting: %s)\n", set.error().message.c_str());
    }
    const ebpfvm::Module plugin = must(vm.load(object));
    for (const ebpfvm::Executable& program : plugin.programs()) {
        for (order o : {order{7, 1, 2, 1999, 0}, order{8, 2, 500, 5, 0}, order{9, 3, 0, 1, 0}}) {
            const ebpfvm::RunResult result = program.run(o);
            if (result.fault) {
                std::printf("  %s misbehaved, the shop goes on: %s\n", result.fault->prog.c_str(),
                            result.fault->message.c_str());
                continue;
            }
            std::printf("  %s: customer %u, %s, discount %u %%\n", program.program().name.c_str(),
                        o.customer, result.r0 == ORDER_ACCEPT ? "accepted" : "refused",
                        o.discount_percent);
        }
    }
    show_sales(plugin);
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: shop PLUGIN.bpf.o...\n");
        return 2;
    }
    ebpfvm::Vm vm({.insn_budget = 1'000'000});
    must(vm.prog_types().add(order_programs()));
    offer_functions(vm.helpers());
    for (int i = 1; i < argc; ++i) {
        run_plugin(vm, argv[i]);
    }
}
