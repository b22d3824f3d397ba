// From the kernel IR to LLVM IR. Vector loops become chunks of kLanes lanes in explicit vectors, and one smaller chunk,
// masked where needed, for what remains. Inside a vector loop an expression is a scalar when all lanes agree on it, and
// a vector otherwise; memory is accessed contiguously where the index advances by one from lane to lane.
//
// Every pure expression is emitted once, in the outermost loop whose variables it needs. Loads of arguments that the
// kernel does not write count as pure: no alias information is given to LLVM, so that a written argument may share its
// buffer with one that is read at the same elements. What reads locals or written arguments is computed where it
// stands.
#ifdef TESSERA_HAVE_LLVM
#include "tessera/backend/cpu/llvm_emit.hpp"

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/Module.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "tessera/core/error.hpp"

namespace tessera::cpu {
namespace {

using kernel::Expr;
using kernel::kLanes;
using kernel::kNone;
using kernel::LoopKind;
using kernel::Node;
using kernel::Op;
using kernel::Statement;

std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }
bool is_half(DType d) { return d == DType::F16 || d == DType::BF16; }

class Emitter {
 public:
  Emitter(const kernel::Kernel& kernel, llvm::Module& module)
      : k_(kernel),
        module_(module),
        context_(module.getContext()),
        b_(context_),
        ranges_(kernel),
        impure_(impure_nodes(kernel)),
        variables_(kernel.variables.size()),
        level_of_(kernel.variables.size(), 0) {}

  void run(const std::string& name) {
    auto* pointer = llvm::PointerType::getUnqual(context_);
    auto* i64 = b_.getInt64Ty();
    function_ = llvm::Function::Create(llvm::FunctionType::get(b_.getVoidTy(), {pointer, i64, i64}, false),
                                       llvm::Function::ExternalLinkage, name, module_);
    function_->addFnAttr(llvm::Attribute::NoUnwind);
    auto* entry = llvm::BasicBlock::Create(context_, "entry", function_);
    auto* exit = llvm::BasicBlock::Create(context_, "exit", function_);
    auto* start = llvm::BasicBlock::Create(context_, "start", function_);
    b_.SetInsertPoint(entry);
    for (std::size_t i = 0; i < k_.arguments.size(); ++i)
      arguments_.push_back(
          b_.CreateLoad(pointer, b_.CreateConstGEP1_64(pointer, function_->getArg(0), i), k_.arguments[i].name));
    for (const kernel::Local& l : k_.locals) {
      // Room for a whole vector at every element: lanes that are masked off may read and write back what lies behind.
      const std::int64_t room = l.count == 1 ? 1 : (l.count + kLanes - 1) / kLanes * kLanes + kLanes;
      auto* memory = b_.CreateAlloca(llvm::ArrayType::get(memory_type(l.dtype), static_cast<std::uint64_t>(room)),
                                     nullptr, l.name);
      memory->setAlignment(llvm::Align(64));
      locals_.push_back(memory);
    }
    if (k_.threads() != 0) throw Error("kernel " + k_.name + " is for a GPU: it has blocks of threads");
    b_.CreateCondBr(b_.CreateICmpSLT(function_->getArg(1), function_->getArg(2)), start, exit);
    b_.SetInsertPoint(start);
    push_frame(nullptr);
    block(k_.body);
    frames_.pop_back();
    b_.CreateBr(exit);
    b_.SetInsertPoint(exit);
    b_.CreateRetVoid();
  }

 private:
  enum class Form : std::uint8_t { Scalar, Vector };  // Scalar: of lane 0 where the lanes differ
  using Memo = std::unordered_map<std::int64_t, llvm::Value*>;

  /// An open loop (the function itself is the first): what it has computed, and where code goes that is computed once
  /// before it begins.
  struct Frame {
    Memo memo;
    llvm::Instruction* before;
  };

  static constexpr std::int64_t kAny = 1LL << 40;
  struct Affine {
    bool known = false;
    std::int64_t stride = 0;  ///< from lane to lane
    std::int64_t unit = 1;    ///< a power of two that divides the value of lane 0
  };

  // --- Loops.

  void push_frame(llvm::Instruction* before) { frames_.push_back({{}, before}); }
  [[nodiscard]] std::size_t level() const { return frames_.size() - 1; }

  void block(const std::vector<Statement>& body) {
    for (const Statement& s : body) {
      if (s.kind == Statement::Kind::Loop)
        loop(s);
      else
        assignment(s);
      once_.clear();
    }
  }

  void loop(const Statement& s) {
    const std::int64_t extent = k_.variables[at(s.index)].extent;
    if (extent == 0) return;
    if (s.loop == LoopKind::Parallel) return counted(s, function_->getArg(1), function_->getArg(2), 1);
    if (s.loop == LoopKind::Vector && extent > 1) return vector_loop(s, extent);
    const bool in_lanes = s.loop == LoopKind::Vector;
    if (in_lanes) enter_vector(s.index, 1);
    if (extent <= kLanes && (extent == 1 || unrolls(s))) {
      for (std::int64_t i = 0; i < extent; ++i) straight(s, b_.getInt64(static_cast<std::uint64_t>(i)));
    } else {
      counted(s, b_.getInt64(0), b_.getInt64(static_cast<std::uint64_t>(extent)), 1);
    }
    if (in_lanes) leave_vector();
  }

