#include "api/client.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <map>
#include <random>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "api/client_budget.h"
#include "api/client_connection.h"
#include "api/client_door.h"
#include "api/client_requests.h"
#include "base/bytes.h"
#include "base/random.h"

namespace paxledger {
namespace {

constexpr int64_t kTickUs = 5'000;
constexpr int64_t kIdleUsMax = 20'000'000;  // an older connection may be closed by the server at any moment
constexpr int64_t kPauseUsMin = 10'000;
constexpr int64_t kPauseUsMax = 1'000'000;
constexpr absl::Duration kServerDeadlineDefault = absl::Seconds(5);

int64_t NowMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// `"retryable": true` of a problem document. A scan is enough: the field is a bool of the contract, and a
/// wrong guess only means one more attempt of a request that may be repeated.
bool SaysRetryable(std::string_view body) {
  const size_t at = body.find("\"retryable\"");
  if (at == std::string_view::npos) return false;
  const size_t value = body.find_first_not_of(": \t\r\n", at + 11);
  return value != std::string_view::npos && body.substr(value, 4) == "true";
}

}  // namespace

/// A request on its way through its attempts. Where a door falls silent it goes on through another, while the first may
/// still answer: so one call may be in several places (queues, connections, `later_`), and the first final answer counts.
struct ClientCall {
  ClientRequest request;
  absl::AnyInvocable<void(ClientAnswer)> done;
  int64_t deadline_us = 0;
  size_t endpoint = 0;  // of the next attempt, or the last one
  uint32_t attempts = 0;
  uint32_t places = 1;
  bool over = false;
  bool may_have_had_effect = false;
  std::string location;  // of a 202: to be read before the request is sent again
  std::string trouble;   // what went wrong last
};

ClientConnection::~ClientConnection() = default;

/// Owns:  everything of the client.
class Client::Pool : public ClientConnection::Owner {
 public:
  explicit Pool(ClientOptions options)
      : options_(std::move(options)),
        budget_(options_.retries_burst, options_.retries_per_second, options_.retries_per_answer),
        random_(std::random_device{}()) {}

  ~Pool() override {
    for (auto& endpoint : endpoints_) {
      for (auto& connection : endpoint->connections) connection->Close();
    }
  }

  absl::Status Start();
  void Send(ClientRequest request, absl::AnyInvocable<void(ClientAnswer)> done);
  void After(absl::Duration delay, absl::AnyInvocable<void()> then);
  void Run() {
    io_.restart();
    io_.run();
  }
  void Stop() { io_.stop(); }

  void OnReady(ClientConnection& connection) override;
  void OnResponse(ClientConnection& connection, ClientResponse response) override;
  void OnLost(ClientConnection& connection, std::string reason) override;

  size_t endpoints() const { return endpoints_.size(); }
  const std::string& endpoint(size_t i) const { return endpoints_[i]->address.url; }
  const ClientCounters& counters() const { return counters_; }

 private:
  using CallPtr = std::shared_ptr<ClientCall>;
  struct Endpoint {
    ClientEndpointAddress address;
    std::string header;  // the fields that are the same in every request
    std::deque<CallPtr> queue;
    std::vector<std::shared_ptr<ClientConnection>> connections;
    std::vector<ClientConnection*> idle;  // the last one used last
    size_t opening = 0;
    CallPtr probe;  // under way; null: none
    DoorWatch watch;
  };

