#include "workload.hpp"

#include <string>

namespace dkv {
namespace {

struct Operation {
    Kind kind;
    std::uint64_t key;
    std::uint64_t value;
};

// Three words in a fixed order for every operation, so that one operation never shifts the next.
Operation draw(Generator& generator, std::uint64_t keys) {
    const auto r1 = generator.next();
    const auto r2 = generator.next();
    const auto r3 = generator.next();
    return {(r1 >> 62) == 3 ? Kind::del : Kind::put, r2 % keys, r3};
}

void propose(StringCluster& cluster, const Operation& operation) {
    Bytes value(8, '\0');
    auto rest = operation.value % 10'000;
    for (auto& byte : value) {
        byte = static_cast<char>(rest & 0xFF);
        rest >>= 8;
    }
    cluster.propose({operation.kind, "k" + std::to_string(operation.key), value});
}

void propose(IntegerCluster& cluster, const Operation& operation) {
    const auto key = static_cast<std::int64_t>(operation.key);
    const auto value = static_cast<std::int64_t>(operation.value % 1'000);
    cluster.propose({operation.kind, key, operation.kind == Kind::del ? 0 : value});
}

// `before(i)` runs ahead of operation i. Only the workload draws from the generator, never the faults.
template <class AnyCluster, class Before>
Bytes drive(AnyCluster cluster, const Workload& workload, Before before) {
    Generator generator(workload.seed);
    for (std::uint64_t i = 0; i < workload.ops; ++i) {
        before(cluster, i);
        propose(cluster, draw(generator, workload.keys));
    }
    cluster.heal();  // No outage outlives the run.
    return answer(cluster);
}

}  // namespace

std::uint64_t Generator::next() {
    state_ += 0x9E3779B97F4A7C15;
    auto z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E7B5;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

std::optional<Scenario> scenario_named(std::string_view name) {
    if (name == "default") return Scenario::default_;
    if (name == "partition") return Scenario::partition;
    if (name == "normal") return Scenario::normal;
    if (name == "fault") return Scenario::fault;
    return std::nullopt;
}

Bytes run(const Workload& workload) {
    const std::uint64_t ops = workload.ops;
    const auto no_faults = [](auto&, std::uint64_t) {};
    // Where the two points of an outage coincide, the cut comes first and the heal at once after it.
    const auto partition = [ops](StringCluster& cluster, std::uint64_t i) {
        if (i == ops / 4) cluster.partition({1, 2});
        if (i == 3 * ops / 4) cluster.heal();
    };
    const auto fault = [ops](IntegerCluster& cluster, std::uint64_t i) {
        if (i == ops / 2) cluster.partition({1});
        if (i == ops * 3 / 4) cluster.heal();
    };
    switch (workload.scenario) {
        case Scenario::default_: return drive(StringCluster(5), workload, no_faults);
        case Scenario::partition: return drive(StringCluster(5), workload, partition);
        case Scenario::normal: return drive(IntegerCluster(3), workload, no_faults);
        case Scenario::fault: return drive(IntegerCluster(3), workload, fault);
    }
    throw std::logic_error("unknown scenario");
}

}  // namespace dkv
