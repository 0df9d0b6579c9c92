// A file that only grows, for tools that read it while it does.
#pragma once

#include "support/try.hpp"

#include <cstddef>
#include <span>
#include <string>

namespace ebpfvm::jit {

class OutputFile {
  public:
    enum class Content : std::uint8_t { Kept, Dropped };
    /// What the file has is kept, or dropped. Never follows a symbolic link: directories may be
    /// everybody's. Errors: Errc::Io.
    [[nodiscard]] static Expected<OutputFile> open(std::string path, Content content);
    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&&) = delete;
    ~OutputFile();

    /// All at once, so that threads and other writers never mix. Errors: Errc::Io.
    [[nodiscard]] Expected<void> append(std::span<const std::byte> bytes) const;
    /// Maps the first page as code: perf notes such mappings, and finds the file by it. Errors:
    /// Errc::Io.
    [[nodiscard]] Expected<void> show_to_perf();

  private:
    OutputFile(std::string path, int file) : path_(std::move(path)), file_(file) {}

    std::string path_;
    int file_;
    void* page_ = nullptr;
};

} // namespace ebpfvm::jit