  void Dispatch(CallPtr call);
  void Pump(size_t index);
  void Open(size_t index);
  void Begin(ClientConnection& connection, CallPtr call);
  std::string Write(const Endpoint& endpoint, const ClientCall& call) const;
  void Judge(CallPtr call, const ClientConnection& from, ClientResponse response);
  void TryAgain(CallPtr call, int64_t pause_us);
  void Resume(CallPtr call, int64_t pause_us);
  void TakeDown(size_t index, const std::string& reason);
  void MoveExchanges(size_t index, const std::string& reason);
  void GiveUp(CallPtr call);
  void Finish(CallPtr call, ClientAnswer answer);
  int64_t Pause(const ClientCall& call);
  void ArmTick();
  void Tick();
  void ExpireConnections(int64_t now_us);
  void Probe(size_t index, int64_t now_us);
  void ProbeEnded(size_t index, const ClientAnswer& answer);
  size_t Nth(size_t wished, size_t offset, size_t k) const;
  size_t Other(size_t than) { return endpoints_.size() == 1 ? than : Nth(than, turn_++, 1); }
  std::optional<size_t> UpEndpoint(size_t wished, int64_t now_us);

  const ClientOptions options_;
  boost::asio::io_context io_{1};
  boost::asio::ssl::context tls_{boost::asio::ssl::context::tls_client};
  boost::asio::steady_timer tick_{io_};
  RetryBudget budget_;
  Random random_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::multimap<int64_t, CallPtr> later_;  // by the time of their next attempt
  ClientCounters counters_;
  size_t turn_ = 0;
};

absl::Status Client::Pool::Start() {
  boost::system::error_code error;
  tls_.load_verify_file(options_.ca_file, error);
  if (error) {
    return absl::InvalidArgumentError(absl::StrCat("CA file '", options_.ca_file, "': ", error.message()));
  }
  tls_.set_verify_mode(boost::asio::ssl::verify_peer, error);
  SSL_CTX* context = tls_.native_handle();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
  SSL_CTX_sess_set_new_cb(context, &KeepSession);
  for (const std::string& url : options_.endpoints) {
    absl::StatusOr<ClientEndpointAddress> address = ParseEndpoint(url);
    if (!address.ok()) return address.status();
    auto endpoint = std::make_unique<Endpoint>();
    endpoint->header = absl::StrCat("Host: ", address->host, ":", address->port, "\r\n");
    if (!options_.api_key.empty()) {
      absl::StrAppend(&endpoint->header, "Authorization: Bearer ", options_.api_key, "\r\n");
    }
    endpoint->address = *std::move(address);
    endpoints_.push_back(std::move(endpoint));
  }
  if (endpoints_.empty()) return absl::InvalidArgumentError("no endpoint given");
  ArmTick();
  return absl::OkStatus();
}

void Client::Pool::Send(ClientRequest request, absl::AnyInvocable<void(ClientAnswer)> done) {
  auto call = std::make_shared<ClientCall>();
  call->deadline_us = NowMicros() + absl::ToInt64Microseconds(request.timeout);
  call->endpoint = request.only.value_or(request.prefer.value_or(turn_++)) % endpoints_.size();
  call->request = std::move(request);
  call->done = std::move(done);
  boost::asio::post(io_, [this, call = std::move(call)]() mutable { Dispatch(std::move(call)); });
}

void Client::Pool::After(absl::Duration delay, absl::AnyInvocable<void()> then) {
  auto timer = std::make_unique<boost::asio::steady_timer>(io_, absl::ToChronoMicroseconds(delay));
  boost::asio::steady_timer& armed = *timer;
  armed.async_wait(
      [timer = std::move(timer), then = std::move(then)](boost::system::error_code error) mutable {
        if (!error) then();
      });
}

/// The `k`th to try, of all: the one wished for, then the others from anywhere, so that they share what one leaves behind.
size_t Client::Pool::Nth(size_t wished, size_t offset, size_t k) const {
  const size_t others = endpoints_.size() - 1;
  return k == 0 ? wished : (wished + 1 + (offset + k - 1) % others) % endpoints_.size();
}

/// One in use, the one wished for if it is; one that came back a moment ago gets its share only slowly. Where none is in
/// use, one that is worth trying.
std::optional<size_t> Client::Pool::UpEndpoint(size_t wished, int64_t now_us) {
  std::optional<size_t> back;
  std::optional<size_t> rested;
  const size_t offset = turn_++;
  for (size_t k = 0; k < endpoints_.size(); ++k) {
    const size_t index = Nth(wished, offset, k);
    const DoorWatch& watch = endpoints_[index]->watch;
    if (watch.up()) {
      if (random_.Between(0, 999) < watch.SharePerThousand(now_us)) return index;
      if (!back.has_value()) back = index;
    } else if (!rested.has_value() && watch.Rested(now_us)) {
      rested = index;
    }
  }
  return back.has_value() ? back : rested;
}

/// Asks a door whether it serves: one in use that has been silent for long, or one out of use.
void Client::Pool::Probe(size_t index, int64_t now_us) {
  Endpoint& endpoint = *endpoints_[index];
  auto call = std::make_shared<ClientCall>();
  call->request.target = "/readyz";
  call->request.only = index;
  call->endpoint = index;
  // Who is silent is given up soon, since others can answer; who is out of use may take its time to come back.
  const int64_t patience_us = endpoint.watch.up() ? endpoint.watch.patience_us() : DoorWatch::kPatienceMaxUs;
  call->deadline_us = now_us + patience_us;
  call->done = [this, index](const ClientAnswer& answer) { ProbeEnded(index, answer); };
  endpoint.probe = call;
  endpoint.watch.ProbeSent();
  endpoint.queue.push_front(std::move(call));
  Pump(index);
}

void Client::Pool::ProbeEnded(size_t index, const ClientAnswer& answer) {
  Endpoint& endpoint = *endpoints_[index];
  endpoint.probe = nullptr;
  if (answer.failure.ok() && answer.http_status == 200) {
    endpoint.watch.ProbeAnswered(NowMicros());
    return;
  }
  if (answer.failure.ok()) return endpoint.watch.Refused(NowMicros());  // what it took on it may still answer
  const std::string reason = "no sign of life";
  TakeDown(index, reason);
  MoveExchanges(index, reason);
}

void Client::Pool::Dispatch(CallPtr call) {
  if (call->over) return;
  if (!call->request.only.has_value()) {
    const int64_t now_us = NowMicros();
    const std::optional<size_t> up = UpEndpoint(call->endpoint, now_us);
    if (!up.has_value()) return Resume(std::move(call), DoorWatch::kDownUsMin);
    if (*up != call->endpoint) ++counters_.failovers;
    call->endpoint = *up;
  }
  const size_t index = call->endpoint;
  endpoints_[index]->queue.push_back(std::move(call));
  Pump(index);
}

void Client::Pool::Pump(size_t index) {
  Endpoint& endpoint = *endpoints_[index];
  while (!endpoint.queue.empty()) {
    if (endpoint.queue.front()->over) {
      endpoint.queue.pop_front();
      continue;
    }
    const bool probes = endpoint.queue.front() == endpoint.probe;  // not to be held up by a full pool
    if (!endpoint.idle.empty()) {
      ClientConnection* connection = endpoint.idle.back();
      endpoint.idle.pop_back();
      if (NowMicros() - connection->idle_since_us > kIdleUsMax) {
        connection->Close();
        std::erase_if(endpoint.connections, [&](const auto& c) { return c.get() == connection; });
        continue;
      }
      CallPtr call = std::move(endpoint.queue.front());
      endpoint.queue.pop_front();
      Begin(*connection, std::move(call));
    } else if ((probes || endpoint.connections.size() < options_.connections_per_endpoint_max) &&
               endpoint.opening < endpoint.queue.size()) {
      Open(index);
    } else {
      return;
    }
  }
}

void Client::Pool::Open(size_t index) {
  Endpoint& endpoint = *endpoints_[index];
  auto connection = std::make_shared<ClientConnection>(io_, tls_, endpoint.address, *this, index);
  SSL_set_ex_data(connection->ssl(), SessionSlot(), &endpoint.address);
  connection->expires_us = NowMicros() + absl::ToInt64Microseconds(options_.connect_timeout);
  endpoint.connections.push_back(connection);
  ++endpoint.opening;
  ++counters_.connections;
  connection->Open();
}

void Client::Pool::Begin(ClientConnection& connection, CallPtr call) {
  const ClientRequest& request = call->request;
  const int64_t now_us = NowMicros();
  connection.began_us = now_us;
  connection.reads_location = !call->location.empty();
  endpoints_[connection.endpoint]->watch.Sent(now_us);
  connection.expires_us = std::min(
      call->deadline_us, now_us + absl::ToInt64Microseconds(request.server_deadline + options_.answer_grace));
  ++call->attempts;
  std::string bytes = Write(*endpoints_[connection.endpoint], *call);
  connection.call = std::move(call);
  connection.Exchange(std::move(bytes));
}

std::string Client::Pool::Write(const Endpoint& endpoint, const ClientCall& call) const {
  const ClientRequest& request = call.request;
  const bool reads_location = !call.location.empty();
  const bool sends = request.method != HttpMethod::kGet && !reads_location;
  const char* method = !sends ? "GET " : request.method == HttpMethod::kPut ? "PUT " : "POST ";
  const std::string& target = reads_location ? call.location : request.target;
  std::string out;
  out.reserve(endpoint.header.size() + target.size() + request.body.size() + 160);
  absl::StrAppend(&out, method, target, " HTTP/1.1\r\n", endpoint.header);
  if (request.server_deadline != kServerDeadlineDefault) {
    absl::StrAppend(&out, "Request-Timeout-Ms: ", absl::ToInt64Milliseconds(request.server_deadline), "\r\n");
  }
  if (sends) {
    absl::StrAppend(&out, "Content-Type: application/json\r\nContent-Length: ", request.body.size(),
                    "\r\n\r\n", request.body);
  } else {
    out += "\r\n";
  }
  return out;
}

void Client::Pool::OnReady(ClientConnection& connection) {
  Endpoint& endpoint = *endpoints_[connection.endpoint];
  --endpoint.opening;
  connection.idle_since_us = NowMicros();
  connection.expires_us = INT64_MAX;
  endpoint.idle.push_back(&connection);
  Pump(connection.endpoint);
}

void Client::Pool::OnResponse(ClientConnection& connection, ClientResponse response) {
  Endpoint& endpoint = *endpoints_[connection.endpoint];
  CallPtr call = std::move(connection.call);
  connection.expires_us = INT64_MAX;
  if (response.keep_alive) {
    connection.idle_since_us = NowMicros();
    endpoint.idle.push_back(&connection);
  } else {
    connection.Close();
    std::erase_if(endpoint.connections, [&](const auto& c) { return c.get() == &connection; });
  }
  const size_t index = connection.endpoint;
  endpoint.watch.Answered(connection.began_us, NowMicros());
  if (call != endpoint.probe) {
    ++counters_.answers;
    budget_.OnAnswer();
  }
  if (!call->over) Judge(std::move(call), connection, std::move(response));
  Pump(index);
}

void Client::Pool::Judge(CallPtr call, const ClientConnection& from, ClientResponse response) {
  const bool may_repeat = call->request.repeat == Repeat::kSafe && !call->request.only.has_value();
  if (from.reads_location) {
    // Whatever the Location said, the request itself gets the answer of record under its id.
    if (call->places == 1) call->location.clear();
    return TryAgain(std::move(call), Pause(*call));
  }
  if (response.status == 202 && may_repeat) {
    call->may_have_had_effect = true;
    call->trouble = "outcome unknown (202)";
    if (call->places == 1) call->location = std::move(response.location);
    return TryAgain(std::move(call), Pause(*call));
  }
  const bool nothing_happened =
      response.status == 429 || (response.status == 503 && SaysRetryable(response.body));
  if (nothing_happened && !call->request.only.has_value()) {
    int seconds = 0;
    int64_t pause_us = Pause(*call);
    if (absl::SimpleAtoi(response.retry_after, &seconds) && seconds > 0 && endpoints_.size() == 1) {
      pause_us = std::max(pause_us, int64_t{seconds} * 1'000'000);  // with others to ask, ask those
    }
    call->trouble = DescribeProblem(response.status, response.body);
    call->endpoint = Other(from.endpoint);
    ++counters_.failovers;
    // It may have lost its majority: then the others need not be refused there one by one.
    if (response.status == 503) endpoints_[from.endpoint]->watch.Doubt();
    return TryAgain(std::move(call), pause_us);
  }
  ClientAnswer answer;
  answer.http_status = response.status;
  answer.body = std::move(response.body);
  answer.replayed = response.replayed;
  answer.endpoint = from.endpoint;
  Finish(std::move(call), std::move(answer));
}

void Client::Pool::OnLost(ClientConnection& connection, std::string reason) {
  Endpoint& endpoint = *endpoints_[connection.endpoint];
  const size_t index = connection.endpoint;
  const bool was_ready = connection.ready();
  CallPtr call = std::move(connection.call);
  std::erase(endpoint.idle, &connection);
  std::erase_if(endpoint.connections, [&](const auto& c) { return c.get() == &connection; });
  if (!was_ready) {
    --endpoint.opening;
    return TakeDown(index, reason);
  }
  if (call != nullptr) endpoint.watch.Lost();
  if (call != nullptr && !call->over) {
    call->trouble = absl::StrCat(endpoint.address.url, ": ", reason);
    call->may_have_had_effect = true;
    if (call->request.repeat == Repeat::kNever || call->request.only.has_value()) {
      GiveUp(std::move(call));
    } else {
      call->endpoint = Other(index);
      ++counters_.failovers;
      TryAgain(std::move(call), 0);
    }
  }
  Pump(index);
}

/// Nothing of the queued calls was sent, so all may go elsewhere at once.
void Client::Pool::TakeDown(size_t index, const std::string& reason) {
  Endpoint& endpoint = *endpoints_[index];
  endpoint.watch.Failed(NowMicros());
  if (endpoint.probe != nullptr) endpoint.probe->over = true;
  endpoint.probe = nullptr;
  std::deque<CallPtr> queue = std::move(endpoint.queue);
  endpoint.queue.clear();
  for (CallPtr& call : queue) {
    if (call->over) continue;
    call->trouble = absl::StrCat(endpoint.address.url, ": ", reason);
    if (call->request.only.has_value()) {
      GiveUp(std::move(call));
    } else {
      Dispatch(std::move(call));
    }
  }
}

/// What a silent door was asked is asked of another under the same id; the first answer counts, if it answers after all.
void Client::Pool::MoveExchanges(size_t index, const std::string& reason) {
  std::vector<CallPtr> moving;
  for (const auto& connection : endpoints_[index]->connections) {
    const CallPtr& call = connection->call;
    if (call == nullptr || call->over || call->places > 1) continue;
    if (call->request.repeat == Repeat::kNever || call->request.only.has_value()) continue;
    moving.push_back(call);
  }
  for (CallPtr& call : moving) {
    call->trouble = absl::StrCat(endpoints_[index]->address.url, ": ", reason);
    call->may_have_had_effect = true;
    call->endpoint = Other(index);
    ++call->places;
    ++counters_.failovers;
    Resume(std::move(call), 0);
  }
}

int64_t Client::Pool::Pause(const ClientCall& call) {
  const int64_t longest = std::min(kPauseUsMin << std::min(call.attempts, 8U), kPauseUsMax);
  return random_.Between(longest / 2, longest);
}

/// Another attempt, unless one is under way in another place.
void Client::Pool::TryAgain(CallPtr call, int64_t pause_us) {
  if (call->over) return;
  if (call->places > 1) {
    --call->places;
    return;
  }
  Resume(std::move(call), pause_us);
}

void Client::Pool::Resume(CallPtr call, int64_t pause_us) {
  const int64_t now_us = NowMicros();
  if (call->attempts > 0) {
    ++counters_.retries;
    pause_us = std::max(pause_us, budget_.Take(now_us));
  }
  if (now_us + pause_us >= call->deadline_us) return GiveUp(std::move(call));
  if (pause_us == 0) return Dispatch(std::move(call));
  later_.emplace(now_us + pause_us, std::move(call));
}

/// In this place; elsewhere it may still be answered.
void Client::Pool::GiveUp(CallPtr call) {
  if (call->over || --call->places > 0) return;
  ClientAnswer answer;
  const std::string reason = call->trouble.empty() ? "no connection in time" : call->trouble;
  answer.failure =
      call->may_have_had_effect ? absl::DeadlineExceededError(reason) : absl::UnavailableError(reason);
  answer.endpoint = call->endpoint;
  Finish(std::move(call), std::move(answer));
}

void Client::Pool::Finish(CallPtr call, ClientAnswer answer) {
  answer.attempts = call->attempts;
  call->over = true;
  absl::AnyInvocable<void(ClientAnswer)> done = std::move(call->done);
  call.reset();
  done(std::move(answer));
}

void Client::Pool::ArmTick() {
  tick_.expires_after(std::chrono::microseconds(kTickUs));
  tick_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    Tick();
    ArmTick();
  });
}

