// Neighbours of blocks, by number.
#pragma once

#include "jit/opt/scratch.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>

namespace ebpfvm::jit::opt {

/// Like a std::vector, but in 16 bytes: hardly any block has more than two on a side.
class ShortList {
  public:
    ShortList() = default;
    ShortList(std::initializer_list<std::uint32_t> ids) {
        for (const std::uint32_t id : ids) {
            push_back(id);
        }
    }
    ShortList(const ShortList& other) {
        reserve(other.size_);
        size_ = other.size_;
        std::copy(other.begin(), other.end(), begin());
    }
    ShortList(ShortList&& other) noexcept { swap(other); }
    ShortList& operator=(ShortList other) noexcept {
        swap(other);
        return *this;
    }
    ~ShortList() {
        if (!is_inside()) {
            Scratch::current().deallocate(ids_.elsewhere, capacity_ * sizeof(std::uint32_t));
        }
    }

    [[nodiscard]] std::uint32_t* begin() { return is_inside() ? ids_.inside : ids_.elsewhere; }
    [[nodiscard]] const std::uint32_t* begin() const {
        return is_inside() ? ids_.inside : ids_.elsewhere;
    }
    [[nodiscard]] std::uint32_t* end() { return begin() + size_; }
    [[nodiscard]] const std::uint32_t* end() const { return begin() + size_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] std::uint32_t& operator[](std::size_t i) { return begin()[i]; }
    [[nodiscard]] std::uint32_t operator[](std::size_t i) const { return begin()[i]; }
    [[nodiscard]] std::uint32_t front() const { return *begin(); }
    [[nodiscard]] std::uint32_t back() const { return begin()[size_ - 1]; }

    void push_back(std::uint32_t id) {
        if (size_ == capacity_) {
            reserve(2 * capacity_);
        }
        begin()[size_++] = id;
    }
    void clear() { size_ = 0; }
    /// To fewer.
    void shrink(std::size_t size) { size_ = std::uint32_t(size); }
    void erase(const std::uint32_t* at) { erase(at, at + 1); }
    void erase(const std::uint32_t* from, const std::uint32_t* to) {
        std::copy(to, std::as_const(*this).end(), begin() + (from - begin()));
        size_ -= std::uint32_t(to - from);
    }

  private:
    static constexpr std::uint32_t kInside = 2;

    [[nodiscard]] bool is_inside() const { return capacity_ == kInside; }
    void reserve(std::uint32_t capacity) {
        if (capacity <= capacity_) {
            return;
        }
        ShortList larger;
        larger.ids_.elsewhere = static_cast<std::uint32_t*>(
            Scratch::current().allocate(capacity * sizeof(std::uint32_t)));
        larger.capacity_ = capacity;
        larger.size_ = size_;
        std::copy(begin(), end(), larger.begin());
        swap(larger);
    }
    void swap(ShortList& other) noexcept {
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
        std::swap(ids_, other.ids_);
    }

    union Ids {
        std::uint32_t inside[kInside]{}; // NOLINT(modernize-avoid-c-arrays)
        std::uint32_t* elsewhere;
    };

    std::uint32_t size_ = 0;
    std::uint32_t capacity_ = kInside;
    Ids ids_{};
};

} // namespace ebpfvm::jit::opt
