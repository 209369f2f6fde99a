// Two pretended cards for a torch that was built without CUDA.
//
// A tensor on cuda:0 or cuda:1 is a real tensor whose storage says so and lies in the processor's
// memory. Every operation that would reach a CUDA kernel arrives in `run_on_card`, which refuses
// what CUDA refuses, counts a launch or a synchronisation, and hands the same memory to the
// operation's CPU kernel. Everything above the kernels (autograd, forward mode, vmap, autocast,
// composite operations, the decision to copy) is torch's own.
//
// A graph is a list of calls, recorded with the tensors that they read and wrote, and made again on
// the same memory. What waits is refused while recording, and what recording wrote is put back.
//
// It is blind to: times, cuDNN's choices and rounding, the number of kernels behind one operation
// (counted as one), the order of streams, kernels of torch.compile.

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <unordered_map>

namespace {

using at::Tensor;
using c10::Device;
using c10::DeviceIndex;
using c10::DeviceType;
using c10::DispatchKey;
using c10::IValue;
using c10::Storage;
using c10::StorageImpl;

constexpr DeviceIndex kCards = 2;
thread_local DeviceIndex current_card = 0;

// ---- what is counted ---------------------------------------------------------------------------

std::mutex counting;
std::map<std::string, int64_t> launches[kCards];
void (*tell_synchronisation)(const char* kind) = nullptr;
void (*tell_launch)(const char* name) = nullptr;

struct Recorded {
  c10::OperatorHandle op;
  std::vector<IValue> arguments, results;
};
// Bytes of a storage as they were before a recorded call wrote to it.
struct Before {
  Storage storage;
  std::vector<char> bytes;
};
std::atomic<bool> recording{false};
std::mutex taping;
std::vector<Recorded> tape;
std::map<StorageImpl*, Before> before;
std::map<int, std::vector<Recorded>> graphs;

void synchronisation(const std::string& kind) {
  TORCH_CHECK(!recording, "CUDA error: operation not permitted when stream is capturing (", kind,
              ")");
  if (tell_synchronisation != nullptr) tell_synchronisation(kind.c_str());
}

void launch(DeviceIndex card, const std::string& name) {
  {
    std::lock_guard<std::mutex> lock(counting);
    ++launches[card][name];
  }
  if (tell_launch != nullptr) tell_launch(name.c_str());
}

// ---- memory ------------------------------------------------------------------------------------

std::atomic<int64_t> live[kCards], peak[kCards], capacity[kCards];

void take(DeviceIndex card, int64_t bytes) {
  const int64_t now = live[card] += bytes;
  if (now > capacity[card]) {
    live[card] -= bytes;
    TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate ", bytes,
                     " bytes; the pretended card has ", capacity[card].load(), ", of which ",
                     now - bytes, " are taken");
  }
  int64_t most = peak[card];
  while (most < now && !peak[card].compare_exchange_weak(most, now)) {
  }
}

// Memory of the processor that a card's storage holds.
struct Block {
  Storage host;
  DeviceIndex card;
  int64_t bytes;
};

void give_back(void* block) {
  auto* it = static_cast<Block*>(block);
  live[it->card] -= it->bytes;
  delete it;
}

c10::DataPtr on_card(const Storage& host, DeviceIndex card) {
  const auto bytes = static_cast<int64_t>(host.nbytes());
  take(card, bytes);
  return {host.mutable_data(), new Block{host, card, bytes}, &give_back,
          Device(DeviceType::CUDA, card)};
}

Storage host_storage(size_t bytes) {
  return Storage(c10::make_intrusive<StorageImpl>(StorageImpl::use_byte_size_t(), bytes,
                                                  c10::GetCPUAllocator(), /*resizable=*/true));
}

struct CardAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    return on_card(host_storage(bytes), current_card);
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
} card_allocator;

std::mutex pinning;
std::set<const void*> pinned;

struct PinnedAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    auto* held = new Storage(host_storage(bytes));
    std::lock_guard<std::mutex> lock(pinning);
    pinned.insert(held->data());
    return {held->mutable_data(), held, &release, c10::kCPU};
  }
  static void release(void* held) {
    auto* storage = static_cast<Storage*>(held);
    {
      std::lock_guard<std::mutex> lock(pinning);
      pinned.erase(storage->data());
    }
    delete storage;
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
} pinned_allocator;

