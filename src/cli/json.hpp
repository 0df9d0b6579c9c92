// A value tree with two renderings: JSON for programs, and a compact text for people.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ebpfvm::cli {

/// A JSON value. Members of an object keep the order in which they were added.
class Json {
  public:
    struct Member;
    using Array = std::vector<Json>;
    using Object = std::vector<Member>;
    using Value = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double,
                               std::string, Array, Object>;

    Json(std::nullptr_t = nullptr) : value_(nullptr) {}
    Json(bool value) : value_(value) {}
    template <std::unsigned_integral T>
    Json(T value) : value_(std::uint64_t{value}) {}
    template <std::signed_integral T>
    Json(T value) : value_(std::int64_t{value}) {}
    Json(double value) : value_(value) {}
    Json(const char* value) : value_(std::string(value)) {}
    Json(std::string_view value) : value_(std::string(value)) {}
    Json(std::string value) : value_(std::move(value)) {}
    Json(Array value) : value_(std::move(value)) {}

    [[nodiscard]] static Json object() { return Json(Value(Object{})); }
    [[nodiscard]] static Json array() { return Json(Value(Array{})); }

    /// Adds a member; only for objects. `key` must be new.
    Json& add(std::string key, Json value);
    /// Adds an element; only for arrays.
    Json& push(Json value);

    /// The member of that name; nullptr if there is none, or this is no object.
    [[nodiscard]] const Json* find(std::string_view key) const;

    [[nodiscard]] const Value& value() const { return value_; }
    [[nodiscard]] Value& value() { return value_; }
    bool operator==(const Json&) const = default;

  private:
    explicit Json(Value value) : value_(std::move(value)) {}
    Value value_;
};

struct Json::Member {
    std::string key;
    Json value;
    bool operator==(const Member&) const = default;
};

/// One line of JSON, without the newline. Bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string to_json(const Json& value);

/// `{packets: 3, name: "eth0", rest: [0 x 64]}`: runs of more than four equal elements are folded.
[[nodiscard]] std::string to_text(const Json& value);

} // namespace ebpfvm::cli
