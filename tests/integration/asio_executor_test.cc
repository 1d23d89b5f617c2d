#include "base/asio_executor.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace paxledger {
namespace {

using Clock = std::chrono::steady_clock;

TEST(AsioExecutor, RunsWhatManyThreadsPostOneAtATimeAndInOrderOfEach) {
  boost::asio::io_context context{1};
  auto guard = boost::asio::make_work_guard(context);
  AsioExecutor executor(context);
  constexpr int kThreads = 4;
  constexpr int kPosts = 5000;
  std::vector<std::vector<int>> ran(kThreads);
  int total = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        executor.Post([&, t, i] {
          ran[t].push_back(i);
          if (++total == kThreads * kPosts) context.stop();
        });
      }
    });
  }
  context.run_for(std::chrono::seconds(30));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(total, kThreads * kPosts);
  for (const std::vector<int>& each : ran) EXPECT_TRUE(std::is_sorted(each.begin(), each.end()));
}

TEST(AsioExecutor, WhatWorkPostsRunsLaterAndNotInside) {
  boost::asio::io_context context{1};
  AsioExecutor executor(context);
  std::string order;
  executor.Post([&] {
    executor.Post([&] { order += "c"; });
    order += "a";
  });
  executor.Post([&] { order += "b"; });
  context.run();
  EXPECT_EQ(order, "abc");
}

TEST(AsioExecutor, TimersFireInOrderNotEarlyAndNotWhenCancelled) {
  boost::asio::io_context context{1};
  AsioExecutor executor(context);
  std::vector<int> fired;
  Clock::time_point begin = Clock::now();
  for (int ms : {120, 5, 60, 30}) {
    executor.After(absl::Milliseconds(ms), [&fired, begin, ms] {
      fired.push_back(ms);
      EXPECT_GE(Clock::now() - begin, std::chrono::milliseconds(ms));
    });
  }
  TimerId cancelled = executor.After(absl::Milliseconds(40), [&] { fired.push_back(-1); });
  executor.Post([&] { executor.Cancel(cancelled); });
  executor.After(absl::Milliseconds(10),
                 [&] { executor.After(absl::ZeroDuration(), [&] { fired.push_back(10); }); });
  context.run();
  EXPECT_THAT(fired, testing::ElementsAre(5, 10, 30, 60, 120));
  EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(1000));
}

TEST(AsioExecutor, DropsWhatWasNotRunWhenItIsDestroyed) {
  boost::asio::io_context context{1};
  auto alive = std::make_shared<int>(0);
  int ran = 0;
  {
    AsioExecutor executor(context);
    executor.Post([alive, &ran] { ++ran; });
    executor.After(absl::ZeroDuration(), [alive, &ran] { ++ran; });
  }
  context.run();
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(alive.use_count(), 1);
}

}  // namespace
}  // namespace paxledger
