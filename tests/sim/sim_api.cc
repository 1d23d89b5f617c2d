#include "tests/sim/sim_api.h"

#include <atomic>
#include <utility>
#include <variant>

#include "api/admission.h"
#include "api/auth.h"
#include "api/handlers.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/task.h"

namespace paxledger::sim {
namespace {

constexpr char kKey[] = "simulated-key";

Authenticator OneKey() {
  absl::StatusOr<Authenticator> authenticator =
      Authenticator::Create({ApiKey{"client", Sha256(kKey), {"*"}}});
  Check(authenticator.ok(), "a key of all scopes is valid");
  return *std::move(authenticator);
}

std::shared_ptr<HandoverQueue> QueueOf(SimExecutor& strand) {
  // The queue needs itself to run; it may be gone when the strand comes to it.
  auto self = std::make_shared<std::weak_ptr<HandoverQueue>>();
  auto queue = std::make_shared<HandoverQueue>([&strand, self] {
    strand.Post([self] {
      if (std::shared_ptr<HandoverQueue> alive = self->lock()) alive->Run();
    });
  });
  *self = queue;
  return queue;
}

}  // namespace

class SimApi::State {
 public:
  State(LedgerService& service, Clock& clock, Metrics& metrics, SimExecutor& strand, std::string data_centre,
        uint64_t seed)
      : clock_(clock),
        authenticator_(OneKey()),
        context_{service,         clock,         metrics, draining_, std::move(data_centre),
                 QueueOf(strand), IdMaker(seed), {}} {}
  ~State() {
    context_.queue->Close();
    tasks_.Abandon();
  }

  void Serve(HttpRequest request, absl::AnyInvocable<void(HttpResponse)> done) {
    tasks_.Spawn(AnswerTo(std::move(request), std::move(done)));
  }

 private:
  Task<void> AnswerTo(HttpRequest request, absl::AnyInvocable<void(HttpResponse)> done) {
    std::variant<Call, HttpResponse> admitted = Admit(request, authenticator_, clock_);
    if (auto* refused = std::get_if<HttpResponse>(&admitted)) {
      done(std::move(*refused));
      co_return;
    }
    Call call = std::get<Call>(std::move(admitted));
    call.body = std::move(request.body);
    HttpResponse response = co_await Handle(context_, std::move(call));
    done(std::move(response));
  }

  Clock& clock_;
  std::atomic<bool> draining_ = false;
  Authenticator authenticator_;
  ApiContext context_;
  TaskGroup tasks_;
};

SimApi::SimApi(LedgerService& service, Clock& clock, Metrics& metrics, SimExecutor& strand,
               std::string data_centre, uint64_t seed)
    : state_(std::make_unique<State>(service, clock, metrics, strand, std::move(data_centre), seed)) {}
SimApi::~SimApi() = default;

void SimApi::Serve(HttpRequest request, absl::AnyInvocable<void(HttpResponse)> done) {
  state_->Serve(std::move(request), std::move(done));
}

std::string SimApi::Authorization() { return std::string("Bearer ") + kKey; }

}  // namespace paxledger::sim