bool is_pinned(const void* data) {
  std::lock_guard<std::mutex> lock(pinning);
  return pinned.count(data) > 0;
}

Storage card_storage(const Storage& host, DeviceIndex card) {
  return Storage(c10::make_intrusive<StorageImpl>(StorageImpl::use_byte_size_t(), host.nbytes(),
                                                  on_card(host, card), &card_allocator,
                                                  /*resizable=*/true));
}

// ---- one operation -----------------------------------------------------------------------------

// The tensors of one call, as its CPU kernel sees them: the same memory, the same geometry.
class Call {
 public:
  Tensor to_host(const Tensor& card) {
    const auto known = hosts_.find(card.unsafeGetTensorImpl());
    if (known != hosts_.end()) return known->second;
    TORCH_CHECK(card.layout() == c10::kStrided, "pretended cards hold strided tensors only");
    auto keys = c10::DispatchKeySet(DispatchKey::CPU);
    if (card.key_set().has(DispatchKey::ZeroTensor)) keys = keys.add(DispatchKey::ZeroTensor);
    Tensor host = at::detail::make_tensor<c10::TensorImpl>(shared(card.storage()), keys,
                                                           card.dtype());
    auto* impl = host.unsafeGetTensorImpl();
    impl->set_sizes_and_strides(card.sizes(), card.strides(), card.storage_offset());
    if (card.unsafeGetTensorImpl()->is_wrapped_number()) impl->set_wrapped_number(true);
    hosts_.emplace(card.unsafeGetTensorImpl(), host);
    cards_.emplace(impl, card);
    return host;
  }

  Tensor to_card(const Tensor& host, DeviceIndex card) {
    auto* impl = host.unsafeGetTensorImpl();
    const auto known = cards_.find(impl);
    if (known != cards_.end()) return known->second;
    const auto origin = origins_.find(host.storage().unsafeGetStorageImpl());
    const Storage storage =
        origin != origins_.end() ? origin->second.card : card_storage(host.storage(), card);
    auto keys = c10::DispatchKeySet(DispatchKey::CUDA);
    if (host.key_set().has(DispatchKey::ZeroTensor)) keys = keys.add(DispatchKey::ZeroTensor);
    Tensor result = at::detail::make_tensor<c10::TensorImpl>(Storage(storage), keys, host.dtype());
    result.unsafeGetTensorImpl()->set_sizes_and_strides(host.sizes(), host.strides(),
                                                        host.storage_offset());
    cards_.emplace(impl, result);
    return result;
  }

  // What the kernel resized or gave another storage, the card's tensor follows.
  void follow(DeviceIndex index) {
    for (auto& [key, host] : hosts_) {
      auto* card = cards_.at(host.unsafeGetTensorImpl()).unsafeGetTensorImpl();
      const auto origin = origins_.find(host.storage().unsafeGetStorageImpl());
      if (origin == origins_.end()) {  // set_ to memory that the kernel took
        card->set_storage_keep_dtype(card_storage(host.storage(), index));
      } else if (!origin->second.card.is_alias_of(card->storage())) {  // set_ to another's
        card->set_storage_keep_dtype(origin->second.card);
      } else if (host.storage().data() != origin->second.data) {  // resize_
        auto* storage = origin->second.card.unsafeGetStorageImpl();
        storage->set_data_ptr_noswap(on_card(host.storage(), index));
        storage->set_nbytes(host.storage().nbytes());
        origin->second.data = host.storage().data();
      }
      if (card->sizes() != host.sizes() || card->strides() != host.strides() ||
          card->storage_offset() != host.storage_offset()) {
        card->set_sizes_and_strides(host.sizes(), host.strides(), host.storage_offset());
      }
    }
  }