  /// A short loop over the elements of a local: with constant indices the local can live in registers.
  bool unrolls(const Statement& s) {
    for (const Statement& inner : s.body) {
      if (inner.kind == Statement::Kind::Loop) return false;
      if (inner.kind == Statement::Kind::Write && uses(inner.at, s.index)) return true;
    }
    std::vector<Expr> work;
    for (const Statement& inner : s.body) work.insert(work.end(), {inner.at, inner.value, inner.predicate});
    std::vector<bool> seen(k_.nodes.size());
    while (!work.empty()) {
      const Expr e = work.back();
      work.pop_back();
      if (e == kNone || seen[at(e)]) continue;
      seen[at(e)] = true;
      const Node& n = k_.nodes[at(e)];
      if (n.op == Op::Read && uses(n.a, s.index)) return true;
      work.insert(work.end(), {n.a, n.b, n.c});
    }
    return false;
  }

  bool uses(Expr e, std::int32_t variable) {
    if (e == kNone) return false;
    const Node& n = k_.nodes[at(e)];
    return (n.op == Op::Variable && n.index == variable) || uses(n.a, variable) || uses(n.b, variable) ||
           uses(n.c, variable);
  }

  /// One iteration, without a jump.
  void straight(const Statement& s, llvm::Value* value) {
    auto* body = llvm::BasicBlock::Create(context_, k_.variables[at(s.index)].name, function_);
    push_frame(b_.CreateBr(body));
    b_.SetInsertPoint(body);
    bind(s.index, value);
    block(s.body);
    frames_.pop_back();
  }

  void bind(std::int32_t variable, llvm::Value* value) {
    variables_[at(variable)] = value;
    level_of_[at(variable)] = level();
  }

  /// for (i = first; i < last; i += step), which runs at least once; the body `copies` times for i, i + width, ...
  void counted(const Statement& s, llvm::Value* first, llvm::Value* last, std::int64_t step, std::int64_t copies = 1) {
    const std::string& name = k_.variables[at(s.index)].name;
    auto* body = llvm::BasicBlock::Create(context_, name, function_);
    auto* after = llvm::BasicBlock::Create(context_, name + ".end", function_);
    auto* before = b_.GetInsertBlock();
    push_frame(b_.CreateBr(body));
    b_.SetInsertPoint(body);
    auto* variable = b_.CreatePHI(b_.getInt64Ty(), 2, name);
    variable->addIncoming(first, before);
    for (std::int64_t c = 0; c < copies; ++c) {
      frames_.back().memo.clear();
      bind(s.index,
           c == 0 ? variable : b_.CreateNUWAdd(variable, b_.getInt64(static_cast<std::uint64_t>(c * step / copies))));
      block(s.body);
    }
    auto* next = b_.CreateAdd(variable, b_.getInt64(static_cast<std::uint64_t>(step)), "", true, true);
    variable->addIncoming(next, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpSLT(next, last), body, after);
    frames_.pop_back();
    b_.SetInsertPoint(after);
  }

  void enter_vector(std::int32_t variable, std::int64_t width) {
    vector_ = variable;
    width_ = active_ = width;
    vector_level_ = level() + 1;
    varying_.assign(k_.nodes.size(), -1);
    levels_.assign(k_.nodes.size(), -1);
  }

  void leave_vector() {
    vector_ = kNone;
    width_ = 1;
    mask_ = nullptr;
    levels_.clear();
  }

