// Memory of tensors: on the host or on a device, counted by reference, recycled by size.
#pragma once

#include <cstddef>
#include <memory>

namespace tessera {

/// A block of memory that tensors share. Host memory is aligned to 64 bytes (to a huge page when large). The memory of
/// a device is a class of its backend's; only that backend uses its address.
class Storage {
 public:
  Storage(std::byte* data, std::size_t bytes, bool on_host = true) : data_(data), bytes_(bytes), on_host_(on_host) {}
  virtual ~Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  /// The address, in the address space of its device: read and written here only when on_host().
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] bool on_host() const { return on_host_; }
  /// Copies all bytes to host memory. Waits for the work that computes them, and throws its error.
  virtual void read(std::byte* to) const;

  /// A copy of this host memory that a device's backend keeps beside it, so that it is uploaded once; null without one.
  [[nodiscard]] std::shared_ptr<Storage> mirror() const;
  void set_mirror(std::shared_ptr<Storage> mirror);
  /// To be called by who writes host memory that may have been an input: nobody else uses it then.
  void written() {
    if (mirror_ != nullptr) mirror_ = nullptr;
  }

 private:
  std::byte* data_;
  std::size_t bytes_;
  std::shared_ptr<Storage> mirror_;
  bool on_host_;
};
using StoragePtr = std::shared_ptr<Storage>;

/// The storage itself when it is host memory; else its values, copied to the host.
StoragePtr to_host(StoragePtr storage);

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
