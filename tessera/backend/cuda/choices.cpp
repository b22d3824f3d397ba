// Lines "key = choice", sorted; and the race of the candidates.
#include "tessera/backend/cuda/choices.hpp"

#include <cmath>

#include "tessera/backend/kernel_cache.hpp"
#include "tessera/core/error.hpp"

namespace tessera::cuda {
namespace {

constexpr std::string_view kBetween = " = ";

std::vector<std::size_t> argument_bytes(const pass::LibraryCall& call) {
  using Kind = pass::LibraryCall::Epilogue::Kind;
  std::vector<std::size_t> bytes;
  for (const TensorType& type : call.operand_types) bytes.push_back(byte_size(type));
  const std::int64_t last = call.result_type.shape.empty() ? 1 : call.result_type.shape.back();
  for (const auto& e : call.epilogue) {
    if (e.kind == Kind::AddBias) bytes.push_back(byte_size({call.result_type.dtype, {last}}));
    if (e.kind == Kind::AddTensor) bytes.push_back(byte_size(call.result_type));
  }
  bytes.push_back(byte_size(call.result_type));
  return bytes;
}

}  // namespace

Choices::Choices(std::string_view text) {
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view entry = text.substr(0, end);
    const std::size_t between = entry.find(kBetween);
    if (between == std::string_view::npos || between == 0 || between + kBetween.size() == entry.size())
      throw Error("line " + std::to_string(line) + " of the saved choices of algorithms is not 'operation" +
                  std::string(kBetween) + "choice'; delete the file to choose again");
    choices_[std::string(entry.substr(0, between))] = entry.substr(between + kBetween.size());
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::optional<std::string> Choices::find(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = choices_.find(key);
  return found == choices_.end() ? std::nullopt : std::optional(found->second);
}

void Choices::set(const std::string& key, const std::string& choice) {
  const std::lock_guard lock(mutex_);
  choices_[key] = choice;
}

void Choices::merge(const Choices& other) {
  const std::scoped_lock lock(mutex_, other.mutex_);
  for (const auto& [key, choice] : other.choices_) choices_[key] = choice;
}

std::string Choices::text() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [key, choice] : choices_) text += key + std::string(kBetween) + choice + "\n";
  return text;
}

std::unique_ptr<Call> choose(const std::string& operation, const Choosing& choosing, const pass::LibraryCall& call,
                             const std::function<std::unique_ptr<Call>(const std::string&)>& restore,
                             const std::function<std::vector<Candidate>()>& candidates) {
  const std::string key = operation + ", " + choosing.device;
  if (const auto chosen = choosing.choices.find(key)) {
    if (auto made = restore(*chosen)) return made;
    throw Error("the saved choice of an algorithm, '" + *chosen + "' for '" + key +
                "', is none of this library's; delete the file of choices to choose again");
  }
  const std::string entry = "choice-" + hash_text(key);
  if (choosing.cache != nullptr)
    if (const auto kept = choosing.cache->load(entry)) {
      const std::string choice(kept->begin(), kept->end());
      if (auto made = restore(choice)) {
        choosing.choices.set(key, choice);
        return made;
      }
    }
  std::vector<Candidate> list = candidates();
  if (list.empty()) return nullptr;
  std::size_t best = 0;
  if (choosing.timer && list.size() > 1) {
    const std::vector<std::size_t> bytes = argument_bytes(call);
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < list.size(); ++i) {
      const double seconds = choosing.timer(*list[i].call, bytes);
      if (seconds < least) {
        least = seconds;
        best = i;
      }
    }
  }
  choosing.choices.set(key, list[best].text);
  if (choosing.cache != nullptr && choosing.timer) choosing.cache->save(entry, list[best].text);
  return std::move(list[best].call);
}

std::string epilogue_text(const pass::LibraryCall& call) {
  using Kind = pass::LibraryCall::Epilogue::Kind;
  std::string text;
  for (const auto& e : call.epilogue)
    text += e.kind == Kind::AddBias ? " + bias" : e.kind == Kind::AddTensor ? " + tensor" : " + relu";
  return text;
}

}  // namespace tessera::cuda
