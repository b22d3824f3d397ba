// Memory of tensors: aligned, counted by reference, recycled by size.
#pragma once

#include <cstddef>
#include <memory>

namespace tessera {

/// A block of memory that tensors share. Host memory is aligned to 64 bytes (to a huge page when large).
class Storage {
 public:
  Storage(std::byte* data, std::size_t bytes) : data_(data), bytes_(bytes) {}
  virtual ~Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::byte* data_;
  std::size_t bytes_;
};
using StoragePtr = std::shared_ptr<Storage>;

/// Uninitialised host memory from a caching allocator: a freed block is kept for the next request of its size class.
/// Zero bytes are allowed. Throws Error naming the size when the system has no more.
StoragePtr allocate_host(std::size_t bytes);
/// Bytes handed out now, and the most there ever were.
struct HostMemory {
  std::size_t current = 0, peak = 0;
};
HostMemory host_memory();
/// Gives cached blocks back to the system.
void release_cached_host_memory();

}  // namespace tessera