  Storage shared(const Storage& card) {
    auto* key = card.unsafeGetStorageImpl();
    const auto known = shared_.find(key);
    if (known != shared_.end()) return known->second;
    auto* held = new Storage(card);
    c10::DataPtr data(card.mutable_data(), held,
                      [](void* it) { delete static_cast<Storage*>(it); }, c10::kCPU);
    Storage host(c10::make_intrusive<StorageImpl>(StorageImpl::use_byte_size_t(), card.nbytes(),
                                                  std::move(data), c10::GetCPUAllocator(),
                                                  /*resizable=*/true));
    shared_.emplace(key, host);
    origins_.emplace(host.unsafeGetStorageImpl(), Origin{card, card.data()});
    return host;
  }

 private:
  struct Origin {
    Storage card;
    const void* data;
  };

  std::unordered_map<c10::TensorImpl*, Tensor> hosts_;  // by the card's tensor
  std::unordered_map<c10::TensorImpl*, Tensor> cards_;  // by the processor's tensor
  std::unordered_map<StorageImpl*, Storage> shared_;    // by the card's storage
  std::unordered_map<StorageImpl*, Origin> origins_;    // by the processor's storage
};

template <typename Visit>
void each_tensor(const IValue& value, Visit visit) {
  if (value.isTensor()) {
    if (value.toTensor().defined()) visit(value.toTensor());
  } else if (value.isTensorList()) {
    for (const Tensor& t : value.toTensorVector()) {
      if (t.defined()) visit(t);
    }
  } else if (value.isOptionalTensorList()) {
    for (const auto& t : value.toOptionalTensorVector()) {
      if (t.has_value() && t->defined()) visit(*t);
    }
  }
}

template <typename Change>
IValue with_tensors(const IValue& value, Change change) {
  if (value.isTensor()) return value.toTensor().defined() ? IValue(change(value.toTensor())) : value;
  if (value.isTensorList()) {
    std::vector<Tensor> changed = value.toTensorVector();
    for (Tensor& t : changed) {
      if (t.defined()) t = change(t);
    }
    return IValue(changed);
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> changed;
    for (auto t : value.toOptionalTensorVector()) {
      if (t.has_value() && t->defined()) t = change(*t);
      changed.push_back(t);
    }
    return IValue(changed);
  }
  return value;
}

std::string base_name(const c10::OperatorHandle& op) {
  const std::string& name = op.operator_name().name;
  return name.substr(name.find("::") + 2);
}

bool is_view(const c10::OperatorHandle& op) {
  for (const auto& result : op.schema().returns()) {
    if (result.alias_info() != nullptr && !result.alias_info()->isWrite()) return true;
  }
  return false;
}

const std::set<std::string> kNoKernel = {
    "empty",  "empty_strided", "_efficientzerotensor", "resize_",      "set_",
    "is_set_to", "record_stream", "_local_scalar_dense", "is_pinned", "_resize_output_",
};
// The result's shape, or a number of the result's, is needed by the processor at once.
const std::map<std::string, std::string> kWaits = {
    {"_local_scalar_dense", "item"},
    {"nonzero", "nonzero"},
    {"_unique", "unique"},
    {"_unique2", "unique"},
    {"unique_dim", "unique"},
    {"unique_consecutive", "unique"},
    {"unique_dim_consecutive", "unique"},
    {"masked_select", "masked_select"},
    {"equal", "equal"},
    {"bincount", "bincount"},
};
const std::set<std::string> kIndexing = {"index", "_unsafe_index", "_index_put_impl_"};
// These take numbers from the processor only as numbers, not as tensors without dimensions.
const std::set<std::string> kNoScalars = {"cat", "stack"};

[[noreturn]] void refuse_devices(Device one, Device other, const std::string& name) {
  TORCH_CHECK(false, "Expected all tensors to be on the same device, but found at least two devices, ",
              one, " and ", other, "! (when checking arguments of ", name, ")");
}

// index_put_: a single number under a mask is filled in; all else waits for uploads and masks.
void check_index_put(at::ArrayRef<IValue> arguments) {
  const Tensor& value = arguments[2].toTensor();
  int masks = 0;
  int uploads = value.is_cuda() ? 0 : 1;
  each_tensor(arguments[1], [&](const Tensor& index) {
    if (index.scalar_type() == at::kBool || index.scalar_type() == at::kByte) ++masks;
    if (!index.is_cuda()) ++uploads;
  });
  if (masks > 0 && value.numel() == 1 && !value.is_cuda()) return;
  for (int i = 0; i < masks; ++i) synchronisation("boolean index");
  for (int i = 0; i < uploads; ++i) synchronisation("upload");
}

