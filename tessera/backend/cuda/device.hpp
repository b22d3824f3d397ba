// One GPU: its context, its stream, its memory, and what its errors say.
// Everything that a process does on a GPU goes through one stream, in the order in which it is asked for: memory that
// is given back may be handed out again at once, because what still uses it runs before what uses it next.
// Read next: backend/cuda/executable.hpp (what runs on it).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "tessera/backend/cuda/api.hpp"
#include "tessera/core/storage.hpp"

namespace tessera::cuda {

class Device;

/// Device memory; goes back to the device's cache at its end.
class Block {
 public:
  Block(std::shared_ptr<Device> device, DevicePointer address, std::size_t size)
      : device_(std::move(device)), address_(address), size_(size) {}
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  [[nodiscard]] Device& device() const { return *device_; }
  [[nodiscard]] DevicePointer address() const { return address_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::shared_ptr<Device> device_;
  DevicePointer address_;
  std::size_t size_;
};

/// A tensor's memory on a device: all of a block, or a part.
class DeviceStorage final : public Storage {
 public:
  DeviceStorage(std::shared_ptr<Block> block, std::size_t offset, std::size_t bytes)
      : Storage(reinterpret_cast<std::byte*>(block->address() + offset), bytes, false), block_(std::move(block)) {}
  void read(std::byte* to) const override;
  [[nodiscard]] Device& device() const { return block_->device(); }
  [[nodiscard]] DevicePointer address() const { return reinterpret_cast<DevicePointer>(data()); }

 private:
  std::shared_ptr<Block> block_;
};

struct Properties {
  std::string name;      ///< "NVIDIA H200"
  int architecture = 0;  ///< 90: sm_90
  int multiprocessors = 0;
  int driver_version = 0;       ///< 13000: CUDA 13.0
  std::size_t memory = 0;       ///< bytes
  double bytes_per_second = 0;  ///< of the memory, as the device states it
};

/// Throws Error (Unsupported) when there is no device of this number. Opens nothing. `version`: the driver's.
Properties properties_of(const Driver& driver, int version, int ordinal);
/// "cuda", "cuda:1": as `--device` takes it.
std::string device_name(int ordinal);
/// One line for people.
std::string describe(const Properties& properties);

class Device : public std::enable_shared_from_this<Device> {
 public:
  /// `version`: the driver's, as start_driver gave it. Throws Error (Unsupported) when there is no such device.
  Device(const Driver& driver, int version, int ordinal);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Properties& properties() const { return properties_; }
  [[nodiscard]] const Driver& driver() const { return driver_; }
  [[nodiscard]] Stream stream() const { return stream_; }

  /// Makes the device current in this thread; while the lock is held nobody else enqueues. Throws when the device was
  /// lost to an error before.
  [[nodiscard]] std::unique_lock<std::recursive_mutex> enter();

  /// Memory of at least `bytes`, aligned to 256; null when there is no more.
  std::shared_ptr<Block> allocate(std::size_t bytes);
  /// Bytes handed out now, what the device has left and what it has.
  struct Usage {
    std::size_t current = 0, free = 0, total = 0;
  };
  Usage usage();
  /// The most bytes that were handed out at once.
  [[nodiscard]] std::size_t peak();

  /// Room of at most kStaging bytes in pinned memory for copies that are enqueued before the next call.
  std::byte* staging(std::size_t bytes);
  static constexpr std::size_t kStaging = std::size_t{1} << 20;
  /// Enqueues a copy to the device; `from` may change as soon as this returns.
  void upload(DevicePointer to, const std::byte* from, std::size_t bytes);
  /// Copies to the host; waits for all that was enqueued.
  void download(std::byte* to, DevicePointer from, std::size_t bytes);
  /// Waits for all that was enqueued.
  void synchronize();

  /// Says that work was enqueued: `what` is part of the message when it goes wrong. `alone`: nothing else is running.
  void began(const std::shared_ptr<const std::string>& what, bool alone = false);
  /// Seconds between two events around what `work` enqueues; waits for it.
  template <class F>
  double seconds_of(F work) {
    start_clock();
    work();
    return stop_clock();
  }

  /// Throws Error when `result` is none of success; `where()` says what was being done.
  template <class F>
  void check(int result, F where) {
    if (result != kSuccess) fail(result, where());
  }
  void check(int result, const char* where) {
    if (result != kSuccess) fail(result, where);
  }

 private:
  friend class Block;
  [[noreturn]] void fail(int result, const std::string& where);
  void give(DevicePointer address, std::size_t size);
  DevicePointer take(std::size_t size);
  void release_cached();
  void start_clock();
  double stop_clock();

  const Driver& driver_;
  int device_ = 0;
  std::string name_;
  Properties properties_;
  Context context_ = nullptr;
  Stream stream_ = nullptr;
  Event clock_[2] = {};
  std::recursive_mutex mutex_;
  std::string lost_;  ///< the message of the error after which nothing works
  std::vector<std::shared_ptr<const std::string>> in_flight_;
  bool alone_ = false;

  // Memory. Small blocks are cut from chunks and stay; large ones may go back to the driver.
  std::mutex memory_mutex_;
  std::map<std::size_t, std::set<DevicePointer>> free_;  ///< by size class; the lowest address is handed out first
  std::vector<DevicePointer> chunks_;
  std::size_t chunk_used_ = 0;
  std::size_t used_ = 0, peak_ = 0;

  // Pinned memory: a ring of slots, each with an event behind the last copy out of it.
  static constexpr std::size_t kSlots = 8;
  struct Slot {
    std::byte* memory = nullptr;
    Event done = nullptr;
  };
  Slot slots_[kSlots];
  std::size_t slot_ = 0, slot_used_ = 0;
};

}  // namespace tessera::cuda
