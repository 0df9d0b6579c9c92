// A run as helpers see it, without an engine.
#pragma once

#include "ebpfvm/run.hpp"

namespace ebpfvm::testing {

class TestCall : public CallContext {
  public:
    explicit TestCall(Environment environment = {}) : services_(std::move(environment)) {
        environment_ = &services_;
        user_.run = this;
    }
    void set_packet(Packet& packet) { packet_ = &packet; }
    void set_cpu(std::uint32_t cpu) { user_.cpu = cpu; }
    [[nodiscard]] std::span<const Grant> grants() const { return {grants_.data(), grant_count_}; }

  private:
    Environment services_;
};

} // namespace ebpfvm::testing