void check_devices(const std::string& name, at::ArrayRef<IValue> arguments) {
  std::optional<Device> card;
  std::optional<Device> host;
  bool first = true;
  bool first_is_host = false;
  const bool indexing = kIndexing.count(name) > 0;
  for (const IValue& value : arguments) {
    each_tensor(value, [&](const Tensor& t) {
      if (t.is_cuda()) {
        if (card.has_value() && *card != t.device()) refuse_devices(*card, t.device(), name);
        card = t.device();
      } else {
        if (first) first_is_host = true;
        if (!indexing && (t.dim() > 0 || kNoScalars.count(name) > 0)) host = t.device();
      }
      first = false;
    });
  }
  if (!card.has_value()) return;
  TORCH_CHECK(!(indexing && first_is_host),
              "indices should be either on cpu or on the same device as the indexed tensor (cpu)");
  if (host.has_value()) refuse_devices(*card, *host, name);
  // Of index, torch has uploaded indices and counted masks before it comes here.
  if (name == "_index_put_impl_") check_index_put(arguments);
}

// Keep what a call that is being recorded is about to write to.
void keep_written(const c10::OperatorHandle& op, at::ArrayRef<IValue> arguments) {
  // Its schema does not say that it writes running averages.
  const bool hidden = base_name(op) == "native_batch_norm";
  std::lock_guard<std::mutex> lock(taping);
  for (size_t i = 0; i < arguments.size(); ++i) {
    const auto* alias = op.schema().arguments()[i].alias_info();
    if (!hidden && (alias == nullptr || !alias->isWrite())) continue;
    each_tensor(arguments[i], [](const Tensor& t) {
      if (before.count(t.storage().unsafeGetStorageImpl()) > 0) return;
      const auto* data = static_cast<const char*>(t.storage().data());
      before.emplace(t.storage().unsafeGetStorageImpl(),
                     Before{t.storage(), {data, data + t.storage().nbytes()}});
    });
  }
}

void record(const c10::OperatorHandle& op, std::vector<IValue> arguments,
            at::ArrayRef<IValue> results) {
  std::lock_guard<std::mutex> lock(taping);
  tape.push_back({op, std::move(arguments), results.vec()});
}

void replay(const Recorded& recorded) {
  Call call;
  torch::jit::Stack stack = recorded.arguments;
  for (IValue& value : stack) {
    if (value.isDevice()) value = Device(DeviceType::CPU);
    value = with_tensors(value,
                         [&](const Tensor& t) { return t.is_cuda() ? call.to_host(t) : t; });
  }
  recorded.op.redispatchBoxed(c10::DispatchKeySet(DispatchKey::CPU), &stack);
  std::vector<Tensor> made, wanted;
  for (const IValue& value : stack) each_tensor(value, [&](const Tensor& t) { made.push_back(t); });
  for (const IValue& value : recorded.results) {
    each_tensor(value, [&](const Tensor& t) { wanted.push_back(call.to_host(t)); });
  }
  for (size_t i = 0; i < made.size(); ++i) {
    if (!made[i].is_same(wanted[i])) wanted[i].copy_(made[i]);
  }
}

