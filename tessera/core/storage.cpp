// The caching allocator of host memory. Blocks are rounded to a size class (four to a power of two), so that the
// tensors of one training step find the blocks of the last.
#include "tessera/core/storage.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tessera/core/error.hpp"

namespace tessera {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t size_class(std::size_t bytes) {
  if (bytes <= 64) return 64;
  const std::size_t step = std::bit_floor(bytes - 1) / 4;
  return (bytes + step - 1) / step * step;
}

struct Block {
  std::byte* data = nullptr;
  std::size_t size = 0;
};

class HostPool {
 public:
  /// At least `size` bytes. Of large blocks that are free also one that is up to twice as large will do: programs of
  /// nearly the same size take turns in one block.
  Block take(std::size_t size) {
    const std::lock_guard lock(mutex_);
    const std::size_t most = size < kHugePage ? size : 2 * size;
    for (auto list = free_.lower_bound(size); list != free_.end() && list->first <= most; ++list) {
      if (list->second.empty()) continue;
      const Block block{list->second.back(), list->first};
      list->second.pop_back();
      count(block.size);
      return block;
    }
    void* block = allocate(size);
    if (block == nullptr) {
      release_locked();
      block = allocate(size);
    }
    if (block == nullptr) {
      throw Error("out of host memory: " + std::to_string(size >> 20) + " MiB more were asked for, with " +
                  std::to_string(used_ >> 20) + " MiB in use; use a smaller batch");
    }
    count(size);
    return {static_cast<std::byte*>(block), size};
  }
  void give(const Block& block) {
    const std::lock_guard lock(mutex_);
    used_ -= block.size;
    free_[block.size].push_back(block.data);
  }
  void release() {
    const std::lock_guard lock(mutex_);
    release_locked();
  }
  HostMemory usage() {
    const std::lock_guard lock(mutex_);
    return {used_, peak_};
  }

 private:
  void count(std::size_t size) {
    used_ += size;
    peak_ = std::max(peak_, used_);
  }
  static void* allocate(std::size_t size) {
    if (size < kHugePage) return std::aligned_alloc(64, (size + 63) / 64 * 64);
    if (size > std::size_t{1} << 62) return nullptr;
    void* block = std::aligned_alloc(kHugePage, (size + kHugePage - 1) / kHugePage * kHugePage);
    if (block != nullptr) madvise(block, size, MADV_HUGEPAGE);
    return block;
  }
  void release_locked() {
    for (auto& [size, list] : free_) {
      for (std::byte* block : list) std::free(block);
      list.clear();
    }
  }

  std::mutex mutex_;
  std::map<std::size_t, std::vector<std::byte*>> free_;
  std::size_t used_ = 0, peak_ = 0;
};

HostPool& pool() {
  static auto* const instance = new HostPool;  // never destroyed: arrays of static lifetime may outlive it
  return *instance;
}

class HostStorage final : public Storage {
 public:
  HostStorage(const Block& block, std::size_t bytes) : Storage(block.data, bytes), size_(block.size) {}
  ~HostStorage() override { pool().give({data(), size_}); }
  HostStorage(const HostStorage&) = delete;
  HostStorage& operator=(const HostStorage&) = delete;

 private:
  std::size_t size_;
};

/// Mirrors are set and read seldom: once for each large host array in a call.
std::mutex& mirror_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

void Storage::read(std::byte* to) const {
  if (bytes_ > 0) std::memcpy(to, data_, bytes_);
}

StoragePtr Storage::mirror() const {
  const std::lock_guard lock(mirror_mutex());
  return mirror_;
}

void Storage::set_mirror(StoragePtr mirror) {
  const std::lock_guard lock(mirror_mutex());
  mirror_.swap(mirror);  // what was there ends after the lock
}

StoragePtr to_host(StoragePtr storage) {
  if (storage == nullptr || storage->on_host()) return storage;
  StoragePtr copy = allocate_host(storage->bytes());
  storage->read(copy->data());
  return copy;
}

StoragePtr allocate_host(std::size_t bytes) {
  return std::make_shared<HostStorage>(pool().take(size_class(bytes)), bytes);
}
HostMemory host_memory() { return pool().usage(); }
void release_cached_host_memory() { pool().release(); }

}  // namespace tessera