  void vector_loop(const Statement& s, std::int64_t extent) {
    const std::int64_t chunks = extent / kLanes;
    const std::int64_t rest = extent % kLanes;
    if (chunks > 0) {
      enter_vector(s.index, kLanes);
      std::int64_t done = 0;
      if (chunks > 1 && !(chunks <= 4 && unrolls(s))) {
        const std::int64_t copies = chunks >= 8 && is_small(s) ? 2 : 1;
        done = chunks / copies * copies;
        counted(s, b_.getInt64(0), b_.getInt64(static_cast<std::uint64_t>(done * kLanes)), copies * kLanes, copies);
      }
      for (; done < chunks; ++done) straight(s, b_.getInt64(static_cast<std::uint64_t>(done * kLanes)));
      leave_vector();
    }
    if (rest > 0) {
      const auto width = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(rest)));
      enter_vector(s.index, width);
      active_ = rest;
      if (rest < width) {
        std::vector<llvm::Constant*> lanes;
        for (std::int64_t j = 0; j < width; ++j) lanes.push_back(b_.getInt1(j < rest));
        mask_ = llvm::ConstantVector::get(lanes);
      }
      straight(s, b_.getInt64(static_cast<std::uint64_t>(chunks * kLanes)));
      leave_vector();
    }
  }

  /// Few operations on memory alone: two chunks an iteration hide the loop's own cost.
  bool is_small(const Statement& s) const {
    for (const Statement& inner : s.body)
      if (inner.kind != Statement::Kind::Store) return false;
    return s.body.size() <= 2 && k_.nodes.size() < 64;
  }

  // --- Assignments.

  void assignment(const Statement& s) {
    const bool store = s.kind == Statement::Kind::Store;
    const DType dtype = store ? k_.arguments[at(s.index)].dtype : k_.locals[at(s.index)].dtype;
    llvm::Value* base = store ? arguments_[at(s.index)] : locals_[at(s.index)];
    if (width_ > 1 && varying(s.at)) {
      llvm::Value* value = to_memory(dtype, get(s.value, Form::Vector));
      llvm::Value* mask = mask_;
      if (s.predicate != kNone) mask = both(mask, get(s.predicate, Form::Vector));
      const Affine index = affine(s.at);
      if (index.known && index.stride == 1) {
        llvm::Value* address = element(base, dtype, get(s.at, Form::Scalar));
        if (mask == nullptr)
          b_.CreateAlignedStore(value, address, align(dtype));
        else if (store)
          b_.CreateMaskedStore(value, address, align(dtype), mask);
        else
          b_.CreateAlignedStore(
              b_.CreateSelect(mask, value, b_.CreateAlignedLoad(value->getType(), address, align(dtype))), address,
              align(dtype));
      } else if (index.known && s.predicate == kNone) {
        llvm::Value* position = get(s.at, Form::Scalar);
        for (std::int64_t j = 0; j < active_; ++j)
          b_.CreateAlignedStore(b_.CreateExtractElement(value, static_cast<std::uint64_t>(j)),
                                lane_address(base, dtype, position, index.stride, j), align(dtype));
      } else {
        llvm::Value* position = get(s.at, index.known ? Form::Scalar : Form::Vector);
        b_.CreateMaskedScatter(value, addresses(base, dtype, position, index), align(dtype),
                               mask != nullptr ? mask : all_lanes());
      }
      return;
    }
    llvm::Value* value = to_memory(dtype, get(s.value, Form::Scalar));
    llvm::Value* address = element(base, dtype, get(s.at, Form::Scalar));
    if (s.predicate == kNone) {
      b_.CreateAlignedStore(value, address, align(dtype));
    } else if (!store) {
      llvm::Value* old = b_.CreateAlignedLoad(value->getType(), address, align(dtype));
      b_.CreateAlignedStore(b_.CreateSelect(get(s.predicate, Form::Scalar), value, old), address, align(dtype));
    } else {
      llvm::Value* predicate = get(s.predicate, Form::Scalar);
      auto* then = llvm::BasicBlock::Create(context_, "then", function_);
      auto* after = llvm::BasicBlock::Create(context_, "after", function_);
      b_.CreateCondBr(predicate, then, after);
      b_.SetInsertPoint(then);
      b_.CreateAlignedStore(value, address, align(dtype));
      b_.CreateBr(after);
      b_.SetInsertPoint(after);
    }
  }

  // --- Types and memory.

  llvm::Type* memory_type(DType d) { return d == DType::Bool ? b_.getInt8Ty() : value_type(d); }

  llvm::Type* value_type(DType d) {
    switch (d) {
      case DType::Bool: return b_.getInt1Ty();
      case DType::F32: return b_.getFloatTy();
      case DType::F64: return b_.getDoubleTy();
      default: return b_.getIntNTy(static_cast<unsigned>(size_of(d)) * 8);  // half-precision floats are held as bits
    }
  }

  [[nodiscard]] llvm::Type* shaped(llvm::Type* scalar, Form form) const {
    return form == Form::Vector ? llvm::FixedVectorType::get(scalar, static_cast<unsigned>(width_)) : scalar;
  }

  static llvm::Align align(DType d) { return llvm::Align(size_of(d)); }
  llvm::Value* element(llvm::Value* base, DType d, llvm::Value* index) {
    return b_.CreateGEP(memory_type(d), base, index);
  }
  /// One address for each lane: from lane 0's position where the stride is known, else from all positions.
  llvm::Value* addresses(llvm::Value* base, DType d, llvm::Value* position, const Affine& index) {
    llvm::Value* first = element(base, d, position);
    return index.known ? element(first, d, lane_numbers(index.stride)) : first;
  }
  llvm::Value* lane_address(llvm::Value* base, DType d, llvm::Value* position, std::int64_t stride, std::int64_t lane) {
    return element(base, d, b_.CreateAdd(position, b_.getInt64(static_cast<std::uint64_t>(lane * stride))));
  }
  llvm::Value* to_memory(DType d, llvm::Value* v) {
    return d == DType::Bool ? b_.CreateZExt(v, v->getType()->getWithNewType(b_.getInt8Ty())) : v;
  }
  llvm::Value* from_memory(DType d, llvm::Value* v) {
    return d == DType::Bool ? b_.CreateICmpNE(v, llvm::Constant::getNullValue(v->getType())) : v;
  }
  llvm::Value* all_lanes() { return llvm::Constant::getAllOnesValue(shaped(b_.getInt1Ty(), Form::Vector)); }
  llvm::Value* both(llvm::Value* a, llvm::Value* b) { return a == nullptr ? b : b_.CreateAnd(a, b); }

  // --- What is known of an expression inside the open loops.

  /// The lanes of the vector loop may differ on it.
  bool varying(Expr e) {
    if (width_ == 1) return false;
    signed char& memo = varying_[at(e)];
    if (memo < 0) {
      const Node& n = k_.nodes[at(e)];
      bool result = n.op == Op::Lane || (n.op == Op::Variable && n.index == vector_);
      for (const Expr operand : {n.a, n.b, n.c})
        if (operand != kNone && varying(operand)) result = true;
      varying_[at(e)] = result ? 1 : 0;
      return result;
    }
    return memo != 0;
  }

  /// The outermost open loop in which a pure expression can be computed.
  std::size_t level_of(Expr e) {
    if (levels_.empty()) levels_.assign(k_.nodes.size(), -1);
    if (levels_[at(e)] >= 0) return static_cast<std::size_t>(levels_[at(e)]);
    const Node& n = k_.nodes[at(e)];
    std::size_t result = n.op == Op::Variable ? level_of_[at(n.index)] : n.op == Op::Lane ? vector_level_ : 0;
    for (const Expr operand : {n.a, n.b, n.c})
      if (operand != kNone) result = std::max(result, level_of(operand));
    levels_[at(e)] = static_cast<int>(result);
    return result;
  }

  Affine affine(Expr e) {
    const Node& n = k_.nodes[at(e)];
    std::int64_t constant = 0;
    const auto is_constant = [&](Expr o) {
      if (k_.nodes[at(o)].op != Op::Constant) return false;
      constant = k_.nodes[at(o)].integer;
      return true;
    };
    const auto unit_of = [](std::int64_t v) { return v == 0 ? kAny : std::min(kAny, v & -v); };
    switch (n.op) {
      case Op::Constant: return {true, 0, unit_of(n.integer)};
      case Op::Variable: return n.index == vector_ ? Affine{true, 1, kLanes} : Affine{true, 0, 1};
      case Op::Lane: return {true, 1, kAny};
      case Op::Add:
      case Op::Subtract: {
        const Affine x = affine(n.a);
        const Affine y = affine(n.b);
        return {x.known && y.known, n.op == Op::Add ? x.stride + y.stride : x.stride - y.stride,
                std::min(x.unit, y.unit)};
      }
      case Op::Multiply: {
        if (!is_constant(n.b) || std::abs(constant) > (1LL << 30)) break;
        const Affine x = affine(n.a);
        return {x.known && std::abs(x.stride) < (1LL << 30), x.stride * constant,
                constant == 0 ? kAny : std::min(kAny, x.unit * std::min<std::int64_t>(unit_of(constant), 1 << 20))};
      }
      case Op::Divide:
      case Op::Remainder: {
        // A chunk that begins at a multiple of the width never crosses a multiple of a multiple of the width.
        if (!is_constant(n.b) || constant <= 0 || constant % width_ != 0 ||
            !ranges_.of(n.a).within(0, std::numeric_limits<std::int64_t>::max()))
          break;
        const Affine x = affine(n.a);
        if (!x.known || x.stride != 1 || x.unit % width_ != 0) break;
        return n.op == Op::Divide ? Affine{true, 0, 1} : Affine{true, 1, std::min(x.unit, unit_of(constant))};
      }
      default: break;
    }
    return {!varying(e), 0, 1};
  }

  // --- Expressions.

  llvm::Value* get(Expr e, Form form) {
    const std::int64_t key = static_cast<std::int64_t>(e) * 64 + (form == Form::Vector ? width_ : 0);
    const std::size_t where = impure_[at(e)] ? level() : level_of(e);
    Memo& memo = impure_[at(e)] ? once_ : frames_[where].memo;
    if (const auto found = memo.find(key); found != memo.end()) return found->second;

    const Node& n = k_.nodes[at(e)];
    llvm::Value* value = nullptr;
    if (form == Form::Vector && !varying(e)) {
      llvm::Value* scalar = get(e, Form::Scalar);
      value = in_frame(where, [&] { return b_.CreateVectorSplat(static_cast<unsigned>(width_), scalar); });
    } else if (n.op == Op::Load || n.op == Op::Read) {
      value = access(n, form, where);
    } else {
      llvm::Value* operands[3] = {};
      const Expr indices[3] = {n.a, n.b, n.c};
      for (int i = 0; i < 3; ++i)
        if (indices[i] != kNone) operands[i] = get(indices[i], form);
      value = in_frame(where, [&] { return compute(n, form, operands); });
    }
    // Nested calls may have grown the map: look it up again.
    (impure_[at(e)] ? once_ : frames_[where].memo)[key] = value;
    return value;
  }

  /// Emits at the end of an open loop's code so far: before the inner loop that is open, if there is one.
  template <class F>
  llvm::Value* in_frame(std::size_t where, const F& emit) {
    if (where == level()) return emit();
    const llvm::IRBuilderBase::InsertPointGuard guard(b_);
    b_.SetInsertPoint(frames_[where + 1].before);
    return emit();
  }

  llvm::Value* access(const Node& n, Form form, std::size_t where) {
    const bool is_load = n.op == Op::Load;
    const DType d = n.dtype;
    llvm::Value* base = is_load ? arguments_[at(n.index)] : locals_[at(n.index)];
    const Expr predicate = is_load ? n.b : kNone;
    llvm::Type* type = shaped(memory_type(d), form);
    if (form == Form::Scalar) {
      llvm::Value* index = get(n.a, Form::Scalar);
      llvm::Value* condition = predicate == kNone ? nullptr : get(predicate, Form::Scalar);
      return in_frame(where, [&]() -> llvm::Value* {
        llvm::Value* address = element(base, d, index);
        if (condition != nullptr) address = b_.CreateSelect(condition, address, zeros());
        return from_memory(d, b_.CreateAlignedLoad(type, address, align(d)));
      });
    }
    llvm::Value* mask = is_load ? mask_ : nullptr;  // locals have room for all lanes
    llvm::Value* condition = predicate == kNone ? nullptr : get(predicate, Form::Vector);
    const Affine index = affine(n.a);
    if (index.known && index.stride == 1) {
      llvm::Value* first = get(n.a, Form::Scalar);
      return in_frame(where, [&]() -> llvm::Value* {
        llvm::Value* address = element(base, d, first);
        llvm::Value* lanes = condition == nullptr ? mask : both(mask, condition);
        if (lanes == nullptr) return from_memory(d, b_.CreateAlignedLoad(type, address, align(d)));
        return from_memory(d, b_.CreateMaskedLoad(type, address, align(d), lanes, llvm::Constant::getNullValue(type)));
      });
    }
    llvm::Value* position = get(n.a, index.known ? Form::Scalar : Form::Vector);
    if (index.known && condition == nullptr)
      return in_frame(where, [&] { return from_memory(d, strided(base, d, position, index.stride)); });
    return in_frame(where, [&]() -> llvm::Value* {
      llvm::Value* lanes = condition == nullptr ? mask_ : both(mask_, condition);
      return from_memory(
          d, b_.CreateMaskedGather(type, addresses(base, d, position, index), align(d),
                                   lanes != nullptr ? lanes : all_lanes(), llvm::Constant::getNullValue(type)));
    });
  }

  /// Lanes at a constant distance. A few elements apart: all from the first lane's to the last one's, and a shuffle.
  /// Farther: one by one, which is faster than the processor's own gather.
  llvm::Value* strided(llvm::Value* base, DType d, llvm::Value* position, std::int64_t stride) {
    if (stride == 0) {
      llvm::Value* one = b_.CreateAlignedLoad(memory_type(d), element(base, d, position), align(d));
      return b_.CreateVectorSplat(static_cast<unsigned>(width_), one);
    }
    if (std::abs(stride) > 4) {
      llvm::Value* result = llvm::Constant::getNullValue(shaped(memory_type(d), Form::Vector));
      for (std::int64_t j = 0; j < active_; ++j)
        result = b_.CreateInsertElement(
            result, b_.CreateAlignedLoad(memory_type(d), lane_address(base, d, position, stride, j), align(d)),
            static_cast<std::uint64_t>(j));
      return result;
    }
    const std::int64_t step = std::abs(stride);
    const std::int64_t last = (active_ - 1) * step;
    llvm::Value* lowest = stride > 0 ? position : b_.CreateSub(position, b_.getInt64(static_cast<std::uint64_t>(last)));
    std::vector<llvm::Constant*> present;
    for (std::int64_t i = 0; i < width_ * step; ++i) present.push_back(b_.getInt1(i <= last));
    std::vector<int> places;
    for (std::int64_t j = 0; j < width_; ++j)
      places.push_back(static_cast<int>(j >= active_ ? 0 : stride > 0 ? j * step : last - j * step));
    auto* type = llvm::FixedVectorType::get(memory_type(d), static_cast<unsigned>(width_ * step));
    llvm::Value* span = b_.CreateMaskedLoad(type, element(base, d, lowest), align(d),
                                            llvm::ConstantVector::get(present), llvm::Constant::getNullValue(type));
    return b_.CreateShuffleVector(span, places);
  }

  /// Eight bytes of zeros, which a load with a false predicate reads.
  llvm::Value* zeros() {
    if (zeros_ == nullptr) {
      auto* type = b_.getInt64Ty();
      zeros_ = new llvm::GlobalVariable(module_, type, true, llvm::GlobalValue::PrivateLinkage,
                                        llvm::Constant::getNullValue(type), "zeros");
    }
    return zeros_;
  }

  llvm::Value* compute(const Node& n, Form form, llvm::Value* const* o) {
    llvm::Type* type = shaped(value_type(n.dtype), form);
    switch (n.op) {
      case Op::Constant:
        if (n.dtype == DType::F16) return llvm::ConstantInt::get(type, f16(static_cast<float>(n.real)).bits);
        if (n.dtype == DType::BF16) return llvm::ConstantInt::get(type, bf16(static_cast<float>(n.real)).bits);
        return is_float(n.dtype) ? llvm::ConstantFP::get(type, n.real)
                                 : llvm::ConstantInt::get(type, static_cast<std::uint64_t>(n.integer));
      case Op::Variable:
        return form == Form::Scalar
                   ? variables_[at(n.index)]
                   : b_.CreateAdd(b_.CreateVectorSplat(static_cast<unsigned>(width_), variables_[at(n.index)]),
                                  lane_numbers());
      case Op::Lane: return form == Form::Scalar ? b_.getInt64(0) : lane_numbers();
      case Op::Select: return b_.CreateSelect(o[0], o[1], o[2]);
      case Op::Fma: return b_.CreateIntrinsic(llvm::Intrinsic::fma, {type}, {o[0], o[1], o[2]});
      case Op::Convert: return convert(n.dtype, k_.nodes[at(n.a)].dtype, o[0], form);
      case Op::Bitcast: return b_.CreateBitCast(o[0], type);
      default: break;
    }
    if (n.op < Op::Add) return unary(n, o[0]);
    const DType d = k_.nodes[at(n.a)].dtype;
    return is_float(d) ? float_binary(n.op, d, o[0], o[1]) : integer_binary(n, d, o[0], o[1]);
  }

  llvm::Value* lane_numbers(std::int64_t stride = 1) {
    std::vector<llvm::Constant*> lanes;
    for (std::int64_t j = 0; j < width_; ++j) lanes.push_back(b_.getInt64(static_cast<std::uint64_t>(j * stride)));
    return llvm::ConstantVector::get(lanes);
  }

  llvm::Value* unary(const Node& n, llvm::Value* a) {
    switch (n.op) {
      case Op::Negate: return is_float(n.dtype) ? b_.CreateFNeg(a) : b_.CreateNeg(a);
      case Op::Abs:
        return is_float(n.dtype) ? b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, a)
                                 : b_.CreateBinaryIntrinsic(llvm::Intrinsic::abs, a, b_.getFalse());
      case Op::Not: return b_.CreateNot(a);
      case Op::Sqrt: return b_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, a);
      case Op::Floor: return b_.CreateUnaryIntrinsic(llvm::Intrinsic::floor, a);
      case Op::Ceil: return b_.CreateUnaryIntrinsic(llvm::Intrinsic::ceil, a);
      case Op::RoundEven: return b_.CreateUnaryIntrinsic(llvm::Intrinsic::roundeven, a);
      case Op::PopCount: return b_.CreateUnaryIntrinsic(llvm::Intrinsic::ctpop, a);
      case Op::CountLeadingZeros: return b_.CreateBinaryIntrinsic(llvm::Intrinsic::ctlz, a, b_.getFalse());
      default: return libm(std::string(name(n.op)), a, nullptr);
    }
  }

  /// A call of the C library for each lane.
  llvm::Value* libm(const std::string& function, llvm::Value* a, llvm::Value* b) {
    auto* f64 = b_.getDoubleTy();
    std::vector<llvm::Type*> parameters(b == nullptr ? 1 : 2, f64);
    auto callee = module_.getOrInsertFunction(function, llvm::FunctionType::get(f64, parameters, false));
    const auto call = [&](llvm::Value* x, llvm::Value* y) {
      auto* result = y == nullptr ? b_.CreateCall(callee, {x}) : b_.CreateCall(callee, {x, y});
      result->setDoesNotAccessMemory();
      result->setDoesNotThrow();
      return result;
    };
    if (!a->getType()->isVectorTy()) return call(a, b);
    llvm::Value* result = llvm::PoisonValue::get(a->getType());
    for (std::uint64_t j = 0; j < static_cast<std::uint64_t>(width_); ++j)
      result = b_.CreateInsertElement(
          result, call(b_.CreateExtractElement(a, j), b == nullptr ? nullptr : b_.CreateExtractElement(b, j)), j);
    return result;
  }

  /// LLVM 19 narrows a maximum of extended halves to one of halves, whose expansion loses NaN: the fence forbids it.
  llvm::Value* fenced(llvm::Value* a) {
    return llvm::isa<llvm::FPExtInst>(a) ? b_.CreateArithmeticFence(a, a->getType()) : a;
  }

  llvm::Value* float_binary(Op op, DType, llvm::Value* a, llvm::Value* b) {
    switch (op) {
      case Op::Add: return b_.CreateFAdd(a, b);
      case Op::Subtract: return b_.CreateFSub(a, b);
      case Op::Multiply: return b_.CreateFMul(a, b);
      case Op::Divide: return b_.CreateFDiv(a, b);
      case Op::Remainder: return b_.CreateFRem(a, b);
      case Op::Minimum: return b_.CreateBinaryIntrinsic(llvm::Intrinsic::minimum, fenced(a), b);
      case Op::Maximum: return b_.CreateBinaryIntrinsic(llvm::Intrinsic::maximum, fenced(a), b);
      case Op::Power: return libm("pow", a, b);
      case Op::Atan2: return libm("atan2", a, b);
      case Op::Equal: return b_.CreateFCmpOEQ(a, b);
      case Op::NotEqual: return b_.CreateFCmpUNE(a, b);
      case Op::Less: return b_.CreateFCmpOLT(a, b);
      case Op::LessEqual: return b_.CreateFCmpOLE(a, b);
      case Op::Greater: return b_.CreateFCmpOGT(a, b);
      default: return b_.CreateFCmpOGE(a, b);
    }
  }

  llvm::Value* integer_binary(const Node& n, DType d, llvm::Value* a, llvm::Value* b) {
    const bool is_signed = is_signed_integer(d);
    llvm::Type* type = a->getType();
    const auto bits = static_cast<std::uint64_t>(size_of(d)) * 8;
    const auto constant = [&](std::uint64_t v) { return llvm::ConstantInt::get(type, v); };
    const bool in_width = ranges_.of(n.b).within(0, static_cast<std::int64_t>(bits) - 1);  // the amount of a shift
    switch (n.op) {
      case Op::Add: return b_.CreateAdd(a, b);
      case Op::Subtract: return b_.CreateSub(a, b);
      case Op::Multiply: return b_.CreateMul(a, b);
      case Op::Divide:
      case Op::Remainder: return divide(n, d, a, b);
      case Op::Minimum:
        return b_.CreateBinaryIntrinsic(is_signed ? llvm::Intrinsic::smin : llvm::Intrinsic::umin, a, b);
      case Op::Maximum:
        return b_.CreateBinaryIntrinsic(is_signed ? llvm::Intrinsic::smax : llvm::Intrinsic::umax, a, b);
      case Op::And: return b_.CreateAnd(a, b);
      case Op::Or: return b_.CreateOr(a, b);
      case Op::Xor: return b_.CreateXor(a, b);
      case Op::ShiftLeft:
        if (in_width) return b_.CreateShl(a, b);
        return b_.CreateSelect(b_.CreateICmpULT(b, constant(bits)), b_.CreateShl(a, b), constant(0));
      case Op::ShiftRightLogical:
        if (in_width) return b_.CreateLShr(a, b);
        return b_.CreateSelect(b_.CreateICmpULT(b, constant(bits)), b_.CreateLShr(a, b), constant(0));
      case Op::ShiftRightArithmetic:
        if (in_width) return b_.CreateAShr(a, b);
        return b_.CreateAShr(a, b_.CreateBinaryIntrinsic(llvm::Intrinsic::umin, b, constant(bits - 1)));
      case Op::Equal: return b_.CreateICmpEQ(a, b);
      case Op::NotEqual: return b_.CreateICmpNE(a, b);
      case Op::Less: return is_signed ? b_.CreateICmpSLT(a, b) : b_.CreateICmpULT(a, b);
      case Op::LessEqual: return is_signed ? b_.CreateICmpSLE(a, b) : b_.CreateICmpULE(a, b);
      case Op::Greater: return is_signed ? b_.CreateICmpSGT(a, b) : b_.CreateICmpUGT(a, b);
      default: return is_signed ? b_.CreateICmpSGE(a, b) : b_.CreateICmpUGE(a, b);
    }
  }

  llvm::Value* divide(const Node& n, DType d, llvm::Value* a, llvm::Value* b) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    const bool quotient = n.op == Op::Divide;
    const bool is_signed = is_signed_integer(d);
    const auto plain = [&](bool with_sign, llvm::Value* x, llvm::Value* y) {
      if (with_sign) return quotient ? b_.CreateSDiv(x, y) : b_.CreateSRem(x, y);
      return quotient ? b_.CreateUDiv(x, y) : b_.CreateURem(x, y);
    };
    if (ranges_.of(n.b).within(1, kMost)) {
      const kernel::Range numerator = ranges_.of(n.a);
      if (d == DType::I64 && a->getType()->isVectorTy() && numerator.within(0, 0x7fffffff) &&
          ranges_.of(n.b).within(1, 0x7fffffff)) {
        llvm::Type* narrow = a->getType()->getWithNewType(b_.getInt32Ty());  // vectors divide 32 bits much faster
        return b_.CreateZExt(plain(false, b_.CreateTrunc(a, narrow), b_.CreateTrunc(b, narrow)), a->getType());
      }
      return plain(is_signed && !numerator.within(0, kMost), a, b);
    }
    llvm::Type* type = a->getType();
    llvm::Value* minus_one = llvm::Constant::getAllOnesValue(type);
    llvm::Value* by_zero = b_.CreateICmpEQ(b, llvm::Constant::getNullValue(type));
    llvm::Value* unsafe = by_zero;
    llvm::Value* by_minus_one = nullptr;
    if (is_signed) {
      by_minus_one = b_.CreateICmpEQ(b, minus_one);
      unsafe = b_.CreateOr(by_zero, by_minus_one);
    }
    llvm::Value* result = plain(is_signed, a, b_.CreateSelect(unsafe, llvm::ConstantInt::get(type, 1), b));
    if (is_signed && quotient) result = b_.CreateSelect(by_minus_one, b_.CreateNeg(a), result);
    return b_.CreateSelect(by_zero, quotient ? minus_one : a, result);
  }

  llvm::Value* convert(DType to, DType from, llvm::Value* a, Form form) {
    llvm::Type* type = shaped(value_type(to), form);
    llvm::Type* i32 = shaped(b_.getInt32Ty(), form);
    llvm::Type* f32 = shaped(b_.getFloatTy(), form);
    if (from == DType::F16)
      return convert(to, DType::F32, b_.CreateFPExt(b_.CreateBitCast(a, shaped(b_.getHalfTy(), form)), f32), form);
    if (from == DType::BF16)
      return convert(to, DType::F32, b_.CreateBitCast(b_.CreateShl(b_.CreateZExt(a, i32), 16), f32), form);
    if (to == from) return a;
    if (is_half(to)) {
      llvm::Value* single = convert(DType::F32, from, a, form);
      if (to == DType::F16) return b_.CreateBitCast(b_.CreateFPTrunc(single, shaped(b_.getHalfTy(), form)), type);
      // By hand: the processor's own instruction flushes denormals.
      llvm::Value* word = b_.CreateBitCast(single, i32);
      const auto constant = [&](std::uint64_t v) { return llvm::ConstantInt::get(i32, v); };
      llvm::Value* odd = b_.CreateAnd(b_.CreateLShr(word, 16), constant(1));
      llvm::Value* rounded = b_.CreateLShr(b_.CreateAdd(word, b_.CreateAdd(odd, constant(0x7fff))), 16);
      llvm::Value* quiet = b_.CreateOr(b_.CreateLShr(word, 16), constant(0x40));
      return b_.CreateTrunc(b_.CreateSelect(b_.CreateFCmpUNO(single, single), quiet, rounded), type);
    }
    if (to == DType::Bool)
      return is_float(from) ? b_.CreateFCmpUNE(a, llvm::Constant::getNullValue(a->getType()))
                            : b_.CreateICmpNE(a, llvm::Constant::getNullValue(a->getType()));
    if (is_float(from)) {
      if (is_float(to)) return to == DType::F64 ? b_.CreateFPExt(a, type) : b_.CreateFPTrunc(a, type);
      return b_.CreateIntrinsic(is_signed_integer(to) ? llvm::Intrinsic::fptosi_sat : llvm::Intrinsic::fptoui_sat,
                                {type, a->getType()}, {a});
    }
    if (is_float(to)) return is_signed_integer(from) ? b_.CreateSIToFP(a, type) : b_.CreateUIToFP(a, type);
    return b_.CreateIntCast(a, type, is_signed_integer(from));
  }

  const kernel::Kernel& k_;
  llvm::Module& module_;
  llvm::LLVMContext& context_;
  llvm::IRBuilder<> b_;
  kernel::Ranges ranges_;
  std::vector<bool> impure_;
  llvm::Function* function_ = nullptr;
  llvm::GlobalVariable* zeros_ = nullptr;
  std::vector<llvm::Value*> arguments_, locals_;
  std::vector<llvm::Value*> variables_;  // of the open loops
  std::vector<std::size_t> level_of_;    // of their variables
  std::vector<Frame> frames_;
  Memo once_;                         // impure values of the current statement
  std::int32_t vector_ = kNone;       // the open vector loop's variable,
  std::int64_t width_ = 1;            // its lanes,
  std::int64_t active_ = 1;           // how many of them are active,
  llvm::Value* mask_ = nullptr;       // those that are active (null: all),
  std::size_t vector_level_ = 0;      // and its frame
  std::vector<signed char> varying_;  // -1: not asked yet
  std::vector<int> levels_;           // -1: not asked yet
};

}  // namespace

void emit_llvm(const kernel::Kernel& kernel, const std::string& name, llvm::Module& module) {
  Emitter(kernel, module).run(name);
}

}  // namespace tessera::cpu
#endif