void Client::Pool::Tick() {
  const int64_t now_us = NowMicros();
  ExpireConnections(now_us);
  for (size_t index = 0; index < endpoints_.size(); ++index) {
    if (endpoints_[index]->watch.WantsProbe(now_us)) Probe(index, now_us);
  }
  std::vector<CallPtr> late;
  for (auto& endpoint : endpoints_) {
    for (CallPtr& call : endpoint->queue) {
      if (call->deadline_us <= now_us) late.push_back(std::move(call));
    }
    std::erase_if(endpoint->queue, [](const CallPtr& call) { return call == nullptr; });
  }
  for (CallPtr& call : late) GiveUp(std::move(call));
  while (!later_.empty() && later_.begin()->first <= now_us) {
    CallPtr call = std::move(later_.begin()->second);
    later_.erase(later_.begin());
    Dispatch(std::move(call));
  }
}

void Client::Pool::ExpireConnections(int64_t now_us) {
  for (size_t index = 0; index < endpoints_.size(); ++index) {
    std::vector<std::shared_ptr<ClientConnection>> late;
    for (const auto& connection : endpoints_[index]->connections) {
      if ((!connection->ready() || connection->call != nullptr) && connection->expires_us <= now_us) {
        late.push_back(connection);
      }
    }
    for (const auto& connection : late) {
      const bool was_ready = connection->ready();
      connection->Lose(was_ready ? "no answer in time" : "no connection in time");
      // Let others go elsewhere for a while.
      if (was_ready && endpoints_[index]->watch.up()) TakeDown(index, "no answer in time");
    }
  }
}

Client::Client(std::unique_ptr<Pool> pool) : pool_(std::move(pool)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Create(ClientOptions options) {
  auto pool = std::make_unique<Pool>(std::move(options));
  const absl::Status started = pool->Start();
  if (!started.ok()) return started;
  return std::unique_ptr<Client>(new Client(std::move(pool)));
}

void Client::Send(ClientRequest request, absl::AnyInvocable<void(ClientAnswer)> done) {
  pool_->Send(std::move(request), std::move(done));
}

ClientAnswer Client::Call(ClientRequest request) {
  std::optional<ClientAnswer> answer;
  pool_->Send(std::move(request), [&](ClientAnswer a) {
    answer = std::move(a);
    pool_->Stop();
  });
  while (!answer.has_value()) pool_->Run();
  return *std::move(answer);
}

void Client::After(absl::Duration delay, absl::AnyInvocable<void()> then) {
  pool_->After(delay, std::move(then));
}
void Client::Run() { pool_->Run(); }
void Client::Stop() { pool_->Stop(); }
size_t Client::endpoints() const { return pool_->endpoints(); }
const std::string& Client::endpoint(size_t i) const { return pool_->endpoint(i); }
const ClientCounters& Client::counters() const { return pool_->counters(); }

}  // namespace paxledger