void run_on_card(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  const std::string name = base_name(op);
  const size_t count = op.schema().arguments().size();
  auto arguments = torch::jit::last(*stack, count);
  check_devices(name, arguments);
  const bool kernel = !is_view(op) && kNoKernel.count(name) == 0;
  std::vector<IValue> recorded;
  if (recording && kernel) {
    recorded = arguments.vec();
    keep_written(op, arguments);
  }
  Call call;
  std::optional<Device> target;
  for (size_t i = 0; i < count; ++i) {
    IValue& value = (*stack)[stack->size() - count + i];
    each_tensor(value, [&](const Tensor& t) {
      if (t.is_cuda() && !target.has_value()) target = t.device();
    });
  }
  bool stays_on_host = false;
  for (size_t i = 0; i < count; ++i) {
    IValue& value = (*stack)[stack->size() - count + i];
    if (value.isGenerator()) {
      TORCH_CHECK(value.toGenerator().device().is_cuda(),
                  "Expected a 'cuda' device type for generator but found 'cpu'");
    } else if (value.isStorage()) {
      if (value.toStorage().device().is_cuda()) value = call.shared(value.toStorage());
    } else if (value.isDevice()) {
      const Device wanted = value.toDevice();
      stays_on_host = wanted.is_cpu();
      if (wanted.is_cuda()) {
        target = Device(DeviceType::CUDA, wanted.has_index() ? wanted.index() : current_card);
        value = Device(DeviceType::CPU);
      }
    } else {
      value = with_tensors(
          value, [&](const Tensor& t) { return t.is_cuda() ? call.to_host(t) : t; });
    }
  }
  const DeviceIndex card = target.has_value() ? target->index() : current_card;
  TORCH_CHECK(card < kCards, "CUDA error: invalid device ordinal");
  const auto waits = kWaits.find(name);
  if (waits != kWaits.end()) synchronisation(waits->second);
  if (name == "repeat_interleave" && torch::jit::last(*stack, 1)[0].isNone()) {
    synchronisation("repeat_interleave");
  }
  try {
    op.redispatchBoxed(c10::DispatchKeySet(DispatchKey::CPU), stack);
  } catch (const c10::Error& error) {
    const bool memory = std::string(error.what()).find("allocate memory") != std::string::npos;
    TORCH_CHECK_WITH(OutOfMemoryError, !memory, "CUDA out of memory: ", error.what());
    throw;
  }
  call.follow(card);
  int64_t elements = op.schema().returns().empty() ? 1 : 0;
  for (size_t i = 0; i < op.schema().returns().size(); ++i) {
    IValue& value = (*stack)[stack->size() - 1 - i];
    if (!value.isTensor() && !value.isTensorList()) ++elements;
    each_tensor(value, [&](const Tensor& t) { elements += t.numel(); });
    if (stays_on_host) continue;
    value = with_tensors(value, [&](const Tensor& t) { return call.to_card(t, card); });
  }
  if (elements > 0 && kernel) launch(card, name);
  if (!recorded.empty()) {
    record(op, std::move(recorded), torch::jit::last(*stack, op.schema().returns().size()));
  }
}

// Between the processor and a card, and between cards.
void copy_between(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  if (recording) {
    const auto arguments = torch::jit::last(*stack, 3);
    keep_written(op, arguments);
    record(op, arguments.vec(), torch::jit::last(*stack, 3).slice(0, 1));
  }
  const bool non_blocking = torch::jit::pop(*stack).toBool();
  const Tensor source = torch::jit::pop(*stack).toTensor();
  const Tensor target = torch::jit::pop(*stack).toTensor();
  Call call;
  const Tensor from = source.is_cuda() ? call.to_host(source) : source;
  const Tensor to = target.is_cuda() ? call.to_host(target) : target;
  if (target.numel() > 0 || source.numel() > 0) {
    if (source.is_cuda() && target.is_cuda()) {
      launch(target.device().index(), "copy_");
    } else if (target.is_cuda()) {
      if (!non_blocking) synchronisation("upload");
    } else if (!non_blocking || !is_pinned(target.storage().data())) {
      synchronisation("download");
    }
  }
  static const auto copy = c10::Dispatcher::singleton().findSchemaOrThrow("aten::copy_", "");
  torch::jit::Stack inner{to, from, false};
  copy.redispatchBoxed(c10::DispatchKeySet(DispatchKey::CPU), &inner);
  torch::jit::push(*stack, target);
}

TORCH_LIBRARY_IMPL(_, CUDA, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_card>());
}

// Torch has one implementation of these for devices without their own, in many small kernels;
// CUDA has its own.
TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("copy_", torch::CppFunction::makeFromBoxedFunction<&copy_between>());
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    const std::string base = name.name.substr(name.name.find("::") + 2);
    const bool whole = base == "convolution" || base == "convolution_backward";
    if (name.name.rfind("aten::", 0) != 0 || !name.overload_name.empty() && whole) continue;
    if (!whole && base.rfind("_foreach_", 0) != 0) continue;
    const auto found = c10::Dispatcher::singleton().findSchema(name);
    if (!found.has_value() || name.overload_name.find("out") != std::string::npos) continue;
    const std::string full =
        name.overload_name.empty() ? base : base + "." + name.overload_name;
    library.impl(full.c_str(), torch::CppFunction::makeFromBoxedFunction<&run_on_card>());
  }
}

