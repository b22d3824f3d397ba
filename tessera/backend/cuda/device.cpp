// Context, memory, copies and errors of one GPU.
#include "tessera/backend/cuda/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "tessera/backend/cuda/driver.hpp"
#include "tessera/core/error.hpp"

namespace tessera::cuda {
namespace {

constexpr std::size_t kChunk = std::size_t{2} << 20;
constexpr std::size_t kSmall = kChunk / 2;  ///< blocks up to this are cut from chunks
constexpr std::size_t kMostInFlight = 4;

/// Four classes to a power of two, so that the tensors of one step find the blocks of the last; at least 256 bytes.
std::size_t size_class(std::size_t bytes) {
  if (bytes <= 256) return 256;
  const std::size_t step = std::max<std::size_t>(256, std::bit_floor(bytes - 1) / 4);
  return (bytes + step - 1) / step * step;
}

/// Errors that end a context: of a kernel while it ran, of the hardware, and unknown ones.
bool is_fatal(int result) {
  constexpr int kFatal[] = {46, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 999};
  return std::find(std::begin(kFatal), std::end(kFatal), result) != std::end(kFatal);
}

}  // namespace

Block::~Block() { device_->give(address_, size_); }

void DeviceStorage::read(std::byte* to) const { device().download(to, address(), bytes()); }

std::string device_name(int ordinal) { return ordinal == 0 ? "cuda" : fmt::format("cuda:{}", ordinal); }

std::string describe(const Properties& p) {
  return fmt::format("{}, sm_{}, {} multiprocessors, driver for CUDA {}", p.name, p.architecture, p.multiprocessors,
                     version_text(p.driver_version));
}

Properties properties_of(const Driver& driver, int version, int ordinal) {
  const auto check = [&](int result) {
    if (result != kSuccess)
      throw Error(ErrorKind::Unsupported, fmt::format("the NVIDIA driver says nothing of GPU {}: error {}; see what "
                                                      "nvidia-smi says",
                                                      ordinal, result));
  };
  int count = 0, device = 0;
  check(driver.device_count(&count));
  if (ordinal < 0 || ordinal >= count)
    throw Error(ErrorKind::Unsupported, fmt::format("there is no GPU {}: the driver shows {}", ordinal, count));
  check(driver.device_get(&device, ordinal));
  char text[256] = {};
  check(driver.device_name(text, sizeof text, device));
  const auto attribute = [&](int which) {
    int value = 0;
    check(driver.device_attribute(&value, which, device));
    return value;
  };
  Properties p;
  p.name = text;
  p.architecture = 10 * attribute(kCapabilityMajor) + attribute(kCapabilityMinor);
  p.multiprocessors = attribute(kMultiprocessors);
  p.driver_version = version;
  // Two transfers in a cycle of the memory's clock.
  p.bytes_per_second = 2e3 * attribute(kMemoryClock) * (attribute(kMemoryBusWidth) / 8.0);
  check(driver.device_memory(&p.memory, device));
  return p;
}

Device::Device(const Driver& driver, int version, int ordinal)
    : driver_(driver), name_(cuda::device_name(ordinal)), properties_(properties_of(driver, version, ordinal)) {
  check(driver_.device_get(&device_, ordinal), "while opening the device");
  check(driver_.context_retain(&context_, device_), "while opening the device");
  check(driver_.context_set(context_), "while opening the device");
  check(driver_.stream_create(&stream_, kStreamNonBlocking), "while opening the device");
  for (Event& event : clock_) check(driver_.event_create(&event, 0), "while opening the device");
  void* pinned = nullptr;
  check(driver_.allocate_pinned(&pinned, kSlots * kStaging, 0), "while taking pinned memory");
  for (std::size_t i = 0; i < kSlots; ++i) {
    slots_[i].memory = static_cast<std::byte*>(pinned) + i * kStaging;
    check(driver_.event_create(&slots_[i].done, kEventDisableTiming), "while opening the device");
  }
}

Device::~Device() {
  if (stream_ == nullptr) return;
  driver_.context_set(context_);
  driver_.stream_synchronize(stream_);
  release_cached();
  for (const DevicePointer chunk : chunks_) driver_.release(chunk);
  if (slots_[0].memory != nullptr) driver_.release_pinned(slots_[0].memory);
  for (const Slot& slot : slots_)
    if (slot.done != nullptr) driver_.event_destroy(slot.done);
  for (const Event event : clock_)
    if (event != nullptr) driver_.event_destroy(event);
  driver_.stream_destroy(stream_);
  driver_.context_release(device_);
}

std::unique_lock<std::recursive_mutex> Device::enter() {
  std::unique_lock lock(mutex_);
  if (!lost_.empty()) throw Error(lost_);
  check(driver_.context_set(context_), "while entering the device");
  return lock;
}

// --- memory ---

DevicePointer Device::take(std::size_t size) {
  if (const auto list = free_.find(size); list != free_.end() && !list->second.empty())
    return list->second.extract(list->second.begin()).value();
  DevicePointer address = 0;
  if (size > kSmall) {
    int result = driver_.allocate(&address, size);
    if (result == kOutOfMemory) {
      release_cached();
      result = driver_.allocate(&address, size);
    }
    if (result == kOutOfMemory) return 0;
    check(result, "while taking memory");
    return address;
  }
  if (chunks_.empty() || chunk_used_ + size > kChunk) {
    const int result = driver_.allocate(&address, kChunk);
    if (result == kOutOfMemory) return 0;
    check(result, "while taking memory");
    chunks_.push_back(address);
    chunk_used_ = 0;
  }
  address = chunks_.back() + chunk_used_;
  chunk_used_ += size;
  return address;
}

void Device::give(DevicePointer address, std::size_t size) {
  const std::lock_guard lock(memory_mutex_);
  used_ -= size;
  free_[size].insert(address);
}

/// The driver waits for the device before it takes memory back.
void Device::release_cached() {
  for (auto& [size, list] : free_) {
    if (size <= kSmall) continue;
    for (const DevicePointer address : list) driver_.release(address);
    list.clear();
  }
}

std::shared_ptr<Block> Device::allocate(std::size_t bytes) {
  const auto lock = enter();
  if (bytes > std::size_t{1} << 62) return nullptr;
  const std::size_t size = size_class(bytes);
  const std::lock_guard memory_lock(memory_mutex_);
  const DevicePointer address = take(size);
  if (address == 0) return nullptr;
  used_ += size;
  peak_ = std::max(peak_, used_);
  return std::make_shared<Block>(shared_from_this(), address, size);
}

Device::Usage Device::usage() {
  const auto lock = enter();
  std::size_t free = 0, total = 0;
  check(driver_.memory_info(&free, &total), "while asking for free memory");
  const std::lock_guard memory_lock(memory_mutex_);
  return {used_, free, total};
}

std::size_t Device::peak() {
  const std::lock_guard lock(memory_mutex_);
  return peak_;
}

// --- copies ---

std::byte* Device::staging(std::size_t bytes) {
  if (slot_used_ + bytes > kStaging) {
    check(driver_.event_record(slots_[slot_].done, stream_), "while copying to the device");
    slot_ = (slot_ + 1) % kSlots;
    check(driver_.event_synchronize(slots_[slot_].done), "while copying to the device");
    slot_used_ = 0;
  }
  std::byte* const place = slots_[slot_].memory + slot_used_;
  slot_used_ += (bytes + 63) / 64 * 64;
  return place;
}

void Device::upload(DevicePointer to, const std::byte* from, std::size_t bytes) {
  const auto lock = enter();
  for (std::size_t at = 0; at < bytes; at += kStaging) {
    const std::size_t part = std::min(kStaging, bytes - at);
    std::byte* const pinned = staging(part);
    std::memcpy(pinned, from + at, part);
    check(driver_.upload(to + at, pinned, part, stream_), "while copying to the device");
  }
}

void Device::download(std::byte* to, DevicePointer from, std::size_t bytes) {
  const auto lock = enter();
  const char* const where = "while results were copied to the host";
  // Several parts are on their way while one is taken from pinned memory.
  const std::size_t parts = (bytes + kStaging - 1) / kStaging;
  const auto size_of_part = [&](std::size_t part) { return std::min(kStaging, bytes - part * kStaging); };
  slot_used_ = kStaging;  // the slot in use keeps what it has; parts take the slots behind it
  std::size_t asked = 0;
  std::size_t place[kSlots];
  for (std::size_t part = 0; part < parts; ++part) {
    for (; asked < parts && asked < part + kSlots - 1; ++asked) {
      std::byte* const pinned = staging(size_of_part(asked));
      place[asked % kSlots] = slot_;
      check(driver_.download(pinned, from + asked * kStaging, size_of_part(asked), stream_), where);
      check(driver_.event_record(slots_[slot_].done, stream_), where);
      slot_used_ = kStaging;
    }
    const Slot& slot = slots_[place[part % kSlots]];
    check(driver_.event_synchronize(slot.done), where);
    std::memcpy(to + part * kStaging, slot.memory, size_of_part(part));
  }
  if (parts > 0) in_flight_.clear();
}

void Device::synchronize() {
  const auto lock = enter();
  check(driver_.stream_synchronize(stream_), "while waiting for the device");
  in_flight_.clear();
}

// --- clocks and errors ---

void Device::start_clock() { check(driver_.event_record(clock_[0], stream_), "while timing"); }

double Device::stop_clock() {
  check(driver_.event_record(clock_[1], stream_), "while timing");
  check(driver_.event_synchronize(clock_[1]), "while timing");
  float milliseconds = 0;
  check(driver_.event_elapsed(&milliseconds, clock_[0], clock_[1]), "while timing");
  return 1e-3 * milliseconds;
}

void Device::began(const std::shared_ptr<const std::string>& what, bool alone) {
  alone_ = alone;
  if (alone) in_flight_.clear();
  if (!in_flight_.empty() && in_flight_.back() == what) return;
  if (in_flight_.size() == kMostInFlight) in_flight_.erase(in_flight_.begin());
  in_flight_.push_back(what);
}

void Device::fail(int result, const std::string& where) {
  const char *name = nullptr, *meaning = nullptr;
  if (driver_.error_name(result, &name) != kSuccess || name == nullptr) name = "an unknown error";
  if (driver_.error_string(result, &meaning) != kSuccess || meaning == nullptr) meaning = "the driver does not know it";
  std::string message = fmt::format("{}: {} ({}) {}", name_, name, meaning, where);
  if (!is_fatal(result)) throw Error(message);
  if (!in_flight_.empty()) {
    message += alone_ ? "\n  running then:" : "\n  running or waiting then:";
    for (const auto& text : in_flight_) message += "\n    " + *text;
    if (!alone_) message += "\n  TESSERA_LOG=kernels runs one step at a time and names the one that fails";
  }
  message += "\n  this process cannot use the device any more; start again from the last checkpoint";
  lost_ = message;
  throw Error(message);
}

}  // namespace tessera::cuda
