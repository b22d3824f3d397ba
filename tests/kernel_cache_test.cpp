// The cache of object code: what comes back, what is refused, and that damage is noticed.
#include "tessera/backend/kernel_cache.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tessera/backend/cpu/jit.hpp"

namespace tessera::cpu {
namespace {

class CacheTest : public ::testing::Test {
 protected:
  CacheTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tessera-cache-XXXXXX").string();
    folder = mkdtemp(pattern.data());
  }
  ~CacheTest() override { std::filesystem::remove_all(folder); }

  static std::string text(const std::optional<std::vector<char>>& bytes) {
    return bytes ? std::string(bytes->begin(), bytes->end()) : "nothing";
  }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
  }

  std::string folder;
};

TEST_F(CacheTest, GivesBackWhatWasSaved) {
  const KernelCache cache(folder);
  ASSERT_TRUE(cache.usable());
  EXPECT_EQ(text(cache.load("k")), "nothing");
  cache.save("k", "code of k");
  EXPECT_EQ(text(cache.load("k")), "code of k");
  EXPECT_EQ(text(KernelCache(folder).load("k")), "code of k");
  EXPECT_EQ(text(cache.load("other")), "nothing");
  EXPECT_EQ(files(), 1U);
}

TEST_F(CacheTest, NoticesEveryDamagedByteAndCut) {
  const KernelCache cache(folder);
  cache.save("k", "some code");
  std::string whole;
  {
    std::ifstream in(folder + "/k.o", std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  const auto put = [&](const std::string& bytes) {
    std::ofstream(folder + "/k.o", std::ios::binary | std::ios::trunc) << bytes;
  };
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 4);
    put(damaged);
    EXPECT_EQ(text(cache.load("k")), "nothing") << "byte " << i;
    put(whole.substr(0, i));
    EXPECT_EQ(text(cache.load("k")), "nothing") << "cut to " << i;
  }
  cache.save("k", "some code");  // and is written again
  EXPECT_EQ(text(cache.load("k")), "some code");
}

TEST_F(CacheTest, RefusesFoldersThatOthersMayEnter) {
  ::chmod(folder.c_str(), 0750);
  EXPECT_FALSE(KernelCache(folder).usable());
  ::chmod(folder.c_str(), 0700);
  EXPECT_TRUE(KernelCache(folder).usable());
  std::ofstream(folder + "/file") << "x";
  EXPECT_FALSE(KernelCache(folder + "/file").usable());
}

TEST_F(CacheTest, CreatesItsFolderPrivate) {
  const std::string inner = folder + "/a/b";
  ASSERT_TRUE(KernelCache(inner).usable());
  struct stat status{};
  ASSERT_EQ(::stat(inner.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
}

TEST_F(CacheTest, WritersAtOnceLeaveACompleteEntry) {
  const std::string big(100000, 'x');
  std::vector<std::thread> writers;
  for (int t = 0; t < 4; ++t)
    writers.emplace_back([&] {
      const KernelCache cache(folder);
      for (int i = 0; i < 20; ++i) {
        cache.save("k", big);
        EXPECT_EQ(text(cache.load("k")), big);
      }
    });
  for (std::thread& w : writers) w.join();
  EXPECT_EQ(files(), 1U);
}

TEST_F(CacheTest, ForgetsWhatWasNotUsedForLongest) {
  constexpr int kEntries = 64;
  const std::string code(1000, 'x');
  const KernelCache cache(folder, 20 * code.size());
  const std::string dead = hash_text("dead") + ".o.123.4";  // of a process that was killed
  std::ofstream(folder + "/" + dead) << code;
  std::ofstream(folder + "/main.o") << std::string(100000, 'x');  // somebody else's
  const auto age = [&](const std::string& file, int hours) {
    std::filesystem::last_write_time(folder + "/" + file,
                                     std::filesystem::file_time_type::clock::now() - std::chrono::hours(hours));
  };
  age(dead, 100);
  age("main.o", 200);
  const auto name = [](int i) { return hash_text(std::to_string(i)); };
  for (int i = 0; i < kEntries; ++i) {
    cache.save(name(i), code);
    if (std::filesystem::exists(folder + "/" + name(i) + ".o")) age(name(i) + ".o", kEntries - i);
    EXPECT_EQ(text(cache.load(name(0))), code) << "used all the time, after " << i;
  }
  const std::size_t most = 20 + KernelCache::kWritesPerLook;
  EXPECT_LE(files(), most + 1);
  EXPECT_GE(files(), 15U);
  EXPECT_TRUE(std::filesystem::exists(folder + "/main.o"));
  EXPECT_FALSE(std::filesystem::exists(folder + "/" + dead));
  EXPECT_EQ(text(cache.load(name(1))), "nothing");
  EXPECT_EQ(text(cache.load(name(kEntries - 1))), code);
}

TEST_F(CacheTest, WritersAtOnceForgetTogether) {
  const std::string code(1000, 'x');
  std::vector<std::thread> writers;
  for (int t = 0; t < 4; ++t)
    writers.emplace_back([&, t] {
      const KernelCache cache(folder, 4 * code.size());
      for (int i = 0; i < 200; ++i) {
        const std::string key = hash_text(std::to_string(t) + " " + std::to_string(i));
        cache.save(key, code);
        const std::string got = text(cache.load(key));
        EXPECT_TRUE(got == code || got == "nothing") << got;
      }
    });
  for (std::thread& w : writers) w.join();
  EXPECT_LE(files(), 4 + 4 * KernelCache::kWritesPerLook);
}

kernel::Kernel doubling(std::int64_t n) {
  kernel::Kernel k;
  k.name = "doubling";
  kernel::Builder b(k);
  const auto x = b.argument("x", DType::F32, n, false);
  const auto out = b.argument("out", DType::F32, n, true);
  const kernel::Expr j = b.open(kernel::LoopKind::Vector, "j", n);
  b.store(out, j, b.add(b.load(x, j), b.load(x, j)));
  b.close();
  return k;
}

TEST_F(CacheTest, CompiledKernelsSurviveADamagedEntry) {
  ::setenv("TESSERA_CACHE", folder.c_str(), 1);
  const kernel::Kernel k = doubling(37);
  const kernel::Kernel* kernels[] = {&k, &k};
  const auto check = [&] {
    const auto functions = compile_kernels(kernels);
    std::vector<float> x(37, 1.5F);
    std::vector<float> out(37);
    void* arguments[] = {x.data(), out.data()};
    functions[1].run(arguments, 0, 1);
    EXPECT_EQ(out, std::vector<float>(37, 3.0F));
  };
  check();
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    std::ofstream(entry.path(), std::ios::app) << "more";
  check();
  check();
  ::unsetenv("TESSERA_CACHE");
}

}  // namespace
}  // namespace tessera::cpu