// ---- what torch asks a device for --------------------------------------------------------------

struct Guard final : c10::impl::NoOpDeviceGuardImpl<DeviceType::CUDA> {
  Device exchangeDevice(Device device) const override {
    const DeviceIndex before = current_card;
    if (device.has_index()) current_card = device.index();
    return Device(DeviceType::CUDA, before);
  }
  Device getDevice() const override { return Device(DeviceType::CUDA, current_card); }
  void setDevice(Device device) const override { uncheckedSetDevice(device); }
  void uncheckedSetDevice(Device device) const noexcept override {
    if (device.has_index()) current_card = device.index();
  }
  c10::Stream getStream(Device device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, Device(DeviceType::CUDA, device.index()));
  }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return stream; }
  DeviceIndex deviceCount() const noexcept override { return kCards; }
  void record(void**, const c10::Stream&, const DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const DeviceIndex) const noexcept override {}
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
};
c10::impl::DeviceGuardImplRegistrar guard_registrar(DeviceType::CUDA, new Guard());

struct Hooks : at::CUDAHooksInterface {
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return kCards; }
  DeviceIndex getCurrentDevice() const override { return current_card; }
  bool isPinnedPtr(const void* data) const override { return is_pinned(data); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_allocator; }
};

}  // namespace

namespace at {
struct PretendedHooks : Hooks {
  PretendedHooks(CUDAHooksArgs) {}
};
C10_REGISTER_CLASS(CUDAHooksRegistry, CUDAHooks, PretendedHooks)
}  // namespace at

// ---- for Python --------------------------------------------------------------------------------

extern "C" {

void pretended_start(int64_t bytes) {
  c10::SetAllocator(DeviceType::CUDA, &card_allocator, 1);
  for (DeviceIndex card = 0; card < kCards; ++card) capacity[card] = bytes;
}

void pretended_observe(void (*synchronised)(const char*), void (*launched)(const char*)) {
  tell_synchronisation = synchronised;
  tell_launch = launched;
}

void pretended_forget_counts() {
  std::lock_guard<std::mutex> lock(counting);
  for (auto& of_card : launches) of_card.clear();
}

// Lines of card, operation, launches. Valid until the next call.
const char* pretended_counts() {
  static std::string text;
  std::ostringstream lines;
  std::lock_guard<std::mutex> lock(counting);
  for (DeviceIndex card = 0; card < kCards; ++card) {
    for (const auto& [name, count] : launches[card]) {
      lines << static_cast<int>(card) << ' ' << name << ' ' << count << '\n';
    }
  }
  text = lines.str();
  return text.c_str();
}

void pretended_begin_recording() {
  tape.clear();
  before.clear();
  recording = true;
}

// Nothing that was recorded has been done: what it wrote is as it was.
void pretended_end_recording(int graph) {
  recording = false;
  for (auto& [storage, kept] : before) {
    std::copy(kept.bytes.begin(), kept.bytes.end(), static_cast<char*>(storage->mutable_data()));
  }
  before.clear();
  graphs[graph] = std::move(tape);
  tape.clear();
}

void pretended_replay(int graph) {
  at::AutoDispatchBelowADInplaceOrView below;
  for (const Recorded& recorded : graphs[graph]) replay(recorded);
  launch(current_card, "graph");
}

void pretended_drop_graph(int graph) { graphs.erase(graph); }
int pretended_is_recording() { return recording; }

void pretended_set_capacity(int card, int64_t bytes) { capacity[card] = bytes; }
int64_t pretended_capacity(int card) { return capacity[card]; }
int64_t pretended_live(int card) { return live[card]; }
int64_t pretended_peak(int card) { return peak[card]; }
void pretended_forget_peak(int card) { peak[card] = live[card].load(); }
int pretended_current() { return current_card; }
void pretended_set_current(int card) { current_card = static_cast<DeviceIndex>(card); }
}
