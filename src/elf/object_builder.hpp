// How loaders fill an Object.
#pragma once

#include "ebpfvm/btf.hpp"
#include "ebpfvm/object.hpp"

#include <memory>
#include <utility>

namespace ebpfvm {

/// An Object under construction: its parts by reference.
struct ObjectBuilder {
    Object object;
    std::string& name = object.name_;
    std::string& license = object.license_;
    std::vector<Program>& programs = object.programs_;
    std::vector<MapSpec>& maps = object.maps_;
    std::vector<Extern>& externs = object.externs_;
    std::vector<Global>& globals = object.globals_;
    std::vector<AppliedReloc>& relocations = object.relocations_;
    std::vector<CoreReloc>& core = object.core_;
    std::shared_ptr<const Btf>& btf = object.btf_;

    ObjectBuilder() = default;
    ObjectBuilder(const ObjectBuilder&) = delete;
    ObjectBuilder& operator=(const ObjectBuilder&) = delete;

    [[nodiscard]] Object finish() { return std::move(object); }
};

} // namespace ebpfvm
