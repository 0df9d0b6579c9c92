// Tested by jit/see_inside_test.cpp.
#include "jit/debug/output_file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace ebpfvm::jit {
namespace {

std::unexpected<Error> io_error(const std::string& path) {
    return fail(Errc::Io, "{}: {}", path, std::strerror(errno));
}

std::size_t page_size() {
    return std::size_t(sysconf(_SC_PAGESIZE));
}

} // namespace

Expected<OutputFile> OutputFile::open(std::string path, Content content) {
    constexpr int kFlags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
    const int file =
        ::open(path.c_str(), kFlags | (content == Content::Dropped ? O_TRUNC : 0), 0644);
    if (file < 0) {
        return io_error(path);
    }
    return OutputFile(std::move(path), file);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)),
      page_(std::exchange(other.page_, nullptr)) {}

OutputFile::~OutputFile() {
    if (page_ != nullptr) {
        munmap(page_, page_size());
    }
    if (file_ >= 0) {
        close(file_);
    }
}

Expected<void> OutputFile::append(std::span<const std::byte> bytes) const {
    const ssize_t written = ::write(file_, bytes.data(), bytes.size());
    if (written < 0) {
        return io_error(path_);
    }
    if (std::size_t(written) != bytes.size()) {
        return fail(Errc::Io, "{}: only {} of {} bytes could be written", path_, written,
                    bytes.size());
    }
    return {};
}

Expected<void> OutputFile::show_to_perf() {
    void* page = mmap(nullptr, page_size(), PROT_READ | PROT_EXEC, MAP_PRIVATE, file_, 0);
    if (page == MAP_FAILED) {
        return io_error(path_);
    }
    page_ = page;
    return {};
}

} // namespace ebpfvm::jit
